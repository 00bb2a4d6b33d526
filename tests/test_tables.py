"""The tables of results against the runs' own files, read row by row; and what is made from other files is current."""

import csv
import json
import statistics

import nbformat
import pytest

from experiments.files import load_experiments
from experiments.parameters import Experiment
from experiments.report import CELLS, TEMPLATE, parameters_cell, with_parameters
from experiments.store import PROJECT
from experiments.tables import TABLES, hundred_tasks, overview, runs_in, runs_table, search, separate


def rows_of(path):
    """A CSV file's rows, their numbers as numbers."""
    with open(PROJECT / "outputs" / path) as file:
        return [
            {k: float(v) if k in ("learned", "task", "accuracy") else v for k, v in r.items()}
            for r in csv.DictReader(file)
        ]


def summary_of(run):
    return json.loads((PROJECT / "outputs" / run / "summary.json").read_text())


def test_a_row_for_each_run_has_what_was_asked_and_what_came_of_it():
    table = runs_table(runs_in("outputs/sweep"))
    assert len(table) == 9 and set(Experiment.model_fields) <= set(table)
    row = table.loc["digits-beta0.1-s2"]
    assert (row["l2_memory_regularization"], row["seed"], row["learned"]) == (0.1, 2, 10)
    assert row["innernet_all_dims"] == "[64, 64, 10]"
    for result, value in summary_of("sweep/digits-beta0.1-s2").items():
        assert result not in table or row[result] == value


def test_runs_of_the_same_name_and_runs_that_never_began_have_rows_too():
    table = runs_table(["outputs/search/relu", "outputs/differences/relu", "outputs/test_nothing/relu"])
    assert list(table.index) == ["relu"] * 3 and list(table["learned"]) == [30, 30, 0]
    assert table["ACC"].iloc[0] != table["ACC"].iloc[1] and table["ACC"].isna().iloc[2]


def test_the_overview_says_nothing_of_another_runs_results():
    (best, *_) = load_experiments(PROJECT / "params" / "best.yaml")
    table = overview([best, best.model_copy(update={"seed": 7}), best.model_copy(update={"run_name": "not_there"})])
    assert list(table["status"]) == ["finished", "another run is there", "not started"]
    assert list(table["tasks"]) == ["100 of 100", "0 of 100", "0 of 100"]
    assert list(table["ACC"].isna()) == [False, True, True]


def test_the_hundred_tasks_are_means_over_tasks_then_over_runs():
    ours = [rows_of(f"big_network_big_regularization{end}/metrics.csv") for end in ("", "-s1", "-s2")]
    logs = rows_of("original_logs/accuracies.csv")
    theirs = [[row for row in logs if row["run"] == run] for run in ("large_memory_reg", "large_memory_reg2")]
    for whose, runs in {"ours, our defaults": ours, "the original": theirs}.items():
        row = hundred_tasks().loc["big", whose]
        assert row["runs"] == len(runs)
        for n in (10, 20, 30, 50, 100):
            means = [statistics.mean(r["accuracy"] for r in run if r["learned"] == n) for run in runs]
            assert row[n] == pytest.approx(statistics.mean(means), abs=1e-9)
        assert row["+-"] == pytest.approx(statistics.stdev(means), abs=1e-9)
        assert row["worst"] == min(r["accuracy"] for run in runs for r in run if r["learned"] == 100)


def test_separate_networks_are_means_over_ten_tasks_for_each_rate():
    for baseline, rates in {"big": 4, "best": 4, "best_published_target": 4}.items():
        table = separate(baseline)
        assert len(table) == rates
        for rate, mean in table.items():
            accuracies = [row["accuracy"] for row in rows_of(f"separate/{baseline}-rate{rate}.csv")]
            assert len(accuracies) == 10 and mean == pytest.approx(statistics.mean(accuracies), abs=1e-9)


def test_the_best_run_is_no_larger_than_one_target_network():
    best = Experiment.from_mapping(load_experiments(PROJECT / "params" / "best.yaml")[0].model_dump())
    E, C, S = best.task_embedding_dim, 796, 4000  # 784 pixels, the bias, ten rows of the second kernel, its bias
    assert best.n_tasks_to_learn == 100 and (best.sizes.n_chunks, best.sizes.chunk_size) == (C, S)
    parameters = 100 * C * E + C * E + (2 * E + 1) * S
    assert parameters == best.sizes.n_parameters(100) <= 784 * 4000 + 4000 + 4000 * 10 + 10
    assert summary_of("best")["compression"] == round(parameters / 3_180_010, 4)


def test_the_search_says_what_each_run_changed_and_how_well_it_learned_and_kept():
    row = search("search").loc["embedding_400"]
    metrics = rows_of("search/embedding_400/metrics.csv")
    just_learned = [row["accuracy"] for row in metrics if row["learned"] == row["task"] + 1]
    assert len(just_learned) == 30
    assert abs(row["just learned"] - sum(just_learned) / 30) < 1e-9
    assert abs(row["the last ten"] - sum(just_learned[20:]) / 10) < 1e-9
    assert row["changed"] == "task_embedding_dim: 400"
    assert row["ACC"] == summary_of("search/embedding_400")["ACC"]


def test_a_table_in_markdown_shows_what_the_runs_measured():
    shown = [line.strip("| ").split(" | ") for line in TABLES["ten tasks"]().splitlines()]
    assert shown[0] == ["run", "ACC", "min", "forgetting", "compression"] and len(shown) == 6
    for name, *cells in shown[2:]:
        summary = summary_of(name.strip("`"))
        assert cells == [
            *(f"{summary[key]:.4f}" for key in ("ACC", "min", "forgetting")),
            f"{summary['compression']:.2f}",
        ]
    steps = json.loads((PROJECT / "outputs" / "benchmark_step.json").read_text())["steps"]
    ours = {row["tasks"]: f"{row['ms_per_step']:.1f}" for row in steps if row["form"] == "ours"}
    (line,) = [line for line in TABLES["the cost of a step"]().splitlines() if "**ours**" in line]
    assert line.strip("| ").split(" | ")[1:] == [ours[n] for n in (1, 10, 30, 100)]


@pytest.mark.parametrize("path", CELLS, ids=lambda path: path.name)
def test_the_parameters_cells_are_the_ones_that_make_report_makes(path):
    notebook = nbformat.read(path, as_version=4)
    assert with_parameters(nbformat.read(path, as_version=4), every=path == TEMPLATE) == notebook


def test_a_parameters_cell_keeps_its_values_and_other_names_keep_their_comments():
    cell = 'seed = 7 # old words\nunits = 3 # of the target network\ndataset = "mnist"'
    assert parameters_cell(cell).splitlines() == [
        "seed = 7           # decides permutations, initial weights and batches",
        "units = 3          # of the target network",
        'dataset = "mnist"  # mnist, digits, or any TFDS set of single-channel images',
    ]
    values = {}
    exec(parameters_cell(cell + '\nrun_name = "x"', every=True), values)
    assert Experiment.from_notebook(values) == Experiment(run_name="x", seed=7)
    assert values["units"] == 3
