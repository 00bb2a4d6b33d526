"""What README and docs/ say is true: Python there runs, parameters are the real ones, links lead somewhere."""

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

import run_experiments
from conftest import needs_mnist
from experiments import report
from experiments.build import build
from experiments.files import load_experiments
from experiments.parameters import Experiment
from experiments.report import PAGES, filled
from experiments.store import PROJECT, kept_experiment, read_metrics, read_summary
from experiments.tables import (
    SOURCES,
    TABLES,
    by_age,
    by_size,
    compared,
    compared_on_a_hundred,
    compared_with_published,
    hundred_tasks,
    over_seeds,
    published,
    rounded,
    split,
    with_published_settings,
    without_oracle,
)
from hypernet_lib.metrics import AccuracyMatrix

TEXTS = {path.relative_to(PROJECT): path.read_text(encoding="utf-8") for path in PAGES}
README, EXPERIMENTS, FAULTS, LIBRARY, TEACHING = [
    TEXTS[Path(name)]
    for name in ("README.md", "docs/experiments.md", "docs/faults.md", "docs/library.md", "docs/teaching.md")
]
TOLD = " ".join((README + TEXTS[Path("docs/results.md")]).split())  # of the results, without line breaks
LINKS = [
    (page, link) for page, text in TEXTS.items() for link in sorted(set(re.findall(r"\]\((?!http)([^)]+)\)", text)))
]


MINUTES = {5: "five", 10: "ten", 15: "fifteen", 20: "twenty", 25: "twenty-five"}
LESSONS = [
    (lesson, int(minutes))
    for lesson, minutes in re.findall(r"\]\((notebooks/\d\w+\.ipynb)\) \| (\d+) \|", README)
    if "07" not in lesson  # whose minutes are those of thinking
]
COMMANDS = [
    (page, command.split("#")[0].strip())
    for page, text in TEXTS.items()
    for command in re.findall(r"^\.venv/bin/python run_experiments\.py(.*)$", text, flags=re.M)
    if "my_experiments" not in command
]


@pytest.mark.parametrize("lesson, minutes", LESSONS)
def test_a_lessons_minutes_are_counted_by_the_rule_that_the_teacher_is_told(lesson, minutes):
    cells = nbformat.read(PROJECT / lesson, as_version=4).cells
    words = sum(len(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    lines = sum(bool(line.strip()) for cell in cells if cell.cell_type == "code" for line in cell.source.split("\n"))
    assert minutes == 5 * round((words / 200 + lines / 30) / 5)
    assert f"**Time:** {MINUTES[minutes]} minutes to read" in cells[0].source
    assert "200 words a minute, and two seconds for a line of code, to the nearest five" in " ".join(TEACHING.split())


def test_the_readme_is_one_page():
    prose = re.sub(r"```.*?```|<picture>.*?</picture>|^\|.*?$|<!--.*?-->", "", README, flags=re.S | re.M)
    assert len(README.splitlines()) <= 150 and len(prose.split()) <= 700
    made = [table.count("\n") - 3 for table in re.findall(r"<!-- table: .*?<!-- end", README, flags=re.S)]
    assert len(made) == 1 and made[0] <= 8  # rows, beside heads and marks


def test_the_ten_lines_of_python_learn_three_tasks_and_keep_them(capsys):
    block, _ = re.findall(r"```python\n(.*?)```", LIBRARY, flags=re.S)
    exec(compile(block, "docs/library.md", "exec"), {})
    accuracies = [float(number) for number in re.findall(r"\d\.\d+", capsys.readouterr().out)]
    assert len(accuracies) == 3
    assert min(accuracies) > 0.9


def test_a_family_and_a_target_of_ones_own_are_learned_and_inferred_in_thirty_lines(capsys):
    _, block = re.findall(r"```python\n(.*?)```", LIBRARY, flags=re.S)
    assert len([line for line in block.splitlines() if line]) <= 30
    names = {}
    exec(compile(block, "docs/library.md", "exec"), names)
    accuracies = [names["learner"].evaluate(task) for task in range(3)]
    assert min(accuracies) > 0.75  # a single kernel reaches a little more
    found = names["table"].set_index(["score", "task"])
    assert found.loc["mean_image", "task_right"].mean() > 0.8 > 0.5 > found.loc["logsumexp", "task_right"].mean()
    capsys.readouterr()


def test_the_yaml_examples_are_valid_experiment_files(tmp_path):
    example, split, methods, sweep = re.findall(r"```yaml\n(.*?)```", EXPERIMENTS, flags=re.S)
    (tmp_path / "example.yaml").write_text(example)
    assert [e.run_name for e in load_experiments(tmp_path / "example.yaml")] == ["my_first_run", "my_second_run"]
    (tmp_path / "split.yaml").write_text(split)
    (one,) = load_experiments(tmp_path / "split.yaml")
    assert (one.tasks, one.target, one.sizes.shapes[-1]) == ("split", "lenet", [2])
    (tmp_path / "methods.yaml").write_text(methods)
    names = [(e.run_name, e.ewc.strength, e.heads) for e in load_experiments(tmp_path / "methods.yaml")]
    assert (names[0], names[-1], len(names)) == (("held", 30, "per_task"), ("held-strength30-s2", 30, "shared"), 10)
    (tmp_path / "sweep.yaml").write_text(sweep)
    names = [e.run_name for e in load_experiments(tmp_path / "sweep.yaml")]
    assert (len(names), names[0], names[-1]) == (9, "digits-beta0.001-s0", "digits-beta10-s2")


def test_what_the_page_for_teachers_says_of_a_cell_is_in_the_notebook():
    table = TEACHING.split("## Predict before you run")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if re.match(r"\| \d\d: ", line)]
    assert len(rows) > 15
    for where, _, printed, _ in rows:
        (path,) = (PROJECT / "notebooks").glob(f"{where[:2]}_*.ipynb")
        cells = nbformat.read(path, as_version=4).cells
        heading, first = re.search(r"\*(.+?)\*", where)[1], re.findall(r"`(.+?)`", where)[0]
        place = [i for i, cell in enumerate(cells) if re.search(rf"^#+ {re.escape(heading)}", cell.source, flags=re.M)]
        assert len(place) == 1, where
        assert any(first in cell.source for cell in cells[place[0] :] if cell.cell_type == "code"), where
        said = " ".join(" ".join(output.get("text", "") for output in cell.get("outputs", [])) for cell in cells)
        for quoted in re.findall(r"`([^`]*\d\.\d*[^`]*)`", printed):
            assert " ".join(quoted.split()) in " ".join(said.split()), (where, quoted)


def test_the_projects_for_students_are_valid_experiments(tmp_path):
    first, second = re.findall(r"```yaml\n(.*?)```", TEACHING, flags=re.S)
    (tmp_path / "projects.yaml").write_text(first)
    names = [experiment.run_name for experiment in load_experiments(tmp_path / "projects.yaml")]
    assert {name.split("-")[0] for name in names} == {"turned", "which", "room", "settings", "rounded"}
    shared = (PROJECT / "params" / "memory.yaml").read_text().split("---")[0]
    (tmp_path / "narrow.yaml").write_text(f"{shared}---\n{second}")
    assert len(load_experiments(tmp_path / "narrow.yaml")) == 3


@pytest.mark.parametrize("page, link", LINKS, ids=str)
def test_links_within_the_project_lead_to_files(page, link):
    file, _, heading = link.partition("#")
    assert (PROJECT / page.parent / file).exists()
    text = (PROJECT / page.parent / file).read_text(encoding="utf-8") if file.endswith(".md") else TEXTS[page]
    headings = re.findall(r"^#+ (.*)$", text, flags=re.M)
    assert not heading or heading in [re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in headings]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", "".join(TEXTS.values())))))
def test_tests_that_the_readme_and_the_page_on_faults_name_are_there(name):
    assert any(f"def {name}(" in file.read_text(encoding="utf-8") for file in (PROJECT / "tests").glob("test_*.py"))


def test_every_row_of_the_page_on_faults_names_a_test():
    rows = [line for line in FAULTS.splitlines() if line.startswith("|") and not line.startswith(("|---", "| what"))]
    assert len(rows) > 30
    assert not [row for row in rows if "`test_" not in row.split("|")[-2]]


def test_its_tables_are_the_ones_that_make_report_makes():
    assert sum(text.count("<!-- table: ") for text in TEXTS.values()) == len(TABLES)
    assert all(filled(text) == text for text in TEXTS.values())


def test_what_the_run_of_2500_tasks_reaches():
    many, ages = read_summary("outputs/thousands"), by_age(["outputs/thousands"], n=100).iloc[0]
    assert many["tasks"] == 2500
    reached = f"ACC {many['ACC']:.4f}, worst task {many['min']:.4f}, the oldest hundred {ages['oldest 100']:.4f}"
    assert f"{reached}, the newest {ages['newest 100']:.4f}, in {many['seconds'] / 60:.0f} minutes" in TOLD
    sizes = kept_experiment(PROJECT / "outputs/thousands").sizes
    assert f"{sizes.per_task:,} numbers, {sizes.per_task / sizes.n_weights:.1%} of a target network's" in TOLD
    assert f"{sizes.n_parameters(2500) / 1e6:.1f} million in all" in TOLD


def minutes_of(run):
    return [read_summary(f"outputs/{run}-s{seed}")["seconds"] / 60 for seed in range(3)]


def test_what_the_best_runs_reach_beside_separate_networks():
    runs, alone = over_seeds("best"), over_seeds("separate")
    best, short = runs.loc["best"], runs.loc["best_500"]
    minutes = minutes_of("best")
    reached = f"`best` has ACC {best['ACC']:.4f} ± {best['sd']:.4f}, worst task {best['worst']:.4f}"
    assert f"{reached}, in {minutes[0]:.0f}, {minutes[1]:.0f} and {minutes[2]:.0f} minutes" in TOLD
    assert f"`best` reaches {best['ACC']:.4f} over the hundred tasks, and {best['worst']:.4f} on the worst" in TOLD
    all_shown = over_seeds("best_units").loc["units_2000"]
    assert f"With every pixel shown it reaches {all_shown['ACC']:.4f} ± {all_shown['sd']:.4f}" in TOLD
    rival = alone.loc["units_39"]
    more = rival["parameters"] / best["parameters"] - 1
    gain = short["ACC"] - rival["ACC"]
    assert f"`best_500` is {gain:.4f} above separate networks with {more:.0%} more numbers in all" in TOLD
    times = alone.loc["target_of_best", "per_task"] / best["per_task"]
    assert f"Separate networks of its own target have {times:.0f} times its numbers for each task" in TOLD
    of_its_target = {
        "best_500": "separate/target_of_best_500",
        "best_units/units_2000": "separate/target_of_best",
        "best": "separate_dropped/target_of_best",
    }
    ahead = []
    for run, rival in of_its_target.items():
        there = AccuracyMatrix(read_metrics(f"outputs/{rival}")).final  # on the same ten tasks
        here = AccuracyMatrix(read_metrics(f"outputs/{run}-s0")).final[: len(there)]
        ahead.append(there.mean() - here.mean())
        assert len(there) == 10
    assert f"they are {ahead[0]:.4f} ahead of `best_500` and {ahead[1]:.4f} of" in TOLD
    assert f"where both drop some, they are {-ahead[2]:.4f} behind it" in TOLD
    dropping = over_seeds("separate_dropped")
    alike = dropping.loc["units_39_as_best", "ACC"]
    assert f"they reach {alike:.4f}, {best['ACC'] - alike:.4f} below it" in TOLD
    assert f"{more:.0%} more numbers in all, trained alike, reach {alike:.4f}" in TOLD
    assert "in {:.0f}, {:.0f} and {:.0f} minutes, on other days".format(*minutes_of("best_units/units_2000")) in TOLD
    dropped = over_seeds("search_dropout")["ACC"]
    for network, share in (("separate_39", 0.3), ("separate_2000", 0.2)):
        of_them = dropped[dropped.index.str.startswith(f"{network}-")]
        assert of_them.idxmax() == f"{network}-input_dropout{share}"
        assert f"{of_them.max():.4f} in place of {of_them[f'{network}-input_dropout0']:.4f}" in TOLD


@pytest.mark.parametrize("page, command", COMMANDS, ids=str)
def test_the_commands_name_files_and_runs_that_are_there(page, command, monkeypatch, capsys):
    monkeypatch.chdir(PROJECT)
    assert run_experiments.main([*command.split(), "--dry-run"]) == 0, capsys.readouterr().err


def test_what_the_quickstart_ends_with(tmp_path, monkeypatch):
    monkeypatch.chdir(PROJECT)
    said = re.search(r"is (\d\.\d+) for\s+`quickstart_big`, and (\d\.\d+) for the same network", README)
    for accuracy, name in zip(said.groups(), ("quickstart_big", "quickstart_no_memory"), strict=True):
        (experiment,) = [e for e in load_experiments("params/quickstart.yaml") if e.run_name == name]
        learner = build(experiment).learner
        for task in range(experiment.n_tasks_to_learn):
            learner.learn(task, learner.remember(task))
        reached = np.mean([learner.evaluate(task) for task in range(experiment.n_tasks_to_learn)])
        assert abs(reached - float(accuracy)) < 0.02  # another processor, another last digit


def test_how_the_original_and_thousands_of_tasks_come_out():
    ours, theirs = [hundred_tasks().loc[("big", whose), 100] for whose in ("ours, its settings", "the original")]
    assert f"the big network reaches {ours:.3f} (one seed; its two logs: {theirs:.3f})" in TOLD
    many = read_summary("outputs/thousands")
    assert f"That keeps 2,500 tasks at {many['ACC']:.3f}, for {many['per_task']:,} numbers each (one seed)." in TOLD


def test_what_the_same_network_keeps_with_and_without_the_memory_loss():
    kept = [read_summary(folder)["ACC"] for folder in report.REMEMBERED.values()]
    assert "all hundred at the end, {:.3f} and {:.3f} on average".format(*kept) in TOLD


def best_by_pixels(tried, told):
    """The highest accuracy of each method among rows of `over_seeds`, told the task or not, for each kind of pixels."""
    return tried[tried["told"] == told].pivot_table(values="ACC", index="method", columns="pixels", aggfunc="max")


def test_what_the_other_methods_reach():
    table = compared()
    acc = {(row["method"], row["told"]): row["ACC"] for _, row in table.iterrows()}
    lost = acc["joint", False] - acc["in_a_row", False]
    for method in ("ewc", "si"):
        assert acc[method, False] - acc["in_a_row", False] > lost / 2  # most of what is lost
        assert round(acc[method, True] - acc["l2", True], 3) == 0.004
    assert acc["in_a_row", False] < acc["l2", False] < min(acc["ewc", False], acc["si", False])
    assert acc["ewc", False] > acc["si", False] and round(acc["joint", False] - acc["ewc", False], 2) == 0.03
    assert acc["rehearsal", True] < acc["in_a_row", True] - 0.01
    centred = over_seeds("methods_centred").query("target == '784-300-10'").set_index("method")
    (ewc, si), was = (table.loc[["ewc-shared", "si-shared"], "ACC"], centred["ACC"])
    assert f"{ewc:.4f} in place of {was['ewc']:.4f} with centred ones" in TOLD and ewc > was["ewc"]
    spreads = table.loc["si-shared", "sd"], centred.loc["si", "sd"]
    assert "does not, {:.4f} ± {:.4f} in place of {:.4f} ± {:.4f}".format(si, spreads[0], was["si"], spreads[1]) in TOLD
    tried = over_seeds("search_methods")
    searched, told = tried["ACC"], best_by_pixels(tried, told=True)
    pairs = np.concatenate([told.loc[method, ["centred", "raw"]] for method in ("ewc", "si")])
    assert "(EWC {:.4f}, raw {:.4f}; SI {:.4f} and {:.4f}; validation images)".format(*pairs) in TOLD
    assert (told.loc[["ewc", "si", "in_a_row"], "centred"] > told.loc[["ewc", "si", "in_a_row"], "raw"]).all()
    assert "help, {:.4f} in place of {:.4f} on".format(*told.loc[["rehearsal", "in_a_row"], "raw"]) in TOLD
    stored = [searched["slow_rehearsal-shared"], searched["raw_rehearsal-shared-rate0.003"]]
    in_a_row = best_by_pixels(tried, told=False).loc["in_a_row"]
    assert in_a_row["centred"] > in_a_row["raw"]
    assert f"centred pixels ({stored[0]:.4f}; in a row {in_a_row['centred']:.4f})" in TOLD
    best = acc["rehearsal", False], acc["in_a_row", False]
    said = f"with raw ones ({stored[1]:.4f} and {in_a_row['raw']:.4f}); at the best of each "
    assert said + "{:.3f} in place of {:.3f} on test images".format(*best) in TOLD
    for head, rate in (("shared", "slow"), ("per_task", "fast")):
        thousand, hundred = (searched[f"{rate}_rehearsal-{head}{end}"] for end in ("-images_per_task1000", ""))
        assert f"told {thousand:.3f} in place of {hundred:.3f}" in TOLD
    in_a_row = searched["base-in_a_row-per_task-rate0.001"]
    assert f"in a row has {in_a_row:.3f} (validation" in TOLD and thousand > in_a_row
    assert max(acc["ewc", True], acc["si", True]) < acc["hypernetwork", True] < acc["separate", True]
    forgotten = table.query("told and method in ('ewc', 'si')")["forgetting"]
    assert ((forgotten > 0.003) & (forgotten < 0.0045)).all()
    numbers = table["parameters"] + table["stored"]
    assert round(numbers["hypernetwork"] / numbers["ewc-per_task"]) == 8
    assert round(numbers["hypernetwork"] / numbers["si-per_task"]) == 6
    written = table["parameters"]["hypernetwork"] + 9 * 30 * 7_951  # with old tasks' chunks in place of a copy
    assert f"the {9 * 30 * 7_951:,} numbers written for nine old tasks" in TOLD
    assert [round(written / numbers[f"{method}-per_task"]) for method in ("ewc", "si")] == [7, 5]
    assert numbers["separate"] < numbers["hypernetwork"]
    told, not_told = (acc["ewc", told] for told in (True, False))
    assert f"EWC reaches {told:.4f} told, with a head for each task, and {not_told:.4f} not" in TEACHING
    ours = [acc[method, True] for method in ("separate", "hypernetwork")]
    assert "save ten networks: {:.4f} from 2,385,100 numbers against {:.4f} from 2,973,101".format(*ours) in TEACHING


def test_what_the_other_methods_reach_in_a_larger_network():
    small, large = (table.set_index(["method", "told"]) for table in (compared(), compared_with_published()))
    acc, before = large["ACC"], small["ACC"]
    tried = over_seeds("search_methods_large")
    searched = tried["ACC"]
    wide, narrow = (searched.filter(regex=f"^{name}").max() for name in ("hypernetwork", "few_chunks"))
    assert f"size reach {wide:.4f}, the 60 of the table, from a last hidden layer of 95 units, {narrow:.4f}." in TOLD
    numbers = (large["parameters"] + large["stored"]).xs(True, level="told") / 1e6
    sizes = [numbers[method] for method in ("hypernetwork", "ewc", "si", "l2")]
    assert "it has {:.1f} million, EWC {:.1f}, SI {:.1f}, L2 {:.1f}.".format(*sizes) in TOLD
    held = [("ewc", True), ("si", True), ("l2", True)]
    lead = acc["hypernetwork", True] - acc[held]
    assert "ahead of EWC by {:.4f}, of SI by {:.4f}, of L2 by {:.4f}.".format(*lead) in TOLD
    assert acc["hypernetwork", True] < before["separate", True] < acc["separate", True]
    ones = [searched.filter(regex=f"{method}-per_task").max() for method in ("ewc", "si", "l2")]
    assert "all three ({:.4f}; EWC {:.4f}, SI {:.4f}, L2 {:.4f}; validation".format(wide, *ones) in TOLD
    assert wide < min(ones)
    ten = large.loc[("separate", True), "parameters"] / 1e6, small.loc[("separate", True), "parameters"] / 1e6
    assert "with {:.1f} million, and so are ten of 784-300-10, with {:.1f} million and".format(*ten) in TOLD
    rates = searched[[f"base-in_a_row-per_task-rate{rate}" for rate in ("0.001", "0.0003", "0.0001")]]
    assert "row: {:.4f} at 1e-3, {:.4f} at 3e-4, {:.4f} at 1e-4 (validation".format(*rates) in TOLD
    for method in ("ewc", "si"):
        assert f"{acc[method, False]:.4f} in place of {before[method, False]:.4f}" in TOLD
        assert acc[method, False] > before[method, False]
    assert f"`joint` has {acc['joint', False]:.4f} here" in TOLD
    centred = over_seeds("methods_centred").query("target != '784-300-10'").set_index(["method", "told"])["ACC"]
    assert (acc[centred.index] > centred + 0.005).all()
    said = "EWC has {:.4f} not told and {:.4f} told, SI {:.4f} and {:.4f} (three"
    assert said.format(*centred[[(method, told) for method in ("ewc", "si") for told in (False, True)]]) in TOLD
    not_told, told = (best_by_pixels(tried, told) for told in (False, True))
    assert (not_told.loc[["l2", "rehearsal"], "raw"] > not_told.loc[["l2", "rehearsal"], "centred"] + 0.02).all()
    assert "not ({:.4f} raw, {:.4f} centred;".format(*told.loc["hypernetwork", ["raw", "centred"]]) in TOLD
    assert "row (told {:.4f} and {:.4f}), though with".format(*told.loc["in_a_row", ["raw", "centred"]]) in TOLD
    ahead = acc - large["van de Ven and Tolias"]
    told = ahead["in_a_row", True], acc["in_a_row", True] - large.loc[("in_a_row", True), "Henning et al."]
    in_a_row = "told by {:.3f} ({:.3f} of Henning et al.), not told by {:.3f}.".format(*told, ahead["in_a_row", False])
    assert in_a_row in TOLD
    both = [ahead[method, told] for told in (True, False) for method in ("ewc", "si")]
    assert "ahead, told by {:.3f} and {:.3f}, not told by {:.3f} and {:.3f}. In".format(*both) in TOLD


def test_what_published_settings_reach():
    table = with_published_settings()
    kept, theirs = table["ACC"], table[SOURCES[0]]
    ours, raw, torch, both = kept[["in_a_row-per_task", "raw-per_task", "torch-per_task", "raw_torch-per_task"]]
    said = f"keeps {ours:.4f} with their steps too; with raw pixels {raw:.4f}, with PyTorch's weights {torch:.4f}, "
    assert said + f"with both {both:.4f}. That is four standard deviations" in TOLD
    deviation = 0.0048 * 20**0.5  # from the standard error of 20 seeds
    assert f"({deviation:.3f} each) below their {theirs['in_a_row-per_task']:.4f}, and" in TOLD
    assert round((theirs["in_a_row-per_task"] - both) / deviation) == 4
    assert both < theirs["in_a_row-per_task"] < min(raw, torch) < max(raw, torch) < ours - 0.05
    not_told = kept["in_a_row-shared"], kept["raw_torch-shared"], theirs["in_a_row-shared"]
    said = "keeps {:.4f} with our pixels and weights, {:.4f} with theirs, a tenth below the published {:.4f}."
    assert said.format(*not_told) in TOLD and round(not_told[-1] - not_told[1], 1) == 0.1
    for name in ("ewc-shared", "si-shared"):
        assert kept[name] < theirs[name] - 0.02


def test_what_the_other_methods_reach_with_a_hundred_tasks():
    table = compared_on_a_hundred()
    acc = {(row["method"], row["told"]): row["ACC"] for _, row in table.iterrows()}
    one_head = [acc[method, False] for method in ("rehearsal", "ewc", "si")]
    assert "stored images of each {:.3f}, with EWC {:.3f}, with SI {:.3f}.".format(*one_head) in TOLD
    assert max(value for (method, told), value in acc.items() if not told and method != "joint") < 0.6
    tried = over_seeds("search_methods_100").query("method == 'ewc' and not told").sort_values("ACC")
    raw, centred = (tried[tried["pixels"] == pixels].iloc[-1] for pixels in ("raw", "centred"))
    assert raw.name.endswith("strength3") and (tried["pixels"] == "raw").sum() == 3
    assert f"it has {raw['ACC']:.4f}, with centred ones {centred['ACC']:.4f}" in TOLD
    assert acc["joint", False] > 0.9
    for method in ("ewc", "si"):
        assert 0.02 < acc["hypernetwork", True] - acc[method, True] < 0.03
        assert round(acc[method, True] - acc["l2", True], 2) == 0.01
    assert acc["l2", True] > acc["rehearsal", True] + 0.05
    forgotten = table.loc[["ewc-per_task", "si-per_task"], "forgetting"]
    assert "(EWC {:.3f}, SI {:.3f})".format(*forgotten) in TOLD and forgotten.max() < 0.015
    assert acc["rehearsal", True] < acc["in_a_row", True]
    matrices = [AccuracyMatrix(read_metrics(f"outputs/methods_100/ewc-per_task-s{seed}")) for seed in range(3)]
    assert f"EWC loses {np.mean([m.just_learned[0] - m.final[0] for m in matrices]):.2f} of task 0" in TOLD
    strong, weak = (read_summary(f"outputs/search_methods_100/faster_ewc-per_task-strength{n}") for n in (10, 3))
    assert f"validation images, {strong['ACC']:.4f} and {weak['ACC']:.4f}, and forgets" in TOLD
    assert f"{strong['forgetting']:.3f} in place of {weak['forgetting']:.3f}.)" in TOLD
    first, last = (
        np.mean([matrix.just_learned[part] for matrix in matrices]) for part in (slice(10), slice(-10, None))
    )
    assert f"the first ten tasks are learned at {first:.3f}, the last ten at {last:.3f}" in TOLD
    assert f"and reaches {acc['joint', True]:.4f} told (one" in TOLD
    numbers = (table["parameters"] + table["stored"]) / 1e6
    sizes = numbers["ewc-per_task"], numbers["big_network_big_regularization"]
    assert "keeps {:.1f} million numbers, the hypernetwork {:.1f}.".format(*sizes) in TOLD
    separate = over_seeds("separate")
    small, middle = separate.loc["units_10"], separate.loc["units_39"]
    assert f"{small['parameters']:,} numbers in all, have {small['ACC']:.4f}" in TOLD
    assert acc["si", True] - 0.003 < small["ACC"] < acc["si", True] < acc["ewc", True]
    wide = over_seeds("methods_wide")
    row = wide.loc["ewc"]
    assert f"which makes it {(row['parameters'] + row['stored']) / 1e6:.1f} million, EWC has {row['ACC']:.4f} (" in TOLD
    assert wide.loc["validation-rate0.003", "ACC"] > wide.loc["validation-rate0.01", "ACC"]
    assert f"3.4 million numbers, `ewc` has {row['ACC']:.3f}" in TOLD and f"{row['per_task']:,} numbers a task" in TOLD
    assert f"with {middle['parameters'] / 1e6:.1f} million, {middle['ACC']:.4f}" in TOLD


def test_what_made_the_best_run_better():
    acc, dropped, units = [over_seeds(file)["ACC"] for file in ("search_best", "search_dropout", "best_units")]
    assert f"not twice the steps ({acc['steps_2000']:.4f} in place of {acc['base']:.4f}" in TOLD
    assert f"twice as large ({acc['batch_1024']:.4f})" in TOLD
    by_share = dropped[dropped.index.str.startswith("best-")]
    kept = load_experiments(PROJECT / "params" / "best.yaml")[0].input_dropout
    assert by_share.idxmax() == f"best-input_dropout{kept}"
    shares = [by_share[f"best-input_dropout{share}"] for share in (0.3, 0, 0.2, 0.4)]
    words = "{:.4f} with three tenths, in place of {:.4f} (seed 0; {:.4f} with two, {:.4f} with four".format(*shares)
    assert words in TOLD
    first, *_, last = load_experiments(PROJECT / "params" / "search_best.yaml")
    more = [last.sizes.n_parameters(n) / first.sizes.n_parameters(n) - 1 for n in (12, 100)]
    assert f"did, too ({acc['units_4000']:.4f}, with {more[0]:.0%} more numbers" in TOLD
    assert f"with a hundred tasks they are {more[1]:.0%}" in TOLD
    wide, narrow = [
        np.mean([read_summary(f"outputs/best_units/units_{n}-s{seed}")["ACC"] for seed in (1, 2)]) for n in (4000, 2000)
    ]
    assert f"4,000 units reach {wide:.4f}, and so do 2,000" in TOLD and abs(wide - narrow) < 0.0001


def test_the_same_experiment_with_other_random_numbers():
    asked, reached = [], []
    for name in ("search_more/rate_6e-4_factor_500", "search_best/base-s0"):
        asked.append(kept_experiment(PROJECT / "outputs" / name).model_dump(exclude={"run_name", "logdir"}))
        reached.append(read_summary(f"outputs/{name}")["ACC"])
    assert asked[0] == asked[1]
    assert "the same experiment had {:.4f} and {:.4f} on validation images".format(*reached) in TOLD


def test_what_is_right_when_nobody_names_the_task():
    table, searched = without_oracle("without_oracle"), without_oracle("search_inference")
    one, three = (table.loc[("hundred", "logsumexp", together)] for together in (1, 3))
    assert f"get the digit of {one['class_right']:.4f} of single images right" in TOLD
    assert f"{one['told'] - one['class_right']:.4f} less than told" in TOLD
    assert f"task right {one['task_right']:.4f}, digit right {one['class_right']:.4f}" in TOLD
    assert f"with three images together {abs(three['told'] - three['class_right']):.4f} below" in TOLD
    plain = [table.loc[("hundred_not_taught", score, 1), "task_right"] for score in ("logsumexp", "entropy")]
    assert f"{plain[0]:.3f} by log-sum-exp and in {plain[1]:.3f} by entropy" in TOLD and max(plain) < 0.95
    many = table.loc[("two_hundred_and_fifty", "logsumexp", 1)]
    more = f"With 250 tasks of 200 steps the task is right in {many['task_right']:.4f}, the digit in"
    assert f"{more} {many['class_right']:.4f}, {many['told'] - many['class_right']:.4f} below" in TOLD
    thousands, together = (table.loc[("thousands", "logsumexp", n)] for n in (1, 3))
    right = [thousands[name] for name in ("task_right", "class_right")] + [thousands["told"] - thousands["class_right"]]
    assert "task right {:.4f}, digit right {:.4f}, {:.4f} below the task told".format(*right) in TOLD
    assert f"(2,500 tasks, one seed: {thousands['class_right']:.4f})" in TOLD and together["task_right"] == 1
    told = AccuracyMatrix(read_metrics("outputs/without_oracle/thousands"))
    assert f"ACC is {told.acc:.4f}, the worst task {told.worst:.4f}; 38 minutes" in TOLD
    assert round(read_summary("outputs/without_oracle/thousands")["seconds"] / 60) == 38
    missed = 25_000 * (1 - table.loc[("thousands", "mean_image", 1), "task_right"])
    assert "with 2,500 tasks of all but one of 25,000" in TOLD and round(missed, 6) == 1
    for run in ("hundred", "two_hundred_and_fifty"):
        assert table.loc[(run, "mean_image", 1), "task_right"] == 1  # every single image
    learned = AccuracyMatrix(read_metrics("outputs/without_oracle/hundred_not_taught")).just_learned
    assert f"are learned worse, {learned[20:].mean():.3f} in place of {learned[:20].mean():.3f}" in TOLD
    right = searched["task_right"].xs("logsumexp", level="score").xs(1, level="together")
    assert f"know them in {right['plain']:.3f}, see below" in TOLD
    assert f"image in {right['plain']:.3f}, with centred pixels in {right['centred']:.3f}" in TOLD
    assert f"with 16 outliers in {right['taught']:.4f}" in TOLD
    both = [f"{x:.4f}" for x in published()["both_right"]]
    assert f"both right by entropy, are {both[0]}, and {both[1]} with a distribution" in TOLD
    ours = table.loc[("hundred_not_taught", "entropy", 1), "both_right"], one["both_right"]
    assert "Ours has {:.4f} not taught, far below them, and {:.4f} taught".format(*ours) in TOLD


def test_what_is_right_of_split_tasks():
    table, found, searched = split().loc["mlp"], without_oracle("split"), without_oracle("search_split")
    taught, plain, alone, replay = (
        table.loc[name, "class"] for name in ("hypernetwork", "hypernetwork_not_taught", "separate", "rehearsal")
    )
    told = table.loc["joint", "told"] - table["told"]
    assert set(told[told > 0.005].index) == {"in_a_row", "l2"}  # the others are within half a hundredth of joint
    assert f"digit right in {taught:.4f} of single images in place of {plain:.4f}" in TOLD
    assert f"stored images of each task ({replay:.4f}, with a fourteenth of the numbers)" in TOLD
    assert abs(taught - replay) < 0.001 and replay < table.loc["rehearsal", "published class"]
    numbers = table["parameters"] + table["stored"]
    assert int(numbers["hypernetwork"] / numbers["rehearsal"]) == 14
    three, ten = (found.loc[("hypernetwork-mlp", "logsumexp", n)] for n in (3, 10))
    assert f"together it is {three['both_right']:.4f}, with ten {ten['both_right']:.4f}" in TOLD
    assert ten["both_right"] == ten["told"]
    assert f"taught alike, are {alone - taught:.4f} ahead of it, with fewer numbers" in TOLD
    by_mean = found.loc[("hypernetwork-mlp", "mean_image", 1), "task_right"]
    assert f"finds the task of {by_mean:.4f} of single images" in TOLD
    names = ("separate-outliers64", "separate_shuffled", "separate-outliers0", "separate-outliers256")
    right = [f"{searched.loc[(name, 'logsumexp', 1), 'both_right']:.4f}" for name in names]
    assert "in {} turned and {} shuffled; with none in {}, with 256 turned ones in {} (".format(*right) in TOLD
    held = [table.loc[method, "class"] for method in ("ewc", "si")]
    assert "EWC reaches {:.4f} and SI {:.4f}".format(*held) in TOLD
    low = [table.loc[method, "class"] for method in ("l2", "in_a_row")]
    assert "alike (L2) brings {:.4f}, a low rate alone {:.4f}".format(*low) in TOLD
    assert f"published for EWC is {table.loc['ewc', 'published class']:.4f}" in TOLD
    accuracy = over_seeds("search_split")["ACC"]
    at_default = accuracy[accuracy.index.str.match("class-ewc-strength")].max()
    lower = accuracy[accuracy.index.str.match("class-ewc-rate1e-05")].max()
    assert f"no strength brings EWC above {at_default:.4f}, and at 1e-5 it has {lower:.4f}" in TOLD


def test_what_is_right_of_split_tasks_with_lenet():
    table, mlp = split().loc["lenet"], split().loc["mlp"]
    taught, plain, alone, replay = table.loc[
        ["hypernetwork", "hypernetwork_not_taught", "separate", "rehearsal"], "class"
    ]
    assert f"digit right in {taught:.4f}, not taught in {plain:.4f}, and is {taught - alone:.4f} ahead of" in TOLD
    assert f"separate networks ({alone:.4f}), about the spread" in TOLD
    assert abs(taught - alone) < 2 * table.loc["hypernetwork", "class sd"]
    assert f"ahead of both, {replay:.4f}. " in TOLD and replay > max(taught, alone)
    methods = ["ewc", "si", "l2"]
    assert (
        "eight times the weights: EWC {:.4f}, SI {:.4f}, L2 {:.4f}. A low".format(*table.loc[methods, "class"]) in TOLD
    )
    assert (table.loc[methods, "class"] < mlp.loc[methods, "class"] - 0.05).all()
    low = [over_seeds(f"search_split{end}").loc["class-in_a_row-rate1e-05", "just learned"] for end in ("_lenet", "")]
    assert "LeNet learns a task to {:.2f} in 500 steps on average, the MLP to {:.2f} (".format(*low) in TOLD
    in_a_row, dense = (tables.loc["in_a_row"] for tables in (table, mlp))  # it forgets more, and not alike in all seeds
    assert in_a_row["told"] < dense["told"] and in_a_row["told sd"] > 5 * dense["told sd"]
    assert set(table.index) == set(mlp.index)


@needs_mnist
def test_a_high_rate_leaves_hardly_any_fisher_information_of_a_split_task():
    asked = next(
        e for e in load_experiments(PROJECT / "params" / "search_split.yaml") if e.run_name.startswith("class-ewc")
    )
    for rate, information, tolerance in [(1e-3, 0.14, 0.05), (1e-5, 24, 2)]:
        learner = build(asked.model_copy(update={"learning_rate": rate})).learner
        learner.learn(0)
        assert learner.importance.numpy().sum() == pytest.approx(information, abs=tolerance)
    assert "information of task 0 is 0.14 after learning at 1e-3, and 24 at 1e-5" in TOLD


def test_what_freezing_does_on_permutations_and_where_the_first_tasks_are_narrow():
    assert f"reach {over_seeds('memory').loc['frozen-freeze_shared_after1', 'ACC']:.4f} (`params/memory.yaml`)" in TOLD
    held, frozen, later = [
        AccuracyMatrix(read_metrics(f"outputs/memory/narrow_{name}"))
        for name in ("held", "frozen-freeze_shared_after5", "frozen-freeze_shared_after20")
    ]
    assert f"the ninety that follow stay at {frozen.final[10:].mean():.3f}" in TOLD
    assert f"tasks 20 to 99 reach {later.final[20:].mean():.3f}" in TOLD
    assert f"fall to {later.final[10:20].mean():.3f}" in TOLD
    learned, kept = held.just_learned[10:].mean(), held.final[10:].mean()
    assert f"learned at {learned:.3f}, and forgotten down to {kept:.3f}" in TOLD


def test_how_ten_tasks_come_out_where_numbers_are_dear():
    (sizes,) = [e.sizes for e in load_experiments(PROJECT / "params" / "best.yaml") if e.run_name == "best_500-s0"]
    after_ten = [AccuracyMatrix(read_metrics(f"outputs/best_500-s{seed}")).after(10).mean() for seed in range(3)]
    counted = f"{sizes.n_parameters(10):,} numbers and {sizes.shared:,} more kept to remember by"
    assert f"`best_500` has {np.mean(after_ten):.4f}, three seeds, from {counted}" in TOLD
    ten = AccuracyMatrix(read_metrics("outputs/separate/units_100")).final[:10].mean()
    assert f"784-100-10 have 795,100 and {ten:.4f}, seed 0" in TOLD
    wide = compared().loc["separate"]
    assert f"784-300-10 have {wide['parameters']:,} and {wide['ACC']:.4f}, three seeds" in TOLD
    assert f"as accurate with {sizes.n_parameters(10):,}" in TOLD and np.mean(after_ten) >= wide["ACC"]


def test_when_separate_networks_are_the_better_answer():
    table = by_size()
    big, small = table.loc["big_network_big_regularization"], table.loc["units_39"]
    ten = Experiment(run_name="big").sizes
    counted = f"{10 * ten.n_weights:,} numbers, the hypernetwork that writes them {ten.n_parameters(10):,}"
    assert f"Ten target networks of 784-300-10 have {counted}" in TOLD
    assert round(100 * ten.n_weights / ten.n_parameters(100)) == 8
    assert f"have {small['parameters'] / big['parameters'] - 1:.0%} more than it and are more accurate than" in TOLD
    assert f"({small['ACC']:.4f} against {big['ACC']:.4f})" in TOLD and small["ACC"] > big["ACC"]
    few, rival = table.loc["few_chunks"], table.loc["units_39_as_few_chunks"]
    kept = load_experiments(PROJECT / "params" / "few_chunks.yaml")[0].size["stored"]
    counted = f"{few['parameters']:,} numbers (and a copy while it learns)"
    assert f"`few_chunks` has {counted} and reaches {few['ACC']:.4f} (three seeds)" in TOLD
    assert f"keeps a copy of {kept:,} numbers besides" in TOLD
    wider = table.loc["units_100"]
    assert few["parameters"] + kept < wider["parameters"] and few["ACC"] < wider["ACC"]
    at_that_size = np.interp(
        np.log(few["parameters"] + kept),
        np.log([rival["parameters"], wider["parameters"]]),
        [rival["ACC"], wider["ACC"]],
    )
    assert at_that_size > few["ACC"]  # so separate networks of as many numbers, the copy counted in, are ahead
    short = table.loc["rows-task_embedding_dim17"]
    assert f"half as many in all, {short['parameters']:,}, and {short['ACC']:.4f}" in TOLD
    shared = [size["parameters"] - 100 * size["per_task"] for size in (few, short)]
    assert -(-(shared[0] - shared[1]) // (short["per_task"] - few["per_task"])) == 216
    more = rival["parameters"] / few["parameters"] - 1
    assert f"separate networks with {more:.0%} more, trained alike, {rival['ACC']:.4f}" in TOLD
    both = f"({rival['ACC']:.4f}, where both drop a tenth of the pixels, against {few['ACC']:.4f})"
    assert both in TOLD and few["ACC"] > rival["ACC"]
    reached = f"{few['ACC']:.4f} ± {few['sd']:.4f}, worst task {few['worst']:.4f}, {few['ACC'] - big['ACC']:.4f} above"
    assert f"`few_chunks` reaches {reached}" in TOLD and few["runs"] == 3
    searched = over_seeds("search_chunks")["ACC"]
    found = [f"{searched[f'chunks_{n}']:.4f}" for n in (15, 8, 4)]
    assert "15, 8 and 4 chunks, {}, {} and {} (".format(*found) in TOLD
    shares = [f"{searched[f'separate_39-input_dropout{share}']:.4f}" for share in (0.1, 0)]
    assert f"({shares[0]} in place of {shares[1]} on validation images)" in TOLD
    assert f"a hundred numbers in place of {small['per_task']:,}" in TOLD and big["per_task"] == 100
    of_rows = table[table["method"] == "an embedding for each chunk"].sort_values("parameters")
    alone = table[table["method"] == "separate networks"].sort_values("parameters")
    for column in ("per_task", "parameters"):  # above the line through the separate networks, either way
        line = np.interp(np.log(of_rows[column]), np.log(alone[column]), alone["ACC"])
        assert (of_rows["ACC"] > line).all()


def test_what_rounding_costs():
    table = rounded("outputs/best-s0")
    acc = table["ACC"]
    assert f"({acc[32]:.4f} before and {acc[8]:.4f} after, seed 0)" in TOLD
    assert f"to 6 bits {acc[32] - acc[6]:.4f}; to 4 bits {acc[32] - acc[4]:.4f}" in TOLD
    assert f"one task falls to {table.loc[4, 'worst']:.2f}" in TOLD


def test_its_figures_are_the_ones_that_make_report_draws(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "FIGURES", tmp_path)
    report.draw()
    drawn = sorted(tmp_path.iterdir())
    assert [file.name for file in drawn] == sorted(file.name for file in (PROJECT / "docs" / "images").iterdir())
    number = r"-?\d+\.\d+"  # processors may differ in a last digit
    for file in drawn:
        here, there = file.read_text(), (PROJECT / "docs" / "images" / file.name).read_text()
        assert re.split(number, here) == re.split(number, there)
        np.testing.assert_allclose(*[np.float64(re.findall(number, svg)) for svg in (here, there)], atol=0.01)
