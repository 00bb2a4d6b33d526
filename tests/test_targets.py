"""Target networks: where each weight lies in the flat vector, and what the forward pass makes of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypernet_lib.hypernet import Hypernetwork
from hypernet_lib.quiet import tf
from hypernet_lib.sizes import count_weights, mlp
from hypernet_lib.targets import MLP, Chunks, LeNet, unflatten

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


def in_float64(target, n_chunks, embedding_dim, trunk, per_chunk):
    """A hypernetwork for the target with two tasks, all its variables in float64 and of the size of 1."""
    hypernet = Hypernetwork(
        target, 2, task_embedding_dim=embedding_dim, num_chunks=n_chunks, embedding_per_chunk=per_chunk,
        hypernet_hidden_dims=trunk, hypernet_activation="gelu",
    )  # fmt: skip
    numbers = np.random.default_rng(1)
    double = [
        tf.Variable(numbers.standard_normal(v.shape)) for v in [hypernet.task_embeddings, *hypernet.shared_variables]
    ]
    hypernet.task_embeddings, hypernet.chunk_embeddings, *layers, hypernet.head = double
    hypernet.trunk = list(zip(layers[::2], layers[1::2], strict=True))
    return hypernet


@settings(max_examples=60, deadline=None)
@given(
    dims=st.lists(st.integers(1, 12), min_size=2, max_size=4),
    equal=st.lists(st.booleans(), min_size=4, max_size=4),
    n_chunks=st.one_of(st.just("rows"), st.integers(1, 9)),
    embedding_dim=st.integers(1, 4),
    trunk=st.sampled_from([[], [3], [5, 2]]),
    per_chunk=st.booleans(),
    n_images=st.integers(1, 20),
    permuted=st.booleans(),
)
def test_layers_that_are_not_written_give_what_they_give_when_written(
    dims, equal, n_chunks, embedding_dim, trunk, per_chunk, n_images, permuted
):
    """Logits, and every gradient by automatic differentiation of the flat weights, over sizes of all sorts."""
    dims = [dims[0], *(dims[1] if same else d for same, d in zip(equal, dims[1:], strict=False))]  # rows in many layers
    n_chunks = "rows" if n_chunks == "rows" else min(n_chunks, count_weights(mlp(dims).shapes))
    target = MLP(dims)
    hypernet = in_float64(target, n_chunks, embedding_dim, trunk, per_chunk)
    numbers = np.random.default_rng(2)
    images, weighting = numbers.standard_normal([n_images, dims[0]]), numbers.standard_normal([n_images, dims[-1]])
    order = numbers.permutation(dims[0]).astype("i") if permuted else np.arange(dims[0])
    variables, found = [hypernet.task_embeddings, *hypernet.shared_variables], []
    for written in (True, False):
        with tf.GradientTape() as tape:
            if written:
                logits = target(hypernet.generate(hypernet.task_embeddings[1]), images[:, order])
            else:
                weights = hypernet.weights(hypernet.task_embeddings[1])
                logits = target(weights, tf.constant(images), tf.constant(order) if permuted else None)
            loss = tf.reduce_sum(weighting * logits)
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        found.append([logits, *map(tf.convert_to_tensor, gradients)])
    for ours, plain in zip(found[1], found[0], strict=True):
        assert np.linalg.norm(ours - plain) <= 1e-9 * max(1, np.linalg.norm(plain))


def written_layers(dims, n_chunks, k, n_images):
    """Which layers of an MLP are written, for chunks of k numbers each."""
    S = dims[1] if n_chunks == "rows" else -(-count_weights(MLP(dims).shapes) // n_chunks)
    C = -(-count_weights(MLP(dims).shapes) // S)
    layers = MLP(dims).layers(Chunks(tf.zeros([C, k]), tf.zeros([k, S])), n_images)
    return [i for i, (_, _, head) in enumerate(layers) if head is None]


@pytest.mark.parametrize(
    "dims, n_chunks, k, n_images, written",
    [
        ([784, 4000, 10], "rows", 71, 256, [1]),
        ([784, 4000, 10], "rows", 71, None, [1]),  # the same in a test, for any number of images
        ([784, 1000, 1000, 10], "rows", 71, 256, [2]),  # the second kernel's rows are chunks, too
        ([784, 1000, 2000, 1000, 10], "rows", 71, 256, [1, 3]),  # and the third's, after whole chunks
        ([784, 4000, 10], 600, 71, 256, [0, 1]),  # equal slices
        ([784, 300, 10], "rows", 351, 256, [1]),  # 256 images are few enough
        ([784, 300, 10], "rows", 351, None, [0, 1]),  # any number of them is not
        ([3, 3, 3], "rows", 2, None, [0, 1]),  # 2 * 6 > 9
        ([3, 3, 3], "rows", 1, None, []),  # 6 < 9
    ],
)
def test_what_is_written_follows_from_shapes(dims, n_chunks, k, n_images, written):
    assert written_layers(dims, n_chunks, k, n_images) == written


def test_no_tensor_of_a_training_step_is_as_large_as_the_kernel_that_is_not_written():
    target = MLP([784, 4000, 10])
    hypernet = Hypernetwork(
        target, 1, task_embedding_dim=35, embedding_per_chunk=True, num_chunks="rows", hypernet_hidden_dims=[]
    )

    @tf.function
    def gradients(images, permutation):
        with tf.GradientTape() as tape:
            logits = target(hypernet.weights(hypernet.task_embeddings[0]), images, permutation)
        return tape.gradient(logits, hypernet.shared_variables)

    graph = gradients.get_concrete_function(tf.TensorSpec([256, 784]), tf.TensorSpec([784], tf.int32)).graph
    sizes = [output.shape.num_elements() or 0 for op in graph.get_operations() for output in op.outputs]
    assert max(sizes) == 256 * 4000 < 784 * 4000 / 3


def test_a_target_that_knows_nothing_of_chunks_writes_them():
    lenet = LeNet((8, 8))
    hypernet = Hypernetwork(lenet, 1, task_embedding_dim=3, num_chunks=50, hypernet_hidden_dims=[4])
    images = random.standard_normal([5, 64]).astype("f")
    weights = hypernet.weights(hypernet.task_embeddings[0])
    np.testing.assert_array_equal(lenet(weights, images), lenet(hypernet.generate(hypernet.task_embeddings[0]), images))
