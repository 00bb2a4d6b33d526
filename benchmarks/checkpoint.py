"""What part of a run's time its checkpoints take: python benchmarks/checkpoint.py [FOLDER OF A RUN].

Saves a hypernetwork of the run's size, with as many learned tasks and records, again and again, and compares the time
of a save with the seconds that the run took for a task. The default is the committed run with a hundred tasks.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from experiments.build import build
from experiments.checkpoints import Checkpoints
from experiments.files import load_experiments
from experiments.store import PROJECT, read_metrics, read_summary


def main(run="outputs/big_network_big_regularization"):
    (e,) = load_experiments(PROJECT / run / "experiment.yaml")
    learner = build(e).learner
    records = read_metrics(run).to_numpy().tolist()
    progress = {"learned": e.n_tasks_to_learn, "seconds": 0.0, "records": records, "losses": []}
    seconds = []
    for _ in range(10):
        with tempfile.TemporaryDirectory() as folder:
            checkpoints = Checkpoints(Path(folder), learner)
            checkpoints.save(e.n_tasks_to_learn - 1, progress)
            start = time.perf_counter()
            checkpoints.save(e.n_tasks_to_learn, progress)
            seconds.append(time.perf_counter() - start)
    save, task = statistics.median(seconds), read_summary(run)["seconds"] / e.n_tasks_to_learn
    print(
        json.dumps(
            {"run": run, "save_s": round(save, 4), "task_s": round(task, 2), "percent": round(100 * save / task, 2)}
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
