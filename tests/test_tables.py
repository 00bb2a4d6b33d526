"""The tables of results against the runs' own files, read row by row; and what is made from other files is current."""

import csv
import itertools
import json
import statistics

import nbformat
import pytest

from experiments import tables
from experiments.baselines.settings import METHODS, ONE_NETWORK
from experiments.files import load_experiments
from experiments.parameters import Experiment, ExperimentError, is_used
from experiments.report import CELLS, TEMPLATE, parameters_cell, with_parameters
from experiments.store import PROJECT
from experiments.tables import (
    TABLES,
    by_size,
    compared,
    compared_on_a_hundred,
    compared_with_published,
    hundred_tasks,
    over_seeds,
    overview,
    published,
    rates,
    rounded,
    runs_in,
    runs_table,
    search,
    split,
    without_oracle,
)


def rows_of(path):
    """A CSV file's rows, their numbers as numbers."""
    with open(PROJECT / "outputs" / path) as file:
        return [
            {k: float(v) if k in ("learned", "task", "accuracy") else v for k, v in r.items()}
            for r in csv.DictReader(file)
        ]


def finals_of(run, learned):
    """The accuracies after so many tasks, a list for each of the seeds 0 to 2."""
    tested = [rows_of(f"{run}-s{seed}/metrics.csv") for seed in range(3)]
    return [[row["accuracy"] for row in rows if row["learned"] == learned] for rows in tested]


def summary_of(run):
    return json.loads((PROJECT / "outputs" / run / "summary.json").read_text())


def test_a_row_for_each_run_has_what_was_asked_and_what_came_of_it():
    table = runs_table(runs_in("outputs/sweep"))
    assert len(table) == 9
    assert {key for key in Experiment.model_fields if is_used(key, "hypernetwork", "permuted")} <= set(table)
    row = table.loc["digits-beta0.1-s2"]
    assert (row["l2_memory_regularization"], row["seed"], row["learned"]) == (0.1, 2, 10)
    assert row["innernet_all_dims"] == "[64, 64, 10]"
    for result, value in summary_of("sweep/digits-beta0.1-s2").items():
        if result != "tasks":  # a parameter has that name, too: the family of tasks
            assert result not in table or row[result] == value


def test_runs_of_the_same_name_and_runs_that_never_began_have_rows_too():
    table = runs_table(
        [f"outputs/{where}/frozen_after_20" for where in ("search_rows", "search_thousands", "test_nothing")]
    )
    assert list(table.index) == ["frozen_after_20"] * 3 and list(table["learned"]) == [30, 250, 0]
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


def test_experiments_that_differ_in_their_seed_alone_are_one_row_with_mean_and_standard_deviation():
    rows = over_seeds("best")
    assert list(rows.index) == ["best", "best_500"]
    for name, row in rows.iterrows():
        finals = finals_of(name, 100)
        assert [len(final) for final in finals] == [100] * 3 and row["runs"] == 3
        assert row["ACC"] == pytest.approx(statistics.mean(map(statistics.mean, finals)), abs=1e-9)
        assert row["sd"] == pytest.approx(statistics.stdev(map(statistics.mean, finals)), abs=1e-9)
        assert row["worst"] == min(map(min, finals))
        seconds = [summary_of(f"{name}-s{seed}")["seconds"] for seed in range(3)]
        assert row["seconds"] == pytest.approx(statistics.mean(seconds))


def test_separate_networks_are_counted_by_hand_and_have_as_many_tasks_as_they_ask_for():
    row = over_seeds("separate").loc["units_39"]
    P = 784 * 39 + 39 + 39 * 10 + 10
    assert (row["per_task"], row["parameters"], row["target"]) == (P, 100 * P, "784-39-10")
    means = []
    for seed in range(3):
        accuracies = [r["accuracy"] for r in rows_of(f"separate/units_39-s{seed}/metrics.csv") if r["learned"] == 100]
        means.append(statistics.mean(accuracies))
        assert len(accuracies) == 100
    assert row["ACC"] == pytest.approx(statistics.mean(means), abs=1e-9)
    assert row["sd"] == pytest.approx(statistics.stdev(means), abs=1e-9)


def test_the_rival_of_as_many_numbers_has_no_fewer_than_the_best_run_and_hardly_more():
    table = by_size()
    assert set(table["steps"] * table["batch"] >= 500 * 256) == {True}
    assert 1 <= table.loc["units_39", "parameters"] / table.loc["best", "parameters"] < 1.06
    assert (table.groupby("method").size() > 1).all() and table.index.is_unique


def test_separate_networks_have_the_rate_that_was_best_on_validation_images():
    by_rate = rates()
    for experiment in load_experiments(PROJECT / "params" / "separate.yaml"):
        name = experiment.run_name.split("-s")[0]
        assert experiment.learning_rate == by_rate.loc[name].idxmax()
        assert experiment.evaluate_on == "test"
    for experiment in load_experiments(PROJECT / "params" / "search_separate.yaml"):
        metrics = rows_of(f"search_separate/{experiment.run_name}/metrics.csv")
        accuracies = [r["accuracy"] for r in metrics if r["learned"] == experiment.n_tasks_to_learn]
        mean = by_rate.loc[experiment.run_name.split("-rate")[0], experiment.learning_rate]
        assert experiment.evaluate_on == "validation" and mean == pytest.approx(statistics.mean(accuracies), abs=1e-9)


@pytest.mark.parametrize(
    "file, search, searched",
    [
        ("methods", "search_methods", ONE_NETWORK),
        ("methods_large", "search_methods_large", METHODS),
        ("methods_100", "search_methods_100", ("in_a_row", "l2", "ewc", "si")),
        ("methods_100", "search_methods", ("rehearsal", "joint")),
    ],
)
def test_every_method_has_the_rate_and_the_strength_that_were_best_on_validation_images(file, search, searched):
    def choice(experiment):
        own = getattr(experiment, experiment.method, None)
        return experiment.learning_rate, getattr(own, "strength", None), experiment.num_chunks, experiment.pixels

    tried = load_experiments(PROJECT / "params" / f"{search}.yaml")
    assert {experiment.evaluate_on for experiment in tried} == {"validation"}
    chosen = [e for e in load_experiments(PROJECT / "params" / f"{file}.yaml") if e.method in searched]
    assert {e.method for e in chosen} == set(searched) and {e.evaluate_on for e in chosen} == {"test"}
    for one in chosen:
        like = [e for e in tried if (e.method, e.heads) == (one.method, one.heads)]
        like = [
            e for e in like if one.method != "rehearsal" or e.rehearsal.images_per_task == one.rehearsal.images_per_task
        ]
        if file == "methods_100":  # where pixels were not searched
            like = [e for e in like if e.pixels == one.pixels]
        best = max(like, key=lambda e: summary_of(f"{search}/{e.run_name}")["ACC"])
        assert choice(one) == choice(best) and len(like) > 1
        if file == "methods":  # no rate at the edge of those tried with the same pixels
            rates = sorted(e.learning_rate for e in like if e.pixels == one.pixels)
            assert rates[0] < one.learning_rate < rates[-1]
        assert all(e.innernet_all_dims == one.innernet_all_dims for e in like)


def test_methods_on_a_hundred_tasks_are_counted_by_hand():
    table = compared_on_a_hundred()
    finals = finals_of("methods_100/ewc-per_task", 100)
    row, hidden = table.loc["ewc-per_task"], 784 * 300 + 300
    assert [len(final) for final in finals] == [100, 100, 100]
    assert row["ACC"] == pytest.approx(statistics.mean(map(statistics.mean, finals)), abs=1e-9)
    assert row["sd"] == pytest.approx(statistics.stdev(map(statistics.mean, finals)), abs=1e-9)
    assert row["worst"] == min(map(min, finals))
    assert (row["parameters"], row["stored"]) == (hidden + 100 * 3010, 2 * hidden)
    assert table.loc["rehearsal-per_task", "stored"] == 99 * 100 * 785
    assert table.loc["units_300", "parameters"] == 100 * (hidden + 3010)
    short = {line.split(" | ")[0].strip("| `"): line for line in TABLES["methods in short"]().splitlines()}
    assert f"{row['ACC']:.3f} | {row['parameters']:,} | {row['stored']:,.0f}" in short["ewc"]


@pytest.mark.parametrize(
    "of, file, hidden",
    [(compared, "methods", [784, 300]), (compared_with_published, "methods_large", [784, 1000, 1000])],
)
def test_methods_on_ten_tasks_are_counted_by_hand(of, file, hidden):
    table = of()
    row = table.loc["ewc-per_task"]
    finals = finals_of(f"{file}/ewc-per_task", 10)
    assert row["ACC"] == pytest.approx(statistics.mean(map(statistics.mean, finals)), abs=1e-9)
    assert row["sd"] == pytest.approx(statistics.stdev(map(statistics.mean, finals)), abs=1e-9)
    shared = sum(n * m + m for n, m in itertools.pairwise(hidden))
    head = hidden[-1] * 10 + 10
    assert (row["parameters"], row["stored"], row["per_task"]) == (shared + 10 * head, 2 * shared, head)
    assert table.loc["separate", "parameters"] == 10 * (shared + head)


def test_methods_are_compared_beside_what_others_measured():
    table = compared_with_published()
    row = table.loc["ewc-per_task"]
    theirs = (True, 0.9596, 0.0006, 0.9473)
    assert (*row[["told", "van de Ven and Tolias", "sem", "Henning et al."]],) == theirs
    assert table[["van de Ven and Tolias", "sem", "Henning et al."]].count().tolist() == [8, 8, 4]
    shown = {line.split(" | ")[0].strip("| `"): line for line in TABLES["methods in short"]().splitlines()}
    assert f"{row['ACC']:.3f} (0.960, 0.947)" in shown["ewc"] and "all images" in shown["joint"]
    (line,) = [line for line in TABLES["methods beside published ones"]().splitlines() if "`ewc` | yes" in line]
    assert line.startswith("| `ewc` | yes | raw | ") and line.endswith(" | 0.9596 ± 0.0006 | 0.9473 |")


def test_runs_with_published_settings_have_them_and_stand_beside_what_was_published():
    lines = TABLES["published settings"]().splitlines()[2:]
    experiments = load_experiments(PROJECT / "params" / "methods_published.yaml")
    assert len(lines) == len(experiments) == 8
    published = {("in_a_row", True): 0.8179, ("in_a_row", False): 0.7851, ("ewc", False): 0.9442, ("si", False): 0.9533}
    for line, one in zip(lines, experiments, strict=True):
        settings = one.iters_per_task, one.batch_size, one.learning_rate, one.final_learning_rate_fraction
        assert getattr(getattr(one, one.method, None), "strength", None) == {"ewc": 100, "si": 5}.get(one.method)
        assert settings == (5000, 128, 1e-4, 1) and one.innernet_all_dims == [784, 1000, 1000, 10]
        rows = rows_of(f"methods_published/{one.run_name}/metrics.csv")
        final = [row["accuracy"] for row in rows if row["learned"] == 10]
        start = {"glorot": "Glorot's", "torch": "PyTorch's"}[one.network_init]
        told = one.heads == "per_task"
        cells = f"`{one.method}`", "yes" if told else "no", one.pixels, start, f"{statistics.mean(final):.4f}"
        assert line == f"| {' | '.join(cells)} | {published[one.method, told]:.4f} |"


def test_the_best_run_is_counted_by_hand_and_chosen_on_validation_images():
    best = load_experiments(PROJECT / "params" / "best.yaml")[0]
    E, C, S = 35, 796, 2000  # 784 pixels, the bias, ten rows of the second kernel, its bias
    assert (best.n_tasks_to_learn, best.sizes.n_chunks, best.sizes.chunk_size) == (100, C, S)
    parameters = 100 * C * E + C * E + (2 * E + 1) * S
    assert parameters == best.sizes.n_parameters(100) == summary_of("best-s0")["parameters"] <= 3_100_000
    assert summary_of("best-s0")["per_task"] == C * E
    searches = ["search_rows", "search_more", "search_best", "search_dropout", "search_separate", "search_thousands"]
    for file in (*searches, "parts", "lookahead"):
        on = {experiment.evaluate_on for experiment in load_experiments(PROJECT / "params" / f"{file}.yaml")}
        assert on == {"validation"}


def test_what_is_not_there_or_not_what_was_asked_for_is_named_with_the_command_that_makes_it(monkeypatch):
    asked = load_experiments(PROJECT / "params" / "best.yaml")
    changed = [experiment.model_copy(update={"learning_rate": 0.5}) for experiment in asked]
    monkeypatch.setattr(tables, "load_experiments", lambda _: changed)
    with pytest.raises(
        ExperimentError, match="outputs/best-s0 is no finished run.*run_experiments.py FILE --only best-s0"
    ):
        over_seeds("best")
    with pytest.raises(ExperimentError, match="has no rounded.csv: python -m experiments.rounding outputs/thousands"):
        rounded("outputs/thousands")


def test_the_published_sizes_are_those_that_the_settings_give():
    table = published()
    trunk_and_head = 32 * 100 + 100 + 100 * 100 + 100 + 100 * 29_000 + 29_000
    assert table.loc["PR-Dirac-SR", "parameters"] == trunk_and_head + 105 * 16 + 100 * 16
    gaussian = 64 * 100 + 100 + 100 * 100 + 100 + 100 * 55_000 + 55_000
    assert table.loc["PR-BbB-SR", "parameters"] == gaussian + 111 * 32 + 100 * 32


def test_rounded_embeddings_are_listed_with_the_bytes_of_a_task():
    table = rounded("outputs/best-s0")
    assert table.loc[32, "ACC"] == summary_of("best-s0")["ACC"]
    assert table.loc[[32, 8, 4], "bytes per task"].tolist() == [4 * 27_860, 27_860 + 4, 27_860 // 2 + 4]
    four_bits = [float(r["accuracy"]) for r in rows_of("best-s0/rounded.csv") if r["bits"] == "4"]
    assert len(four_bits) == 100
    assert table.loc[4, "worst"] == min(four_bits)
    assert table.loc[4, "ACC"] == pytest.approx(statistics.mean(four_bits), abs=1e-9)


def test_what_was_right_without_the_oracle_is_the_mean_over_tasks_and_then_over_runs():
    table, runs = without_oracle("without_oracle"), []
    for seed in range(3):
        with open(PROJECT / "outputs" / "without_oracle" / f"hundred-s{seed}" / "inference.csv") as file:
            rows = [
                r for r in csv.DictReader(file) if (r["learned"], r["score"], r["together"]) == ("100", "entropy", "3")
            ]
        assert len(rows) == 100
        runs.append(
            {key: statistics.mean(float(r[key]) for r in rows) for key in ("task_right", "class_right", "told")}
        )
    row = table.loc[("hundred", "entropy", 3)]
    for key in runs[0]:
        assert row[key] == pytest.approx(statistics.mean(run[key] for run in runs), abs=1e-9)
    assert row["sd"] == pytest.approx(statistics.stdev(run["class_right"] for run in runs), abs=1e-9)
    assert (row["runs"], row["tasks"]) == (3, 100)
    one, ten = (table.loc[("hundred", "entropy", together)] for together in (1, 10))
    shown = [line.strip("| ").split(" | ") for line in TABLES["nobody names the task"]().splitlines()]
    (cells,) = [cells for cells in shown if cells[0] == "`hundred`" and cells[2] == "`entropy`"]
    header = [
        "run",
        "tasks",
        "score",
        "digit right, one image",
        "task right, one image",
        "digit right, three",
        "ten",
        "told",
    ]
    assert shown[0] == header
    assert cells[3:] == [
        f"{one['class_right']:.4f} ± {one['sd']:.4f}",
        *(f"{x:.4f}" for x in (one["task_right"], row["class_right"], ten["class_right"], one["told"])),
    ]


def test_what_decides_without_the_oracle_was_chosen_on_validation_images():
    searched, chosen = (
        load_experiments(PROJECT / "params" / f"{file}.yaml") for file in ("search_inference", "without_oracle")
    )
    assert {one.evaluate_on for one in searched} == {"validation"} and {one.evaluate_on for one in chosen} == {"test"}
    scores = without_oracle("search_inference")["class_right"].xs(1, level="together")
    taught = scores.loc[scores.index.get_level_values("run").str.startswith("taught")].drop("mean_image", level="score")
    assert {one.infer_task for one in chosen} == {"logsumexp"}
    one_of_them = taught["taught"]
    assert one_of_them["logsumexp"] > one_of_them.max() - 0.002 and one_of_them["entropy"] < 0.7


def test_split_tasks_have_a_row_for_each_method_with_three_scenarios():
    table = split()

    def over(name, value):
        found = [value(summary_of(f"split/{name}-s{seed}")) for seed in range(3)]
        return pytest.approx((statistics.mean(found), statistics.stdev(found)), abs=2e-6)

    for scenario in ("told", "domain", "class"):
        row = table.loc[("mlp", "rehearsal")]
        found = row[scenario], row[f"{scenario} sd"]
        assert found == over(f"{scenario}-rehearsal-mlp", lambda summary: summary["ACC"])
    row = table.loc[("mlp", "separate")]
    assert (row["told"], row["told sd"]) == over("separate-mlp", lambda summary: summary["ACC"])
    for scenario, right in {"domain": "class_right", "class": "both_right"}.items():
        expected = over("separate-mlp", lambda summary, right=right: summary["inferred"]["1"][right])
        assert (row[scenario], row[f"{scenario} sd"]) == expected
    hidden = 784 * 400 + 400 + 400 * 400 + 400
    assert row["parameters"] == 5 * (hidden + 2 * 401) and row["stored"] == 0
    assert table.loc[("mlp", "rehearsal"), "parameters"] == hidden + 10 * 401  # the largest of three
    assert table.loc[("mlp", "rehearsal"), "stored"] == 4 * 100 * (784 + 1)
    assert table.loc[("mlp", "rehearsal"), "published class"] == 0.8885
    shown = {tuple(line.strip("| ").split(" | ")[:2]): line for line in TABLES["split"]().splitlines()}
    assert "all images" in shown["mlp", "`joint`"] and "(0.7039)" in shown["mlp", "`separate_not_taught`"]
    assert "(0.8550)" in shown["lenet", "`separate_not_taught`"]


@pytest.mark.parametrize("file", ["split", "split_lenet"])
def test_split_tasks_have_the_settings_that_were_best_on_validation_images(file):
    searched, chosen = (load_experiments(PROJECT / "params" / f"{name}.yaml") for name in (f"search_{file}", file))
    assert {e.evaluate_on for e in searched} == {"validation"} and {e.evaluate_on for e in chosen} == {"test"}

    def right(experiment):
        summary = summary_of(f"search_{file}/{experiment.run_name}")
        return summary["inferred"]["1"]["both_right"] if experiment.infer_task != "oracle" else summary["ACC"]

    for one in chosen:
        if "not_taught" in one.run_name or one.method == "joint":  # without outliers, and with the default's rate
            continue
        scenario = one.run_name.split("-")[0] if one.infer_task == "oracle" else ""
        like = [e for e in searched if e.method == one.method and e.run_name.startswith(scenario)]
        best = max(like, key=right)
        for key in ("learning_rate", "outliers", "outlier_order", "infer_task", "infer_images", one.method):
            assert getattr(one, key, None) == getattr(best, key, None) and len(like) > 1, (one.run_name, best.run_name)


def test_the_search_says_what_each_run_changed_and_how_well_it_learned_and_kept():
    row = search("search_rows").loc["beta_1"]
    metrics = rows_of("search_rows/beta_1/metrics.csv")
    just_learned = [row["accuracy"] for row in metrics if row["learned"] == row["task"] + 1]
    assert len(just_learned) == 30
    assert abs(row["just learned"] - sum(just_learned) / 30) < 1e-9
    assert abs(row["the last ten"] - sum(just_learned[20:]) / 10) < 1e-9
    assert row["changed"] == "l2_memory_regularization: 1.0"
    assert row["ACC"] == summary_of("search_rows/beta_1")["ACC"]


def test_a_table_in_markdown_shows_what_the_runs_measured():
    shown = [line.strip("| ").split(" | ") for line in TABLES["ten tasks"]().splitlines()]
    assert shown[0] == ["run", "ACC", "min", "forgetting", "parameters", "per task"] and len(shown) == 6
    for name, *cells in shown[2:]:
        summary = summary_of(name.strip("`"))
        assert cells == [
            *(f"{summary[key]:.4f}" for key in ("ACC", "min", "forgetting")),
            *(f"{summary[key]:,}" for key in ("parameters", "per_task")),
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
