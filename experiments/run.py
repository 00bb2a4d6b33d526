"""An experiment being carried out: its metrics, checkpoints and events as they come, its summary at the end."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.checkpoints import Checkpoints, write_weights
from experiments.environment import check_project
from experiments.events import Events
from experiments.parameters import Experiment, ExperimentError
from experiments.store import (
    checkpoint_numbers,
    clash,
    discard,
    lock,
    read_inferred,
    read_metrics,
    read_summary,
    run_folder,
    shown,
    write_atomically,
)
from hypernet_lib.inference import infer
from hypernet_lib.metrics import INFERRED, AccuracyMatrix, after_the_last
from hypernet_lib.training import Learner

PACKAGES = ("tensorflow", "tensorflow-datasets", "keras", "numpy")
LAST_STEPS = 50  # over which the loss of a task is averaged


class Run:
    """A run: its folder, and in it everything that is known of it so far.

    Made, it only looks; `resume` takes the folder, and from then on this process alone writes there. Whatever moment it
    ends at, each file is there whole or not at all, and resuming the same experiment goes on after the last finished
    task.
    """

    def __init__(self, experiment: Experiment):
        self.experiment, self.folder = experiment, run_folder(experiment)
        self._records, self._losses, self._inferred = None, None, None

    @property
    def metrics(self) -> pd.DataFrame:
        """Every accuracy so far: columns learned, task, accuracy. Raises FileNotFoundError where there is none yet."""
        if self._records is None:
            return read_metrics(self.folder)
        return pd.DataFrame(self._records, columns=["learned", "task", "accuracy"])

    @property
    def inferred(self) -> pd.DataFrame:
        """What was right where the task was inferred: the columns of `hypernet_lib.inference.infer` and learned.

        Raises FileNotFoundError where no task was inferred yet.
        """
        if self._inferred is None:
            return read_inferred(self.folder)
        return pd.DataFrame(self._inferred, columns=["learned", *INFERRED])

    @property
    def summary(self) -> dict | None:
        """What `summary.json` says; None for a run that is not finished."""
        return read_summary(self.folder)

    def resume(self, learner: Learner, overwrite: bool = False) -> int:
        """Take the folder, and set the learner to where this run stopped; `overwrite` starts it anew.

        Returns how many tasks are learned, 0 for a new run. Raises ExperimentError where another process carries out
        this run, where another run has taken the folder, where its checkpoints cannot be read or, of a finished run,
        are not there, where the learner has learned other tasks already, or where this process is in the folder of
        another copy of the project than the code; then nothing in the folder is changed.
        """
        check_project(Path.cwd())
        self._lock, start = lock(self.folder), time.perf_counter()
        try:
            if overwrite:
                _check_nothing_more(learner, 0)
                discard(self.folder)
            elif problem := clash(self.experiment):
                raise ExperimentError(problem)
            self._learner, self._checkpoints = learner, Checkpoints(self.folder, learner)
            progress = self._checkpoints.restore()
            if progress is None and checkpoint_numbers(self.folder):
                raise ExperimentError(
                    f"{shown(self.folder)}: none of its checkpoints can be read, and nothing is learned anew over them;"
                    f" choose another run_name, or overwrite it"
                )
            progress = {"learned": 0, "seconds": 0.0, "records": [], "losses": [], "inferred": [], **(progress or {})}
            learned, last = progress["learned"], self.experiment.n_tasks_to_learn
            if (finished := self.summary) and learned < finished["tasks"]:
                raise ExperimentError(
                    f"{shown(self.folder)} is finished, and its checkpoints are not there to go on from; choose "
                    f"another run_name, or overwrite it"
                )
            _check_nothing_more(learner, learned)
        except BaseException:
            self.release()
            raise
        learner.restored(learned)
        self._start = start - progress["seconds"]
        self._losses = [tuple(loss) for loss in progress["losses"]]
        # A run that becomes longer was tested in full at what was then its end: now that is a task like any other.
        self._records = [
            (at, task, accuracy)
            for at, task, accuracy in progress["records"]
            if self.experiment.tests_all_after(at) or task in (0, at - 1)
        ]
        self._inferred = [tuple(row) for row in progress["inferred"] if self.experiment.tests_all_after(row[0])]
        self.folder.mkdir(parents=True, exist_ok=True)
        if learned < last:
            # Of a run that now becomes longer:
            for name in ("summary.json", "weights.npz", "rounded.csv", "inference.csv"):
                (self.folder / name).unlink(missing_ok=True)
        write_atomically(self.folder / "experiment.yaml", self.experiment.to_yaml())
        if learned:
            next_step = f"going on with task {learned}" if learned < last else "nothing is left to learn"
            print(f"{learned} of {last} tasks are learned already: {next_step}")
            self._write_metrics()
        self._events = Events(self.folder, self.experiment)
        self._events.accuracies(self._records)
        self._events.losses(self._losses)
        self._events.inferred(self.inferred)
        return learned

    def record(self, learned: int, accuracies: dict[int, float], losses: np.ndarray) -> None:
        """Keep what is known once `learned` tasks are learned: a checkpoint, the accuracies {task: accuracy}, the loss.

        `losses` are those of every step of the newest task; their mean over the last 50 is kept. Where the experiment
        asks for it, the task of test images is inferred now.
        """
        new = [(learned, task, round(accuracy, 6)) for task, accuracy in sorted(accuracies.items())]
        self._records += new
        self._losses.append((learned, round(float(np.mean(losses[-LAST_STEPS:])), 6)))
        if self.experiment.infers_after(learned):
            inferred = infer(self._learner, learned, self.experiment.infer_images, seed=self.experiment.seed)
            self._inferred += [(learned, *row) for row in inferred.round(6).itertuples(index=False)]
        progress = {
            "learned": learned,
            "seconds": time.perf_counter() - self._start,
            "records": self._records,
            "losses": self._losses,
            "inferred": self._inferred,
        }
        try:
            self._checkpoints.save(learned, progress)
            self._write_metrics()
            self._events.accuracies(new)
            self._events.losses(self._losses[-1:])
            self._events.inferred(self.inferred.query("learned == @learned"))
        except Exception as error:  # TensorFlow has errors of its own for what Python calls OSError
            raise OSError(
                f"{shown(self.folder)} cannot be written ({type(error).__name__}: {error}). What was learned before "
                f"task {learned - 1} is kept: make room, or the folder writable, and start again to go on"
            ) from error

    def finish(self) -> dict:
        """Write the weights and `summary.json`, as of a finished run; give the folder back, and return the latter.

        What a run measured that was finished before stays as it is.
        """
        n_tasks = self.experiment.n_tasks_to_learn
        finished = self.summary
        summary = finished or {
            "run_name": self.experiment.run_name,
            "tasks": n_tasks,
            **{name: round(value, 6) for name, value in AccuracyMatrix(self.metrics).summary().items()},
            **({"inferred": _right_at_the_end(self.inferred, self.experiment.infer_task)} if self._inferred else {}),
            **self.experiment.size,
            "seconds": round(time.perf_counter() - self._start, 1),
            "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            "machine": machine(),
        }
        self._events.results(summary)
        if finished is None or not (self.folder / "weights.npz").exists():
            write_weights(self.folder / "weights.npz", self._learner, n_tasks)
        if finished is None:
            write_atomically(self.folder / "summary.json", json.dumps(summary, indent=2) + "\n")
        self.release()
        return summary

    def release(self) -> None:
        """Give the folder back: another process may resume the run."""
        self._lock.release()

    def _write_metrics(self) -> None:
        write_atomically(self.folder / "metrics.csv", self.metrics.to_csv(index=False, float_format="%.6f"))
        if self._inferred:
            write_atomically(self.folder / "inference.csv", self.inferred.to_csv(index=False, float_format="%.6f"))


def _right_at_the_end(inferred: pd.DataFrame, score: str) -> dict[str, dict[str, float]]:
    """What `summary.json` says of inference: by the number of images together, the mean over tasks of each column."""
    table = after_the_last(inferred).loc[score].round(6)
    return {str(together): row.to_dict() for together, row in table.iterrows()}


def _check_nothing_more(learner: Learner, learned: int) -> None:
    """Raise ExperimentError where the learner has learned a task that the run has not."""
    if more := learner.learned - set(range(learned)):
        raise ExperimentError(
            f"the learner has learned task {min(more)} already, and this run has not: build the learner anew"
        )


def machine() -> dict:
    """What a measurement was made on: processor, cores, system; without any name of the machine itself."""
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):  # only Linux has this file
        names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        processor = names[0] if names else processor
    return {"processor": processor, "cores": os.cpu_count(), "system": platform.system()}
