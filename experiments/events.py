"""What TensorBoard shows of a run: its parameters as text and in the HParams tab, every accuracy, the results.

The file of events lies in the run's folder itself, so that TensorBoard calls the run by its name. The text `experiment`
and the scalars `accuracy measured at N` and `task 0 accuracy` have the names that the original work gave them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from tensorboard.plugins.hparams import summary_v2 as hparams

from experiments.parameters import Experiment, fields, flat
from hypernet_lib.quiet import tf

COLUMNS = ("ACC", "forgetting", "seconds")  # of results, in the HParams tab


class Events:
    """The file of events of a run, started anew in its folder: after a resume no point is there twice."""

    def __init__(self, folder: Path, experiment: Experiment):
        self._experiment, self._ended = experiment, False
        for file in folder.glob("events.out.tfevents.*"):
            file.unlink()
        self._writer = tf.summary.create_file_writer(str(folder))
        # The tab fails on a column that holds both numbers and text: what may be either is text in every run.
        numbers = [key for key, field in fields().items() if field.annotation in (int, float, bool)]
        parameters = flat(experiment.model_dump(exclude={"run_name", "logdir"}))
        shown = {key: value if key in numbers else str(value) for key, value in parameters.items()}
        with self._writer.as_default():
            document = "    " + experiment.to_yaml().replace("\n", "\n    ")  # indented: shown as it is
            tf.summary.text("experiment", document, step=0)
            columns = [hparams.Metric(name, display_name=name) for name in COLUMNS]
            # The columns of a folder are those of its first run: all that any method has.
            hparams.hparams_config(
                [hparams.HParam(key) for key in fields() if key not in ("run_name", "logdir")], columns
            )
            hparams.hparams(shown, trial_id=experiment.run_name)

    def accuracies(self, records: Iterable[tuple[int, int, float]]) -> None:
        """Add accuracies: (tasks learned, task, accuracy)."""
        with self._writer.as_default():
            for learned, task, accuracy in records:
                if task == 0:
                    tf.summary.scalar("task 0 accuracy", accuracy, step=learned)
                if task == learned - 1:
                    tf.summary.scalar("newest task accuracy", accuracy, step=learned)
                if self._experiment.tests_all_after(learned):
                    tf.summary.scalar(f"accuracy measured at {learned}", accuracy, step=task)
        self._writer.flush()

    def losses(self, losses: Iterable[tuple[int, float]]) -> None:
        """Add the loss with which a task was learned: (tasks learned, cross-entropy)."""
        with self._writer.as_default():
            for learned, loss in losses:
                tf.summary.scalar("newest task loss", loss, step=learned)
        self._writer.flush()

    def inferred(self, found: pd.DataFrame) -> None:
        """Add what was right where the task was inferred, by the experiment's score: rows of `Run.inferred`."""
        found = found[found["score"] == self._experiment.infer_task]
        means = found.groupby(["learned", "together"])[["task_right", "class_right"]].mean()
        with self._writer.as_default():
            for (learned, together), right in means.iterrows():
                for name, value in right.items():
                    tf.summary.scalar(f"{name.replace('_', ' ')} inferred from {together}", value, step=learned)
        self._writer.flush()

    def results(self, summary: dict) -> None:
        """Add what a finished run's summary says, once, and end the file."""
        if self._ended:
            return
        with self._writer.as_default():
            for name in COLUMNS:
                tf.summary.scalar(name, summary[name], step=summary["tasks"])
        self._writer.close()
        self._ended = True
