"""Experiments from YAML: what is read, and how what is wrong is refused."""

import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import run_experiments
from hypernet_lib.experiment import Experiment, ExperimentError
from hypernet_lib.experiment_files import load_experiments
from hypernet_lib.folders import PROJECT
from hypernet_lib.hypernet import Hypernetwork
from hypernet_lib.targets import MLP

GOOD = "run_name: good\ndataset: digits\ninnernet_all_dims: [64, 10]\n"

# What is in the file, and what the message must say.
WRONG = {
    "a typo in a key": (GOOD + "num_chuks: 3", ["document 1 (good)", "'num_chuks'", "did you mean num_chunks"]),
    "text for a number": (GOOD + "batch_size: many", ["batch_size: got 'many'", "valid integer"]),
    "a truth value for a number": (GOOD + "batch_size: yes", ["batch_size: got True", "valid integer"]),
    "a fraction for a count": (GOOD + "num_chunks: 2.5", ["num_chunks: got 2.5", "valid integer"]),
    "another word for rows": (GOOD + "num_chunks: row", ["num_chunks: got 'row'", "'rows'", "valid integer"]),
    "no rate for embeddings": (GOOD + "embedding_rate_factor: 0", ["embedding_rate_factor: got 0", "greater than 0"]),
    "zero steps": (GOOD + "iters_per_task: 0", ["iters_per_task: got 0", "greater than or equal to 1"]),
    "a negative strength": (GOOD + "l2_regularization: -1e-5", ["l2_regularization: got -1e-05", "greater than"]),
    "infinity": (GOOD + "l2_memory_regularization: .inf", ["l2_memory_regularization: got inf", "finite number"]),
    "not a number": (GOOD + "learning_rate: .nan", ["learning_rate: got nan"]),
    "a number for a list": (GOOD + "hypernet_hidden_dims: 5", ["hypernet_hidden_dims: got 5", "valid list"]),
    "a wrong entry of a list": (GOOD + "full_testing_tasks: [1, x]", ["full_testing_tasks.1: got 'x'"]),
    "a word that is no choice": (GOOD + "regularized_tasks: some", ["regularized_tasks: got 'some'", "'all', or"]),
    "no run name": ("dataset: digits\ninnernet_all_dims: [64, 10]", ["run_name: ", "field required"]),
    "a run name that leaves the folder": (GOOD.replace("good", "../x"), ["run_name: got '../x'", "expected letters"]),
    "a run name with a space": (GOOD.replace("good", "a b"), ["run_name: got 'a b'", "expected letters"]),
    "an empty run name": (GOOD.replace("good", "''"), ["run_name: got ''", "expected letters"]),
    "a key given twice": (GOOD + "seed: 1\nseed: 2", ["the key 'seed' is given twice", "line 5"]),
    "a run name given twice": (GOOD + "---\n" + GOOD, ["run_name: 'good' is given twice"]),
    "an unknown data set": (GOOD.replace("digits", "mnits"), ["dataset: got 'mnits'", "did you mean mnist"]),
    "a data set in colour": (GOOD.replace("digits", "cifar10"), ["dataset: got 'cifar10'", "32 x 32 x 3"]),
    "too few pixels": (GOOD.replace("64", "63"), ["got [63, 10]", "digits has 8 x 8 = 64 pixels", "[64, ..., 10]"]),
    "too many classes": (GOOD.replace("10]", "11]"), ["got [64, 11]", "10 classes", "[64, ..., 10]"]),
    "more chunks than weights": (GOOD + "num_chunks: 651", ["num_chunks: got 651", "at most 650"]),
    "nothing": ("", ["holds no experiment"]),
    "broken YAML": ("run_name: [1, 2", ["broken YAML", "line 1"]),
    "a list": ("- a\n- b", ["document 1: expected a mapping", "['a', 'b']"]),
    "a word": ("hello", ["expected a mapping", "'hello'"]),
    "a tag that runs code": (GOOD + "seed: !!python/object/apply:os.getpid []", ["broken YAML", "python/object"]),
    "an alias": ("run_name: &a good\ndataset: *a", ["aliases (*name) are not allowed"]),
    "a number too long": (GOOD + "seed: " + "9" * 5000, ["broken YAML"]),
    "nested too deep": (GOOD + "seed: " + "[" * 3000, ["broken YAML"]),
    "no text": (b"\xff\xfe\x00run_name", ["cannot be read as text"]),
    "too long a file": (GOOD + "#" * 1_000_001, ["bytes; expected at most 1,000,000"]),
    "more memory than there is": (GOOD + "hypernet_hidden_dims: [1000000, 1000000]", ["GiB of memory, this machine"]),
}  # fmt: skip


def tree(folder):
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


@pytest.mark.parametrize("text, said", WRONG.values(), ids=WRONG.keys())
def test_wrong_files_give_one_clear_message_status_2_and_write_nothing(text, said, tmp_path, capsys):
    file = tmp_path / "good.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = tree(tmp_path), tree(PROJECT / "outputs")
    assert run_experiments.main([str(file), "--set", f"logdir={tmp_path / 'out'}"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "wrong input, nothing was started" in printed.err
    assert str(file) in printed.err or "good: needs" in printed.err
    assert all(part in printed.err for part in said), printed.err
    assert "Traceback" not in printed.err
    assert (tree(tmp_path), tree(PROJECT / "outputs")) == before


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["nothing_here/goof.yaml"], "goof.yaml: no such file"),
        (["--only", "big_network_big_regularisation"], "did you mean big_network_big_regularization"),
        (["--only", "xyz"], "expected one of: big_network_big_regularization"),
        (["--set", "seed"], "expected KEY=VALUE"),
        (["--set", "sed=1"], "--set sed: unknown key; did you mean seed"),
        (["--set", "seed=[1"], "'[1' is no YAML value"),
        (["--set", "seed=-1"], "seed: got -1"),
        (["params/quickstart.yaml", "params/quickstart.yaml"], "'quickstart_big' is given twice"),
    ],
)
def test_wrong_arguments_too(arguments, said, capsys, monkeypatch):
    monkeypatch.chdir(PROJECT)
    assert run_experiments.main([*arguments, "--overwrite"]) == 2
    assert said in capsys.readouterr().err


def test_the_nearest_file_name_is_offered(tmp_path, capsys):
    (tmp_path / "sweep.yaml").write_text(GOOD)
    assert run_experiments.main([str(tmp_path / "sweeep.yaml")]) == 2
    assert "did you mean sweep.yaml?" in capsys.readouterr().err


def test_the_program_itself_exits_with_2_and_no_traceback(tmp_path):
    (tmp_path / "x.yaml").write_text(GOOD + "num_chuks: 3")
    done = subprocess.run(
        [sys.executable, str(PROJECT / "run_experiments.py"), str(tmp_path / "x.yaml")], capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stdout == ""
    assert "num_chunks" in done.stderr and "Traceback" not in done.stderr


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
lines = st.tuples(st.sampled_from([*Experiment.model_fields, "num_chuks"]) | st.text(max_size=9), values)
texts = st.text(max_size=80) | st.lists(lines, max_size=8).map(
    lambda pairs: GOOD + "".join(f"{key}: {value}\n" for key, value in pairs)
)


@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts)
def test_any_text_is_valid_experiments_or_one_message(text, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    try:
        experiments = load_experiments(file)
    except ExperimentError as error:
        assert str(error).startswith(str(file))
    else:
        assert all(isinstance(experiment, Experiment) for experiment in experiments)


def test_every_parameter_survives_being_written_and_read(tmp_path):
    experiment = Experiment(run_name="x", l2_regularization=1e-7, regularized_tasks=30, hypernet_hidden_dims=[])
    (tmp_path / "x.yaml").write_text(experiment.to_yaml())
    assert load_experiments(tmp_path / "x.yaml") == [experiment]


def test_1e_5_is_a_number(tmp_path):
    (tmp_path / "x.yaml").write_text(GOOD + "l2_regularization: 1e-5\nlearning_rate: 2E-3")
    (experiment,) = load_experiments(tmp_path / "x.yaml")
    assert (experiment.l2_regularization, experiment.learning_rate) == (1e-5, 2e-3)


def test_a_notebook_that_misses_a_parameter_is_refused():
    variables = Experiment(run_name="x").model_dump()
    assert Experiment.from_notebook({**variables, "other": 1}) == Experiment(run_name="x")
    del variables["num_chunks"]
    with pytest.raises(ExperimentError, match="does not define num_chunks"):
        Experiment.from_notebook({**variables, "num_chuks": 3})


def test_testing_beyond_the_last_task_is_dropped_with_a_note_and_the_last_is_always_tested():
    experiment = Experiment(run_name="x", n_tasks_to_learn=10, full_testing_tasks=[5, 20, 50])
    assert "full_testing_tasks [20, 50] dropped" in experiment.notes[0]
    assert [n for n in range(1, 11) if experiment.tests_all_after(n)] == [5, 10]
    assert Experiment(run_name="x").notes == []


def test_the_memory_estimate_counts_what_the_hypernetwork_has():
    experiment = Experiment(run_name="x", n_tasks_to_learn=100)
    hypernet = Hypernetwork(MLP([784, 300, 10]), 100)
    assert experiment.n_weights == hypernet.n_weights
    assert 8 * 4 * hypernet.n_parameters < experiment.memory_need() < 2 * 2**30


@pytest.mark.parametrize("file", sorted((PROJECT / "params").glob("*.yaml")), ids=lambda file: file.name)
def test_every_file_of_params_is_valid(file):
    assert load_experiments(file)
