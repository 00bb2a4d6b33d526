"""The memory loss's gradient, in both its forms, against automatic differentiation of the plain formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypernet_lib.hypernet import Hypernetwork
from hypernet_lib.memory import DirectMemory, LinearMemory, MomentsMemory, memory_gradients, remember
from hypernet_lib.quiet import tf
from hypernet_lib.targets import MLP

STRENGTH = 0.3
# target's dims, tasks, chunks, trunk: with and without surplus, empty trunk, one chunk, one task, many tasks
SIZES = [
    ([6, 5, 3], 4, 7, [9, 8]),
    ([6, 5, 3], 4, 53, [9]),
    ([6, 5, 3], 1, 7, [9, 8]),
    ([6, 5, 3], 3, 1, [9, 8]),
    ([6, 5, 3], 4, 7, []),
    ([4, 3], 100, 4, [6]),
    ([6, 5, 3], 4, "rows", [9]),
    ([6, 5, 3], 3, "rows", []),
]


def changed_since_snapshot(dims, n_tasks, n_chunks, hidden_dims):
    """A hypernetwork, its snapshot in both forms, and all it generated then [T, C S]; then it is moved."""
    hypernet = Hypernetwork(
        MLP(dims), n_tasks + 1, task_embedding_dim=5, embedding_per_chunk=n_chunks == "rows", num_chunks=n_chunks,
        hypernet_hidden_dims=hidden_dims, hypernet_activation="relu",
    )  # fmt: skip
    embeddings = tf.identity(hypernet.task_embeddings[:n_tasks])
    hidden, head = hypernet.hidden(embeddings), tf.identity(hypernet.head)
    forms = [DirectMemory(embeddings, hidden @ head), MomentsMemory(embeddings, hidden, head)]
    then = generated(hypernet, embeddings)
    random = np.random.default_rng(0)
    for variable in hypernet.shared_variables:
        variable.assign_add(0.1 * random.standard_normal(variable.shape).astype(np.float32))
    return hypernet, forms, then


def generated(hypernet, embeddings):
    """Everything the hypernetwork writes, the surplus included: the trunk and the head in plain words, [T, C S]."""
    chunks = []
    for embedding in tf.unstack(embeddings):
        for c, chunk_embedding in enumerate(tf.unstack(hypernet.chunk_embeddings)):
            per_chunk = len(embedding) > len(chunk_embedding)
            own = embedding[5 * c : 5 * c + 5] if per_chunk else embedding
            x = tf.concat([chunk_embedding, own], axis=0)
            for kernel, bias in hypernet.trunk:
                x = tf.nn.relu(tf.linalg.matvec(kernel, x, transpose_a=True) + bias)
            chunks.append(tf.linalg.matvec(hypernet.head[:-1], x, transpose_a=True) + hypernet.head[-1])
    return tf.reshape(tf.stack(chunks), [len(embeddings), -1])


def memory_loss(hypernet, then, tasks):
    """STRENGTH times the mean over the tasks of the summed squared change since `then` [T, C S]."""
    now = generated(hypernet, tf.gather(hypernet.task_embeddings, tasks))
    return STRENGTH * tf.reduce_mean(tf.reduce_sum((now - tf.gather(then, tasks)) ** 2, axis=1))


def assert_gradients(hypernet, memory, then, tasks):
    with tf.GradientTape() as tape:
        loss = memory_loss(hypernet, then, tasks)
    expected = tape.gradient(loss, hypernet.shared_variables)
    for ours, theirs in zip(memory_gradients(hypernet, memory, STRENGTH), expected, strict=True):
        assert np.linalg.norm(ours - theirs) <= 1e-4 * np.linalg.norm(theirs)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("form", [0, 1], ids=["direct", "moments"])
def test_the_gradient_is_that_of_the_plain_formula(sizes, form):
    hypernet, forms, then = changed_since_snapshot(*sizes)
    assert_gradients(hypernet, forms[form], then, range(len(then)))


@pytest.mark.parametrize("n_tasks", [8, 60])
@pytest.mark.parametrize("n_chunks, per_chunk", [(7, False), (7, True), ("rows", True)])
def test_with_an_empty_trunk_the_tasks_mean_and_scatter_tell_all(n_tasks, n_chunks, per_chunk):
    hypernet = Hypernetwork(
        MLP([6, 5, 3]), n_tasks + 1, task_embedding_dim=5, embedding_per_chunk=per_chunk, num_chunks=n_chunks,
        hypernet_hidden_dims=[],
    )  # fmt: skip
    memory, then = remember(hypernet, n_tasks), generated(hypernet, hypernet.task_embeddings[:n_tasks])
    random = np.random.default_rng(0)
    for variable in hypernet.shared_variables:
        variable.assign_add(0.1 * random.standard_normal(variable.shape).astype(np.float32))
    assert isinstance(memory, LinearMemory) and memory.hidden.shape[0] == hypernet.n_chunks
    assert_gradients(hypernet, memory, then, range(n_tasks))


def test_a_snapshot_that_goes_on_from_an_earlier_one_is_the_same_to_the_bit_and_reads_no_old_embedding():
    hypernet = Hypernetwork(
        MLP([6, 5, 3]), 40, task_embedding_dim=5, embedding_per_chunk=True, num_chunks="rows", hypernet_hidden_dims=[]
    )
    earlier, afresh = remember(hypernet, 12), remember(hypernet, 40)
    hypernet.task_embeddings[:12].assign(tf.fill([12, hypernet.sizes.per_task], float("nan")))
    hypernet.chunk_embeddings.assign_add(tf.ones_like(hypernet.chunk_embeddings))  # as learning does
    later = remember(hypernet, 40, earlier=earlier)
    np.testing.assert_array_equal(later.embeddings, afresh.embeddings)
    np.testing.assert_array_equal(later.scatter, afresh.scatter)
    assert remember(hypernet, 12, earlier=earlier).n_tasks == 12
    assert np.isnan(remember(hypernet, 11, earlier=earlier).embeddings).any()  # of fewer tasks: read anew


@settings(max_examples=50, deadline=None)
@given(n_rows=st.integers(1, 300), k=st.integers(1, 20), S=st.integers(1, 30), seed=st.integers(0, 1000))
def test_in_float64_both_forms_are_exact(n_rows, k, S, seed):
    random = np.random.default_rng(seed)
    h, h_then, H, H_then = [
        tf.constant(random.standard_normal(shape)) for shape in [(n_rows, k), (n_rows, k), (k, S), (k, S)]
    ]
    scale = tf.constant(0.7, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch([h, H])
        loss = scale / 2 * tf.reduce_sum((h @ H - h_then @ H_then) ** 2)
    expected = tape.gradient(loss, [h, H])
    for memory in [DirectMemory(h, h_then @ H_then), MomentsMemory(h, h_then, H_then)]:
        for ours, theirs in zip(memory.gradients(h, H, scale, tf.float64), expected, strict=True):
            assert np.linalg.norm(ours - theirs) <= 1e-9 * np.linalg.norm(theirs)


@pytest.mark.parametrize("form", [0, 1], ids=["direct", "moments"])
def test_in_bfloat16_the_gradient_is_rounded_and_no_more(form):
    hypernet, forms, then = changed_since_snapshot([6, 5, 3], 4, 7, [9, 8])
    with tf.GradientTape() as tape:
        loss = memory_loss(hypernet, then, range(4))
    expected = tape.gradient(loss, hypernet.shared_variables)
    rounded = memory_gradients(hypernet, forms[form], STRENGTH, tf.bfloat16)
    for ours, theirs in zip(rounded, expected, strict=True):
        assert ours.dtype == tf.float32
        assert 1e-6 < np.linalg.norm(ours - theirs) / np.linalg.norm(theirs) < 0.02  # 8 bits: 0.004 a number


def test_nothing_has_changed_right_after_the_snapshot():
    hypernet = Hypernetwork(MLP([6, 5, 3]), 4, task_embedding_dim=5, num_chunks=7, hypernet_hidden_dims=[9])
    for gradient in memory_gradients(hypernet, remember(hypernet, 3), STRENGTH):
        np.testing.assert_allclose(gradient, 0, atol=1e-6)


def test_the_snapshot_does_not_move_with_the_hypernetwork():
    hypernet = Hypernetwork(MLP([6, 5, 3]), 40, task_embedding_dim=5, num_chunks=7, hypernet_hidden_dims=[9])
    for n_tasks in (1, 40):  # one in each form
        memory = remember(hypernet, n_tasks)
        before = [tensor.numpy().copy() for tensor in memory]
        for variable in [hypernet.task_embeddings, *hypernet.shared_variables]:
            variable.assign_add(tf.ones_like(variable))
        for tensor, then in zip(memory, before, strict=True):
            np.testing.assert_array_equal(tensor, then)


def test_the_form_is_chosen_from_the_shapes_alone():
    hypernet = Hypernetwork(MLP([6, 5, 3]), 40, task_embedding_dim=5, num_chunks=7, hypernet_hidden_dims=[29])
    assert isinstance(remember(hypernet, 5), DirectMemory)  # 3 * 35 rows < 4 * 30
    assert isinstance(remember(hypernet, 6), MomentsMemory)  # 3 * 42 rows > 4 * 30
    assert isinstance(remember(hypernet, 40, n_regularized=5), DirectMemory)


@pytest.mark.parametrize("hidden_dims", [[9], []], ids=["moments", "linear"])
def test_every_memory_knows_how_many_tasks_it_holds(hidden_dims):
    hypernet = Hypernetwork(MLP([6, 5, 3]), 40, task_embedding_dim=5, num_chunks=7, hypernet_hidden_dims=hidden_dims)
    assert [int(remember(hypernet, n_tasks).n_tasks) for n_tasks in (1, 2, 40)] == [1, 2, 40]


def test_a_mean_over_tasks_cannot_be_sampled_and_says_what_can():
    hypernet = Hypernetwork(MLP([6, 5, 3]), 40, task_embedding_dim=5, num_chunks=7, hypernet_hidden_dims=[])
    memory = remember(hypernet, 40)
    assert isinstance(memory, LinearMemory)
    with pytest.raises(ValueError, match="n_regularized"):
        memory.sample(tf.constant([1, 2]), hypernet.n_chunks)
    sampled = remember(hypernet, 40, n_regularized=30).sample(tf.constant([1, 2]), hypernet.n_chunks)
    assert int(sampled.n_tasks) == 2


@pytest.mark.parametrize("form", [0, 1], ids=["direct", "moments"])
def test_a_sample_is_the_memory_of_just_those_tasks(form):
    hypernet, forms, then = changed_since_snapshot([6, 5, 3], 6, 7, [9, 8])
    chosen = [4, 1]
    assert_gradients(hypernet, forms[form].sample(tf.constant(chosen), hypernet.n_chunks), then, chosen)
