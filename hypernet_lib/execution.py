"""One experiment, executed: papermill runs notebook 03 with its parameters, and the terminal shows how far it is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from tqdm import tqdm

from hypernet_lib.experiment import Experiment
from hypernet_lib.folders import PROJECT, failed_notebook, kept_tasks, read_metrics, read_summary, run_folder

NOTEBOOK = PROJECT / "notebooks" / "03_continual_run.ipynb"
NO_KERNEL = "the notebook could not be started"


@dataclass
class Outcome:
    """What became of an experiment: the summary of a finished run, or what went wrong."""

    experiment: Experiment
    summary: dict | None = None
    error: str | None = None
    was_finished: bool = False


def run_one(experiment: Experiment, overwrite: bool = False) -> Outcome:
    """Execute notebook 03 with the experiment's parameters; `run.ipynb` appears in the run's folder when it is done.

    KeyboardInterrupt stops the kernel before it goes on its way.
    """
    folder = run_folder(experiment)
    # papermill writes cell by cell, and not atomically: beside the folder, until it is known how it ended.
    partial = folder.with_name(f"{folder.name}.partial.ipynb")
    failed = failed_notebook(folder)
    outcome = Outcome(experiment)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        error = _execute(experiment, overwrite, partial)
        outcome.summary = None if error else read_summary(folder)
        if outcome.summary:
            _move_clean(partial, folder / "run.ipynb")
            failed.unlink(missing_ok=True)
        else:
            reason = error or "the notebook ran to its end without a summary"
            outcome.error = f"{reason} ({kept_tasks(folder)})"
            if partial.exists():
                _move_clean(partial, failed)
    except OSError as error:
        outcome.error = f"{type(error).__name__}: {error}"
    finally:
        with contextlib.suppress(OSError):  # where the folder itself is out of reach, that has been said already
            partial.unlink(missing_ok=True)
    return outcome


def _execute(experiment: Experiment, overwrite: bool, output: Path) -> str | None:
    """papermill in a thread, the live line here, in the thread that Ctrl-C reaches. Returns what went wrong."""
    errors = []
    for _ in range(2):  # kernels that start at the same moment may race for a port: once more
        kernel = AsyncKernelManager(kernel_name="python3")
        errors.clear()
        worker = threading.Thread(target=_papermill, args=(experiment, overwrite, output, kernel, errors), daemon=True)
        worker.start()
        try:
            _follow(experiment, worker)
        finally:
            _stop(kernel, worker)
        if not errors or not errors[0].startswith(NO_KERNEL):
            break
    return errors[0] if errors else None


def _stop(kernel: AsyncKernelManager, worker: threading.Thread) -> None:
    """End the kernel, and with it the worker; one that is only just starting is ended as soon as it is there."""
    while kernel.has_kernel or worker.is_alive():
        if kernel.has_kernel:
            asyncio.run(kernel.shutdown_kernel(now=True))
        worker.join(0.1)


def _papermill(
    experiment: Experiment, overwrite: bool, output: Path, kernel: AsyncKernelManager, errors: list[str]
) -> None:
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(
            str(NOTEBOOK),
            str(output),
            parameters={**experiment.model_dump(), "overwrite": overwrite},
            kernel_name="python3",
            cwd=str(NOTEBOOK.parent),
            progress_bar=False,
            km=kernel,
            extra_arguments=["--log-level=ERROR"],  # the kernel warns about itself at every start
        )
    except PapermillExecutionError as error:
        errors.append(f"{error.ename}: {error.evalue}")
    except DeadKernelError:
        errors.append("the kernel died in the middle of the run; most often the machine was out of memory")
    except Exception as error:  # anything else happened before the first cell
        errors.append(f"{NO_KERNEL}: {type(error).__name__}: {error}")


def _follow(experiment: Experiment, worker: threading.Thread) -> None:
    """A live line for the run in hand, read from its metrics: task n of N, time left, latest accuracy."""
    with tqdm(
        total=experiment.n_tasks_to_learn,
        desc=experiment.run_name,
        mininterval=0.5 if os.isatty(2) else 60,
        dynamic_ncols=True,
        bar_format="{desc}: task {n_fmt} of {total_fmt} |{bar:20}| {elapsed} so far, {remaining} left{postfix}",
    ) as bar:
        while worker.is_alive():
            worker.join(0.5)
            _show(bar, experiment)


def _show(bar: tqdm, experiment: Experiment) -> None:
    try:
        metrics = read_metrics(run_folder(experiment))
    except FileNotFoundError:
        return
    learned = int(metrics["learned"].max())
    newest = metrics[(metrics["learned"] == learned) & (metrics["task"] == learned - 1)]
    if learned > bar.n:
        bar.set_postfix_str(f"newest accuracy {newest['accuracy'].iloc[0]:.4f}", refresh=False)
        bar.update(learned - bar.n)


def _move_clean(partial: Path, final: Path) -> None:
    """Move papermill's notebook to its place, without papermill's notes on paths and times."""
    notebook = nbformat.read(partial, as_version=4)
    for part in [notebook, *notebook.cells]:
        part.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, partial)
    os.replace(partial, final)
