"""Tables of results, made from the files in `outputs/` alone: the README's, and those of `outputs/search/`.

python -m hypernet_lib.report
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pandas as pd
import yaml

from hypernet_lib.experiment_files import load_experiments
from hypernet_lib.folders import PROJECT, read_metrics, read_summary, run_folder, write_atomically
from hypernet_lib.metrics import AccuracyMatrix

SEARCHES = ["search", "search_rows", "differences"]  # files of params/, each with a table of its own
TESTED = [10, 20, 30, 50, 100]  # tasks learned when all so far were tested
SEEDS = ["", "-s1", "-s2"]  # endings of the folders of a run that was made with seeds 0 to 2

# Each experiment with 100 tasks: the original's logs, our runs with its settings, our runs with our defaults.
HUNDRED = {
    "big": (
        ["large_memory_reg", "large_memory_reg2"],
        ["original_settings/big"],
        [f"big_network_big_regularization{seed}" for seed in SEEDS],
    ),
    "big, 60 chunks": (["hnet_with_more_chunks"], ["original_settings/big_60_chunks"], []),
    "small": (
        ["smaller_network3"],
        [f"original_settings/small{seed}" for seed in SEEDS[:2]],
        ["small_network_big_regularization"],
    ),
    "no memory": (
        ["no_memory"],
        ["original_settings/no_memory"],
        [f"big_network_no_regularization{seed}" for seed in SEEDS],
    ),
}
# Runs of a hundred tasks, and the separate networks that have the same target, steps and batches.
SEPARATE = {
    "big_network_big_regularization": "big",
    "best": "best",
    "best_without_limit": "best",
    "best_published_target": "best_published_target",
}
WHOSE = ("the original", "ours, its settings", "ours, our defaults")


def original(log: str) -> pd.DataFrame:
    """A run of the original, as `read_metrics` gives one of ours: columns learned, task, accuracy."""
    accuracies = pd.read_csv(PROJECT / "outputs" / "original" / "accuracies.csv")
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


def separate(baseline: str) -> pd.Series:
    """Mean accuracy of a baseline's separate networks, at each of the learning rates that were tried."""
    files = sorted((PROJECT / "outputs" / "separate").glob(f"{baseline}-rate*.csv"))
    return pd.Series({file.stem.split("-rate")[1]: pd.read_csv(file)["accuracy"].mean() for file in files})


def search(file: str) -> pd.DataFrame:
    """The runs of params/<file>.yaml: what each changed from the first, how well it learned its tasks and kept them."""
    rows = []
    experiments = load_experiments(PROJECT / "params" / f"{file}.yaml")
    base = experiments[0].model_dump()
    for experiment in experiments:
        summary = read_summary(run_folder(experiment))
        parameters = experiment.model_dump(
            exclude={"run_name", "n_tasks_to_learn", "full_testing_tasks", "iters_per_task", "precision"}
        )
        changed = {key: value for key, value in parameters.items() if value != base[key]}
        just_learned = AccuracyMatrix(read_metrics(run_folder(experiment))).just_learned
        rows.append(
            {
                "run": experiment.run_name,
                "changed": ", ".join(f"{key}: {value}" for key, value in changed.items()),
                "tasks": experiment.n_tasks_to_learn,
                "steps": experiment.iters_per_task,
                "just learned": just_learned.mean(),
                "the last ten": just_learned[-10:].mean(),
                "ACC": summary["ACC"],
                "forgetting": summary["forgetting"],
                "compression": summary["compression"],
            }
        )
    return pd.DataFrame(rows).set_index("run")


def _ten_tasks() -> str:
    rows, accuracies = [], ["ACC", "min", "forgetting"]
    for name in ["permuted_mnist_10" + end for end in ("", "_original_settings", "_small", "_no_memory")]:
        summary = read_summary(f"outputs/{name}")
        rows.append([f"`{name}`", *(f"{summary[key]:.4f}" for key in accuracies), f"{summary['compression']:.2f}"])
    return _markdown(["run", *accuracies, "compression"], rows)


def _hundred_tasks() -> str:
    rows = []
    for (experiment, whose), row in hundred_tasks().iterrows():
        spread = "" if pd.isna(row["+-"]) else f" ± {row['+-']:.4f}"
        at = [f"{row[n]:.4f}" for n in TESTED]
        rows.append([experiment, whose, f"{row['runs']:.0f}", *at[:-1], at[-1] + spread, f"{row['worst']:.4f}"])
    return _markdown(["experiment", "whose", "runs", *map(str, TESTED), "worst at 100"], rows)


def _size_of_one() -> str:
    rows = []
    for name, baseline in SEPARATE.items():
        summary = read_summary(f"outputs/{name}")
        dims = yaml.safe_load((PROJECT / "outputs" / name / "experiment.yaml").read_text())["innernet_all_dims"]
        values = summary["ACC"], summary["min"], summary["forgetting"], separate(baseline).max()
        accuracies = [f"{value:.4f}" for value in values]
        rows.append([f"`{name}`", "-".join(map(str, dims)), f"{summary['compression']:.2f}", *accuracies])
    return _markdown(["run", "target network", "compression", "ACC", "min", "forgetting", "separate"], rows)


def _step_cost() -> str:
    names = {
        "original": "the original's loop over tasks",
        "hypnettorch": "hypnettorch (PyTorch)",
        "direct": "all weights generated in one product",
        "ours": "**ours**, the cheaper of two exact forms",
        "bfloat16": "ours with `precision: bfloat16`",
    }
    steps = pd.DataFrame(json.loads((PROJECT / "outputs" / "benchmark_step.json").read_text())["steps"])
    table = steps.pivot(index="form", columns="tasks", values="ms_per_step")
    heads = [f"{n} task{'s' * (n > 1)}" for n in table.columns]
    return _markdown(
        ["milliseconds per step", *heads],
        [[name, *(f"{ms:.1f}" for ms in table.loc[form])] for form, name in names.items()],
    )


TABLES: dict[str, Callable[[], str]] = {
    "ten tasks": _ten_tasks,
    "a hundred tasks": _hundred_tasks,
    "in the size of one": _size_of_one,
    "the cost of a step": _step_cost,
}


def filled(text: str) -> str:
    """The text with every table between `<!-- table: NAME -->` and `<!-- end of table -->` made anew."""
    return re.sub(
        r"(<!-- table: (.*?) -->\n).*?(?=<!-- end of table -->)", lambda m: m[1] + TABLES[m[2]](), text, flags=re.S
    )


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [header, ["---"] * len(header), *rows])


def main() -> None:
    readme = PROJECT / "README.md"
    write_atomically(readme, filled(readme.read_text(encoding="utf-8")))
    for file in SEARCHES:
        write_atomically(PROJECT / "outputs" / "search" / f"{file}.csv", search(file).to_csv(float_format="%.6f"))


if __name__ == "__main__":
    main()
