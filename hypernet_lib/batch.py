"""Many experiments, one papermill execution of notebook 03 for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import psutil

from hypernet_lib.execution import Outcome, run_one
from hypernet_lib.experiment import Experiment, ExperimentError, nearest
from hypernet_lib.experiment_files import load_experiments
from hypernet_lib.folders import clash, is_finished, read_metrics, read_summary, run_folder, state


def plan(
    files: Iterable[str | Path],
    only: Iterable[str] = (),
    settings: dict[str, object] | None = None,
    overwrite: bool = False,
) -> list[Experiment]:
    """The experiments of the files, in their order, all of them checked and none started.

    `only` keeps the runs of those names; `settings` is laid over every experiment. Raises ExperimentError with every
    problem found: broken files, wrong parameters, a run name given twice or unknown, a run folder that another
    run, or an unfinished one, has taken.
    """
    keys = list(Experiment.model_fields)
    unknown = [f"--set {key}: unknown key{nearest(key, keys)}" for key in settings or {} if key not in keys]
    if unknown:
        raise ExperimentError("\n".join(unknown))
    experiments, origin, problems = [], {}, []
    for file in files:
        try:
            loaded = load_experiments(file, settings)
        except ExperimentError as error:
            problems.append(str(error))
            continue
        for experiment in loaded:
            folder = run_folder(experiment)
            if folder in origin:
                problems.append(f"{file}: run_name: {experiment.run_name!r} is given twice (also in {origin[folder]})")
            origin.setdefault(folder, file)
            experiments.append(experiment)
    names = [experiment.run_name for experiment in experiments]
    if not problems:
        problems += [f"--only {name}: no such run{nearest(name, names)}" for name in only if name not in names]
    chosen = [e for e in experiments if not only or e.run_name in only]
    problems += [problem for e in chosen if (problem := too_large(e))]
    if not overwrite:
        problems += [problem for e in chosen if (problem := clash(e))]
    if problems:
        raise ExperimentError("\n".join(problems))
    return chosen


def too_large(experiment: Experiment) -> str | None:
    """The sentence that refuses an experiment that needs more memory than this machine has."""
    need, has = experiment.memory_need() / 2**30, psutil.virtual_memory().total / 2**30
    if need <= has:
        return None
    return (
        f"{experiment.run_name}: needs about {need:,.1f} GiB of memory, this machine has {has:,.1f} GiB; lower "
        f"innernet_all_dims, hypernet_hidden_dims or n_tasks_to_learn, or raise num_chunks"
    )


def run_all(experiments: list[Experiment], overwrite: bool = False) -> Iterator[Outcome]:
    """Carry out the experiments one after the other; a failure is an outcome, and the next one starts all the same.

    A run that is finished already, with these very parameters, is not done again unless `overwrite` says so, and one
    that was interrupted goes on after its last finished task.
    """
    for experiment in experiments:
        if is_finished(experiment) and not overwrite:
            yield Outcome(experiment, read_summary(run_folder(experiment)), was_finished=True)
        else:
            yield run_one(experiment, overwrite)


def table(outcomes: list[Outcome]) -> pd.DataFrame:
    """One row for each finished run: ACC, min, forgetting, compression and seconds."""
    columns = ["ACC", "min", "forgetting", "compression", "seconds"]
    finished = [o.summary for o in outcomes if o.summary]
    return pd.DataFrame([{"run": s["run_name"], **{c: s[c] for c in columns}} for s in finished])


def overview(experiments: list[Experiment]) -> pd.DataFrame:
    """One row for each experiment: its state, how many tasks it has learned and, once finished, what it measured."""
    rows = []
    for experiment in experiments:
        folder, now = run_folder(experiment), state(experiment)
        summary = read_summary(folder) if now == "finished" else {}
        learned = 0
        if now != "another run is there" and (folder / "metrics.csv").exists():
            learned = read_metrics(folder)["learned"].max()
        row = {"run": experiment.run_name, "state": now, "tasks": f"{learned} of {experiment.n_tasks_to_learn}"}
        rows.append({**row, **{column: summary.get(column, "") for column in ["ACC", "forgetting", "seconds"]}})
    return pd.DataFrame(rows)
