"""Tests and notebooks run in this project's environment, whatever the user's is, and from whichever folder."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from experiments.environment import kernel_environment

PROJECT = Path(__file__).resolve().parent
# Handed out unsolved, so its last cell fails; tests/test_exercises.py runs it.
collect_ignore = ["notebooks/07_exercises.ipynb"]


def pytest_configure(config):
    folder = Path(tempfile.mkdtemp(prefix="kernel-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.update(kernel_environment(folder))
    config.option.nbval_sanitize_with = str(PROJECT / "tests" / "nbval_sanitize.cfg")
