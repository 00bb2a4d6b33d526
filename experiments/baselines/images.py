"""Methods that keep images: some of each earlier task (rehearsal), or all of every task from the first step (joint)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.baselines.networks import InARow, OneNetwork
from hypernet_lib.adam import Adam
from hypernet_lib.graphs import SCALAR
from hypernet_lib.quiet import tf
from hypernet_lib.targets import Target
from hypernet_lib.tasks import some_rows
from hypernet_lib.training import cross_entropy


class StoredImages(NamedTuple):
    """Images of several tasks, each in its task's order of pixels."""

    images: tf.Tensor  # [n, pixels]
    labels: tf.Tensor  # [n]
    tasks: tf.Tensor  # of which task each is [n]
    n_tasks: tf.Tensor  # int32 []


class Rehearsal(InARow):
    """Experience replay (Chaudhry et al., arXiv 1902.10486): a batch of stored images beside each of the task's.

    `images_per_task` training images of each task are stored, drawn at random with (seed, task). A step takes the sum
    of both batches' mean cross-entropies, as many images in each. With a head for each task, those of earlier tasks
    stay as they are.
    """

    def __init__(self, network: OneNetwork, target: Target, tasks, *, images_per_task: int, **settings):
        super().__init__(network, target, tasks, **settings)
        self.images_per_task = images_per_task
        self._stored = {}

    def remember(self, n_tasks: int) -> StoredImages | None:
        """The stored images of the first tasks; None before the first. Raises ValueError where a task has fewer."""
        self._check_first(n_tasks)
        if not n_tasks:
            return None
        for task in range(n_tasks):
            if task not in self._stored:
                data = self.tasks.train(task)
                n = len(data.labels)
                if self.images_per_task > n:
                    raise ValueError(
                        f"rehearsal.images_per_task: got {self.images_per_task}; expected at most {n}, the "
                        f"training images of task {task}"
                    )
                chosen = some_rows(n, self.images_per_task, self.seed, 6, task)
                self._stored[task] = data.shown(chosen), data.labels[chosen]
        images, labels = zip(*[self._stored[task] for task in range(n_tasks)], strict=True)
        tasks = np.repeat(np.arange(n_tasks), [len(some) for some in labels])
        return StoredImages(
            tf.constant(np.concatenate(images), tf.float32),
            tf.constant(np.concatenate(labels), tf.int32),
            tf.constant(tasks, tf.int32),
            tf.constant(n_tasks),
        )

    def n_sampled(self, n_tasks: int) -> int:
        """How many stored images a step takes."""
        return self.batch_size

    def _sample(self, memory, n_sampled, key):
        n = tf.shape(memory.labels)[0]
        chosen = tf.random.stateless_uniform([n_sampled], key, maxval=n, dtype=tf.int32)
        return memory._replace(**{name: tf.gather(getattr(memory, name), chosen) for name in memory._fields[:3]})

    def _memory_gradients(self, memory, ahead=()):
        with tf.GradientTape() as tape:
            loss = cross_entropy(memory.labels, self.hypernet.logits(memory.images, memory.tasks))
        return tape.gradient(loss, self.hypernet.shared_variables)


class Union(NamedTuple):
    """The training images of all tasks: task t has `counts[t]` images from row `starts[t]`, in its order of pixels."""

    images: tf.Tensor  # [n, pixels]
    labels: tf.Tensor  # [n]
    starts: tf.Tensor  # [N]
    counts: tf.Tensor  # [N]
    permutations: tf.Tensor  # [N, pixels]


class Joint(InARow):
    """Learns all tasks together from the first step: what one such network reaches in as many steps with all images.

    Every image of a batch is a random one of a random task. All is learned with task 0, in as many steps as the other
    methods make in all; with the later tasks nothing is left to learn.
    """

    def __init__(self, network: OneNetwork, target: Target, tasks, **settings):
        super().__init__(network, target, tasks, **settings)
        self.adam = self.memory_adam = Adam([network.task_embeddings, network.shared])
        self.loss = tf.Variable(0.0)  # what it came to
        self.state = [self.loss, network.task_embeddings]  # whose heads are learned before their tasks are counted

    def learn(self, task, memory=None, iterations=None):
        """All tasks, where it is task 0, in so many steps together. With a later one: the loss that there was, [1]."""
        self._check(task)
        if task:
            self._check(0, learned=True)
            self.learned.add(task)
            return self.loss.numpy().reshape(1)
        iterations = sum(map(self.n_steps, range(self.n_tasks))) if iterations is None else iterations
        self.adam.reset()
        union = self._union()
        learn = self.graphs(self._learn_together, SCALAR, Union(*(tf.TensorSpec(t.shape, t.dtype) for t in union)))
        losses = learn(tf.constant(iterations), union).numpy()
        self._check_finite(task, losses, iterations)
        self.loss.assign(losses[-50:].mean())
        self.learned.add(task)
        return losses

    def _learn_together(self, iterations, union):
        variables = [self.hypernet.task_embeddings, self.hypernet.shared]

        def learn(step, rate):
            images, labels, tasks = self._draw(union, step)
            images, labels = self._as_shown(images, labels, 0, step)
            with tf.GradientTape() as tape:
                loss = cross_entropy(labels, self.hypernet.logits(images, tasks))
            gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            self.adam.apply(gradients, variables, rate)
            return loss

        return self._steps(learn, iterations)

    def _draw(self, union, step):
        """A step's batch: images [B, pixels] in their tasks' orders of pixels, labels [B], tasks [B]."""
        of_task, of_image = tf.unstack(tf.random.split(self._key(0, step), 2))
        tasks = tf.random.stateless_uniform([self.batch_size], of_task, maxval=self.n_tasks, dtype=tf.int32)
        counts = tf.cast(tf.gather(union.counts, tasks), tf.float32)
        within = tf.cast(tf.random.stateless_uniform([self.batch_size], of_image) * counts, tf.int32)
        rows = tf.gather(union.starts, tasks) + within
        images = tf.gather(tf.gather(union.images, rows), tf.gather(union.permutations, tasks), batch_dims=1)
        return images, tf.gather(union.labels, rows), tasks

    def _union(self) -> Union:
        """All tasks' images; those that several tasks show are there once."""
        arrays, starts, counts, permutations, n = {}, [], [], [], 0
        for task in range(self.n_tasks):
            images, labels, permutation = self.tasks.train(task)
            key = id(images), id(labels)
            if key not in arrays:
                arrays[key] = images, labels, n
                n += len(labels)
            starts.append(arrays[key][2])
            counts.append(len(labels))
            permutations.append(np.arange(images.shape[1]) if permutation is None else permutation)
        images, labels, _ = zip(*arrays.values(), strict=True)
        return Union(
            tf.constant(np.concatenate(images), tf.float32),
            *(tf.constant(x, tf.int32) for x in (np.concatenate(labels), starts, counts, np.array(permutations))),
        )
