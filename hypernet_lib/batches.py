"""What a training step shows: which images come when, some of their pixels dropped, outliers beside them.

Every draw is by a key, so that a step shows the same however often, and after whatever, it is carried out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from hypernet_lib.quiet import tf


def key_of(seed: int, stream: int, task: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """A key for stateless random numbers, from (seed, stream, task, number), int32 [2]."""
    return tf.random.fold_in(tf.random.fold_in(tf.constant([seed, stream]), task), number)


def in_epochs(n_shown: tf.Tensor, n_images: tf.Tensor, key: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Which image comes when, [n_shown] or more: whole epochs, each in an order of its own, by `key(epoch)`."""
    n_epochs = (n_shown + n_images - 1) // n_images

    def order(epoch):
        return tf.argsort(tf.random.stateless_uniform([n_images], key(epoch)))

    return tf.reshape(tf.map_fn(order, tf.range(n_epochs)), [-1])


def drop_pixels(images: tf.Tensor, share: float, key: tf.Tensor) -> tf.Tensor:
    """Images [B, pixels] with a share of all pixels set to 0 and the others grown by as much.

    That is dropout (Srivastava et al., 2014) of a network's inputs. The share is rounded to a 256th: a random byte for
    each pixel costs less than a random number.
    """
    n_pixels, share = tf.size(images), round(256 * share)
    words = tf.random.stateless_uniform([(n_pixels + 3) // 4], key, minval=None, maxval=None, dtype=tf.int32)
    drawn = tf.reshape(tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:n_pixels], tf.shape(images))
    return tf.where(drawn < tf.constant(share, tf.uint8), 0.0, images / (1 - share / 256))


def shuffled(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Images [n, pixels], all with their pixels in one random order."""
    order = tf.random.experimental.stateless_shuffle(tf.range(images.shape[1]), key)
    return tf.gather(images, order, axis=1)


def turned(images: tf.Tensor) -> tf.Tensor:
    """Square images [n, pixels], each as it does not lie: turned, mirrored or both.

    A square can lie in eight ways. The others than its own come by turns, 1 to 7 and 1 again.
    """
    n, n_pixels = images.shape
    pixels = np.arange(n_pixels).reshape(math.isqrt(n_pixels), -1)
    orders = [np.rot90(square, k).reshape(-1) for square in (pixels, pixels.T) for k in range(4)]
    return tf.gather(images, np.stack([orders[1 + i % 7] for i in range(n)]), batch_dims=1)


def add_outliers(images: tf.Tensor, labels: tf.Tensor, outliers: tf.Tensor, none: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Images [B + n, pixels] and labels [B + n]: below the batch the outliers [n, pixels], labelled `none`.

    Outlier exposure (Hendrycks et al., arXiv 1812.04606), with outliers made of the batch itself.
    """
    n = outliers.shape[0]
    return tf.concat([images, outliers], axis=0), tf.concat([labels, tf.fill([n], none)], axis=0)
