"""Which task is this? Images that come without their task's number, and every learned task a candidate.

Each candidate's network looks at an image in its own way, as if it were of its task, and gives logits; a score of those
says how much it looks as if it were. The scores of several images of one task add up. The best candidate's network
says the class, too.

Told the task, a method's accuracy is task-incremental. Not told, the class right is domain-incremental, task and class
both right is class-incremental (van de Ven and Tolias, arXiv 1904.07734, section 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from hypernet_lib.metrics import INFERRED
from hypernet_lib.quiet import tf
from hypernet_lib.sizes import IMAGES_AT_ONCE
from hypernet_lib.tasks import Tasks, some_rows
from hypernet_lib.training import Learner


def _negative_entropy(logits: tf.Tensor) -> tf.Tensor:
    log_p = tf.nn.log_softmax(logits)
    return tf.reduce_sum(tf.exp(log_p) * log_p, axis=1)


# Scores [M] of logits [M, classes]: the higher, the more an image looks as if it were of the task.
OF_LOGITS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "logsumexp": lambda logits: tf.reduce_logsumexp(logits, axis=1),  # minus the energy of Liu et al., arXiv 2010.03759
    "max_logit": lambda logits: tf.reduce_max(logits, axis=1),
    "entropy": _negative_entropy,  # as in von Oswald et al., arXiv 1906.00695
}
# And one that needs no network: how near an image is to the mean of the task's training images.
SCORES = (*OF_LOGITS, "mean_image")


class Candidates(NamedTuple):
    """What T candidates say of M images."""

    scores: dict[str, np.ndarray]  # float32 [M, T], by the name of the score
    classes: np.ndarray  # int16 [M, T]: the class that an image has if it is of the task


def candidates(learner: Learner, images: np.ndarray, n_tasks: int, means: np.ndarray | None = None) -> Candidates:
    """What the first `n_tasks` tasks say of images [M, pixels], given as they come (`Tasks.as_they_come`).

    Nothing but the images is known of them. `means` are those tasks' `mean_images`, where they are there already.
    Raises ValueError where a task was not learned.
    """
    images = np.asarray(images, np.float32)
    scores = {score: np.empty([len(images), n_tasks], np.float32) for score in SCORES}
    classes = np.empty([len(images), n_tasks], np.int16)
    means = mean_images(learner.tasks, n_tasks) if means is None else means  # [T, pixels]
    for task in range(n_tasks):
        logits = learner.logits(learner.tasks.seen_by(task, images), task)  # [M, classes]
        classes[:, task] = tf.argmax(logits, axis=1)
        for score, of in OF_LOGITS.items():
            scores[score][:, task] = of(logits)
    # - |x - m|^2, but for x^2, which is the same for every task
    scores["mean_image"][:] = 2 * images @ means.T - (means**2).sum(axis=1)
    return Candidates(scores, classes)


def infer(
    learner: Learner, n_tasks: int, n_images: int, together: Iterable[int] = (1, 3, 10), seed: int = 0
) -> pd.DataFrame:
    """How often the task, the class, and both are right, where nobody tells which of the first tasks an image is of.

    Measured on `n_images` test images of each task, drawn by (seed, task). An image is judged alone, and together with
    those that follow it among these: `together` says how many there are in all, the last followed by the first.

    Returns a row for each score, each of `together` and each task, with the columns INFERRED; `told` is the accuracy on
    the same images where the task is told. Raises ValueError where a task has fewer test images, or fewer are asked for
    than come together.
    """
    together, rows = list(together), []
    if n_images < max(together):
        raise ValueError(f"{n_images} images of a task: expected at least {max(together)}, as many as come together")
    per_block = max(1, IMAGES_AT_ONCE // n_images)  # tasks
    means = mean_images(learner.tasks, n_tasks)
    for first in range(0, n_tasks, per_block):
        block = range(first, min(first + per_block, n_tasks))
        shown, labels = zip(*[_some_test_images(learner.tasks, task, n_images, seed) for task in block], strict=True)
        found = candidates(learner, np.concatenate(shown), n_tasks, means)
        for i, (task, truth) in enumerate(zip(block, labels, strict=True)):
            these = slice(i * n_images, (i + 1) * n_images)
            classes = found.classes[these]  # [M, T]
            told = classes[:, task] == truth
            for score, scores in found.scores.items():
                summed, n_summed = np.zeros([n_images, n_tasks]), 0
                for n in sorted(together):
                    for shift in range(n_summed, n):
                        summed += np.roll(scores[these], -shift, axis=0)
                    n_summed, chosen = n, summed.argmax(axis=1)
                    class_right = classes[np.arange(n_images), chosen] == truth
                    right = [chosen == task, class_right, (chosen == task) & class_right, told]
                    rows.append((score, n, task, *(float(one.mean()) for one in right)))
    return pd.DataFrame(rows, columns=INFERRED).sort_values(["score", "together", "task"], ignore_index=True)


def _some_test_images(tasks: Tasks, task: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Test images of a task as they come, [n, pixels], and their labels [n]."""
    images, labels, _ = tasks.test(task)
    if n > len(labels):
        raise ValueError(f"{n} images of task {task}: expected at most {len(labels)}, all its test images")
    chosen = some_rows(len(labels), n, seed, 8, task)
    return tasks.as_they_come(task, images[chosen]), labels[chosen]


def mean_images(tasks: Tasks, n_tasks: int) -> np.ndarray:
    """The mean training image of each task, as they come [T, pixels]."""
    means, last = [], None
    for task in range(n_tasks):
        images = tasks.train(task).images
        if images is not last:  # the same array in most tasks
            last, mean = images, images.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
        means.append(tasks.as_they_come(task, mean)[0])
    return np.stack(means)
