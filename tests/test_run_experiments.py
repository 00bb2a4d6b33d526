"""Experiments through papermill, end to end, and what a run leaves in its folder."""

import json
import os
import subprocess
import sys

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
import yaml

import run_experiments
from conftest import needs_mnist
from experiments import execution
from experiments.files import load_experiments, parse_value
from experiments.parameters import Experiment
from experiments.store import PROJECT, read_metrics, read_summary
from experiments.tables import runs_in
from hypernet_lib.metrics import AccuracyMatrix
from hypernet_lib.quiet import tf

FILE = """
run_name: first
logdir: {logdir}
dataset: digits
n_tasks_to_learn: 3
full_testing_tasks: [2, 9]
batch_size: 32
task_embedding_dim: 8
num_chunks: 5
hypernet_hidden_dims: [16]
innernet_all_dims: [64, 16, 10]
iters_per_task: 30
---
run_name: second
logdir: {logdir}
dataset: digits
n_tasks_to_learn: 1
innernet_all_dims: [64, 10]
iters_per_task: 5
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "two.yaml").write_text(FILE.format(logdir=tmp_path / "out"))
    return tmp_path / "two.yaml"


def test_an_experiment_end_to_end(file, tmp_path, capsys):
    assert run_experiments.main([str(file), "--only", "first", "--set", "seed=5"]) == 0
    printed = capsys.readouterr().out
    assert "note: first: full_testing_tasks [9] dropped" in printed
    assert "first" in printed and "forgetting" in printed and "tensorboard --logdir" in printed
    folder = tmp_path / "out" / "first"

    assert yaml.safe_load((folder / "experiment.yaml").read_text())["seed"] == 5
    metrics = pd.read_csv(folder / "metrics.csv")
    tested = list(zip(metrics["learned"], metrics["task"], strict=True))
    assert tested == [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)]

    summary = json.loads((folder / "summary.json").read_text())
    final = metrics[metrics["learned"] == 3]["accuracy"]
    assert summary["ACC"] == pytest.approx(final.mean(), abs=1e-6)
    assert summary["min"] == pytest.approx(final.min(), abs=1e-6)
    assert {
        "BWT",
        "forgetting",
        "parameters",
        "per_task",
        "in_target_networks",
        "seconds",
        "versions",
        "machine",
    } <= summary.keys()

    notebook = nbformat.read(folder / "run.ipynb", as_version=4)
    assert str(PROJECT) not in (folder / "run.ipynb").read_text()
    assert notebook.cells[-1].source.startswith("summary = run.finish()")  # the report is whole before that
    assert not any("papermill" in part.metadata for part in [notebook, *notebook.cells])
    assert not any(o.get("name") == "stderr" for cell in notebook.cells for o in cell.get("outputs", []))
    (injected,) = [c for c in notebook.cells if "injected-parameters" in c.metadata.get("tags", [])]
    assert "seed = 5" in injected.source

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()

    def points(tag):
        return {p.step: round(float(tf.make_ndarray(p.tensor_proto)), 5) for p in events.Tensors(tag)}

    def measured(query, key):
        rows = metrics.query(query)
        return {k: round(a, 5) for k, a in zip(rows[key], rows["accuracy"], strict=True)}

    assert points("accuracy measured at 3") == pytest.approx(measured("learned == 3", "task"), abs=1e-4)
    assert points("accuracy measured at 2") == pytest.approx(measured("learned == 2", "task"), abs=1e-4)
    assert points("newest task accuracy") == pytest.approx(measured("task == learned - 1", "learned"), abs=1e-4)
    assert points("ACC") == {3: pytest.approx(summary["ACC"], abs=1e-4)}
    assert points("forgetting") == {3: pytest.approx(summary["forgetting"], abs=1e-4)}
    losses = points("newest task loss")
    assert list(losses) == [1, 2, 3] and all(0 < loss < np.log(10) + 0.5 for loss in losses.values())
    assert points("task 0 accuracy") == pytest.approx(measured("task == 0", "learned"), abs=1e-4)
    assert b"seed: 5" in tf.make_ndarray(events.Tensors("experiment")[0].tensor_proto).item()

    before = (folder / "run.ipynb").stat().st_mtime_ns
    assert run_experiments.main([str(file), "--only", "first", "--set", "seed=5"]) == 0
    assert "first is finished already" in capsys.readouterr().out
    assert (folder / "run.ipynb").stat().st_mtime_ns == before

    assert run_experiments.main([str(file), "--only", "first"]) == 2
    assert "seed was 5, is 0" in capsys.readouterr().err
    assert (folder / "run.ipynb").stat().st_mtime_ns == before

    assert run_experiments.main([str(file), "--only", "first", "--overwrite"]) == 0
    assert yaml.safe_load((folder / "experiment.yaml").read_text())["seed"] == 0


def test_an_experiment_that_fails_is_reported_and_the_others_still_run(file, tmp_path, monkeypatch, capsys):
    notebook = nbformat.read(execution.NOTEBOOK, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("assert run_name != 'first', 'something is wrong here'"))
    place = next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell("assert run_name != 'first', 'something is wrong'"))
    nbformat.write(notebook, tmp_path / "notebook.ipynb")
    monkeypatch.setattr(execution, "NOTEBOOK", tmp_path / "notebook.ipynb")
    assert run_experiments.main([str(file)]) == 1
    printed = capsys.readouterr()
    assert "first failed: AssertionError: something is wrong" in printed.err
    assert "1 of 2 runs failed: first" in printed.err
    assert (tmp_path / "out" / "second" / "summary.json").exists()
    assert not (tmp_path / "out" / "first" / "run.ipynb").exists()
    assert (tmp_path / "out" / "first.failed.ipynb").exists()


def test_a_terminal_that_cannot_show_a_name_ends_no_command(file, tmp_path):
    """And TensorBoard's command is right where the run's was given, spaces and all."""
    logdir = tmp_path / "ergebnisse mit ä"
    command = [sys.executable, str(PROJECT / "run_experiments.py"), str(file), "--only", "second"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [*command, "--set", f"logdir={logdir}"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"TensorBoard: tensorboard --logdir '{tmp_path}/ergebnisse mit \\xe4'" in done.stdout
    assert read_summary(logdir / "second")["tasks"] == 1


def test_the_command_line_of_an_experiment_says_all_of_it_whatever_its_name_looks_like():
    experiment = Experiment(run_name="1e5", logdir="ä {seed}: on", l2_regularization=1e-7, hypernet_hidden_dims=[])
    *_, parameters, _, cores = execution.command(experiment, cores=2)
    assert Experiment.from_mapping(parse_value(parameters)) == experiment and cores == "2"


def test_a_dry_run_prints_experiments_that_load_again_and_writes_nothing(file, tmp_path, capsys):
    assert run_experiments.main([str(file), "--dry-run", "--set", "learning_rate=1e-4"]) == 0
    printed = capsys.readouterr().out
    (tmp_path / "printed.yaml").write_text(printed[printed.index("run_name") :])
    again = load_experiments(tmp_path / "printed.yaml")
    assert again == load_experiments(file, {"learning_rate": 1e-4})
    assert [e.learning_rate for e in again] == [1e-4, 1e-4]
    assert not (tmp_path / "out").exists()


def test_the_parameters_cell_of_the_template_names_every_parameter_and_no_other():
    named = papermill.inspect_notebook(str(execution.NOTEBOOK))
    assert set(named) == {*Experiment.model_fields, "overwrite"}


def test_the_template_as_committed_is_the_first_quickstart_run():
    (quickstart, *_) = load_experiments(PROJECT / "params" / "quickstart.yaml")
    values = {}
    exec(parameters_of(execution.NOTEBOOK).source, values)
    assert Experiment.from_notebook(values) == quickstart.model_copy(update={"run_name": "notebook_run"})


def parameters_of(notebook):
    cells = nbformat.read(notebook, as_version=4).cells
    return next(cell for cell in cells if "parameters" in cell.metadata.get("tags", []))


def test_the_template_is_short_and_has_the_loop_of_notebook_03():
    template, lesson = [
        [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        for path in (execution.NOTEBOOK, PROJECT / "notebooks" / "03_continual_run.ipynb")
    ]
    assert len(template) <= 25
    (opened,) = [i for i, cell in enumerate(template) if "run.resume(" in cell]
    assert "learner.learn(task, memory)" in template[opened + 1] and "run.record(" in template[opened + 1]
    assert template[opened] in lesson and template[opened + 1] in lesson


def test_notebook_03_quotes_the_table_of_notebook_02():
    table, quoted = [
        [
            cell
            for cell in nbformat.read(PROJECT / "notebooks" / f"{name}.ipynb", as_version=4).cells
            if words in cell.source
        ]
        for name, words in (
            ("02_forgetting", '"images kept", "hypernetworks"]'),
            ("03_continual_run", "There, rehearsal with"),
        )
    ]
    rows = {line.split("  ")[0]: line.split()[-4] for line in table[0].outputs[0].text.splitlines()[1:]}
    said = f"images of each task reached {rows['rehearsal, 100 images']}, and joint training, which has all images, "
    assert said + rows["joint training"] in quoted[0].source


LESSONS = {
    "01_single_task": {"iterations": 60, "passes": 0},
    "02_forgetting": {"iterations": 60, "n_tasks_to_learn": 3},
    "03_continual_run": {"iters_per_task": 40, "n_tasks_to_learn": 3},
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Every one of these lessons as papermill's command line executes it on MNIST, side by side; {lesson: report}.

    All cells run to the end; but what they assert, which so few steps do not reach, is left out.
    """
    folder, started = tmp_path_factory.mktemp("lessons"), {}
    for lesson, others in LESSONS.items():
        notebook = nbformat.read(PROJECT / "notebooks" / f"{lesson}.ipynb", as_version=4)
        for cell in notebook.cells:
            lines = cell.source.splitlines()
            cell.source = "\n".join(line for line in lines if not line.lstrip().startswith("assert "))
        nbformat.write(notebook, folder / f"{lesson}.ipynb")
        paths = [folder / f"{lesson}.ipynb", folder / f"{lesson}.report.ipynb"]
        parameters = [f"-p {name} {value}" for name, value in {**others, "dataset": "mnist"}.items()]
        command = [sys.executable, "-m", "papermill", *paths, *" ".join(parameters).split(), "--log-level", "ERROR"]
        started[lesson] = subprocess.Popen(command, cwd=PROJECT / "notebooks", stderr=subprocess.PIPE, text=True)
    for process in started.values():
        said = process.communicate()[1]
        assert process.returncode == 0, said[-2000:]
    return {lesson: nbformat.read(folder / f"{lesson}.report.ipynb", as_version=4) for lesson in LESSONS}


@needs_mnist
@pytest.mark.parametrize("lesson", LESSONS)
def test_papermill_runs_a_lesson_with_other_parameters(lesson, reports):
    (injected,) = [c.source for c in reports[lesson].cells if "injected-parameters" in c.metadata.get("tags", [])]
    assert 'dataset = "mnist"' in injected
    printed = str([cell.get("outputs") for cell in reports[lesson].cells])
    assert "60000 training and 10000 test images" in printed or lesson == "02_forgetting"


def test_committed_summaries_agree_with_their_metrics():
    folders = runs_in("outputs")
    assert len(folders) > 50
    for folder in folders:
        summary = read_summary(folder)
        for name, value in AccuracyMatrix(read_metrics(folder)).summary().items():
            assert summary[name] == pytest.approx(value, abs=2e-6), folder
