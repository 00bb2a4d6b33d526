"""The hypernetwork: from a task embedding, chunk by chunk, to the weights of a target network."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from hypernet_lib.quiet import tf
from hypernet_lib.sizes import HypernetSizes
from hypernet_lib.targets import Chunks, Target


class Hypernetwork(tf.Module):
    """A chunked hypernetwork (von Oswald et al., arXiv 1906.00695, sections 2 and 3).

    It maps [chunk embedding; task embedding] through the trunk (nonlinear layers) and the head (linear) to one chunk of
    the target network's flat weight vector. C chunks of S outputs give P weights; the surplus C S - P is dropped.

    Args:
        target: the target network; only its weight shapes are used here.
        n_tasks: how many tasks there are embeddings for.
        task_embedding_dim: E, the length of a task embedding and of a chunk embedding.
        embedding_per_chunk: whether a task has a vector of E numbers for every chunk (as every layer has one in Ha et
            al., arXiv 1609.09106, section 3.1), in place of one for all. Its task embedding is then all C of them.
        num_chunks: C. Or "rows": chunks as long as a row of the target's first kernel, so that each of the first ones
            holds the weights of one input, and as many as it takes.
        hypernet_hidden_dims: widths of the trunk's layers; empty for a purely linear hypernetwork.
        hypernet_activation: the trunk's nonlinearity, by its name in tf.nn.
        embedding_init_std, chunk_embedding_init_std: standard deviations of the initial embeddings.
        head_init_scale: how large the head's initial kernel is, for 1 in the bounds of Glorot and Bengio. They keep the
            variance of the head's outputs, but those are weights: a target network starts better from smaller ones
            (Chang et al., ICLR 2020, section 4).
        seed: decides every initial value; a task embedding's depends on (seed, task) alone.

    Variables:
        task_embeddings [N, E], or [N, C E] with an embedding per chunk; chunk_embeddings [C, E]
        trunk: a kernel [inputs, units] and a bias [units] for each hidden layer
        head [k + 1, S]: the kernel A [k, S] and below it, as the last row, the bias b [S]
    """

    def __init__(
        self,
        target: Target,
        n_tasks: int,
        *,
        task_embedding_dim: int = 100,
        embedding_per_chunk: bool = False,
        num_chunks: int | str = 30,
        hypernet_hidden_dims: tuple[int, ...] | list[int] = (200, 250, 350),
        hypernet_activation: str = "gelu",
        embedding_init_std: float = 1.0,
        chunk_embedding_init_std: float = 1.0,
        head_init_scale: float = 1.0,
        seed: int = 0,
    ):
        super().__init__()
        self.sizes = sizes = HypernetSizes(
            target.shapes, task_embedding_dim, embedding_per_chunk, num_chunks, list(hypernet_hidden_dims)
        )
        self.n_weights, self.chunk_size, self.n_chunks = sizes.n_weights, sizes.chunk_size, sizes.n_chunks  # P, S, C
        self.surplus, self.vectors_per_task = sizes.surplus, sizes.vectors_per_task
        self.activation = getattr(tf.nn, hypernet_activation)

        def normal(std, shape, stream):  # one generator a row: a row is the same however many there are
            rows = np.empty(shape, np.float32)
            for i, row in enumerate(rows):
                row[:] = std * np.random.default_rng([seed, stream, i]).standard_normal(shape[1])
            return tf.Variable(rows)

        self.task_embeddings = normal(embedding_init_std, [n_tasks, sizes.per_task], stream=1)
        self.chunk_embeddings = normal(chunk_embedding_init_std, [self.n_chunks, task_embedding_dim], stream=2)
        random = np.random.default_rng([seed, 3])
        *trunk, (k, S) = pairwise(sizes.widths)
        self.trunk = [(tf.Variable(glorot(random, i, o)), tf.Variable(tf.zeros([o]))) for i, o in trunk]
        kernel = np.float32(head_init_scale) * glorot(random, k, S)  # A [k, S]
        self.head = tf.Variable(np.vstack([kernel, np.zeros([1, S], np.float32)]))  # [k + 1, S]

    @property
    def shared_variables(self) -> list[tf.Variable]:
        """What every task uses and changes, the head last: all variables but the task embeddings."""
        return [self.chunk_embeddings, *(v for layer in self.trunk for v in layer), self.head]

    @property
    def n_parameters(self) -> int:
        """How many numbers are learned in all: trunk, head, chunk embeddings and the N task embeddings."""
        return self.sizes.n_parameters(self.task_embeddings.shape[0])

    @property
    def in_target_networks(self) -> float:
        """How many separate target networks have as many weights as this has parameters, all embeddings included."""
        return self.sizes.in_target_networks(self.task_embeddings.shape[0])

    def hidden(self, embeddings: tf.Tensor) -> tf.Tensor:
        """The trunk's output for every (task, chunk), from task embeddings [T, E]: h [T C, k + 1].

        Row t C + c belongs to chunk c of task t. The last column is 1, so that `h @ head` adds the bias. With an
        embedding per chunk the task embeddings are [T, C E].
        """
        embedding_dim = self.chunk_embeddings.shape[1]
        vectors = tf.reshape(embeddings, [-1, embedding_dim])  # [T, E], or [T C, E] with an embedding per chunk
        if self.trunk:
            (kernel, bias), *deeper = self.trunk
            # The first layer is linear in [c; e], so its two halves are computed once for each chunk and each vector.
            chunks = self.chunk_embeddings @ kernel[:embedding_dim] + bias  # [C, u]
            tasks = tf.reshape(vectors @ kernel[embedding_dim:], [-1, self.vectors_per_task, kernel.shape[1]])
            h = self.activation(tf.reshape(tasks + chunks, [-1, kernel.shape[1]]))  # [T C, u]
            for kernel, bias in deeper:
                h = self.activation(h @ kernel + bias)  # [T C, u]
            parts = [h]
        else:
            each = self.n_chunks // self.vectors_per_task
            tasks = tf.repeat(vectors, each, axis=0) if each > 1 else vectors  # [T C, E]
            chunks = self.chunk_embeddings.read_value()
            if embeddings.shape[0] != 1:
                chunks = tf.tile(chunks, [tf.shape(embeddings)[0], 1])  # [T C, E]
            parts = [chunks, tasks]
        return tf.concat([*parts, tf.ones_like(parts[0][:, :1])], axis=1)  # [T C, k + 1]

    def weights(self, embedding: tf.Tensor) -> Chunks:
        """The target network's weights for one task embedding [E], or [C E], as it applies them: not written yet."""
        return Chunks(self.hidden(embedding[tf.newaxis]), self.head.read_value())

    def generate(self, embeddings: tf.Tensor) -> tf.Tensor:
        """The target network's flat weights [..., P] for task embeddings [..., E], or [..., C E]."""
        embeddings = tf.convert_to_tensor(embeddings)
        leading, length = tf.shape(embeddings)[:-1], embeddings.shape[-1]
        chunks = self.hidden(tf.reshape(embeddings, [-1, length])) @ self.head  # [T C, S]
        weights = tf.reshape(chunks, [-1, self.n_chunks * self.chunk_size])[:, : self.n_weights]  # [T, P]
        return tf.reshape(weights, tf.concat([leading, [self.n_weights]], axis=0))


def glorot(random: np.random.Generator, n_in: int, n_out: int, window: int = 1) -> np.ndarray:
    """Uniform in +-sqrt(6 / (n_in + n_out)), Glorot and Bengio, 2010, equation 16; [window n_in, n_out].

    Of a convolution `window` is how many pixels its kernel sees: so many times as many inputs, and outputs, meet.
    """
    limit = math.sqrt(6 / (window * (n_in + n_out)))
    return random.uniform(-limit, limit, [window * n_in, n_out]).astype(np.float32)
