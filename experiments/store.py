"""The store of runs: where a run's folder is, what it holds, who may use it. Looking changes nothing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import yaml
from filelock import FileLock, Timeout

from experiments.parameters import Experiment, ExperimentError

PROJECT = Path(__file__).resolve().parents[1]


def run_folder(experiment: Experiment) -> Path:
    """Where a run keeps its files: `<logdir>/<run_name>`, a relative logdir counted from the project's folder."""
    return PROJECT / experiment.logdir / experiment.run_name


def is_finished(experiment: Experiment) -> bool:
    """Whether this very experiment, every parameter the same, was carried out to its end."""
    folder = run_folder(experiment)
    return (folder / "summary.json").exists() and kept_experiment(folder) == experiment


def status(experiment: Experiment) -> str:
    """What a look into its folder says of an experiment: finished, running, failed, interrupted and so on."""
    folder = run_folder(experiment)
    if is_running(folder):
        return "running"
    if clash(experiment):
        return "another run is there"
    if is_finished(experiment):
        return "finished"
    if failed_notebook(folder).exists():
        return "failed"
    return "interrupted" if (folder / "experiment.yaml").exists() else "not started"


def is_running(folder: Path) -> bool:
    """Whether a process holds the lock on the run in this folder."""
    if not lock_file(folder).exists():
        return False
    try:
        with FileLock(lock_file(folder), timeout=0):
            return False
    except Timeout:
        return True


def lock(folder: Path) -> FileLock:
    """Take the run in this folder for this process; the lock ends with it, however that ends, or by `release`.

    Raises ExperimentError where another process carries out the run.
    """
    path = lock_file(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    taken = FileLock(path, is_singleton=True)  # so that a reader may run the cell of a notebook again
    try:
        return taken.acquire(timeout=5).lock  # an orphaned kernel notices within a second or two that it is alone
    except Timeout:
        raise ExperimentError(f"{shown(folder)}: another process is carrying out this run") from None


def lock_file(folder: Path) -> Path:
    """The file that is locked while a run is carried out: beside its folder, so that the folder can be removed."""
    return folder.parent / ".locks" / folder.name


def partial_notebook(folder: Path) -> Path:
    """Where the notebook of a run in hand is written, cell by cell: beside its folder until it is known how it ends."""
    return folder.with_name(f"{folder.name}.partial.ipynb")


def failed_notebook(folder: Path) -> Path:
    """Where the executed notebook of a run that failed is kept: beside its folder."""
    return folder.with_name(f"{folder.name}.failed.ipynb")


def clash(experiment: Experiment) -> str | None:
    """The sentence that refuses an experiment whose folder another run has taken; None where it may start or go on.

    It may where the folder is free, or holds the same experiment, or the same with fewer tasks to learn.
    """
    folder = run_folder(experiment)
    if not (folder / "experiment.yaml").exists():
        return None
    kept, new = kept_experiment(folder), experiment.model_dump()
    if kept is None:
        differs = "its experiment.yaml cannot be read"
    else:
        old = kept.model_dump()
        keys = [key for key in new if old[key] != new[key]]
        if not keys:
            return None
        if keys == ["n_tasks_to_learn"] and old["n_tasks_to_learn"] < new["n_tasks_to_learn"]:
            if (folder / "checkpoints").exists():
                return None
            differs = f"it learned {old['n_tasks_to_learn']} tasks, and its checkpoints are not there to go on from"
        else:
            differs = ", ".join(f"{key} was {old[key]}, is {new[key]}" for key in keys)
    return f"{shown(folder)} holds another run ({differs}); choose another run_name, or --overwrite that run"


def kept_tasks(folder: Path) -> str:
    """A clause that says how many tasks a run that stopped has learned and keeps, and in which checkpoint."""
    numbers = [int(path.stem.removeprefix("ckpt-")) for path in (folder / "checkpoints").glob("ckpt-*.index")]
    if not numbers:
        return "no task was finished yet"
    kept = "1 task is" if max(numbers) == 1 else f"{max(numbers)} tasks are"
    return f"{kept} kept, in {shown(folder / 'checkpoints')}/ckpt-{max(numbers)}"


def discard(folder: Path) -> None:
    """Remove the run in this folder; a folder that holds no run is left as it is."""
    if (folder / "experiment.yaml").exists():
        shutil.rmtree(folder)


def read_summary(folder: str | Path) -> dict | None:
    """What a finished run's `summary.json` says; None for a run that never finished. Relative: as in read_metrics."""
    path = PROJECT / folder / "summary.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def read_metrics(folder: str | Path) -> pd.DataFrame:
    """A run's `metrics.csv`: columns learned, task, accuracy. A relative folder is counted from the project's folder.

    Raises FileNotFoundError where no such run has measured anything yet.
    """
    path = PROJECT / folder / "metrics.csv"
    if not path.exists():
        raise FileNotFoundError(f"{shown(path)} is not there: no run of that name has measured anything yet")
    return pd.read_csv(path)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's text in one step: a reader, or a crash, finds the old text or the new, never a part."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def shown(path: Path) -> str:
    """A path as a reader wants it: from the project's folder where it lies inside."""
    return str(path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path)


def kept_experiment(folder: Path) -> Experiment | None:
    """The experiment of the run in this folder; None where there is none that can be read."""
    try:
        return Experiment.from_mapping(yaml.safe_load((folder / "experiment.yaml").read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ExperimentError):
        return None
