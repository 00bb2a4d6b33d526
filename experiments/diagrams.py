"""Every drawing of an idea, where `plots` draws measurements: each function takes arrays or sizes, returns a figure.

One style for all. Lengths are inches of the figure, so a size that is written is a size that is seen. Letters are those
of the course: e task embedding, c chunk embedding, V the trunk's kernel, h its output, A and b the head, W the weights
that are written. So are colours: orange is the current task, blue (dashed or hatched) what is remembered, grey what all
tasks share, green what is written.
"""

from __future__ import annotations

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Patch, Polygon, Rectangle
from matplotlib.path import Path

from experiments.plots import MARKERS, STYLE

SIZE = 9.5  # of text, in points


class Colours(NamedTuple):
    """Those of lines and text; areas are filled with a tint of one, a mixture with the page's."""

    page: str
    ink: str
    task: str
    memory: str
    shared: str
    written: str


# Those of seaborn's palette "colorblind", as in `plots`; for a dark page the lighter ones of it.
LIGHT = Colours("white", "black", "#d55e00", "#0173b2", "#949494", "#029e73")
DARK = Colours("#0d1117", "#e6edf3", "#de8f05", "#56b4e9", "#949494", "#34c79b")


def _blank(width: float, height: float, colours: Colours, **layout) -> Figure:
    """A figure that pyplot has made, so that a notebook can show it, and has forgotten, so that it is shown once."""
    figure = plt.figure(figsize=(width, height), facecolor=colours.page, **layout)
    plt.close(figure)
    return figure


class Sheet:
    """A figure to draw on, its origin the lower left corner, with the shapes that all drawings are made of."""

    def __init__(self, width: float, height: float, colours: Colours = LIGHT):
        self.colours, self.figure = colours, _blank(width, height, colours)
        self.axes = self.figure.add_axes([0, 0, 1, 1], xlim=(0, width), ylim=(0, height))
        self.axes.axis("off")

    def label(self, x: float, y: float, text: str, ha: str = "center", **style) -> None:
        """Text whose middle, or left or right end, is at (x, y)."""
        style = {"color": self.colours.ink, "size": SIZE, "va": "center_baseline", "linespacing": 1.2} | style
        self.axes.text(x, y, text, ha=ha, **style)

    def add(self, shape: Patch, colour: str = "", tint: float = 0.25, **style) -> None:
        """A shape filled with a tint of a colour, and outlined."""
        both = [to_rgb(colour or self.colours.page), to_rgb(self.colours.page)]
        mixed = np.average(both, axis=0, weights=[tint, 1 - tint])
        shape.set(**{"facecolor": mixed, "edgecolor": self.colours.ink, "linewidth": 0.8} | style)
        self.axes.add_patch(shape)

    def box(self, left: float, bottom: float, width: float, height: float, text: str = "", colour: str = "", **style):
        """A rectangle with text in its middle."""
        self.add(Rectangle((left, bottom), width, height), colour, **style)
        if text:
            self.label(left + width / 2, bottom + height / 2, text)

    def panel(self, left: float, bottom: float, width: float, height: float, colour: str) -> None:
        """What lies behind things that belong together."""
        shape = FancyBboxPatch((left, bottom), width, height, boxstyle="round,pad=0,rounding_size=0.1")
        self.add(shape, colour, tint=0.12, edgecolor="none")

    def funnel(self, left: float, middle: float, heights: tuple[float, float], text: str) -> None:
        """A network, or a part of one: from as high on its left side to as high on its right one, 0.6 wide."""
        (a, b), right = np.divide(heights, 2), left + 0.6
        corners = [(left, middle - a), (left, middle + a), (right, middle + b), (right, middle - b)]
        self.add(Polygon(corners), self.colours.shared)
        self.label(left + 0.3, middle, text)

    def cells(self, left: float, middle: float, texts, size: tuple[float, float], colour: str = "", **style) -> None:
        """A matrix with a cell for each text [rows][columns], each `size` wide and high, its middle at `middle`."""
        width, height = size
        for row, line in enumerate(texts):
            bottom = middle + (len(texts) / 2 - row - 1) * height
            for column, text in enumerate(line):
                self.box(left + column * width, bottom, width, height, text, colour, **style)

    def arrow(self, *points: tuple[float, float], colour: str = "", dashed: bool = False) -> None:
        """A line through points, with a head at the last."""
        head, line = "-|>,head_length=5,head_width=2.5", (0, (4, 1.5)) if dashed else "-"
        style = {"color": colour or self.colours.ink, "linewidth": 1.3, "linestyle": line, "capstyle": "butt"}
        self.axes.add_patch(FancyArrowPatch(path=Path(points), arrowstyle=head, mutation_scale=1, **style))

    def bracket(self, left: float, right: float, y: float, text: str) -> float:
        """Marks a part of what lies above, with its name below; returns the part's middle."""
        x = [left + 0.02, left + 0.02, right - 0.02, right - 0.02]
        self.axes.plot(x, [y, y - 0.05, y - 0.05, y], color=self.colours.ink, linewidth=0.8)
        self.label((left + right) / 2, y - 0.19, text)
        return (left + right) / 2


def hypernetwork(dark: bool = False) -> Figure:
    """The picture of the project: two embeddings become weights, and those are a network that looks at images.

    See the rows: trunk and head turn each row [c_i; e] into one chunk, and the chunks, one after the other, are the
    target network's weights. In orange the current task's gradient runs back through them and moves all that is
    learned; in blue that of the memory loss moves only what tasks share. Drawn are C = 4 chunks of S = 4 weights for a
    target network 3-2-2, which has P = 14 of them. `dark`: in colours for a dark page.
    """
    sheet = Sheet(10, 4.25, DARK if dark else LIGHT)
    page, ink, task, memory, shared, written = sheet.colours
    C, row, middle = 4, 0.22, 2.87
    top, bottom = middle + C * row / 2, middle - C * row / 2
    gradient, remembering = {"colour": task}, {"colour": memory, "dashed": True}

    # What is learned: embeddings, trunk, head.
    sheet.panel(0.08, 1.83, 5.2, 2.34, shared)
    sheet.label(0.2, 4.01, "hypernetwork: all that is learned", ha="left", weight="bold")
    for behind in (0.12, 0.06):  # the embeddings of earlier tasks
        sheet.box(1.6 + behind, bottom + behind, 0.45, C * row, colour=memory, hatch="////")
    sheet.box(1.6, bottom, 0.45, C * row, "$e$", task)
    sheet.cells(1.05, middle, [["$c_0$"], ["$c_1$"], ["⋮"], ["$c_{C-1}$"]], (0.55, row), shared)
    sheet.label(0.97, middle, "chunk\nembeddings\n$c$", ha="right")
    sheet.label(1.43, top + 0.32, "task embedding $e$;\nearlier ones frozen", ha="left")
    sheet.funnel(2.5, middle, (C * row, C * row - 0.2), "trunk\n$V$, $v$")
    sheet.cells(3.45, middle, C * [3 * [""]], (0.17, row))
    sheet.label(3.705, top + 0.12, "$h$  [$C$, $k$]")
    sheet.funnel(4.3, middle, (C * row - 0.2, C * row), "head\n$A$, $b$")
    sheet.cells(5.5, middle, C * [4 * [""]], (0.16, row), written)
    sheet.label(5.82, top + 0.21, "$C$ chunks\nof $S$ weights")
    for left, right in [(2.17, 2.5), (3.1, 3.45), (3.96, 4.3), (4.9, 5.5), (6.14, 6.5)]:
        sheet.arrow((left, middle), (right, middle))
    sheet.label(0.2, 1.97, "each row [$c_i$; $e$] becomes a row of $h$, and that a chunk", ha="left")

    # What is written, against the snapshot.
    left, cell = 6.5, 0.15
    sheet.cells(left, middle, [14 * [""]], (cell, 0.2), written)
    sheet.cells(left + 14 * cell, middle, [2 * [""]], (cell, 0.2), hatch="xxxx")
    sheet.cells(left, middle + 0.27, [14 * [""]], (cell, 0.2), memory)
    sheet.cells(left, middle + 0.5, [14 * [""]], (cell, 0.2), memory, hatch="////")
    for y, text in [(0.5, "snapshot $W_t^*$"), (0.27, "earlier tasks' $W_t$")]:
        sheet.label(8.68, middle + y, text, ha="left")
    for y, text in [(0, "weights $W$  [$P$]"), (-0.34, "surplus,\ndropped")]:
        sheet.label(8.98, middle + y, text, ha="left")
    sheet.box(left, 3.65, 14 * cell, 0.34, r"memory loss  $\Vert W_t - W_t^*\Vert^2$", memory)
    sheet.arrow((left + 7 * cell, middle + 0.6), (left + 7 * cell, 3.65))

    # The target network, each part below the weights that it gets.
    sheet.panel(5.4, 0.08, 4.52, 1.62, written)
    sheet.label(5.52, 0.25, "target network: it owns no weights", ha="left", weight="bold")
    x = left + cell * np.array([-1, 7, 13])  # of inputs, hidden units, outputs
    layers = [[0.6, 0.98, 1.36], [0.79, 1.17], [0.79, 1.17]]
    for n in (0, 1):
        ends = [(here, there) for here in layers[n] for there in layers[n + 1]]
        sheet.axes.plot(x[n : n + 2], np.transpose(ends), color=written, linewidth=1.2, zorder=1)
    for n in (1, 2):
        for y in layers[n]:
            sheet.add(Circle((x[n], y), 0.1), written)
    for y, brightness in zip(layers[0], (0.15, 0.9, 0.5), strict=True):
        sheet.box(x[0] - 0.1, y - 0.1, 0.2, 0.2, colour=ink, tint=brightness)
    sheet.label(x[0] - 0.18, 0.98, "image", ha="right")
    sheet.label(x[2], 0.55, "logits")
    sheet.box(9.0, 0.74, 0.82, 0.48, "cross-\nentropy", task)
    sheet.arrow((x[2] + 0.14, 1.04), (9.0, 1.04))
    sheet.arrow((9.0, 0.92), (x[2] + 0.14, 0.92), **gradient)
    for start, end, name in [(0, 6, "kernel"), (6, 8, "bias"), (8, 12, "kernel"), (12, 14, "bias")]:
        at = sheet.bracket(left + cell * start, left + cell * end, middle - 0.14, name)
        sheet.arrow((at - 0.05, 2.42), (at - 0.05, 1.32))
        sheet.arrow((at + 0.05, 1.32), (at + 0.05, 2.42), **gradient)

    # Gradients run back to what they move.
    sheet.arrow((left, middle - 0.08), (6.14, middle - 0.08), **gradient)
    sheet.arrow((5.82, bottom), (5.82, 2.13), (1.325, 2.13), (1.325, bottom), **gradient)
    sheet.arrow((left, 3.82), (1.325, 3.82), (1.325, top), **remembering)
    for x, slope in [(1.825, 0), (2.8, 0.05), (4.6, 0.05)]:
        sheet.arrow((x, 2.13), (x, bottom + slope), **gradient)
        if slope:
            sheet.arrow((x, 3.82), (x, top - slope), **remembering)
    legend = {
        "forward: embeddings become weights, an image becomes logits": {},
        "gradient for this task: moves $e$, $c$, $V$, $v$, $A$ and $b$": gradient,
        "gradient for earlier tasks: moves $c$, $V$, $v$, $A$ and $b$, but no $e$": remembering,
    }
    for y, (text, style) in zip((1.3, 0.95, 0.6), legend.items(), strict=True):
        sheet.arrow((0.2, y), (0.7, y), **style)
        sheet.label(0.82, y, text, ha="left")
    return sheet.figure


def with_numbers(x, V, v, h, A, b, chunks, picture) -> Figure:
    """The same structure with the numbers of an example in it, which is small enough to be followed by hand.

    `x` [C, 2 E] has a row [c; e] for each chunk; the trunk has one layer, with kernel `V` [2 E, k] and bias `v` [k];
    `h` [C, k] comes out of it, and out of the head, `A` [k, S] and `b` [S], come the `chunks` [C, S]. They are weights
    and a bias for the `picture` [rows, columns], and a surplus. There is room for two columns in V and in A.
    """
    sheet = Sheet(10, 4.2)
    page, ink, task, memory, shared, written = sheet.colours
    (width, height), middle = (size := (0.33, 0.25)), 2.7
    (C, S), (rows, columns) = np.shape(chunks), np.shape(picture)
    E, top, high = len(V) // 2, middle + C * height / 2, rows * height / 2
    flat, P = np.reshape(chunks, -1), rows * columns + 1
    W = flat[:P]
    kernel = np.reshape(W[:-1], [rows, columns])
    output = np.sum(picture * kernel) + W[-1]

    def numbers(left, y, matrix, colour="", **style):
        """The numbers of a matrix, or of one row, in cells, from `left` on and with its middle at `y`."""
        sheet.cells(left, y, [[_signed(n) for n in line] for line in np.atleast_2d(matrix)], size, colour, **style)

    def layer(left, name, kernel, bias, formula):
        """A kernel and below it its bias, in a frame."""
        frame = (len(kernel) + 1) * height + 0.1
        sheet.box(left, middle - frame / 2 - 0.1, 0.86, frame + 0.45, colour=shared)
        sheet.label(left + 0.43, middle + frame / 2 + 0.17, name)
        numbers(left + 0.1, middle + (height + 0.1) / 2, kernel)
        numbers(left + 0.1, middle - (frame - height) / 2, bias)
        sheet.label(left + 0.43, middle - frame / 2 - 0.25, formula)

    sheet.panel(0.08, 1.57, 5.4, 2.55, shared)
    sheet.label(0.2, 3.95, "hypernetwork: all that is learned", ha="left", weight="bold")
    for i in range(C):
        sheet.label(0.5, top - (i + 0.5) * height, f"$c_{i}$", ha="right")
    for left, part, colour, letter in [(0.56, x[:, :E], shared, "$c$"), (0.56 + E * width, x[:, E:], task, "$e$")]:
        numbers(left, middle, part, colour)
        sheet.label(left + E * width / 2, top + 0.13, letter)
    layer(2.2, "trunk $V$, $v$", V, v, "max([$c$; $e$]$V + v$, 0)")
    numbers(3.4, middle, h)
    sheet.label(3.73, top + 0.13, "$h$")
    layer(4.4, "head $A$, $b$", A, b, "$hA + b$")
    numbers(5.75, middle, chunks, written)
    sheet.label(5.75 + S * width / 2, top + 0.13, "chunks")
    left, end = 6.8, 6.8 + P * width
    numbers(left, middle, W, written)
    sheet.label((left + end) / 2, middle + 0.21, "weights $W$", va="baseline")
    numbers(end, middle, flat[P:], linestyle=":")
    sheet.label(end + (C * S - P) * width / 2, middle + 0.21, "surplus", va="baseline")
    for a, z in [(0.56 + 2 * E * width, 2.2), (3.06, 3.4), (4.06, 4.4), (5.26, 5.75), (5.75 + S * width, left)]:
        sheet.arrow((a, middle), (z, middle))

    y, at = 0.98, 5.9
    over, beside = left + (P - 1) * width / 2, end - width / 2  # middles of the kernel and the bias
    ends = [at + columns * width, over - columns * width / 2, over + columns * width / 2, beside - width / 2]
    sheet.panel(5.6, 0.08, 4.32, 1.6, written)
    sheet.label(5.72, 0.25, "target network: it owns no weights", ha="left", weight="bold")
    numbers(at, y, picture)
    numbers(ends[1], y, kernel, written)
    numbers(ends[3], y, W[-1], written)
    sheet.label(at + columns * width / 2, y - high - 0.14, "picture")
    sheet.label((ends[0] + ends[1]) / 2, y, "·", size=16)
    sheet.label((ends[2] + ends[3]) / 2, y, "+")
    sheet.label(end + 0.1, y, f"= {_signed(output)}", ha="left")
    sheet.bracket(left, end - width, middle - 0.16, "kernel")
    sheet.bracket(end - width, end, middle - 0.16, "bias")
    sheet.arrow((over, 2.25), (over, y + high))
    sheet.arrow((beside, 2.25), (beside, y + height / 2))

    by_hand = {
        "first of $h$": ("max({}, 0)", x[0], V[:, 0], v[0], h[0, 0]),
        "first weight": ("{}", h[0], A[:, 0], b[0], W[0]),
        "output": ("{}", np.reshape(picture, -1), W[:-1], W[-1], output),
    }
    for y, (name, (form, factors, weights, bias, result)) in zip((1.2, 0.85, 0.5), by_hand.items(), strict=True):
        terms = [f"{_signed(f)}·{_signed(w, True)}" for f, w in zip(factors, weights, strict=True)]
        sheet.label(0.2, y, name, ha="left")
        text = form.format(" + ".join([*terms, _signed(bias, True)]))
        sheet.label(1.2, y, f"{text} = {_signed(result)}", ha="left")
    return sheet.figure


def _signed(number: float, in_sum: bool = False) -> str:
    """A number with a sign that can be seen, in brackets where it is negative and part of a sum."""
    text = f"{number:g}".replace("-", "−")
    return f"({text})" if in_sum and number < 0 else text


def lines_kept(before, wanted, without, with_memory) -> Figure:
    """Straight lines as target networks: what is written for each task, learned without memory and with it.

    All are rows (slope, intercept): `before` [T, 2] is the snapshot of the old tasks, `wanted` [2] what the new one
    asks for; `without` and `with_memory` [T + 1, 2] are written after the new one is learned. See the dashes: where a
    line has left them, that task is lost.
    """
    with plt.rc_context(STYLE):
        figure = _blank(8.5, 3.9, LIGHT, layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
    x = np.array([-1.0, 2.0])
    asked = np.vstack([before, wanted])
    dashes = {"color": LIGHT.ink, "linewidth": 1.3, "linestyle": (0, (4, 3)), "markersize": 8, "fillstyle": "none"}
    colours = [*np.resize([LIGHT.memory, DARK.memory], len(before)), LIGHT.task]
    for axes, title, lines in zip(panels, ("without memory", "with memory"), (without, with_memory), strict=True):
        for task, ((slope, intercept), was, colour) in enumerate(zip(lines, asked, colours, strict=True)):
            y, marker = slope * x + intercept, MARKERS[task % len(MARKERS)]
            axes.plot(x, y, color=colour, linewidth=4, alpha=0.6, marker=marker, markersize=8)
            axes.plot(x, was[0] * x + was[1], **dashes, marker=marker)
            name = f"task {task}" + (", new" if task == len(before) else "")
            axes.annotate(name, (x[1], y[1]), xytext=(9, 0), textcoords="offset points", va="center", size=SIZE)
        axes.set(title=title, xlabel="input", xticks=range(-1, 3), xlim=(-1.2, 3.2))
    panels[0].set_ylabel("output of the target network")
    panels[0].legend(handles=[Line2D([], [], **dashes, label="as it should be")], loc="lower right")
    return figure


def products(n: int, k: int, S: int) -> Figure:
    """The memory loss's gradient as products of matrices: rectangles as high as their rows, as wide as their columns.

    `n` rows of h, one for each chunk of each remembered task, of `k` numbers each, the 1 for the bias among them, and
    chunks of `S` weights. See what each side has that the other has not: the direct form writes n rows of S weights; in
    the moments form only small squares lie between the rows and the head. All rectangles are to one scale.
    """
    sheet = Sheet(10, 5.3)
    scale = min(1.2 / S, 0.5 / n)  # inches for a number, so that all have room
    colours = {(n, S): (sheet.colours.written, 0.25), (k, k): (sheet.colours.memory, 1), (n, k): ("", 0.25)}

    def line(left, middle, *things):
        """Matrices as (name, rows, columns), with what is written between them."""
        for thing in things:
            if isinstance(thing, str):  # a sign has its place in the middle of a gap, words begin
                is_sign = len(thing) == 1
                place = {"ha": "center", "size": 13} if is_sign else {"ha": "left"}
                sheet.label(left + 0.12 * is_sign, middle, thing, **place)
                left += 0.24
                continue
            name, rows, columns = thing
            width, height, slot = columns * scale, rows * scale, max(columns * scale, 0.72)
            colour, tint = colours.get((rows, columns)) or colours.get((columns, rows)) or (sheet.colours.shared, 0.4)
            sheet.box(left + (slot - width) / 2, middle - height / 2, width, height, colour=colour, tint=tint)
            sheet.label(left + slot / 2, middle + height / 2 + 0.13, name)
            sheet.label(left + slot / 2, middle - height / 2 - 0.13, f"{rows:,} × {columns:,}", size=8.5)
            left += slot

    h, d, h_star = [(name, n, k) for name in ("$h$", "$d$", "$h^*$")]
    H, D, turned, change = ("$H$", k, S), ("$D$", k, S), (r"$H^\top$", S, k), ("$W - W^*$", n, S)
    HH, DH, hd, hh = [(f"${name}$", k, k) for name in (r"H H^\top", r"D H^\top", r"h^\top d", r"h^\top h^*")]
    direct, moments = 3 * n * k * S / 1e9, 4 * k**2 * (S + n) / 1e9
    left, right = 0.2, 4.15
    sheet.label(left, 5.1, f"direct form: {direct:.2f} billion multiply-adds", ha="left", weight="bold")
    line(left, 4.4, h, "·", H, "=", ("$W$", n, S))
    line(left, 3.0, change, "·", turned, "=", "gradient for $h$")
    line(left, 1.6, (r"$h^\top$", k, n), "·", change, "=", "gradient for $H$")
    sheet.label(right, 5.1, f"moments form: {moments:.2f} billion multiply-adds", ha="left", weight="bold")
    line(right, 4.15, H, "·", turned, "=", HH, r"      and $D H^\top$ likewise")
    line(right, 2.85, (r"$h^\top$", k, n), "·", d, "=", hd, r"      and $h^\top h^*$ likewise")
    line(right, 1.9, d, "·", HH, "+", h_star, "·", DH, "=", "gradient for $h$")
    line(right, 1.0, hd, "·", H, "+", hh, "·", D, "=", "gradient for $H$")
    unit = 10 ** int(np.log10(max(n, S)))
    sheet.axes.plot([left, left + unit * scale], [0.3, 0.3], color=sheet.colours.ink, linewidth=1.3, marker="|")
    words = f"{unit:,} numbers, in either direction.  The {n:,} rows grow with every task; {k:,} and {S:,} do not."
    sheet.label(left + unit * scale + 0.12, 0.3, words, ha="left")
    return sheet.figure


def task_family(families: dict[str, list[tuple]], shape: tuple[int, int]) -> Figure:
    """A row for each family of tasks: images as its tasks 0, 1, 2 and so on show them, the label below each.

    A family is a list with (images [n, P], labels [n]) for each task; its name says what changes from task to task, and
    what the label is, in two or three lines. `shape` is an image's (height, width). See along a row what the tasks have
    in common.
    """
    n_tasks, n = max(map(len, families.values())), max(len(labels) for one in families.values() for _, labels in one)
    side, step, left, line = 0.56, 0.62, 3.3, 0.95
    block = n * step + 0.3  # the images of a task
    sheet = Sheet(left + n_tasks * block, 0.35 + line * len(families))
    for task in range(n_tasks):
        middle = left + task * block + (n * step + side - step) / 2
        sheet.label(middle, line * len(families) + 0.18, f"task {task}", weight="bold")
    for row, (name, tasks) in enumerate(families.items()):
        top = line * (len(families) - row)
        sheet.label(0.15, top - side / 2, name, ha="left")
        sheet.label(left - 0.1, top - side - 0.12, "label", ha="right")
        for task, (images, labels) in enumerate(tasks):
            for i, (image, label) in enumerate(zip(images, labels, strict=True)):
                x, pixels = left + task * block + i * step, np.reshape(image, shape)
                sheet.axes.imshow(pixels, cmap="gray", extent=(x, x + side, top - side, top), aspect="auto")
                sheet.label(x + side / 2, top - side - 0.12, f"{label}")
    return sheet.figure
