"""What the tests share: a tiny experiment, its run undisturbed, and ways to carry it out and to disturb it."""

import os
import signal
import subprocess
import sys

import nbformat
import pytest

from experiments import execution
from experiments.store import PROJECT

TINY = """
run_name: {name}
logdir: {logdir}
dataset: digits
n_tasks_to_learn: {n}
full_testing_tasks: [2]
batch_size: 32
task_embedding_dim: 8
num_chunks: 5
hypernet_hidden_dims: [16]
innernet_all_dims: [64, 16, 10]
iters_per_task: 40
"""
CLI = [sys.executable, str(PROJECT / "run_experiments.py")]
# For a process that is to heed Ctrl-C, which a shell's background job ignores.
HEED = {"start_new_session": True, "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}


def _mnist_is_prepared():
    folder = os.environ.get("TFDS_DATA_DIR", os.path.expanduser("~/tensorflow_datasets"))
    return os.path.isdir(os.path.join(folder, "mnist"))


needs_mnist = pytest.mark.skipif(
    not _mnist_is_prepared(), reason="MNIST is not prepared on this machine (see TFDS_DATA_DIR)"
)


def write(folder, name="tiny", n=4):
    """A file with the tiny experiment, whose run will be in the same folder."""
    file = folder / f"{name}-{n}.yaml"
    file.write_text(TINY.format(name=name, logdir=folder, n=n))
    return file


def loop(file, *accident):
    """Carry out the experiment of a file without a notebook, in a process of its own; see tests/loop.py."""
    command = [sys.executable, str(PROJECT / "tests" / "loop.py"), str(file), *map(str, accident)]
    return subprocess.run(command, capture_output=True, text=True)


def carry_out(file):
    """The same in this process, without the seconds that another one takes to start."""
    from loop import main

    main(file)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The folder of a tiny run of four tasks that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    carry_out(write(folder, n=4))
    return folder / "tiny"


@pytest.fixture
def notebook_with(tmp_path, monkeypatch):
    """A function that lets experiments execute a copy of the template that runs some code once the folder is taken."""

    def insert(code):
        notebook = nbformat.read(execution.NOTEBOOK, as_version=4)
        (place,) = [i for i, c in enumerate(notebook.cells) if c.cell_type == "code" and "run.resume(" in c.source]
        notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(code))
        nbformat.write(notebook, tmp_path / "notebook.ipynb")
        monkeypatch.setattr(execution, "NOTEBOOK", tmp_path / "notebook.ipynb")

    return insert
