"""Learning one task: the two-step update, and its loop inside a graph; evaluation by the oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np

from hypernet_lib.adam import Adam
from hypernet_lib.batches import add_outliers, drop_pixels, in_epochs, key_of, shuffled, turned
from hypernet_lib.graphs import SCALAR, Graphs, Tensors, any_length
from hypernet_lib.memory import LinearMemory, Memory, memory_gradients, remember
from hypernet_lib.quiet import tf
from hypernet_lib.targets import Chunks, Target
from hypernet_lib.tasks import Tasks

# Up to this many remembered tasks all of them are regularized, whatever `regularized_tasks` says (the original's rule).
SAMPLE_ABOVE = 50
# What those settings may be that are words.
CHOICES = {
    "updates": ("two", "two_states", "combined", "lookahead"),
    "precision": ("float32", "bfloat16"),
    "outlier_order": ("shuffled", "turned"),
}


class TrainingError(ArithmeticError):
    """The loss or a variable is no longer a finite number; the message names the task and the step."""


class WeightGenerator(Protocol):
    """What a `Learner` needs of what has weights for every task: a `Hypernetwork`, or another network in its place."""

    task_embeddings: tf.Variable  # [N, ...], a row for each task, learned with it and frozen then
    shared_variables: list[tf.Variable]  # what every task uses and changes; none where nothing is shared
    head: tf.Variable | None  # the last of the shared, whose kernel decays; None: neither weight decay nor memory

    def weights(self, embedding: tf.Tensor) -> tf.Tensor | Chunks:
        """The target network's weights for one row of `task_embeddings`: flat, or in chunks not written yet."""


class Learner:
    """Teaches a hypernetwork one task after the other (von Oswald et al., arXiv 1906.00695, section 2).

    Args:
        hypernet, target, tasks: what learns, the network whose weights it generates, what is to be learned.
        batch_size, iters_per_task: images in a step; steps for a task. Task 0 gets twice the steps.
        learning_rate, final_learning_rate_fraction: Adam's rate falls linearly to that fraction within each task.
        embedding_rate_factor: the task embedding's rate, in units of that rate.
        l2_regularization: weight decay on the head's kernel.
        l2_memory_regularization: beta, the strength of the memory loss.
        regularized_tasks: "all", or how many remembered tasks each step samples once more than 50 are remembered.
        freeze_shared_after: after how many tasks nothing that tasks share is learned any more, only the embedding of a
            task, and no memory is needed; 0: from the start; "never".
        updates: "two" (the task's, then the memory's, with one Adam state, as in the original), "two_states" (each has
            a state of its own), "combined" (one update on the sum of both losses) or "lookahead" (one update on that
            sum, but with the memory loss taken where the task's update alone would lead: the paper's equation 2).
        precision: of the memory loss's wide products, "float32" or "bfloat16"; everything else is float32.
        input_dropout: the share of an image's pixels that are set to 0, their mean where pixels are centred, anew in
            each step; the others grow by as much (dropout, Srivastava et al., 2014, of a target network's inputs).
            Rounded to a 256th.
        outliers: how many images of a step are shown once more, their pixels in another order, as of none of the
            classes (outlier exposure, Hendrycks et al., arXiv 1812.04606). "None of them" is a logit that is always 0:
            log-sum-exp of the others is then the log-odds of an image of this task against such an outlier. On permuted
            tasks, and where outliers are turned, pixels are not to be centred, or an outlier is not what another task's
            image would be.
        outlier_order: of an outlier's pixels, "shuffled" (at random, one order in a step), or "turned" (a square image
            turned, mirrored or both).
        seed: decides the batches and the sampled tasks, both keyed by (seed, task, step).
        learned: the tasks that the hypernetwork has learned already.

    Attributes: the arguments by their names; `learned`, the set of tasks learned so far; `graphs`, the compiled ones;
    `state`, the variables that it needs to go on with the next task, beside those of the network: none.
    The settings are compiled into the graphs, and are not to be changed; `tasks` may be replaced at any time. Who sets
    embeddings of learned tasks other than by `learn` calls `restored` then.

    Methods that take a task, or a number of tasks, raise ValueError where there is none of that number, or where it is
    one that was to be learned first.
    """

    too_high = "learning_rate or l2_memory_regularization"  # what most often makes a loss no longer finite

    def __init__(
        self,
        hypernet: WeightGenerator,
        target: Target,
        tasks: Tasks,
        *,
        batch_size: int = 256,
        iters_per_task: int = 500,
        learning_rate: float = 1e-3,
        final_learning_rate_fraction: float = 0.02,
        embedding_rate_factor: float = 1.0,
        l2_regularization: float = 1e-6,
        l2_memory_regularization: float = 0.1,
        regularized_tasks: str | int = "all",
        freeze_shared_after: str | int = "never",
        updates: str = "two",
        precision: str = "float32",
        input_dropout: float = 0.0,
        outliers: int = 0,
        outlier_order: str = "shuffled",
        seed: int = 0,
        learned: Iterable[int] = (),
    ):
        if hypernet.head is None and (l2_regularization or l2_memory_regularization):
            raise ValueError(
                f"{type(hypernet).__name__} has no head: expected l2_regularization and l2_memory_regularization of 0, "
                f"got {l2_regularization} and {l2_memory_regularization}"
            )
        if not 0 <= outliers <= batch_size:
            raise ValueError(f"outliers: got {outliers}; expected 0 to {batch_size}, the images in a step")
        for name, word in {"updates": updates, "precision": precision, "outlier_order": outlier_order}.items():
            if word not in CHOICES[name]:
                raise ValueError(f"{name}: got {word!r}; expected {' or '.join(CHOICES[name])}")
        self.hypernet, self.target, self.tasks = hypernet, target, tasks
        self.batch_size, self.iters_per_task, self.seed = batch_size, iters_per_task, seed
        self.learning_rate, self.final_learning_rate_fraction = learning_rate, final_learning_rate_fraction
        self.embedding_rate_factor = embedding_rate_factor
        self.l2_regularization, self.l2_memory_regularization = l2_regularization, l2_memory_regularization
        self.regularized_tasks, self.freeze_shared_after = regularized_tasks, freeze_shared_after
        self.updates, self.precision = updates, tf.as_dtype(precision)
        self.input_dropout, self.outliers, self.outlier_order = input_dropout, outliers, outlier_order
        self.n_tasks, self.learned = hypernet.task_embeddings.shape[0], set(learned)
        # Of all task embeddings only the current task's moves: it is learned here, and put back when it is done.
        self.embedding = tf.Variable(hypernet.task_embeddings[0])  # [E]
        self.adam = Adam([self.embedding, *hypernet.shared_variables])
        self.memory_adam = Adam(hypernet.shared_variables) if updates == "two_states" else self.adam
        self.state: list[tf.Variable] = []
        self.graphs = Graphs()  # evaluation, and learning with each form of memory; for any number of tasks and images
        self._tensors = Tensors()  # what was last learned from, and tested on
        self._mean = None  # the newest snapshot by mean and scatter, of tasks that have not changed since

    def remember(self, n_tasks: int) -> Memory | None:
        """The snapshot of the first `n_tasks` tasks; None where nothing is to be held: no task, no beta, all frozen."""
        is_held = bool(n_tasks and self.l2_memory_regularization and not self._is_frozen(n_tasks))
        self._check_first(n_tasks, learned=is_held)
        if not is_held:
            return None
        memory = remember(self.hypernet, n_tasks, self.n_sampled(n_tasks), self._mean)
        self._mean = memory if isinstance(memory, LinearMemory) else None
        return memory

    def restored(self, n_tasks: int) -> None:
        """Say that the first tasks were learned elsewhere, and the hypernetwork's variables are set to that."""
        self.learned.update(range(n_tasks))
        self._mean = None

    def n_sampled(self, n_tasks: int) -> int | None:
        """How many of the remembered tasks each step samples; None where it takes them all."""
        if self.regularized_tasks == "all" or n_tasks <= max(SAMPLE_ABOVE, self.regularized_tasks):
            return None
        return self.regularized_tasks

    def n_steps(self, task: int) -> int:
        """How many steps a task gets: twice as many where everything starts from scratch, with task 0."""
        return 2 * self.iters_per_task if task == 0 else self.iters_per_task

    def learn(self, task: int, memory: Memory | None = None, iterations: int | None = None) -> np.ndarray:
        """Learn one task, held by the memory of earlier ones; None lets the hypernetwork forget.

        Returns the cross-entropy of every step, outliers included, float32 [iterations]. Raises TrainingError as soon
        as it is not finite.
        """
        self._check(task)
        iterations = self.n_steps(task) if iterations is None else iterations
        if iterations < 1:
            raise ValueError(f"iterations: got {iterations}; expected at least 1")
        frozen = self._is_frozen(task)
        memory = None if frozen else memory
        how = None if memory is None else self.n_sampled(int(memory.n_tasks)), frozen
        data = self._tensors("train", self.tasks.train(task), self.tasks.n_classes)
        if task in self.learned:
            self._mean = None
        learn = self.graphs(self._learn, SCALAR, SCALAR, any_length(data), memory and any_length(memory), *how)
        self.adam.reset()
        self.memory_adam.reset()
        losses = learn(tf.constant(task), tf.constant(iterations), data, memory, *how).numpy()
        self._check_finite(task, losses, iterations)
        self.learned.add(task)
        return losses

    def evaluate(self, task: int) -> float:
        """Accuracy on a task's test images, by the oracle: the task's own embedding writes the weights."""
        self._check(task, learned=True)
        data = self._tensors("test", self.tasks.test(task), self.tasks.n_classes)
        accuracy = self.graphs(self._accuracy, SCALAR, any_length(data))
        return float(accuracy(tf.constant(task), data))

    def logits(self, images: np.ndarray, task: int, permutation: np.ndarray | None = None) -> tf.Tensor:
        """The logits [M, classes] of images [M, pixels], seen through the permutation [pixels], by a task's weights."""
        self._check(task, learned=True)
        images = tf.convert_to_tensor(images, tf.float32)
        order = None if permutation is None else tf.convert_to_tensor(permutation, tf.int32)
        seen = None if order is None else tf.TensorSpec(order.shape, tf.int32)
        logits = self.graphs(self._logits, tf.TensorSpec([None, images.shape[1]]), SCALAR, seen)
        return logits(images, tf.constant(task), order)

    def step(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        permutation: tf.Tensor | None,
        memory: Memory | None,
        rate: tf.Tensor,
        frozen: bool = False,
    ) -> tf.Tensor:
        """One training step of `embedding` and the shared variables, by one update or by two, at a rate [].

        On a batch: images [B, pixels], labels [B], the task's permutation [pixels]. Returns the cross-entropy before.
        `frozen`: of `embedding` alone, without a memory.
        """
        shared = [] if frozen else self.hypernet.shared_variables
        variables = [self.embedding, *shared]
        rates = [rate * self.embedding_rate_factor, *[rate] * len(shared)]
        loss, gradients = self._task_gradients(images, labels, permutation, variables)
        one_update = self.updates in ("combined", "lookahead")
        if memory is not None and one_update:
            ahead = self.adam.changes(gradients[1:], shared, rate) if self.updates == "lookahead" else ()
            of_memory = self._memory_gradients(memory, ahead)
            gradients[1:] = [a + b for a, b in zip(gradients[1:], of_memory, strict=True)]
        self.adam.apply(gradients, variables, rates)
        if memory is not None and not one_update:
            self.memory_adam.apply(self._memory_gradients(memory), shared, rate)
        return loss

    def batch_order(self, task: tf.Tensor, iterations: tf.Tensor, n_images: tf.Tensor) -> tf.Tensor:
        """Which training image comes when, [iterations * batch] or more: whole epochs, each in an order of its own."""
        return in_epochs(iterations * self.batch_size, n_images, lambda epoch: self._key(task, -1 - epoch))

    def _check(self, task: int, learned: bool = False) -> None:
        if not 0 <= task < self.n_tasks:
            raise ValueError(f"task {task}: expected 0 to {self.n_tasks - 1}, as many as have embeddings")
        if learned and task not in self.learned:
            raise ValueError(f"task {task} was neither learned by this learner nor restored, as its embedding was")

    def _check_first(self, n_tasks: int, learned: bool = True) -> None:
        if not 0 <= n_tasks <= self.n_tasks:
            raise ValueError(f"{n_tasks} tasks to remember: expected 0 to {self.n_tasks}, as many as have embeddings")
        for task in range(n_tasks if learned else 0):
            self._check(task, learned=True)

    def _check_finite(self, task: int, losses: np.ndarray, iterations: int) -> None:
        variables = [self.embedding, *self.hypernet.shared_variables, *self.state]
        if not all(np.isfinite(values).all() for values in [losses, *variables]):
            raise TrainingError(
                f"task {task}, step {len(losses)} of {iterations}: the loss is not a finite number; nothing of this "
                f"task is kept. Most often {self.too_high} is too high"
            )

    def _is_frozen(self, task):
        return self.freeze_shared_after != "never" and task >= self.freeze_shared_after

    def _learn(self, task, iterations, data, memory, n_sampled, frozen):
        """The loop over the steps; traced once for a form of memory, run for a whole task."""
        images, labels, permutation = data
        order = self.batch_order(task, iterations, tf.shape(labels)[0])  # [iterations * batch]
        self.embedding.assign(tf.gather(self.hypernet.task_embeddings, task))

        def learn(step, rate):
            batch = tf.ensure_shape(order[step * self.batch_size : (step + 1) * self.batch_size], [self.batch_size])
            held = memory if n_sampled is None else self._sample(memory, n_sampled, self._key(task, step))
            shown = self._as_shown(tf.gather(images, batch), tf.gather(labels, batch), task, step)
            return self.step(*shown, permutation, held, rate, frozen)

        losses = self._steps(learn, iterations)
        self.hypernet.task_embeddings[task].assign(self.embedding)
        return losses

    def _steps(self, learn: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], iterations: tf.Tensor) -> tf.Tensor:
        """The loss of every step, `learn(step, rate)`, while it is finite; the rate falls linearly."""

        def goes_on(step, loss, losses):
            return (step < iterations) & tf.math.is_finite(loss)

        def one_step(step, loss, losses):
            fall = tf.cast(step, tf.float32) / tf.cast(tf.maximum(iterations - 1, 1), tf.float32)
            loss = learn(step, self.learning_rate * (1 - (1 - self.final_learning_rate_fraction) * fall))
            return step + 1, loss, losses.write(step, loss)

        losses = tf.TensorArray(tf.float32, size=iterations, element_shape=[])
        step, _, losses = tf.while_loop(goes_on, one_step, (tf.constant(0), tf.constant(0.0), losses))
        return losses.stack()[:step]

    def _as_shown(self, images, labels, task, step):
        """A batch as it is learned from: some of its pixels dropped, and below it the outliers, labelled as of none."""
        if self.input_dropout:
            images = drop_pixels(images, self.input_dropout, self._key(task, step, stream=10))
        if self.outliers:
            some, key = images[: self.outliers], self._key(task, step, stream=9)
            outliers = shuffled(some, key) if self.outlier_order == "shuffled" else turned(some)
            images, labels = add_outliers(images, labels, outliers, self.tasks.n_classes)
        return images, labels

    def _task_gradients(self, images, labels, permutation, variables):
        """The current task's cross-entropy, and its gradient, weight decay included, for each of the variables."""
        hypernet = self.hypernet
        with tf.GradientTape() as tape:
            logits = self.target(hypernet.weights(self.embedding), images, permutation)  # [B, classes]
            if self.outliers:
                logits = tf.pad(logits, [[0, 0], [0, 1]])  # "none of them"
            loss = cross_entropy(labels, logits)
        gradients = tape.gradient(loss, variables)
        if self.l2_regularization and variables[-1] is hypernet.head:
            decay = np.full([hypernet.head.shape[0], 1], 2 * self.l2_regularization, np.float32)
            decay[-1] = 0  # the bias does not decay
            gradients[-1] += decay * hypernet.head
        return loss, gradients

    def _memory_gradients(self, memory, ahead=()):
        """The memory loss's gradient for each shared variable: where they are, or where the changes `ahead` lead."""
        moved = self.hypernet.shared_variables if ahead else []
        here = [tf.identity(variable) for variable in moved]
        for variable, change in zip(moved, ahead, strict=True):
            variable.assign_add(change)
        gradients = memory_gradients(self.hypernet, memory, self.l2_memory_regularization, self.precision)
        for variable, value in zip(moved, here, strict=True):
            variable.assign(value)
        return gradients

    def _sample(self, memory, n_sampled, key):
        """The memory of a few tasks, drawn anew in each step."""
        order = tf.random.experimental.stateless_shuffle(tf.range(memory.n_tasks), key)
        return memory.sample(order[:n_sampled], self.hypernet.n_chunks)

    def _key(self, task, number, stream=4):
        """A key for stateless random numbers, from (seed, stream, task, number)."""
        return key_of(self.seed, stream, task, number)

    def _logits(self, images, task, permutation):
        embedding = tf.gather(self.hypernet.task_embeddings, task)  # reads this one row and no other
        return self.target(self.hypernet.weights(embedding), images, permutation)  # [M, classes]

    def _accuracy(self, task, data):
        logits = self._logits(data.images, task, data.permutation)  # [M, classes]
        correct = tf.argmax(logits, axis=1, output_type=tf.int32) == data.labels  # [M]
        return tf.reduce_mean(tf.cast(correct, tf.float32))


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The mean over a batch: labels [B], logits [B, classes]."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
