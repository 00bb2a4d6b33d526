"""What a training step shows: which images come when, some of their pixels dropped, outliers beside them.

Every draw is by a key, so that a step shows the same however often, and after whatever, it is carried out.
"""

from __future__ import annotations

from collections.abc import Callable

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


def add_outliers(
    images: tf.Tensor, labels: tf.Tensor, n: int, none: int, key: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Images [B + n, pixels] and labels [B + n]: below the batch its first n images, pixels shuffled, labelled `none`.

    All of them have their pixels in one order (outlier exposure, Hendrycks et al., arXiv 1812.04606).
    """
    order = tf.random.experimental.stateless_shuffle(tf.range(images.shape[1]), key)
    shuffled = tf.gather(images[:n], order, axis=1)
    return tf.concat([images, shuffled], axis=0), tf.concat([labels, tf.fill([n], none)], axis=0)
