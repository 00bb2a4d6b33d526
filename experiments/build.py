"""From an experiment to what learns: the one place where its parameters meet the library's arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import NamedTuple

from experiments.parameters import Experiment
from hypernet_lib.hypernet import Hypernetwork
from hypernet_lib.targets import MLP, Target
from hypernet_lib.tasks import PermutedTasks, Tasks
from hypernet_lib.training import Learner, WeightGenerator


class Parts(NamedTuple):
    """What an experiment is made of."""

    tasks: Tasks
    target: Target
    learner: Learner  # its hypernetwork is `learner.hypernet`


def build(experiment: Experiment, network: Callable[..., WeightGenerator] = Hypernetwork) -> Parts:
    """The tasks, the target network and the learner of an experiment, as they are before the first task.

    `network` makes what learns, from the target network and the number of tasks. Raises DataError where the data set
    cannot be had.
    """
    tasks = PermutedTasks(**arguments(PermutedTasks, experiment))
    target = MLP(experiment.innernet_all_dims)
    learns = network(target, experiment.n_tasks_to_learn, **arguments(network, experiment))
    return Parts(tasks, target, Learner(learns, target, tasks, **arguments(Learner, experiment)))


def arguments(function: Callable, experiment: Experiment) -> dict[str, object]:
    """The parameters of an experiment that a function takes, which are its arguments of the same names."""
    names = inspect.signature(function).parameters
    return {name: getattr(experiment, name) for name in names if name in type(experiment).model_fields}
