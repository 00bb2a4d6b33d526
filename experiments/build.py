"""From an experiment to what learns: the one place where its parameters meet the library's arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from experiments.baselines.images import Joint, Rehearsal
from experiments.baselines.networks import InARow, OneNetwork, Separate, SeparateNetworks
from experiments.baselines.settings import SETTINGS
from experiments.baselines.weights import EWC, L2, SI
from experiments.families import FAMILY_SETTINGS
from experiments.parameters import Experiment, ExperimentError
from hypernet_lib.hypernet import Hypernetwork
from hypernet_lib.quiet import tf
from hypernet_lib.targets import MLP, LeNet, Target
from hypernet_lib.tasks import PermutedTasks, RotatedTasks, SplitTasks, Tasks
from hypernet_lib.training import Learner, WeightGenerator


class Method(Protocol):
    """What a run needs of who learns its tasks: a `Learner`, or anything with the same face.

    What it keeps besides its network is `Experiment.size`'s `stored`.
    """

    hypernet: WeightGenerator  # its network: weights for every task
    state: list[tf.Variable]  # what else it needs to go on after a task
    learned: set[int]

    def remember(self, n_tasks: int) -> NamedTuple | None:
        """Begin a task: what holds the first `n_tasks`; None where nothing does."""

    def learn(self, task: int, memory: NamedTuple | None = None) -> np.ndarray:
        """Learn a task and end it, whatever there is to be kept of it; the loss of every step."""

    def evaluate(self, task: int) -> float:
        """Accuracy on a learned task's test images."""

    def restored(self, n_tasks: int) -> None:
        """Say that the first tasks were learned elsewhere, and the network and `state` are set to that."""


# What has the weights, and what teaches it, by the name of the method.
LEARNERS: dict[str, tuple[Callable[..., WeightGenerator], type[Learner]]] = {
    "hypernetwork": (Hypernetwork, Learner),
    "in_a_row": (OneNetwork, InARow),
    "l2": (OneNetwork, L2),
    "ewc": (OneNetwork, EWC),
    "si": (OneNetwork, SI),
    "rehearsal": (OneNetwork, Rehearsal),
    "joint": (OneNetwork, Joint),
    "separate": (SeparateNetworks, Separate),
}


# What is learned, by the name of the family.
TASKS: dict[str, type[Tasks]] = {"permuted": PermutedTasks, "rotated": RotatedTasks, "split": SplitTasks}

# What looks at the images, by the name of its kind.
TARGETS: dict[str, Callable[[Experiment, Tasks], Target]] = {
    "mlp": lambda experiment, tasks: MLP(experiment.innernet_all_dims),
    "lenet": lambda experiment, tasks: LeNet(tasks.image_shape, tasks.n_classes),
}


class Parts(NamedTuple):
    """What an experiment is made of."""

    tasks: Tasks
    target: Target
    learner: Method


def build(experiment: Experiment) -> Parts:
    """The tasks, the target network and the learner of an experiment, as they are before the first task.

    Raises DataError where the data set cannot be had, and ExperimentError where it has fewer images than are asked for.
    """
    family = TASKS[experiment.tasks]
    of_family = getattr(experiment, experiment.tasks).model_dump() if experiment.tasks in FAMILY_SETTINGS else {}
    tasks = family(**arguments(family, experiment), **of_family)
    _check_images(experiment, tasks)
    target = TARGETS[experiment.target](experiment, tasks)
    network_of, learner_of = LEARNERS[experiment.method]
    network = network_of(target, experiment.n_tasks_to_learn, **arguments(network_of, experiment))
    settings = arguments(Learner if learner_of is Learner else InARow, experiment) | arguments(learner_of, experiment)
    if experiment.method in SETTINGS:
        settings |= getattr(experiment, experiment.method).model_dump()
    return Parts(tasks, target, learner_of(network, target, tasks, **settings))


def _check_images(experiment: Experiment, tasks: Tasks) -> None:
    """Raise ExperimentError, before anything is learned, where a task has too few test images."""
    n_tasks = experiment.n_tasks_to_learn
    if experiment.tasks in ("permuted", "rotated"):  # all tasks show as many, but for the narrow ones
        n_tasks = min(n_tasks, experiment.narrow_tasks + 1)
    n, task = min((len(tasks.test(task).labels), task) for task in range(n_tasks))
    if not n:
        raise ExperimentError(f"tasks: task {task} has no {experiment.evaluate_on} images in {experiment.dataset}")
    if experiment.infer_task != "oracle" and experiment.infer_images > n:
        raise ExperimentError(
            f"infer_images: got {experiment.infer_images}; expected at most {n}, as many {experiment.evaluate_on} "
            f"images as task {task} has"
        )


def arguments(function: Callable, experiment: Experiment) -> dict[str, object]:
    """The parameters of an experiment that a function takes, which are its arguments of the same names.

    But for `tasks` and `target`: those are what `build` makes of the parameters that name their kind.
    """
    names = set(inspect.signature(function).parameters) - {"tasks", "target"}
    return {name: getattr(experiment, name) for name in type(experiment).model_fields if name in names}
