"""The project means itself, wherever it was copied to, and a user's own settings do not reach its kernels."""

import os
import shutil
import subprocess
import sys

import nbformat
import pytest

from conftest import CLI, HEED, write
from experiments.environment import absolute_paths, check_project, kernel_environment
from experiments.parameters import ExperimentError
from experiments.store import PROJECT, read_summary

CODE = ["hypernet_lib", "experiments", "notebooks", "run_experiments.py", "conftest.py", "pyproject.toml", "Makefile"]


@pytest.fixture
def copied(tmp_path):
    """Another copy of the project, without a Python of its own."""
    folder = tmp_path / "copy"
    for name in [*CODE, "tests/nbval_sanitize.cfg"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, folder / name)
    return folder


@pytest.fixture
def hostile(tmp_path):
    """The environment of a user with settings of Jupyter, IPython, matplotlib and Python that would do harm."""
    home = tmp_path / "home"
    files = {
        "kernels/python3/kernel.json": '{"argv": ["false"], "display_name": "mine", "language": "python"}',
        "ipython/profile_default/startup/00-mine.py": "from numpy import *\nprint('hello')",
        "ipython/profile_default/ipython_config.py": "c.InteractiveShell.ast_node_interactivity = 'all'",
        "matplotlibrc": "text.usetex: True\nfigure.dpi: 20",
        "startup.py": "sum = print",
    }
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    (home / "jupyter_nbconvert_config.py").write_text("c.ExecutePreprocessor.timeout = -5")
    ours = ("JUPYTER_NO_CONFIG", "JUPYTER_RUNTIME_DIR", "PYTHONINSPECT")  # that pytest itself has from conftest.py
    return {
        **{name: value for name, value in os.environ.items() if name not in ours},
        "JUPYTER_CONFIG_DIR": str(home),
        "MPLBACKEND": "agg",
        "JUPYTER_PATH": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "MATPLOTLIBRC": str(home / "matplotlibrc"),
        "PYTHONSTARTUP": str(home / "startup.py"),
        "PYTHONOPTIMIZE": "1",
        "PYTHONWARNINGS": "always",
        "PYTHONPATH": "",
    }


def figures(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [o for o in outputs if o.get("name") == "stderr" or "hello" in str(o)]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def test_a_report_is_the_same_whatever_the_users_settings(hostile, tmp_path):
    done = subprocess.run([*CLI, str(write(tmp_path, n=2))], env=hostile, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = nbformat.read(tmp_path / "tiny" / "run.ipynb", as_version=4)
    assert figures(report) == figures(nbformat.read(PROJECT / "notebooks" / "run.ipynb", as_version=4)) == 3


NOTEBOOK = """
import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()
---
import matplotlib; 1; (matplotlib.rcParams["text.usetex"], sum([1, 2]), 0.123)
---
try:
    assert False
except AssertionError:
    print("checked")
"""


def test_notebooks_are_tested_alike_whatever_the_users_settings_and_from_their_folder(copied, hostile):
    """With what they may differ in, decimals, and without the exercises, which are handed out unsolved."""
    for old in (copied / "notebooks").glob("*.ipynb"):
        if not old.name.startswith("07_exercises"):
            old.unlink()
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in NOTEBOOK.split("---")]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "x"}})
    file = copied / "notebooks" / "x.ipynb"
    nbformat.write(notebook, file)
    execute = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", file]
    subprocess.run(
        [sys.executable, "-m", "experiments.environment", *execute],
        cwd=copied,
        env=hostile,
        check=True,
        capture_output=True,
    )
    executed = nbformat.read(file, as_version=4)
    assert figures(executed) == 1 and "(False, 3, 0.123)" in str(executed) and "checked" in str(executed)
    executed.cells[1].outputs[0].data["text/plain"] = "(False, 3, 0.124)"
    nbformat.write(executed, file)
    for where, what in ((copied / "notebooks", ["x.ipynb"]), (copied, ["notebooks"])):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *what]
        done = subprocess.run(command, cwd=where, env=hostile, capture_output=True, text=True)
        assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout


def test_a_copied_project_runs_its_own_code_and_keeps_its_own_runs(copied, tmp_path):
    """As after `cp -a`: its Python still means the project that it was copied from."""
    plots = copied / "experiments" / "plots.py"
    plots.write_text(plots.read_text() + "\nprint('the code of the copy')\n")
    command = [sys.executable, str(copied / "run_experiments.py"), str(write(tmp_path, n=1))]
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(
        [*command, "--set", "logdir=outputs"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert read_summary(copied / "outputs" / "tiny")["tasks"] == 1
    assert "the code of the copy" in (copied / "outputs" / "tiny" / "run.ipynb").read_text()
    assert not (PROJECT / "outputs" / "tiny").exists()


def test_a_notebook_of_another_copy_than_the_code_is_refused_before_anything_is_written(copied, tmp_path):
    """As in Jupyter with the Python of the project that it was copied from."""
    code = f"""
from experiments.build import build
from experiments.files import load_experiments
from experiments.run import Run
(experiment,) = load_experiments({str(write(tmp_path, n=1))!r})
Run(experiment).resume(build(experiment).learner)
"""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=copied / "notebooks", env=environment, capture_output=True, text=True
    )
    assert f"ExperimentError: {copied} is another copy of the project than {PROJECT}" in done.stderr
    assert f"make -C {copied} .venv/ready" in done.stderr and not (tmp_path / "tiny").exists()
    with pytest.raises(ExperimentError, match="another copy of the project"):
        check_project(copied / "notebooks" / "run.ipynb")
    (copied / "inner").symlink_to(PROJECT)
    for ours in (PROJECT / "notebooks" / "run.ipynb", tmp_path, copied / "inner" / "notebooks"):
        check_project(ours)


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
@pytest.mark.parametrize("state", ["ours", "of another folder", "Python gone", "none", "set up in part"])
def test_make_sets_up_anew_a_python_that_is_anothers_or_gone(state, copied):
    programs = copied / ".venv" / "bin"
    for name in ("requirements.lock", "requirements-book.lock"):
        shutil.copy(PROJECT / name, copied)
    if state != "none":
        programs.mkdir(parents=True)
        (programs / "python").symlink_to(sys.executable if state != "Python gone" else "/gone/python")
        owner = "/elsewhere" if state == "of another folder" else copied.resolve()
        (programs / "pip").write_text(f"#!{owner}/.venv/bin/python\n")
        if state != "set up in part":
            (copied / ".venv" / "ready").touch()
    planned = subprocess.run(["make", "-n", "run"], cwd=copied, capture_output=True, text=True, check=True).stdout
    assert ("-m pip install" in planned) == (state != "ours")
    assert ("-m venv --clear .venv" in planned) == (state in ("of another folder", "Python gone"))
    assert "run_experiments.py params/quickstart.yaml" in planned


def test_folders_in_the_users_environment_are_counted_from_where_the_command_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TFDS_DATA_DIR", "data/sets")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "mine", "/usr/mine"]))
    found = absolute_paths()
    assert found == {"TFDS_DATA_DIR": f"{tmp_path}/data/sets", "PYTHONPATH": f"{tmp_path}/mine:/usr/mine"}
    assert kernel_environment(tmp_path)["PYTHONPATH"] == f"{PROJECT}:{tmp_path}/mine:/usr/mine"
    for given, absolute in {"~/sets": f"{tmp_path}/home/sets", "gs://bucket/sets": "gs://bucket/sets"}.items():
        monkeypatch.setenv("TFDS_DATA_DIR", given)
        assert absolute_paths()["TFDS_DATA_DIR"] == absolute


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="becoming another user needs root")
def test_another_user_reads_everything_and_runs_into_a_folder_of_their_own(tmp_path, tmp_path_factory):
    """With no right to write anywhere in the project, nor a home of their own."""
    home = tmp_path / "theirs"
    home.mkdir()
    os.chown(home, 65534, 65534)
    for folder in (tmp_path, tmp_path.parent, tmp_path_factory.getbasetemp().parent):  # pytest keeps them to itself
        folder.chmod(0o755)
    file = write(home, n=1)
    who = {**HEED, "user": 65534, "group": 65534, "extra_groups": [], "env": {**os.environ, "HOME": "/nonexistent"}}
    who["env"].pop("PYTHONPATH")

    def theirs(*arguments):
        return subprocess.run([*CLI, *arguments], cwd=home, capture_output=True, text=True, **who)

    try:
        subprocess.run([sys.executable, "-c", "import numpy"], cwd=home, check=True, **who)
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip("this machine keeps its Python from other users")
    listed = theirs("--list", "params/permuted_mnist_10.yaml")
    assert listed.returncode == 0 and listed.stdout.count("finished") == 4, listed.stderr
    done = theirs(str(file))
    assert done.returncode == 0 and read_summary(home / "tiny")["tasks"] == 1, done.stderr
    refused = theirs(str(file), "--set", f"logdir={PROJECT / 'outputs'}")
    assert refused.returncode == 1 and "Permission denied" in refused.stderr and "Traceback" not in refused.stderr
