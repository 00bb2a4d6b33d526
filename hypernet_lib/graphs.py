"""What is done once, so that learning a task need not do it again: graphs are traced, and data become tensors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hypernet_lib.memory import LinearMemory
from hypernet_lib.quiet import tf
from hypernet_lib.tasks import TaskData, check

SCALAR = tf.TensorSpec([], tf.int32)


class Graphs:
    """Functions as graphs; its length is how many were traced."""

    def __init__(self):
        self._traced = {}

    def __len__(self) -> int:
        return len(self._traced)

    def __call__(self, function, *signature):
        """The function as a graph for one signature, traced when it is first asked for."""
        key = function.__name__, str(signature)
        if key not in self._traced:
            # Without AutoGraph, which would read the sources again, as they are by now.
            self._traced[key] = tf.function(function, autograph=False).get_concrete_function(*signature)
        return self._traced[key]


def any_length(tensors: NamedTuple) -> NamedTuple:
    """The tensors' shapes with their number of tasks, or of images, left open, so that nothing is traced twice."""
    fixed = tensors._fields if isinstance(tensors, LinearMemory) else ("head", "permutation", "n_tasks")
    return type(tensors)(
        **{
            name: None if t is None else tf.TensorSpec(t.shape if name in fixed else [None, *t.shape[1:]], t.dtype)
            for name, t in tensors._asdict().items()
        }
    )


class Tensors:
    """Data as tensors, checked, the newest of each role kept."""

    def __init__(self):
        self._last = {}  # by role: as given, and as tensors

    def __call__(self, role: str, data: TaskData, n_classes: int) -> TaskData:
        """The data as tensors. Arrays that are read-only, and the same as last time in that role, are not copied again.

        Raises ValueError where images, labels or permutation do not fit each other or the number of classes.
        """
        data = TaskData(*(None if array is None else np.asarray(array) for array in data))
        check(data, n_classes)
        (images, labels, _), tensors = self._last.get(role, (TaskData(None, None), None))
        if images is not data.images or labels is not data.labels or images.flags.writeable or labels.flags.writeable:
            tensors = tf.constant(data.images, tf.float32), tf.constant(data.labels, tf.int32)
            self._last[role] = data, tensors
        order = data.permutation
        return TaskData(*tensors, None if order is None else tf.constant(order, tf.int32))
