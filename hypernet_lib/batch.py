"""Many experiments, one papermill execution of notebook 03 for each."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import psutil

from hypernet_lib.execution import Execution, Outcome, available_cores
from hypernet_lib.experiment import Experiment, ExperimentError, nearest
from hypernet_lib.experiment_files import load_experiments
from hypernet_lib.folders import RESULTS, clash, is_finished, read_metrics, read_summary, run_folder, state
from hypernet_lib.live import Live


def plan(
    files: Iterable[str | Path],
    only: Iterable[str] = (),
    settings: dict[str, object] | None = None,
    overwrite: bool = False,
    jobs: int | None = 1,
) -> list[Experiment]:
    """The experiments of the files, in their order, all of them checked and none started.

    `only` keeps the runs of those names; `settings` is laid over every experiment; `jobs` of them are to run side by
    side on this machine (None: elsewhere). Raises ExperimentError with every problem found: broken files, wrong
    parameters, a run name given twice or unknown, a run folder that another run has taken, less memory or fewer cores
    than it takes.
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
    if jobs is not None and not problems:
        problems += too_large(chosen, jobs)
    if not overwrite:
        problems += [problem for e in chosen if (problem := clash(e))]
    if problems:
        raise ExperimentError("\n".join(problems))
    return chosen


def too_large(experiments: list[Experiment], jobs: int = 1) -> list[str]:
    """The sentences that refuse experiments that need more memory, or cores, than this machine has."""
    has, cores = psutil.virtual_memory().total / 2**30, available_cores()
    needs = {experiment.run_name: experiment.memory_need() / 2**30 for experiment in experiments}
    problems = [
        f"{name}: needs about {need:,.1f} GiB of memory, this machine has {has:,.1f} GiB; lower "
        f"innernet_all_dims, hypernet_hidden_dims or n_tasks_to_learn, or raise num_chunks"
        for name, need in needs.items()
        if need > has
    ]
    together = sum(sorted(needs.values())[-jobs:])
    if not 1 <= jobs <= cores:
        problems.append(f"--jobs {jobs}: expected 1 to {cores}, the cores that there are")
    elif together > has and not problems:
        problems.append(
            f"--jobs {jobs}: the {jobs} largest together need about {together:,.1f} GiB of memory, "
            f"this machine has {has:,.1f} GiB; expected fewer jobs"
        )
    return problems


def run_all(experiments: list[Experiment], overwrite: bool = False, jobs: int = 1) -> Iterator[Outcome]:
    """Carry out the experiments, `jobs` side by side; a failure is an outcome, and the others run all the same.

    Each run has its share of the cores, and no more. A run that is finished already, with these very parameters, is
    not done again unless `overwrite` says so, and one that was interrupted goes on after its last finished task.
    Outcomes come as the runs end. Whatever ends this, Ctrl-C included, ends every kernel first.
    """
    cores, executions = max(1, available_cores() // jobs), []
    for experiment in experiments:
        if is_finished(experiment) and not overwrite:
            yield Outcome(experiment, read_summary(run_folder(experiment)), was_finished=True)
        else:
            executions.append(Execution(experiment, cores, overwrite))
    live, waiting, running = Live(executions), executions.copy(), []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(waiting.pop(0))
                running[-1].start()
            time.sleep(0.2)
            ended = [e for e in running if not e.is_alive()]
            live.show()
            for execution in ended:
                running.remove(execution)
                yield execution.outcome
    finally:
        for execution in running:
            execution.stop()
        live.close()


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
        rows.append({**row, **{column: summary.get(column, "") for column in RESULTS}})
    return pd.DataFrame(rows)
