"""What is learned: families of tasks, and the data sets that they are made of.

A family of tasks is anything that answers as `Tasks` says. Here is one: `PermutedTasks`, a data set seen through a
different fixed shuffling of its pixels in every task.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
from typing import NamedTuple, Protocol

import numpy as np

# Height, width and number of classes of the data sets that need no library to be described.
KNOWN_DATASETS = {
    "digits": (8, 8, 10),
    "mnist": (28, 28, 10),
    "fashion_mnist": (28, 28, 10),
    "kmnist": (28, 28, 10),
}


class DataError(RuntimeError):
    """A data set is unknown, unfit or cannot be prepared; the message says what was tried and what to do."""


class TaskData(NamedTuple):
    """The images of one task, to be trained or tested on; for B of them, of P pixels each."""

    images: np.ndarray  # float32 [B, P]
    labels: np.ndarray  # int32 [B]
    permutation: np.ndarray | None = None  # int32 [P]: the task shows `images[:, permutation]`; None: as they are

    def shown(self, rows: np.ndarray) -> np.ndarray:
        """The images of the given rows [n], as the task shows them [n, P]."""
        images = self.images[rows]
        return images if self.permutation is None else images[:, self.permutation]


class Tasks(Protocol):
    """A family of tasks, numbered from 0: what a `Learner` learns."""

    image_shape: tuple[int, int]  # height and width, the same in every task
    n_classes: int  # how many logits a target network needs; labels are below it

    def train(self, task: int) -> TaskData:
        """What the task is learned from."""

    def test(self, task: int) -> TaskData:
        """What the task is tested on."""

    def as_they_come(self, task: int, images: np.ndarray) -> np.ndarray:
        """The task's images [n, P], given as in its data, as somebody meets them who is not told the task.

        Nothing was done to them that depends on the task, but for what the task does to an image.
        """

    def seen_by(self, task: int, images: np.ndarray) -> np.ndarray:
        """Images as they come [n, P], of whatever task, as the task's own network sees an image of its own."""


def check(data: TaskData, n_classes: int) -> None:
    """Raise ValueError, in words, for data that no task can have."""
    images, labels, permutation = data
    if np.ndim(images) != 2 or np.shape(labels) != np.shape(images)[:1] or not len(labels):
        raise ValueError(f"images {np.shape(images)} and labels {np.shape(labels)}: expected [B, pixels] and [B]")
    if not 0 <= np.min(labels) <= np.max(labels) < n_classes:
        raise ValueError(f"labels from {np.min(labels)} to {np.max(labels)}: expected 0 to {n_classes - 1}")
    n_pixels = np.shape(images)[1]
    if permutation is not None and not np.array_equal(np.sort(permutation), np.arange(n_pixels)):
        raise ValueError(f"permutation: expected each of the pixels 0 to {n_pixels - 1} once, got {permutation}")


class PermutedTasks:
    """A data set and its permutations: task 0 shows the images as they are, task t shuffles their pixels.

    The images are the same arrays in every task, and the permutation goes with them to the target network, which
    applies it in the cheapest way that is exact: shuffling the rows of an MLP's first kernel in place of the pixels of
    every image, so that no task needs a copy of the data.

    Attributes, all NumPy arrays on the host; N training and M test images of P = height * width pixels:
        train_images [N, P], test_images [M, P]: float32, normalised with the training pixels' mean and standard
            deviation: over all pixels together, but the mean over each pixel for itself where `center_pixels` says so
        train_labels [N], test_labels [M]: int32
        image_shape: (height, width); n_classes: number of classes

    With `evaluate_on` "validation" the test images are the last twelfth of the training images (5,000 of MNIST's), and
    are not trained on: settings are chosen on those, and results measured on "test".

    The first `narrow_tasks` show two classes each, 2 t and 2 t + 1 (and again from 0 after the last), the others all:
    what is taught first is then less than what is needed later.

    The permutations are those of Goodfellow et al., "An empirical investigation of catastrophic forgetting"
    (arXiv 1312.6211), section 5.3. Raises DataError where the data set cannot be had.
    """

    def __init__(
        self,
        dataset: str = "mnist",
        seed: int = 0,
        center_pixels: bool = True,
        evaluate_on: str = "test",
        narrow_tasks: int = 0,
    ):
        self.dataset, self.seed, self.evaluate_on, self.narrow_tasks = dataset, seed, evaluate_on, narrow_tasks
        *shape, self.n_classes = describe_dataset(dataset)
        self.image_shape = tuple(shape)
        load = _load_digits if dataset == "digits" else _load_with_tfds
        (train_images, train_labels), (test_images, test_labels) = load(dataset)
        if evaluate_on == "validation":
            n = len(train_labels) - len(train_labels) // 12
            test_images, test_labels = train_images[n:], train_labels[n:]
            train_images, train_labels = train_images[:n], train_labels[:n]
        mean = train_images.mean(axis=0 if center_pixels else None, dtype=np.float64).reshape(-1)  # [P] or [1]
        std = train_images.std(dtype=np.float64)
        self._subtracted = (mean / std).astype(np.float32)  # [P], or [1]: each pixel's own mean, or that of all
        self.train_images = _flat(train_images, mean, std)  # [N, P]
        self.test_images = _flat(test_images, mean, std)  # [M, P]
        self.train_labels = train_labels.astype(np.int32)  # [N]
        self.test_labels = test_labels.astype(np.int32)  # [M]
        for array in (self.train_images, self.test_images, self.train_labels, self.test_labels):
            array.flags.writeable = False  # so that who has a copy of it, a graph or a device, need not ask again

    def train(self, task: int) -> TaskData:
        """All training images, or those of the task's two classes, in the task's order of pixels."""
        return self._shown(task, self.train_images, self.train_labels)

    def test(self, task: int) -> TaskData:
        """All test images, or those of the task's two classes, in the task's order of pixels."""
        return self._shown(task, self.test_images, self.test_labels)

    def as_they_come(self, task: int, images: np.ndarray) -> np.ndarray:
        """Images in the task's order of pixels, no mean subtracted: as somebody meets them who is not told the task."""
        return (images + self._subtracted)[:, self.permutation(task)]

    def seen_by(self, task: int, images: np.ndarray) -> np.ndarray:
        """Images as they come, less the pixels' means as they would be in this task: right for its own images alone."""
        is_of_each = len(self._subtracted) > 1
        return images - (self._subtracted[self.permutation(task)] if is_of_each else self._subtracted)

    def _shown(self, task, images, labels):
        if task < self.narrow_tasks:
            is_shown = np.isin(labels, [(2 * task + i) % self.n_classes for i in (0, 1)])
            images, labels = images[is_shown], labels[is_shown]
        return TaskData(images, labels, self.permutation(task))

    @property
    def n_pixels(self) -> int:
        return self.train_images.shape[1]

    def permutation(self, task: int) -> np.ndarray:
        """The pixels' new order in this task, int32 [P]: `images[:, permutation]` is what the task shows."""
        if task == 0:
            return np.arange(self.n_pixels, dtype=np.int32)
        # Keyed by (seed, task), so a task stays the same however many others there are.
        return np.random.default_rng([self.seed, task]).permutation(self.n_pixels).astype(np.int32)


def describe_dataset(name: str) -> tuple[int, int, int]:
    """(height, width, number of classes) of a data set, without downloading it.

    Raises DataError for an unknown name, with the nearest valid one, and for a set of no single-channel images.
    """
    if name in KNOWN_DATASETS:
        return KNOWN_DATASETS[name]
    tfds = _tfds()

    names = [*KNOWN_DATASETS, *tfds.list_builders(with_community_datasets=False)]
    if name.split("/")[0] not in names:
        near = difflib.get_close_matches(name, names, n=1)
        raise DataError(f"no such data set{f'; did you mean {near[0]}?' if near else ''}")
    try:
        info = tfds.builder(name).info
        height, width, channels = info.features["image"].shape
        classes = info.features["label"].num_classes
        _check_splits(info)
    except DataError:
        raise
    except Exception as error:  # a builder may raise anything; whatever it is, the set is of no use here
        raise DataError(f"not a set of labelled images ({_first_line(error)})") from None
    if channels != 1 or None in (height, width, classes):
        raise DataError(f"images are {height} x {width} x {channels}; expected a fixed size and a single channel")
    return height, width, classes


def _load_digits(_: str):
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, which come with the package."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=360, stratify=labels, random_state=0
    )  # the same split whatever the seed, so that runs are comparable
    return (train_x, train_y), (test_x, test_y)


def _load_with_tfds(name: str):
    """The train and test splits of a TFDS data set, prepared first where they are not yet on the disk."""
    tfds = _tfds()

    tfds.disable_progress_bar()
    try:
        builder = tfds.builder(name)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints folders of this machine into the notebook
            builder.download_and_prepare()
        _check_splits(builder.info)
        data = [builder.as_dataset(split=split, batch_size=-1) for split in ("train", "test")]
        return [(tfds.as_numpy(split["image"]), tfds.as_numpy(split["label"])) for split in data]
    except DataError:
        raise
    except Exception as error:  # network, disk, checksum: all end here
        raise DataError(
            f"{name} could not be prepared. Tried: reading it from {tfds.core.constants.DATA_DIR}, then downloading it "
            f"there with tensorflow-datasets ({type(error).__name__}: {_first_line(error)}). Two ways out: start again "
            f"with a network; or copy the folder of a machine that has it prepared, and name that folder in the "
            f"environment variable TFDS_DATA_DIR. The data set 'digits' needs no download."
        ) from error


def _check_splits(info) -> None:
    """Raise DataError for a TFDS data set that is known not to have images to train on and others to test on."""
    if missing := [split for split in ("train", "test") if info.splits and split not in info.splits]:
        raise DataError(f"{info.name} has no split {' and no '.join(missing)}, only {', '.join(sorted(info.splits))}")


def _tfds():
    """tensorflow-datasets, imported only where it is needed: it takes seconds, and brings TensorFlow along.

    Raises DataError where it would look for its data in another folder with every process.
    """
    folder = os.environ.get("TFDS_DATA_DIR", "")
    if folder and "://" not in folder and not os.path.isabs(os.path.expanduser(folder)):
        raise DataError(f"TFDS_DATA_DIR={folder} is counted from wherever a process is; expected an absolute path")
    from hypernet_lib.quiet import tf  # noqa: F401, I001  (first, so that TensorFlow is imported quietly)
    import tensorflow_datasets as tfds

    return tfds


def _flat(images: np.ndarray, mean: np.ndarray, std: float) -> np.ndarray:
    return ((images.reshape(len(images), -1) - mean) / std).astype(np.float32)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "no message")
