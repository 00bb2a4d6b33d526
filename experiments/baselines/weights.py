"""Methods that remember in weight space: each weight is held to where it was, by a force of its own.

A task is learned with the penalty

    strength / 2 * sum_k importance_k (w_k - w*_k)^2

where w* are the shared weights as the task before left them. The methods differ in what makes a weight important. One
head for all tasks is shared like the rest; with a head for each task, heads are not held, since none is learned twice.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.baselines.networks import InARow, OneNetwork
from hypernet_lib.quiet import tf
from hypernet_lib.targets import MLP, Target
from hypernet_lib.tasks import some_rows


class Anchor(NamedTuple):
    """What the weights are held to, and how tightly each."""

    weights: tf.Tensor  # w* [P]
    importance: tf.Tensor  # [P]
    n_tasks: tf.Tensor  # int32 []


class L2(InARow):
    """Every weight is as important as any other: the plain counterpart of EWC (in figure 2 of Kirkpatrick et al.)."""

    too_high = "learning_rate or l2.strength"

    def __init__(self, network: OneNetwork, target: Target, tasks, *, strength: float, **settings):
        super().__init__(network, target, tasks, **settings)
        self.strength = strength
        self.importance = tf.Variable(tf.ones_like(network.shared))  # [P]

    def remember(self, n_tasks: int) -> Anchor | None:
        """Where the shared weights are now; None before the first task, or without strength."""
        self._check_first(n_tasks)
        if not n_tasks or not self.strength:
            return None
        return Anchor(tf.identity(self.hypernet.shared), tf.identity(self.importance), tf.constant(n_tasks))

    def _check_new(self, task):
        if task in self.learned:
            raise ValueError(
                f"task {task} is learned already: its importance would count twice; build the learner anew"
            )

    def _memory_gradients(self, memory, ahead=()):
        return [self.strength * memory.importance * (self.hypernet.shared - memory.weights)]


class EWC(L2):
    """A weight is important by its Fisher information (Kirkpatrick et al., arXiv 1612.00796, equation 3).

    In the online form (Schwarz et al., arXiv 1805.06370), but nothing decays, and no task's information is normalised:
    that of all tasks adds up, and the weights are held to where the newest of them left them, so that 2 P numbers are
    kept however many tasks there are. It is taken at the end of each task from `images` of its training images.
    """

    too_high = "learning_rate or ewc.strength"

    def __init__(self, network: OneNetwork, target: Target, tasks, *, strength: float, images: int, **settings):
        super().__init__(network, target, tasks, strength=strength, **settings)
        self.images = images
        self.importance.assign(tf.zeros_like(self.importance))
        self.state = [self.importance]

    def learn(self, task, memory=None, iterations=None):
        self._check_new(task)
        losses = super().learn(task, memory, iterations)
        data = self.tasks.train(task)
        chosen = some_rows(len(data.labels), self.images, self.seed, 7, task)
        seen = data.shown(np.sort(chosen))
        information = self.graphs(self._information, tf.TensorSpec([None, seen.shape[1]]), tf.TensorSpec([None]))
        for part in np.array_split(seen, -(-len(seen) // 1000)):  # bounds the RAM
            found = information(tf.constant(part), tf.identity(self.embedding))
            self.importance.assign_add(found * (len(part) / len(seen)))
        return losses

    def _information(self, images, embedding):
        return fisher_information(self.target, self.hypernet.weights(embedding), images)[: self.importance.shape[0]]


def fisher_information(target: Target, weights: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """The diagonal of the Fisher information [P] of flat weights [P], the mean over images [M, pixels].

    That is the squared gradient of log p(label | image), expected over labels as the network itself predicts them: all
    classes, each by its probability.
    """
    return (_by_layer if isinstance(target, MLP) else _by_image)(target, weights, images)


def _by_image(target, weights, images):
    """Of any target network: an image's gradients are written out, one image after the other."""

    def add(total, image):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            log_p = tf.nn.log_softmax(target(weights, image[tf.newaxis]))[0]  # [classes]
        return total + tf.tensordot(tf.exp(log_p), tape.jacobian(log_p, weights) ** 2, 1)  # [P]

    return tf.foldl(add, images, tf.zeros_like(weights)) / tf.cast(tf.shape(images)[0], tf.float32)


def _by_layer(target, weights, images):
    """Of an MLP: an image's gradient of a kernel is the outer product of the layer's input and of the gradient of its
    output, so that a layer's squared gradients, summed over images, are one product.
    """
    x, inputs, outputs = images, [], []
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(weights)
        for layer, (kernel, bias, _) in enumerate(target.layers(weights, None)):
            x = tf.nn.relu(x) if layer else x
            inputs.append(x)  # [M, n]
            x = x @ kernel + bias
            outputs.append(x)  # [M, m]
        log_p = tf.nn.log_softmax(x)  # [M, classes]
        of_class = tf.unstack(log_p, axis=1)
    squares = [tf.zeros_like(output) for output in outputs]
    for log_p_of_one, p in zip(of_class, tf.unstack(tf.exp(log_p), axis=1), strict=True):
        gradients = tape.gradient(log_p_of_one, outputs)
        squares = [sums + p[:, tf.newaxis] * g**2 for sums, g in zip(squares, gradients, strict=True)]
    parts = []
    for x, square in zip(inputs, squares, strict=True):
        parts += [tf.matmul(x**2, square, transpose_a=True), tf.reduce_sum(square, axis=0)]
    return tf.concat([tf.reshape(part, [-1]) for part in parts], axis=0) / tf.cast(tf.shape(images)[0], tf.float32)


class SI(L2):
    """A weight is important by how far the loss fell along its way (Zenke et al., arXiv 1703.04200, equations 3 to 5).

    A step that moves weight k by d_k, where the task's loss has the gradient g_k, adds -g_k d_k to that weight's sum;
    at the end of the task its importance grows by the sum over the squared distance that it has come, plus `damping`.
    c of the paper is `strength`: its penalty has no half.
    """

    too_high = "learning_rate or si.strength"

    def __init__(self, network: OneNetwork, target: Target, tasks, *, strength: float, damping: float, **settings):
        super().__init__(network, target, tasks, strength=2 * strength, **settings)
        self.damping = damping
        self.importance.assign(tf.zeros_like(self.importance))
        self.path = tf.Variable(tf.zeros_like(self.importance))  # the sum of the task in hand [P]
        self.state = [self.importance]

    def step(self, images, labels, permutation, memory, rate, frozen=False):
        shared = self.hypernet.shared
        loss, (of_head, of_shared) = self._task_gradients(images, labels, permutation, [self.embedding, shared])
        held = 0 if memory is None else self._memory_gradients(memory)[0]
        before = tf.identity(shared)
        self.adam.apply([of_head, of_shared + held], [self.embedding, shared], rate)
        self.path.assign_sub(of_shared * (shared - before))
        return loss

    def learn(self, task, memory=None, iterations=None):
        self._check_new(task)
        before = tf.identity(self.hypernet.shared)
        self.path.assign(tf.zeros_like(self.path))
        losses = super().learn(task, memory, iterations)
        moved = self.hypernet.shared - before
        # A sum below zero, by noise, would push the weight away from where it was (the authors cut it, too).
        self.importance.assign_add(tf.nn.relu(self.path) / (moved**2 + self.damping))
        return losses
