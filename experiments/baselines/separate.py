"""Separate networks: a target network of its own for each task, trained by the same code as the hypernetwork.

    python -m experiments.baselines.separate params/separate.yaml

Nothing is shared, so nothing is forgotten, and every task costs the weights of one more target network.
"""

from __future__ import annotations

import argparse
import os
import sys

import numpy as np
import pandas as pd
from tqdm import tqdm

from experiments.build import build
from experiments.environment import absolute_paths
from experiments.parameters import Experiment, ExperimentError
from experiments.queue import plan
from experiments.store import run_folder, shown, write_atomically
from hypernet_lib.hypernet import glorot
from hypernet_lib.quiet import tf
from hypernet_lib.sizes import count_weights
from hypernet_lib.targets import Target
from hypernet_lib.tasks import DataError


class SeparateNetworks(tf.Module):
    """A `WeightGenerator` that generates nothing: a task's embedding [P] is its target network's weights themselves.

    Variables:
        task_embeddings [N, P]: kernels [inputs, units] as Glorot and Bengio draw them, everything else zero
    """

    shared_variables, head = [], None

    def __init__(self, target: Target, n_tasks: int, seed: int = 0):
        super().__init__()
        initial = np.zeros([n_tasks, count_weights(target.shapes)], np.float32)
        for task in range(n_tasks):
            random, start = np.random.default_rng([seed, 5, task]), 0
            for shape in target.shapes:
                size = int(np.prod(shape))
                if len(shape) == 2:
                    initial[task, start : start + size] = glorot(random, *shape).reshape(-1)
                start += size
        self.task_embeddings = tf.Variable(initial)

    def weights(self, embedding: tf.Tensor) -> tf.Tensor:
        """The flat weights [P] for an "embedding" [P]: the same."""
        return tf.convert_to_tensor(embedding)


def train_separately(experiment: Experiment, n_tasks: int) -> pd.DataFrame:
    """Learn the first tasks of an experiment, each with a network of its own: columns task, accuracy.

    Images, permutations, batches, steps (the same for every task), rates and Adam are the experiment's. Weight decay,
    memory loss and the embedding's own rate are left out: they act on the hypernetwork, and here is none.
    """
    none = {"l2_regularization": 0.0, "l2_memory_regularization": 0.0, "embedding_rate_factor": 1.0}
    learner = build(experiment.model_copy(update={"n_tasks_to_learn": n_tasks, **none}), SeparateNetworks).learner
    for task in tqdm(range(n_tasks), desc=experiment.run_name, unit="task"):
        learner.learn(task, iterations=experiment.iters_per_task)
    return pd.DataFrame([(task, learner.evaluate(task)) for task in range(n_tasks)], columns=["task", "accuracy"])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE", help="experiments")
    parser.add_argument("--only", nargs="+", action="extend", default=[], metavar="RUN_NAME", help="only these")
    parser.add_argument("--tasks", type=int, default=10, metavar="N", help="their first N tasks (default: 10)")
    options = parser.parse_args(arguments)
    if options.tasks < 1:
        parser.error(f"argument --tasks: got {options.tasks}; expected at least 1")
    os.environ.update(absolute_paths())
    try:
        for experiment in plan(options.files, options.only, folders=None, jobs=None):
            table = train_separately(experiment, min(options.tasks, experiment.n_tasks_to_learn))
            path = run_folder(experiment).with_name("separate") / f"{experiment.run_name}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, table.to_csv(index=False, float_format="%.6f"))
            print(f"{experiment.run_name}: mean accuracy {table['accuracy'].mean():.4f}, written to {shown(path)}")
    except (ExperimentError, DataError) as error:
        print(f"wrong input:\n{error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
