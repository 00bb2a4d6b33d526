"""The hypernetwork against a plain loop over chunks."""

import math

import numpy as np
import pytest

from hypernet_lib.hypernet import Hypernetwork
from hypernet_lib.targets import MLP

ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / np.sqrt(2))) / 2,
}
TARGET = MLP([6, 5, 3])  # 6*5 + 5 + 5*3 + 3 = 53 weights
SMALL = {"task_embedding_dim": 4, "num_chunks": 7, "hypernet_hidden_dims": [9]}


@pytest.mark.parametrize("hidden_dims", [[], [9], [9, 8]], ids=str)
@pytest.mark.parametrize("n_chunks", [1, 7, 53])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "gelu"])
def test_it_generates_what_a_loop_over_concatenated_embeddings_generates(hidden_dims, n_chunks, activation):
    hypernet = Hypernetwork(
        TARGET,
        2,
        task_embedding_dim=4,
        num_chunks=n_chunks,
        hypernet_hidden_dims=hidden_dims,
        hypernet_activation=activation,
    )
    chunks = []
    for chunk_embedding in hypernet.chunk_embeddings.numpy():
        x = np.concatenate([chunk_embedding, hypernet.task_embeddings[1].numpy()])
        for kernel, bias in hypernet.trunk:
            x = ACTIVATIONS[activation](x @ kernel.numpy() + bias.numpy())
        kernel, bias = hypernet.head.numpy()[:-1], hypernet.head.numpy()[-1]
        chunks.append(x @ kernel + bias)
    expected = np.concatenate(chunks)[:53]  # the surplus is dropped
    np.testing.assert_allclose(hypernet.generate(hypernet.task_embeddings[1]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hidden_dims", [[], [9], [9, 8]], ids=str)
@pytest.mark.parametrize("n_chunks", [1, 7])
def test_with_an_embedding_per_chunk_each_chunk_is_written_from_its_own(hidden_dims, n_chunks):
    hypernet = Hypernetwork(
        TARGET,
        3,
        task_embedding_dim=4,
        embedding_per_chunk=True,
        num_chunks=n_chunks,
        hypernet_hidden_dims=hidden_dims,
        hypernet_activation="relu",
    )
    assert hypernet.task_embeddings.shape == (3, 4 * n_chunks)
    written = []
    for embedding in hypernet.task_embeddings.numpy():
        chunks = []
        for c, chunk_embedding in enumerate(hypernet.chunk_embeddings.numpy()):
            x = np.concatenate([chunk_embedding, embedding[4 * c : 4 * c + 4]])
            for kernel, bias in hypernet.trunk:
                x = np.maximum(x @ kernel.numpy() + bias.numpy(), 0)
            chunks.append(x @ hypernet.head.numpy()[:-1] + hypernet.head.numpy()[-1])
        written.append(np.concatenate(chunks)[:53])
    np.testing.assert_allclose(hypernet.generate(hypernet.task_embeddings), written, rtol=1e-5, atol=1e-6)


def test_where_chunks_are_rows_each_of_the_first_holds_the_weights_of_one_pixel():
    hypernet = Hypernetwork(TARGET, 2, **SMALL | {"num_chunks": "rows"}, embedding_per_chunk=True)
    assert (hypernet.n_chunks, hypernet.chunk_size, hypernet.surplus) == (11, 5, 2)  # 6 + 1 + 3 + 1 rows for 53 weights
    before = hypernet.generate(hypernet.task_embeddings[0])
    for pixel in range(6):
        moved = hypernet.task_embeddings[0].numpy()
        moved[4 * pixel : 4 * pixel + 4] += 1
        changed = (hypernet.generate(moved) != before).numpy()
        assert changed[5 * pixel : 5 * pixel + 5].any() and changed.sum() <= 5
        assert not changed[: 5 * pixel].any() and not changed[5 * pixel + 5 :].any()


def test_many_embeddings_at_once_are_each_as_alone():
    hypernet = Hypernetwork(TARGET, 5, **SMALL)
    together = hypernet.generate(hypernet.task_embeddings)
    assert together.shape == (5, 53)
    for task in range(5):
        np.testing.assert_allclose(together[task], hypernet.generate(hypernet.task_embeddings[task]), atol=1e-6)


def test_parameters_counted_by_hand():
    hypernet = Hypernetwork(TARGET, 5, **SMALL)
    assert (hypernet.n_weights, hypernet.chunk_size, hypernet.surplus) == (53, 8, 3)
    by_hand = 5 * 4 + 7 * 4 + (8 * 9 + 9) + (9 * 8 + 8)
    assert hypernet.n_parameters == by_hand == sum(math.prod(variable.shape) for variable in hypernet.variables)
    assert hypernet.in_target_networks == by_hand / 53
    per_chunk = Hypernetwork(
        TARGET, 5, task_embedding_dim=4, embedding_per_chunk=True, num_chunks=7, hypernet_hidden_dims=[9]
    )
    assert per_chunk.n_parameters == by_hand + 5 * 6 * 4  # seven embeddings a task in place of one


def test_the_first_tasks_start_the_same_however_many_tasks_there_are():
    few, many = [Hypernetwork(TARGET, n, **SMALL) for n in (2, 50)]
    np.testing.assert_array_equal(few.task_embeddings, many.task_embeddings[:2])
    for one, other in zip(few.shared_variables, many.shared_variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_seed_and_the_deviations_decide_the_initial_values():
    one, other = [Hypernetwork(TARGET, 300, **SMALL, seed=s) for s in (0, 1)]
    assert not np.allclose(one.head, other.head)
    assert np.std(one.task_embeddings) == pytest.approx(1, abs=0.1)
    zero = Hypernetwork(TARGET, 300, **SMALL, embedding_init_std=0.1, chunk_embedding_init_std=0)
    assert np.std(zero.task_embeddings) == pytest.approx(0.1, abs=0.01)
    np.testing.assert_array_equal(zero.chunk_embeddings, 0)


def test_the_first_generated_weights_are_as_large_as_head_scale_says():
    def first_weights(head_scale):
        hypernet = Hypernetwork(TARGET, 4, **SMALL, head_init_scale=head_scale)
        return hypernet.generate(hypernet.task_embeddings).numpy()

    np.testing.assert_allclose(first_weights(0.2), 0.2 * first_weights(1.0), rtol=1e-5, atol=1e-7)
    assert not first_weights(0.0).any()
