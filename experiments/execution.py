"""One experiment, carried out: the one command line for it, here, side by side or as a job of a cluster.

    python -m experiments.execution notebooks/run.ipynb '{run_name: big, seed: 1}' [--cores N] [--overwrite]

papermill executes the notebook with those parameters, in a kernel of its own. The run's folder gets `run.ipynb` when it
is done; a notebook that failed is kept beside the folder. What went wrong is said on stderr, in a line or a few, and
the exit status is 1 then. The command and its kernel end when the process that started them ends. The kernel is this
very Python, with this project's code and without the user's own settings (`environment`).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

from experiments.environment import check_project, kernel_environment
from experiments.files import parse_value
from experiments.parameters import Experiment, ExperimentError
from experiments.resources import limited_to
from experiments.store import (
    PROJECT,
    failed_notebook,
    lock,
    partial_notebook,
    read_summary,
    run_folder,
    write_atomically,
)

NOTEBOOK = PROJECT / "notebooks" / "run.ipynb"


def command(experiment: Experiment, cores: int) -> list[str]:
    """The command line that carries out an experiment on so many cores; it is run in the project's folder."""
    parameters = json.dumps(experiment.model_dump(), ensure_ascii=False)  # which is YAML, and quotes a name like 1e5
    return [sys.executable, "-m", "experiments.execution", str(NOTEBOOK), parameters, "--cores", str(cores)]


def execute(notebook: Path, experiment: Experiment, overwrite: bool = False) -> str | None:
    """Execute the notebook, and keep it where it belongs. Returns what went wrong.

    Raises ExperimentError where another process carries out this run.
    """
    folder = run_folder(experiment)
    partial = partial_notebook(folder)
    lock(folder).release()  # the notebook takes it for the run: whoever is second should not get as far as that
    try:
        failed_notebook(folder).unlink(missing_ok=True)
        error = _papermill(notebook, partial, {**experiment.model_dump(), "overwrite": overwrite})
        if not error and not read_summary(folder):
            error = "the notebook ran to its end without a summary"
        if not error:
            _keep(partial, folder / "run.ipynb")
        elif partial.exists():
            with contextlib.suppress(ValueError):  # cut off in the middle of a cell, on a full disk
                _keep(partial, failed_notebook(folder))
        return error
    finally:
        with contextlib.suppress(OSError):  # where the folder itself is out of reach, that has been said already
            partial.unlink(missing_ok=True)


def _papermill(notebook: Path, output: Path, parameters: dict[str, object]) -> str | None:
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(
            *(str(path).replace("{", "{{").replace("}", "}}") for path in (notebook, output)),  # it fills in braces
            parameters=parameters,
            kernel_name="python3",
            cwd=str(NOTEBOOK.parent),
            progress_bar=False,
            extra_arguments=["--log-level=ERROR"],  # the kernel warns about itself at every start
        )
    except PapermillExecutionError as error:
        return f"{error.ename}: {error.evalue}"
    except DeadKernelError:
        return "the kernel died in the middle of the run; most often the machine was out of RAM"
    except OSError as error:  # its notebook, or a file of the kernel's, cannot be written
        return f"{type(error).__name__}: {error}"
    except Exception as error:
        return f"the notebook could not be started: {type(error).__name__}: {error}"
    return None


def _keep(executed: Path, final: Path) -> None:
    """Keep papermill's notebook in its place, without papermill's notes on paths and times."""
    import nbformat

    notebook = nbformat.read(executed, as_version=4)
    for part in [notebook, *notebook.cells]:
        part.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    write_atomically(final, nbformat.writes(notebook) + "\n")


def _end_with(parent: int, folder: str) -> None:
    """End this process as soon as its parent has ended; its kernel does the same with this process."""
    while os.getppid() == parent:
        time.sleep(0.5)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebook", type=Path, metavar="NOTEBOOK", help="what papermill executes: notebooks/run.ipynb")
    parser.add_argument("parameters", metavar="PARAMETERS", help="the experiment, a YAML mapping")
    parser.add_argument("--cores", type=int, default=1, metavar="N", help="how many cores it has (default: 1)")
    parser.add_argument("--overwrite", action="store_true", help="replace the run if it is there already")
    parser.add_argument("--parent", type=int, default=os.getppid(), metavar="PID", help="whose end ends this, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kernel-", ignore_cleanup_errors=True) as folder:
        threading.Thread(target=_end_with, args=[options.parent, folder], daemon=True).start()
        return _carry_out(options, Path(folder))


def _carry_out(options: argparse.Namespace, folder: Path) -> int:
    """What the command line asks for; returns the exit status. `folder` is for the kernel's environment."""
    # The kernel has the stderr of this process: whatever is written there by others must not be taken for its words.
    words = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    logging.disable()
    warnings.simplefilter("ignore")
    os.environ.update(limited_to(options.cores))
    try:
        check_project(options.notebook.resolve())
        os.environ.update(kernel_environment(folder))
        experiment = Experiment.from_mapping(parse_value(options.parameters))
        error = execute(options.notebook.resolve(), experiment, options.overwrite)
    except ExperimentError as wrong:
        error = str(wrong)
    except KeyboardInterrupt:
        return 130
    except Exception as wrong:  # its traceback would go nowhere
        error = f"{type(wrong).__name__}: {wrong}"
    if error:
        print(error, file=words, flush=True)
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main())
