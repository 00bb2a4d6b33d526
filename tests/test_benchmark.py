"""The benchmark measures what it says; how fast is none of a test's business."""

import json
import subprocess
import sys

import pytest

from experiments.store import PROJECT

BENCHMARK = str(PROJECT / "benchmarks" / "step.py")


@pytest.mark.parametrize("form", ["original", "ours"])
def test_a_form_is_measured(form):
    done = subprocess.run([sys.executable, BENCHMARK, "--only", form, "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout.splitlines()[-1])
    assert (row["form"], row["tasks"]) == (form, 1)
    assert 0 < row["ms_per_step"] < 60_000 and row["peak_mb"] > 100
