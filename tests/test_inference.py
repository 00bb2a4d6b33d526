"""Inferring the task: against plain NumPy from the raw pixels, where nothing of the true task can leak in."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from loop import carried_out

from experiments import execution
from experiments.build import build
from experiments.parameters import Experiment, ExperimentError
from experiments.run import Run
from experiments.store import read_inferred, read_summary, run_folder
from hypernet_lib.datasets import load_dataset
from hypernet_lib.hypernet import Hypernetwork
from hypernet_lib.inference import SCORES, candidates, infer
from hypernet_lib.metrics import INFERRED, after_the_last
from hypernet_lib.quiet import tf
from hypernet_lib.targets import MLP
from hypernet_lib.tasks import PermutedTasks, TaskData
from hypernet_lib.training import Learner

N_TASKS = 4


def learner_of(tasks, n_tasks=N_TASKS, **settings):
    target = MLP([64, 20, 10])
    hypernet = Hypernetwork(target, n_tasks, task_embedding_dim=8, num_chunks=5, hypernet_hidden_dims=[12])
    return Learner(hypernet, target, tasks, batch_size=32, iters_per_task=40, **settings)


@pytest.fixture(scope="module", params=["centred", "standardised", "raw"])
def learner(request):
    learner = learner_of(PermutedTasks("digits", pixels=request.param))
    for task in range(N_TASKS):
        learner.learn(task)
    return learner


def normalisation(tasks):
    """What is subtracted from each pixel [64], and what they are divided by."""
    pixels = load_dataset("digits")[0][0]
    mean = {"centred": pixels.mean(axis=0), "standardised": np.full(64, pixels.mean()), "raw": np.zeros(64)}
    return mean[tasks.pixels], 16 if tasks.pixels == "raw" else pixels.std()


def plainly(learner, raw):
    """What every candidate says of raw pixels [M, 64] as they are shown, by NumPy alone: scores and classes, [M, T]."""
    pixels = load_dataset("digits")[0][0]
    mean, divisor = normalisation(learner.tasks)
    weights = learner.hypernet.generate(learner.hypernet.task_embeddings).numpy()
    scores, classes = {score: [] for score in SCORES}, []
    for task in range(N_TASKS):
        order = learner.tasks.permutation(task)
        x = (raw - mean[order]) / divisor
        W1, b1, W2, b2 = np.split(weights[task], np.cumsum([64 * 20, 20, 20 * 10]))
        logits = np.maximum(x @ W1.reshape(64, 20) + b1, 0) @ W2.reshape(20, 10) + b2
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        scores["logsumexp"].append(np.log(np.exp(logits).sum(axis=1)))
        scores["max_logit"].append(logits.max(axis=1))
        scores["entropy"].append((p * np.log(p)).sum(axis=1))
        scores["mean_image"].append(-((raw - pixels.mean(axis=0)[order]) ** 2).sum(axis=1) / divisor**2)
        classes.append(logits.argmax(axis=1))
    return {score: np.stack(values, axis=1) for score, values in scores.items()}, np.stack(classes, axis=1)


def raw_images(tasks, task, n, seed=0):
    """The raw pixels of the test images that `infer` draws, as the task shows them, and their labels."""
    images, labels = load_dataset("digits")[1]
    rows = np.random.default_rng([seed, 8, task, 1]).permutation(len(labels))[:n]
    return images[rows][:, tasks.permutation(task)], labels[rows]


def check_against_plain_numpy(learner, n=12):
    """`infer` finds what NumPy finds from raw pixels, to which their task did nothing but order them."""
    raw, labels = zip(*[raw_images(learner.tasks, task, n) for task in range(N_TASKS)], strict=True)
    scores, classes = plainly(learner, np.concatenate(raw))
    table = infer(learner, N_TASKS, n).set_index(["score", "together", "task"])
    assert list(table.columns) == INFERRED[3:] and len(table) == len(SCORES) * 3 * N_TASKS
    for (score, images, task), row in table.iterrows():
        right = []
        for i in range(n):
            group = [task * n + (i + shift) % n for shift in range(images)]
            chosen = scores[score][group].sum(axis=0).argmax()
            is_class, is_told = (classes[task * n + i, t] == labels[task][i] for t in (chosen, task))
            right.append([chosen == task, is_class, chosen == task and is_class, is_told])
        np.testing.assert_allclose(row, np.mean(right, axis=0), err_msg=f"{score}, {images} images, task {task}")


def test_candidates_say_what_plain_numpy_finds_from_raw_pixels(learner):
    raw = np.concatenate([raw_images(learner.tasks, task, 10)[0] for task in range(N_TASKS)])
    _, divisor = normalisation(learner.tasks)
    found, (scores, classes) = candidates(learner, raw / divisor, N_TASKS), plainly(learner, raw)
    np.testing.assert_array_equal(found.classes, classes)
    for score in SCORES[:3]:
        np.testing.assert_allclose(found.scores[score], scores[score], rtol=1e-4, atol=1e-4)
    # Only differences between tasks count.
    mean_image = [x["mean_image"] - x["mean_image"][:, :1] for x in (found.scores, scores)]
    np.testing.assert_allclose(*mean_image, rtol=1e-3, atol=1e-3)


def test_what_was_right_is_what_plain_numpy_finds_from_raw_pixels(learner):
    check_against_plain_numpy(learner)


def test_a_leak_of_the_true_tasks_mean_would_be_found(monkeypatch):
    tasks = PermutedTasks("digits")
    learner = learner_of(tasks)
    for task in range(N_TASKS):
        learner.learn(task)
    told = infer(learner, N_TASKS, 100).query("score == 'logsumexp' and together == 1")["task_right"].mean()
    # Every candidate is given the images as the network of their true task would see them.
    monkeypatch.setattr(tasks, "as_they_come", lambda task, images: images[:, tasks.permutation(task)])
    monkeypatch.setattr(tasks, "seen_by", lambda task, images: images)
    leaked = infer(learner, N_TASKS, 100).query("score == 'logsumexp' and together == 1")["task_right"].mean()
    assert leaked != told
    with pytest.raises(AssertionError):
        check_against_plain_numpy(learner)


def test_an_image_is_judged_by_its_pixels_whatever_task_it_is_said_to_be_of_and_whatever_comes_beside_it(learner):
    tasks = learner.tasks
    image = tasks.as_they_come(1, tasks.test_images[:1])  # [1, P]
    # The image of task 3 that shows the very same pixels:
    subtracted = -tasks.seen_by(0, np.zeros([1, 64], np.float32))
    same = np.empty_like(image)
    same[:, tasks.permutation(3)] = image
    same = tasks.as_they_come(3, same - subtracted)
    np.testing.assert_allclose(same, image, atol=1e-6)
    alone, other = candidates(learner, image, N_TASKS), candidates(learner, same, N_TASKS)
    crowd = candidates(learner, np.concatenate([tasks.as_they_come(2, tasks.test_images[:50]), image]), N_TASKS)
    for score in SCORES:
        np.testing.assert_allclose(alone.scores[score], other.scores[score], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(alone.scores[score][0], crowd.scores[score][-1], rtol=1e-4, atol=1e-4)


class ScoresAsGiven:
    """A learner whose logits of image i for task t are given, [M, T, classes]; image i is [[i]]."""

    def __init__(self, logits):
        self.given = logits
        n = len(logits) // logits.shape[1]  # images of a task
        of_task = [np.arange(t * n, (t + 1) * n, dtype=np.float32)[:, None] for t in range(logits.shape[1])]
        self.tasks = SimpleNamespace(
            train=lambda task: TaskData(of_task[task], np.zeros(n, np.int32)),
            test=lambda task: TaskData(of_task[task], np.zeros(n, np.int32)),
            as_they_come=lambda task, images: images,
            seen_by=lambda task, images: images,
        )

    def logits(self, images, task):
        return tf.constant(self.given[images[:, 0].astype(int), task], tf.float32)


def test_scores_of_images_that_come_together_add_up():
    logits = np.zeros([6, 2, 2])  # three images of each of two tasks; the class is 0 in truth
    logits[:, :, 1] = -50  # every network says class 0
    logits[:, 1, 1] = 50  # but that of task 1, always
    logits[:, 1, 0] = -50
    # Largest logits, in the order in which task 0's images are drawn: task 0 wins by 5, loses by 2 and by 1.
    drawn = np.random.default_rng([0, 8, 0, 1]).permutation(3)
    logits[drawn, 0, 0] = [5, -2, -1]
    logits[:3, 1, 1] = 0
    table = infer(ScoresAsGiven(logits), 2, 3, together=(1, 2, 3)).query("score == 'max_logit' and task == 0")
    right = table.set_index("together")["task_right"]
    np.testing.assert_allclose(right[[1, 2, 3]], [1 / 3, 2 / 3, 1])  # 5 | -2 | -1;  3 | -3 | 4;  2 | 2 | 2
    np.testing.assert_array_equal(table["class_right"], table["task_right"])
    assert (table["told"] == 1).all() and (table["both_right"] == table["class_right"]).all()


def test_more_images_than_go_at_once_make_no_difference(learner, monkeypatch):
    whole = infer(learner, N_TASKS, 20)
    monkeypatch.setattr("hypernet_lib.inference.IMAGES_AT_ONCE", 25)
    pd.testing.assert_frame_equal(infer(learner, N_TASKS, 20), whole)


def test_what_cannot_be_inferred_is_refused(learner):
    with pytest.raises(ValueError, match="5 images of a task: expected at least 10, as many as come together"):
        infer(learner, N_TASKS, 5)
    with pytest.raises(ValueError, match="361 images of task 0: expected at most 360, all its test images"):
        infer(learner, N_TASKS, 361)
    with pytest.raises(ValueError, match="task 4: expected 0 to 3"):
        infer(learner, N_TASKS + 1, 10)


class PlainImages:
    """A family of tasks whose images have one grey each, so that they are the same in any order of pixels."""

    image_shape, n_classes = (8, 8), 10

    def train(self, task):
        grey = np.random.default_rng(task).normal(size=[64, 1]).astype(np.float32)
        return TaskData(np.repeat(grey, 64, axis=1), np.arange(64, dtype=np.int32) % 10)

    test = train


def test_outliers_are_classified_as_none_of_the_classes_by_a_logit_that_is_zero():
    learner, tasks = learner_of(PlainImages(), n_tasks=1, outliers=8), PlainImages()
    weights = learner.hypernet.generate(learner.hypernet.task_embeddings[0])
    order = learner.batch_order(tf.constant(0), tf.constant(1), tf.constant(64))[:32].numpy()
    images, labels, _ = tasks.train(0)
    logits = learner.target(weights, tf.constant(images[order])).numpy().astype(np.float64)
    evidence = np.exp(logits).sum(axis=1)
    of_images = np.log(1 + evidence) - logits[np.arange(32), labels[order]]  # - log of softmax over [logits, 0]
    of_outliers = np.log(1 + evidence[:8])
    expected = (of_images.sum() + of_outliers.sum()) / 40
    np.testing.assert_allclose(learner.learn(0, iterations=1), [expected], rtol=1e-5)


def test_outliers_are_a_steps_first_images_in_an_order_of_pixels_drawn_anew():
    learner = learner_of(PermutedTasks("digits", pixels="standardised"), outliers=3)
    images = tf.constant(np.random.default_rng(0).normal(size=[5, 64]), tf.float32)
    labels = tf.range(5)
    orders = []
    for task, step in [(0, 0), (0, 1), (1, 0), (0, 0)]:
        shown, truth = learner._as_shown(images, labels, tf.constant(task), tf.constant(step))
        np.testing.assert_array_equal(shown[:5], images)
        np.testing.assert_array_equal(truth, [0, 1, 2, 3, 4, 10, 10, 10])
        np.testing.assert_array_equal(np.sort(shown[5:], axis=1), np.sort(images[:3], axis=1))
        orders.append(tuple(shown[5].numpy()))
    assert len(set(orders)) == 3 and orders[0] == orders[3]


def test_turned_outliers_are_each_a_square_as_it_does_not_lie():
    learner = learner_of(PermutedTasks("digits", pixels="standardised"), outliers=9, outlier_order="turned")
    images = np.random.default_rng(0).normal(size=[12, 64]).astype(np.float32)
    shown, truth = learner._as_shown(tf.constant(images), tf.zeros(12, tf.int32), tf.constant(0), tf.constant(0))
    np.testing.assert_array_equal(shown[:12], images)
    np.testing.assert_array_equal(truth, [0] * 12 + [10] * 9)
    found = []
    for image, outlier in zip(images[:9].reshape(9, 8, 8), shown[12:].numpy().reshape(9, 8, 8), strict=True):
        corners = [image[0, 0], image[0, -1], image[-1, 0], image[-1, -1]]
        found.append(tuple(corners.index(outlier[i, j]) for i, j in [(0, 0), (0, -1), (-1, 0), (-1, -1)]))
        beside = outlier[0, 0], outlier[0, 1]  # neighbours stay neighbours
        (a, b), (c, d) = [tuple(np.argwhere(image == value)[0]) for value in beside]
        assert abs(a - c) + abs(b - d) == 1
    assert len(set(found[:7])) == 7 and (0, 1, 2, 3) not in found and found[7:] == found[:2]


def experiment_of(method, folder, **settings):
    settings = {"infer_task": "logsumexp", "infer_images": 60, "pixels": "standardised", **settings}
    if method == "hypernetwork":
        settings |= {"task_embedding_dim": 16, "num_chunks": 10, "hypernet_hidden_dims": [32]}
    common = {"run_name": "a", "logdir": str(folder), "dataset": "digits", "innernet_all_dims": [64, 64, 10]}
    common |= {"method": method, "n_tasks_to_learn": 3, "full_testing_tasks": [2], "batch_size": 64}
    return Experiment.from_mapping({**common, "iters_per_task": 150, **settings})


def task_right(experiment):
    """From one image, by the experiment's own score, after the last task."""
    return read_summary(run_folder(experiment))["inferred"]["1"]["task_right"]


@pytest.mark.parametrize("method", ["hypernetwork", "separate"])
def test_outliers_teach_a_network_to_know_its_own_images(tmp_path, method):
    rate = {"learning_rate": 1e-2 if method == "separate" else 1e-3}
    without = experiment_of(method, tmp_path / "without", **rate)
    taught = experiment_of(method, tmp_path / "taught", outliers=16, **rate)
    for one in (without, taught):
        carried_out(one)
    assert task_right(taught) > 0.97 > task_right(without)


@pytest.mark.parametrize("method", ["in_a_row", "joint"])
def test_a_run_keeps_what_it_inferred_and_one_that_was_interrupted_the_same(tmp_path, method):
    whole = experiment_of(method, tmp_path / "whole", heads="per_task", infer_task="entropy", seed=5)
    resumed = whole.model_copy(update={"logdir": str(tmp_path / "resumed")})
    learner = carried_out(whole)
    carried_out(resumed, end=2)
    assert set(read_inferred(run_folder(resumed))["learned"]) == {2}
    carried_out(resumed)
    table = read_inferred(run_folder(whole))
    pd.testing.assert_frame_equal(read_inferred(run_folder(resumed)), table, check_exact=True)
    now = infer(learner, 3, 60, seed=5)
    pd.testing.assert_frame_equal(
        table[table["learned"] == 3][INFERRED].reset_index(drop=True), now, atol=1e-6, check_dtype=False
    )
    by_entropy = after_the_last(table).loc["entropy"]
    for images, row in read_summary(run_folder(whole))["inferred"].items():
        assert row == pytest.approx(by_entropy.loc[int(images)].to_dict(), abs=1e-6)
    assert set(table["learned"]) == {2, 3} and set(table["score"]) == set(SCORES)


def test_a_run_that_becomes_longer_or_is_overwritten_keeps_nothing_of_its_earlier_end(tmp_path):
    short = experiment_of("separate", tmp_path)
    carried_out(short)
    long = short.model_copy(update={"n_tasks_to_learn": 4})
    learner, run = build(long).learner, Run(long)
    assert run.resume(learner) == 3 and not (run_folder(long) / "summary.json").exists()
    assert set(read_inferred(run_folder(long))["learned"]) == {2}  # 3 was its end, and is an end no more
    run.release()
    carried_out(long)
    assert set(read_inferred(run_folder(long))["learned"]) == {2, 4}
    run = Run(short)
    assert run.resume(build(short).learner, overwrite=True) == 0
    assert not (run_folder(short) / "inference.csv").exists()
    run.release()


def test_the_report_of_a_run_infers_as_the_loop_does(tmp_path):
    one = experiment_of("separate", tmp_path / "report", infer_task="entropy", seed=5, iters_per_task=20)
    like = one.model_copy(update={"logdir": str(tmp_path / "loop")})
    assert execution.execute(execution.NOTEBOOK, one) is None
    carried_out(like)
    pd.testing.assert_frame_equal(read_inferred(run_folder(one)), read_inferred(run_folder(like)), check_exact=True)
    report = (run_folder(one) / "run.ipynb").read_text(encoding="utf-8")
    right = read_summary(run_folder(one))["inferred"]["10"]["task_right"]
    assert f"{right:.4f}" in report


def test_a_run_told_every_task_has_inferred_none(tmp_path):
    told = experiment_of("separate", tmp_path, infer_task="oracle")
    carried_out(told)
    assert "inferred" not in read_summary(run_folder(told))
    with pytest.raises(FileNotFoundError, match="inference.csv is not there: no run of that name has inferred"):
        read_inferred(run_folder(told))


def test_tensorboard_shows_what_was_inferred(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    one = experiment_of("separate", tmp_path)
    carried_out(one)
    three = read_inferred(run_folder(one)).query("score == 'logsumexp' and together == 3")
    events = EventAccumulator(str(run_folder(one))).Reload()
    for name in ("task_right", "class_right"):
        expected = three.groupby("learned")[name].mean()
        found = events.Tensors(f"{name.replace('_', ' ')} inferred from 3")
        assert [event.step for event in found] == [2, 3] == list(expected.index)
        np.testing.assert_allclose([tf.make_ndarray(event.tensor_proto) for event in found], expected, atol=1e-6)


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"infer_task": "energy"}, "infer_task: got 'energy'; input should be 'oracle', 'logsumexp'"),
        ({"infer_task": "logsumexp", "method": "ewc"}, "but one network with one head has no task to be told"),
        ({"infer_images": 9}, "infer_images: got 9; input should be greater than or equal to 10"),
        ({"outliers": 8}, "outliers: expected pixels: standardised or raw beside them"),
        (
            {
                "outliers": 8,
                "outlier_order": "turned",
                "tasks": "split",
                "innernet_all_dims": [784, 9, 2],
                "n_tasks_to_learn": 5,
            },
            "outliers: expected pixels: standardised or raw beside them",
        ),
        ({"outliers": 300, "pixels": "standardised"}, "outliers: got 300; expected at most batch_size, 256"),
        ({"outliers": 8, "pixels": "standardised", "method": "si"}, "outliers: the method si does not use it, only"),
    ],
)
def test_what_an_experiment_cannot_ask_of_inference(settings, said):
    with pytest.raises(ExperimentError) as error:
        Experiment.from_mapping({"run_name": "a", **settings})
    assert said in str(error.value)


def test_more_images_than_there_are_is_said_before_anything_is_learned(tmp_path):
    with pytest.raises(ExperimentError, match="infer_images: got 361; expected at most 360, as many test images"):
        build(experiment_of("separate", tmp_path, infer_images=361))
    with pytest.raises(ExperimentError, match="got 90; expected at most 7., as many test images as task"):
        build(experiment_of("separate", tmp_path, infer_images=90, narrow_tasks=2))


def test_an_experiment_names_the_scores_that_there_are():
    assert Experiment.model_fields["infer_task"].annotation.__args__ == ("oracle", *SCORES)
