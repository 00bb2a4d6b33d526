"""Tests and notebooks run in this project's environment, whatever the user's is, and from whichever folder."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from experiments.environment import check_project, kernel_environment
from experiments.parameters import ExperimentError

PROJECT = Path(__file__).resolve().parent
# Handed out unsolved, so its last cell fails; tests/test_exercises.py runs it.
collect_ignore = ["notebooks/07_exercises.ipynb"]


def pytest_configure(config):
    try:
        check_project(PROJECT)
    except ExperimentError as error:
        raise pytest.UsageError(str(error)) from None
    folder = Path(tempfile.mkdtemp(prefix="kernel-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.update(kernel_environment(folder))
    config.option.nbval_sanitize_with = str(PROJECT / "tests" / "nbval_sanitize.cfg")
