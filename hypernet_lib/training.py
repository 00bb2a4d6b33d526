"""Learning one task: the two-step update, with its loop inside one compiled graph; and evaluation by the oracle."""

from __future__ import annotations

import numpy as np

from hypernet_lib.adam import Adam
from hypernet_lib.hypernet import Hypernetwork
from hypernet_lib.memory import Memory, memory_gradients, remember
from hypernet_lib.quiet import tf
from hypernet_lib.targets import Target
from hypernet_lib.tasks import PermutedTasks

# Up to this many remembered tasks all of them are regularized, whatever `regularized_tasks` says (the original's rule).
SAMPLE_ABOVE = 50


class TrainingError(ArithmeticError):
    """The loss or a variable is no longer a finite number; the message names the task and the step."""


class Learner:
    """Teaches a hypernetwork one task after the other (von Oswald et al., arXiv 1906.00695, section 2).

    Args:
        hypernet, target, tasks: what learns, the network it writes, what is to be learned.
        batch_size, iterations: images in a step; steps for a task. Task 0 gets twice the steps.
        learning_rate, final_learning_rate_fraction: Adam's rate falls linearly to that fraction within each task.
        embedding_rate_factor: the task embedding's rate, in units of that rate.
        l2_regularization: weight decay on the head's kernel.
        l2_memory_regularization: beta, the strength of the memory loss.
        regularized_tasks: "all", or how many remembered tasks each step samples once more than 50 are remembered.
        updates: "two" (the task's, then the memory's, with one Adam state, as in the original), "two_states" (each has
            a state of its own) or "combined" (one update on the sum of both losses).
        precision: of the memory loss's wide products, "float32" or "bfloat16"; everything else is float32.
        seed: decides the batches and the sampled tasks, both keyed by (seed, task, step).
    """

    def __init__(
        self,
        hypernet: Hypernetwork,
        target: Target,
        tasks: PermutedTasks,
        *,
        batch_size: int = 256,
        iterations: int = 500,
        learning_rate: float = 1e-3,
        final_learning_rate_fraction: float = 0.02,
        embedding_rate_factor: float = 1.0,
        l2_regularization: float = 1e-6,
        l2_memory_regularization: float = 0.1,
        regularized_tasks: str | int = "all",
        updates: str = "two",
        precision: str = "float32",
        seed: int = 0,
    ):
        self.hypernet, self.target, self.tasks = hypernet, target, tasks
        self.batch_size, self.iterations, self.seed = batch_size, iterations, seed
        self.learning_rate, self.final_fraction = learning_rate, final_learning_rate_fraction
        self.embedding_factor = embedding_rate_factor
        self.l2, self.beta, self.regularized_tasks = l2_regularization, l2_memory_regularization, regularized_tasks
        # Of all task embeddings only the current task's moves: it is learned here, and put back when it is done.
        self.embedding = tf.Variable(hypernet.task_embeddings[0])  # [E]
        self.adam = Adam([self.embedding, *hypernet.shared_variables])
        self.memory_adam = Adam(hypernet.shared_variables) if updates == "two_states" else self.adam
        self.updates, self.precision = updates, tf.as_dtype(precision)
        self._train_data = tf.constant(tasks.train_images), tf.constant(tasks.train_labels)
        self._test_data = tf.constant(tasks.test_images), tf.constant(tasks.test_labels)
        self._compiled = {}  # graphs: evaluation, and learning with each form of memory, for any number of tasks

    def remember(self, n_tasks: int) -> Memory | None:
        """The snapshot of the first `n_tasks` tasks; None where there is none to remember, or where beta is 0."""
        return remember(self.hypernet, n_tasks, self.n_sampled(n_tasks)) if n_tasks and self.beta else None

    def n_sampled(self, n_tasks: int) -> int | None:
        """How many of the remembered tasks each step samples; None where it takes them all."""
        if self.regularized_tasks == "all" or n_tasks <= max(SAMPLE_ABOVE, self.regularized_tasks):
            return None
        return self.regularized_tasks

    def learn(self, task: int, memory: Memory | None = None, iterations: int | None = None) -> np.ndarray:
        """Learn one task, held by the memory of earlier ones; None lets the hypernetwork forget.

        Returns the cross-entropy of every step, float32 [iterations]. Raises TrainingError as soon as it is not finite.
        """
        iterations = iterations or (2 * self.iterations if task == 0 else self.iterations)
        n_sampled = None if memory is None else self.n_sampled(memory.embeddings.shape[0])
        learn = self._graph(
            (type(memory), n_sampled),
            self._learn,
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([self.tasks.n_pixels], tf.int32),
            memory and _any_number_of_tasks(memory),
            n_sampled,
        )
        self.adam.reset()
        self.memory_adam.reset()
        arguments = tf.constant(task), tf.constant(iterations), tf.constant(self.tasks.permutation(task))
        losses = learn(*arguments, *(memory or ())).numpy()
        if not all(np.isfinite(values).all() for values in [losses, *self.hypernet.shared_variables]):
            raise TrainingError(
                f"task {task}, step {len(losses)} of {iterations}: the loss is not a finite number; nothing of this "
                f"task is kept. Most often learning_rate or l2_memory_regularization is too high"
            )
        return losses

    def evaluate(self, task: int) -> float:
        """Accuracy on a task's test images, by the oracle: the task's own embedding writes the weights."""
        pixels = tf.TensorSpec([self.tasks.n_pixels], tf.int32)
        accuracy = self._graph("accuracy", self._accuracy, tf.TensorSpec([], tf.int32), pixels)
        return float(accuracy(tf.constant(task), tf.constant(self.tasks.permutation(task))))

    def _graph(self, key, function, *signature):
        """The function as a graph for one signature, traced when it is first asked for."""
        if key not in self._compiled:
            self._compiled[key] = tf.function(function).get_concrete_function(*signature)
        return self._compiled[key]

    def _learn(self, task, iterations, permutation, memory, n_sampled):
        """The loop over the steps; traced once for a form of memory, run for a whole task."""
        images, labels = self._train_data
        order = self._batch_order(task, iterations)  # [iterations * batch]
        self.embedding.assign(self.hypernet.task_embeddings[task])
        losses = tf.TensorArray(tf.float32, size=iterations, element_shape=[])
        step, loss = tf.constant(0), tf.constant(0.0)
        while step < iterations and tf.math.is_finite(loss):
            batch = tf.ensure_shape(order[step * self.batch_size : (step + 1) * self.batch_size], [self.batch_size])
            fall = tf.cast(step, tf.float32) / tf.cast(tf.maximum(iterations - 1, 1), tf.float32)
            rate = self.learning_rate * (1 - (1 - self.final_fraction) * fall)
            held = memory if n_sampled is None else self._sample(memory, n_sampled, self._key(task, step))
            loss = self._step(tf.gather(images, batch), tf.gather(labels, batch), permutation, held, rate)
            losses = losses.write(step, loss)
            step += 1
        self.hypernet.task_embeddings[task].assign(self.embedding)
        return losses.stack()[:step]

    def _step(self, images, labels, permutation, memory, rate):
        """One training step, by one update or by two; returns the cross-entropy before it."""
        shared = self.hypernet.shared_variables
        variables = [self.embedding, *shared]
        rates = [rate * self.embedding_factor, *[rate] * len(shared)]
        loss, gradients = self._task_gradients(images, labels, permutation, variables)
        if memory is not None and self.updates == "combined":
            of_memory = memory_gradients(self.hypernet, memory, self.beta, self.precision)
            gradients[1:] = [a + b for a, b in zip(gradients[1:], of_memory, strict=True)]
        self.adam.apply(gradients, variables, rates)
        if memory is not None and self.updates != "combined":
            of_memory = memory_gradients(self.hypernet, memory, self.beta, self.precision)
            self.memory_adam.apply(of_memory, shared, rate)
        return loss

    def _task_gradients(self, images, labels, permutation, variables):
        """The current task's cross-entropy, and its gradient, weight decay included, for each of the variables."""
        hypernet = self.hypernet
        with tf.GradientTape() as tape:
            weights = hypernet.generate(self.embedding)  # [P]
            logits = self.target(weights, images, permutation)  # [B, classes]
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        *gradients, head_gradient = tape.gradient(loss, variables)
        if self.l2:
            decay = np.full([hypernet.head.shape[0], 1], 2 * self.l2, np.float32)
            decay[-1] = 0  # the bias does not decay
            head_gradient += decay * hypernet.head
        return loss, [*gradients, head_gradient]

    def _sample(self, memory, n_sampled, key):
        """The memory of a few tasks, drawn anew in each step."""
        order = tf.random.experimental.stateless_shuffle(tf.range(tf.shape(memory.embeddings)[0]), key)
        return memory.sample(order[:n_sampled], self.hypernet.n_chunks)

    def _key(self, task, number):
        """A key for stateless random numbers, from (seed, task, number)."""
        return tf.random.fold_in(tf.random.fold_in(tf.constant([self.seed, 4]), task), number)

    def _batch_order(self, task, iterations):
        """Which training image comes when, [iterations * batch] or more: whole epochs, each in an order of its own."""
        n_images = self._train_data[1].shape[0]
        n_epochs = (iterations * self.batch_size + n_images - 1) // n_images

        def order(epoch):
            return tf.argsort(tf.random.stateless_uniform([n_images], self._key(task, -1 - epoch)))

        return tf.reshape(tf.map_fn(order, tf.range(n_epochs)), [-1])

    def _accuracy(self, task, permutation):
        images, labels = self._test_data
        weights = self.hypernet.generate(self.hypernet.task_embeddings[task])  # [P]
        predicted = tf.argmax(self.target(weights, images, permutation), axis=1, output_type=tf.int32)  # [M]
        return tf.reduce_mean(tf.cast(predicted == labels, tf.float32))


def _any_number_of_tasks(memory: Memory) -> Memory:
    """The memory's tensor shapes with the number of tasks left open, so that nothing is traced twice."""
    tensors = memory._asdict()
    return type(memory)(
        **{n: tf.TensorSpec(t.shape if n == "head" else [None, *t.shape[1:]], t.dtype) for n, t in tensors.items()}
    )
