"""Target networks that nothing generates, in a hypernetwork's place: one for all tasks, or one for each of them."""

from __future__ import annotations

import math

import numpy as np

from hypernet_lib.hypernet import glorot
from hypernet_lib.quiet import tf
from hypernet_lib.sizes import count_weights
from hypernet_lib.targets import Target
from hypernet_lib.training import Learner


def initial_weights(target: Target, seed: int, task: int, network_init: str = "glorot") -> np.ndarray:
    """A target network's flat weights [P]: kernels as Glorot and Bengio draw them, everything else zero ("glorot").

    "torch": as PyTorch's layers start, kernel and bias uniform in +-1 / sqrt(n), where a unit has n inputs.
    """
    if network_init not in ("glorot", "torch"):
        raise ValueError(f"network_init: got {network_init!r}; expected 'glorot' or 'torch'")
    random = np.random.default_rng([seed, 5, task])
    found = []
    for shape in target.shapes:
        is_kernel = len(shape) > 1  # dense, or of a convolution [height, width, inputs, outputs]; its bias follows
        if is_kernel:
            *window, n_in, n_out = shape
            limit = 1 / math.sqrt(math.prod(window) * n_in)
        if network_init == "torch":
            found.append(random.uniform(-limit, limit, shape))
        else:
            found.append(glorot(random, n_in, n_out, math.prod(window)) if is_kernel else np.zeros(shape))
    return np.concatenate([values.reshape(-1) for values in found]).astype(np.float32)


class SeparateNetworks(tf.Module):
    """A `WeightGenerator`: a task's embedding [P] is its target network's weights themselves. Nothing is shared.

    Variables:
        task_embeddings [N, P]
    """

    shared_variables, head = [], None

    def __init__(self, target: Target, n_tasks: int, seed: int = 0, network_init: str = "glorot"):
        super().__init__()
        self.task_embeddings = tf.Variable(
            np.stack([initial_weights(target, seed, task, network_init) for task in range(n_tasks)])
        )

    def weights(self, embedding: tf.Tensor) -> tf.Tensor:
        """The flat weights [P] for an "embedding" [P]: the same."""
        return tf.convert_to_tensor(embedding)


class OneNetwork(tf.Module):
    """A `WeightGenerator`: one target network, whose weights all tasks share. With `heads` "per_task" the last layer is
    not shared: it is each task's "embedding".

    Variables:
        shared [P], or [P - h] without the h weights of the last layer
        task_embeddings [N, 0], or [N, h]
    """

    head = None

    def __init__(
        self, target: Target, n_tasks: int, heads: str = "shared", seed: int = 0, network_init: str = "glorot"
    ):
        super().__init__()
        self.target, self.head_per_task = target, heads == "per_task"
        self.n_of_head = count_weights(target.shapes[-2:]) if self.head_per_task else 0  # h, or none
        n_shared = count_weights(target.shapes) - self.n_of_head

        def first(task):
            return initial_weights(target, seed, task, network_init)

        self.shared = tf.Variable(first(0)[:n_shared])
        heads = [first(task)[n_shared:] for task in range(n_tasks)] if self.head_per_task else []
        self.task_embeddings = tf.Variable(np.stack(heads) if heads else np.empty([n_tasks, 0], np.float32))

    @property
    def shared_variables(self) -> list[tf.Variable]:
        return [self.shared]

    def weights(self, embedding: tf.Tensor) -> tf.Tensor:
        """The flat weights [P] with a task's head [h], or [0]."""
        return tf.concat([self.shared, embedding], axis=0)

    def logits(self, images: tf.Tensor, tasks: tf.Tensor) -> tf.Tensor:
        """Logits [B, classes] of images [B, pixels] in the order of their tasks [B], each through its task's head."""
        if not self.head_per_task:
            return self.target(self.shared, images)
        x = self.target.features(self.shared, images)  # [B, units]
        units, classes = self.target.shapes[-2]
        heads = tf.gather(self.task_embeddings, tasks)  # [B, h]
        kernels = tf.reshape(heads[:, : units * classes], [-1, units, classes])
        return tf.einsum("bu,buc->bc", x, kernels) + heads[:, units * classes :]


class InARow(Learner):
    """Teaches a network one task after the other, and does nothing to keep it from forgetting.

    The other methods come from this one, and differ in what they remember: `remember` says what is kept at the
    beginning of a task, `learn` adds to it at the task's end.
    """

    too_high = "learning_rate"

    def __init__(
        self,
        network: SeparateNetworks | OneNetwork,
        target: Target,
        tasks,
        *,
        batch_size: int = 256,
        iters_per_task: int = 500,
        learning_rate: float = 1e-3,
        final_learning_rate_fraction: float = 0.02,
        input_dropout: float = 0.0,
        seed: int = 0,
    ):
        super().__init__(
            network, target, tasks, batch_size=batch_size, iters_per_task=iters_per_task, learning_rate=learning_rate,
            final_learning_rate_fraction=final_learning_rate_fraction, seed=seed, l2_regularization=0,
            l2_memory_regularization=0, updates="combined", input_dropout=input_dropout,
        )  # fmt: skip


class Separate(InARow):
    """Teaches each task to a network of its own; all start from scratch, and have as many steps.

    outliers, outlier_order: as of `Learner`.
    """

    def __init__(
        self,
        network: SeparateNetworks,
        target: Target,
        tasks,
        *,
        outliers: int = 0,
        outlier_order: str = "shuffled",
        **settings,
    ):
        super().__init__(network, target, tasks, **settings)
        self.outliers, self.outlier_order = outliers, outlier_order

    def n_steps(self, task: int) -> int:
        return self.iters_per_task
