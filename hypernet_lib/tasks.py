"""What is learned: families of tasks.

A family of tasks is anything that answers as `Tasks` says. Here are three, each made of one data set: its pixels in
another order in every task, its images turned further in every task, or its classes in parts, one for each task.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from hypernet_lib.datasets import describe_dataset, load_dataset


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


def some_rows(n_rows: int, n: int, seed: int, stream: int, task: int) -> np.ndarray:
    """`n` of a task's rows 0 to n_rows - 1, drawn by (seed, stream, task)."""
    return np.random.default_rng([seed, stream, task, 1]).permutation(n_rows)[:n]


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


class DatasetTasks:
    """What families of tasks of one data set have in common: its images, normalised; each says what its tasks show.

    Attributes, all NumPy arrays on the host; N training and M test images of P = height * width pixels:
        train_images [N, P], test_images [M, P]: float32, as `pixels` says. "raw" go from 0, black, to 1; "standardised"
            have the mean of all training pixels subtracted and are divided by their standard deviation; "centred" have
            each pixel's own mean subtracted, and are divided by the deviation of all
        train_labels [N], test_labels [M]: int32
        image_shape: (height, width); n_classes: number of classes

    With `evaluate_on` "validation" the test images are the last twelfth of the training images (5,000 of MNIST's), and
    are not trained on: settings are chosen on those, and results measured on "test".

    Raises DataError where the data set cannot be had, and ValueError for pixels of another kind.
    """

    def __init__(self, dataset: str, pixels: str, evaluate_on: str):
        means = {"centred": 0, "standardised": None}  # over which axes there is one
        if pixels != "raw" and pixels not in means:
            raise ValueError(f"pixels: got {pixels!r}; expected 'centred', 'standardised' or 'raw'")
        self.dataset, self.pixels, self.evaluate_on = dataset, pixels, evaluate_on
        *shape, self.n_classes = describe_dataset(dataset)
        self.image_shape = tuple(shape)
        (train_images, train_labels), (test_images, test_labels) = load_dataset(dataset)
        if evaluate_on == "validation":
            n = len(train_labels) - len(train_labels) // 12
            test_images, test_labels = train_images[n:], train_labels[n:]
            train_images, train_labels = train_images[:n], train_labels[:n]
        self._mean, self._divisor = np.zeros(1), float(train_images.max())
        if pixels != "raw":
            self._mean = train_images.mean(means[pixels], dtype=np.float64).reshape(-1)  # [P] or [1]
            self._divisor = train_images.std(dtype=np.float64)
        self.train_images = self._normalised(train_images)  # [N, P]
        self.test_images = self._normalised(test_images)  # [M, P]
        self.train_labels = train_labels.astype(np.int32)  # [N]
        self.test_labels = test_labels.astype(np.int32)  # [M]
        for array in (self.train_images, self.test_images, self.train_labels, self.test_labels):
            array.flags.writeable = False  # so that who has a copy of it, a graph or a device, need not ask again

    @property
    def n_pixels(self) -> int:
        return self.train_images.shape[1]

    def train(self, task: int) -> TaskData:
        """The training images that the task shows, as it shows them."""
        return self.show(task, self.train_images, self.train_labels)

    def test(self, task: int) -> TaskData:
        """The test images that the task shows, as it shows them."""
        return self.show(task, self.test_images, self.test_labels)

    def as_they_come(self, task: int, images: np.ndarray) -> np.ndarray:
        """The images [n, P], as they are: all tasks normalise them alike."""
        return images

    def seen_by(self, task: int, images: np.ndarray) -> np.ndarray:
        """The images [n, P], as they are: all tasks normalise them alike."""
        return images

    def show(self, task: int, images: np.ndarray, labels: np.ndarray) -> TaskData:
        """What the task shows of the images [B, P] and labels [B], and how: what a family has to say."""
        raise NotImplementedError

    def _normalised(self, images):
        return ((images.reshape(len(images), -1) - self._mean) / self._divisor).astype(np.float32)


class PermutedTasks(DatasetTasks):
    """A data set and its permutations: task 0 shows the images as they are, task t shuffles their pixels.

    The images are the same arrays in every task, and the permutation goes with them to the target network, which
    applies it in the cheapest way that is exact: shuffling the rows of an MLP's first kernel in place of the pixels of
    every image, so that no task needs a copy of the data.

    The first `narrow_tasks` show two classes each, 2 t and 2 t + 1 (and again from 0 after the last), the others all:
    what is taught first is then less than what is needed later.

    The permutations are those of Goodfellow et al., "An empirical investigation of catastrophic forgetting"
    (arXiv 1312.6211), section 5.3. Attributes, and what it raises: as `DatasetTasks`.
    """

    def __init__(
        self,
        dataset: str = "mnist",
        seed: int = 0,
        pixels: str = "centred",
        evaluate_on: str = "test",
        narrow_tasks: int = 0,
    ):
        super().__init__(dataset, pixels, evaluate_on)
        self.seed, self.narrow_tasks = seed, narrow_tasks
        self._subtracted = (self._mean / self._divisor).astype(np.float32)  # [P], each pixel's own; or [1], one for all

    def as_they_come(self, task: int, images: np.ndarray) -> np.ndarray:
        """Images in the task's order of pixels, no mean subtracted: as somebody meets them who is not told the task."""
        return (images + self._subtracted)[:, self.permutation(task)]

    def seen_by(self, task: int, images: np.ndarray) -> np.ndarray:
        """Images as they come, less the pixels' means as they would be in this task: right for its own images alone."""
        is_of_each = len(self._subtracted) > 1
        return images - (self._subtracted[self.permutation(task)] if is_of_each else self._subtracted)

    def permutation(self, task: int) -> np.ndarray:
        """The pixels' new order in this task, int32 [P]: `images[:, permutation]` is what the task shows."""
        if task == 0:
            return np.arange(self.n_pixels, dtype=np.int32)
        # Keyed by (seed, task), so a task stays the same however many others there are.
        return np.random.default_rng([self.seed, task]).permutation(self.n_pixels).astype(np.int32)

    def show(self, task, images, labels):
        if task < self.narrow_tasks:
            is_shown = np.isin(labels, [(2 * task + i) % self.n_classes for i in (0, 1)])
            images, labels = images[is_shown], labels[is_shown]
        return TaskData(images, labels, self.permutation(task))


class RotatedTasks(DatasetTasks):
    """A data set and its rotations: task t turns the images by t times so many `degrees`, anticlockwise.

    What comes in from outside is 0, black; between pixels values are interpolated linearly. As in Lopez-Paz and Ranzato
    (arXiv 1706.08840), but for angles in equal steps. Attributes, and what it raises: as `DatasetTasks`.
    """

    def __init__(
        self, dataset: str = "mnist", degrees: float = 10.0, pixels: str = "centred", evaluate_on: str = "test"
    ):
        super().__init__(dataset, pixels, evaluate_on)
        self.degrees = degrees

    def show(self, task, images, labels):
        if not (angle := task * self.degrees % 360):
            return TaskData(images, labels)
        from scipy import ndimage  # only where it is needed: parameters are checked without it

        # Interpolation is linear in the image: what becomes of each pixel alone, [P, P], says what becomes of all.
        each = np.eye(self.n_pixels, dtype=np.float32).reshape(-1, *self.image_shape)
        turned = ndimage.rotate(each, angle, axes=(1, 2), reshape=False, order=1, mode="grid-constant")
        pixels = images * np.float32(self._divisor) + self._mean.astype(np.float32)  # as they were in the data set
        return TaskData(self._normalised(pixels @ turned.reshape(self.n_pixels, -1)), labels)


class SplitTasks(DatasetTasks):
    """A data set in parts: task t shows the images of so many `classes`, from t times so many on.

    `relabel`: each task counts its classes from 0, and a target network has as many logits as a task has classes;
    otherwise they keep their labels. Attributes, and what it raises: as `DatasetTasks`.
    """

    def __init__(
        self,
        dataset: str = "mnist",
        classes: int = 2,
        relabel: bool = True,
        pixels: str = "centred",
        evaluate_on: str = "test",
    ):
        super().__init__(dataset, pixels, evaluate_on)
        self.classes, self.relabel, self.n_tasks = classes, relabel, self.n_classes // classes
        if relabel:
            self.n_classes = classes

    def show(self, task, images, labels):
        if not 0 <= task < self.n_tasks:
            raise ValueError(f"task {task}: expected 0 to {self.n_tasks - 1}, of {self.classes} classes each")
        first = task * self.classes
        is_shown = (first <= labels) & (labels < first + self.classes)
        return TaskData(images[is_shown], labels[is_shown] - (first if self.relabel else 0))
