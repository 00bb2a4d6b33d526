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
import psutil
from tqdm import tqdm

from experiments.build import build
from experiments.environment import absolute_paths
from experiments.parameters import Experiment, ExperimentError
from experiments.queue import plan
from experiments.store import separate_files, shown, write_atomically
from hypernet_lib.hypernet import glorot
from hypernet_lib.quiet import tf
from hypernet_lib.sizes import count_weights
from hypernet_lib.targets import Target
from hypernet_lib.tasks import DataError
from hypernet_lib.training import TrainingError


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


def train_separately(experiment: Experiment) -> pd.DataFrame:
    """Learn the tasks of an experiment, each with a network of its own: columns task, accuracy.

    Images, permutations, batches, steps (the same for every task), rates and Adam are the experiment's. Weight decay,
    memory loss and the embedding's own rate are left out: they act on the hypernetwork, and here is none. Raises
    ExperimentError where the networks do not fit into RAM, TrainingError where one diverges.
    """
    need = 3 * 4 * experiment.n_tasks_to_learn * experiment.sizes.n_weights  # drawn, as a variable, and on the way
    if need > (has := psutil.virtual_memory().total):
        raise ExperimentError(
            f"{experiment.run_name}: n_tasks_to_learn: {experiment.n_tasks_to_learn} separate networks need about "
            f"{need / 2**30:,.1f} GiB of RAM, this machine has {has / 2**30:,.1f} GiB; expected fewer, or smaller ones"
        )
    none = {"l2_regularization": 0.0, "l2_memory_regularization": 0.0, "embedding_rate_factor": 1.0}
    learner = build(experiment.model_copy(update=none), SeparateNetworks).learner
    n_tasks = experiment.n_tasks_to_learn
    for task in tqdm(range(n_tasks), desc=experiment.run_name, unit="task"):
        learner.learn(task, iterations=experiment.iters_per_task)
    return pd.DataFrame([(task, learner.evaluate(task)) for task in range(n_tasks)], columns=["task", "accuracy"])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE", help="experiments")
    parser.add_argument("--only", nargs="+", action="extend", default=[], metavar="RUN_NAME", help="only these")
    options = parser.parse_args(arguments)
    os.environ.update(absolute_paths())
    try:
        for experiment in plan(options.files, options.only, folders=None, jobs=None):
            table = train_separately(experiment)
            path, parameters = separate_files(experiment)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, table.to_csv(index=False, float_format="%.6f"))
            write_atomically(parameters, experiment.to_yaml())
            print(f"{experiment.run_name}: mean accuracy {table['accuracy'].mean():.4f}, written to {shown(path)}")
    except (ExperimentError, DataError) as error:
        print(f"wrong input:\n{error}", file=sys.stderr)
        return 2
    except TrainingError as error:
        print(f"{experiment.run_name} failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
