"""Target networks: their forward pass by weights that they are given. They own no variables.

Weights come flat, as one vector [P], or as `Chunks`, from which a layer need not be written to be applied: where chunks
are the rows of its kernel W, that kernel is h H, and

    x W = (x h) H        B k (n + m) multiply-adds for B images, against n k m + B n m when W [n, m] is written first

where a row of h has k numbers, the one included that is always 1 and brings the head's bias.

It is exact, and so are its gradients.
"""

from __future__ import annotations

import math
from itertools import accumulate, groupby, pairwise
from typing import NamedTuple, Protocol

from hypernet_lib.quiet import tf
from hypernet_lib.sizes import Shapes, count_weights, lenet, mlp


class Chunks(NamedTuple):
    """A target network's weights, not written yet: row i of h H is chunk i of the flat vector."""

    hidden: tf.Tensor  # h [C, k + 1]
    head: tf.Tensor  # H [k + 1, S]

    def write(self, n_weights: int) -> tf.Tensor:
        """The first weights of these chunks, flat: all P of them, or fewer of a part of the chunks."""
        return tf.reshape(self.hidden @ self.head, [-1])[:n_weights]


class Target(Protocol):
    """What a hypernetwork needs to know of the network whose weights it writes."""

    shapes: Shapes  # the weights' shapes, in the order in which they lie in the flat vector

    def __call__(
        self, weights: tf.Tensor | Chunks, images: tf.Tensor, permutation: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Logits [B, classes] of images [B, pixels], seen through the permutation [pixels]."""

    def features(self, weights: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """What the last layer makes logits of, [B, units]; of flat weights, which may lack those of the last layer."""


def unflatten(weights: tf.Tensor, shapes: Shapes) -> list[tf.Tensor]:
    """Cut a flat weight vector [P] into tensors of the given shapes, in their order."""
    parts = tf.split(weights, [math.prod(shape) for shape in shapes])
    return [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]


class MLP:
    """A multilayer perceptron with ReLU between its layers: dims [784, 300, 10] is 784 pixels, 300 units, 10 logits.

    Given chunks, it leaves a layer unwritten where its kernel's rows are chunks and that is cheaper.
    """

    def __init__(self, dims: list[int]):
        self.dims = list(dims)
        self.shapes = mlp(dims).shapes

    def __call__(self, weights, images, permutation=None):
        x = images
        for layer, (kernel, bias, head) in enumerate(self.layers(weights, images.shape[0])):
            x = tf.nn.relu(x) if layer else x
            if layer == 0 and permutation is not None:
                # x[:, p] @ K is x @ K[inverse of p]: shuffling the kernel's rows is cheaper than shuffling the images.
                kernel = _permute_rows(kernel, tf.math.invert_permutation(permutation), permutation)
            x = x @ kernel + bias  # [B, units]; or x h [B, k + 1]
            x = x if head is None else x @ head  # (x h) H [B, units]
        return x  # [B, classes]

    def features(self, weights, images):
        *dims, units, _ = self.dims
        return tf.nn.relu(MLP([*dims, units])(weights[: count_weights(self.shapes[:-2])], images)) if dims else images

    def layers(
        self, weights: tf.Tensor | Chunks, n_images: int | None
    ) -> list[tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]]:
        """(kernel [n, m], bias [m], None) of each layer; or, where it is not written, its rows of h and H.

        The latter are ([n, k + 1], [1, k + 1], H [k + 1, m]). Which layers are written follows from shapes alone, the
        number of images included where it is known.
        """
        if not isinstance(weights, Chunks):
            parts = unflatten(weights, self.shapes)
            return [(kernel, bias, None) for kernel, bias in zip(parts[::2], parts[1::2], strict=True)]
        (k, S), sizes = weights.head.shape, [n * m + m for n, m in pairwise(self.dims)]
        starts = accumulate(sizes, initial=0)
        written = [
            m != S or start % S != 0 or not _cheaper_in_rows(n, m, k, n_images)
            for start, (n, m) in zip(starts, pairwise(self.dims), strict=False)
        ]
        # Layers that are not written begin and end with a chunk, and so do those between them, all in one product.
        runs = [(is_written, [i for i, _ in run]) for is_written, run in groupby(enumerate(written), lambda w: w[1])]
        n_chunks = [-(-sum(sizes[i] for i in run) // S) for _, run in runs]
        found = []
        h = weights.hidden
        if h.shape[0] != sum(n_chunks):
            h = h[: sum(n_chunks)]  # without chunks that hold nothing but surplus
        for (is_written, run), hidden in zip(runs, tf.split(h, n_chunks), strict=True):
            if is_written:
                flat = Chunks(hidden, weights.head).write(sum(sizes[i] for i in run))
                parts, head = unflatten(flat, [shape for i in run for shape in self.shapes[2 * i : 2 * i + 2]]), None
            else:
                parts, head = tf.split(hidden, [n for i in run for n in (self.dims[i], 1)]), weights.head
            found += [(kernel, bias, head) for kernel, bias in zip(parts[::2], parts[1::2], strict=True)]
        return found


class LeNet:
    """LeNet-5 (LeCun et al., 1998) with ReLU and max pooling, for images of 28 x 28 pixels; others are resized to that.

    Two 5 x 5 convolutions to 6 and 16 channels, each followed by 2 x 2 pooling, then layers of 120, 84 and 10 units.
    """

    def __init__(self, image_shape: tuple[int, int] = (28, 28), n_classes: int = 10):
        self.image_shape = tuple(image_shape)
        self.shapes = lenet([math.prod(image_shape), n_classes]).shapes

    def __call__(self, weights, images, permutation=None):
        if isinstance(weights, Chunks):
            weights = weights.write(count_weights(self.shapes))
        if permutation is not None:
            images = tf.gather(images, permutation, axis=1)
        kernel, bias = unflatten(weights[count_weights(self.shapes[:-2]) :], self.shapes[-2:])
        return self.features(weights, images) @ kernel + bias  # [B, classes]

    def features(self, weights, images):
        layers = self.shapes[:-2]
        k1, b1, k2, b2, k3, b3, k4, b4 = unflatten(weights[: count_weights(layers)], layers)
        x = tf.reshape(images, [-1, *self.image_shape, 1])
        if self.image_shape != (28, 28):
            x = tf.image.resize(x, [28, 28])
        x = _pool(tf.nn.relu(tf.nn.conv2d(x, k1, 1, "SAME") + b1))  # [B, 14, 14, 6]
        x = _pool(tf.nn.relu(tf.nn.conv2d(x, k2, 1, "VALID") + b2))  # [B, 5, 5, 16]
        x = tf.reshape(x, [-1, 400])
        x = tf.nn.relu(x @ k3 + b3)  # [B, 120]
        return tf.nn.relu(x @ k4 + b4)  # [B, 84]


def _cheaper_in_rows(n: int, m: int, k: int, n_images: int | None) -> bool:
    """Whether (x h) H takes fewer multiply-adds than x (h H), for any number of images where none is given."""
    to_write = n * k * m / n_images if n_images else 0
    return k * (n + m) < n * m + to_write


@tf.custom_gradient
def _permute_rows(rows: tf.Tensor, order: tf.Tensor, inverse: tf.Tensor):
    """rows[order]; its gradient is a permutation too, where that of a general gather is a slow sum."""
    return tf.gather(rows, order), lambda gradient: (tf.gather(gradient, inverse), None, None)


def _pool(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.max_pool2d(x, 2, 2, "VALID")
