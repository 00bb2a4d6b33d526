"""Experiments from YAML: what is read, and how what is wrong is refused."""

import inspect
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import run_experiments
from experiments.build import arguments, build
from experiments.files import load_experiments
from experiments.parameters import Experiment, ExperimentError, fields, is_used
from experiments.resources import ram_needed
from experiments.store import PROJECT, run_folder
from hypernet_lib.hypernet import Hypernetwork
from hypernet_lib.tasks import PermutedTasks
from hypernet_lib.training import Learner

GOOD = "run_name: good\ndataset: digits\ninnernet_all_dims: [64, 10]\n"

# What is in the file, and what the message must say.
WRONG = {
    "a typo in a key": (GOOD + "num_chuks: 3", ["document 1 (good)", "'num_chuks'", "did you mean num_chunks"]),
    "text for a number": (GOOD + "batch_size: many", ["batch_size: got 'many'", "valid integer"]),
    "a truth value for a number": (GOOD + "batch_size: true", ["batch_size: got True", "valid integer"]),
    "an octal number of YAML 1.1": (GOOD + "seed: 010", ["seed: got '010'; did you mean 10?"]),
    "a number with underscores": (GOOD + "batch_size: 1_000", ["got '1_000'; did you mean 1000?"]),
    "a number of base 16": (GOOD + "batch_size: 0x10", ["got '0x10'; did you mean 16?"]),
    "a number of base 60": (GOOD + "batch_size: 1:30", ["batch_size: got '1:30'", "valid integer"]),
    "a truth value of YAML 1.1": (GOOD + "embedding_per_chunk: off", ["got 'off'; did you mean false?"]),
    "a fraction for a count": (GOOD + "num_chunks: 2.5", ["num_chunks: got 2.5", "valid integer"]),
    "another word for rows": (GOOD + "num_chunks: row", ["num_chunks: got 'row'", "'rows'", "valid integer"]),
    "another word for raw": (GOOD + "pixels: row", ["pixels: got 'row'", "did you mean raw?"]),
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
    "what is shared, beside an experiment": ("shared: {seed: 1}\nrun_name: x", ["shared: 'run_name' beside it"]),
    "what is shared by none": ("shared: {seed: 1}", ["shared: no document after it"]),
    "nothing that is shared": ("shared: 3\n---\n" + GOOD, ["document 1: shared: got 3", "such as 'seed: 1'"]),
    "a typo in what is shared": ("shared: {sed: 1}\n---\n" + GOOD, ["cannot share 'sed'", "did you mean seed?"]),
    "a name that is shared": ("shared: {run_name: x}\n---\n" + GOOD, ["cannot share 'run_name'"]),
    "a wrong value that is shared": ("shared: {seed: -1}\n---\n" + GOOD, ["document 1: shared: seed: got -1"]),
    "one that some overrule": (
        "shared: {seed: -1}\n---\n" + GOOD + "---\n" + GOOD + "seed: 1", ["document 2 (good): seed: got -1"]
    ),
    "what is shared too late": (GOOD + "---\nshared: {seed: 1}", ["document 2: ", "'shared'"]),
    "no text": (b"\xff\xfe\x00run_name", ["cannot be read as text"]),
    "too long a file": (GOOD + "#" * 1_000_001, ["bytes; expected at most 1,000,000"]),
    "no such method": (GOOD + "method: EWC", ["method: got 'EWC'", "'ewc'", "did you mean ewc?"]),
    "a setting given both ways": (
        GOOD + "method: ewc\newc.strength: 2\newc: {strength: 1}", ["ewc.strength: got 2, and 1; expected one of both"]
    ),
    "shared settings that are none": ("shared: {ewc: 5}\n---\n" + GOOD + "method: ewc", ["ewc: got 5; expected its"]),
    "a hypernetwork's parameter without one": (
        GOOD + "method: ewc\nnum_chunks: 3", ["num_chunks: the method ewc does not use it, only hypernetwork"]
    ),
    "settings of another method": (GOOD + "method: ewc\nsi: {damping: 1}", ["si: the method ewc does not use it"]),
    "heads where there are none": (GOOD + "heads: per_task", ["method hypernetwork does not use it"]),
    "a typo in a setting": (GOOD + "method: ewc\newc: {strenght: 1}", ["'ewc.strenght'", "did you mean ewc.strength?"]),
    "and with a point": (GOOD + "method: ewc\newc.strenght: 1", ["'ewc.strenght'", "did you mean ewc.strength?"]),
    "text in a setting": (GOOD + "method: ewc\newc: {strength: much}", ["ewc.strength: got 'much'", "valid number"]),
    "a number for settings": (
        GOOD + "method: ewc\newc: 5", ["ewc: got 5; expected its settings, such as ewc: {strength: 10.0, images:"]
    ),
    "a setting that is swept and given": (
        GOOD + "method: ewc\newc: {strength: 1}\nsweep: {ewc.strength: [1, 2]}", ["ewc.strength: got the sin"]
    ),
    "a sweep of no setting": (GOOD + "method: si\nsweep: {si.strenth: [1]}", ["'si.strenth'; did you mean si.st"]),
    "more stored images than RAM": (
        GOOD + "method: rehearsal\nn_tasks_to_learn: 10000\nrehearsal: {images_per_task: 1000000}",
        ["GiB of RAM, this machine", "lower innernet_all_dims, n_tasks_to_learn or rehearsal.images_per_task"],
    ),
    "more RAM than there is": (GOOD + "hypernet_hidden_dims: [1000000, 1000000]", ["GiB of RAM, this machine"]),
}  # fmt: skip


@pytest.mark.parametrize("text, said", WRONG.values(), ids=WRONG.keys())
def test_wrong_files_give_one_clear_message_status_2_and_write_nothing(text, said, tmp_path, capsys):
    file = tmp_path / "good.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert run_experiments.main([str(file), "--set", f"logdir={tmp_path / 'out'}"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "wrong input, nothing was started" in printed.err
    assert str(file) in printed.err or "good: needs" in printed.err
    assert all(part in printed.err for part in said), printed.err
    assert "Traceback" not in printed.err
    assert list(tmp_path.iterdir()) == [file]


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
lines = st.tuples(st.sampled_from([*Experiment.model_fields, *fields(), "num_chuks"]) | st.text(max_size=9), values)
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


def test_every_document_has_what_is_shared_unless_it_says_otherwise(tmp_path):
    text = "shared: {dataset: digits, innernet_all_dims: [64, 10], seed: 5}\n---\nrun_name: a\n---\n"
    text += "run_name: b\nseed: 6\n---\nrun_name: c\nsweep: {seed: [7, 8]}\n"
    (tmp_path / "x.yaml").write_text(text)
    experiments = load_experiments(tmp_path / "x.yaml")
    assert [(e.run_name, e.seed) for e in experiments] == [("a", 5), ("b", 6), ("c-s7", 7), ("c-s8", 8)]
    assert {e.dataset for e in experiments} == {"digits"}
    assert [e.seed for e in load_experiments(tmp_path / "x.yaml", {"batch_size": 3})] == [5, 6, 7, 8]


def test_what_is_wrong_in_all_documents_is_said_once(tmp_path):
    (tmp_path / "x.yaml").write_text("shared: {seed: -1}\n---\n" + GOOD + "---\n" + GOOD.replace("good", "other"))
    with pytest.raises(ExperimentError) as refused:
        load_experiments(tmp_path / "x.yaml")
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("where", ["project", "elsewhere"])
def test_a_file_is_read_from_here_or_from_the_project(where, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(PROJECT if where == "project" else tmp_path)
    assert run_experiments.main(["params/precision.yaml", "--list"]) == 0
    assert capsys.readouterr().out.count("permuted_mnist_30-precision") == 2
    (tmp_path / "mine.yaml").write_text(GOOD)
    assert run_experiments.main([str(tmp_path / "mine.yaml"), "--dry-run"]) == 0
    assert where == "project" or run_experiments.main(["mine.yaml", "--dry-run"]) == 0


def test_a_folder_with_a_line_break_is_refused(capsys):
    assert run_experiments.main([str(PROJECT / "params" / "quickstart.yaml"), "--set", r'logdir="a\nb"']) == 2
    assert r"logdir: got 'a\nb'; expected the path of a folder, without control characters" in capsys.readouterr().err


def test_a_tilde_in_logdir_is_the_users_own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run_folder(Experiment(run_name="x", logdir="~/runs")) == tmp_path / "runs" / "x"
    assert run_folder(Experiment(run_name="x", logdir="runs")) == PROJECT / "runs" / "x"


def test_1e_5_is_a_number(tmp_path):
    (tmp_path / "x.yaml").write_text(GOOD + "l2_regularization: 1e-5\nlearning_rate: 2E-3")
    (experiment,) = load_experiments(tmp_path / "x.yaml")
    assert (experiment.l2_regularization, experiment.learning_rate) == (1e-5, 2e-3)


def test_a_methods_settings_are_written_both_ways_shared_swept_and_set(tmp_path):
    text = "shared: {method: ewc, ewc: {images: 7, strength: 1}}\n---\nrun_name: a\newc.strength: 2\n---\n"
    text += "run_name: b\nsweep: {ewc.strength: [3, 4], heads: [per_task]}\n"
    (tmp_path / "x.yaml").write_text(text)
    found = [(e.run_name, e.ewc.strength, e.ewc.images) for e in load_experiments(tmp_path / "x.yaml")]
    assert found == [("a", 2, 7), ("b-strength3-per_task", 3, 7), ("b-strength4-per_task", 4, 7)]
    assert {e.ewc.images for e in load_experiments(tmp_path / "x.yaml", {"ewc.images": 5})} == {5}
    assert {e.ewc.images for e in load_experiments(tmp_path / "x.yaml", {"ewc": {"images": 6}})} == {6}


def test_what_is_shared_is_left_out_where_a_method_does_not_use_it(tmp_path):
    text = "shared: {num_chunks: 5, ewc: {images: 7}}\n---\nrun_name: a\nsweep: {method: [hypernetwork, ewc, si]}\n"
    (tmp_path / "x.yaml").write_text(text)
    hypernetwork, ewc, si = load_experiments(tmp_path / "x.yaml")
    assert (hypernetwork.num_chunks, ewc.ewc.images, si.run_name) == (5, 7, "a-si")
    (tmp_path / "y.yaml").write_text(
        text + "---\nrun_name: b\nmethod: ewc\nnum_chunks: 3\n"
    )  # but not what it says itself
    with pytest.raises(ExperimentError, match=r"document 3 \(b\): num_chunks: the method ewc does not use it"):
        load_experiments(tmp_path / "y.yaml")
    with pytest.raises(ExperimentError, match="num_chunks: the method ewc does not use it"):
        load_experiments(tmp_path / "x.yaml", {"num_chunks": 4})


def test_only_what_its_method_uses_is_written_and_that_is_read_again(tmp_path):
    experiment = Experiment.from_mapping({"run_name": "x", "method": "si", "si.damping": 0.5, "heads": "per_task"})
    written = yaml.safe_load(experiment.to_yaml())
    assert written["si"] == {"strength": 1.0, "damping": 0.5} and written["heads"] == "per_task"
    assert not {"ewc", "num_chunks", "l2_memory_regularization"} & set(written)
    (tmp_path / "x.yaml").write_text(experiment.to_yaml())
    assert load_experiments(tmp_path / "x.yaml") == [experiment]
    assert Experiment.from_notebook({**written, "num_chunks": 3, "ewc": {"strength": 7}}) == experiment
    assert "method" in Experiment(run_name="x").to_yaml() and "heads" not in Experiment(run_name="x").to_yaml()


def test_a_notebook_that_misses_a_parameter_is_refused():
    variables = Experiment(run_name="x").model_dump()
    assert Experiment.from_notebook({**variables, "other": 1}) == Experiment(run_name="x")
    for method in ("EWC", "run_name", None, ["ewc"]):
        with pytest.raises(ExperimentError, match="parameters cell: method: got "):
            Experiment.from_notebook({**variables, "method": method})
    del variables["num_chunks"]
    with pytest.raises(ExperimentError, match="does not define num_chunks"):
        Experiment.from_notebook({**variables, "num_chuks": 3})


def test_testing_beyond_the_last_task_is_dropped_with_a_note_and_the_last_is_always_tested():
    experiment = Experiment(run_name="x", n_tasks_to_learn=10, full_testing_tasks=[5, 20, 50])
    assert "full_testing_tasks [20, 50] dropped" in experiment.notes[0]
    assert [n for n in range(1, 11) if experiment.tests_all_after(n)] == [5, 10]
    assert Experiment(run_name="x").notes == []


TAKEN = [(f, name) for f in (PermutedTasks, Hypernetwork, Learner) for name in inspect.signature(f).parameters]
OF_A_KIND = {"tasks", "target"}  # which a parameter names, and `build` makes
TAKEN = [(f, name) for f, name in TAKEN if name in Experiment.model_fields and name not in OF_A_KIND]


@pytest.mark.parametrize("function, name", TAKEN, ids=lambda value: getattr(value, "__name__", value))
def test_a_default_of_the_library_is_that_of_an_experiment(function, name):
    default = inspect.signature(function).parameters[name].default
    assert (list(default) if isinstance(default, tuple) else default) == Experiment.model_fields[name].default


def test_the_library_takes_every_parameter_that_is_not_about_the_run_itself():
    about_the_run = {"run_name", "logdir", "n_tasks_to_learn", "full_testing_tasks", "innernet_all_dims", "method"}
    about_the_run |= {"infer_task", "infer_images"} | OF_A_KIND
    of_others = {"heads", "network_init", "l2", "ewc", "si", "rehearsal", "rotated", "split"}
    assert {name for _, name in TAKEN} == set(Experiment.model_fields) - about_the_run - of_others


def test_what_is_built_has_the_experiments_values():
    changed = {
        "dataset": "digits", "innernet_all_dims": [64, 12, 10], "seed": 3, "pixels": "standardised",
        "num_chunks": "rows", "task_embedding_dim": 7, "embedding_per_chunk": True, "hypernet_hidden_dims": [5],
        "n_tasks_to_learn": 4,
        "hypernet_activation": "relu", "embedding_init_std": 0.0, "chunk_embedding_init_std": 0.0, "batch_size": 9,
        "head_init_scale": 0.0, "iters_per_task": 11, "learning_rate": 0.2, "final_learning_rate_fraction": 0.3,
        "embedding_rate_factor": 4.0, "l2_regularization": 0.5, "l2_memory_regularization": 0.6,
        "regularized_tasks": 30, "updates": "combined", "precision": "bfloat16", "freeze_shared_after": 3,
        "evaluate_on": "validation", "narrow_tasks": 2, "outliers": 5, "input_dropout": 0.1,
        "outlier_order": "turned",
    }  # fmt: skip
    about_the_run = ("run_name", "logdir", "full_testing_tasks", "infer_task", "infer_images", *OF_A_KIND)
    experiment = Experiment(run_name="x", **changed)
    for name, field in Experiment.model_fields.items():
        if not is_used(name, "hypernetwork", "permuted") or name == "method":
            continue
        assert name in about_the_run or changed[name] != field.default
    tasks, target, learner = build(experiment)
    assert (tasks.dataset, tasks.seed, target.dims) == ("digits", 3, [64, 12, 10])
    assert abs(tasks.train_images.mean(axis=0)).max() > 0.1  # not centred
    for name in arguments(Learner, experiment):
        assert getattr(learner, name) == changed[name]
    hypernet = learner.hypernet
    assert hypernet.sizes == experiment.sizes and hypernet.task_embeddings.shape == (4, hypernet.n_chunks * 7)
    assert not any(v.numpy().any() for v in (hypernet.task_embeddings, hypernet.chunk_embeddings, hypernet.head))
    assert hypernet.activation(-1.0) == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says what a process has taken")
def test_the_estimate_of_ram_is_above_what_a_run_takes_and_not_far_above(tmp_path):
    """Twice the same but for the trunk's width, so that what both have in common cancels: measured, and estimated."""
    sizes = {"dataset": "digits", "innernet_all_dims": [64, 4000, 10], "num_chunks": 4, "iters_per_task": 2}
    sizes |= {"n_tasks_to_learn": 2, "task_embedding_dim": 8, "batch_size": 8}
    experiments = [Experiment(run_name=f"k{k}", hypernet_hidden_dims=[k], **sizes) for k in (40, 400)]
    with ThreadPoolExecutor(2) as pool:
        few, many = pool.map(lambda experiment: peak_of(experiment, tmp_path), experiments)
    estimated = ram_needed(experiments[1]) - ram_needed(experiments[0])
    assert many - few < estimated < 4 * (many - few)


@pytest.mark.parametrize(
    "more",
    [
        {"n_tasks_to_learn": 200},
        {"embedding_per_chunk": True},
        {"batch_size": 10_000},
        {"batch_size": 10_000, "outliers": 10_000, "pixels": "standardised"},
        {"infer_task": "entropy"},
    ],
    ids=str,
)
def test_the_estimate_of_ram_grows_by_at_least_the_numbers_that_are_there_more(more):
    sizes = {"dataset": "digits", "innernet_all_dims": [64, 40, 10], "num_chunks": 40, "n_tasks_to_learn": 100}
    few, many = [Experiment(run_name="x", **sizes | changed) for changed in ({}, more)]
    rows = [e.n_tasks_to_learn * 40 * 350 for e in (few, many)]  # h* of every task and chunk
    units = [(e.batch_size + e.outliers) * (64 + 40 + 10) for e in (few, many)]
    if many.infer_task != "oracle":
        units[1] += 5_000 * 4 * many.n_tasks_to_learn  # scores
    parameters = [e.sizes.n_parameters(e.n_tasks_to_learn) for e in (few, many)]
    there = sum(many - few for few, many in (rows, units, parameters))
    assert ram_needed(many) - ram_needed(few) >= 4 * there > 0


def peak_of(experiment, folder):
    """The most RAM, in bytes, that learning the last task of an experiment takes, its memory included."""
    file = folder / f"{experiment.run_name}.yaml"
    file.write_text(experiment.to_yaml())
    code = """
import re, sys
from pathlib import Path
from experiments.build import build
from experiments.files import load_experiments
(experiment,) = load_experiments(sys.argv[1])
n_tasks = experiment.n_tasks_to_learn
learner = build(experiment).learner
learner.learned.update(range(n_tasks))
learner.learn(n_tasks - 1, learner.remember(n_tasks - 1))
# Not resource.ru_maxrss: that begins with what the parent had.
print(1024 * int(re.search("VmHWM: +([0-9]+)", Path("/proc/self/status").read_text().replace("\\t", " "))[1]))
"""
    done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.parametrize("file", sorted((PROJECT / "params").glob("*.yaml")), ids=lambda file: file.name)
def test_every_file_of_params_is_valid(file):
    assert load_experiments(file)
