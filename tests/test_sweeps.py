"""A sweep stands for the product of its lists, each experiment named after its values."""

import itertools
import json
import subprocess
import sys
import time

import pytest

import run_experiments
from conftest import TINY, carry_out
from experiments.build import build
from experiments.files import load_experiments
from experiments.parameters import ExperimentError
from experiments.run import Run
from experiments.store import is_running, lock, lock_file, run_folder, status

SWEEP = """
run_name: big
dataset: digits
innernet_all_dims: [64, 64, 10]
n_tasks_to_learn: 3
logdir: {logdir}
sweep:
"""


def load(folder, sweep, settings=None):
    file = folder / "sweep.yaml"
    file.write_text(SWEEP.format(logdir=folder) + sweep)
    return load_experiments(file, settings)


def test_a_sweep_is_the_product_of_its_lists(tmp_path):
    experiments = load(tmp_path, "  l2_memory_regularization: [0.01, 1]\n  seed: [0, 1, 2]")
    expected = list(itertools.product([0.01, 1], [0, 1, 2]))
    assert [(e.l2_memory_regularization, e.seed) for e in experiments] == expected
    assert [e.run_name for e in experiments] == [f"big-beta{beta:g}-s{seed}" for beta, seed in expected]
    assert {e.n_tasks_to_learn for e in experiments} == {3}


def test_lists_and_names_are_values_too(tmp_path):
    experiments = load(tmp_path, "  hypernet_hidden_dims: [[], [20, 30]]\n  hypernet_activation: [relu, gelu]")
    assert [e.hypernet_hidden_dims for e in experiments] == [[], [], [20, 30], [20, 30]]
    assert experiments[3].run_name == "big-hypernet_hidden_dims20x30-hypernet_activationgelu"


def test_names_tell_values_apart_exactly_and_are_never_too_long(tmp_path):
    near = load(tmp_path, "  learning_rate: [0.1234567, 0.1234568, 1e-5, 1.0]")
    assert [e.run_name for e in near] == ["big-rate0.1234567", "big-rate0.1234568", "big-rate1e-05", "big-rate1"]
    assert load(tmp_path, "  embedding_rate_factor: [1e6]")[0].run_name == "big-embedding_rate_factor1e06"
    keys = ["embedding_rate_factor", "final_learning_rate_fraction", "chunk_embedding_init_std", "head_init_scale"]
    long = load(tmp_path, "\n".join(f"  {key}: [0.25, 0.5]" for key in keys))
    names = [e.run_name for e in long]
    assert len(set(names)) == 16 and all(len(name) <= 100 and name.startswith("big-embedding_rate") for name in names)
    assert names == [e.run_name for e in load(tmp_path, "\n".join(f"  {key}: [0.25, 0.5]" for key in keys))]


@pytest.mark.parametrize(
    "sweep, message",
    [
        ("  sed: [0, 1]", "cannot sweep 'sed'; did you mean seed?"),
        ("  run_name: [a, b]", "cannot sweep 'run_name'"),
        ("  seed: 3", "sweep: seed: got 3; expected a list of values"),
        ("  seed: []", "sweep: seed: got []; expected"),
        ("  - 3", "expected lists of values, such as"),
        ("  n_tasks_to_learn: [3, 4]", "n_tasks_to_learn: got the single value 3, and a list in sweep"),
        ("  seed: [1, 1]", "two experiments would be called 'big-s1'"),
        ("  seed: [1, -1]", "seed: got -1; input should be greater than or equal to 0"),
        ("  seed: [" + "0, " * 200 + "]\n  batch_size: [" + "1, " * 200 + "]", "40,000 experiments; expected at most"),
    ],
)
def test_what_is_no_sweep_is_refused_with_one_message(tmp_path, sweep, message):
    with pytest.raises(ExperimentError) as refused:
        load(tmp_path, sweep)
    assert message in str(refused.value)
    assert "document 1 (big)" in str(refused.value) and len(str(refused.value).splitlines()) == 1


def test_a_setting_of_the_command_line_does_not_quietly_undo_a_sweep(tmp_path):
    with pytest.raises(ExperimentError, match="seed: got the single value 5, and a list in sweep"):
        load(tmp_path, "  seed: [0, 1]", {"seed": 5})


def test_the_list_tells_how_far_each_experiment_is(tmp_path, capsys):
    started, failed, _ = load(tmp_path, "  seed: [0, 1, 2]")
    run = Run(started)
    run.resume(build(started).learner)  # holds the lock
    (tmp_path / f"{failed.run_name}.failed.ipynb").write_text("")
    assert run_experiments.main([str(tmp_path / "sweep.yaml"), "--list"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row[1] for row in rows] == ["running", "failed", "not"]
    assert all(row[-3:] == ["0", "of", "3"] for row in rows)
    run.release()
    assert run.folder.exists() and not run_folder(failed).exists()


def test_looking_writes_nothing_and_says_what_it_cannot_know(tmp_path, monkeypatch):
    (experiment,) = load(tmp_path, "  seed: [0]")
    folder = run_folder(experiment)
    assert status(experiment) == "not started" and not lock_file(folder).parent.exists()
    taken = lock(folder)
    assert status(experiment) == "running"
    taken.release()
    before = lock_file(folder).stat().st_mtime_ns
    assert status(experiment) == "not started" and lock_file(folder).stat().st_mtime_ns == before

    def refuse(*args, **kwargs):
        raise PermissionError("another user's")

    monkeypatch.setattr("builtins.open", refuse)
    assert is_running(folder) is None and status(experiment) == "unknown"


def test_a_lock_that_is_held_names_the_way_out(tmp_path):
    (experiment,) = load(tmp_path, "  seed: [0]")
    folder = run_folder(experiment)
    code = f"import pathlib, time; from experiments.store import lock; held = lock(pathlib.Path({str(folder)!r})); "
    code += "print('taken', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "taken\n"
        with pytest.raises(ExperimentError, match="another process is carrying out this run .* remove .*big-s0"):
            lock(folder)
    finally:
        holder.kill()
        holder.wait()
    lock(folder).release()


def test_a_run_of_a_file_is_chosen_by_its_name_and_then_gets_another(tmp_path, capsys):
    load(tmp_path, "  l2_memory_regularization: [0.01, 1]")
    changed = ["--set", "seed=7", "--set", "run_name=mine", "--dry-run"]
    assert run_experiments.main([str(tmp_path / "sweep.yaml"), "--only", "big-beta1", *changed]) == 0
    printed = capsys.readouterr().out
    assert printed.count("run_name: ") == 1 and "run_name: mine-beta1" in printed
    assert "seed: 7" in printed and "l2_memory_regularization: 1" in printed
    documents = [TINY.format(name=name, logdir=tmp_path, n=2) for name in "ab"]
    (tmp_path / "two.yaml").write_text("---".join(documents))
    assert run_experiments.main([str(tmp_path / "two.yaml"), "--only", "b", *changed]) == 0
    assert run_experiments.main([str(tmp_path / "two.yaml"), *changed]) == 2
    assert "run_name: 'mine' is given twice" in capsys.readouterr().err


def test_two_sweeps_that_meet_in_one_name_are_refused(tmp_path, capsys):
    """Two documents of one file, then two files."""
    sweep, one = "  seed: [0, 1]", SWEEP.format(logdir=tmp_path).replace("sweep:", "").replace("big", "big-s1")
    (tmp_path / "one.yaml").write_text(one)
    (tmp_path / "two.yaml").write_text(SWEEP.format(logdir=tmp_path) + sweep)
    (tmp_path / "both.yaml").write_text(SWEEP.format(logdir=tmp_path) + sweep + "\n---" + one)
    for files in (["both.yaml"], ["one.yaml", "two.yaml"]):
        assert run_experiments.main([*(str(tmp_path / file) for file in files), "--dry-run"]) == 2
        assert "run_name: 'big-s1' is given twice" in capsys.readouterr().err


def test_a_thousand_experiments_are_expanded_checked_and_printed_in_seconds(tmp_path, capsys):
    numbers = list(range(10))
    lists = {"l2_memory_regularization": numbers, "learning_rate": [(n + 1) / 1000 for n in numbers], "seed": numbers}
    load(tmp_path, "\n".join(f"  {key}: {values}" for key, values in lists.items()))
    start = time.process_time()
    assert run_experiments.main([str(tmp_path / "sweep.yaml"), "--dry-run"]) == 0
    assert time.process_time() - start < 5
    assert capsys.readouterr().out.count("run_name: big-beta") == 1000


def test_tensorboards_hparams_tab_shows_what_the_list_shows(tmp_path):
    """Read back by the plugin's own code; a run that goes on has one row, and each result once."""
    from tensorboard import context
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    for seed in (0, 1):
        logdir = tmp_path / "runs"
        file = tmp_path / "one.yaml"
        for n_tasks in (1, 2):  # the second makes the run longer
            text = TINY.format(name=f"tiny-s{seed}", logdir=logdir, n=n_tasks)
            file.write_text(text + f"seed: {seed}\n")
            carry_out(file)
    events = EventMultiplexer().AddRunsFromDirectory(str(logdir)).Reload()
    provider = MultiplexerDataProvider(events, str(logdir))
    backend, request = backend_context.Context(TBContext(data_provider=provider)), context.RequestContext()
    tags = backend.hparams_metadata(request, "")
    columns = backend.experiment_from_metadata(request, "", True, tags, None)
    assert [metric.name.tag for metric in columns.metric_infos] == ["ACC", "forgetting", "seconds"]
    wanted = [api_pb2.ColParams(metric=metric.name) for metric in columns.metric_infos]
    wanted += [api_pb2.ColParams(hparam=parameter.name, include_in_result=True) for parameter in columns.hparam_infos]
    query = api_pb2.ListSessionGroupsRequest(slice_size=9, allowed_statuses=[api_pb2.STATUS_UNKNOWN], col_params=wanted)
    rows = {row.name: row for row in list_session_groups.Handler(request, backend, "", query).run().session_groups}
    assert sorted(rows) == ["tiny-s0", "tiny-s1"]
    for name, row in rows.items():
        summary = json.loads((logdir / name / "summary.json").read_text())
        assert {v.name.tag: v.value for v in row.metric_values} == pytest.approx(
            {column: summary[column] for column in ("ACC", "forgetting", "seconds")}, abs=1e-4
        )
        assert [v.training_step for v in row.metric_values] == [2, 2, 2]
        assert row.hparams["seed"].number_value == int(name[-1]) and row.hparams["innernet_all_dims"].string_value
        assert row.hparams["num_chunks"].string_value == "5"  # a number or a word: text in every run
        for column in ("ACC", "forgetting", "seconds"):
            assert len(events.Tensors(name, column)) == 1
