"""The other methods, each against an independent truth, and all of them as runs."""

import numpy as np
import pytest
from loop import carried_out

from experiments.baselines.images import Joint, Rehearsal
from experiments.baselines.networks import InARow, OneNetwork, SeparateNetworks
from experiments.baselines.settings import METHODS, ONE_NETWORK
from experiments.baselines.weights import EWC, L2, SI, fisher_information
from experiments.build import build
from experiments.checkpoints import load_run
from experiments.parameters import Experiment
from experiments.store import clash, read_metrics, run_folder
from hypernet_lib.quiet import tf
from hypernet_lib.targets import MLP
from hypernet_lib.tasks import PermutedTasks
from hypernet_lib.training import Learner, TrainingError

SMALL = {"dataset": "digits", "innernet_all_dims": [64, 12, 10], "batch_size": 16, "iters_per_task": 10}
SMALL |= {"n_tasks_to_learn": 4, "full_testing_tasks": [2]}
# Every method, and both ways to have heads where it makes a difference.
WAYS = [(m, "shared" if m in ONE_NETWORK else None) for m in METHODS]
WAYS += [(m, "per_task") for m in ("ewc", "rehearsal", "joint")]
everyway = pytest.mark.parametrize("method, heads", WAYS, ids=[f"{m}-{h}" if h else m for m, h in WAYS])


@pytest.fixture(scope="module")
def digits():
    return PermutedTasks("digits")


def experiment_of(method, heads=None, **changed):
    of_heads = {"heads": heads} if heads else {}
    return Experiment.from_mapping({"run_name": "x", "method": method, **SMALL, **of_heads, **changed})


def adam(weights, gradients, rate, steps):
    """The weights after some steps of plain Adam, with a rate that falls from `rate` to a fiftieth."""
    w, m, v = np.array(weights, np.float64), 0, 0
    for t in range(steps):
        g = np.array(gradients(w, t), np.float64)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        now = rate * (1 - 0.98 * t / max(steps - 1, 1))
        w = w - now * np.sqrt(1 - 0.999 ** (t + 1)) / (1 - 0.9 ** (t + 1)) * m / (np.sqrt(v) + 1e-7)
    return w


def gradient_of_cross_entropy(target, weights, images, labels):
    weights = tf.constant(weights, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        chosen = tf.one_hot(labels, 10) * tf.nn.log_softmax(target(weights, tf.constant(images, tf.float32)))
        loss = -tf.reduce_mean(tf.reduce_sum(chosen, axis=1))
    return tape.gradient(loss, weights).numpy()


# --- in a row, separate ---


def test_task_0_has_twice_the_steps_but_where_every_task_starts_from_scratch():
    for method, steps in {"in_a_row": [20, 10, 10], "separate": [10, 10, 10], "joint": [50, 1, 1]}.items():
        learner = build(experiment_of(method)).learner
        assert [len(learner.learn(task)) for task in range(3)] == steps


@pytest.mark.parametrize("network", [OneNetwork, SeparateNetworks])
def test_in_a_row_is_plain_training_without_any_hypernetwork_and_separate_is_that_from_new_weights(network, digits):
    target, steps = MLP([64, 8, 10]), 5
    networks = network(target, 3, seed=2)
    learner = InARow(networks, target, digits, batch_size=16, learning_rate=1e-2, seed=2)
    start = SeparateNetworks(target, 3, seed=2).task_embeddings.numpy()
    expected = start[0]
    for task in range(2):
        order = learner.batch_order(*[tf.constant(n) for n in (task, steps, len(digits.train_labels))]).numpy()
        images = digits.train_images[:, digits.permutation(task)]

        def gradients(w, t, order=order, images=images):
            batch = order[16 * t : 16 * t + 16]
            return gradient_of_cross_entropy(target, w, images[batch], digits.train_labels[batch])

        expected = adam(start[task] if network is SeparateNetworks else expected, gradients, 1e-2, steps)
        learner.learn(task, learner.remember(task), iterations=steps)
        found = networks.weights(networks.task_embeddings[task])
        np.testing.assert_allclose(found, expected, atol=2e-5)
    if network is SeparateNetworks:
        assert (networks.task_embeddings[2].numpy() == start[2]).all()


def test_each_network_starts_from_other_weights_in_glorots_bounds_with_biases_zero():
    first, second = SeparateNetworks(MLP([64, 8, 10]), n_tasks=2).task_embeddings.numpy()
    assert (first[: 64 * 8] != second[: 64 * 8]).all()
    assert 0.9 < np.abs(first[: 64 * 8]).max() / np.sqrt(6 / (64 + 8)) <= 1
    assert not first[64 * 8 : 64 * 8 + 8].any() and not first[-10:].any()


def test_weight_decay_and_memory_without_a_head_are_refused_in_words(digits):
    target = MLP([64, 8, 10])
    with pytest.raises(ValueError, match="SeparateNetworks has no head: expected l2_regularization and l2_memory_"):
        Learner(SeparateNetworks(target, n_tasks=3), target, digits)


@pytest.mark.parametrize("dims", [[64, 8, 10], [64, 10], [64, 9, 8, 10]], ids=str)
def test_a_batch_of_several_tasks_goes_through_the_head_of_each(dims, digits):
    target = MLP(dims)
    network = OneNetwork(target, 3, heads="per_task")
    images, tasks = digits.test_images[:5], np.array([2, 0, 1, 1, 2])
    together = network.logits(tf.constant(images), tf.constant(tasks))
    for i, task in enumerate(tasks):
        alone = target(network.weights(network.task_embeddings[task]), images[i : i + 1])
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)
    assert network.task_embeddings.shape == (3, (dims[-2] + 1) * 10)


@pytest.mark.parametrize("method", sorted(set(ONE_NETWORK) - {"joint"}))
def test_a_head_of_a_learned_task_never_moves(method):
    learner = build(experiment_of(method, "per_task")).learner
    heads = []
    for task in range(3):
        learner.learn(task, learner.remember(task))
        heads.append(learner.hypernet.task_embeddings[task].numpy())
    np.testing.assert_array_equal(learner.hypernet.task_embeddings[:3], heads)


# --- l2, ewc, si ---


def log_p(weights, image, dims):
    """log-softmax of a plain NumPy MLP, float64."""
    x, start = image, 0
    for layer, (n, m) in enumerate(zip(dims, dims[1:], strict=False)):
        kernel = weights[start : start + n * m].reshape(n, m)
        bias = weights[start + n * m : start + n * m + m]
        x, start = (np.maximum(x, 0) if layer else x) @ kernel + bias, start + n * m + m
    return x - np.log(np.exp(x).sum())


def test_the_fisher_information_is_that_of_finite_differences():
    dims, random = [5, 4, 3], np.random.default_rng(0)
    target = MLP(dims)
    weights, images = random.standard_normal(5 * 4 + 4 + 4 * 3 + 3), random.standard_normal([6, 5])
    expected = np.zeros(len(weights))
    for image in images:
        p = np.exp(log_p(weights, image, dims))
        for k in range(len(weights)):
            step = np.eye(len(weights))[k] * 1e-5
            slope = (log_p(weights + step, image, dims) - log_p(weights - step, image, dims)) / 2e-5  # [classes]
            expected[k] += (p * slope**2).sum() / len(images)
    found = fisher_information(target, tf.constant(weights, tf.float32), tf.constant(images, tf.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    assert expected.max() > 0.1


@pytest.mark.parametrize("heads", ["shared", "per_task"])
def test_ewc_adds_up_the_information_of_its_tasks_over_the_images_it_asks_for(heads, digits):
    target = MLP([64, 8, 10])
    settings = {"batch_size": 16, "iters_per_task": 5, "strength": 3.0}
    learner = EWC(OneNetwork(target, 2, heads), target, digits, images=10_000, **settings)
    n_shared, expected = learner.hypernet.shared.shape[0], 0
    for task in range(2):
        learner.learn(task, learner.remember(task))
        weights = learner.hypernet.weights(learner.hypernet.task_embeddings[task])
        images = tf.constant(digits.train_images[:, digits.permutation(task)])
        expected += fisher_information(target, weights, images)[:n_shared]  # all images at once, not in parts
    np.testing.assert_allclose(learner.importance, expected, rtol=1e-3, atol=1e-7)
    few = EWC(OneNetwork(target, 2, heads), target, digits, images=3, **settings)
    few.learn(0)
    assert not np.allclose(few.importance, learner.importance, rtol=0.1)


@pytest.mark.parametrize("method", ["l2", "ewc", "si"])
def test_the_gradient_of_holding_is_that_of_the_papers_penalty(method, digits):
    target, random = MLP([64, 8, 10]), np.random.default_rng(0)
    network = OneNetwork(target, 2)
    settings = {"l2": {}, "ewc": {"images": 5}, "si": {"damping": 0.1}}[method]
    learner = {"l2": L2, "ewc": EWC, "si": SI}[method](network, target, digits, strength=0.7, **settings)
    if method != "l2":
        learner.importance.assign(random.uniform(size=learner.importance.shape))
    learner.restored(1)
    memory = learner.remember(1)
    network.shared.assign_add(random.standard_normal(network.shared.shape))
    with tf.GradientTape() as tape:
        change = network.shared - memory.weights
        importance = 1 if method == "l2" else learner.importance
        penalty = (0.7 if method == "si" else 0.7 / 2) * tf.reduce_sum(importance * change**2)
    (found,) = learner._memory_gradients(memory)
    np.testing.assert_allclose(found, tape.gradient(penalty, network.shared), rtol=1e-5)
    without = type(learner)(network, target, digits, strength=0.0, **settings)
    without.restored(1)
    assert learner.remember(0) is None and without.remember(1) is None


@pytest.mark.parametrize("method", ["l2", "ewc", "si"])
def test_a_second_task_is_learned_by_plain_adam_on_the_loss_and_the_penalty(method, digits):
    """And SI's importance of both tasks comes from the gradient of the loss alone."""
    target, steps = MLP([64, 8, 10]), 6
    settings = {
        "l2": {"strength": 2.0},
        "ewc": {"strength": 50.0, "images": 200},
        "si": {"strength": 2.0, "damping": 0.1},
    }
    network = OneNetwork(target, 2, seed=3)
    kind = {"l2": L2, "ewc": EWC, "si": SI}[method]
    learner = kind(network, target, digits, batch_size=16, learning_rate=1e-2, seed=3, **settings[method])
    expected, found = network.shared.numpy(), np.zeros(network.shared.shape[0])
    importance = np.ones(len(found)) if method == "l2" else np.zeros(len(found))
    for task in range(2):
        order = learner.batch_order(*[tf.constant(n) for n in (task, steps, len(digits.train_labels))]).numpy()
        images, anchor = digits.train_images[:, digits.permutation(task)], expected
        path, of_loss = [anchor], []

        def gradients(
            w,
            t,
            order=order,
            images=images,
            anchor=anchor,
            importance=importance,
            log=(path, of_loss),
            before=range(task),
        ):
            batch = order[16 * t : 16 * t + 16]
            g = gradient_of_cross_entropy(target, w, images[batch], digits.train_labels[batch])
            log[0].append(w)
            log[1].append(g)
            strength = settings[method]["strength"] * (2 if method == "si" else 1) * (len(before) > 0)
            return g + strength * importance * (w - anchor)

        expected = adam(anchor, gradients, 1e-2, steps)
        learner.learn(task, learner.remember(task), iterations=steps)
        np.testing.assert_allclose(network.shared, expected, atol=3e-5)
        if method == "si":
            moves = np.diff([*path[1:], expected], axis=0)
            fall = np.maximum(-(np.array(of_loss) * moves).sum(axis=0), 0)
            importance = importance + fall / ((expected - anchor) ** 2 + 0.1)
            np.testing.assert_allclose(learner.importance, importance, atol=2e-5)
        if method == "ewc":
            importance = learner.importance.numpy()  # which another test takes apart
        if method != "l2":
            with pytest.raises(ValueError, match=f"task {task} is learned already"):
                learner.learn(task)
    assert np.abs(expected - anchor).max() > 0.01 and importance.max() > 0.001


def test_ewc_takes_its_images_from_anywhere_in_the_task(digits):
    target = MLP([64, 8, 10])
    learner = EWC(OneNetwork(target, 1), target, digits, strength=1.0, images=40, batch_size=16, iters_per_task=5)
    learner.learn(0)
    weights = learner.hypernet.weights(learner.hypernet.task_embeddings[0])
    first = fisher_information(target, weights, tf.constant(digits.train_images[:40]))
    chosen = np.sort(np.random.default_rng([0, 7, 0, 1]).permutation(len(digits.train_labels))[:40])
    random = fisher_information(target, weights, tf.constant(digits.train_images[chosen]))
    np.testing.assert_allclose(learner.importance, random, rtol=1e-3, atol=1e-8)
    assert not np.allclose(first, random, rtol=0.1)


def test_sis_importance_is_each_weights_share_of_the_fall_of_a_quadratic_loss(digits, monkeypatch):
    """Where weight k alone decides a_k (w_k - m_k)^2 / 2, its share is exactly how far that fell."""
    target = MLP([64, 10])
    network = OneNetwork(target, 1)
    learner = SI(network, target, digits, strength=1.0, damping=0.1, learning_rate=1e-3, batch_size=2)
    random = np.random.default_rng(0)
    a, m = (tf.constant(random.uniform(0.5, 2, network.shared.shape), tf.float32) for _ in "am")

    def gradients(images, labels, permutation, variables):
        return tf.constant(0.0), [tf.zeros_like(variables[0]), a * (network.shared - m)]

    monkeypatch.setattr(learner, "_task_gradients", gradients)
    before = network.shared.numpy()
    learner.learn(0, iterations=400)
    after = network.shared.numpy()
    fall = a * ((before - m) ** 2 - (after - m) ** 2) / 2
    np.testing.assert_allclose(learner.importance, fall / ((after - before) ** 2 + 0.1), rtol=0.01)
    assert np.abs(after - before).min() > 0.05


@pytest.mark.parametrize("method", ["ewc", "si", "l2"])
def test_held_without_end_the_shared_weights_stay_and_held_by_nothing_it_is_in_a_row(method):
    tight, loose, free = [
        build(experiment_of(name, **({f"{name}.strength": strength} if name == method else {}))).learner
        for name, strength in ((method, 1e8), (method, 0), ("in_a_row", None))
    ]
    for learner in (tight, loose, free):
        learner.learn(0)
    before, important = tight.hypernet.shared.numpy(), tight.importance.numpy() > 1e-3
    for learner in (tight, loose, free):
        learner.learn(1, learner.remember(1), iterations=100)
    np.testing.assert_array_equal(loose.hypernet.shared, free.hypernet.shared)
    moved = [np.abs(learner.hypernet.shared.numpy() - before)[important].mean() for learner in (tight, free)]
    assert important.mean() > 0.1 and moved[0] < moved[1] / 5


# --- rehearsal, joint ---


def test_rehearsal_learns_stored_images_of_earlier_tasks_beside_the_tasks_own(digits):
    target = MLP([64, 8, 10])
    network = OneNetwork(target, 4)
    learner = Rehearsal(network, target, digits, images_per_task=5, batch_size=7)
    assert learner.remember(0) is None
    with pytest.raises(ValueError, match="task 0 was neither learned"):
        learner.remember(3)
    learner.restored(4)
    memory = learner.remember(3)
    assert memory.images.shape == (15, 64) and memory.tasks.numpy().tolist() == [0] * 5 + [1] * 5 + [2] * 5
    for image, label, task in zip(*[part.numpy() for part in memory[:3]], strict=True):
        shown = digits.train_images[:, digits.permutation(task)]
        (row,) = np.flatnonzero((shown == image).all(axis=1))[:1]
        assert digits.train_labels[row] == label
    drawn = learner._sample(memory, learner.n_sampled(3), tf.constant([1, 2]))
    assert drawn.images.shape == (7, 64)
    (found,) = learner._memory_gradients(drawn)
    expected = gradient_of_cross_entropy(target, network.shared, drawn.images, drawn.labels)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    again = Rehearsal(network, target, digits, images_per_task=5)
    again.restored(4)
    np.testing.assert_array_equal(again.remember(4).images[:15], memory.images)  # what is stored never changes
    rows = set()
    for number in range(60):
        drawn = learner._sample(memory, 7, tf.constant([number, 1]))
        for image, label, task in zip(*[part.numpy() for part in drawn[:3]], strict=True):
            (row,) = np.flatnonzero((memory.images.numpy() == image).all(axis=1))
            assert (memory.labels[row], memory.tasks[row]) == (label, task)
            rows.add(row)
    assert rows == set(range(15))  # each is drawn, sooner or later


def test_stored_images_go_through_the_heads_of_their_own_tasks(digits):
    target = MLP([64, 8, 10])
    network = OneNetwork(target, 3, heads="per_task")
    learner = Rehearsal(network, target, digits, images_per_task=4)
    learner.restored(3)
    memory = learner.remember(3)
    with tf.GradientTape() as tape:
        losses = [
            -tf.nn.log_softmax(target(network.weights(network.task_embeddings[task]), image[tf.newaxis]))[0, label]
            for image, label, task in zip(*memory[:3], strict=True)
        ]
        loss = tf.reduce_mean(losses)
    np.testing.assert_allclose(learner._memory_gradients(memory)[0], tape.gradient(loss, network.shared), atol=1e-6)


def test_more_stored_images_than_a_task_has_are_refused_in_words(digits):
    target = MLP([64, 8, 10])
    learner = Rehearsal(OneNetwork(target, 2), target, digits, images_per_task=2000)
    learner.restored(1)
    with pytest.raises(ValueError, match="rehearsal.images_per_task: got 2000; expected at most 1437, the training im"):
        learner.remember(1)


def test_joint_training_moves_every_head_by_plain_adam(digits):
    target, steps = MLP([64, 8, 10]), 4
    network = OneNetwork(target, 2, heads="per_task")
    learner = Joint(network, target, digits, batch_size=32, learning_rate=1e-2)
    start = np.concatenate([network.shared.numpy(), network.task_embeddings.numpy().reshape(-1)])
    P, h = network.shared.shape[0], network.task_embeddings.shape[1]
    batches = [learner._draw(learner._union(), tf.constant(t)) for t in range(steps)]

    def gradients(w, t):
        w = tf.constant(w, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(w)
            losses = []
            for image, label, task in zip(*batches[t], strict=True):
                weights = tf.concat([w[:P], w[P + int(task) * h : P + (int(task) + 1) * h]], axis=0)
                losses.append(-tf.nn.log_softmax(target(weights, image[tf.newaxis]))[0, label])
            loss = tf.reduce_mean(losses)
        return tape.gradient(loss, w).numpy()

    learner.learn(0, iterations=steps)
    found = np.concatenate([network.shared.numpy(), network.task_embeddings.numpy().reshape(-1)])
    np.testing.assert_allclose(found, adam(start, gradients, 1e-2, steps), atol=3e-5)


def test_joint_is_plain_training_on_random_images_of_random_tasks(digits):
    target, steps = MLP([64, 8, 10]), 6
    network = OneNetwork(target, 3)
    learner = Joint(network, target, digits, batch_size=32, learning_rate=1e-2)
    start, union = network.shared.numpy(), learner._union()
    assert union.images.shape == digits.train_images.shape  # once, not three times
    batches = [learner._draw(union, tf.constant(t)) for t in range(steps)]
    counts = np.bincount(np.concatenate([tasks for *_, tasks in batches]), minlength=3)
    assert (counts > 32 * steps / 3 / 2).all()
    drawn = []
    for images, labels, tasks in batches:
        for image, label, task in zip(images.numpy(), labels.numpy(), tasks.numpy(), strict=True):
            rows = np.flatnonzero((digits.train_images[:, digits.permutation(task)] == image).all(axis=1))
            assert label in digits.train_labels[rows]
            drawn += [*rows]
    n = len(digits.train_labels)
    assert all(sum(i * n / 4 <= row < (i + 1) * n / 4 for row in drawn) > len(drawn) / 8 for i in range(4))

    def gradients(w, t):
        return gradient_of_cross_entropy(target, w, *batches[t][:2])

    losses = learner.learn(0, iterations=steps)
    np.testing.assert_allclose(network.shared, adam(start, gradients, 1e-2, steps), atol=2e-5)
    assert len(losses) == steps
    before = network.shared.numpy()
    assert learner.learn(1).shape == (1,) and (network.shared.numpy() == before).all()
    with pytest.raises(ValueError, match="task 0 was neither learned"):
        Joint(network, target, digits).learn(1)


def test_joint_draws_a_narrow_tasks_two_classes_only():
    tasks = PermutedTasks("digits", narrow_tasks=2)
    target = MLP([64, 10])
    learner = Joint(OneNetwork(target, 3), target, tasks, batch_size=500)
    _, labels, of = (part.numpy() for part in learner._draw(learner._union(), tf.constant(0)))
    assert set(labels[of == 0]) == {0, 1} and set(labels[of == 1]) == {2, 3} and len(set(labels[of == 2])) == 10


def test_joint_as_long_as_it_was_asked_for_and_no_longer(tmp_path):
    experiment = experiment_of("joint", logdir=str(tmp_path))
    carried_out(experiment)
    longer = clash(experiment.model_copy(update={"n_tasks_to_learn": 5}))
    assert "learned 4 tasks together, and can learn no other" in longer
    metrics = read_metrics(run_folder(experiment))
    assert (metrics.groupby("task")["accuracy"].nunique() == 1).all()  # one training, measured again and again


# --- every method, as a run ---


@pytest.mark.parametrize(  # all that differ in what they keep; tests/test_faults.py has the hypernetwork
    "method, heads",
    [("in_a_row", "shared"), ("ewc", "per_task"), ("si", "shared"), ("rehearsal", "per_task"), ("joint", "per_task"),
     ("separate", None)],
)  # fmt: skip
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(method, heads, tmp_path):
    whole, stopped = (experiment_of(method, heads, logdir=str(tmp_path / name)) for name in ("a", "b"))
    learner = carried_out(whole)
    carried_out(stopped, end=2)
    carried_out(stopped)
    folders = run_folder(whole), run_folder(stopped)
    assert len({(folder / "metrics.csv").read_text() for folder in folders}) == 1
    ours, theirs = (dict(np.load(folder / "weights.npz")) for folder in folders)
    assert ours.keys() == theirs.keys() and all((ours[name] == theirs[name]).all() for name in ours)
    if method != "separate":
        assert any(name.startswith("state") for name in ours) == (method in ("ewc", "si", "joint"))
    loaded = load_run(folders[0])
    assert [loaded.learner.evaluate(t) for t in range(4)] == [learner.evaluate(t) for t in range(4)]
    for variable, kept in zip(learner.state, loaded.learner.state, strict=True):
        np.testing.assert_array_equal(variable, kept)


@everyway
def test_its_size_is_what_there_is(method, heads):
    experiment = experiment_of(method, heads, **({"rehearsal.images_per_task": 3} if method == "rehearsal" else {}))
    if method == "hypernetwork":
        experiment = experiment_of(method, hypernet_hidden_dims=[8], num_chunks=5, task_embedding_dim=4)
    learner = build(experiment).learner
    network, size = learner.hypernet, experiment.size
    shared = sum(int(np.prod(variable.shape)) for variable in network.shared_variables)
    assert (experiment.sizes.shared, size["per_task"]) == (shared, int(network.task_embeddings.shape[1]))
    assert size["parameters"] == shared + int(np.prod(network.task_embeddings.shape))
    learner.learn(0, iterations=1)
    learner.restored(3)
    memory = learner.remember(3)  # as while the last of four is learned
    if method == "rehearsal":
        assert size["stored"] == memory.images.shape[0] * (64 + 1) == 3 * 3 * 65
    elif method == "joint":
        assert size["stored"] is None
    elif method == "hypernetwork":
        assert size["stored"] == shared
    else:  # what is kept in the memory, and the sums of the task in hand
        kept = [] if memory is None else [memory.weights, *([memory.importance] if learner.state else [])]
        kept += [learner.path] if method == "si" else []
        assert size["stored"] == sum(part.shape[0] for part in kept)


def test_nothing_is_stored_where_nothing_is_remembered():
    for method, settings in {
        "hypernetwork": {"l2_memory_regularization": 0}, "ewc": {"ewc.strength": 0}, "l2": {"l2.strength": 0},
        "si": {"n_tasks_to_learn": 1}, "rehearsal": {"n_tasks_to_learn": 1}, "in_a_row": {}, "separate": {},
    }.items():  # fmt: skip
        assert experiment_of(method, **settings).size["stored"] == 0
    assert experiment_of("hypernetwork", freeze_shared_after=3).size["stored"] == 0
    assert experiment_of("hypernetwork", freeze_shared_after=4).size["stored"] > 0


def test_two_methods_do_not_share_a_folder(tmp_path):
    carried_out(experiment_of("in_a_row", logdir=str(tmp_path)), end=1)
    refused = clash(experiment_of("ewc", logdir=str(tmp_path)))
    assert "holds another run (method was in_a_row, is ewc)" in refused


def test_who_is_told_the_task():
    told = {way for way in WAYS if experiment_of(*way).is_told_the_task}
    assert told == {way for way in WAYS if way[1] != "shared"}


@pytest.mark.parametrize("method", ["l2", "ewc", "si", "joint"])
def test_a_method_that_diverges_says_so_with_what_is_most_often_too_high(method):
    learner = build(experiment_of(method)).learner
    learner.hypernet.shared.assign(np.nan * learner.hypernet.shared)
    also = "" if method == "joint" else f" or {method}.strength"
    with pytest.raises(TrainingError, match=f"task 0, step 1 of .* Most often learning_rate{also} is too high"):
        learner.learn(0)
    assert learner.learned == set()
