"""Data sets and permutations; MNIST itself where it is prepared, and the preparing with four tiny files elsewhere."""

import os
import struct
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from conftest import needs_mnist
from hypernet_lib.datasets import KNOWN_DATASETS, DataError, describe_dataset, load_dataset
from hypernet_lib.hypernet import Hypernetwork
from hypernet_lib.quiet import tf
from hypernet_lib.targets import MLP
from hypernet_lib.tasks import PermutedTasks, TaskData, check
from hypernet_lib.training import Learner


@pytest.fixture(scope="module")
def digits():
    return PermutedTasks("digits", seed=3, pixels="standardised")


def test_raw_pixels_go_from_black_at_0_to_1_and_are_seen_alike_by_every_candidate():
    raw, (images, _) = PermutedTasks("digits", pixels="raw"), load_dataset("digits")[0]
    np.testing.assert_allclose(raw.train_images, images / 16, atol=1e-7)
    assert raw.train_images.min() == 0 and raw.train_images.max() == 1
    with pytest.raises(ValueError, match="pixels: got 'grey'; expected 'centred', 'standardised' or 'raw'"):
        PermutedTasks("digits", pixels="grey")
    come = raw.as_they_come(1, raw.test_images)
    np.testing.assert_array_equal(come, raw.test_images[:, raw.permutation(1)])
    np.testing.assert_array_equal(raw.seen_by(0, come), come)


def test_validation_images_are_the_last_of_the_training_images_and_no_others():
    tasks, whole = PermutedTasks("digits", evaluate_on="validation"), PermutedTasks("digits")
    n = len(whole.train_labels) - len(whole.train_labels) // 12
    np.testing.assert_array_equal(np.r_[tasks.train_labels, tasks.test_labels], whole.train_labels)
    assert len(tasks.train_labels) == n == len(tasks.train_images)
    for images, part in ((tasks.train_images, slice(None, n)), (tasks.test_images, slice(n, None))):
        pixels = np.corrcoef(images.mean(axis=1), whole.train_images[part].mean(axis=1))  # the same but for the mean
        assert pixels[0, 1] > 0.999


def test_task_0_is_the_identity_and_the_others_are_different_permutations(digits):
    np.testing.assert_array_equal(digits.permutation(0), range(64))
    permutations = [tuple(digits.permutation(task)) for task in range(100)]
    assert len(set(permutations)) == 100
    assert all(sorted(permutation) == list(range(64)) for permutation in permutations)


def test_a_permutation_depends_on_seed_and_task_alone(digits):
    again, other = PermutedTasks("digits", seed=3), PermutedTasks("digits", seed=4)
    other.permutation(5)
    np.testing.assert_array_equal(again.permutation(7), digits.permutation(7))
    assert (other.permutation(7) != digits.permutation(7)).any()


def test_a_task_is_the_same_images_in_its_own_order(digits):
    for data, images in [(digits.train(5), digits.train_images), (digits.test(5), digits.test_images)]:
        assert data.images is images
        np.testing.assert_array_equal(data.permutation, digits.permutation(5))
    with pytest.raises(ValueError, match="read-only"):
        digits.train_images[0] = 0


@pytest.mark.parametrize(
    "change, said",
    [
        ({"images": np.zeros([3, 2, 2])}, "images (3, 2, 2) and labels (3,): expected [B, pixels] and [B]"),
        ({"labels": np.zeros(2)}, "labels (2,)"),
        ({"labels": np.array([0, 1, 2])}, "labels from 0 to 2: expected 0 to 1"),
        ({"labels": np.array([-1, 1, 0])}, "labels from -1 to 1"),
        ({"permutation": np.array([0, 1, 2, 2])}, "each of the pixels 0 to 3 once"),
        ({"permutation": np.arange(3)}, "each of the pixels 0 to 3 once"),
        ({"permutation": np.arange(1, 5)}, "each of the pixels 0 to 3 once"),
    ],
)
def test_data_that_no_task_can_have_are_refused_in_words(change, said):
    good = TaskData(np.zeros([3, 4], "f"), np.array([0, 1, 0]), np.array([2, 0, 1, 3]))
    check(good, n_classes=2)
    check(good._replace(permutation=None), n_classes=2)
    with pytest.raises(ValueError) as refused:
        check(good._replace(**change), n_classes=2)
    assert said in str(refused.value)


def test_the_first_narrow_tasks_show_two_classes_each_in_their_own_order_and_the_others_all():
    tasks = PermutedTasks("digits", narrow_tasks=6)
    for task, classes in enumerate([{0, 1}, {2, 3}, {4, 5}, {6, 7}, {8, 9}, {0, 1}, set(range(10))]):
        for shown, images, labels in [
            (tasks.train(task), tasks.train_images, tasks.train_labels),
            (tasks.test(task), tasks.test_images, tasks.test_labels),
        ]:
            of_the_task = [i for i, label in enumerate(labels) if label in classes]
            assert set(shown.labels) == classes
            np.testing.assert_array_equal(shown.images, images[of_the_task])
            np.testing.assert_array_equal(shown.permutation, tasks.permutation(task))


def test_training_pixels_have_mean_0_and_deviation_1_together(digits):
    assert digits.train_images.mean() == pytest.approx(0, abs=1e-5)
    assert digits.train_images.std() == pytest.approx(1, abs=1e-5)
    assert digits.train_images.shape == (1437, 64) and digits.test_images.shape == (360, 64)
    assert set(digits.test_labels) == set(range(10))


def test_centred_pixels_each_have_mean_0_and_the_same_scale(digits):
    centred = PermutedTasks("digits")
    np.testing.assert_allclose(centred.train_images.mean(axis=0), 0, atol=1e-5)
    differences = [images[:50] - images[50:100] for images in (centred.train_images, digits.train_images)]
    np.testing.assert_allclose(*differences, atol=1e-5)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist"])
def test_the_known_sizes_are_those_of_tfds(name):
    features = tfds.builder(name).info.features
    assert KNOWN_DATASETS[name] == (*features["image"].shape[:2], features["label"].num_classes)
    assert features["image"].shape[2] == 1


def test_other_sets_are_described_by_tfds_and_unfit_ones_refused():
    assert describe_dataset("emnist/letters") == (28, 28, 37)
    with pytest.raises(DataError, match="did you mean fashion_mnist"):
        describe_dataset("fashon_mnist")
    with pytest.raises(DataError, match="32 x 32 x 3; expected a fixed size and a single channel"):
        describe_dataset("cifar10")


# What the preparing program does: the real MNIST builder of tfds, its four downloads replaced by files made here.
PREPARE = """
import sys
from unittest import mock
from hypernet_lib.quiet import tf
import tensorflow_datasets as tfds

def download(manager, paths):
    return {key: sys.argv[1] + "/" + url.rsplit("/", 1)[-1].removesuffix(".gz") for key, url in paths.items()}

from tensorflow_datasets.image_classification import mnist
with mock.patch.object(tfds.download.DownloadManager, "download_and_extract", download), \\
     mock.patch.multiple(mnist, _TRAIN_EXAMPLES=20, _TEST_EXAMPLES=20):
    from hypernet_lib.tasks import PermutedTasks
    tasks = PermutedTasks("mnist")
print(tasks.train_images.shape, tasks.test_images.shape, sorted(set(tasks.train_labels.tolist())))
"""


def test_mnist_is_prepared_from_its_four_files_on_a_machine_that_never_saw_it(tmp_path):
    for prefix in ["train", "t10k"]:
        images = np.random.default_rng(0).integers(0, 256, [20, 28, 28], dtype=np.uint8)
        head = struct.pack(">IIII", 2051, 20, 28, 28)
        (tmp_path / f"{prefix}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        labels = np.arange(20, dtype=np.uint8) % 10
        (tmp_path / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, 20) + labels.tobytes())
    environment = {**os.environ, "TFDS_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-c", PREPARE, str(tmp_path)], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "(20, 784) (20, 784) [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]", done.stderr


def test_a_failing_download_says_what_was_tried_and_the_two_ways_out(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(tfds.download.DownloadManager, "download_and_extract", no_network)
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    builder = tfds.builder
    monkeypatch.setattr(tfds, "builder", lambda name: builder(name, data_dir=tmp_path))
    with pytest.raises(DataError) as caught:
        PermutedTasks("kmnist")
    message = str(caught.value)
    assert str(tmp_path) in message and "ConnectionError: no route to host" in message
    assert "start again with a network" in message and "TFDS_DATA_DIR" in message and "digits" in message


def test_a_data_set_without_test_images_is_named_as_what_it_is(tmp_path, monkeypatch):
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(4, 4, 1)), "label": tfds.features.ClassLabel(num_classes=2)}
    )
    images = tf.data.Dataset.from_tensor_slices({"image": tf.zeros([3, 4, 4, 1], tf.uint8), "label": [0, 1, 0]})
    folder = tmp_path / "only" / "1.0.0"
    prepared = tfds.dataset_builders.store_as_tfds_dataset(
        name="only", version="1.0.0", data_dir=folder.parents[1], features=features, split_datasets={"train": images}
    )
    monkeypatch.setattr(tfds, "builder", lambda name: prepared)
    for ask in (describe_dataset, PermutedTasks):
        with pytest.raises(DataError, match="^only has no split test, only train$"):
            ask("quickdraw_bitmap" if ask is describe_dataset else "kmnist")


def test_data_that_each_process_would_look_for_elsewhere_are_refused_at_once(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "tensorflow_datasets")
    with pytest.raises(DataError, match="TFDS_DATA_DIR=tensorflow_datasets.*expected an absolute path"):
        PermutedTasks("mnist")
    monkeypatch.setenv("TFDS_DATA_DIR", "~/sets")  # which TFDS itself understands
    assert describe_dataset("emnist/letters") == (28, 28, 37)


@needs_mnist
def test_mnist_has_its_sizes_and_is_learned_in_a_few_steps():
    mnist = PermutedTasks("mnist", pixels="standardised")
    assert mnist.train_images.shape == (60_000, 784) and mnist.test_images.shape == (10_000, 784)
    assert mnist.train_images.std() == pytest.approx(1, abs=1e-4)
    target = MLP([784, 32, 10])
    hypernet = Hypernetwork(target, 2, task_embedding_dim=16, num_chunks=50, hypernet_hidden_dims=[32])
    learner = Learner(hypernet, target, mnist, iters_per_task=200)
    for task in range(2):
        learner.learn(task, learner.remember(task))
    assert min(learner.evaluate(0), learner.evaluate(1)) > 0.85
