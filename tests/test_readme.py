"""What README and docs/ say is true: Python there runs, parameters are the real ones, links lead somewhere."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.files import load_experiments
from experiments.report import PAGES, filled
from experiments.store import PROJECT, kept_experiment, read_summary
from experiments.tables import TABLES, by_age, runs_table, separate

TEXTS = {path.relative_to(PROJECT): path.read_text(encoding="utf-8") for path in PAGES}
README, EXPERIMENTS, FAULTS, LIBRARY = [
    TEXTS[Path(name)] for name in ("README.md", "docs/experiments.md", "docs/faults.md", "docs/library.md")
]
LINKS = [
    (page, link) for page, text in TEXTS.items() for link in sorted(set(re.findall(r"\]\((?!http)([^)]+)\)", text)))
]


def test_the_ten_lines_of_python_learn_three_tasks_and_keep_them(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", LIBRARY, flags=re.S)
    exec(compile(block, "docs/library.md", "exec"), {})
    accuracies = [float(number) for number in re.findall(r"\d\.\d+", capsys.readouterr().out)]
    assert len(accuracies) == 3
    assert min(accuracies) > 0.9


def test_the_yaml_examples_are_valid_experiment_files(tmp_path):
    example, sweep = re.findall(r"```yaml\n(.*?)```", EXPERIMENTS, flags=re.S)
    (tmp_path / "example.yaml").write_text(example)
    assert [e.run_name for e in load_experiments(tmp_path / "example.yaml")] == ["my_first_run", "my_second_run"]
    (tmp_path / "sweep.yaml").write_text(sweep)
    names = [e.run_name for e in load_experiments(tmp_path / "sweep.yaml")]
    assert (len(names), names[0], names[-1]) == (9, "digits-beta0.001-s0", "digits-beta10-s2")


@pytest.mark.parametrize("page, link", LINKS, ids=str)
def test_links_within_the_project_lead_to_files(page, link):
    assert (PROJECT / page.parent / link).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", "".join(TEXTS.values())))))
def test_tests_that_the_readme_and_the_page_on_faults_name_are_there(name):
    assert any(f"def {name}(" in file.read_text(encoding="utf-8") for file in (PROJECT / "tests").glob("test_*.py"))


def test_every_row_of_the_page_on_faults_names_a_test():
    rows = [line for line in FAULTS.splitlines() if line.startswith("|") and not line.startswith(("|---", "| what"))]
    assert len(rows) > 30
    assert not [row for row in rows if "`test_" not in row.split("|")[-2]]


def test_its_tables_are_the_ones_that_make_report_makes():
    assert sum(text.count("<!-- table: ") for text in TEXTS.values()) == len(TABLES)
    assert all(filled(text) == text for text in TEXTS.values())


def test_how_far_the_best_runs_stay_below_separate_networks():
    acc = runs_table(f"outputs/{run}" for run in ("best", "best_published_target"))["ACC"]
    best, published = [f"{separate(run).max() - acc[run]:.4f}" for run in acc.index]
    assert f"it stays {published} below them, with `best` {best}" in README


def test_how_long_the_best_run_took():
    assert f"`best` took {read_summary('outputs/best')['seconds'] / 60:.0f} minutes" in README


def test_what_the_run_of_250_tasks_reaches():
    summary = read_summary("outputs/best_250")
    assert summary["tasks"] == 250
    numbers = f"ACC {summary['ACC']:.4f}, worst task {summary['min']:.4f}, compression {summary['compression']:.2f}"
    assert f"in {summary['seconds'] / 60:.0f} minutes: {numbers}" in README


def test_what_the_runs_of_2500_tasks_and_of_a_hundred_in_minutes_reach():
    told = " ".join(README.split())
    many, ages = read_summary("outputs/thousands"), by_age(["outputs/thousands"], n=100).iloc[0]
    assert many["tasks"] == 2500
    reached = f"ACC {many['ACC']:.4f}, worst task {many['min']:.4f}, the oldest hundred {ages['oldest 100']:.4f}"
    assert f"{reached}, the newest {ages['newest 100']:.4f}, in {many['seconds'] / 60:.0f} minutes" in told
    sizes = kept_experiment(PROJECT / "outputs/thousands").sizes
    assert f"{sizes.per_task:,} numbers, {sizes.per_task / sizes.n_weights:.1%} of a target network's" in told
    assert f"{sizes.n_parameters(2500) / 1e6:.1f} million in all" in told
    fast = read_summary("outputs/fast")
    assert f"ACC {fast['ACC']:.4f}, worst {fast['min']:.4f}, in {fast['seconds']:.0f} seconds" in told
    steps = pd.DataFrame(json.loads((PROJECT / "outputs/benchmark_step.json").read_text())["steps"])
    loop = steps[steps["form"] == "original"].set_index("tasks")["ms_per_step"]
    hours = 500 * sum(np.interp(max(task, 1), loop.index, loop) for task in [0, *range(100)]) / 3.6e6
    assert f"would take {hours:.1f} hours" in told and fast["seconds"] < hours * 3600 / 60
