"""What keeps the hypernetwork from forgetting: a snapshot of it, and the gradient of the memory loss.

With h [n, k + 1] the trunk's output for the n = T C rows (remembered task, chunk) and H [k + 1, S] the head, the
memory loss is

    beta / T  *  || h H - h* H* ||^2          (von Oswald et al., arXiv 1906.00695, equation 2)

where a star marks the snapshot. The few surplus outputs of each last chunk are kept like the rest. Its gradient has
two exact forms. The direct form generates the weights: r = h H - W*, then

    dL/dh ~ r H^T            dL/dH ~ h^T r                                      3 n k S multiply-adds

The moments form never does. With d = h - h* and D = H - H*, r = d H + h* D without cancellation, so that

    dL/dh ~ d (H H^T) + h* (D H^T)      dL/dH ~ (h^T d) H + (h^T h*) D         4 k^2 (S + n) multiply-adds

With an empty trunk h is linear in the task embedding, and d the same for all tasks. Then the tasks enter by the mean of
their h* and by its scatter alone, C rows in place of T C; both are kept up from task to task, none read again.

`remember` takes the snapshot in the form that is cheaper for its shapes. Every form says how many tasks it holds
(`n_tasks`), gives its gradient (`gradients`), and gives the snapshot of some of its tasks (`sample`) or refuses to.
"""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from hypernet_lib.hypernet import Hypernetwork
from hypernet_lib.quiet import tf


class DirectMemory(NamedTuple):
    """The snapshot for few rows: the remembered tasks' generated weights themselves."""

    embeddings: tf.Tensor  # [T, E]
    weights: tf.Tensor  # W* = h* H* [T C, S]

    @property
    def n_tasks(self) -> tf.Tensor:
        """T, how many tasks are remembered, int32 []."""
        return tf.shape(self.embeddings)[0]

    def sample(self, tasks: tf.Tensor, n_chunks: int) -> DirectMemory:
        """The snapshot of the given tasks [m] alone."""
        return DirectMemory(tf.gather(self.embeddings, tasks), _gather_rows(self.weights, tasks, n_chunks))

    def gradients(
        self, h: tf.Tensor, head: tf.Tensor, scale: tf.Tensor, dtype: tf.DType
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The gradient of scale / 2 * ||r||^2 with respect to h [n, k + 1] and head [k + 1, S]; products in `dtype`."""
        r = h @ head - self.weights  # [n, S], a small difference of large weights: never rounded before
        scaled, r, H = [tf.cast(x, dtype) for x in (scale * h, r, head)]
        dh, dH = tf.matmul(r, H, transpose_b=True), tf.matmul(scaled, r, transpose_a=True)
        return scale * tf.cast(dh, h.dtype), tf.cast(dH, h.dtype)


class MomentsMemory(NamedTuple):
    """The snapshot for many rows: the trunk's outputs and the head, from which no weights are ever generated."""

    embeddings: tf.Tensor  # [T, E]
    hidden: tf.Tensor  # h* [T C, k + 1]
    head: tf.Tensor  # H* [k + 1, S]

    @property
    def n_tasks(self) -> tf.Tensor:
        """T, how many tasks are remembered, int32 []."""
        return tf.shape(self.embeddings)[0]

    def sample(self, tasks: tf.Tensor, n_chunks: int) -> MomentsMemory:
        """The snapshot of the given tasks [m] alone."""
        return MomentsMemory(tf.gather(self.embeddings, tasks), _gather_rows(self.hidden, tasks, n_chunks), self.head)

    def gradients(
        self, h: tf.Tensor, head: tf.Tensor, scale: tf.Tensor, dtype: tf.DType
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The gradient of scale / 2 * ||r||^2 with respect to h [n, k + 1] and head [k + 1, S]; products in `dtype`."""
        return _from_moments(self.hidden, self.head, 0, h, head, scale, dtype)


class LinearMemory(NamedTuple):
    """The snapshot where the trunk is empty: of any number of tasks, as small as that of one."""

    embeddings: tf.Tensor  # the mean task embedding [1, E]
    hidden: tf.Tensor  # its h* [C, k + 1]
    head: tf.Tensor  # H* [k + 1, S]
    scatter: tf.Tensor  # summed over chunks, the covariance between tasks of their h* [k + 1, k + 1]
    n_tasks: tf.Tensor  # T, how many tasks are remembered, int32 []

    def sample(self, tasks: tf.Tensor, n_chunks: int) -> NoReturn:
        """Refused: raises ValueError."""
        raise ValueError(
            "a LinearMemory holds the mean over its tasks, from which none can be sampled; "
            "remember(..., n_regularized) takes a snapshot that can be"
        )

    def gradients(
        self, h: tf.Tensor, head: tf.Tensor, scale: tf.Tensor, dtype: tf.DType
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """As in MomentsMemory, for the mean over tasks, where h [C, k + 1] is that of the mean embedding."""
        return _from_moments(self.hidden, self.head, self.scatter, h, head, scale, dtype)


Memory = DirectMemory | MomentsMemory | LinearMemory


def remember(
    hypernet: Hypernetwork, n_tasks: int, n_regularized: int | None = None, earlier: Memory | None = None
) -> Memory:
    """The snapshot of the first `n_tasks` tasks, before the next one is learned.

    `n_regularized` is how many of them enter each memory loss, sampled anew in each step (default: all, always); it
    decides which form is cheaper. `earlier` is the snapshot of fewer of the same tasks: with an empty trunk it saves
    reading their embeddings again, and the result is the same, bit for bit.
    """
    head = tf.identity(hypernet.head)
    n_rows = (n_regularized or n_tasks) * hypernet.n_chunks
    is_direct = 3 * n_rows < 4 * head.shape[0]
    if not is_direct and not hypernet.trunk and n_regularized is None:
        mean, scatter = _mean_and_scatter(hypernet, n_tasks, earlier)
        return LinearMemory(mean, hypernet.hidden(mean), head, scatter, tf.constant(n_tasks))
    embeddings = tf.identity(hypernet.task_embeddings[:n_tasks])  # [T, E]
    hidden = hypernet.hidden(embeddings)  # h* [T C, k + 1]
    return DirectMemory(embeddings, hidden @ head) if is_direct else MomentsMemory(embeddings, hidden, head)


def _mean_and_scatter(hypernet, n_tasks, earlier):
    """The mean task embedding [1, E] and the scatter of h* [k + 1, k + 1], each task added to those before it.

    Welford, "Note on a method for calculating corrected sums of squares and products" (1962), of the covariance.
    """
    if isinstance(earlier, LinearMemory) and earlier.n_tasks <= n_tasks:
        mean, scatter, n = earlier.embeddings, earlier.scatter, int(earlier.n_tasks)
    else:
        width = hypernet.head.shape[0]
        mean, scatter, n = tf.gather(hypernet.task_embeddings, [0]), tf.zeros([width, width]), 1
    for task in range(n, n_tasks):
        embedding, share = tf.gather(hypernet.task_embeddings, [task]), 1 / (task + 1)  # [1, E]
        away = hypernet.hidden(embedding) - hypernet.hidden(mean)  # [C, k + 1], without the chunk embeddings
        scatter = (1 - share) * (scatter + share * tf.matmul(away, away, transpose_a=True))
        mean += share * (embedding - mean)
    return mean, scatter


def memory_gradients(
    hypernet: Hypernetwork, memory: Memory, strength: float, dtype: tf.DType = tf.float32
) -> list[tf.Tensor]:
    """The gradient of strength / T * ||h H - h* H*||^2 for each of `hypernet.shared_variables`.

    Exact in float32; with `dtype` bfloat16 the wide products round what they multiply, and the rest stays float32.
    """
    *below_head, head = hypernet.shared_variables
    with tf.GradientTape() as tape:
        h = hypernet.hidden(memory.embeddings)  # [T C, k + 1]
    scale = (
        2 * strength / tf.cast(tf.shape(memory.embeddings)[0], h.dtype)
    )  # the mean over tasks, or 1 where it is taken
    dh, dhead = memory.gradients(h, head.read_value(), scale, dtype)
    return [*tape.gradient(h, below_head, output_gradients=dh), dhead]


def _from_moments(hidden, head_then, scatter, h, head, scale, dtype):
    """The moments form: from h* [n, k + 1], H* [k + 1, S] and what is to be added to h^T h*, to dL/dh and dL/dH."""
    d, D = h - hidden, head - head_then  # [n, k + 1], [k + 1, S]
    now, then, d, H, D = [tf.cast(x, dtype) for x in (h, hidden, d, head, D)]
    scale = tf.cast(scale, dtype)  # goes onto the moments [k + 1, k + 1], the smallest there are
    HH, DH = scale * tf.matmul(H, H, transpose_b=True), scale * tf.matmul(D, H, transpose_b=True)
    hd = scale * tf.matmul(now, d, transpose_a=True)
    hh = scale * (tf.matmul(now, then, transpose_a=True) + tf.cast(scatter, dtype))
    return tf.cast(d @ HH + then @ DH, h.dtype), tf.cast(hd @ H + hh @ D, h.dtype)


def _gather_rows(rows: tf.Tensor, tasks: tf.Tensor, n_chunks: int) -> tf.Tensor:
    """The rows [m C, ...] that belong to the given tasks [m]."""
    return tf.gather(rows, tf.reshape(tasks[:, None] * n_chunks + tf.range(n_chunks), [-1]))
