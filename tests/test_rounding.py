"""Embeddings rounded to few bits: the values by hand, how far they may be off, and a run that is tested with them."""

import os

import numpy as np
import pandas as pd
import pytest

from experiments.build import build
from experiments.checkpoints import load_run
from experiments.parameters import Experiment
from experiments.rounding import BITS, main, round_to_bits
from experiments.run import Run


def test_the_rounded_values_are_those_computed_by_hand():
    numbers = np.array([-1.0, 0.2, 0.4, 0.9], np.float32)
    np.testing.assert_array_equal(round_to_bits(numbers, 2), np.float32([-1, 0, 0, 1]))
    np.testing.assert_allclose(round_to_bits(numbers, 3), [-1, 1 / 3, 1 / 3, 1], rtol=1e-6)
    np.testing.assert_array_equal(round_to_bits(np.zeros(3, np.float32), 8), np.zeros(3))


@pytest.mark.parametrize("bits", BITS)
def test_so_many_bits_tell_the_values_apart_and_none_is_off_by_more_than_half_a_step(bits):
    numbers = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    values = round_to_bits(numbers, bits)
    assert 3 <= len(np.unique(values)) <= 2**bits - 1 and values.dtype == np.float32
    step = 2 * np.abs(numbers).max() / (2**bits - 2)
    assert np.abs(values - numbers).max() <= 0.5001 * step


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run of two tasks, with its weights."""
    folder = tmp_path_factory.mktemp("rounding")
    sizes = {"dataset": "digits", "innernet_all_dims": [64, 32, 10], "num_chunks": 5, "hypernet_hidden_dims": [32]}
    experiment = Experiment(
        run_name="tiny", logdir=str(folder), n_tasks_to_learn=2, iters_per_task=150, task_embedding_dim=8, **sizes
    )
    learner = build(experiment).learner
    run = Run(experiment)
    run.resume(learner)
    for task in range(2):
        losses = learner.learn(task, learner.remember(task))
        run.record(task + 1, {t: learner.evaluate(t) for t in range(task + 1)}, losses)
    run.finish()
    return folder / "tiny"


def test_a_run_is_tested_with_rounded_embeddings_and_keeps_its_own(finished, capsys):
    weights = (finished / "weights.npz").read_bytes()
    assert main([str(finished)]) == 0
    table = pd.read_csv(finished / "rounded.csv")
    assert list(table["bits"]) == [bits for bits in BITS for _ in range(2)]
    assert list(table["task"]) == [0, 1] * len(BITS)
    learned = pd.read_csv(finished / "metrics.csv").query("learned == 2")["accuracy"].to_numpy()
    eight = table[table["bits"] == 8]["accuracy"].to_numpy()
    np.testing.assert_allclose(eight, learned, atol=0.02)
    run = load_run(finished)
    for task, accuracy in table[table["bits"] == 2]["accuracy"].reset_index(drop=True).items():
        weights_of_three_values = run.hypernet.generate(round_to_bits(run.hypernet.task_embeddings[task].numpy(), 2))
        images, labels, permutation = run.tasks.test(task)
        logits = run.target(weights_of_three_values, images[:, permutation])
        assert accuracy == pytest.approx(np.mean(np.argmax(logits, axis=1) == labels), abs=1e-6)
    means = table.groupby("bits")["accuracy"].mean()
    assert means[2] < means[8] and f"8 bits {means[8]:.4f}" in capsys.readouterr().out
    assert (finished / "weights.npz").read_bytes() == weights


def test_a_folder_without_a_run_is_said_with_exit_status_2_and_stays_as_it_is(tmp_path, capsys):
    assert main([str(tmp_path / "nothing")]) == 2
    assert "nothing: no finished run is there" in capsys.readouterr().err
    assert not os.listdir(tmp_path)
