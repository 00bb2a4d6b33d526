"""An experiment being carried out: its metrics, checkpoints and events as they come, its summary at the end."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import time
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from hypernet_lib.experiment import Experiment, ExperimentError
from hypernet_lib.folders import RESULTS, clash, discard, lock_file, run_folder, shown, write_atomically
from hypernet_lib.metrics import AccuracyMatrix

PACKAGES = ("tensorflow", "tensorflow-datasets", "keras", "numpy")


class Run:
    """An experiment being carried out: its folder, and in it everything that is known of it so far.

    Whatever moment the process ends at, each file is there whole or not at all, and starting the same experiment again
    goes on after the last finished task.

    Raises ExperimentError where another process carries out this run, or another run has taken the folder.
    """

    def __init__(self, experiment: Experiment, overwrite: bool = False):
        self.experiment, self.folder = experiment, run_folder(experiment)
        self._lock = _lock(self.folder)
        if overwrite:
            discard(self.folder)
        elif problem := clash(experiment):
            raise ExperimentError(problem)
        (self.folder / "figures").mkdir(parents=True, exist_ok=True)
        (self.folder / "summary.json").unlink(missing_ok=True)  # of a run that now becomes longer
        write_atomically(self.folder / "experiment.yaml", experiment.to_yaml())
        self._start, self._records = time.perf_counter(), []
        self._checkpoints = self._writer = None

    def resume(self, hypernet) -> int:
        """Set the hypernetwork to where this run stopped; returns how many tasks are learned, 0 for a new run."""
        from hypernet_lib.checkpoints import Checkpoints

        self._checkpoints = Checkpoints(self.folder / "checkpoints", hypernet)
        state = self._checkpoints.restore() or {"learned": 0, "seconds": 0.0, "records": []}
        learned, last = state["learned"], self.experiment.n_tasks_to_learn
        self._start -= state["seconds"]
        # A run that becomes longer was tested in full at what was then its end: now that is a task like any other.
        self._records = [
            (at, task, accuracy)
            for at, task, accuracy in state["records"]
            if self.experiment.tests_all_after(at) or task in (0, at - 1)
        ]
        if learned:
            print(f"{learned} of {last} tasks are learned already: going on with task {learned}")
            self._write_metrics()
        self._open_tensorboard()
        return learned

    def record(self, learned: int, accuracies: dict[int, float]) -> None:
        """Keep a checkpoint and the accuracies {task: accuracy} measured once `learned` tasks are learned."""
        new = [(learned, task, round(accuracy, 6)) for task, accuracy in sorted(accuracies.items())]
        self._records += new
        seconds = time.perf_counter() - self._start
        try:
            self._checkpoints.save(learned, {"learned": learned, "seconds": seconds, "records": self._records})
            self._write_metrics()
            self._log(new)
        except Exception as error:  # TensorFlow has errors of its own for what Python calls OSError
            raise OSError(
                f"{shown(self.folder)} cannot be written ({type(error).__name__}: {error}). What was learned before "
                f"task {learned - 1} is kept: make room, or the folder writable, and start again to go on"
            ) from error

    @property
    def metrics(self) -> pd.DataFrame:
        """Everything recorded so far: columns learned, task, accuracy."""
        return pd.DataFrame(self._records, columns=["learned", "task", "accuracy"])

    def save_figure(self, figure, name: str) -> None:
        """Keep a figure as `figures/<name>.png`."""
        figure.savefig(self.folder / "figures" / f"{name}.png", dpi=150, bbox_inches="tight")

    def finish(self, compression: float) -> dict:
        """Write `summary.json`, which only a finished run has, and return what it says."""
        summary = {
            "run_name": self.experiment.run_name,
            "tasks": self.experiment.n_tasks_to_learn,
            **{name: round(value, 6) for name, value in AccuracyMatrix(self.metrics).summary().items()},
            "compression": round(compression, 4),
            "seconds": round(time.perf_counter() - self._start, 1),
            "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            "machine": machine(),
        }
        self._log_result(summary)
        self._writer.close()
        write_atomically(self.folder / "summary.json", json.dumps(summary, indent=2) + "\n")
        self._lock.release()
        return summary

    def _write_metrics(self) -> None:
        write_atomically(self.folder / "metrics.csv", self.metrics.to_csv(index=False, float_format="%.6f"))

    def _open_tensorboard(self) -> None:
        """Start the event file anew from the records, so that no point is there twice after a resume."""
        from hypernet_lib.quiet import tf  # only for its event writer; reading runs does without

        self._summary = tf.summary
        shutil.rmtree(self.folder / "tensorboard", ignore_errors=True)
        self._writer = tf.summary.create_file_writer(str(self.folder / "tensorboard"))
        with self._writer.as_default():
            document = "    " + self.experiment.to_yaml().replace("\n", "\n    ")  # indented: shown as it is
            tf.summary.text("experiment", document, step=0)
        self._log_hparams()
        self._log(self._records)

    def _log(self, records: list[tuple[int, int, float]]) -> None:
        with self._writer.as_default():
            for learned, task, accuracy in records:
                if task == 0:
                    self._summary.scalar("task 0 accuracy", accuracy, step=learned)
                if self.experiment.tests_all_after(learned):
                    self._summary.scalar(f"accuracy measured at {learned}", accuracy, step=task)
        self._writer.flush()

    def _log_hparams(self) -> None:
        """This run's row in TensorBoard's HParams tab: every parameter, and which results the columns are."""
        from tensorboard.plugins.hparams import summary_v2 as hparams

        parameters = self.experiment.model_dump(exclude={"run_name", "logdir"})
        shown = {key: value if isinstance(value, int | float) else str(value) for key, value in parameters.items()}
        columns = [hparams.Metric(name, display_name=name) for name in RESULTS]
        with self._writer.as_default():
            hparams.hparams_config([hparams.HParam(key) for key in shown], columns)
            hparams.hparams(shown, trial_id=self.experiment.run_name)

    def _log_result(self, summary: dict) -> None:
        with self._writer.as_default():
            for name in RESULTS:
                self._summary.scalar(name, summary[name], step=summary["tasks"])


def _lock(folder: Path) -> FileLock:
    """The lock on a run, which ends with the process that holds it, however that ends."""
    path = lock_file(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, is_singleton=True)  # so that a reader may run the cell of a notebook again
    try:
        return lock.acquire(timeout=5).lock  # an orphaned kernel notices within a second or two that it is alone
    except Timeout:
        raise ExperimentError(f"{shown(folder)}: another process is carrying out this run") from None


def machine() -> dict:
    """What a measurement was made on: processor, cores, system; without any name of the machine itself."""
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):  # only Linux has this file
        names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        processor = names[0] if names else processor
    return {"processor": processor, "cores": os.cpu_count(), "system": platform.system()}
