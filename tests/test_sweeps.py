"""A sweep stands for the product of its lists, each experiment named after its values."""

import itertools

import pytest

import run_experiments
from hypernet_lib.experiment import ExperimentError
from hypernet_lib.experiment_files import load_experiments
from hypernet_lib.folders import run_folder
from hypernet_lib.runs import Run

SWEEP = """
run_name: big
dataset: digits
innernet_all_dims: [64, 64, 10]
n_tasks_to_learn: 3
logdir: {logdir}
sweep:
"""


def load(folder, sweep, settings=None):
    file = folder / "sweep.yaml"
    file.write_text(SWEEP.format(logdir=folder) + sweep)
    return load_experiments(file, settings)


def test_a_sweep_is_the_product_of_its_lists(tmp_path):
    experiments = load(tmp_path, "  l2_memory_regularization: [0.01, 1]\n  seed: [0, 1, 2]")
    expected = list(itertools.product([0.01, 1], [0, 1, 2]))
    assert [(e.l2_memory_regularization, e.seed) for e in experiments] == expected
    assert [e.run_name for e in experiments] == [f"big-beta{beta:g}-s{seed}" for beta, seed in expected]
    assert {e.n_tasks_to_learn for e in experiments} == {3}


def test_lists_and_names_are_values_too(tmp_path):
    experiments = load(tmp_path, "  hypernet_hidden_dims: [[], [20, 30]]\n  hypernet_activation: [relu, gelu]")
    assert [e.hypernet_hidden_dims for e in experiments] == [[], [], [20, 30], [20, 30]]
    assert experiments[3].run_name == "big-hypernet_hidden_dims20x30-hypernet_activationgelu"


@pytest.mark.parametrize(
    "sweep, message",
    [
        ("  sed: [0, 1]", "cannot sweep 'sed'; did you mean seed?"),
        ("  run_name: [a, b]", "cannot sweep 'run_name'"),
        ("  seed: 3", "sweep: seed: got 3; expected a list of values"),
        ("  seed: []", "sweep: seed: got []; expected"),
        ("  - 3", "expected lists of values, such as"),
        ("  n_tasks_to_learn: [3, 4]", "n_tasks_to_learn: got the single value 3, and a list in sweep"),
        ("  seed: [1, 1]", "two experiments would be called 'big-s1'"),
        ("  seed: [1, -1]", "seed: got -1; input should be greater than or equal to 0"),
        ("  seed: [" + "0, " * 200 + "]\n  batch_size: [" + "1, " * 200 + "]", "40,000 experiments; expected at most"),
    ],
)
def test_what_is_no_sweep_is_refused_with_one_message(tmp_path, sweep, message):
    with pytest.raises(ExperimentError) as refused:
        load(tmp_path, sweep)
    assert message in str(refused.value)
    assert "document 1 (big)" in str(refused.value) and len(str(refused.value).splitlines()) == 1


def test_a_setting_of_the_command_line_does_not_quietly_undo_a_sweep(tmp_path):
    with pytest.raises(ExperimentError, match="seed: got the single value 5, and a list in sweep"):
        load(tmp_path, "  seed: [0, 1]", {"seed": 5})


def test_the_list_tells_how_far_each_experiment_is(tmp_path, capsys):
    started, failed, _ = load(tmp_path, "  seed: [0, 1, 2]")
    run = Run(started)  # holds the lock
    (tmp_path / f"{failed.run_name}.failed.ipynb").write_text("")
    assert run_experiments.main([str(tmp_path / "sweep.yaml"), "--list"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row[1] for row in rows] == ["running", "failed", "not"]
    assert all(row[-3:] == ["0", "of", "3"] for row in rows)
    assert run.folder.exists() and not run_folder(failed).exists()
