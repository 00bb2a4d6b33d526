"""The data sets that tasks are made of: what is known of them, and their images, prepared where they are not yet."""

from __future__ import annotations

import contextlib
import difflib
import io
import os

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


def load_dataset(name: str) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """(images, labels) to train on, and to test on, as the data set has them: [N, height, width, ...] or flat, and [N].

    Raises DataError where it cannot be had.
    """
    return _load_digits() if name == "digits" else _load_with_tfds(name)


def _load_digits():
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


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "no message")
