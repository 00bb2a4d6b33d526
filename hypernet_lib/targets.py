"""Target networks: their forward pass by weights that they are given. They own no variables."""

from __future__ import annotations

import math
from typing import Protocol

from hypernet_lib.quiet import tf
from hypernet_lib.sizes import Shapes, lenet, mlp


class Target(Protocol):
    """What a hypernetwork needs to know of the network whose weights it writes."""

    shapes: Shapes  # the weights' shapes, in the order in which they lie in the flat vector

    def __call__(self, weights: tf.Tensor, images: tf.Tensor, permutation: tf.Tensor | None = None) -> tf.Tensor:
        """Logits [B, classes] of images [B, pixels], seen through the permutation [pixels], by flat weights [P]."""


def unflatten(weights: tf.Tensor, shapes: Shapes) -> list[tf.Tensor]:
    """Cut a flat weight vector [P] into tensors of the given shapes, in their order."""
    parts = tf.split(weights, [math.prod(shape) for shape in shapes])
    return [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]


class MLP:
    """A multilayer perceptron with ReLU between its layers: dims [784, 300, 10] is 784 pixels, 300 units, 10 logits."""

    def __init__(self, dims: list[int]):
        self.dims = list(dims)
        self.shapes = mlp(dims).shapes

    def __call__(self, weights, images, permutation=None):
        kernel, bias, *rest = unflatten(weights, self.shapes)
        if permutation is not None:
            # x[:, p] @ K is x @ K[inverse of p]: shuffling the kernel's rows is cheaper than shuffling the images.
            kernel = _permute_rows(kernel, tf.math.invert_permutation(permutation), permutation)
        x = images @ kernel + bias  # [B, units]
        for kernel, bias in zip(rest[::2], rest[1::2], strict=True):
            x = tf.nn.relu(x) @ kernel + bias
        return x  # [B, classes]


class LeNet:
    """LeNet-5 (LeCun et al., 1998) with ReLU and max pooling, for images of 28 x 28 pixels; others are resized to that.

    Two 5 x 5 convolutions to 6 and 16 channels, each followed by 2 x 2 pooling, then layers of 120, 84 and 10 units.
    """

    def __init__(self, image_shape: tuple[int, int] = (28, 28), n_classes: int = 10):
        self.image_shape = tuple(image_shape)
        self.shapes = lenet([math.prod(image_shape), n_classes]).shapes

    def __call__(self, weights, images, permutation=None):
        k1, b1, k2, b2, k3, b3, k4, b4, k5, b5 = unflatten(weights, self.shapes)
        if permutation is not None:
            images = tf.gather(images, permutation, axis=1)
        x = tf.reshape(images, [-1, *self.image_shape, 1])
        if self.image_shape != (28, 28):
            x = tf.image.resize(x, [28, 28])
        x = _pool(tf.nn.relu(tf.nn.conv2d(x, k1, 1, "SAME") + b1))  # [B, 14, 14, 6]
        x = _pool(tf.nn.relu(tf.nn.conv2d(x, k2, 1, "VALID") + b2))  # [B, 5, 5, 16]
        x = tf.reshape(x, [-1, 400])
        x = tf.nn.relu(x @ k3 + b3)  # [B, 120]
        x = tf.nn.relu(x @ k4 + b4)  # [B, 84]
        return x @ k5 + b5  # [B, classes]


@tf.custom_gradient
def _permute_rows(rows: tf.Tensor, order: tf.Tensor, inverse: tf.Tensor):
    """rows[order]; its gradient is a permutation too, where that of a general gather is a slow sum."""
    return tf.gather(rows, order), lambda gradient: (tf.gather(gradient, inverse), None, None)


def _pool(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.max_pool2d(x, 2, 2, "VALID")
