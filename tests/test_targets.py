"""Target networks: where each weight lies in the flat vector, and what the forward pass makes of it."""

import numpy as np
import pytest

from hypernet_lib.sizes import count_weights
from hypernet_lib.targets import MLP, LeNet, unflatten

random = np.random.default_rng(0)


def test_weights_lie_one_shape_after_the_other_row_by_row():
    kernel, bias = unflatten(np.arange(8.0), [[2, 3], [2]])
    np.testing.assert_array_equal(kernel, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(bias, [6, 7])


def test_the_mlp_is_matrix_products_with_relu_between():
    mlp = MLP([4, 3, 2])
    weights, x = random.standard_normal(23).astype("f"), random.standard_normal([5, 4]).astype("f")
    k1, b1, k2, b2 = weights[:12].reshape(4, 3), weights[12:15], weights[15:21].reshape(3, 2), weights[21:]
    np.testing.assert_allclose(mlp(weights, x), np.maximum(x @ k1 + b1, 0) @ k2 + b2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("target, pixels", [(MLP([64, 7, 3]), 64), (LeNet((8, 8)), 64), (LeNet(), 784)])
def test_the_permutation_shuffles_the_pixels(target, pixels):
    weights = 0.1 * random.standard_normal(count_weights(target.shapes)).astype("f")
    images, permutation = random.standard_normal([5, pixels]).astype("f"), random.permutation(pixels).astype("i")
    expected = target(weights, images[:, permutation])
    np.testing.assert_allclose(target(weights, images, permutation), expected, rtol=1e-4, atol=1e-4)


def test_the_lenet_has_the_weights_of_lenet_5_on_28_by_28():
    by_hand = (25 * 6 + 6) + (25 * 6 * 16 + 16) + (400 * 120 + 120) + (120 * 84 + 84) + (84 * 10 + 10)
    assert count_weights(LeNet().shapes) == by_hand == 61_706


def test_the_lenets_first_convolution_against_a_plain_loop():
    lenet, image = LeNet(), random.standard_normal([28, 28]).astype("f")
    weights = np.zeros(61_706, "f")
    kernel = random.standard_normal([5, 5]).astype("f")
    weights[:150].reshape(5, 5, 6)[:, :, 0] = kernel  # channel 0 of the first layer, handed through to logit 0
    weights[156 : 156 + 2400].reshape(5, 5, 6, 16)[2, 2, 0, 0] = 1
    weights[2572 : 2572 + 48_000].reshape(5, 5, 16, 120)[0, 0, 0, 0] = 1
    weights[50_692], weights[60_856] = 1, 1
    padded = np.pad(image, 2)
    first = np.array([[(padded[i : i + 5, j : j + 5] * kernel).sum() for j in range(28)] for i in range(28)])
    pooled = np.maximum(first, 0).reshape(14, 2, 14, 2).max(axis=(1, 3))
    expected = pooled[2:4, 2:4].max()
    np.testing.assert_allclose(lenet(weights, image.reshape(1, -1))[0, 0], expected, rtol=1e-5)
