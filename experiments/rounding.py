"""How few bits does a number of a task embedding need? Rounds those of a finished run, and tests every task again.

    python -m experiments.rounding outputs/best-s0

The accuracies go to `rounded.csv` in the run's folder (columns bits, task, accuracy); its weights stay as they are.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.checkpoints import load_run
from experiments.environment import absolute_paths
from experiments.parameters import ExperimentError
from experiments.store import shown, write_atomically
from hypernet_lib.datasets import DataError

BITS = (8, 6, 4, 3, 2)


def round_to_bits(numbers: np.ndarray, bits: int) -> np.ndarray:
    """The nearest of 2^bits - 1 evenly spaced values from -a to a, where a is the largest absolute value.

    So `bits` for each number and one float32, a, for all of them say what the result is. `bits` is at least 2.
    """
    levels = 2 ** (bits - 1) - 1  # on either side of zero
    step = np.abs(numbers).max() / levels or 1  # all zero: nothing to round
    return (np.round(numbers / step) * step).astype(numbers.dtype)


def measure(folder: Path) -> pd.DataFrame:
    """Accuracies of all tasks of a finished run, its task embeddings rounded, each task's for itself.

    Columns bits, task, accuracy. Raises ExperimentError where there is no finished run with its weights.
    """
    if not (folder / "summary.json").exists():
        raise ExperimentError(f"{shown(folder)}: no finished run is there")
    run = load_run(folder)
    if not run.experiment.sizes.per_task:
        raise ExperimentError(f"{shown(folder)}: its method, {run.experiment.method}, learns no number for each task")
    learned = run.hypernet.task_embeddings.numpy()
    rows = []
    for bits in BITS:
        run.hypernet.task_embeddings.assign([round_to_bits(embedding, bits) for embedding in learned])
        run.learner.restored(run.n_learned)
        rows += [(bits, task, run.learner.evaluate(task)) for task in range(run.n_learned)]
    return pd.DataFrame(rows, columns=["bits", "task", "accuracy"])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="of a finished run with its weights")
    options = parser.parse_args(arguments)
    os.environ.update(absolute_paths())
    try:
        for folder in map(Path.absolute, options.folders):
            table = measure(folder)
            write_atomically(folder / "rounded.csv", table.to_csv(index=False, float_format="%.6f"))
            means = table.groupby("bits", sort=False)["accuracy"].mean()
            print(f"{shown(folder)}: " + ", ".join(f"{bits} bits {mean:.4f}" for bits, mean in means.items()))
    except (ExperimentError, DataError) as error:
        print(f"wrong input:\n{error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
