"""The code reads as agreed."""

import subprocess
import sys

import pytest

from hypernet_lib.folders import PROJECT


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check", "--exclude", "*.ipynb"]], ids=" ".join)
def test_ruff_has_nothing_to_say(arguments):
    done = subprocess.run([sys.executable, "-m", "ruff", *arguments, "."], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("module", sorted((PROJECT / "hypernet_lib").glob("*.py")), ids=lambda module: module.name)
def test_a_module_can_be_read_in_one_sitting(module):
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 200
