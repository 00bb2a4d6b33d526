"""An experiment file over and over, killed at random moments: every run must end complete and the same.

    python tests/trials/soak.py [--file params/quickstart.yaml] [--only NAME] [--rounds 20] [--kills 3] [--within 20]
    python tests/trials/soak.py --at-the-end         killed while the last files are written, one after the other

In every round the command is started `--kills` times, and each time something of it is killed at a random moment, if
it is not done before: the command alone, the papermill of its run alone, the kernel alone, all of them, or the
command by Ctrl-C. With --at-the-end all of them are killed just after the last accuracies of the next run that is not
whole are in metrics.csv, or in TensorBoard's file, or after its summary.json has appeared, or its report; so every
round has a kill for each run, its moment going round. Then the command is started until it says that all is done, and
every metrics.csv and what TensorBoard reads are compared with those of an undisturbed run. No file may be half written.
"""

import argparse
import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from experiments.files import load_experiments

PROJECT = Path(__file__).resolve().parents[2]


def start(options, logdir):
    command = [sys.executable, "run_experiments.py", options.file, "--set", f"logdir={logdir}"]
    command += ["--only", options.only] if options.only else []
    return subprocess.Popen(
        command,
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores Ctrl-C
    )


def disturb(process, what):
    """Kill the command, the papermill of its run, the kernel, or all three; or interrupt the command as Ctrl-C does."""
    command = psutil.Process(process.pid)
    papermills = command.children()
    kernels = [kernel for kernel in command.children(recursive=True) if kernel not in papermills]
    if what == "Ctrl-C":
        process.send_signal(signal.SIGINT)
    killed = {"command": [command], "papermill": papermills, "kernel": kernels}
    for victim in sum(killed.values(), []) if what == "all" else killed.get(what, []):
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()


MOMENTS = ["metrics.csv", "events", "summary.json", "run.ipynb"]


def has_come(logdir, moment, n_tasks, size):
    """Whether a run's last metrics, events, summary or report are there that were not before, so many of them."""
    if moment == "metrics.csv":
        whole = [
            path for path in Path(logdir).glob("*/metrics.csv") if f"\n{n_tasks},{n_tasks - 1}," in path.read_text()
        ]
        return len(whole) > size
    if moment == "events":  # the results are written there last
        return sum(b"seconds" in path.read_bytes()[-100:] for path in Path(logdir).glob("*/events.*")) > size
    return len(list(Path(logdir).glob(f"*/{moment}"))) > size


def kill_at(process, logdir, moment, n_tasks, size):
    """Kill everything at that moment; False where the command came to its end before."""
    while process.poll() is None:
        if has_come(logdir, moment, n_tasks, size):
            disturb(process, "all")
            process.wait()
            return True
        time.sleep(0.001)
    return False


def events(folder):
    """{scalar: [(step, value), ...]} from a run's TensorBoard events, the seconds aside, which differ."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    accumulator = EventAccumulator(str(folder)).Reload()
    scalars = [tag for tag in accumulator.Tags()["tensors"] if tag not in ("experiment", "seconds") and tag[0] != "_"]
    points = {tag: accumulator.Tensors(tag) for tag in scalars}
    return {tag: [(p.step, float(make_ndarray(p.tensor_proto))) for p in ps] for tag, ps in points.items()}


def results(logdir):
    """What every run has measured, in its file and as TensorBoard reads it; {run: (metrics.csv, {scalar: points})}."""
    found = Path(logdir).glob("*/metrics.csv")
    return {path.parent.name: (path.read_bytes(), events(path.parent)) for path in found}


def is_whole(logdir, n_runs):
    """Whether every run has its summary and its report, which can be read, and nothing half-written lies about."""
    for name in ("summary.json", "run.ipynb"):
        files = list(Path(logdir).glob(f"*/{name}"))
        if len(files) != n_runs or not all(json.loads(file.read_text()) for file in files):
            return False
    return not list(Path(logdir).rglob("*partial*"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", default="params/quickstart.yaml")
    parser.add_argument("--only", metavar="RUN_NAME", help="only this run of the file")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--kills", type=int, default=3, help="kills in a round")
    parser.add_argument("--at-the-end", action="store_true", help="kill while the last files of a run are written")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--within", type=float, default=20, help="seconds within which a kill comes")
    options = parser.parse_args()
    dice, done, wrong = random.Random(options.seed), Counter(), 0
    experiments = load_experiments(PROJECT / options.file, only=[options.only] if options.only else [])
    n_tasks = max(experiment.n_tasks_to_learn for experiment in experiments)
    with tempfile.TemporaryDirectory() as folder:
        start(options, f"{folder}/undisturbed").wait()
        expected = results(f"{folder}/undisturbed")
        for round_ in range(1, options.rounds + 1):
            begun, starts, logdir = time.perf_counter(), 0, f"{folder}/{round_}"
            for number in range(len(experiments) if options.at_the_end else options.kills):
                process, starts = start(options, logdir), starts + 1
                if options.at_the_end:
                    moment = MOMENTS[(round_ + number) % len(MOMENTS)]
                    done[moment] += kill_at(process, logdir, moment, n_tasks, size=number)
                    continue
                try:
                    process.wait(timeout=dice.uniform(2, options.within))
                except subprocess.TimeoutExpired:
                    what = dice.choice(["command", "papermill", "kernel", "all", "Ctrl-C"])
                    done[what] += 1
                    disturb(process, what)
                    process.wait()
            while (status := start(options, logdir).wait()) and starts < 20:
                starts += 1
            same = results(logdir) == expected and is_whole(logdir, len(experiments))
            wrong += not same or status != 0
            seconds = time.perf_counter() - begun
            print(
                f"round {round_}: {starts + 1} starts, {seconds:.0f} s, {'same' if same else 'DIFFERENT'}", flush=True
            )
    print(f"{options.rounds} rounds, {sum(done.values())} kills ({dict(done)}), {wrong} rounds went wrong")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
