"""What the README says is true: its Python runs, its parameters are the real ones, its links lead somewhere."""

import csv
import json
import re
import statistics

import pandas as pd
import pytest
import yaml

from hypernet_lib.experiment import Experiment
from hypernet_lib.experiment_files import load_experiments
from hypernet_lib.folders import PROJECT, read_metrics, read_summary
from hypernet_lib.report import TABLES, filled, separate

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def test_the_ten_lines_of_python_learn_three_tasks_and_keep_them(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    exec(compile(block, "README.md", "exec"), {})
    accuracies = [float(number) for number in re.findall(r"\d\.\d+", capsys.readouterr().out)]
    assert len(accuracies) == 3
    assert min(accuracies) > 0.9


@pytest.mark.parametrize("name, field", Experiment.model_fields.items())
def test_the_table_of_parameters_gives_each_default_and_meaning(name, field):
    default = "required" if field.is_required() else f"`{field.default}`"
    assert f"| `{name}` | {default} | {field.description} |" in README


def test_the_yaml_examples_are_valid_experiment_files(tmp_path):
    example, sweep = re.findall(r"```yaml\n(.*?)```", README, flags=re.S)
    (tmp_path / "example.yaml").write_text(example)
    assert [e.run_name for e in load_experiments(tmp_path / "example.yaml")] == ["my_first_run", "my_second_run"]
    (tmp_path / "sweep.yaml").write_text(sweep)
    names = [e.run_name for e in load_experiments(tmp_path / "sweep.yaml")]
    assert (len(names), names[0], names[-1]) == (9, "digits-beta0.001-s0", "digits-beta10-s2")


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!http)([^)]+)\)", README))))
def test_links_within_the_project_lead_to_files(link):
    assert (PROJECT / link).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", README))))
def test_tests_that_the_readme_names_are_there(name):
    assert any(f"def {name}(" in file.read_text(encoding="utf-8") for file in (PROJECT / "tests").glob("test_*.py"))


def test_the_tables_of_results_are_the_ones_that_make_report_makes():
    assert README.count("<!-- table: ") == len(TABLES)
    assert filled(README) == README


def test_the_results_are_those_of_the_committed_runs():
    rows = re.findall(r"^\| `(permuted_mnist_10\w*)` \| (.*) \|$", README, flags=re.M)
    assert len(rows) == 4
    for name, cells in rows:
        summary = read_summary(f"outputs/{name}")
        shown = [f"{summary[column]:.4f}" for column in ("ACC", "min", "forgetting")]
        assert cells == " | ".join([*shown, f"{summary['compression']:.2f}"])


def test_the_hundred_tasks_are_those_of_the_three_committed_seeds():
    (cells,) = re.findall(r"^\| big \| ours, our defaults \| 3 \| (.*) \|$", README, flags=re.M)
    means, worst = [], 1.0
    for end in ("", "-s1", "-s2"):
        table = read_metrics(f"outputs/big_network_big_regularization{end}")
        means.append([table[table["learned"] == n]["accuracy"].mean() for n in (10, 20, 30, 50, 100)])
        worst = min(worst, *table[table["learned"] == 100]["accuracy"])
    *before, at_100 = (f"{sum(column) / 3:.4f}" for column in zip(*means, strict=True))
    spread = statistics.stdev(row[-1] for row in means)
    assert cells == " | ".join([*before, f"{at_100} ± {spread:.4f}", f"{worst:.4f}"])


def test_the_cost_of_a_step_is_the_measured_one():
    steps = pd.DataFrame(json.loads((PROJECT / "outputs" / "benchmark_step.json").read_text())["steps"])
    ours = steps[steps["form"] == "ours"].set_index("tasks")["ms_per_step"]
    (cells,) = re.findall(r"^\| \*\*ours\*\*.*? \| (.*) \|$", README, flags=re.M)
    assert cells == " | ".join(f"{ours[tasks]:.1f}" for tasks in [1, 10, 30, 100])


def test_a_row_of_a_hundred_tasks_is_the_mean_over_tasks_then_over_runs():
    with open(PROJECT / "outputs" / "original" / "accuracies.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["learned"] == "100"]
    first, second = [
        [float(row["accuracy"]) for row in rows if row["run"] == run]
        for run in ("large_memory_reg", "large_memory_reg2")
    ]
    means = sum(first) / 100, sum(second) / 100
    (cells,) = re.findall(r"^\| big \| the original \| 2 \| .* \| (\S+ ± \S+ \| \S+) \|$", README, flags=re.M)
    between = abs(means[0] - means[1]) / 2**0.5  # the standard deviation of two numbers
    assert cells == f"{sum(means) / 2:.4f} ± {between:.4f} | {min(first + second):.4f}"


BEST = ("best", "best_published_target")
RATES = ("0.001", "0.003", "0.01", "0.03")


@pytest.mark.parametrize(
    "run, baseline, rates",
    [
        ("big_network_big_regularization", "big", RATES),
        ("best", "best", RATES),
        ("best_published_target", "best_published_target", ("0.0003", *RATES[:3])),
    ],
)
def test_the_separate_networks_are_those_of_the_best_learning_rate(run, baseline, rates):
    means = []
    for rate in rates:
        with open(PROJECT / "outputs" / "separate" / f"{baseline}-rate{rate}.csv") as file:
            accuracies = [float(row["accuracy"]) for row in csv.DictReader(file)]
        assert len(accuracies) == 10
        means.append(sum(accuracies) / 10)
    (cells,) = re.findall(rf"^\| `{run}` \| (.*) \|$", README, flags=re.M)
    assert cells.split(" | ")[5] == f"{max(means):.4f}"


def test_how_far_the_best_runs_stay_below_separate_networks():
    below = [f"{separate(run).max() - read_summary(f'outputs/{run}')['ACC']:.4f}" for run in BEST]
    assert f"it stays {below[1]} below them, with `best` {below[0]}" in README


def test_the_best_run_is_no_larger_than_one_target_network():
    best = Experiment.from_mapping(yaml.safe_load((PROJECT / "outputs" / "best" / "experiment.yaml").read_text()))
    E, C, S = best.task_embedding_dim, 796, 4000  # 784 pixels, the bias, ten rows of the second kernel, its bias
    assert best.n_tasks_to_learn == 100 and (best.n_chunks, best.chunk_size) == (C, S)
    parameters = 100 * C * E + C * E + (2 * E + 1) * S
    assert parameters <= 784 * 4000 + 4000 + 4000 * 10 + 10
    summary = read_summary("outputs/best")
    assert summary["compression"] == round(parameters / 3_180_010, 4)
    assert f"`best` took {summary['seconds'] / 60:.0f} minutes" in README


def test_what_the_run_of_250_tasks_reaches():
    summary = read_summary("outputs/best_250")
    assert summary["tasks"] == 250
    numbers = f"ACC {summary['ACC']:.4f}, worst task {summary['min']:.4f}, compression {summary['compression']:.2f}"
    assert f"in {summary['seconds'] / 60:.0f} minutes: {numbers}" in README
