"""The exercises of notebook 07 as students hand them in, graded: their answers in a fresh copy, every check our own.

    python -m experiments.grade FOLDER      a line for each notebook of the folder, and what is not right yet

Each copy is executed and kept in FOLDER_graded, to be read. This runs the students' code with the rights of who calls
it: docs/teaching.md says where to do that.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat

from experiments.environment import kernel_environment
from experiments.parameters import ExperimentError
from experiments.store import PROJECT

NOTEBOOKS = PROJECT / "notebooks"
SECONDS = 60  # that a cell may take
NONE = "no verdict"  # of an exercise whose check has said nothing


def fresh_copy(handed_in: Path) -> nbformat.NotebookNode:
    """The exercises with the answers of a notebook that was handed in, found by the ids of their cells.

    Raises ExperimentError where the file is no notebook.
    """
    try:
        answers = {cell.get("id"): cell.source for cell in nbformat.read(handed_in, as_version=4).cells}
    except Exception as wrong:  # nbformat's own errors have no common kind
        raise ExperimentError(f"{handed_in} cannot be read as a notebook ({type(wrong).__name__})") from None
    notebook = nbformat.read(NOTEBOOKS / "07_exercises.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.id.startswith("answer-"):
            cell.source = answers.get(cell.id, "# this answer was not found")
    return notebook


def executed(notebook: nbformat.NotebookNode, folder: Path) -> dict[int, str]:
    """Execute the notebook, in place and in `folder`; what its checks say of each exercise, by its number."""
    from nbclient import NotebookClient  # not before the kernel's environment is set
    from nbclient.exceptions import DeadKernelError

    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=SECONDS,
        interrupt_on_timeout=True,
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],
    )
    with contextlib.suppress(DeadKernelError):  # the checks before that have spoken
        client.execute()
    verdicts = {}
    for cell in notebook.cells:
        if cell.id.startswith("check-"):
            number = int(cell.id.removeprefix("check-"))
            text = "".join(output.get("text", "") for output in cell.outputs)
            said = re.findall(rf"^Exercise {number}: (.*)$", text, flags=re.M)
            verdicts[number] = said[-1] if said else NONE  # the check's words are the last: an answer may print, too
    return verdicts


def grade(given: Path) -> None:
    """Print the verdicts on every notebook of a folder. Raises ExperimentError where it has none."""
    handed_in = sorted(given.glob("*.ipynb"))
    if not handed_in:
        raise ExperimentError(f"{given} holds no notebook (*.ipynb)")
    fresh = given.with_name(f"{given.name}_graded")
    try:
        fresh.mkdir()
    except FileExistsError:
        raise ExperimentError(f"{fresh} is there already; move it away to grade anew") from None
    shutil.copy(NOTEBOOKS / "checks.py", fresh)
    for path in handed_in:
        try:
            notebook = fresh_copy(path)
        except ExperimentError as wrong:
            print(wrong, flush=True)
            continue
        verdicts = executed(notebook, fresh)
        nbformat.write(notebook, fresh / path.name)
        missing = {number: verdict for number, verdict in verdicts.items() if verdict != "right."}
        lines = [f"{path.name}: {len(verdicts) - len(missing)} of {len(verdicts)} are right"]
        print("\n".join(lines + [f"    {number}: {verdict}" for number, verdict in missing.items()]), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with the notebooks that were handed in")
    given = parser.parse_args().folder.resolve()
    with tempfile.TemporaryDirectory(prefix="kernel-", ignore_cleanup_errors=True) as folder:
        os.environ.update(kernel_environment(Path(folder)))
        try:
            grade(given)
        except ExperimentError as wrong:
            print(wrong, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
