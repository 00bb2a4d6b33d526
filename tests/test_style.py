"""The code reads as agreed."""

import ast
import re
import subprocess
import sys

import pytest

from experiments.store import PROJECT


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check", "--exclude", "*.ipynb"]], ids=" ".join)
def test_ruff_has_nothing_to_say(arguments):
    done = subprocess.run([sys.executable, "-m", "ruff", *arguments, "."], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def imports_of(file):
    """The modules that a file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return names + [node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)]


OURS = {"hypernet_lib", "experiments", "run_experiments", "notebooks", "tests", "benchmarks", "docs"}


@pytest.mark.parametrize(
    "package, may", [("hypernet_lib", {"hypernet_lib"}), ("experiments", {"hypernet_lib", "experiments"})]
)
def test_imports_go_one_way(package, may):
    files = list((PROJECT / package).rglob("*.py"))
    assert len(files) > 8
    for file in files:
        used = {name.split(".")[0] for name in imports_of(file)}
        assert used & OURS <= may, file
        assert "." not in used, f"{file}: a relative import"


def test_sizes_tables_and_the_queue_need_no_tensorflow():
    code = (
        "import experiments.queue, experiments.tables, hypernet_lib.sizes, sys; sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0


@pytest.mark.parametrize("package", ["hypernet_lib", "experiments"])
def test_the_first_screen_of_a_package_names_all_its_modules(package):
    folder = PROJECT / package
    named = re.findall(r"^    (\w+)/? ", (folder / "__init__.py").read_text(encoding="utf-8"), flags=re.M)
    there = {p.stem for p in folder.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert set(named) == there - {"__init__", "quiet"}
