"""The queue: many experiments, planned, carried out one by one or side by side, and shown as they go.

Each is a process of its own, `execution.command`, in a pool of threads that wait for them. One that fails is tried once
more (`TRIES`), and goes on after its last finished task.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from tqdm import tqdm

from experiments.execution import command
from experiments.files import load_experiments
from experiments.parameters import NESTED, Experiment, ExperimentError, fields, flat, nearest
from experiments.resources import available_cores, too_large
from experiments.store import (
    PROJECT,
    clash,
    foreign,
    is_finished,
    kept_tasks,
    partial_notebook,
    read_metrics,
    run_folder,
)

TRIES = 2  # of each experiment; a cluster's jobs have as many
DEFAULT_FILE = "params/hundred_tasks.yaml"


def plan(
    files: Iterable[str | Path],
    only: Iterable[str] = (),
    settings: dict[str, object] | None = None,
    folders: Literal["go on", "replace"] | None = "go on",
    jobs: int | None = 1,
) -> list[Experiment]:
    """The experiments of the files, in their order, all of them checked and none started.

    `only` keeps the runs of those names; `settings` is laid over every one that is kept; `folders` says what is to
    become of runs that are there (None: nothing is written); `jobs` of them are to run side by side on this machine
    (None: none here). Raises ExperimentError with every problem found: broken files, wrong
    parameters, a run name given twice or unknown, a run folder that another run has taken, less RAM or fewer cores
    than it takes.
    """
    unknown = [
        f"--set {key}: unknown key{nearest(key, fields())}"
        for key in flat(settings or {})
        if key not in (*fields(), *NESTED)
    ]
    if unknown:
        raise ExperimentError("\n".join(unknown))
    files, names, experiments, origin, problems = list(files), [], [], {}, []
    for file in map(anchored, files):
        try:
            names += [experiment.run_name for experiment in load_experiments(file)] if only else []
            loaded = load_experiments(file, settings, only)
        except ExperimentError as error:
            problems.append(str(error))
            continue
        for experiment in loaded:
            folder = run_folder(experiment)
            if folder in origin:
                problems.append(f"{file}: run_name: {experiment.run_name!r} is given twice (also in {origin[folder]})")
            origin.setdefault(folder, file)
            experiments.append(experiment)
    if not problems:
        problems += [f"--only {name}: no such run{nearest(name, names)}" for name in only if name not in names]
    if jobs is not None and not problems:
        problems += too_large(experiments, jobs)
    if folders:
        taken = [foreign(run_folder(e)) if folders == "replace" else clash(e) for e in experiments]
        problems += [problem for problem in taken if problem]
    if problems:
        raise ExperimentError("\n".join(problems))
    return experiments


def anchored(file: str | Path) -> Path:
    """A file of experiments, from where the command is given or, where it is not there, from the project's folder."""
    path = Path(file).expanduser()
    return PROJECT / path if not path.exists() and (PROJECT / path).exists() else path


@dataclass
class Outcome:
    """What became of an experiment: `error` is what went wrong, None for a run that is finished."""

    experiment: Experiment
    error: str | None = None
    was_finished: bool = False


def run_all(experiments: list[Experiment], overwrite: bool = False, jobs: int = 1) -> Iterator[Outcome]:
    """Carry out the experiments, `jobs` side by side; a failure is an outcome, and the others run all the same.

    Each run has its share of the cores, and no more. A run that is finished already, with these very parameters, is
    not done again unless `overwrite` says so, and one that was interrupted goes on after its last finished task.
    Outcomes come as the runs end. Whatever ends this, Ctrl-C included, ends every run's processes first.
    """
    cores, waiting = max(1, available_cores() // jobs), []
    for experiment in experiments:
        if is_finished(experiment) and not overwrite:
            yield Outcome(experiment, was_finished=True)
        else:
            waiting.append(Job(experiment, cores, overwrite))
    live, pool = Live(waiting), ThreadPoolExecutor(jobs)
    try:
        running = {pool.submit(job.carry_out) for job in waiting}
        while running:
            ended, running = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            live.show()
            yield from (future.result() for future in ended)
    finally:
        with _no_second_ctrl_c():
            pool.shutdown(wait=False, cancel_futures=True)
            for job in waiting:
                job.stop()
            pool.shutdown()
            live.close()


@contextlib.contextmanager
def _no_second_ctrl_c() -> Iterator[None]:
    """Within it Ctrl-C is not heard, so that every process is ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Job:
    """An experiment in the queue, and the process that carries it out.

    Attributes: `status`, a word for the live view; `tries` so far; `error`, of the newest try that failed; `begun` and
    `ended`, in seconds since the epoch, None before.
    """

    def __init__(self, experiment: Experiment, cores: int, overwrite: bool = False):
        self.experiment, self.cores, self.overwrite = experiment, cores, overwrite
        self.status, self.tries, self.error = "waiting", 0, None
        self.begun = self.ended = None
        self._folder = run_folder(experiment)
        self._seen = None, (0, None)  # when metrics.csv was last written, and what it said
        self._process, self._stopped, self._starting = None, False, threading.Lock()

    def carry_out(self) -> Outcome:
        """Carry out the experiment, and wait for its end."""
        self.begun = time.time()
        while self.tries < TRIES and not self._stopped:
            self.tries += 1
            self.status = "running" if self.tries == 1 else "trying again"
            try:
                self.error = self._try()
            except Exception as error:  # no process could be started: the others run all the same
                self.error = f"{type(error).__name__}: {error}"
            if not self.error:
                break
        self.ended = time.time()
        self.status = "stopped" if self._stopped else "failed" if self.error else "finished"
        return Outcome(self.experiment, self.error and f"{self.error} ({kept_tasks(self._folder)})")

    def stop(self) -> None:
        """End the process and its kernel, for good; nothing of them is left behind."""
        with self._starting:
            self._stopped = True
            if self._process and self._process.poll() is None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    parent = psutil.Process(self._process.pid)
                    parent.suspend()  # so that it starts no kernel that would be missed
                    for process in [*parent.children(recursive=True), parent]:
                        with contextlib.suppress(psutil.NoSuchProcess):
                            process.kill()
                self._process.wait()
                partial_notebook(self._folder).unlink(missing_ok=True)

    def progress(self) -> tuple[int, float | None]:
        """How many tasks are learned, and the newest one's accuracy; (0, None) before this job has measured any."""
        with contextlib.suppress(OSError):  # not there yet, or out of reach: then the run says so
            written = (self._folder / "metrics.csv").stat().st_mtime
            if self.begun and written >= self.begun and written != self._seen[0]:  # else of an earlier run, or seen
                metrics = read_metrics(self._folder)
                learned = int(metrics["learned"].max())
                newest = metrics[(metrics["learned"] == learned) & (metrics["task"] == learned - 1)]
                self._seen = written, (learned, float(newest["accuracy"].iloc[0]))
        return self._seen[1]

    def _begun_anew(self) -> bool:
        """Whether an earlier try has replaced the run that was there: a second one goes on from it."""
        with contextlib.suppress(OSError):
            return (self._folder / "experiment.yaml").stat().st_mtime >= self.begun
        return False

    def _try(self) -> str | None:
        """One try. Returns what went wrong."""
        # What the run leaves in a folder for temporary files goes with it, however the run ends.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            return self._try_in({**os.environ, "TMPDIR": folder})

    def _try_in(self, environment: dict[str, str]) -> str | None:
        more = ["--parent", str(os.getpid()), *["--overwrite"] * (self.overwrite and not self._begun_anew())]
        with self._starting:
            if self._stopped:
                return None
            self._process = subprocess.Popen(
                [*command(self.experiment, self.cores), *more],
                cwd=PROJECT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # Ctrl-C in a terminal is for the queue alone, which then stops every job
            )
        words = self._process.communicate()[1].strip()
        if self._process.returncode < 0:
            return f"its process was killed (signal {-self._process.returncode}); most often the machine is out of RAM"
        return (words or "it ended without a word") if self._process.returncode else None


class Live:
    """How far all jobs are, on stderr: a line when one begins and ends and, in a terminal, a bar for each in hand.

    Call `show` a few times in a second, and `close` at the end.
    """

    ONE = "{desc}: task {n_fmt} of {total_fmt} |{bar:20}| {elapsed} so far, {remaining} left{postfix}"
    ALL = "{n_fmt} of {total_fmt} runs have ended, {elapsed} so far"
    SECONDS_BETWEEN_LINES = 60  # where there is no terminal

    def __init__(self, jobs: list[Job], in_terminal: bool | None = None):
        self._jobs = jobs
        self._in_terminal = os.isatty(2) if in_terminal is None else in_terminal
        self._said = {}  # job: what its last line said of it, and when
        self._bars = {}  # job in hand: its bar
        self._all = self._bar(self.ALL, total=len(jobs))

    def show(self) -> None:
        for job in self._jobs:
            self._say(job)
            if self._in_terminal:
                self._draw(job)
        if self._in_terminal:
            self._all.n = sum(bool(job.ended) for job in self._jobs)
            self._all.refresh()

    def close(self) -> None:
        """Take all bars away; the lines stay."""
        for bar in [*self._bars.values(), self._all]:
            bar.close()

    def _draw(self, job: Job) -> None:
        if job.ended:
            if job in self._bars:
                self._bars.pop(job).close()
        elif job.begun:  # those that wait have no files to look into
            (learned, accuracy), bar = job.progress(), self._bars.get(job)
            if not bar:
                total, name = job.experiment.n_tasks_to_learn, job.experiment.run_name
                self._bars[job] = self._bar(self.ONE, total=total, initial=learned, desc=name)
                return
            if not bar.n:
                bar.initial = max(0, learned - 1)  # what an earlier start has learned took none of this time
            bar.n = learned
            bar.set_postfix_str("" if accuracy is None else f"newest accuracy {accuracy:.4f}")

    def _say(self, job: Job) -> None:
        now, is_now = time.time(), (job.status, job.tries)
        was, when = self._said.get(job, (("waiting", 0), now))
        recently = now - when < self.SECONDS_BETWEEN_LINES
        if job.status == "running" and (self._in_terminal or is_now == was and recently):
            return  # in a terminal its bar says it
        if job.status != "running" and is_now == was:
            return
        self._said[job] = is_now, now
        learned, accuracy = job.progress()
        why = f" ({job.error})" if job.status == "trying again" else ""
        parts = [f"{job.status}{why}", f"{learned} of {job.experiment.n_tasks_to_learn} tasks"]
        parts += [f"newest accuracy {accuracy:.4f}"] if accuracy is not None else []
        parts += [f"{tqdm.format_interval((job.ended or now) - job.begun)} so far"]
        tqdm.write(f"{job.experiment.run_name}: {', '.join(parts)}", file=sys.stderr)

    def _bar(self, bar_format: str, **settings) -> tqdm:
        return tqdm(bar_format=bar_format, leave=False, disable=not self._in_terminal, dynamic_ncols=True, **settings)
