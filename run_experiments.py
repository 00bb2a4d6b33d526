"""Carry out the experiments of YAML files: one papermill execution of notebooks/run.ipynb for each.

    python run_experiments.py                                        a hundred tasks, params/hundred_tasks.yaml
    python run_experiments.py params/quickstart.yaml                 three small ones, in about a minute
    python run_experiments.py --list                                 how far each of them is
    python run_experiments.py params/sweep.yaml --jobs 2             two at a time, each on half of the cores
    python run_experiments.py params/thousands.yaml --set seed=1 --set run_name=thousands_s1      another seed

Exit status: 0 when every run finished, 1 when one failed, 2 for wrong input (then nothing was started or written),
130 when Ctrl-C stopped it. A run that was interrupted goes on after its last finished task.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

import pandas as pd

from experiments.environment import absolute_paths, check_project
from experiments.files import parse_value
from experiments.parameters import ExperimentError
from experiments.queue import DEFAULT_FILE, plan, run_all
from experiments.store import PROJECT, run_folder, shown
from experiments.tables import overview, runs_table


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", default=[DEFAULT_FILE], metavar="FILE", help="experiments")
    parser.add_argument("--only", nargs="+", action="extend", default=[], metavar="RUN_NAME", help="only these runs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a parameter for every run")
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="N runs side by side, each on its share of cores"
    )
    parser.add_argument("--dry-run", action="store_true", help="check and print the experiments, start none")
    parser.add_argument("--list", action="store_true", help="show how far each experiment is, start none")
    parser.add_argument("--overwrite", action="store_true", help="replace runs that are there already")
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):  # a name that a terminal cannot show ends no command
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    os.environ.update(absolute_paths())  # the runs' processes are in another folder
    try:
        check_project(Path(__file__).resolve())
        jobs = None if options.list else options.jobs
        folders = None if options.dry_run or options.list else "replace" if options.overwrite else "go on"
        experiments = plan(options.files, options.only, _settings(options.set), folders, jobs)
    except ExperimentError as error:
        print(f"wrong input, nothing was started:\n{error}", file=sys.stderr)
        return 2
    if options.list:
        _print(overview(experiments))
        return 0
    for note in [note for experiment in experiments for note in experiment.notes]:
        print(f"note: {note}")
    if options.dry_run:
        print("---\n".join(experiment.to_yaml() for experiment in experiments), end="")
        return 0
    outcomes = []
    try:
        for outcome in run_all(experiments, options.overwrite, options.jobs):
            outcomes.append(outcome)
            if outcome.was_finished:
                print(f"{outcome.experiment.run_name} is finished already, with these parameters (--overwrite: again)")
    except KeyboardInterrupt:
        command = "the same command without --overwrite" if options.overwrite else "the same command"
        print(f"\nstopped; {command} goes on after the last finished task", file=sys.stderr)
        _report(outcomes, experiments)
        return 130
    _report(outcomes, experiments)
    return 0 if len(outcomes) == len(experiments) and not any(o.error for o in outcomes) else 1


def _settings(pairs: list[str]) -> dict[str, object]:
    settings = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise ExperimentError(f"--set {pair}: expected KEY=VALUE, such as --set seed=1")
        settings[key] = parse_value(value)
    return settings


def _report(outcomes: list, experiments: list) -> None:
    """The table of finished runs, where their files are, and the runs that failed; all in the files' order."""
    outcomes = sorted(outcomes, key=lambda outcome: experiments.index(outcome.experiment))
    finished = [o.experiment for o in outcomes if not o.error]
    if finished:
        print()
        _print(runs_table(map(run_folder, finished))[["ACC", "min", "forgetting", "parameters", "per_task", "seconds"]])
        print()
        for experiment in finished:
            folder = run_folder(experiment)
            files = [name for name in ("run.ipynb", "metrics.csv", "summary.json") if (folder / name).exists()]
            print(f"{experiment.run_name}: {shown(folder)}/ has {', '.join(files)}")
        for folder in dict.fromkeys(run_folder(experiment).parent for experiment in finished):
            logdir = shlex.quote(shown(folder) if Path.cwd() == PROJECT else str(folder))
            print(f"TensorBoard: tensorboard --logdir {logdir}")
    failed = [(o.experiment.run_name, o.error) for o in outcomes if o.error]
    for name, error in failed:
        print(f"{name} failed: {error}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {len(outcomes)} runs failed: {', '.join(name for name, _ in failed)}", file=sys.stderr)


def _print(table: pd.DataFrame) -> None:
    print(table.reset_index().to_string(index=False, na_rep=""))


if __name__ == "__main__":
    sys.exit(main())
