"""Many runs side by side: each on its share of the cores, the same as one at a time, all of them gone at Ctrl-C."""

import json
import signal
import subprocess
import time

import psutil
import pytest

import run_experiments
from conftest import CLI, HEED, TINY, carry_out, write
from experiments import resources
from experiments.files import load_experiments
from experiments.queue import Job, Live
from experiments.resources import available_cores, ram_needed
from experiments.store import read_metrics, read_summary

two_cores = pytest.mark.skipif(available_cores() < 2, reason="needs two cores")


def write_sweep(folder, n=2, logdir=None):
    file = folder / "sweep.yaml"
    file.write_text(TINY.format(name="tiny", logdir=logdir or folder, n=n) + "sweep: {seed: [0, 1]}\n")
    return file


@two_cores
def test_side_by_side_is_the_same_as_one_at_a_time(tmp_path, capsys):
    assert run_experiments.main([str(write_sweep(tmp_path, logdir=tmp_path / "both")), "--jobs", "2"]) == 0
    printed = capsys.readouterr()
    rows = [line.split()[0] for line in printed.out.splitlines() if line.startswith("tiny-s") and ":" not in line]
    assert rows == ["tiny-s0", "tiny-s1"]
    assert "tiny-s1: running, 0 of 2 tasks" in printed.err and "tiny-s1: finished, 2 of 2 tasks" in printed.err
    for experiment in load_experiments(write_sweep(tmp_path, logdir=tmp_path / "alone")):
        file = tmp_path / f"{experiment.run_name}.yaml"
        file.write_text(experiment.to_yaml())
        carry_out(file)  # with all cores
        metrics = [(tmp_path / how / experiment.run_name / "metrics.csv").read_text() for how in ("both", "alone")]
        assert metrics[0] == metrics[1]


MEASURE = """
import json, psutil, time
from hypernet_lib.quiet import tf
product, matrix = tf.function(lambda m: m @ m / 1000), tf.ones([1000, 1000])
product(matrix)
process = psutil.Process()
seconds = lambda: {{t.id: t.user_time + t.system_time for t in process.threads() if t.id != process.pid}}
before, start = seconds(), time.perf_counter()
while time.perf_counter() - start < 2:
    product(matrix).numpy()
with open({file!r}, "w") as file:
    json.dump([after - before.get(thread, 0) for thread, after in seconds().items()], file)
"""


@two_cores
@pytest.mark.parametrize("cores", [1, 2])
def test_a_kernel_works_with_as_many_threads_as_it_has_cores(cores, tmp_path, notebook_with):
    notebook_with(MEASURE.format(file=str(tmp_path / "seconds.json")))
    (experiment,) = load_experiments(write(tmp_path, n=1))
    assert Job(experiment, cores).carry_out().error is None
    seconds = json.loads((tmp_path / "seconds.json").read_text())
    assert sum(spent > 0.1 * sum(seconds) for spent in seconds) == cores


def test_a_failure_is_tried_once_more_with_a_new_kernel_and_goes_on(tmp_path, notebook_with, capsys):
    code = f"""
import os
from ipykernel.connect import get_connection_file
with open({str(tmp_path / "kernels")!r}, "a+") as file:
    file.write(get_connection_file() + "\\n")
    file.seek(0)
    tries = len(file.readlines())
if tries == 1:
    record = run.record
    run.record = lambda learned, *found: os.kill(os.getpid(), 9) if learned == 3 else record(learned, *found)
"""
    notebook_with(code)
    assert run_experiments.main([str(write(tmp_path, n=4))]) == 0
    first, second = (tmp_path / "kernels").read_text().split()
    assert first != second
    assert "tiny: trying again (the kernel died" in capsys.readouterr().err
    assert "2 of 4 tasks are learned already" in (tmp_path / "tiny" / "run.ipynb").read_text()
    assert not (tmp_path / "tiny.failed.ipynb").exists()
    carry_out(write(tmp_path, "other", n=4))
    assert (tmp_path / "tiny" / "metrics.csv").read_text() == (tmp_path / "other" / "metrics.csv").read_text()


@two_cores
def test_ctrl_c_stops_every_kernel(tmp_path):
    command = [*CLI, str(write_sweep(tmp_path, n=200)), "--jobs", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **HEED)
    runs = [tmp_path / "tiny-s0", tmp_path / "tiny-s1"]
    while not all((run / "metrics.csv").exists() for run in runs):
        assert process.poll() is None
        time.sleep(0.1)
    kernels = psutil.Process(process.pid).children(recursive=True)
    assert len(kernels) >= 4  # for each run papermill and its kernel
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert "goes on after the last finished task" in process.stderr.read()
    assert psutil.wait_procs(kernels, timeout=5)[1] == []
    assert all(read_summary(run) is None and len(read_metrics(run)) for run in runs)
    assert not list(tmp_path.glob("*.partial.ipynb"))


def test_more_jobs_than_cores_or_ram_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(resources, "available_cores", lambda: 3)
    file = write_sweep(tmp_path)
    for wrong in ("0", "4"):
        assert run_experiments.main([str(file), "--jobs", wrong]) == 2
        assert f"--jobs {wrong}: expected 1 to 3" in capsys.readouterr().err
    need = ram_needed(load_experiments(file)[0])
    monkeypatch.setattr(resources.psutil, "virtual_memory", lambda: type("Memory", (), {"total": int(1.5 * need)}))
    assert run_experiments.main([str(file), "--jobs", "2"]) == 2
    assert "--jobs 2: the 2 largest together need about" in capsys.readouterr().err
    assert run_experiments.main([str(file), "--dry-run"]) == 0
    monkeypatch.setattr(resources.psutil, "virtual_memory", lambda: type("Memory", (), {"total": need // 2}))
    assert run_experiments.main([str(file)]) == 2 and run_experiments.main([str(file), "--list"]) == 0
    assert not list(tmp_path.glob("tiny-*"))


def test_a_run_that_the_disk_has_no_room_for_is_refused_unless_it_has_begun(tmp_path, monkeypatch, capsys):
    file = write(tmp_path, n=2)
    (experiment,) = load_experiments(file)
    monkeypatch.setattr(resources.shutil, "disk_usage", lambda place: type("Disk", (), {"free": 2**20}))
    assert run_experiments.main([str(file)]) == 2
    assert f"{tmp_path}: the runs need about 4 MB, 1 are free; choose another logdir" in capsys.readouterr().err
    carry_out(file)
    kept = sum(path.stat().st_size for path in (tmp_path / "tiny").rglob("*"))
    assert kept < resources.disk_needed(experiment) < kept + 5 * 2**20
    (tmp_path / "tiny" / "run.ipynb").write_text("{}")
    assert run_experiments.main([str(file)]) == 0


def test_in_a_terminal_every_running_run_has_a_bar_and_one_that_ends_a_line(tmp_path, capsys):
    jobs = [Job(e, cores=1) for e in load_experiments(write_sweep(tmp_path, n=3))]
    (tmp_path / "tiny-s0").mkdir()
    jobs[0].status, jobs[0].begun = "running", time.time() - 60
    (tmp_path / "tiny-s0" / "metrics.csv").write_text("learned,task,accuracy\n1,0,0.9\n")
    live = Live(jobs, in_terminal=True)
    live.show()
    (tmp_path / "tiny-s0" / "metrics.csv").write_text("learned,task,accuracy\n1,0,0.9\n2,0,0.9\n2,1,0.8125\n")
    live.show()
    printed = capsys.readouterr().err
    assert "tiny-s0: task 2 of 3" in printed and "newest accuracy 0.8125" in printed
    assert "0 of 2 runs have ended" in printed and "tiny-s1" not in printed
    jobs[0].status, jobs[0].ended = "finished", time.time()
    live.show()
    live.close()
    printed = capsys.readouterr().err
    assert "tiny-s0: finished, 2 of 3 tasks, newest accuracy 0.8125, 01:0" in printed
    assert "1 of 2 runs have ended" in printed


@two_cores
def test_a_command_that_is_killed_leaves_no_process_behind(tmp_path):
    process = subprocess.Popen([*CLI, str(write_sweep(tmp_path, n=200)), "--jobs", "2"], **HEED)
    while not all((tmp_path / run / "metrics.csv").exists() for run in ("tiny-s0", "tiny-s1")):
        assert process.poll() is None
        time.sleep(0.1)
    others = psutil.Process(process.pid).children(recursive=True)
    assert len(others) >= 4
    process.kill()
    process.wait()
    assert psutil.wait_procs(others, timeout=15)[1] == []
