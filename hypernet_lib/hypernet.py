"""The hypernetwork: from a task embedding, chunk by chunk, to the weights of a target network."""

from __future__ import annotations

import math

import numpy as np

from hypernet_lib.quiet import tf
from hypernet_lib.targets import Target, count_weights


class Hypernetwork(tf.Module):
    """A chunked hypernetwork (von Oswald et al., arXiv 1906.00695, sections 2 and 3).

    It maps [chunk embedding; task embedding] through the trunk (nonlinear layers) and the head (linear) to one chunk of
    the target network's flat weight vector. C chunks of S outputs give P weights; the surplus C S - P is dropped.

    Args:
        target: the target network; only its weight shapes are used here.
        n_tasks: how many tasks there are embeddings for.
        embedding_dim: E, the length of a task embedding and of a chunk embedding.
        embedding_per_chunk: whether a task has a vector of E numbers for every chunk (as every layer has one in Ha et
            al., arXiv 1609.09106, section 3.1), in place of one for all. Its task embedding is then all C of them.
        n_chunks: C. Or "rows": chunks as long as a row of the target's first kernel, so that each of the first ones
            holds the weights of one input, and as many as it takes.
        hidden_dims: widths of the trunk's layers; empty for a purely linear hypernetwork.
        activation: the trunk's nonlinearity, by its name in tf.nn.
        task_std, chunk_std: standard deviations of the initial embeddings.
        head_scale: how large the head's initial kernel is, for 1 in the bounds of Glorot and Bengio. They keep the
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
        embedding_dim: int = 100,
        embedding_per_chunk: bool = False,
        n_chunks: int | str = 30,
        hidden_dims: tuple[int, ...] | list[int] = (200, 250, 350),
        activation: str = "relu",
        task_std: float = 1.0,
        chunk_std: float = 1.0,
        head_scale: float = 1.0,
        seed: int = 0,
    ):
        super().__init__()
        self.n_weights = count_weights(target.shapes)  # P
        rows = n_chunks == "rows"
        self.chunk_size = target.shapes[0][-1] if rows else math.ceil(self.n_weights / n_chunks)  # S
        self.n_chunks = math.ceil(self.n_weights / self.chunk_size) if rows else n_chunks  # C
        self.surplus = self.n_chunks * self.chunk_size - self.n_weights
        self.activation = getattr(tf.nn, activation)
        self.vectors_per_task = self.n_chunks if embedding_per_chunk else 1

        def normal(std, shape, stream):  # one generator a row: a row is the same however many there are
            rows = [np.random.default_rng([seed, stream, i]).standard_normal(shape[1]) for i in range(shape[0])]
            return tf.Variable(std * np.array(rows), dtype=tf.float32)

        self.task_embeddings = normal(task_std, [n_tasks, self.vectors_per_task * embedding_dim], stream=1)
        self.chunk_embeddings = normal(chunk_std, [self.n_chunks, embedding_dim], stream=2)
        random = np.random.default_rng([seed, 3])
        widths = [2 * embedding_dim, *hidden_dims]
        self.trunk = [
            (tf.Variable(glorot(random, i, o)), tf.Variable(tf.zeros([o])))
            for i, o in zip(widths, widths[1:], strict=False)
        ]
        kernel = np.float32(head_scale) * glorot(random, widths[-1], self.chunk_size)  # A [k, S]
        self.head = tf.Variable(np.vstack([kernel, np.zeros([1, self.chunk_size], np.float32)]))  # [k + 1, S]

    @property
    def shared_variables(self) -> list[tf.Variable]:
        """What every task uses and changes, the head last: all variables but the task embeddings."""
        return [self.chunk_embeddings, *(v for layer in self.trunk for v in layer), self.head]

    @property
    def n_parameters(self) -> int:
        """How many numbers are learned in all: trunk, head, chunk embeddings and the N task embeddings."""
        return sum(math.prod(v.shape) for v in [self.task_embeddings, *self.shared_variables])

    @property
    def compression(self) -> float:
        """Parameters of the hypernetwork, all embeddings included, for each weight of ONE target network."""
        return self.n_parameters / self.n_weights

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
        else:
            tasks = tf.repeat(vectors, self.n_chunks // self.vectors_per_task, axis=0)  # [T C, E]
            h = tf.concat([tf.tile(self.chunk_embeddings, [tf.shape(embeddings)[0], 1]), tasks], axis=1)
        return tf.concat([h, tf.ones_like(h[:, :1])], axis=1)  # [T C, k + 1]

    def generate(self, embeddings: tf.Tensor) -> tf.Tensor:
        """The target network's flat weights [..., P] for task embeddings [..., E], or [..., C E]."""
        embeddings = tf.convert_to_tensor(embeddings)
        leading, length = tf.shape(embeddings)[:-1], embeddings.shape[-1]
        chunks = self.hidden(tf.reshape(embeddings, [-1, length])) @ self.head  # [T C, S]
        weights = tf.reshape(chunks, [-1, self.n_chunks * self.chunk_size])[:, : self.n_weights]  # [T, P]
        return tf.reshape(weights, tf.concat([leading, [self.n_weights]], axis=0))


def glorot(random: np.random.Generator, n_in: int, n_out: int) -> np.ndarray:
    """Uniform in +-sqrt(6 / (n_in + n_out)), Glorot and Bengio, 2010, equation 16."""
    limit = math.sqrt(6 / (n_in + n_out))
    return random.uniform(-limit, limit, [n_in, n_out]).astype(np.float32)
