"""The store of runs: where a run's folder is, what it holds, who may use it. Looking changes nothing."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import yaml
from filelock import FileLock, Timeout

from experiments.parameters import Experiment, ExperimentError, flat

PROJECT = Path(__file__).resolve().parents[1]
# Everything that a run writes into its folder.
OWN = ["experiment.yaml", "metrics.csv", "summary.json", "weights.npz", "rounded.csv", "run.ipynb", "*.partial"]
OWN += ["inference.csv", "events.out.tfevents.*"]
OWN += ["checkpoints", "checkpoints/embeddings", "checkpoints/ckpt-*", "checkpoints/ckpt-*_temp/*"]
OWN += ["checkpoints/checkpoint", "figures", "figures/*.png", "tensorboard", "tensorboard/events.*"]  # earlier versions
OWN += [".ipynb_checkpoints", ".ipynb_checkpoints/run-checkpoint.ipynb"]  # where somebody has looked at the report


def run_folder(experiment: Experiment) -> Path:
    """Where a run keeps its files: `<logdir>/<run_name>`, a relative logdir counted from the project's folder."""
    return PROJECT / Path(experiment.logdir).expanduser() / experiment.run_name


def is_finished(experiment: Experiment) -> bool:
    """Whether this very experiment, every parameter the same, was carried out to its end, its report included.

    The report of a run that has kept no checkpoints, as those in git, cannot be made again, and is not asked for.
    """
    folder = run_folder(experiment)
    whole = (folder / "run.ipynb").exists() or not checkpoint_numbers(folder)
    kept = kept_experiment(folder)
    return (folder / "summary.json").exists() and whole and kept is not None and not _differences(kept, experiment)


def _differences(kept: Experiment, experiment: Experiment) -> dict[str, tuple]:
    """What the parameters were, and are, in which two experiments of one folder differ; but for where that lies."""
    old, new = [flat(one.model_dump(exclude={"logdir"})) for one in (kept, experiment)]
    return {key: (old.get(key), new.get(key)) for key in {**new, **old} if old.get(key) != new.get(key)}


def checkpoint_numbers(folder: Path) -> list[int]:
    """After how many tasks there are checkpoints in a run's folder, the newest first; by listing, whole or not."""
    names = [path.stem.removeprefix("ckpt-") for path in (folder / "checkpoints").glob("ckpt-*.index")]
    return sorted((int(name) for name in names if name.isdigit()), reverse=True)


def status(experiment: Experiment) -> str:
    """What a look into its folder says of an experiment: finished, running, failed, interrupted and so on."""
    folder = run_folder(experiment)
    if (running := is_running(folder)) or running is None:
        return "running" if running else "unknown"
    if clash(experiment):
        return "another run is there"
    if is_finished(experiment):
        return "finished"
    if failed_notebook(folder).exists():
        return "failed"
    return "interrupted" if (folder / "experiment.yaml").exists() else "not started"


def is_running(folder: Path) -> bool | None:
    """Whether a process holds the lock on the run in this folder; None where that cannot be known. Writes nothing."""
    try:
        import fcntl
    except ImportError:  # Windows, where a lock can only be looked at by taking it
        fcntl = None
    try:
        if not lock_file(folder).exists():
            return False
        if fcntl is None:
            with FileLock(lock_file(folder), timeout=0):
                return False
        with open(lock_file(folder), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except (Timeout, BlockingIOError):
        return True
    except OSError:  # another user's, or a file system without locks
        return None


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
        raise ExperimentError(
            f"{shown(folder)}: another process is carrying out this run (where there is none, its machine being gone, "
            f"remove {shown(path)})"
        ) from None


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
        return foreign(folder) or _remains(folder)
    kept = kept_experiment(folder)
    if kept is None:
        differs = "its experiment.yaml cannot be read"
    else:
        differences = _differences(kept, experiment)
        if not differences:
            return None
        only_tasks = list(differences) == ["n_tasks_to_learn"]
        kinds = [key for key in ("method", "tasks") if key in differences]  # each with parameters of its own
        if kinds:
            differs = ", ".join(f"{key} was {differences[key][0]}, is {differences[key][1]}" for key in kinds)
        elif only_tasks and experiment.method == "joint" and checkpoint_numbers(folder):
            differs = f"it learned {kept.n_tasks_to_learn} tasks together, and can learn no other"
        elif only_tasks and kept.n_tasks_to_learn < experiment.n_tasks_to_learn:
            if checkpoint_numbers(folder):
                return None
            differs = f"it learned {kept.n_tasks_to_learn} tasks, and its checkpoints are not there to go on from"
        else:
            differs = ", ".join(f"{key} was {old}, is {new}" for key, (old, new) in differences.items())
    return f"{shown(folder)} holds another run ({differs}); choose another run_name, or --overwrite that run"


def _remains(folder: Path) -> str | None:
    """The sentence that refuses a folder with remains of a run of which nobody knows which one it was."""
    if not folder.exists() or not any(folder.iterdir()):
        return None
    return f"{shown(folder)} holds remains of a run, without experiment.yaml; --overwrite removes them"


def kept_tasks(folder: Path) -> str:
    """A clause that says how many tasks a run that stopped has learned and keeps, and in which checkpoint."""
    if not (numbers := checkpoint_numbers(folder)):
        return "no task was finished yet"
    kept = "1 task is" if numbers[0] == 1 else f"{numbers[0]} tasks are"
    return f"{kept} kept, in {shown(folder / 'checkpoints')}/ckpt-{numbers[0]}"


def foreign(folder: Path) -> str | None:
    """The sentence that refuses a folder in which not all is a run's; None where all is, or nothing is there."""
    if not folder.is_dir():
        return f"{shown(folder)} is a file; choose another run_name or logdir" if folder.exists() else None
    own = {path for pattern in OWN for path in folder.glob(pattern)}
    others = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path not in own)
    if not others:
        return None
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    return (
        f"{shown(folder)} holds what is no run's ({', '.join(others[:3])}{more}); choose another run_name or logdir, "
        f"or move that away"
    )


def discard(folder: Path) -> None:
    """Remove the run in this folder, and nothing but a run's own files.

    Raises ExperimentError, and removes nothing, where there is anything else.
    """
    if problem := foreign(folder):
        raise ExperimentError(problem)
    if folder.exists():
        # The experiment goes last: whenever this is cut off, what is left is known for what it was.
        for path in sorted(folder.rglob("*"), key=lambda path: (path.name == "experiment.yaml", -len(path.parts))):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()


def read_summary(folder: str | Path) -> dict | None:
    """What a finished run's `summary.json` says; None for a run that never finished. Relative: as in read_metrics."""
    path = PROJECT / folder / "summary.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def read_metrics(folder: str | Path) -> pd.DataFrame:
    """A run's `metrics.csv`: columns learned, task, accuracy. A relative folder is counted from the project's folder.

    Raises FileNotFoundError where no such run has measured anything yet.
    """
    return _read_table(PROJECT / folder / "metrics.csv", "measured anything")


def read_inferred(folder: str | Path) -> pd.DataFrame:
    """A run's `inference.csv`: columns learned and those of `hypernet_lib.inference.infer`. Relative: as read_metrics.

    Raises FileNotFoundError where no task of such a run was inferred yet.
    """
    return _read_table(PROJECT / folder / "inference.csv", "inferred any task")


def _read_table(path: Path, done: str) -> pd.DataFrame:
    """A CSV file of a run; `done` says what a run has done that has one."""
    if not path.exists():
        raise FileNotFoundError(f"{shown(path)} is not there: no run of that name has {done} yet")
    return pd.read_csv(path)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's text in one step: a reader, or a crash, finds the old text or the new, never a part."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to be written, which replaces the one at this path in one step, once the block has come to its end."""
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # on the disk before it replaces anything
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
