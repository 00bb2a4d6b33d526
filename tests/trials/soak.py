"""An experiment file over and over, killed at random moments: every run must end complete and the same.

    python tests/trials/soak.py [--file params/quickstart.yaml] [--only NAME] [--rounds 20] [--kills 3] [--within 20]

In every round the command is started `--kills` times, and each time something of it is killed at a random moment, if
it is not done before: the command alone, the papermill of its run alone, the kernel alone, all of them, or the
command by Ctrl-C. Then it is started until it
says that all is done, and every metrics.csv is compared with that of an undisturbed run.
"""

import argparse
import contextlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

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


def metrics(logdir):
    return {path.parent.name: path.read_bytes() for path in Path(logdir).glob("*/metrics.csv")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", default="params/quickstart.yaml")
    parser.add_argument("--only", metavar="RUN_NAME", help="only this run of the file")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--kills", type=int, default=3, help="kills in a round")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--within", type=float, default=20, help="seconds within which a kill comes")
    options = parser.parse_args()
    dice, done, wrong = random.Random(options.seed), Counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        start(options, f"{folder}/undisturbed").wait()
        expected = metrics(f"{folder}/undisturbed")
        for round_ in range(1, options.rounds + 1):
            begun, starts, logdir = time.perf_counter(), 0, f"{folder}/{round_}"
            for _ in range(options.kills):
                process, starts = start(options, logdir), starts + 1
                try:
                    process.wait(timeout=dice.uniform(2, options.within))
                except subprocess.TimeoutExpired:
                    what = dice.choice(["command", "papermill", "kernel", "all", "Ctrl-C"])
                    done[what] += 1
                    disturb(process, what)
                    process.wait()
            while (status := start(options, logdir).wait()) and starts < 20:
                starts += 1
            same = metrics(logdir) == expected and len(list(Path(logdir).glob("*/summary.json"))) == len(expected)
            wrong += not same or status != 0
            seconds = time.perf_counter() - begun
            print(
                f"round {round_}: {starts + 1} starts, {seconds:.0f} s, {'same' if same else 'DIFFERENT'}", flush=True
            )
    print(f"{options.rounds} rounds, {sum(done.values())} kills ({dict(done)}), {wrong} rounds went wrong")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
