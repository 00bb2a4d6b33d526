"""The exercises of notebook 07: open as handed out, solved in the solutions, mistakes named; and those of lessons."""

import re
import subprocess
import sys

import nbformat
import numpy as np
import pytest

from experiments.store import PROJECT

NOTEBOOKS = PROJECT / "notebooks"
sys.path.insert(0, str(NOTEBOOKS))

import checks  # noqa: E402  (the notebooks' own module, beside them)

EXERCISES, SOLUTIONS = [
    nbformat.read(NOTEBOOKS / f"07_{name}.ipynb", as_version=4).cells for name in ("exercises", "solutions")
]
UPDATE = """    embeddings, theta = embeddings - rate * d_embeddings, theta - rate * d_theta
    _, d_theta = memory_gradients(embeddings, theta)"""
REMEMBER_FIRST = """    _, d_memory = memory_gradients(embeddings, theta)
    embeddings, theta, d_theta = embeddings - rate * d_embeddings, theta - rate * d_theta, d_memory"""
# Two typical mistakes or more for each exercise: what to change in the solution, and words that the check must say.
MISTAKES = {
    1: [
        ("[:P]", "", "surplus is not dropped"),
        ("[:P]", "[-P:]", "dropped at the front"),
        (" + b", "", "bias b is missing"),
        (" + v", "", "bias v is missing"),
        ("np.maximum(x @ V + v, 0)", "x @ V + v", "ReLU is missing"),
        ("[c, np.tile(e, [len(c), 1])]", "[np.tile(e, [len(c), 1]), c]", "halves of x are swapped"),
        ("chunks.reshape", "chunks.T.reshape", "lie across each other"),
        ("chunks.reshape(-1)[:P]", "chunks", "one flat vector"),
    ],
    2: [
        ("(N + C) * E", "(1 + C) * E", "not one"),
        ("(N + C) * E", "C * E", "task embeddings are not counted"),
        ("(N + C) * E", "N * E", "chunk embeddings are not counted"),
        ("2 * E", "E", "reads both embeddings"),
        (" + units for", " for", "trunk's biases are missing"),
        ("(widths[-1] + 1)", "widths[-1]", "head's bias is missing"),
        ("math.ceil(P / C)", "P // C", "rounded up"),
        ("math.ceil(P / C)", "P / C", "rounded up"),
        ("math.ceil(P / C)", "(P // C + 1)", "not one more"),
        ("math.ceil(P / C)", "P", "one chunk, not all P"),
        ("(widths[-1] + 1)", "(hidden_dims[-1] + 1)", "hidden_dims may be empty"),
    ],
    3: [
        ("np.append(g, np.zeros(surplus))", "np.append(np.zeros(surplus), g)", "at the end of g"),
        ("np.append(g, np.zeros(surplus))", "g", "pad it with a zero"),
        (".reshape(len(h), S)", ".reshape(S, len(h)).T", "lie across each other"),
        ("h.T @ G,", "(h.T @ G).T,", "transposed"),
        ("h.T @ G,", "h.T @ G / len(h),", "do not take their mean"),
        ("G.sum(axis=0)", "G", "still has a row for each chunk"),
        ("G.sum(axis=0)", "G.mean(axis=0)", "do not take their mean"),
        ("G.sum(axis=0)", "G.sum(axis=1)", "sum over the chunks"),
        (", G.sum(axis=0)", "", "return two things"),
    ],
    4: [
        ("learned - 1, task", "learned, task", "rows count from 0"),
        ("learned - 1, task", "task, learned - 1", "exchanged"),
        ("np.nan", "0.0", "must be NaN"),
        ("learned - 1, task", "learned % N, task", "wrapped around"),
        ("[N, N]", "[N + 1, N]", "should have the shape [3, 3]"),
    ],
    5: [
        ("last.mean()", "np.diag(R).mean()", "not off the diagonal"),
        ("last.mean()", "np.nanmean(R)", "not off the whole matrix"),
        ("last.mean()", "last[:-1].mean()", "over all tasks"),
        ("(last - np.diag(R))", "(np.diag(R) - last)", "BWT has the wrong sign"),
        ("(last - np.diag(R))[:-1]", "(last - np.diag(R))", "N - 1 tasks"),
        ("(best - last[:-1])", "(last[:-1] - best)", "forgetting has the wrong sign"),
        ("np.nanmax(R[:-1, :-1], axis=0)", "np.diag(R)[:-1]", "this is -BWT"),
        ("np.nanmax(R[:-1, :-1], axis=0)", "np.nanmax(R[:, :-1], axis=0)", "over the last row too"),
        ("np.nanmax(", "np.max(", "forgetting is NaN"),
        (", (best - last[:-1]).mean()", "", "return three numbers"),
    ],
    6: [
        (", 2 * beta / len(W) *", ", -2 * beta / len(W) *", "wrong sign"),
        ("beta / len(W) * (", "beta * (", "forgotten in the loss"),
        (", 2 * beta / len(W) *", ", 2 * beta *", "forgotten in the gradient"),
        (", 2 * beta", ", beta", "2 that comes down"),
        (".sum()", ".mean()", "not their mean"),
        (", 2 * beta / len(W) *", ", 2 / len(W) *", "beta is missing in the gradient"),
        ("len(W) * change", "len(W) * change.sum(axis=0)", "do not sum over them"),
        ("change**2", "change", "not squared"),
    ],
    7: [
        ("_, d_theta = memory_gradients(embeddings, theta)", "d_theta = 0", "second update is missing"),
        (", theta - rate * d_theta\n    _", ", theta\n    _", "first update is missing"),
        (UPDATE, REMEMBER_FIRST, "where the step began"),
        ("return embeddings,", "return embeddings - rate * _,", "are frozen"),
        ("embeddings - rate * d_embeddings, theta", "embeddings, theta", "does not move"),
        ("embeddings - rate", "embeddings + rate", "embeddings go uphill"),
        (", theta - rate * d_theta\n    _", ", theta + rate * d_theta\n    _", "uphill in the first"),
        ("return embeddings, theta - rate", "return embeddings, theta + rate", "uphill in the second"),
        ("embeddings, theta = embeddings - rate", "embeddings -= rate * d_embeddings; _, theta = embeddings", "a copy"),
    ],
    8: [
        ("d @ A + h_then @ D + e", "h @ A + b - (h_then @ A_then + b_then)", "digits are lost"),
        (" + e", "", "change b - b* of the bias is missing"),
        (" + e", " + b", "only its change belongs"),
        ("h_then @ D", "h @ D", "counted twice"),
        ("d @ A ", "d @ A_then ", "d D is missing"),
        ("d @ A + h_then @ D + e", "-(d @ A + h_then @ D + e)", "sign is wrong"),
    ],
    9: [
        ("(3 * C)", "3", "a task has C of them"),
        ("math.ceil(4 * k / (3 * C))", "4 * k // (3 * C)", "rounded down"),
        ("math.ceil(4 * k / (3 * C))", "4 * k / (3 * C)", "not rounded up"),
        ("(3 * C)", "(2 * C)", "three wide products"),
        ("4 * k", "2 * k", "four wide products"),
        ("4 * k / (3 * C)", "3 * k / (4 * C)", "exchanged"),
        ("math.ceil(4 * k / (3 * C))", "4 * k // (3 * C) + 1", "both cost the same"),
    ],
    10: [
        ("generate((1 - t) * e_0 + t * e_1)", "(1 - t) * generate(e_0) + t * generate(e_1)", "between the embeddings"),
        ("(1 - t) * e_0 + t * e_1", "t * e_0 + (1 - t) * e_1", "backwards"),
        ("np.linspace(0, 1, n)", "np.arange(n) / n", "stops before e_1"),
        ("np.linspace(0, 1, n)", "np.linspace(0, 1, n + 2)[1:-1]", "leaves out both ends"),
        ("generate((1 - t) * e_0 + t * e_1)", "(1 - t) * e_0 + t * e_1", "let generate write"),
        ("np.linspace(0, 1, n)", "np.linspace(0, 1, 4)", "should have the shape [5, 7]"),
    ],
    11: [
        ("gradient + strength", "strength", "own gradient is missing"),
        ("gradient + strength", "gradient - strength", "wrong sign"),
        ("strength * information", "2 * strength * information", "a factor 2 too many"),
        ("strength * information", "information", "strength is missing"),
        ("strength * information", "strength", "held equally"),
        (" * (w - anchor)", "", "w - anchor is missing"),
        ("(w - anchor)", "w", "towards zero"),
        (
            "strength * information * (w - anchor)",
            "(strength / 2 * information * (w - anchor) ** 2).sum()",
            "not the penalty itself",
        ),
    ],
    12: [
        ("fall = -(", "fall = (", "wrong sign"),
        (" + damping", "", "damping is missing"),
        ("(path[-1] - path[0]) ** 2", "abs(path[-1] - path[0])", "not squared"),
        (" / ((path[-1] - path[0]) ** 2 + damping)", "", "the fall of the loss alone"),
        ("(path[-1] - path[0]) ** 2", "(np.diff(path, axis=0) ** 2).sum(axis=0)", "from start to end"),
        (".sum(axis=0)", ".mean(axis=0)", "not take their mean"),
        (".sum(axis=0)", ".sum(axis=1)", "not yet"),
    ],
    13: [
        ("largest + np.log(np.exp(logits - largest[..., None]).sum(axis=2))", "largest", "others belong to the sum"),
        ("largest + np.log(", "np.log(", "add it again"),
        ("largest + np.log(np.exp(logits - largest[..., None])", "np.log(np.exp(logits)", "1000 is infinite"),
        (".sum(axis=2)", ".mean(axis=2)", "logarithm of their mean"),
        ("scores.sum(axis=0).argmax()", "scores.argmax(axis=1)", "a task for each image"),
        ("scores.sum(axis=0).argmax()", "scores.sum(axis=0).max()", "the highest sum itself"),
        (".argmax()", ".argmin()", "the highest wins"),
        ("scores.sum(axis=0)", "scores.sum(axis=1)", "sums over the tasks"),
        ("scores.sum(axis=0)", "scores[0]", "first image alone"),
        ("return scores, ", "return ", "return two things"),
    ],
    14: [
        (", labels].mean()", ", labels].sum()", "take the mean"),
        (", labels].mean()", ", labels].sum() / len(logits)", "divide by B + O"),
        ("return -", "return ", "wrong sign"),
        ("np.full(len(outlier_logits), logits.shape[1])", "np.full(len(outlier_logits), 0)", "its first class"),
        ("np.exp(z).sum(", "np.exp(z[:, :-1]).sum(", "exp(0) = 1"),
        (", labels].mean()", ", labels][: len(logits)].mean()", "outliers are missing"),
        (", labels].mean()", ", labels][len(logits) :].mean()", "images are missing"),
    ],
}


def answer(cells, number):
    return next(cell.source for cell in cells if cell.id == f"answer-{number}")


def verdict(number, source, capsys):
    """What the notebook's own check cell says of a function's source."""
    names = {"np": np, "checks": checks}
    exec("import math\n" + source, names)
    exec(next(cell.source for cell in EXERCISES if cell.id == f"check-{number}"), names)
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def no_exercise_done():
    checks.RIGHT.clear()


@pytest.mark.parametrize("number", MISTAKES)
def test_the_check_says_right_to_the_solution(number, capsys):
    assert verdict(number, answer(SOLUTIONS, number), capsys) == f"Exercise {number}: right.\n"


@pytest.mark.parametrize(
    "number, correct, wrong, words", [(number, *mistake) for number, some in MISTAKES.items() for mistake in some]
)
def test_a_typical_mistake_is_named(number, correct, wrong, words, capsys):
    solution = answer(SOLUTIONS, number)
    mistaken = solution.replace(correct, wrong)
    assert mistaken != solution
    said = verdict(number, mistaken, capsys)
    assert said.startswith(f"Exercise {number}: not yet: ") and words in said, said


@pytest.mark.parametrize("number", MISTAKES)
@pytest.mark.parametrize(
    "body, words",
    [
        ("...", "returns nothing"),
        ("raise NotImplementedError", "returns nothing"),
        ("return 1 / 0", "stops with ZeroDivisionError"),
        ("return 'a'", "not yet"),
        ("return []", "not yet"),
        ("return np.zeros([2, 2])", "not yet"),
    ],
)
def test_no_answer_makes_a_check_fall_over(number, body, words, capsys):
    heading = answer(EXERCISES, number).replace("...  # your lines here", body)
    said = verdict(number, heading, capsys)
    assert said.startswith(f"Exercise {number}: not yet: ") and words in said, said


def test_as_handed_out_every_exercise_is_open_and_only_the_last_cell_fails(monkeypatch, capsys):
    names = {}
    monkeypatch.chdir(NOTEBOOKS)
    *cells, last = [cell for cell in EXERCISES if cell.cell_type == "code"]
    for cell in cells:
        assert not cell.outputs
        exec(cell.source, names)
    said = capsys.readouterr().out.splitlines()
    assert [line.split(": your")[0] for line in said] == [f"Exercise {n}: not yet" for n in MISTAKES]
    with pytest.raises(checks.NotAllRight, match="still open: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14"):
        exec(last.source, names)


def test_one_right_answer_is_counted_and_the_rest_is_still_open(capsys):
    verdict(2, answer(SOLUTIONS, 2), capsys)
    with pytest.raises(checks.NotAllRight, match="still open: 1, 3, 4"):
        checks.finish()
    assert capsys.readouterr().out == f"1 of {len(MISTAKES)} exercises are right.\n"


@pytest.mark.filterwarnings("error")
def test_a_right_answer_that_looks_at_the_empty_column_too_shows_no_warning(capsys):
    other = answer(SOLUTIONS, 5).replace("np.nanmax(R[:-1, :-1], axis=0)", "np.nanmax(R[:-1], axis=0)[:-1]")
    assert "axis=0)[:-1]" in other
    assert verdict(5, other, capsys) == "Exercise 5: right.\n"


def test_both_notebooks_ask_the_same_and_check_the_same():
    def shared(cells):
        kinds = "words|imports|part|exercise|check|all|finish"
        return {cell.id: cell.source for cell in cells if re.match(kinds, cell.id)}

    assert shared(EXERCISES) == shared(SOLUTIONS)
    assert [cell.id for cell in EXERCISES[1:]] == [c.id for c in SOLUTIONS if c.id in {e.id for e in EXERCISES[1:]}]
    for number in range(1, checks.N_EXERCISES + 1):
        heading = answer(EXERCISES, number).split("    ...")[0]
        assert heading and answer(SOLUTIONS, number).startswith(heading)


def of_lessons():
    """The exercises at the end of every lesson, by their numbers: `03.2`."""
    found = {}
    for path in NOTEBOOKS.glob("[0-9]*.ipynb"):
        last = nbformat.read(path, as_version=4).cells[-1].source
        asked = re.split("^## (?:Exercises|Change one number)$", last, flags=re.M)[1:]
        for number, text in re.findall(r"^(\d+)\. (.+)$", "".join(asked), flags=re.M):
            found[f"{path.name[:2]}.{number}"] = text
    return found


def test_every_exercise_of_every_lesson_is_solved_as_it_is_asked():
    solved = {}
    for path in NOTEBOOKS.glob("solutions_*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            for number, asked in re.findall(r"^### (\d\d\.\d): .+\n\n> (.+)$", cell.source, flags=re.M):
                assert number not in solved
                solved[number] = asked
    assert solved == of_lessons() and len(solved) > 40


def test_a_folder_of_hand_ins_is_graded_and_what_is_wrong_is_said(tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    (given / "bob.ipynb").write_text("no notebook")
    notebook = nbformat.read(NOTEBOOKS / "07_solutions.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("h.T @ G,", "h.T @ G / len(h),") if cell.id == "answer-3" else cell.source
        cell.source = "while True:\n    pass" if cell.id == "check-4" else cell.source  # a check of theirs is not ours
    notebook.cells = [cell for cell in notebook.cells if cell.id != "answer-5"]
    notebook.cells[0].source = "import os\nos._exit(1)"  # nor are cells of their own
    (fourth,) = [cell for cell in notebook.cells if cell.id == "answer-4"]
    fourth.source += "\nprint('Exercise 3: right.')"  # what an answer prints is no verdict
    nbformat.write(notebook, given / "ada.ipynb")
    done = subprocess.run([sys.executable, "-m", "experiments.grade", given], capture_output=True, text=True)
    ada, third, fifth, bob = done.stdout.splitlines()
    assert ada == "ada.ipynb: 12 of 14 are right"
    assert third.startswith("    3: not yet: ") and "do not take their mean" in third
    assert fifth.startswith("    5: no verdict") or fifth.startswith("    5: not yet: ")
    assert bob == f"{given / 'bob.ipynb'} cannot be read as a notebook (NotJSONError)"
    assert (tmp_path / "given_graded" / "ada.ipynb").exists()
    again = subprocess.run([sys.executable, "-m", "experiments.grade", given], capture_output=True, text=True)
    assert (again.returncode, again.stdout) == (1, "") and "is there already; move it away" in again.stderr
