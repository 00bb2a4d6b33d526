"""How large everything is, from settings alone: P, S, C and the number of parameters. Needs no TensorFlow.

Letters are those of the paper and of the notebooks: P weights of a target network, in C chunks of S weights; embeddings
of length E; k units in the trunk's last layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

Shapes = list[list[int]]
IMAGES_AT_ONCE = 5_000  # of which every task is a candidate: bounds the RAM, however many images and tasks there are


class TargetSizes(NamedTuple):
    """What a target network's kind and widths decide."""

    shapes: Shapes  # of its weights, in the order in which they lie in the flat vector
    activations: int  # numbers that an image becomes on its way, input and logits included


def mlp(dims: Sequence[int]) -> TargetSizes:
    """A multilayer perceptron: dims [784, 300, 10] is 784 pixels, 300 units, 10 classes."""
    return TargetSizes([shape for i, o in pairwise(dims) for shape in ([i, o], [o])], sum(dims))


def lenet(dims: Sequence[int]) -> TargetSizes:
    """LeNet-5 (LeCun et al., 1998), 28 x 28 pixels; dims are [pixels, classes], as the first and last of an MLP's."""
    kernels = [[5, 5, 1, 6], [5, 5, 6, 16], [400, 120], [120, 84], [84, dims[-1]]]
    layers = [dims[0], 28 * 28, 28 * 28 * 6, 14 * 14 * 6, 10 * 10 * 16, 400, 120, 84, dims[-1]]
    return TargetSizes([shape for kernel in kernels for shape in (kernel, kernel[-1:])], sum(layers))


TARGETS = {"mlp": mlp, "lenet": lenet}


def count_weights(shapes: Shapes) -> int:
    """P, the number of weights in all the shapes together."""
    return sum(math.prod(shape) for shape in shapes)


@dataclass(frozen=True)
class Sizes:
    """What all have that learn target networks of the given shapes; `shared` and `per_task` are each one's own."""

    shapes: Shapes

    @property
    def n_weights(self) -> int:
        """P, how many weights the target network has."""
        return count_weights(self.shapes)

    def n_parameters(self, n_tasks: int) -> int:
        """How many numbers are learned in all, for `n_tasks` tasks."""
        return self.shared + n_tasks * self.per_task

    def in_target_networks(self, n_tasks: int) -> float:
        """How many separate target networks have as many weights as there are parameters, all in all."""
        return self.n_parameters(n_tasks) / self.n_weights


@dataclass(frozen=True)
class HypernetSizes(Sizes):
    """The sizes of a hypernetwork, from its target network's weight shapes and from `Hypernetwork`'s own arguments."""

    task_embedding_dim: int
    embedding_per_chunk: bool
    num_chunks: int | Literal["rows"]
    hypernet_hidden_dims: Sequence[int]

    @property
    def chunk_size(self) -> int:
        """S, how many weights a chunk has; where chunks are rows, as many as a pixel has in the first kernel."""
        return self.shapes[0][-1] if self.num_chunks == "rows" else -(-self.n_weights // self.num_chunks)

    @property
    def n_chunks(self) -> int:
        """C, how many chunks there are; where chunks are rows, as many as it takes."""
        return -(-self.n_weights // self.chunk_size) if self.num_chunks == "rows" else self.num_chunks

    @property
    def surplus(self) -> int:
        """C S - P, how many numbers of the last chunk are generated and dropped."""
        return self.n_chunks * self.chunk_size - self.n_weights

    @property
    def vectors_per_task(self) -> int:
        """How many vectors of length E a task embedding is made of: one, or one for each chunk."""
        return self.n_chunks if self.embedding_per_chunk else 1

    @property
    def widths(self) -> list[int]:
        """Of every layer of the hypernetwork: its two embeddings side by side, the trunk's layers, a chunk."""
        return [2 * self.task_embedding_dim, *self.hypernet_hidden_dims, self.chunk_size]

    @property
    def shared(self) -> int:
        """How many parameters all tasks share: chunk embeddings, trunk and head."""
        return self.n_chunks * self.task_embedding_dim + sum((i + 1) * o for i, o in pairwise(self.widths))

    @property
    def per_task(self) -> int:
        """How many parameters one more task adds: those of its embedding."""
        return self.vectors_per_task * self.task_embedding_dim
