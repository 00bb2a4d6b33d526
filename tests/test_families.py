"""Rotated and split tasks, and LeNet as a target: what a task shows, and that every method learns it as a run."""

import inspect

import numpy as np
import pytest
from loop import carried_out

from experiments.baselines.images import Joint
from experiments.baselines.networks import OneNetwork, initial_weights
from experiments.baselines.settings import METHODS
from experiments.baselines.weights import _by_image, fisher_information
from experiments.build import TARGETS, TASKS, build
from experiments.families import FAMILIES, RotatedSettings, SplitSettings
from experiments.files import load_experiments
from experiments.parameters import Experiment, ExperimentError
from experiments.resources import ram_needed
from experiments.store import read_metrics, read_summary, run_folder
from hypernet_lib.datasets import load_dataset
from hypernet_lib.hypernet import Hypernetwork
from hypernet_lib.inference import infer
from hypernet_lib.quiet import tf
from hypernet_lib.targets import MLP, LeNet
from hypernet_lib.tasks import PermutedTasks, RotatedTasks, SplitTasks, check
from hypernet_lib.training import Learner

random = np.random.default_rng(0)


def test_task_0_of_rotated_tasks_shows_the_images_as_they_are_and_a_whole_turn_too():
    tasks = RotatedTasks("digits", degrees=120)
    for task in (0, 3):
        assert tasks.train(task).images is tasks.train_images and tasks.test(task).images is tasks.test_images


@pytest.mark.parametrize("pixels", ["centred", "standardised", "raw"])
def test_a_quarter_turn_is_that_of_numpy_with_the_same_normalisation(pixels):
    tasks = RotatedTasks("digits", degrees=90, pixels=pixels)
    (train, _), (test, labels) = load_dataset("digits")
    mean = {"centred": train.mean(axis=0), "standardised": train.mean(), "raw": 0}[pixels]
    divisor = 16 if pixels == "raw" else train.std()
    for task in (1, 2, 3):
        turned = np.rot90(test.reshape(-1, 8, 8), k=task, axes=(1, 2)).reshape(-1, 64)  # anticlockwise
        found = tasks.test(task)
        np.testing.assert_allclose(found.images, (turned - mean) / divisor, atol=1e-4)
        np.testing.assert_array_equal(found.labels, labels)
        assert found.permutation is None and found.images.dtype == np.float32


def test_a_small_turn_keeps_the_middle_and_brings_black_corners_in():
    tasks = RotatedTasks("digits", degrees=45, pixels="standardised")
    black = tasks.train_images.min()
    corners = tasks.train(1).images.reshape(-1, 8, 8)[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(corners, black, atol=1e-4)
    alike = []
    for degrees in (1, 5, 20):
        turned = RotatedTasks("digits", degrees=degrees, pixels="standardised").train(1).images
        alike.append(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(turned, tasks.train_images, strict=True)]))
    assert alike[0] > 0.97 and alike[0] > alike[1] > alike[2]


def test_split_tasks_show_each_class_in_one_task_counted_from_0_or_as_it_is():
    whole = PermutedTasks("digits")
    for relabel in (True, False):
        tasks = SplitTasks("digits", classes=3, relabel=relabel)
        assert (tasks.n_tasks, tasks.n_classes) == (3, 3 if relabel else 10)
        for images, labels, show in [
            (whole.train_images, whole.train_labels, tasks.train),
            (whole.test_images, whole.test_labels, tasks.test),
        ]:
            for task in range(3):
                found = show(task)
                check(found, tasks.n_classes)
                rows = np.flatnonzero(labels // 3 == task)
                np.testing.assert_array_equal(found.images, images[rows])
                np.testing.assert_array_equal(found.labels, labels[rows] - 3 * task * relabel)
    with pytest.raises(ValueError, match="task 3: expected 0 to 2, of 3 classes each"):
        tasks.train(3)


def test_images_that_all_tasks_normalise_alike_come_as_they_are_seen():
    for tasks in (RotatedTasks("digits"), SplitTasks("digits")):
        images = tasks.test(1).images
        assert tasks.seen_by(0, tasks.as_they_come(1, images)) is images


@pytest.mark.parametrize("target", [MLP([64, 7, 6, 10]), MLP([64, 10]), LeNet((8, 8))], ids=["MLP", "linear", "LeNet"])
def test_features_are_what_the_last_layer_makes_logits_of(target):
    weights = 0.1 * random.standard_normal(sum(np.prod(shape) for shape in target.shapes)).astype("f")
    images = random.standard_normal([5, 64]).astype("f")
    units, classes = target.shapes[-2]
    n = units * classes + classes
    kernel, bias = weights[-n:-classes].reshape(units, classes), weights[-classes:]
    for some in (weights, weights[:-n]):
        features = target.features(tf.constant(some), tf.constant(images))
        np.testing.assert_allclose(features @ kernel + bias, target(weights, images), rtol=1e-4, atol=1e-5)


def test_the_fisher_information_of_any_target_is_that_of_the_mlp_taken_layer_by_layer():
    mlp, images = MLP([64, 7, 10]), tf.constant(random.standard_normal([6, 64]), tf.float32)
    weights = tf.constant(initial_weights(mlp, 0, 0))
    np.testing.assert_allclose(
        _by_image(mlp, weights, images), fisher_information(mlp, weights, images), rtol=1e-3, atol=1e-7
    )


def test_a_convolutions_initial_weights_are_as_keras_draws_them():
    """As wide, that is: the first kernel sees 25 pixels of 1 channel and makes 6, the second of 6 and makes 16."""
    weights = initial_weights(LeNet(), 0, 0)
    sizes = [25 * 6, 6, 25 * 6 * 16, 16]
    first, bias, second, _ = np.split(weights[: sum(sizes)], np.cumsum(sizes)[:-1])
    for kernel, fans in [(first, 25 * 1 + 25 * 6), (second, 25 * 6 + 25 * 16)]:
        limit = np.sqrt(6 / fans)
        assert 0.9 * limit < abs(kernel).max() <= limit and abs(kernel.std() - limit / np.sqrt(3)) < 0.1 * limit
    assert not bias.any()


@pytest.mark.parametrize("target", [LeNet(), MLP([64, 900, 10])], ids=["lenet", "mlp"])
def test_pytorchs_initial_weights_have_the_bounds_of_its_documentation(target):
    """torch.nn.Linear and Conv2d: kernel and bias uniform in +-sqrt(k), k = 1 / (window * inputs)."""
    weights, at = initial_weights(target, 0, 0, "torch"), 0
    for kernel, bias in zip(target.shapes[::2], target.shapes[1::2], strict=True):
        limit = 1 / np.sqrt(np.prod(kernel[:-1]))
        for n in (np.prod(kernel), np.prod(bias)):
            some, at = weights[at : at + n], at + n
            assert abs(some).max() <= limit and some.any()
            if n > 100:
                assert abs(some).max() > 0.9 * limit and abs(some.std() - limit / np.sqrt(3)) < 0.1 * limit
    assert at == len(weights) and weights.dtype == np.float32


@pytest.mark.parametrize("method, more", [("separate", {}), ("in_a_row", {}), ("in_a_row", {"heads": "per_task"})])
@pytest.mark.parametrize("network_init", ["glorot", "torch"])
def test_networks_start_as_the_experiment_asks(method, more, network_init):
    asked = experiment_of(method, innernet_all_dims=[64, 9, 10], network_init=network_init, **more)
    network, n_of_head = build(asked).learner.hypernet, 9 * 10 + 10
    first, second = (initial_weights(MLP([64, 9, 10]), 0, task, network_init) for task in (0, 1))
    np.testing.assert_array_equal(network.weights(network.task_embeddings[0]), first)
    if more:
        np.testing.assert_array_equal(network.task_embeddings[1], second[-n_of_head:])


def test_an_unknown_way_to_start_is_refused():
    with pytest.raises(ValueError, match="network_init: got 'keras'; expected 'glorot' or 'torch'"):
        initial_weights(MLP([64, 9, 10]), 0, 0, "keras")


def test_joint_training_on_tasks_of_their_own_images_draws_each_tasks_own():
    tasks = SplitTasks("digits", relabel=False)
    network = OneNetwork(MLP([64, 5, 10]), 5)
    learner = Joint(network, network.target, tasks, batch_size=500)
    union = learner._union()
    images, labels, of_task = learner._draw(union, tf.constant(3))
    np.testing.assert_array_equal(labels // 2, of_task)
    truth = {row.tobytes(): label for row, label in zip(tasks.train_images, tasks.train_labels, strict=True)}
    assert len(union.labels) == len(tasks.train_labels)
    assert [truth[row.tobytes()] for row in images.numpy()] == list(labels)


SMALL = {
    "dataset": "digits",
    "n_tasks_to_learn": 3,
    "iters_per_task": 40,
    "batch_size": 16,
    "run_name": "x",
    "learning_rate": 3e-3,
}
HYPERNET = {"task_embedding_dim": 8, "num_chunks": 20, "hypernet_hidden_dims": [16]}


def experiment_of(method, **settings):
    of_method = dict(HYPERNET) if method == "hypernetwork" else {}
    if method == "ewc":
        of_method["ewc"] = {"images": 10}
    return Experiment.from_mapping({"method": method, **SMALL, **of_method, **settings})


SPLIT = {"tasks": "split", "innernet_all_dims": [64, 12, 2]}
AS_LABELLED = {"tasks": "split", "split": {"relabel": False}, "innernet_all_dims": [64, 12, 10]}
LENET = {"tasks": "rotated", "rotated": {"degrees": 30.0}, "target": "lenet", "innernet_all_dims": [64, 10]}
WAYS = [(method, AS_LABELLED) for method in METHODS]
WAYS += [("hypernetwork", SPLIT), ("ewc", SPLIT), *((method, LENET) for method in ("hypernetwork", "ewc", "joint"))]


@pytest.mark.parametrize("method, kind", WAYS, ids=lambda x: x if isinstance(x, str) else str(x["innernet_all_dims"]))
def test_methods_learn_other_families_as_runs(tmp_path, method, kind):
    heads = {"heads": "per_task"} if method in ("si", "joint") else {}
    one = experiment_of(method, logdir=str(tmp_path), **heads, **kind)
    carried_out(one)
    metrics = read_metrics(run_folder(one))
    enough = 0.25 if one.target == "lenet" else 0.7  # guessing is right in 0.1; of two labels in a half
    assert metrics[metrics["learned"] == 3]["accuracy"].max() > enough


@pytest.mark.parametrize("method, kind", [("hypernetwork", LENET), ("joint", AS_LABELLED)], ids=["LeNet", "joint"])
def test_a_run_of_another_family_can_be_interrupted(tmp_path, method, kind):
    whole = experiment_of(method, logdir=str(tmp_path / "whole"), **kind)
    resumed = whole.model_copy(update={"logdir": str(tmp_path / "resumed")})
    carried_out(whole)
    carried_out(resumed, end=1)
    carried_out(resumed)
    assert read_metrics(run_folder(whole)).equals(read_metrics(run_folder(resumed)))
    arrays = [np.load(run_folder(one) / "weights.npz") for one in (whole, resumed)]
    assert all(np.array_equal(arrays[0][name], arrays[1][name]) for name in arrays[0])


def test_lenet_learns_split_digits_and_the_memory_keeps_them(tmp_path):
    one = Experiment.from_mapping(
        {**SMALL, "logdir": str(tmp_path), "tasks": "split", "target": "lenet", "innernet_all_dims": [64, 2]}
        | {"n_tasks_to_learn": 5, "iters_per_task": 100, "batch_size": 32, "task_embedding_dim": 16, "num_chunks": 40}
        | {"hypernet_hidden_dims": [32]}
    )
    carried_out(one)
    assert read_summary(run_folder(one))["ACC"] > 0.95


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"tasks": "rotatd"}, "tasks: got 'rotatd'; input should be 'permuted', 'rotated' or 'split'; did you mean"),
        (
            {"tasks": "split"},
            "n_tasks_to_learn: got 10, but mnist has 10 classes, of which a task shows 2; expected at",
        ),
        (
            {"tasks": "split", "n_tasks_to_learn": 5},
            "innernet_all_dims: got [784, 300, 10], but mnist has 28 x 28 = 784 pixels and 10 classes, of which a task "
            "shows 2; expected [784, ..., 2]",
        ),
        ({"tasks": "rotated", "narrow_tasks": 1}, "narrow_tasks: rotated tasks do not use it, only permuted ones"),
        ({"split": {"classes": 5}}, "split: permuted tasks do not use it, only split ones"),
        ({"tasks": "rotated", "rotated.degres": 5}, "unknown key 'rotated.degres'; did you mean rotated.degrees?"),
        ({"tasks": "rotated", "rotated": {"degrees": 0.0}}, "rotated.degrees: got 0.0; input should be greater than 0"),
        ({"tasks": "split", "split": {"classes": 1}, "n_tasks_to_learn": 2}, "split: got one class in each task"),
        (
            {"tasks": "rotated", "rotated.degrees": 90.0},
            "rotated.degrees: got 90.0, by which task 4 shows what task 0 shows; expected so many that all 10 tasks "
            "differ, as 36 does",
        ),
        ({"target": "lenet"}, "expected [784, 10]; the layers between are lenet's own"),
        (
            {"target": "lenet", "innernet_all_dims": [784, 10], "num_chunks": "rows"},
            "num_chunks: got 'rows'; a row of lenet's first kernel is no pixel's weights but a filter's",
        ),
    ],
)
def test_what_does_not_fit_a_family_or_a_target_is_said_in_words(settings, said):
    with pytest.raises(ExperimentError) as error:
        Experiment.from_mapping({"run_name": "x", **settings})
    assert said in str(error.value)


def test_lenet_on_permuted_pixels_is_noted():
    one = Experiment.from_mapping({"run_name": "x", "target": "lenet", "innernet_all_dims": [784, 10]})
    assert one.notes == ["x: lenet looks for neighbours, and permuted pixels have lost theirs"]
    assert one.sizes.n_weights == 61_706


def test_what_all_share_is_left_out_where_a_family_does_not_use_it(tmp_path):
    file = tmp_path / "all.yaml"
    file.write_text(
        "shared: {dataset: digits, narrow_tasks: 1, split.relabel: false, n_tasks_to_learn: 2}\n"
        "---\nrun_name: permuted\ninnernet_all_dims: [64, 5, 10]\n"
        "---\nrun_name: split\ntasks: split\ninnernet_all_dims: [64, 5, 10]\n"
    )
    permuted, split = load_experiments(file)
    assert (permuted.narrow_tasks, split.split.relabel) == (1, False)
    assert "split:" not in permuted.to_yaml() and "narrow_tasks" not in split.to_yaml()


def test_a_family_is_built_with_its_settings():
    one = experiment_of("separate", tasks="rotated", **{"rotated.degrees": 25.0}, innernet_all_dims=[64, 9, 10])
    tasks = build(one).tasks
    assert (type(tasks), tasks.degrees, tasks.dataset) == (RotatedTasks, 25.0, "digits")
    one = experiment_of("separate", tasks="split", **{"split.classes": 3}, innernet_all_dims=[64, 9, 3])
    assert (build(one).tasks.classes, build(one).tasks.relabel) == (3, True)
    assert set(TASKS) == set(FAMILIES) and set(TARGETS) == set(Experiment.model_fields["target"].annotation.__args__)


@pytest.mark.parametrize("family, dims", [("rotated", [64, 9, 10]), ("split", [64, 9, 2])])
@pytest.mark.parametrize("pixels", ["centred", "standardised", "raw"])
def test_every_family_can_be_measured_on_validation_images_whatever_their_pixels(family, dims, pixels):
    one = experiment_of("separate", tasks=family, innernet_all_dims=dims, evaluate_on="validation", pixels=pixels)
    tasks, like = build(one).tasks, PermutedTasks("digits", pixels=pixels, evaluate_on="validation")
    np.testing.assert_array_equal(tasks.train_images, like.train_images)
    shown = sum(len(tasks.test(task).labels) for task in range(5)) if family == "split" else len(tasks.test(1).labels)
    assert shown == len(like.test_labels) == 119


@pytest.mark.parametrize("family, settings", [(RotatedTasks, RotatedSettings), (SplitTasks, SplitSettings)])
def test_a_familys_defaults_are_those_of_an_experiment(family, settings):
    for name, argument in inspect.signature(family).parameters.items():
        fields = settings.model_fields if name in settings.model_fields else Experiment.model_fields
        assert argument.default == fields[name].default


def test_the_task_of_turned_and_split_images_is_inferred_too():
    """The nearest mean image knows a half turn, and digits more often than not: against its own plain computation."""
    for tasks, n_tasks in [(RotatedTasks("digits", degrees=120), 3), (SplitTasks("digits"), 5)]:
        target = MLP([64, 5, tasks.n_classes])
        learner = Learner(Hypernetwork(target, n_tasks, num_chunks=5), target, tasks, iters_per_task=1)
        for task in range(n_tasks):
            learner.learn(task)
        found = infer(learner, n_tasks, 60).set_index(["score", "together", "task"])["task_right"]
        means = [tasks.train(task).images.mean(axis=0) for task in range(n_tasks)]
        for task in range(n_tasks):
            rows = np.random.default_rng([0, 8, task, 1]).permutation(len(tasks.test(task).labels))[:60]
            far = [np.linalg.norm(tasks.test(task).images[rows] - mean, axis=1) for mean in means]
            expected = (np.argmin(far, axis=0) == task).mean()
            assert found["mean_image", 1, task] == pytest.approx(expected, abs=0.02)
        assert found["mean_image", 1].mean() > 1.5 / n_tasks


def test_joint_training_needs_the_ram_of_all_the_copies():
    few, many = (
        experiment_of("joint", dataset="mnist", tasks="rotated", n_tasks_to_learn=n, innernet_all_dims=[784, 5, 10])
        for n in (2, 12)
    )
    assert ram_needed(many) - ram_needed(few) > 10 * 60_000 * 784 * 4
