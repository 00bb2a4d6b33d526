"""Write anew what is made from other files: the tables and figures of README and docs/, notebooks' parameters cells.

    python -m experiments.report

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`; `tables.TABLES` says how it is made.
"""

from __future__ import annotations

import re

import matplotlib.pyplot as plt
import nbformat
from pydantic import BaseModel

from experiments.diagrams import hypernetwork
from experiments.parameters import NESTED, Experiment
from experiments.plots import accuracy_against_size, remembered
from experiments.store import PROJECT, read_metrics, replacing, write_atomically
from experiments.tables import TABLES, by_size, published

FIGURES = PROJECT / "docs" / "images"
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
# Two runs of a hundred tasks, the same but for the memory loss, and weight decay ten times as strong in the second.
REMEMBERED = {
    "with memory loss": "outputs/big_network_big_regularization",
    "without memory loss": "outputs/big_network_no_regularization",
}
# Notebooks whose parameters cell names parameters of an experiment; the template names them all.
TEMPLATE = PROJECT / "notebooks" / "run.ipynb"
CELLS = [PROJECT / "notebooks" / "03_continual_run.ipynb", TEMPLATE]


def filled(text: str) -> str:
    """The text with every table between its two marks made anew."""
    return re.sub(
        r"(<!-- table: (.*?) -->\n).*?(?=<!-- end of table -->)", lambda m: m[1] + TABLES[m[2]](), text, flags=re.S
    )


def parameters_cell(source: str, every: bool = False) -> str:
    """A parameters cell with the meaning of each parameter beside its value, which stays as it is.

    `every`: with all parameters of an experiment, in their order, those that are not there yet with their defaults.
    What is no parameter of an experiment keeps its comment.
    """
    fields = Experiment.model_fields
    meanings = {name: field.description or _of_settings(name) for name, field in fields.items()}
    found = re.findall(r"^(\w+) = (.+?)(?: +# *(.*))?$", source, flags=re.M)
    lines = {name: (value, meanings.get(name, comment)) for name, value, comment in found}
    if every:
        missing = {name: (_as_python(f.default), meanings[name]) for name, f in fields.items()}
        lines = {name: lines.get(name, missing[name]) for name in fields} | lines
    lengths = [len(f"{name} = {value}") for name, (value, _) in lines.items()]
    width = max(length for length in lengths if length < 40)  # what is longer stands out, and its comment after it
    return "\n".join(f"{f'{name} = {value}':{width}}  # {meaning}" for name, (value, meaning) in lines.items())


def _as_python(default: object) -> str:
    return repr(default.model_dump() if isinstance(default, BaseModel) else default).replace("'", '"')


def _of_settings(owner: str) -> str:
    """The meanings of all settings of a method, or of a family of tasks, in one line."""
    return "; ".join(field.description for field in NESTED[owner].model_fields.values())


def with_parameters(notebook: nbformat.NotebookNode, every: bool) -> nbformat.NotebookNode:
    """The notebook with its parameters cell made anew."""
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    cell.source = parameters_cell(cell.source, every)
    return notebook


def draw() -> None:
    """Draw the figures that README and docs/ show, as SVG: one for light pages, one for dark."""
    FIGURES.mkdir(exist_ok=True)
    compared, theirs = by_size(), published()
    two = {name: read_metrics(folder) for name, folder in REMEMBERED.items()}
    for page, style in {"light": "default", "dark": "dark_background"}.items():
        # The same figure is the same file: without the day, and with the names of its parts keyed by a constant.
        with plt.style.context([style, {"svg.hashsalt": "figure", "svg.fonttype": "path"}]):
            figures = {
                "accuracy_against_size": accuracy_against_size(compared, theirs),
                "remembered": remembered(two, n=10),
                "hypernetwork": hypernetwork(dark=page == "dark"),
            }
            for name, figure in figures.items():
                with replacing(FIGURES / f"{name}_{page}.svg") as opened:
                    figure.savefig(opened, format="svg", metadata={"Date": None}, transparent=True)


def main() -> None:
    for path in CELLS:
        notebook = with_parameters(nbformat.read(path, as_version=4), every=path == TEMPLATE)
        write_atomically(path, nbformat.writes(notebook) + "\n")
    for path in PAGES:
        write_atomically(path, filled(path.read_text(encoding="utf-8")))
    draw()


if __name__ == "__main__":
    main()
