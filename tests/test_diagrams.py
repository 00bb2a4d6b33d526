"""The drawings say what they are given, each part once, and nothing in them covers anything else."""

import re
from collections import Counter
from itertools import combinations, compress

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.path import Path

from experiments.diagrams import hypernetwork, lines_kept, products, task_family, with_numbers

SMALL = np.random.default_rng(0)
EXAMPLE = {  # of other numbers than the lesson's, the first of h cut off
    "x": np.array([[1, -2, 1, 2], [0, 1, 1, 2], [-2, -3, 1, 2], [5, 3, 1, 2]]),
    "V": np.array([[1, -1], [2, 1], [1, 0.5], [0, 1]]),
    "v": np.array([0, -1]),
    "A": np.array([[3, 1], [2, -4]]),
    "b": np.array([-2, 7]),
}
EXAMPLE["h"] = np.maximum(EXAMPLE["x"] @ EXAMPLE["V"] + EXAMPLE["v"], 0)
EXAMPLE["chunks"] = EXAMPLE["h"] @ EXAMPLE["A"] + EXAMPLE["b"]
PICTURE = np.array([[1, 0, 2], [0, 1, 0]])
IMAGES, LABELS = SMALL.random([2, 3, 2, 12]), SMALL.integers(10, size=[2, 3, 2])
FAMILIES = [list(zip(images, labels, strict=True)) for images, labels in zip(IMAGES, LABELS, strict=True)]
DRAWN = {
    "light": hypernetwork(),
    "dark": hypernetwork(dark=True),
    "with_numbers": with_numbers(**EXAMPLE, picture=PICTURE),
    "products": products(n=3000, k=351, S=7951),
    "products, few tasks": products(n=300, k=351, S=7951),
    "products, many tasks": products(n=30_000, k=71, S=1000),
    "task_family": task_family(
        dict(zip(["permuted:\nwhat changes", "split:\nwhat changes"], FAMILIES, strict=True)), (3, 4)
    ),
}


def said(figure):
    return [text.get_text().replace("\n", " ") for text in figure.axes[0].texts]


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_covers_a_text_and_all_can_be_read(name):
    figure = DRAWN[name]
    renderer = FigureCanvasAgg(figure).get_renderer()
    axes = figure.axes[0]
    boxes = {text: text.get_window_extent(renderer) for text in axes.texts}
    for text, box in boxes.items():
        assert text.get_size() >= 8
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
    for (one, here), (other, there) in combinations(boxes.items(), 2):
        assert not here.overlaps(there), (one, other)
    # An edge or a line may pass beside a text, or around it, not through it.
    first, last = np.transpose([[box.min, box.max] for box in boxes.values()], [1, 0, 2])  # corners [texts, 2]
    for shape in [*axes.patches, *axes.lines]:
        for part in shape.get_path().transformed(shape.get_transform()).to_polygons(closed_only=False):
            is_near = ((first < part.max(axis=0)) & (part.min(axis=0) < last)).all(axis=1)
            for text, box in compress(boxes.items(), is_near):
                assert not Path(part).intersects_bbox(box, filled=False), text


@pytest.mark.parametrize("page", ["light", "dark"])
def test_the_hypernetwork_names_each_of_its_parts_once(page):
    parts = [
        "hypernetwork", "chunk embeddings $c$", "task embedding $e$", "trunk $V$", "$h$  ", "head $A$, $b$",
        "$C$ chunks of $S$ weights", "weights $W$", "surplus", "earlier tasks' $W_t$", "snapshot $W_t^*$",
        "memory loss", "target network", "image", "logits", "cross- entropy", "forward", "gradient for this task",
        "gradient for earlier tasks",
    ]  # fmt: skip
    texts = said(DRAWN[page])
    assert {part: sum(text.startswith(part) for text in texts) for part in parts} == dict.fromkeys(parts, 1)
    assert Counter(texts)["kernel"] == Counter(texts)["bias"] == 2  # of two layers


def test_the_memory_loss_moves_what_tasks_share_and_no_task_embedding():
    axes = DRAWN["light"].axes[0]
    ends = {False: [], True: []}  # of arrows in colour, by whether they are dashed: where their heads point
    for arrow in axes.patches:
        if isinstance(arrow, FancyArrowPatch) and arrow.get_edgecolor()[:3] != (0, 0, 0):
            *_, head = arrow.get_path().to_polygons(closed_only=False)  # corner, tip, corner
            ends[arrow.get_linestyle() not in ("-", "solid")].append(head[1][0])
    parts = ("$c_0$", "$e$", "trunk", "head")
    middle = {part: text.get_position()[0] for part in parts for text in axes.texts if text.get_text().startswith(part)}
    moved = {dashed: [part for part in parts if np.isclose(ends[dashed], middle[part]).any()] for dashed in ends}
    assert moved == {False: ["$c_0$", "$e$", "trunk", "head"], True: ["$c_0$", "trunk", "head"]}


def test_a_dark_page_gets_the_same_drawing_in_other_colours():
    light, dark = DRAWN["light"], DRAWN["dark"]
    assert said(light) == said(dark)
    assert light.get_facecolor() == (1, 1, 1, 1) and max(dark.get_facecolor()[:3]) < 0.1
    assert {text.get_color() for text in light.axes[0].texts} == {"black"}
    assert {text.get_color() for text in dark.axes[0].texts} == {"#e6edf3"}


def test_the_example_shows_the_numbers_that_it_was_given():
    texts = [text.replace("−", "-") for text in said(DRAWN["with_numbers"])]
    found = Counter(float(text) for text in texts if re.fullmatch(r"-?[\d.]+", text))
    flat = EXAMPLE["chunks"].reshape(-1)  # in their rows, and in one; of these six are the kernel and one the bias
    assert found == Counter(
        np.concatenate([np.ravel(a) for a in [*EXAMPLE.values(), flat, flat[:7], PICTURE]]).tolist()
    )
    output = np.sum(PICTURE.reshape(-1) * flat[:6]) + flat[6]
    assert f"= {output:g}" in texts
    by_hand = [text.replace("·", "*").split(" = ") for text in texts if "·" in text and "=" in text]
    assert [float(result) for _, result in by_hand] == [EXAMPLE["h"][0, 0], flat[0], output]
    assert all(eval(calculation) == float(result) for calculation, result in by_hand)
    assert by_hand[0][0].startswith("max(") and EXAMPLE["h"][0, 0] == 0


@pytest.mark.parametrize("n, k, S", [(3000, 351, 7951), (300, 351, 7951), (9000, 71, 1000)])
def test_products_are_rectangles_in_the_proportions_of_their_sizes(n, k, S):
    figure = products(n, k, S)
    shapes = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    scale = max(max(s.get_width(), s.get_height()) for s in shapes) / max(n, S)  # inches for a number
    sizes = [(round(s.get_height() / scale, 6), round(s.get_width() / scale, 6)) for s in shapes]
    assert Counter(sizes) == {(n, k): 4, (k, n): 2, (k, S): 4, (S, k): 2, (n, S): 3, (k, k): 6}
    box = figure.axes[0].get_window_extent()
    assert box.width / box.height == pytest.approx(
        np.ptp(figure.axes[0].get_xlim()) / np.ptp(figure.axes[0].get_ylim())
    )
    middle = 4.15  # where the moments form begins: no n rows of S weights there, no squares before
    for shape, size in zip(shapes, sizes, strict=True):
        assert size != (n, S) or shape.get_x() + shape.get_width() < middle
        assert size != (k, k) or shape.get_x() > middle
    direct, moments = [text for text in said(figure) if "billion" in text]
    assert f"{3 * n * k * S / 1e9:.2f}" in direct and f"{4 * k * k * (n + S) / 1e9:.2f}" in moments


def test_lines_are_drawn_as_they_were_and_as_they_are():
    before, wanted = np.array([[1, 1], [1, 3]]), np.array([3, 0])
    written = {"without memory": SMALL.random([3, 2]), "with memory": SMALL.random([3, 2])}
    for axes, (title, lines) in zip(lines_kept(before, wanted, *written.values()).axes, written.items(), strict=True):
        assert axes.get_title() == title
        for drawn, expected in [(axes.lines[::2], lines), (axes.lines[1::2], [*before, wanted])]:
            for line, (slope, intercept) in zip(drawn, expected, strict=True):
                np.testing.assert_allclose(line.get_ydata(), slope * line.get_xdata() + intercept)
        assert [line.is_dashed() for line in axes.lines] == 3 * [False, True]


def test_families_show_the_images_with_their_labels():
    axes = DRAWN["task_family"].axes[0]
    for image, expected, label in zip(axes.images, IMAGES.reshape(-1, 3, 4), LABELS.reshape(-1), strict=True):
        np.testing.assert_array_equal(image.get_array(), expected)
        left, right, bottom, _ = image.get_extent()
        (below,) = [
            t for t in axes.texts if left < t.get_position()[0] < right and 0 < bottom - t.get_position()[1] < 0.2
        ]
        assert below.get_text() == str(label)
