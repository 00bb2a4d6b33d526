"""Every table of results, read from the files in `outputs/` alone; nothing is trained, and TensorFlow is not needed.

`runs_table` is a row for each run. The others are tables of one comparison each, as the README and the notebooks show
them; their Markdown is in `TABLES`, by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from experiments.files import load_experiments
from experiments.parameters import Experiment
from experiments.store import PROJECT, kept_experiment, read_metrics, read_summary, run_folder, status
from hypernet_lib.metrics import AccuracyMatrix

RESULTS = ["ACC", "min", "BWT", "forgetting", "compression", "seconds"]  # of a finished run, in this order
TESTED = [10, 20, 30, 50, 100]  # tasks learned when all so far were tested
SEEDS = ["", "-s1", "-s2"]  # endings of the folders of a run that was made with seeds 0 to 2

# Each experiment with 100 tasks: the original's logs, our runs with its settings, our runs with our defaults.
HUNDRED = {
    "big": (
        ["large_memory_reg", "large_memory_reg2"],
        ["reproduction/big"],
        [f"big_network_big_regularization{seed}" for seed in SEEDS],
    ),
    "big, 60 chunks": (["hnet_with_more_chunks"], ["reproduction/big_60_chunks"], []),
    "small": (
        ["smaller_network3"],
        [f"reproduction/small-s{seed}" for seed in (0, 1)],
        ["small_network_big_regularization"],
    ),
    "no memory": (
        ["no_memory"],
        ["reproduction/no_memory"],
        [f"big_network_no_regularization{seed}" for seed in SEEDS],
    ),
}
WHOSE = ("the original", "ours, its settings", "ours, our defaults")
# Runs of a hundred tasks, and the separate networks that have the same target, steps and batches.
SEPARATE = {
    "big_network_big_regularization": "big",
    "best": "best",
    "best_without_limit": "best",
    "best_published_target": "best_published_target",
}


def runs_table(folders: Iterable[str | Path]) -> pd.DataFrame:
    """A row for each folder of a run, named after it: its parameters, tasks learned and, once finished, its results.

    Columns: every parameter, lists as text; `learned`, how many tasks; those of `RESULTS`, not a number before the run
    is finished. Relative folders are counted from the project's folder. A folder where no run was ever started is a
    row of nothing.
    """
    runs, rows = [], []
    for folder in folders:
        path = PROJECT / folder
        experiment = kept_experiment(path)
        asked = experiment.model_dump() if experiment else {}
        row = {key: str(value) if isinstance(value, list) else value for key, value in asked.items()}
        row["learned"] = int(read_metrics(path)["learned"].max()) if (path / "metrics.csv").exists() else 0
        summary = read_summary(path) or {}
        rows.append({**row, **{result: summary.get(result, float("nan")) for result in RESULTS}})
        runs.append(path.name)
    return pd.DataFrame(rows, index=pd.Index(runs, name="run"))


def runs_in(folder: str | Path) -> list[Path]:
    """The folders of all finished runs below a folder, by name."""
    return sorted(path.parent for path in (PROJECT / folder).rglob("summary.json"))


def overview(experiments: list[Experiment]) -> pd.DataFrame:
    """A row for each experiment: its status, how many tasks it has learned and, once finished, what it measured."""
    table = runs_table(run_folder(experiment) for experiment in experiments)
    table.insert(0, "status", [status(experiment) for experiment in experiments])
    table.loc[table["status"] != "finished", RESULTS] = float("nan")
    table.loc[table["status"] == "another run is there", "learned"] = 0
    table.insert(
        1, "tasks", [f"{n} of {e.n_tasks_to_learn}" for n, e in zip(table["learned"], experiments, strict=True)]
    )
    return table[["status", "tasks", "ACC", "forgetting", "seconds"]]


def original(log: str) -> pd.DataFrame:
    """A run of the original, as `read_metrics` gives one of ours: columns learned, task, accuracy."""
    accuracies = pd.read_csv(PROJECT / "outputs" / "original_logs" / "accuracies.csv")
    return accuracies[accuracies["run"] == log].drop(columns="run")


def runs_of(experiment: str) -> dict[str, list[pd.DataFrame]]:
    """All runs of an experiment with 100 tasks, by whose they are: each a table of learned, task, accuracy."""
    logs, *ours = HUNDRED[experiment]
    groups = [[original(log) for log in logs], *([read_metrics(f"outputs/{f}") for f in folders] for folders in ours)]
    return {whose: runs for whose, runs in zip(WHOSE, groups, strict=True) if runs}


def hundred_tasks() -> pd.DataFrame:
    """Mean accuracy over the tasks so far after 10 to 100 of them; the lowest of any task at 100; a row each.

    Over several runs it is their mean, +- the standard deviation between runs of that at 100.
    """
    rows = {}
    for experiment in HUNDRED:
        for whose, runs in runs_of(experiment).items():
            matrices = [AccuracyMatrix(run) for run in runs]
            means = pd.DataFrame([{n: matrix.after(n).mean() for n in TESTED} for matrix in matrices])
            worst = min(matrix.worst for matrix in matrices)
            row = {"runs": len(runs), **means.mean(), "+-": means[100].std(), "worst": worst}
            rows[experiment, whose] = row
    return pd.DataFrame(rows).T.astype({"runs": int})


def by_age(folders: Iterable[str | Path], n: int) -> pd.DataFrame:
    """Of finished runs of many tasks: ACC, the worst task, the first and the last n tasks, and each just learned."""
    rows = {}
    for folder in folders:
        matrix = AccuracyMatrix(read_metrics(folder))
        rows[Path(folder).name] = {
            "ACC": matrix.acc,
            "worst": matrix.worst,
            f"oldest {n}": matrix.final[:n].mean(),
            f"newest {n}": matrix.final[-n:].mean(),
            "just learned": matrix.just_learned.mean(),
        }
    return pd.DataFrame(rows).T.rename_axis("run")


def thousands() -> pd.DataFrame:
    """What was tried for thousands of tasks, on validation images: params/search_thousands.yaml, in its order."""
    return by_age(map(run_folder, load_experiments(PROJECT / "params" / "search_thousands.yaml")), n=100)


def separate(baseline: str) -> pd.Series:
    """Mean accuracy of a baseline's separate networks, at each of the learning rates that were tried."""
    files = sorted((PROJECT / "outputs" / "separate").glob(f"{baseline}-rate*.csv"))
    return pd.Series({file.stem.split("-rate")[1]: pd.read_csv(file)["accuracy"].mean() for file in files})


def search(file: str) -> pd.DataFrame:
    """The runs of params/<file>.yaml: what each changed from the first, how well it learned its tasks and kept them."""
    experiments = load_experiments(PROJECT / "params" / f"{file}.yaml")
    table = runs_table(run_folder(experiment) for experiment in experiments)
    apart = {"run_name", "n_tasks_to_learn", "full_testing_tasks", "iters_per_task", "precision"}  # no finding
    base = experiments[0].model_dump(exclude=apart)
    changed = [{k: v for k, v in e.model_dump(exclude=apart).items() if v != base[k]} for e in experiments]
    just_learned = [AccuracyMatrix(read_metrics(run_folder(e))).just_learned for e in experiments]
    return pd.DataFrame(
        {
            "changed": [", ".join(f"{key}: {value}" for key, value in keys.items()) for keys in changed],
            "tasks": table["n_tasks_to_learn"],
            "steps": table["iters_per_task"],
            "just learned": [accuracies.mean() for accuracies in just_learned],
            "the last ten": [accuracies[-10:].mean() for accuracies in just_learned],
            **{result: table[result] for result in ("ACC", "forgetting", "compression")},
        }
    )


def _parameters() -> str:
    rows = [
        [f"`{name}`", "required" if field.is_required() else f"`{field.default}`", field.description]
        for name, field in Experiment.model_fields.items()
    ]
    return _markdown(["key", "default", "meaning"], rows)


def _ten_tasks() -> str:
    ends = ("", "_original_settings", "_small", "_no_memory")
    table = runs_table(f"outputs/permuted_mnist_10{end}" for end in ends)
    accuracies = ["ACC", "min", "forgetting"]
    rows = [[f"`{run}`", *_four(row, accuracies), f"{row['compression']:.2f}"] for run, row in table.iterrows()]
    return _markdown(["run", *accuracies, "compression"], rows)


def _hundred_tasks() -> str:
    rows = []
    for (experiment, whose), row in hundred_tasks().iterrows():
        spread = "" if pd.isna(row["+-"]) else f" ± {row['+-']:.4f}"
        *before, at_100 = _four(row, TESTED)
        rows.append([experiment, whose, f"{row['runs']:.0f}", *before, at_100 + spread, f"{row['worst']:.4f}"])
    return _markdown(["experiment", "whose", "runs", *map(str, TESTED), "worst at 100"], rows)


def _size_of_one() -> str:
    rows, accuracies = [], ["ACC", "min", "forgetting"]
    for run, row in runs_table(f"outputs/{name}" for name in SEPARATE).iterrows():
        target = "-".join(map(str, json.loads(row["innernet_all_dims"])))
        alone = f"{separate(SEPARATE[run]).max():.4f}"
        rows.append([f"`{run}`", target, f"{row['compression']:.2f}", *_four(row, accuracies), alone])
    return _markdown(["run", "target network", "compression", *accuracies, "separate"], rows)


def _step_cost() -> str:
    names = {
        "original": "the original's loop over tasks",
        "hypnettorch": "hypnettorch (PyTorch)",
        "direct": "all weights generated in one product",
        "ours": "**ours**, the cheaper of two exact forms",
        "bfloat16": "ours with `precision: bfloat16`",
        "rows 4000 written": "784-4000-10 in rows, all weights written",
        "rows 4000": "**the same, its first layer never written** (`best`)",
        "rows 1000": "784-1000-10 in rows, likewise (as `fast`, not frozen)",
    }
    steps = pd.DataFrame(json.loads((PROJECT / "outputs" / "benchmark_step.json").read_text())["steps"])
    table = steps.pivot(index="form", columns="tasks", values="ms_per_step")
    heads = [f"{n} task{'s' * (n > 1)}" for n in table.columns]
    return _markdown(
        ["milliseconds per step", *heads],
        [[name, *(f"{ms:.1f}" for ms in table.loc[form])] for form, name in names.items()],
    )


def _thousands() -> str:
    table = thousands()
    return _markdown(
        ["run", *table.columns], [[f"`{run}`", *_four(row, table.columns)] for run, row in table.iterrows()]
    )


TABLES: dict[str, Callable[[], str]] = {
    "ten tasks": _ten_tasks,
    "a hundred tasks": _hundred_tasks,
    "in the size of one": _size_of_one,
    "thousands of tasks": _thousands,
    "the cost of a step": _step_cost,
    "parameters": _parameters,
}


def _four(row: pd.Series, names: list) -> list[str]:
    """Values of a row as text, with four decimals."""
    return [f"{row[name]:.4f}" for name in names]


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [header, ["---"] * len(header), *rows])
