"""The Snakefile plans the same experiments as run_experiments.py, and loses nothing when a job fails."""

import os
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
from test_sweeps import SWEEP
from trials.slurm import kernels

from conftest import TINY, carry_out, write
from experiments.store import PROJECT, read_summary

pytestmark = pytest.mark.skipif(
    not find_spec("snakemake"), reason="Snakemake is not installed: pip install -e .[cluster]"
)


def snakemake(*arguments, **options):
    command = [sys.executable, "-m", "snakemake", "--nolock", *arguments]
    return subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )


def test_a_job_whose_kernel_dies_is_tried_again_and_goes_on_to_the_same_run(tmp_path):
    file = write(tmp_path, n=40)
    process = snakemake("--cores", "1", "--config", f"file={file}")
    while not (kernel := kernels(tmp_path).get("tiny")):
        assert process.poll() is None
        time.sleep(0.1)
    kernel.kill()
    printed = process.communicate()[0]
    assert process.returncode == 0, printed
    assert "Error in rule run" in printed and "tiny.failed.ipynb" in printed
    assert read_summary(tmp_path / "tiny")["tasks"] == 40
    notebook = (tmp_path / "tiny" / "run.ipynb").read_text()
    assert "of 40 tasks are learned already" in notebook and str(PROJECT) not in notebook
    carry_out(write(tmp_path, "other", n=40))
    assert (tmp_path / "tiny" / "metrics.csv").read_text() == (tmp_path / "other" / "metrics.csv").read_text()

    printed = snakemake("--dry-run", "--cores", "1", "--config", f"file={file}").communicate()[0]
    assert "Nothing to be done" in printed


def test_wrong_or_longer_experiments_are_refused_before_anything_starts(tmp_path):
    (tmp_path / "wrong.yaml").write_text(TINY.format(name="tiny", logdir=tmp_path, n=2) + "sed: 3\n")
    process = snakemake("--cores", "1", "--config", f"file={tmp_path / 'wrong.yaml'}")
    assert "unknown key 'sed'; did you mean seed?" in process.communicate()[0]
    assert process.returncode != 0 and not (tmp_path / "tiny").exists()

    carry_out(write(tmp_path, n=2))
    process = snakemake("--cores", "1", "--config", f"file={write(tmp_path, n=3)}")
    assert "finished with fewer tasks; remove its summary.json" in process.communicate()[0]
    assert process.returncode != 0 and read_summary(tmp_path / "tiny")["tasks"] == 2


def test_a_thousand_experiments_are_planned_within_a_minute(tmp_path):
    numbers = list(range(10))
    sweep = [f"  {key}: {numbers}" for key in ("l2_memory_regularization", "embedding_init_std", "seed")]
    (tmp_path / "sweep.yaml").write_text(SWEEP.format(logdir=tmp_path) + "\n".join(sweep))
    start = sum(os.times()[2:4])  # seconds of processor, of children
    printed = snakemake("-n", "--quiet", "rules", "--cores", "2", "--config", f"file={tmp_path / 'sweep.yaml'}")
    assert "1001" in printed.communicate()[0]
    assert sum(os.times()[2:4]) - start < 60


def test_from_another_folder_and_with_a_space_in_the_files_name(tmp_path):
    write(tmp_path, n=1).rename(tmp_path / "my file.yaml")
    command = [sys.executable, "-m", "snakemake", "-s", str(PROJECT / "Snakefile"), "--nolock", "--cores", "1"]
    done = subprocess.run([*command, "--config", "file=my file.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_summary(tmp_path / "tiny")["tasks"] == 1 and (tmp_path / "tiny" / "run.ipynb").exists()
