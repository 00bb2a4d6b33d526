"""What goes wrong in real life, done for real: nothing that was learned is lost, nothing half-written counts."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from trials.soak import events

import run_experiments
from conftest import CLI, HEED, TINY, carry_out, loop, write
from experiments.build import build
from experiments.checkpoints import Checkpoints, load_run
from experiments.files import load_experiments
from experiments.parameters import ExperimentError
from experiments.run import Run
from experiments.store import checkpoint_numbers, clash, is_finished, read_metrics, read_summary, run_folder
from hypernet_lib.quiet import tf


def assert_same_run(folder, reference):
    """The same metrics to the letter, and the same weights to the bit."""
    assert (folder / "metrics.csv").read_text() == (reference / "metrics.csv").read_text()
    assert (folder / "checkpoints/embeddings").read_bytes() == (reference / "checkpoints/embeddings").read_bytes()
    ours, theirs = [
        tf.train.load_checkpoint(str(f / "checkpoints" / f"ckpt-{checkpoint_numbers(f)[0]}"))
        for f in (folder, reference)
    ]
    for key in theirs.get_variable_to_shape_map():
        if not key.startswith(("progress", "save_counter")):  # the progress also counts seconds
            np.testing.assert_array_equal(ours.get_tensor(key), theirs.get_tensor(key))


@pytest.mark.parametrize(
    "accident", [("task", 2), ("checkpoint", 3), ("shared", 3), ("metrics", 3), ("events", 4)], ids=str
)
def test_kill_9_at_any_moment_and_the_same_command_ends_with_the_same_run(accident, undisturbed, tmp_path, capsys):
    file = write(tmp_path)
    assert loop(file, *accident).returncode < 0  # killed by a signal
    assert not (tmp_path / "tiny" / "summary.json").exists()
    assert len(read_metrics(tmp_path / "tiny")) > 0
    carry_out(file)
    assert "of 4 tasks are learned already" in capsys.readouterr().out
    assert_same_run(tmp_path / "tiny", undisturbed)
    assert events(tmp_path / "tiny") == events(undisturbed)  # no point twice


def test_a_run_made_longer_equals_one_that_was_that_long_from_the_start(undisturbed, tmp_path):
    carry_out(write(tmp_path, n=3))
    carry_out(write(tmp_path, n=4))
    assert_same_run(tmp_path / "tiny", undisturbed)
    assert events(tmp_path / "tiny") == events(undisturbed)


def test_other_parameters_under_the_same_name_are_refused_naming_what_differs(undisturbed):
    (kept,) = load_experiments(undisturbed / "experiment.yaml")
    problem = clash(kept.model_copy(update={"learning_rate": 0.5, "n_tasks_to_learn": 3}))
    assert "learning_rate was 0.001, is 0.5" in problem
    assert "n_tasks_to_learn was 4, is 3" in problem
    assert "another run_name" in problem and "--overwrite" in problem
    assert clash(kept) is None


def test_a_truncated_checkpoint_is_named_and_the_one_before_it_is_used(undisturbed, tmp_path, capsys):
    file = write(tmp_path)
    loop(file, "task", 3)
    newest = tmp_path / "tiny" / "checkpoints" / "ckpt-3.data-00000-of-00001"
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    carry_out(file)
    printed = capsys.readouterr().out
    assert "checkpoint ckpt-3 is damaged" in printed and "2 of 4 tasks are learned already" in printed
    assert_same_run(tmp_path / "tiny", undisturbed)


def test_an_embedding_is_written_once_and_one_that_is_damaged_is_noticed(undisturbed, tmp_path, capsys):
    file, folder = write(tmp_path), tmp_path / "tiny" / "checkpoints"
    loop(file, "task", 2)
    first, size = (folder / "embeddings").read_bytes(), (folder / "ckpt-1.data-00000-of-00001").stat().st_size
    assert len(first) == 2 * 4 * 8  # of two tasks, 8 numbers each
    carry_out(file)
    whole = (folder / "embeddings").read_bytes()
    assert whole[: len(first)] == first and len(whole) == 4 * 4 * 8
    assert abs((folder / "ckpt-4.data-00000-of-00001").stat().st_size - size) < 1500  # more records, and no embedding
    assert_same_run(tmp_path / "tiny", undisturbed)
    (folder / "embeddings").write_bytes(whole[:3] + b"?" + whole[4:])
    capsys.readouterr()
    for name in ("summary.json", "metrics.csv"):  # as of a run that is not finished
        (tmp_path / "tiny" / name).unlink()
    before = everything_below(tmp_path)
    with pytest.raises(ExperimentError, match="none of its checkpoints can be read, and nothing is learned anew"):
        carry_out(file)
    assert "ckpt-4 is damaged (ValueError: embeddings has not the 4 embeddings" in capsys.readouterr().out
    assert everything_below(tmp_path) == before


def test_a_checkpoint_of_an_earlier_version_is_gone_on_from(undisturbed, tmp_path):
    """It held the embeddings itself."""
    file, folder = write(tmp_path), tmp_path / "tiny" / "checkpoints"
    loop(file, "task", 2)
    (experiment,) = load_experiments(file)
    learner = build(experiment).learner
    progress = {"learned": 2, **Checkpoints(tmp_path / "tiny", learner).restore()}
    shared = {f"shared_{i}": variable for i, variable in enumerate(learner.hypernet.shared_variables)}
    kept = {
        "embeddings": tf.Variable(learner.hypernet.task_embeddings[:2]),
        "progress": tf.Variable(json.dumps(progress)),
    }
    tf.train.Checkpoint(**kept, **shared).write(str(folder / "ckpt-2"))
    (folder / "embeddings").unlink()
    carry_out(file)
    assert_same_run(tmp_path / "tiny", undisturbed)


def test_a_run_is_loaded_as_its_newest_checkpoint_has_it_and_nothing_is_changed(undisturbed, tmp_path):
    loop(write(tmp_path), "task", 3)
    before = everything_below(tmp_path)
    for folder, n_learned in ((undisturbed, 4), (tmp_path / "tiny", 3)):
        run, metrics = load_run(folder), read_metrics(folder)
        assert (run.n_learned, run.experiment.run_name, run.target.dims[0]) == (n_learned, "tiny", 64)
        assert run.hypernet.task_embeddings.shape == (4, 8) and run.learner.learned == set(range(n_learned))
        newest = metrics[(metrics["learned"] == n_learned) & (metrics["task"] == n_learned - 1)]["accuracy"].item()
        assert round(run.learner.evaluate(n_learned - 1), 6) == newest
        images, labels, permutation = run.tasks.test(n_learned - 1)
        guesses = run.learner.logits(images, n_learned - 1, permutation).numpy().argmax(axis=1)
        assert np.mean(guesses == labels) == pytest.approx(newest, abs=1e-6)
        with pytest.raises(ValueError, match="task 3 was neither learned"):
            load_run(tmp_path / "tiny").learner.logits(images, 3)
    assert everything_below(tmp_path) == before


def test_a_finished_run_is_loaded_from_one_file_and_is_what_its_checkpoint_was(undisturbed, tmp_path):
    for name, left_out in (("weights", "checkpoints"), ("checkpoints", "weights.npz"), ("damaged", "checkpoints")):
        shutil.copytree(undisturbed, tmp_path / name, ignore=shutil.ignore_patterns(left_out))
    one, other = [load_run(tmp_path / name).hypernet for name in ("weights", "checkpoints")]
    for a, b in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    whole = (tmp_path / "damaged" / "weights.npz").read_bytes()
    (tmp_path / "damaged" / "weights.npz").write_bytes(whole[:300] + b"?" * 9 + whole[309:])
    with pytest.raises(ExperimentError, match="damaged: its weights cannot be read"):
        load_run(tmp_path / "damaged")
    (tmp_path / "longer").mkdir()
    carry_out(copy_of(undisturbed, tmp_path / "longer", n=5))
    assert load_run(tmp_path / "longer" / "tiny").n_learned == 5


def test_a_run_that_kept_no_weights_says_so_and_how_to_make_them(tmp_path):
    with pytest.raises(
        ExperimentError, match="outputs/best-s0 has kept no weights.*outputs/best-s0/experiment.yaml --set"
    ):
        load_run("outputs/best-s0")
    with pytest.raises(ExperimentError, match="no run is there"):
        load_run(tmp_path / "nothing")


def copy_of(undisturbed, folder, n=4):
    """A copy of the undisturbed run in this folder; returns its file of experiments, of n tasks."""
    shutil.copytree(undisturbed, folder / "tiny")
    (experiment,) = load_experiments(write(folder, n=4))
    (folder / "tiny" / "experiment.yaml").write_text(experiment.to_yaml())
    return write(folder, n=n)


def test_looking_at_a_run_changes_nothing(undisturbed, tmp_path):
    (experiment,) = load_experiments(copy_of(undisturbed, tmp_path))

    def everything():
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    before = everything()
    run = Run(experiment)
    assert run.summary["tasks"] == 4 and len(run.metrics) == len(read_metrics(undisturbed))
    assert everything() == before


def test_a_finished_run_whose_checkpoints_are_damaged_is_not_made_longer(undisturbed, tmp_path):
    file = copy_of(undisturbed, tmp_path, n=5)
    for data in (tmp_path / "tiny" / "checkpoints").glob("ckpt-*.data-*"):
        data.write_bytes(b"")
    with pytest.raises(ExperimentError, match="none of its checkpoints can be read"):
        carry_out(file)
    assert read_summary(tmp_path / "tiny") == read_summary(undisturbed)
    assert read_metrics(tmp_path / "tiny").equals(read_metrics(undisturbed))


@pytest.mark.parametrize("text", [None, "", "model_checkpoint_path: 'elsewhere'"])
def test_checkpoints_are_found_by_listing_whatever_an_index_file_says(text, undisturbed, tmp_path, capsys):
    file = write(tmp_path)
    loop(file, "task", 3)
    assert {path.name for path in (tmp_path / "tiny" / "checkpoints").glob("*.index")} == {
        "ckpt-2.index",
        "ckpt-3.index",
    }
    if text is not None:
        (tmp_path / "tiny" / "checkpoints" / "checkpoint").write_text(text)
    carry_out(file)
    assert "3 of 4 tasks are learned already" in capsys.readouterr().out
    assert_same_run(tmp_path / "tiny", undisturbed)


def test_a_run_without_its_report_is_not_finished_and_gets_it_with_nothing_left_to_learn(undisturbed, tmp_path):
    """As when it is killed just after summary.json appears."""
    file = copy_of(undisturbed, tmp_path)
    (experiment,) = load_experiments(file)
    assert not (tmp_path / "tiny" / "run.ipynb").exists() and not is_finished(experiment)
    assert run_experiments.main([str(file)]) == 0
    assert "4 of 4 tasks are learned already: nothing is left to learn" in (tmp_path / "tiny" / "run.ipynb").read_text()
    assert is_finished(experiment) and read_summary(tmp_path / "tiny") == read_summary(undisturbed)


def everything_below(folder):
    return {str(path): path.is_file() and path.read_bytes() for path in folder.rglob("*") if ".locks" not in path.parts}


@pytest.mark.parametrize("arguments", [[], ["--overwrite"]], ids=["to begin", "to overwrite"])
@pytest.mark.parametrize("foreign", ["inner/tiny/experiment.yaml", "notes.txt", "checkpoints/mine.h5", ".git/config"])
def test_a_folder_with_anything_foreign_in_it_is_refused_and_nothing_is_removed(foreign, arguments, tmp_path, capsys):
    (tmp_path / "tiny" / foreign).parent.mkdir(parents=True)
    (tmp_path / "tiny" / foreign).write_text("not yours")
    before, file = everything_below(tmp_path), write(tmp_path)
    assert run_experiments.main([str(file), *arguments]) == 2
    assert foreign.split("/")[0] in (said := capsys.readouterr().err) and "choose another run_name or logdir" in said
    assert everything_below(tmp_path) == {**before, str(file): file.read_bytes()}


def test_a_run_with_something_foreign_in_it_may_go_on_but_is_not_replaced(tmp_path, capsys):
    loop(write(tmp_path), "task", 2)
    (tmp_path / "tiny" / "my notes.txt").write_text("why is task 1 so hard?")
    assert run_experiments.main([str(write(tmp_path)), "--overwrite"]) == 2
    assert "my notes.txt" in capsys.readouterr().err
    carry_out(write(tmp_path))
    assert read_summary(tmp_path / "tiny")["tasks"] == 4 and (tmp_path / "tiny" / "my notes.txt").exists()


def test_checkpoints_of_a_run_that_nobody_knows_are_not_adopted(undisturbed, tmp_path, capsys):
    file = copy_of(undisturbed, tmp_path)
    (tmp_path / "tiny" / "experiment.yaml").unlink()
    assert run_experiments.main([str(file), "--set", "seed=1"]) == 2
    assert "holds remains of a run, without experiment.yaml; --overwrite removes them" in capsys.readouterr().err
    assert read_summary(tmp_path / "tiny") == read_summary(undisturbed)


def test_a_finished_folder_that_was_moved_is_the_same_run(undisturbed, tmp_path):
    copy_of(undisturbed, tmp_path)
    (tmp_path / "tiny" / "run.ipynb").write_text("{}")
    (experiment,) = load_experiments(tmp_path / "tiny-4.yaml")
    (tmp_path / "other disk").mkdir()
    (tmp_path / "tiny").rename(tmp_path / "other disk" / "tiny")
    moved = experiment.model_copy(update={"logdir": str(tmp_path / "other disk")})
    assert is_finished(moved) and clash(moved) is None and not is_finished(experiment)


def test_a_learner_that_has_learned_already_does_not_begin_a_run(tmp_path):
    """As when the cells of a notebook are run again, but not the one that builds the learner."""
    (experiment,) = load_experiments(write(tmp_path, n=2))
    learner = build(experiment).learner
    run = Run(experiment)
    run.resume(learner)
    run.record(1, {0: 0.5}, learner.learn(0))
    run.release()
    with pytest.raises(ExperimentError, match="has learned task 0 already, and this run has not: build the learner"):
        Run(experiment).resume(learner, overwrite=True)
    assert len(read_metrics(tmp_path / "tiny")) == 1  # what was there has not been removed


@pytest.mark.parametrize("checkpoints", [True, False], ids=["with checkpoints", "without"])
def test_a_finished_run_that_is_resumed_is_what_it_was(undisturbed, tmp_path, checkpoints):
    """With its checkpoints nothing is left to learn; without them it is refused, and not learned again."""
    file = copy_of(undisturbed, tmp_path)
    if not checkpoints:
        shutil.rmtree(tmp_path / "tiny" / "checkpoints")
    with contextlib.nullcontext() if checkpoints else pytest.raises(ExperimentError, match="checkpoints are not there"):
        carry_out(file)
    assert read_summary(tmp_path / "tiny") == read_summary(undisturbed)
    assert read_metrics(tmp_path / "tiny").equals(read_metrics(undisturbed))


def test_a_full_disk_is_said_and_the_run_goes_on_once_there_is_room(undisturbed, tmp_path):
    file = write(tmp_path)
    full = loop(file, "size", 12_000)  # smaller than a checkpoint
    assert full.returncode == 1
    assert "cannot be written" in full.stderr and "start again to go on" in full.stderr
    assert not (tmp_path / "tiny" / "summary.json").exists()
    assert not list(tmp_path.glob("tiny/*.partial"))
    carry_out(file)
    assert_same_run(tmp_path / "tiny", undisturbed)


def test_an_outputs_folder_that_cannot_be_written_is_a_clear_failure(tmp_path, capsys):
    (tmp_path / "taken").write_text("a file where the folder should be")
    file = tmp_path / "x.yaml"
    file.write_text(TINY.format(name="tiny", logdir=tmp_path / "taken", n=2))
    assert run_experiments.main([str(file)]) == 1
    printed = capsys.readouterr().err
    assert "tiny failed" in printed and "taken" in printed and "Traceback" not in printed


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounting a read-only folder needs root")
def test_a_read_only_outputs_folder_is_a_clear_failure(tmp_path, capsys):
    mount = tmp_path / "read_only"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(mount)], capture_output=True).returncode:
        pytest.skip("this machine does not allow mounting")
    try:
        file = tmp_path / "x.yaml"
        file.write_text(TINY.format(name="tiny", logdir=mount, n=2))
        assert run_experiments.main([str(file)]) == 1
    finally:
        subprocess.run(["umount", str(mount)], check=True)
    printed = capsys.readouterr().err
    assert "Read-only file system" in printed and "Traceback" not in printed


def test_two_processes_on_one_run_the_second_is_refused_and_harms_nothing(tmp_path):
    file = write(tmp_path)
    (experiment,) = load_experiments(file)
    run = Run(experiment)
    run.resume(build(experiment).learner)
    try:
        second = loop(file)
        assert second.returncode == 1
        assert "another process is carrying out this run" in second.stderr
        assert (run_folder(experiment) / "experiment.yaml").exists()
    finally:
        run.release()
    assert loop(file).returncode == 0  # a lock does not outlive its holder


def test_a_kernel_that_dies_is_reported_the_next_run_starts_and_no_half_notebook_counts(
    tmp_path, notebook_with, capsys
):
    code = "import os\nif run_name == 'tiny':\n    os.kill(os.getpid(), 9)"
    notebook_with(code)
    assert run_experiments.main([str(write(tmp_path)), str(write(tmp_path, "other", 2))]) == 1
    printed = capsys.readouterr()
    assert "tiny failed: the kernel died" in printed.err and "1 of 2 runs failed: tiny" in printed.err
    assert read_summary(tmp_path / "other")["tasks"] == 2
    assert read_summary(tmp_path / "tiny") is None
    assert not (tmp_path / "tiny" / "run.ipynb").exists()


def test_overwriting_a_run_that_cannot_begin_again_leaves_it_as_it_was(undisturbed, tmp_path, monkeypatch, capsys):
    file = write(tmp_path, n=4)
    carry_out(file)
    before = read_metrics(tmp_path / "tiny"), read_summary(tmp_path / "tiny")
    (tmp_path / "sklearn.py").write_text("raise ImportError('no digits today')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert run_experiments.main([str(file), "--overwrite"]) == 1
    assert "ImportError: no digits today" in capsys.readouterr().err
    assert read_metrics(tmp_path / "tiny").equals(before[0]) and read_summary(tmp_path / "tiny") == before[1]


def test_an_overwritten_run_that_fails_goes_on_at_the_second_try(tmp_path, notebook_with, capsys):
    carry_out(write(tmp_path, n=4))
    code = f"""
import os, pathlib
first = pathlib.Path({str(tmp_path / "first")!r})
if not first.exists():
    first.touch()
    record = run.record
    run.record = lambda learned, *found: os.kill(os.getpid(), 9) if learned == 3 else record(learned, *found)
"""
    notebook_with(code)
    before = read_summary(tmp_path / "tiny")["seconds"]
    assert run_experiments.main([str(write(tmp_path, n=4)), "--overwrite"]) == 0
    assert "2 of 4 tasks are learned already" in (tmp_path / "tiny" / "run.ipynb").read_text()
    assert read_summary(tmp_path / "tiny")["seconds"] != before


def test_a_kernel_that_cannot_start_is_tried_twice_then_reported(tmp_path, monkeypatch, capsys):
    launcher = tmp_path / "ipykernel_launcher.py"
    launcher.write_text(f"open({str(tmp_path / 'starts')!r}, 'a').write('x')")  # no kernel, and no more
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert run_experiments.main([str(write(tmp_path))]) == 1
    assert (tmp_path / "starts").read_text() == "xx"
    printed = capsys.readouterr().err
    assert "tiny failed: the notebook could not be started: " in printed and "Traceback" not in printed


def test_a_loss_that_is_no_number_stops_at_once_and_is_never_a_result(tmp_path, notebook_with, capsys):
    learn_one = "losses = learner.learn(0); run.record(1, {0: learner.evaluate(0)}, losses); n_learned = 1\n"
    notebook_with(learn_one + "head = learner.hypernet.head; head.assign(head * float('nan'))")
    assert run_experiments.main([str(write(tmp_path))]) == 1
    printed = capsys.readouterr().err
    assert "task 1, step 1 of 40" in printed and "learning_rate" in printed
    assert "1 task is kept, in" in printed and "checkpoints/ckpt-1" in printed
    assert read_metrics(tmp_path / "tiny")["learned"].max() == 1
    assert read_summary(tmp_path / "tiny") is None


def test_ctrl_c_stops_the_kernel_too_and_the_same_command_goes_on(tmp_path):
    file = write(tmp_path, n=40)
    process = subprocess.Popen([*CLI, str(file)], stderr=subprocess.PIPE, text=True, **HEED)
    while not (tmp_path / "tiny" / "metrics.csv").exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert "goes on after the last finished task" in process.stderr.read()
    learned = read_metrics(tmp_path / "tiny")["learned"].max()
    time.sleep(1)
    assert read_metrics(tmp_path / "tiny")["learned"].max() == learned < 40  # nobody learns on
    assert run_experiments.main([str(file)]) == 0
    assert read_summary(tmp_path / "tiny")["tasks"] == 40


def test_a_broken_data_set_says_what_was_tried_and_the_ways_out(tmp_path):
    prepared = os.environ.get("TFDS_DATA_DIR")
    if not prepared or not (source := os.path.join(prepared, "mnist")) or not os.path.isdir(source):
        pytest.skip("MNIST is not prepared in TFDS_DATA_DIR")
    shutil.copytree(source, tmp_path / "mnist")
    for record in (tmp_path / "mnist").rglob("*train.tfrecord*"):
        record.chmod(0o644)
        record.write_bytes(record.read_bytes()[:10_000])
    code = "from hypernet_lib.tasks import PermutedTasks; PermutedTasks('mnist')"
    environment = {**os.environ, "TFDS_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "DataError: mnist could not be prepared" in done.stderr and "Two ways out" in done.stderr
