"""Learning: what moves and what does not, against plain formulas and known properties."""

from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest

from experiments.parameters import Experiment
from hypernet_lib.adam import Adam
from hypernet_lib.hypernet import Hypernetwork
from hypernet_lib.memory import remember
from hypernet_lib.quiet import tf
from hypernet_lib.targets import MLP, LeNet
from hypernet_lib.tasks import PermutedTasks, TaskData
from hypernet_lib.training import CHOICES, Learner, TrainingError


@pytest.fixture(scope="module")
def digits():
    return PermutedTasks("digits", pixels="standardised")


def make(digits, n_tasks=6, iterations=20, target=None, hidden_dims=(16,), n_chunks=5, **settings):
    target = target or MLP([64, 16, 10])
    sizes = {"task_embedding_dim": 8, "num_chunks": n_chunks, "hypernet_hidden_dims": hidden_dims}
    hypernet = Hypernetwork(target, n_tasks, **sizes, hypernet_activation="relu")
    return Learner(hypernet, target, digits, batch_size=32, iters_per_task=iterations, **settings)


def order_of(learner, task, iterations):
    """Which training image comes when."""
    n_images = len(learner.tasks.train(task).labels)
    return learner.batch_order(*[tf.constant(number) for number in (task, iterations, n_images)]).numpy()


def test_dropped_pixels_are_zero_others_grow_and_each_step_drops_others(digits):
    learner = make(digits, input_dropout=0.25)
    images, labels = np.random.default_rng(0).normal(size=[400, 64]).astype("f"), np.zeros(400, np.int32)
    seen = []
    for task, step in [(0, 0), (0, 1), (1, 0), (0, 0)]:
        shown, same = learner._as_shown(tf.constant(images), tf.constant(labels), tf.constant(task), tf.constant(step))
        dropped = shown.numpy() == 0
        np.testing.assert_allclose(shown.numpy()[~dropped], images[~dropped] / 0.75, rtol=1e-6)
        np.testing.assert_array_equal(same, labels)
        assert abs(dropped.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / dropped.size)
        assert abs(dropped.mean(axis=0) - 0.25).max() < 0.15 and abs(dropped.mean(axis=1) - 0.25).max() < 0.3
        seen.append(dropped)
    assert (seen[0] == seen[3]).all()
    for other in seen[1:3]:
        assert abs((seen[0] == other).mean() - (0.25**2 + 0.75**2)) < 0.02  # as two that know nothing of each other


def test_pixels_are_dropped_in_training_and_not_in_evaluation(digits):
    learner, like = make(digits, input_dropout=0.5), make(digits)
    assert (learner.learn(0) != like.learn(0)).any()
    weights = learner.hypernet.generate(learner.hypernet.task_embeddings[0])
    images, labels, permutation = digits.test(0)
    logits = learner.target(weights, images, permutation)
    assert learner.evaluate(0) == pytest.approx(np.mean(np.argmax(logits, axis=1) == labels))


def test_adam_is_adam():
    gradients = np.random.default_rng(0).standard_normal([5, 3]).astype("f")
    variable, x, m, v = tf.Variable([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]), np.zeros(3), np.zeros(3)
    adam = Adam([variable])
    for t, g in enumerate(gradients, start=1):
        (change,), before = adam.changes([g], [variable], tf.constant(0.1)), variable.numpy()
        np.testing.assert_array_equal(variable, before)
        adam.apply([g], [variable], tf.constant(0.1))
        np.testing.assert_allclose(change, variable - before, rtol=1e-4)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        x -= 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)
    np.testing.assert_allclose(variable, x, rtol=1e-4)


def test_one_step_moves_everything_by_adam_along_the_gradient(digits):
    learner = make(digits, l2_regularization=0.01, final_learning_rate_fraction=1)
    twin = make(digits, l2_regularization=0.01).hypernet
    order = order_of(learner, task=0, iterations=1)[:32]
    with tf.GradientTape() as tape:
        logits = learner.target(twin.generate(twin.task_embeddings[0]), digits.train_images[order])
        labels = tf.one_hot(digits.train_labels[order], 10)
        loss = -tf.reduce_mean(tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=1))
        loss += 0.01 * tf.reduce_sum(twin.head[:-1] ** 2)
    gradients = tape.gradient(loss, twin.shared_variables)
    learner.learn(0, iterations=1)
    for after, before, g in zip(learner.hypernet.shared_variables, twin.shared_variables, gradients, strict=True):
        large = np.abs(g) > 1e-3  # Adam's first step is the rate times the gradient's sign
        np.testing.assert_allclose((after - before).numpy()[large], -1e-3 * np.sign(g)[large], rtol=0.01)


def test_embeddings_of_other_tasks_do_not_move_at_all(digits):
    learner = make(digits)
    for task in range(3):
        before = learner.hypernet.task_embeddings.numpy()
        learner.learn(task, learner.remember(task))
        moved = (learner.hypernet.task_embeddings.numpy() != before).any(axis=1)
        assert moved.tolist() == [t == task for t in range(6)]


@pytest.mark.parametrize("updates", ["two", "two_states", "combined", "lookahead"])
def test_a_step_is_adam_on_the_gradients_of_both_losses(digits, updates):
    learner, twin = [make(digits, l2_regularization=0, updates=updates, learned=[0, 1]) for _ in range(2)]
    net, rate, permutation = twin.hypernet, tf.constant(0.01), tf.constant(digits.permutation(2))
    images, labels = digits.train_images[:32], digits.train_labels[:32]
    memory, then = learner.remember(2), net.generate(net.task_embeddings[:2])
    for each in (learner, twin):  # something to be pulled back from
        each.hypernet.head.assign_add(0.01 * tf.ones_like(net.head))
    variables = [net.task_embeddings, *net.shared_variables]

    def task_loss():
        logits = twin.target(net.generate(net.task_embeddings[2]), images, permutation)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    def memory_loss():
        now = net.generate(tf.stop_gradient(net.task_embeddings[:2]))
        return 0.1 * tf.reduce_mean(tf.reduce_sum((now - then) ** 2, axis=1))

    def gradients_of(loss, variables):
        with tf.GradientTape() as tape:
            value = loss()
        return [tf.convert_to_tensor(g) for g in tape.gradient(value, variables)]

    def step(adam, loss, variables):
        adam.apply(gradients_of(loss, variables), variables, rate)

    adam = Adam(variables)
    if updates == "combined":
        step(adam, lambda: task_loss() + memory_loss(), variables)
    elif updates == "lookahead":  # the memory loss where one step on the task's loss would lead, by another Adam
        here, of_task = [v.numpy() for v in variables], gradients_of(task_loss, variables)
        Adam(variables).apply(of_task, variables, rate)
        of_memory = gradients_of(memory_loss, net.shared_variables)
        for variable, value in zip(variables, here, strict=True):
            variable.assign(value)
        adam.apply([of_task[0], *(a + b for a, b in zip(of_task[1:], of_memory, strict=True))], variables, rate)
    else:
        step(adam, task_loss, variables)
        step(Adam(variables) if updates == "two_states" else adam, memory_loss, net.shared_variables)
    learner.embedding.assign(learner.hypernet.task_embeddings[2])
    learner.step(images, labels, permutation, memory, rate)
    for ours, theirs in zip(learner.hypernet.shared_variables, net.shared_variables, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)
    np.testing.assert_allclose(learner.embedding, net.task_embeddings[2], atol=2e-4)


@pytest.mark.parametrize("factor", [1.0, 30.0])
def test_the_task_embedding_has_a_learning_rate_of_its_own(digits, factor):
    learner = make(digits, embedding_rate_factor=factor, learning_rate=1e-3)
    net = learner.hypernet
    before = net.task_embeddings[0].numpy(), net.trunk[0][1].numpy()
    learner.learn(0, iterations=1)  # Adam's first step is the rate, whatever the gradient
    np.testing.assert_allclose(np.abs(net.task_embeddings[0] - before[0]), factor * 1e-3, rtol=0.01)
    assert np.abs(net.trunk[0][1] - before[1]).max() == pytest.approx(1e-3, rel=0.01)


def test_task_0_gets_twice_the_steps(digits):
    learner = make(digits, iterations=7)
    assert len(learner.learn(0)) == 14
    assert len(learner.learn(1)) == 7
    with pytest.raises(ValueError, match="iterations: got 0; expected at least 1"):
        learner.learn(1, iterations=0)


def test_nothing_is_traced_again_as_tasks_are_added(digits):
    learner = make(digits, n_tasks=12, iterations=2)
    for task in range(12):
        learner.learn(task, learner.remember(task))
        learner.evaluate(task)
    assert len(learner.graphs) == 4  # learning without memory, with the direct, with the moments; evaluation


def test_learning_needs_no_source_so_it_may_be_edited_while_a_run_goes_on(digits, monkeypatch):
    def gone(*args):
        raise OSError("could not get source code")

    monkeypatch.setattr("inspect.findsource", gone)
    learner = make(digits, n_tasks=2)
    losses = [learner.learn(task, learner.remember(task)) for task in range(2)]
    assert [len(of_task) for of_task in losses] == [40, 20] and learner.evaluate(1) > 0.2


def test_an_epoch_shows_every_image_once_and_the_next_in_another_order(digits):
    n = len(digits.train_images)
    order = order_of(make(digits), task=2, iterations=2 * n // 32)
    first, second = order[:n], order[n : 2 * n]
    assert sorted(first) == sorted(second) == list(range(n))
    assert (first != second).any()


def test_the_same_seed_learns_the_same_to_the_bit_and_another_one_does_not(digits):
    runs = [make(digits, seed=seed) for seed in (0, 0, 1)]
    for learner in runs:
        for task in range(3):
            learner.learn(task, learner.remember(task))
    one, again, other = [learner.hypernet.head.numpy() for learner in runs]
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_sampling_starts_above_fifty_tasks_as_in_the_original(digits):
    learner = make(digits, n_tasks=53, regularized_tasks=30, iterations=2, learned=range(52))
    assert [learner.n_sampled(n) for n in (29, 31, 50, 51, 100)] == [None, None, None, 30, 30]
    assert make(digits, regularized_tasks=60).n_sampled(55) is None
    assert len(learner.learn(52, learner.remember(52))) == 2


@pytest.mark.parametrize(
    "target, n_chunks, width", [(MLP([64, 32, 10]), 20, 64), (LeNet((8, 8)), 50, 32)], ids=["MLP", "LeNet"]
)
def test_a_generated_network_learns_digits(digits, target, n_chunks, width):
    learner = make(digits, target=target, hidden_dims=(width, width), n_chunks=n_chunks, iterations=300)
    learner.learn(0)
    assert learner.evaluate(0) > 0.9


def test_memory_keeps_earlier_tasks_and_without_it_they_are_lost(digits):
    kept, lost = [make(digits, 3, 300, hidden_dims=(32, 32), l2_memory_regularization=beta) for beta in (0.1, 0)]
    for learner in (kept, lost):
        for task in range(3):
            learner.learn(task, learner.remember(task))
    assert min(kept.evaluate(task) for task in range(3)) > 0.85
    assert lost.evaluate(2) > 0.85 and lost.evaluate(0) < 0.6


def test_evaluation_is_an_oracles_another_tasks_embedding_does_not_solve_the_task(digits):
    learner = make(digits, 3, 200, hidden_dims=(32, 32))
    for task in range(2):
        learner.learn(task, learner.remember(task))
    assert learner.evaluate(0) > 0.85
    embeddings = learner.hypernet.task_embeddings
    embeddings.assign(tf.gather(embeddings, [1, 0, 2]))
    assert learner.evaluate(0) < 0.5


def test_a_loss_that_is_no_number_names_task_and_step(digits):
    learner = make(digits)
    learner.hypernet.head.assign(learner.hypernet.head * float("nan"))
    with pytest.raises(TrainingError, match="task 1, step 1 of 20"):
        learner.learn(1)


class SplitDigits:
    """Task t tells the digits 2 t and 2 t + 1 apart: another family of tasks, without a permutation."""

    image_shape, n_classes = (8, 8), 2

    def __init__(self, digits):
        self.digits = digits

    def train(self, task):
        return self.of(task, self.digits.train_images, self.digits.train_labels)

    def test(self, task):
        return self.of(task, self.digits.test_images, self.digits.test_labels)

    def of(self, task, images, labels):
        mine = labels // 2 == task
        return TaskData(images[mine], labels[mine] - 2 * task)


def test_another_family_of_tasks_is_a_few_lines_and_none_of_the_librarys(digits):
    target = MLP([64, 16, 2])
    learner = make(SplitDigits(digits), 5, 100, target=target, hidden_dims=(32,), l2_memory_regularization=1)
    for task in range(5):
        learner.learn(task, learner.remember(task))
    assert min(learner.evaluate(task) for task in range(5)) > 0.95
    assert len(learner.graphs) == 3  # tasks have different numbers of images


def test_tasks_that_are_replaced_after_the_first_trace_are_the_ones_that_are_learned(digits):
    learner = make(digits, 2, 100, hidden_dims=(32,), learning_rate=3e-3)
    learner.learn(0)
    before = learner.evaluate(0)
    data, test = digits.train(0), digits.test(0)
    wrong = SimpleNamespace(n_classes=10, train=lambda task: data._replace(labels=(data.labels + 1) % 10))
    wrong.test = lambda task: test._replace(labels=(test.labels + 1) % 10)
    learner.tasks = wrong
    assert learner.evaluate(0) < 0.1 < 0.8 < before
    learner.learn(0)
    assert learner.evaluate(0) > 0.8


def test_images_that_are_changed_in_place_are_seen(digits):
    data = TaskData(digits.test_images.copy(), digits.test_labels)
    tasks = SimpleNamespace(n_classes=10, train=lambda task: data, test=lambda task: data)
    learner = make(tasks, 1, 100, hidden_dims=(32,), learning_rate=3e-3)
    learner.learn(0)
    assert learner.evaluate(0) > 0.8
    data.images[:] = 0
    assert learner.evaluate(0) < 0.2


@pytest.mark.parametrize("task", [-1, 6, 100])
def test_a_task_that_has_no_embedding_is_refused_in_words(digits, task):
    learner = make(digits, n_tasks=6)
    for what in (learner.learn, learner.evaluate):
        with pytest.raises(ValueError, match=f"task {task}: expected 0 to 5"):
            what(task)
    with pytest.raises(ValueError, match="7 tasks to remember: expected 0 to 6"):
        learner.remember(7)


def test_what_was_neither_learned_nor_restored_is_not_evaluated_and_not_remembered(digits):
    learner = make(digits, n_tasks=3, iterations=2)
    learner.learn(1)
    for what, number in [(learner.evaluate, 0), (learner.evaluate, 2), (learner.remember, 2)]:
        with pytest.raises(ValueError, match="was neither learned by this learner nor restored"):
            what(number)
    assert 0 <= learner.evaluate(1) <= 1
    judge = make(digits, n_tasks=3, learned=[0])
    assert 0 <= judge.evaluate(0) <= 1


def test_data_that_no_task_can_have_are_refused_before_a_step(digits):
    learner, data = make(digits), digits.train(1)
    before = learner.hypernet.head.numpy()
    learner.tasks = SimpleNamespace(n_classes=10, train=lambda task: data._replace(permutation=np.zeros(64, "i")))
    with pytest.raises(ValueError, match="each of the pixels 0 to 63 once"):
        learner.learn(1)
    np.testing.assert_array_equal(learner.hypernet.head, before)


@pytest.mark.parametrize("name, expected", CHOICES.items())
def test_a_word_that_no_setting_knows_is_refused_and_an_experiment_knows_the_same_ones(digits, name, expected):
    with pytest.raises(ValueError, match=f"{name}: got 'tow'; expected {' or '.join(expected)}"):
        make(digits, **{name: "tow"})
    assert get_args(Experiment.model_fields[name].annotation) == expected


@pytest.mark.parametrize("after", [0, 2])
def test_what_tasks_share_is_frozen_after_so_many_tasks_and_then_nothing_is_forgotten(digits, after):
    rates = {"iterations": 60, "embedding_rate_factor": 30}
    learner = make(digits, n_tasks=5, freeze_shared_after=after, n_chunks="rows", hidden_dims=[], **rates)
    for task in range(5):
        shared = [variable.numpy() for variable in learner.hypernet.shared_variables]
        before = [learner.evaluate(old) for old in range(task)]
        memory = learner.remember(task)
        assert (memory is not None) == (0 < task < after)
        losses = learner.learn(task, memory)
        now = learner.hypernet.shared_variables  # chunk embeddings and head
        assert [(variable.numpy() != then).any() for variable, then in zip(now, shared, strict=True)] == [
            task < after
        ] * 2
        assert losses[-5:].mean() < losses[:5].mean()
        if task >= after:
            assert [learner.evaluate(old) for old in range(task)] == before


def test_a_snapshot_is_of_the_tasks_as_they_are_now(digits):
    """One that is kept up from task to task is given up when a task is learned again, or restored."""
    learner = make(digits, n_tasks=5, n_chunks="rows", hidden_dims=[])
    for task in range(3):
        learner.learn(task, learner.remember(task))

    def is_right():
        now, afresh = learner.remember(3), remember(learner.hypernet, 3)
        return all((a.numpy() == b.numpy()).all() for a, b in zip(now, afresh, strict=True))

    assert is_right()
    learner.learn(0)
    assert is_right()
    learner.hypernet.task_embeddings[1].assign(tf.zeros_like(learner.hypernet.task_embeddings[1]))
    assert not is_right()
    learner.restored(3)
    assert is_right()
