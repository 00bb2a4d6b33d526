"""Every table of results, read from the files in `outputs/` alone; nothing is trained, and TensorFlow is not needed.

`runs_table` is a row for each run. The others are tables of one comparison each, as docs/ and the notebooks show
them; their Markdown is in `TABLES`, by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from experiments.baselines.settings import METHODS, ONE_NETWORK
from experiments.families import OF_FAMILY
from experiments.files import load_experiments
from experiments.parameters import Experiment, ExperimentError, fields, flat, users
from experiments.store import (
    PROJECT,
    is_finished,
    kept_experiment,
    read_inferred,
    read_metrics,
    read_summary,
    run_folder,
    shown,
    status,
)
from hypernet_lib.metrics import AccuracyMatrix, after_the_last

RESULTS = ["ACC", "min", "BWT", "forgetting", "seconds"]  # of a finished run, in this order
TESTED = [10, 20, 30, 50, 100]  # tasks learned when all so far were tested
SCENARIOS = {"told": "task-incremental", "domain": "domain-incremental", "class": "class-incremental"}
SOURCES = ["van de Ven and Tolias", "Henning et al."]  # of published accuracies on ten permutations, as in their table
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
USUAL_IMAGES = 500 * 256  # that most runs learn a task from, repeats counted
# What the table and the figure of accuracy against size show: files of experiments, and who learned them.
BY_SIZE = {
    "an embedding for each chunk": ["best", "sizes"],
    "one embedding a task": ["hundred_tasks", "few_chunks"],
    "separate networks": ["separate", "separate_dropped"],
}


def runs_table(folders: Iterable[str | Path]) -> pd.DataFrame:
    """A row for each folder of a run, named after it: its parameters, tasks learned and, once finished, its results.

    Columns: every parameter, lists as text; `learned`, how many tasks; how large it is with all of them; `told`,
    whether it is told the task at test time; those of `RESULTS`, not a number before the run is finished. Relative
    folders are counted from the project's folder. A folder where no run was ever started is a row of nothing.
    """
    runs, rows = [], []
    for folder in folders:
        path = PROJECT / folder
        experiment = kept_experiment(path)
        asked = flat(experiment.model_dump()) if experiment else {}
        row = {key: str(value) if isinstance(value, list) else value for key, value in asked.items()}
        row["learned"] = int(read_metrics(path)["learned"].max()) if (path / "metrics.csv").exists() else 0
        summary = read_summary(path) or {}
        row |= {**experiment.size, "told": experiment.is_told_the_task} if experiment else {}
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
    table["tasks"] = [f"{n} of {e.n_tasks_to_learn}" for n, e in zip(table["learned"], experiments, strict=True)]
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


def over_seeds(file: str) -> pd.DataFrame:
    """A row for each experiment of params/<file>.yaml, over its seeds: what it asked, how large it is, what came of it.

    Columns: `runs`; `method`; `told`, whether it is told the task at test time; `pixels`; `start`, its `network_init`;
    `tasks`, `target`, `E`, `steps`, `batch`; `dropped`, the share of pixels dropped in training; `parameters`,
    `per_task`, `stored` (not a number where it is all images); `ACC`, the mean over runs, and `sd`, their standard
    deviation; `worst`, the lowest accuracy of a task in any run; `just learned`, `forgetting` and `seconds`, means.
    Without a hypernetwork E is not a number. Raises ExperimentError where one is not done.
    """
    rows = {}
    for name, experiments in _seeds_together(file).items():
        first = experiments[0]
        runs = pd.DataFrame([_of_run(experiment) for experiment in experiments])
        rows[name] = {
            "runs": len(runs),
            "method": first.method,
            "told": first.is_told_the_task,
            "pixels": first.pixels,
            "start": first.network_init,
            "tasks": first.n_tasks_to_learn,
            "target": "-".join(map(str, first.innernet_all_dims)),
            "E": first.task_embedding_dim if first.method == "hypernetwork" else float("nan"),
            "steps": first.iters_per_task,
            "batch": first.batch_size,
            "dropped": first.input_dropout,
            **runs[["parameters", "per_task", "stored"]].iloc[0],
            "ACC": runs["ACC"].mean(),
            "sd": runs["ACC"].std(),
            "worst": runs["worst"].min(),
            **runs[["just learned", "forgetting", "seconds"]].mean(),
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")
    return table.astype({"parameters": int, "per_task": int})


def _seeds_together(file: str) -> dict[str, list[Experiment]]:
    """The experiments of params/<file>.yaml by their names, those that differ in the seed alone under one."""
    groups: dict[str, list[Experiment]] = {}
    for experiment in load_experiments(PROJECT / "params" / f"{file}.yaml"):
        groups.setdefault(re.sub(r"-s\d+$", "", experiment.run_name), []).append(experiment)
    return groups


def _finished(experiment: Experiment) -> Path:
    """The folder of its finished run; raises ExperimentError where there is none."""
    folder = run_folder(experiment)
    if not is_finished(experiment):
        raise ExperimentError(
            f"{shown(folder)} is no finished run with the parameters asked for: "
            f"python run_experiments.py FILE --only {experiment.run_name}"
        )
    return folder


def _of_run(experiment: Experiment) -> dict[str, float]:
    """What came of one experiment's run, and its size."""
    folder = _finished(experiment)
    matrix = AccuracyMatrix(read_metrics(folder))
    return {
        **experiment.size,
        "ACC": matrix.acc,
        "worst": matrix.worst,
        "just learned": matrix.just_learned.mean(),
        "forgetting": matrix.forgetting,
        "seconds": read_summary(folder).get("seconds", float("nan")),
    }


def by_size() -> pd.DataFrame:
    """Accuracy after a hundred tasks and size: the rows of `over_seeds` of all that is compared, and their `method`.

    That is every experiment of BY_SIZE with a hundred tasks and a memory. `alike` are those that learned a task in 500
    steps of 256 images, all their pixels shown; `label` is what a row is called where the method is known already.
    """
    tables = [over_seeds(file).assign(method=method) for method, files in BY_SIZE.items() for file in files]
    table = pd.concat(tables).query("tasks == 100 and run != 'big_network_no_regularization'")
    alike = (table["steps"] * table["batch"] == USUAL_IMAGES) & (table["dropped"] == 0)
    table = table.assign(alike=alike)
    return table.assign(label=[_label(run, row) for run, row in table.iterrows()])


def _label(run: str, row: pd.Series) -> str:
    """What the figure calls a run: by what its method changes, or by its name."""
    if row["method"] == "separate networks":
        return row["target"] if row["alike"] else "as best" if run.endswith("_as_best") else ""
    if row["method"] == "one embedding a task" or not row["alike"]:
        return run.split("_network")[0].replace("_", " ")
    return f"E = {row['E']:.0f}"


def compared() -> pd.DataFrame:
    """Every method on ten tasks with a target network of 784-300-10, params/methods.yaml: the rows of `over_seeds`."""
    return over_seeds("methods")


def compared_with_published() -> pd.DataFrame:
    """Every method on ten tasks with 784-1000-1000-10, params/methods_large.yaml, beside what others measured.

    The rows of `over_seeds`, with a column for each of the two SOURCES: the accuracy published there. `sem` is the
    standard error of the first; the second had one run of each.
    """
    return _beside_published("methods_large")


def with_published_settings() -> pd.DataFrame:
    """Runs with the steps, batches and rate of SOURCES[0], params/methods_published.yaml, beside what others measured.

    Columns as of `compared_with_published`.
    """
    return _beside_published("methods_published")


def _beside_published(file: str) -> pd.DataFrame:
    theirs = pd.read_csv(PROJECT / "outputs" / "published" / "permuted_mnist_10.csv").set_index(["method", "told"])
    return over_seeds(file).join(theirs, on=["method", "told"])


def compared_on_a_hundred() -> pd.DataFrame:
    """Every method with a hundred tasks and 784-300-10: as `compared`.

    Those of params/methods_100.yaml, and separate networks and the hypernetwork with our defaults, of other files.
    """
    others = {"separate": "units_300", "hundred_tasks": "big_network_big_regularization"}
    return pd.concat([over_seeds("methods_100"), *(over_seeds(file).loc[[run]] for file, run in others.items())])


def without_oracle(file: str) -> pd.DataFrame:
    """What was right where nobody named the task: a row for each experiment of params/<file>.yaml, score and images.

    Those that ask for no score (`infer_task`) are left out. Over seeds: `runs`, `tasks`, and of what `Run.inferred` has
    after the last task the mean over runs, of class_right also `sd`, the standard deviation between runs, and of
    both_right `both_sd`. Raises ExperimentError where one is not done.
    """
    tables = []
    for name, experiments in _seeds_together(file).items():
        if experiments[0].infer_task == "oracle":
            continue
        found = [after_the_last(read_inferred(_finished(experiment))) for experiment in experiments]
        over = pd.concat(found).groupby(level=["score", "together"])
        spread = {"sd": over["class_right"].std(), "both_sd": over["both_right"].std()}
        table = over.mean().assign(**spread, runs=len(found), tasks=experiments[0].n_tasks_to_learn)
        tables.append(table.assign(run=name).set_index("run", append=True).reorder_levels(["run", "score", "together"]))
    return pd.concat(tables)


def split() -> pd.DataFrame:
    """Split tasks: a row for each method and target, of params/split.yaml and split_lenet.yaml, in three scenarios.

    A run's name is its scenario's, its method's and its target's: `class-ewc-lenet`. A method with a network for each
    task has one run for all three, `separate-mlp`, whose `infer_task` finds the task of single images. Columns: for
    each scenario (`told`, `domain`, `class`) the mean accuracy over seeds and, in `told sd` and so on, their standard
    deviation; `parameters` and `stored`, the largest of the three; `published told` and `published class`, what others
    measured. Raises ExperimentError where a run is not done.
    """
    files, records = ("split", "split_lenet"), []
    inferred, over = [pd.concat(map(table, files)) for table in (without_oracle, over_seeds)]
    asked = {name: runs[0] for file in files for name, runs in _seeds_together(file).items()}
    for name, row in over.iterrows():
        *scenario, method, target = name.split("-")
        found = {scenario[0] if scenario else "told": (row["ACC"], row["sd"])}
        if not scenario:
            right = inferred.loc[(name, asked[name].infer_task, 1)]
            found |= {"domain": (right["class_right"], right["sd"]), "class": (right["both_right"], right["both_sd"])}
        size = {"target": target, "method": method, **row[["parameters", "stored"]]}
        records += [{**size, "scenario": of, "ACC": mean, "sd": sd} for of, (mean, sd) in found.items()]
    table = pd.DataFrame(records)
    sizes = table.groupby(["target", "method"], sort=False)[["parameters", "stored"]].max()
    each = table.pivot(index=["target", "method"], columns="scenario", values=["ACC", "sd"])
    each.columns = [scenario if value == "ACC" else f"{scenario} sd" for value, scenario in each.columns]
    theirs = pd.read_csv(PROJECT / "outputs" / "published" / "split_mnist.csv")
    theirs = theirs.groupby(["target", "method"])[["told", "class"]].max().add_prefix("published ")
    return each.reindex(sizes.index).join(sizes).join(theirs)


def published() -> pd.DataFrame:
    """What others measured on a hundred permutations: with the columns of `by_size` that they tell."""
    table = pd.read_csv(PROJECT / "outputs" / "published" / "permuted_mnist_100.csv", index_col="name")
    return table.assign(label=table.index, method="published", alike=False, sd=float("nan"))


def rates() -> pd.DataFrame:
    """Separate networks' mean accuracy on validation images, a row for each of them, a column for each rate."""
    experiments = load_experiments(PROJECT / "params" / "search_separate.yaml")
    rows = [(e.run_name.split("-rate")[0], e.learning_rate, _of_run(e)["ACC"]) for e in experiments]
    return pd.DataFrame(rows, columns=["run", "rate", "ACC"]).pivot(index="run", columns="rate", values="ACC")


def rounded(folder: str | Path) -> pd.DataFrame:
    """A run whose embeddings were rounded (`experiments.rounding`): by the bits of a number, ACC and the worst task.

    `bytes per task` is what an embedding takes, with the one number that it is scaled by; as learned it has 32 bits.
    Raises ExperimentError where the run was not rounded.
    """
    folder = PROJECT / folder
    if not (folder / "rounded.csv").exists():
        raise ExperimentError(f"{shown(folder)} has no rounded.csv: python -m experiments.rounding {shown(folder)}")
    accuracies = pd.read_csv(folder / "rounded.csv").groupby("bits", sort=False)["accuracy"]
    summary = read_summary(folder)
    as_learned = pd.DataFrame({"ACC": summary["ACC"], "worst": summary["min"]}, index=[32])
    table = pd.concat([as_learned, accuracies.agg(ACC="mean", worst="min")]).rename_axis("bits")
    per_task = kept_experiment(folder).sizes.per_task
    table.insert(0, "bytes per task", [-(-per_task * bits // 8) + 4 * (bits < 32) for bits in table.index])
    return table


def search(file: str) -> pd.DataFrame:
    """The runs of params/<file>.yaml: what each changed from the first, how well it learned its tasks and kept them."""
    experiments = load_experiments(PROJECT / "params" / f"{file}.yaml")
    table = runs_table(run_folder(experiment) for experiment in experiments)
    apart = {"run_name", "n_tasks_to_learn", "full_testing_tasks", "iters_per_task", "precision"}  # no finding
    asked = [flat(experiment.model_dump(exclude=apart)) for experiment in experiments]
    changed = [{key: value for key, value in one.items() if value != asked[0].get(key)} for one in asked]
    just_learned = [AccuracyMatrix(read_metrics(run_folder(e))).just_learned for e in experiments]
    return pd.DataFrame(
        {
            "changed": [", ".join(f"{key}: {value}" for key, value in keys.items()) for keys in changed],
            "tasks": table["n_tasks_to_learn"],
            "steps": table["iters_per_task"],
            "just learned": [accuracies.mean() for accuracies in just_learned],
            "the last ten": [accuracies[-10:].mean() for accuracies in just_learned],
            **{result: table[result] for result in ("ACC", "forgetting")},
        }
    )


def _parameters() -> str:
    rows = [
        [f"`{name}`", "required" if field.is_required() else f"`{field.default}`", _of_method(name), field.description]
        for name, field in fields().items()
    ]
    return _markdown(["key", "default", "method", "meaning"], rows)


def _of_method(name: str) -> str:
    """Which methods use a parameter, in a word or two; and of which family of tasks, where it is of one."""
    key = name.split(".")[0]
    who = {METHODS: "all", ONE_NETWORK: "one network"}.get(users(key), ", ".join(users(key)))
    return f"{who}; {OF_FAMILY[key]} tasks" if key in OF_FAMILY else who


def _ten_tasks() -> str:
    ends = ("", "_original_settings", "_small", "_no_memory")
    table = runs_table(f"outputs/permuted_mnist_10{end}" for end in ends)
    accuracies = ["ACC", "min", "forgetting"]
    rows = [[f"`{run}`", *_four(row, accuracies), *_sizes(row)] for run, row in table.iterrows()]
    return _markdown(["run", *accuracies, "parameters", "per task"], rows)


def _hundred_tasks() -> str:
    rows = []
    for (experiment, whose), row in hundred_tasks().iterrows():
        *before, at_100 = _four(row, TESTED)
        size = _sizes(runs_table([f"outputs/{_sized_as(experiment, whose)}"]).iloc[0])
        rows.append(
            [
                experiment,
                whose,
                *size,
                f"{row['runs']:.0f}",
                *before,
                at_100 + _spread(row["+-"]),
                f"{row['worst']:.4f}",
            ]
        )
    return _markdown(["experiment", "whose", "parameters", "per task", "runs", *map(str, TESTED), "worst at 100"], rows)


def _sized_as(experiment: str, whose: str) -> str:
    """The folder of a run of ours that has the same sizes; the original's are those of ours with its settings."""
    _, its_settings, our_defaults = HUNDRED[experiment]
    return (our_defaults if whose == WHOSE[2] else its_settings)[0]


def _by_size() -> str:
    rows = []
    for run, row in by_size().iterrows():
        shown = [
            f"{row['steps']} x {row['batch']}",
            f"{row['dropped']}" if row["dropped"] else "",
            *_sizes(row),
            f"{row['ACC']:.4f}{_spread(row['sd'])}",
            f"{row['worst']:.4f}",
        ]
        length = "" if pd.isna(row["E"]) else f"{row['E']:.0f}"
        rows.append([row["method"], f"`{run}`", row["target"], length, *shown])
    return _markdown(
        ["method", "run", "target", "E", "steps", "dropped", "parameters", "per task", "ACC", "worst"], rows
    )


def _methods(table: pd.DataFrame) -> str:
    header = ["method", "told the task", "pixels", "ACC", "worst", "forgetting"]
    header += ["parameters", "per task", "stored", "minutes"]
    sources = [source for source in SOURCES if source in table]
    rows = []
    for _, row in table.iterrows():
        accuracies = [f"{row['ACC']:.4f}{_spread(row['sd'])}", *_four(row, ["worst", "forgetting"])]
        told = "yes" if row["told"] else "no"
        minutes = "" if pd.isna(row["seconds"]) else f"{row['seconds'] / 60:.1f}"
        cells = [f"`{row['method']}`", told, row["pixels"], *accuracies, *_sizes(row), _stored(row), minutes]
        theirs = ["" if pd.isna(row[source]) else f"{row[source]:.4f}" for source in sources]
        if theirs:
            theirs[0] += _spread(row["sem"])
        rows.append([*cells, *theirs])
    return _markdown([*header, *sources], rows)


def _published_settings() -> str:
    """A row for each run with published settings, and what was published of its method."""
    rows = []
    for _, row in with_published_settings().iterrows():
        told, start = "yes" if row["told"] else "no", {"glorot": "Glorot's", "torch": "PyTorch's"}[row["start"]]
        rows.append([f"`{row['method']}`", told, row["pixels"], start, *_four(row, ["ACC", SOURCES[0]])])
    return _markdown(["method", "told the task", "pixels", "first weights", "ACC", SOURCES[0]], rows)


def _methods_in_short() -> str:
    """A row for each method, not told the task and told it: ten tasks, in a larger network, a hundred; its size."""
    tables = [
        table.set_index(["method", "told"], verify_integrity=True)
        for table in (compared(), compared_with_published(), compared_on_a_hundred())
    ]
    rows = []
    for method in tables[0].index.unique("method"):
        cells = [_in_short(table, (method, told)) for table in tables for told in (False, True)]
        size = tables[-1].loc[(method, True)]
        rows.append([f"`{method}`", *cells, f"{size['parameters']:,}", _stored(size)])
    columns = [f"{tasks}{told}" for tasks in ("ten", "larger, ten", "hundred") for told in (", not told", ", told")]
    return _markdown(["method", *columns, "learned", "kept"], rows)


def _in_short(table: pd.DataFrame, key: tuple[str, bool]) -> str:
    """A method's accuracy, in brackets what others published; empty where it was not run."""
    if key not in table.index:
        return ""
    row = table.loc[key]
    theirs = ", ".join(f"{row[source]:.3f}" for source in SOURCES if not pd.isna(row.get(source)))
    return f"{row['ACC']:.3f}" + (f" ({theirs})" if theirs else "")


def _without_oracle() -> str:
    rows = []
    for run, table in without_oracle("without_oracle").groupby("run", sort=False):
        for score in ("logsumexp", "entropy", "mean_image"):
            one, three, ten = (table.loc[(run, score, together)] for together in (1, 3, 10))
            right = [one["task_right"], three["class_right"], ten["class_right"], one["told"]]
            cells = [f"{one['class_right']:.4f}{_spread(one['sd'])}", *(f"{value:.4f}" for value in right)]
            rows.append([f"`{run}`", f"{one['tasks']:,.0f}", f"`{score}`", *cells])
    header = ["run", "tasks", "score", "digit right, one image", "task right, one image", "digit right, three"]
    return _markdown([*header, "ten", "told"], rows)


def _split() -> str:
    rows = []
    for (target, method), row in split().iterrows():
        cells = []
        for of in SCENARIOS:
            theirs = row.get(f"published {of}")
            found = "" if pd.isna(row[of]) else f"{row[of]:.4f}{_spread(row[f'{of} sd'])}"
            cells.append(found + ("" if pd.isna(theirs) else f" ({theirs:.4f})"))
        rows.append([target, f"`{method}`", *cells, f"{row['parameters']:,.0f}", _stored(row)])
    return _markdown(["target", "method", *SCENARIOS.values(), "parameters", "stored"], rows)


def _step_cost() -> str:
    names = {
        "original": "the original's loop over tasks",
        "hypnettorch": "hypnettorch (PyTorch)",
        "direct": "all weights generated in one product",
        "ours": "**ours**, the cheaper of two exact forms",
        "bfloat16": "ours with `precision: bfloat16`",
        "rows 4000 written": "784-4000-10 in rows, all weights written",
        "rows 4000": "**the same, its first layer never written**",
        "rows 1000": "784-1000-10 in rows, likewise",
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
    "accuracy and size": _by_size,
    "thousands of tasks": _thousands,
    "methods in short": _methods_in_short,
    "methods on ten tasks": lambda: _methods(compared()),
    "methods beside published ones": lambda: _methods(compared_with_published()),
    "published settings": _published_settings,
    "methods on a hundred tasks": lambda: _methods(compared_on_a_hundred()),
    "nobody names the task": _without_oracle,
    "split": _split,
    "the cost of a step": _step_cost,
    "parameters": _parameters,
}


def _sizes(row: pd.Series) -> list[str]:
    """Parameters in all and for each task, as text."""
    return [f"{row[name]:,.0f}" for name in ("parameters", "per_task")]


def _stored(row: pd.Series | dict) -> str:
    """How many numbers are kept beside the parameters, as text; joint training keeps all images, however many."""
    return "all images" if pd.isna(row["stored"]) else f"{row['stored']:,.0f}"


def _spread(deviation: float) -> str:
    """What follows a mean: its standard deviation, or nothing where there was one run."""
    return "" if pd.isna(deviation) else f" ± {deviation:.4f}"


def _four(row: pd.Series, names: list) -> list[str]:
    """Values of a row as text, with four decimals."""
    return [f"{row[name]:.4f}" for name in names]


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [header, ["---"] * len(header), *rows])
