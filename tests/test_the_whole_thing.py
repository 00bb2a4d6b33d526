"""Notebook 00 needs nothing of the project, stays short, and does the same as the library."""

import ast
import importlib.util
import os

import nbformat
import numpy as np
import pytest

from experiments.store import PROJECT
from hypernet_lib.hypernet import Hypernetwork
from hypernet_lib.quiet import tf
from hypernet_lib.targets import MLP
from hypernet_lib.tasks import PermutedTasks
from hypernet_lib.training import Learner

CELLS = nbformat.read(PROJECT / "notebooks" / "00_the_whole_thing.ipynb", as_version=4).cells
CODE = [cell.source for cell in CELLS if cell.cell_type == "code"]


def test_it_imports_nothing_of_the_project():
    nodes = [node for source in CODE for node in ast.walk(ast.parse(source))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)]
    assert {name.split(".")[0] for name in names} == {"os", "tensorflow", "numpy", "matplotlib", "sklearn"}


def test_it_has_no_more_than_80_lines_of_code():
    lines = [line for source in CODE for line in source.splitlines() if line.split("#")[0].strip()]
    assert len(lines) <= 80
    assert max(map(len, lines)) <= 110
    assert len(CELLS) <= 30


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The notebook's code as a module, up to where its ten tasks are trained."""
    end = next(i for i, source in enumerate(CODE) if source.startswith("without_memory ="))
    file = tmp_path_factory.mktemp("notebook") / "the_whole_thing.py"
    file.write_text("\n\n".join(CODE[:end]), encoding="utf-8")  # a file, for tf.function reads its source
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    stderr = os.dup(2)  # which the notebook silences
    try:
        spec.loader.exec_module(module)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    return module


@pytest.fixture(scope="module")
def tasks():
    return PermutedTasks("digits", seed=0, pixels="standardised")


def test_its_tasks_are_the_librarys(whole, tasks):
    np.testing.assert_allclose(whole.train_images, tasks.train_images, atol=1e-6)
    np.testing.assert_allclose(whole.test_images, tasks.test_images, atol=1e-6)
    np.testing.assert_array_equal(whole.train_labels, tasks.train_labels)
    np.testing.assert_array_equal(whole.test_labels, tasks.test_labels)
    np.testing.assert_array_equal(whole.orders, [tasks.permutation(task) for task in range(whole.N)])


def test_it_moves_every_number_as_the_library_does(whole, tasks, monkeypatch):
    """A few steps for a task, from the same numbers, on the same batches: without old tasks, and with nine."""
    n_steps, batch_size = 5, 64
    rates = whole.rates.numpy()
    monkeypatch.setattr(whole, "rates", tf.linspace(rates[0], rates[-1], n_steps))
    target = MLP([64, 32, 10])
    assert target.shapes == whole.shapes
    hypernet = Hypernetwork(
        target, whole.N, task_embedding_dim=whole.E, num_chunks=whole.C, hypernet_hidden_dims=[whole.k],
        hypernet_activation="relu",
    )  # fmt: skip
    learner = Learner(
        hypernet, target, tasks, batch_size=batch_size, learning_rate=float(rates[0]),
        final_learning_rate_fraction=float(rates[-1] / rates[0]), l2_regularization=0,
        l2_memory_regularization=whole.beta,
    )  # fmt: skip
    theirs = [hypernet.task_embeddings, *hypernet.shared_variables]

    def ours():
        return [whole.e.numpy(), *(x.numpy() for x in [whole.c, whole.V, whole.v]), np.vstack([whole.A, whole.b])]

    for task in [0, 9]:
        before = ours()
        for variable, numbers in zip(theirs, before, strict=True):
            variable.assign(numbers)
        np.testing.assert_allclose(whole.write(whole.e), hypernet.generate(hypernet.task_embeddings), atol=1e-5)
        learner.restored(task)
        learner.learn(task, learner.remember(task), n_steps)

        W_star = whole.write(whole.e[:task]) if task else None
        order = learner.batch_order(tf.constant(task), tf.constant(n_steps), tf.constant(len(whole.train_labels)))
        chosen = order.numpy()[: n_steps * batch_size].reshape(n_steps, batch_size)
        images, labels = whole.train_images[chosen][..., whole.orders[task]], whole.train_labels[chosen]
        whole.learn(images, labels, tf.constant(task), W_star)

        for now, then, other in zip(ours(), before, theirs, strict=True):
            assert np.abs(now - then).max() > 5e-3  # moved, by far more than the two may differ
            np.testing.assert_allclose(now, other, atol=3e-5)
        others = np.arange(whole.N) != task
        np.testing.assert_array_equal(ours()[0][others], before[0][others])  # frozen, or not begun
        assert whole.accuracy(task) == pytest.approx(learner.evaluate(task), abs=2 / len(whole.test_labels))
