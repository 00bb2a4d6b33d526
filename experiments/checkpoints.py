"""What a run has learned: kept as it goes, and loaded again, to go on or to be used (`load_run`)."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.build import build
from experiments.parameters import Experiment, ExperimentError
from experiments.store import PROJECT, checkpoint_numbers, kept_experiment, replacing, shown
from hypernet_lib.quiet import tf
from hypernet_lib.targets import Target
from hypernet_lib.tasks import Tasks
from hypernet_lib.training import Learner, WeightGenerator

IN_CHECKPOINT = "embeddings/.ATTRIBUTES/VARIABLE_VALUE"  # where earlier versions kept all embeddings


class Checkpoints:
    """The last two checkpoints of a run, in `<folder>/checkpoints`, and the embeddings of its finished tasks.

    A checkpoint holds the shared variables, the learner's state, and how far the run is: a dictionary that JSON can
    write. Adam's moments are not in it, since they start afresh with every task. Embeddings never change again: each is
    appended once to the file `embeddings`, float32 [N, E], whose check sum each checkpoint knows. Whenever the process
    ends, a checkpoint is there whole or not at all. They are found by listing the folder: no other file says which
    there are.
    """

    def __init__(self, folder: Path, learner: Learner):
        self._hypernet = learner.hypernet
        self._progress = tf.Variable("", dtype=tf.string)
        self._checkpoint = tf.train.Checkpoint(progress=self._progress, **_variables(learner))
        self._run, self._folder = folder, folder / "checkpoints"
        self._embeddings = self._folder / "embeddings"
        self._kept, self._sum = 0, 0  # how many embeddings are in their file, and the check sum of those

    def save(self, learned: int, progress: dict) -> None:
        """Keep the network as it is after `learned` tasks."""
        self._folder.mkdir(parents=True, exist_ok=True)
        new = tf.gather(self._hypernet.task_embeddings, tf.range(self._kept, learned)).numpy()  # [1, E]
        self._embeddings.touch()
        with open(self._embeddings, "r+b") as file:
            # What is there beyond is of a task that was cut off before its checkpoint was written.
            file.truncate(self._kept * new.shape[1] * new.itemsize)
            file.seek(0, os.SEEK_END)
            file.write(new.tobytes())
            file.flush()
            os.fsync(file.fileno())
        self._kept, self._sum = learned, zlib.crc32(new.tobytes(), self._sum)
        self._progress.assign(json.dumps({**progress, "sum_of_embeddings": self._sum}))
        self._checkpoint.write(str(self._folder / f"ckpt-{learned}"))  # its index comes last, once all else is there
        for path in self._folder.glob(f"ckpt-{learned}.*"):
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
        for number in checkpoint_numbers(self._run)[2:]:
            for path in sorted(self._folder.glob(f"ckpt-{number}.*"), reverse=True):  # the index first
                path.unlink()

    def restore(self) -> dict | None:
        """Set the network to the newest checkpoint that is whole; returns its progress, None where there is none.

        A damaged checkpoint is named in a printed line, and the one before it is used.
        """
        for number in checkpoint_numbers(self._run):
            path = str(self._folder / f"ckpt-{number}")
            try:
                reader = tf.train.load_checkpoint(path)
                for name in reader.get_variable_to_shape_map():
                    reader.get_tensor(name)  # reads all of it, sums checked, before anything is changed
                progress = json.loads(reader.get_tensor("progress/.ATTRIBUTES/VARIABLE_VALUE"))
                if earlier := reader.has_tensor(IN_CHECKPOINT):
                    embeddings = reader.get_tensor(IN_CHECKPOINT)
                else:
                    embeddings = self._read_embeddings(number, progress.pop("sum_of_embeddings"))
            except Exception as error:  # TensorFlow raises nearly anything for a damaged file
                print(
                    f"checkpoint {Path(path).name} is damaged ({type(error).__name__}: {error}): trying the one before"
                )
                continue
            self._checkpoint.read(path).assert_existing_objects_matched()
            self._hypernet.task_embeddings[:number].assign(embeddings)
            self._kept, self._sum = (0, 0) if earlier else (number, zlib.crc32(embeddings.tobytes()))
            return progress
        return None

    def _read_embeddings(self, n_tasks: int, expected: int) -> np.ndarray:
        """The first embeddings [n_tasks, E], as they were when they had that check sum."""
        length = self._hypernet.task_embeddings.shape[1]
        found = np.fromfile(self._embeddings, np.float32, n_tasks * length)
        if zlib.crc32(found.tobytes()) != expected:
            raise ValueError(f"{self._embeddings.name} has not the {n_tasks} embeddings that were written")
        return found.reshape(n_tasks, length)


def _variables(learner: Learner) -> dict[str, tf.Variable]:
    """All variables but the task embeddings, by their names in files: what tasks share, and the learner's state."""
    groups = {"shared": learner.hypernet.shared_variables, "state": learner.state}
    return {f"{name}_{i}": variable for name, variables in groups.items() for i, variable in enumerate(variables)}


def write_weights(file: Path, learner: Learner, n_learned: int) -> None:
    """Keep what a finished run has learned in one file that NumPy reads: all variables, the learned embeddings."""
    others = {name: variable.numpy() for name, variable in _variables(learner).items()}
    with replacing(file) as opened:
        np.savez(opened, task_embeddings=learner.hypernet.task_embeddings[:n_learned].numpy(), **others)


def _read_weights(file: Path, learner: Learner) -> int:
    """Set the learner's variables to what the file has; returns how many tasks are learned. NumPy checks the sums."""
    with np.load(file) as kept:
        arrays = dict(kept)
    n_learned = len(arrays["task_embeddings"])
    for name, variable in _variables(learner).items():
        variable.assign(arrays[name])
    learner.hypernet.task_embeddings[:n_learned].assign(arrays["task_embeddings"])
    return n_learned


class LoadedRun(NamedTuple):
    """A run's network, to be used: by `learner.logits(images, task, permutation)`, or `learner.evaluate(task)`."""

    experiment: Experiment
    tasks: Tasks
    target: Target
    hypernet: WeightGenerator
    learner: Learner
    n_learned: int  # tasks; those are 0 to n_learned - 1


def load_run(folder: str | Path) -> LoadedRun:
    """The network of a finished run from its `weights.npz`, or of another as its newest checkpoint has it.

    Nothing in its folder is changed.

    A relative folder is counted from the project's. Raises ExperimentError where there is no such run, where it has
    kept no weights, as those in git, or where they cannot be read; DataError where its data set cannot be had.
    """
    folder = PROJECT / Path(folder).expanduser()
    experiment = kept_experiment(folder)
    if experiment is None:
        raise ExperimentError(f"{shown(folder)}: no run is there, or its experiment.yaml cannot be read")
    again = f"to make them: python run_experiments.py {shown(folder / 'experiment.yaml')} --set logdir=FOLDER"
    is_whole = (folder / "weights.npz").exists()
    if not is_whole and not checkpoint_numbers(folder):
        raise ExperimentError(f"{shown(folder)} has kept no weights, only its results; {again}")
    tasks, target, learner = build(experiment)
    try:
        if is_whole:
            n_learned = _read_weights(folder / "weights.npz", learner)
        else:
            n_learned = Checkpoints(folder, learner).restore()["learned"]
    except Exception as error:  # of a damaged file nearly anything
        raise ExperimentError(
            f"{shown(folder)}: its weights cannot be read ({type(error).__name__}); {again}"
        ) from error
    learner.restored(n_learned)
    return LoadedRun(experiment, tasks, target, learner.hypernet, learner, n_learned)
