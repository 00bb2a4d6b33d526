"""The baseline of separate networks: each is trained alone, by the learner's own steps, and no other is touched."""

import re

import numpy as np
import pandas as pd
import pytest

from experiments.baselines.separate import SeparateNetworks, main
from experiments.files import load_experiments
from hypernet_lib.quiet import tf
from hypernet_lib.targets import MLP
from hypernet_lib.tasks import PermutedTasks
from hypernet_lib.training import Learner, TrainingError

EXPERIMENT = """
run_name: digits
logdir: {}
dataset: digits
innernet_all_dims: [64, 32, 10]
n_tasks_to_learn: 3
batch_size: 64
iters_per_task: 300
learning_rate: 3e-3
"""


def test_a_step_is_adams_first_step_on_the_tasks_own_images_and_moves_no_other_network():
    tasks, target = PermutedTasks("digits"), MLP([64, 8, 10])
    none = {"l2_regularization": 0, "l2_memory_regularization": 0}
    networks = SeparateNetworks(target, n_tasks=3)
    learner = Learner(networks, target, tasks, batch_size=16, learning_rate=1e-2, **none)
    before = networks.task_embeddings.numpy()
    n_images = tf.constant(len(tasks.train_labels))
    batch = learner.batch_order(tf.constant(1), tf.constant(1), n_images)[:16].numpy()
    weights = tf.constant(before[1])
    with tf.GradientTape() as tape:
        tape.watch(weights)
        logits = target(weights, tf.constant(tasks.train_images[batch][:, tasks.permutation(1)]))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tasks.train_labels[batch], logits)
        loss = tf.reduce_mean(losses)
    g = tape.gradient(loss, weights).numpy()
    learner.learn(1, iterations=1)
    moved = networks.task_embeddings.numpy() - before
    np.testing.assert_allclose(moved[1], -1e-2 * g / (np.abs(g) + 1e-7 / np.sqrt(1 - 0.999)), atol=1e-5)
    assert not moved[[0, 2]].any()


def test_each_starts_from_other_weights_in_glorots_bounds_with_biases_zero():
    networks = SeparateNetworks(MLP([64, 8, 10]), n_tasks=2)
    first, second = networks.task_embeddings.numpy()
    assert (first[: 64 * 8] != second[: 64 * 8]).all()
    assert 0.9 < np.abs(first[: 64 * 8]).max() / np.sqrt(6 / (64 + 8)) <= 1
    assert not first[64 * 8 : 64 * 8 + 8].any() and not first[-10:].any()


def test_weight_decay_and_memory_without_a_head_are_refused_in_words():
    tasks, target = PermutedTasks("digits"), MLP([64, 8, 10])
    with pytest.raises(ValueError, match="SeparateNetworks has no head: expected l2_regularization and l2_memory_"):
        Learner(SeparateNetworks(target, n_tasks=3), target, tasks)


def test_the_command_writes_what_it_prints(tmp_path, capsys):
    file = tmp_path / "experiment.yaml"
    file.write_text(EXPERIMENT.format(tmp_path))
    assert main([str(file)]) == 0
    table = pd.read_csv(tmp_path / "digits.csv")
    assert (tmp_path / "digits.yaml").read_text() == load_experiments(file)[0].to_yaml()
    assert list(table["task"]) == [0, 1, 2] and table["accuracy"].min() > 0.9
    assert re.search(r"mean accuracy (0\.\d+)", capsys.readouterr().out)[1] == f"{table['accuracy'].mean():.4f}"


@pytest.mark.parametrize(
    "arguments, change, said",
    [
        (["--only", "digit"], "", "digit"),
        ([], "learning_rte: 1", "did you mean learning_rate?"),
        ([], "n_tasks_to_learn: 10000\ninnernet_all_dims: [64, 100000, 10]", "n_tasks_to_learn: 10000 separate net"),
    ],
    ids=["no such run", "a typo", "too large"],
)
def test_what_cannot_be_done_is_said_in_words_and_writes_nothing(arguments, change, said, tmp_path, capsys):
    file = tmp_path / "experiment.yaml"
    changed = change.split("\n")
    lines = [line for line in EXPERIMENT.splitlines() if line.split(":")[0] not in {c.split(":")[0] for c in changed}]
    file.write_text("\n".join([*lines, *changed]).format(tmp_path))
    assert main([str(file), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["experiment.yaml"]


def test_a_network_that_diverges_is_named_with_exit_status_1_and_nothing_is_written(tmp_path, capsys, monkeypatch):
    def diverges(*_, **__):
        raise TrainingError("task 0, step 3 of 300: the loss is not a finite number")

    monkeypatch.setattr("hypernet_lib.training.Learner.learn", diverges)
    file = tmp_path / "experiment.yaml"
    file.write_text(EXPERIMENT.format(tmp_path))
    assert main([str(file)]) == 1
    assert "digits failed: task 0, step 3 of 300" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["experiment.yaml"]
