"""Checkpoints: everything a run needs to go on after its last finished task, written after each."""

from __future__ import annotations

import json
from pathlib import Path

from hypernet_lib.hypernet import Hypernetwork
from hypernet_lib.quiet import tf


class Checkpoints:
    """The last two checkpoints of a run, in `folder`. Each is there whole or not at all, whenever the process ends.

    A checkpoint holds the shared variables, the embeddings of the learned tasks, and a state of the caller's: a
    dictionary that JSON can write. Adam's moments are not in it, since they start afresh with every task.
    """

    def __init__(self, folder: Path, hypernet: Hypernetwork):
        self._hypernet = hypernet
        embedding_dim = hypernet.task_embeddings.shape[1]
        self._embeddings = tf.Variable(tf.zeros([0, embedding_dim]), shape=[None, embedding_dim])
        self._state = tf.Variable("", dtype=tf.string)
        shared = {f"shared_{i}": variable for i, variable in enumerate(hypernet.shared_variables)}
        self._checkpoint = tf.train.Checkpoint(embeddings=self._embeddings, state=self._state, **shared)
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=2)

    def save(self, learned: int, state: dict) -> None:
        """Keep the hypernetwork as it is after `learned` tasks."""
        # Only learned embeddings: a run made longer later finds its own initial ones for the tasks to come.
        self._embeddings.assign(self._hypernet.task_embeddings[:learned])
        self._state.assign(json.dumps(state))
        self._manager.save(checkpoint_number=learned)

    def restore(self) -> dict | None:
        """Set the hypernetwork to the newest checkpoint that is whole, and return its state; None where there is none.

        A damaged checkpoint is named in a printed line, and the one before it is used.
        """
        for path in reversed(self._manager.checkpoints):
            try:
                reader = tf.train.load_checkpoint(path)
                for name in reader.get_variable_to_shape_map():
                    reader.get_tensor(name)  # reads all of it, sums checked, before anything is changed
            except Exception as error:  # TensorFlow raises nearly anything for a damaged file
                print(f"checkpoint {Path(path).name} is damaged ({type(error).__name__}): trying the one before")
                continue
            self._checkpoint.read(path).assert_existing_objects_matched()
            self._hypernet.task_embeddings[: tf.shape(self._embeddings)[0]].assign(self._embeddings)
            return json.loads(self._state.numpy())
        return None
