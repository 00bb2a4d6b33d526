"""One experiment, executed: papermill runs notebook 03 with its parameters, in a kernel with its share of the cores."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager

from hypernet_lib.experiment import Experiment
from hypernet_lib.folders import (
    PROJECT,
    failed_notebook,
    kept_tasks,
    read_metrics,
    read_summary,
    run_folder,
    write_atomically,
)

NOTEBOOK = PROJECT / "notebooks" / "03_continual_run.ipynb"
NO_KERNEL = "the notebook could not be started"
# What TensorFlow, and NumPy's libraries, read when they are imported.
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class Outcome:
    """What became of an experiment: the summary of a finished run, or what went wrong."""

    experiment: Experiment
    summary: dict | None = None
    error: str | None = None
    was_finished: bool = False


class Execution(threading.Thread):
    """An experiment being executed, in a thread of its own; `run.ipynb` appears in the run's folder when it is done.

    A try that fails, for whatever reason, is followed by one more, with a new kernel on new ports, which goes on after
    the last finished task. Ctrl-C reaches only the main thread: `stop` ends the kernel, and with it this thread.

    Attributes: `outcome`, once the thread has ended; `tries` so far; `state`, a word for the live table.
    """

    def __init__(self, experiment: Experiment, cores: int, overwrite: bool = False):
        super().__init__(daemon=True)  # should the process end all the same, its kernels notice it and end, too
        self.experiment, self.cores, self.overwrite = experiment, cores, overwrite
        self.outcome, self.tries, self.state = Outcome(experiment), 0, "waiting"
        self.begun = self.ended = None  # seconds since the epoch
        self._progress = None, (0, None)
        self._folder = run_folder(experiment)
        # papermill writes cell by cell, and not atomically: beside the folder, until it is known how it ended.
        self._partial = self._folder.with_name(f"{self._folder.name}.partial.ipynb")
        self._kernel, self._stopped, self._ending = None, False, threading.Lock()

    def run(self) -> None:
        self.begun = time.time()
        while self.tries < 2 and not self.outcome.summary and not self._stopped:
            self.tries += 1
            self.state = "running" if self.tries == 1 else "trying again"
            self.outcome.error = self._try()
        if self.outcome.error:
            self.outcome.error += f" ({kept_tasks(self._folder)})"
        self.ended = time.time()
        self.state = "stopped" if self._stopped else "failed" if self.outcome.error else "finished"

    def stop(self) -> None:
        """End the kernel, and with it this thread; a kernel that is only just starting ends as soon as it is there."""
        self._stopped = True
        while self.is_alive():
            self._end_kernel()
            self.join(0.1)

    def progress(self) -> tuple[int, float | None]:
        """How many tasks are learned, and the newest one's accuracy; (0, None) before this execution measured any."""
        with contextlib.suppress(OSError):  # not there yet, or out of reach: then the kernel says so
            written = (self._folder / "metrics.csv").stat().st_mtime
            if self.begun and written >= self.begun and written != self._progress[0]:  # else of an earlier run, or read
                metrics = read_metrics(self._folder)
                learned = int(metrics["learned"].max())
                newest = metrics[(metrics["learned"] == learned) & (metrics["task"] == learned - 1)]
                self._progress = written, (learned, float(newest["accuracy"].iloc[0]))
        return self._progress[1]

    def _try(self) -> str | None:
        """One try, with what is left of it tidied up. Returns what went wrong."""
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            error = self._papermill()
            self.outcome.summary = None if error else read_summary(self._folder)
            if self.outcome.summary:
                keep_clean(self._partial, self._folder / "run.ipynb")
                failed_notebook(self._folder).unlink(missing_ok=True)
                return None
            if self._partial.exists():
                keep_clean(self._partial, failed_notebook(self._folder))
            return error or "the notebook ran to its end without a summary"
        except OSError as error:
            self.outcome.summary = None
            return f"{type(error).__name__}: {error}"
        finally:
            with contextlib.suppress(OSError):  # where the folder itself is out of reach, that has been said already
                self._partial.unlink(missing_ok=True)

    def _papermill(self) -> str | None:
        import papermill
        from nbclient.exceptions import DeadKernelError
        from papermill.exceptions import PapermillExecutionError

        self._kernel = AsyncKernelManager(kernel_name="python3")
        try:
            self._kernel.kernel_spec.env.update(limited_to(self.cores))
            papermill.execute_notebook(
                str(NOTEBOOK),
                str(self._partial),
                parameters=notebook_parameters(self.experiment, self.overwrite),
                kernel_name="python3",
                # The kernel's folder. papermill's own `cwd` moves the whole process, and with it all other threads.
                resources={"metadata": {"path": str(NOTEBOOK.parent)}},
                progress_bar=False,
                km=self._kernel,
                extra_arguments=["--log-level=ERROR"],  # the kernel warns about itself at every start
            )
        except PapermillExecutionError as error:
            return f"{error.ename}: {error.evalue}"
        except DeadKernelError:
            return "the kernel died in the middle of the run; most often the machine was out of memory"
        except Exception as error:  # anything else happened before the first cell
            return f"{NO_KERNEL}: {type(error).__name__}: {error}"
        finally:
            self._end_kernel()
        return None

    def _end_kernel(self) -> None:
        with self._ending:
            if self._kernel and self._kernel.has_kernel:
                asyncio.run(self._kernel.shutdown_kernel(now=True))


def limited_to(cores: int) -> dict[str, str]:
    """The environment that keeps a kernel, or a papermill and its kernel, to so many cores."""
    return dict.fromkeys(THREADS, str(cores))


def notebook_parameters(experiment: Experiment, overwrite: bool = False) -> dict[str, object]:
    """What papermill puts in place of notebook 03's parameters cell."""
    return {**experiment.model_dump(), "overwrite": overwrite}


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_clean(executed: Path, final: Path) -> None:
    """Keep papermill's notebook in its place, without papermill's notes on paths and times."""
    notebook = nbformat.read(executed, as_version=4)
    for part in [notebook, *notebook.cells]:
        part.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    write_atomically(final, nbformat.writes(notebook) + "\n")


if __name__ == "__main__":  # for the Snakefile
    keep_clean(*map(Path, sys.argv[1:]))
