"""Every figure of what was measured. Each function takes tables and arrays and returns a figure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import display
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from hypernet_lib.metrics import AccuracyMatrix

MARKERS = ["o", "s", "^", "D", "v", "P"]
STYLE = {"axes.grid": True, "grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False}


def show(figure: Figure, alt: str) -> None:
    """Show a figure in a notebook; `alt` says in words what it shows, for who cannot see it."""
    display(figure, metadata={"image/png": {"alt": alt}})


def show_images(images: np.ndarray, shape: tuple[int, int], titles: list[str]) -> Figure:
    """A row of grey images, from their flat pixels [n, P]."""
    figure, all_axes = plt.subplots(1, len(images), figsize=(1.6 * len(images), 1.9), squeeze=False)
    for axes, image, title in zip(all_axes[0], images, titles, strict=True):
        axes.imshow(np.reshape(image, shape), cmap="gray")
        axes.set_title(title, fontsize=9)
        axes.set(xticks=[], yticks=[])  # the frame stays, around pixels as white as the page
    return _done(figure)


def loss_curves(losses: dict[str, np.ndarray], smooth: int = 20) -> Figure:
    """Cross-entropy against training steps, a line for each name, as the mean of the last `smooth` steps."""
    figure, axes = _axes(7, 3.2)
    for name, values, style in _styled(losses):
        axes.plot(pd.Series(values).rolling(smooth, min_periods=1).mean(), **style, label=name, markevery=0.1)
    axes.set(xlabel="training step", ylabel="cross-entropy", yscale="log")
    axes.legend()
    return _done(figure)


def accuracy_matrix(metrics: pd.DataFrame, title: str = "") -> Figure:
    """R as a heat map: row i after learning i + 1 tasks, column j for task j; blank where it was not measured."""
    R = AccuracyMatrix(metrics).R
    side = min(8.0, 2.5 + 0.4 * len(R))
    figure, axes = plt.subplots(figsize=(side + 1, side))
    few = len(R) <= 12
    sns.heatmap(
        R, vmin=0, vmax=1, cmap="viridis", annot=few, fmt=".2f", annot_kws={"size": 8}, square=True, ax=axes,
        yticklabels=range(1, len(R) + 1) if few else "auto", cbar_kws={"label": "accuracy", "shrink": 0.8},
    )  # fmt: skip
    axes.set(xlabel="task", ylabel="tasks learned", title=title)
    return _done(figure)


def final_accuracies(runs: dict[str, pd.DataFrame]) -> Figure:
    """Accuracy on every task after the last one, runs as differently marked points (the original's `one_plot`)."""
    figure, axes = _axes(8, 3.6)
    for name, metrics, style in _styled(runs):
        matrix = AccuracyMatrix(metrics)
        size = _marker_size(len(matrix.final))
        axes.plot(matrix.final, **style, markersize=size, linestyle="", label=f"{name}: mean {matrix.acc:.4f}")
    axes.set(xlabel="task", ylabel="accuracy after the last task")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)  # above the axes: points may be anywhere in them
    return _done(figure)


def compare_at(runs: dict[str, pd.DataFrame], learned: int) -> Figure:
    """Accuracy on every task once `learned` tasks are learned, a panel for each run (the original's `three_plots`)."""
    figure, all_axes = plt.subplots(1, len(runs), figsize=(3.4 * len(runs), 3.2), sharey=True, squeeze=False)
    for axes, (name, metrics, style) in zip(all_axes[0], _styled(runs), strict=True):
        then = metrics[metrics["learned"] == learned].sort_values("task")
        axes.plot(then["task"], then["accuracy"], **style, linestyle="")
        axes.set(xlabel="task", title=f"{name}\nmean {then['accuracy'].mean():.4f}", ylim=(0, 1.02))
        axes.grid(alpha=0.3)
    all_axes[0, 0].set_ylabel(f"accuracy after {learned} tasks")
    sns.despine(figure)
    return _done(figure)


def task_over_time(runs: dict[str, pd.DataFrame], task: int = 0) -> Figure:
    """Accuracy on one task as more tasks are learned: the plainest picture of forgetting."""
    figure, axes = _axes(7, 3.2)
    for name, metrics, style in _styled(runs):
        one = metrics[metrics["task"] == task]
        axes.plot(one["learned"], one["accuracy"], **style, label=name)
    axes.set(xlabel="tasks learned", ylabel=f"accuracy on task {task}", ylim=(0, 1.02))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    return _done(figure)


def remembered(runs: dict[str, pd.DataFrame], n: int) -> Figure:
    """Accuracy on task 0 while n tasks are learned (left), and on every task after the last one (right)."""
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.2), sharey=True)
    for name, metrics, style in _styled(runs):
        first = metrics.query("task == 0 and learned <= @n")
        left.plot(first["learned"], first["accuracy"], **style)
        right.plot(AccuracyMatrix(metrics).final, **style, markersize=4, linestyle="", label=name)
    left.set(xlabel="tasks learned", ylabel="accuracy", title="on the first task", ylim=(0, 1.02))
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    tasks = metrics["learned"].max()
    right.set(xlabel="task", title=f"on every task, after {tasks} of them")
    right.legend()
    return _done(figure)


def _marker_size(n_points: int) -> float:
    """Small enough for thousands of points to be told apart."""
    return max(2.0, min(6.0, 1500 / n_points))


def learned_and_kept(metrics: pd.DataFrame) -> Figure:
    """Accuracy on each task when it was just learned (R's diagonal) and after the last one (its last row)."""
    figure, axes = _axes(8, 3.6)
    matrix = AccuracyMatrix(metrics)
    points = {"just learned": matrix.just_learned, "after the last task": matrix.final}
    fills = ("full", "none")  # hollow over full: where both are equal, both are seen
    for (name, accuracies, style), fill in zip(_styled(points), fills, strict=True):
        size = _marker_size(len(accuracies))
        axes.plot(accuracies, **style, markersize=size, fillstyle=fill, linestyle="", label=name)
    axes.set(xlabel="task", ylabel="accuracy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return _done(figure)


def spread_over_seeds(runs: pd.DataFrame, key: str, result: str) -> Figure:
    """A column `result` of a table of runs against a parameter's: dots, each value's mean and standard deviation."""
    figure, axes = _axes(6, 3.4)
    results, (dots, means) = runs.groupby(key)[result], _colours(2)
    at = np.arange(len(results))
    axes.plot(runs.groupby(key).ngroup() + 0.1, runs[result], "o", color=dots, alpha=0.7, label="a run")
    axes.errorbar(at, results.mean(), results.std(), fmt="s", color=means, capsize=5, label="mean, standard deviation")
    axes.set(xlabel=key, ylabel=result, xlim=(-0.5, len(at) - 0.5))
    words = list(map(str, results.groups))
    axes.set_xticks(at, labels=words, rotation=30 if len(words) * max(map(len, words)) > 50 else 0)  # or they overlap
    axes.legend()
    return _done(figure)


def curves(x: list, lines: dict[str, np.ndarray], xlabel: str, ylabel: str) -> Figure:
    """A marked line for each name over x (integers or words): values [n], or [repeats, n] as their mean and range."""
    figure, axes = _axes(7, 3.4)
    for name, values, style in _styled(lines):
        values = np.atleast_2d(values)  # [repeats, n]
        axes.plot(x, values.mean(axis=0), **style, label=name)
        axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=style["color"], alpha=0.2, linewidth=0)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.axhline(0, alpha=0)  # the axis starts at 0, and so does its margin above the lines
    axes.set_ylim(bottom=0)
    if not isinstance(x[0], str):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    return _done(figure)


def histograms(panels: dict[str, dict[str, np.ndarray]], bins: np.ndarray, xlabel: str) -> Figure:
    """Two sets of numbers by their names, the first filled, the second outlined; a panel for each title; 0 marked."""
    with plt.rc_context(STYLE):
        figure, all_axes = plt.subplots(1, len(panels), figsize=(4.5 * len(panels), 3.2), sharey=True, squeeze=False)
    filled = {"color": _colours(1)[0], "alpha": 0.6}
    outlined = {"histtype": "step", "color": "black", "linestyle": "--"}
    for axes, (title, sets) in zip(all_axes[0], panels.items(), strict=True):
        for (name, values), style in zip(sets.items(), [filled, outlined], strict=True):
            axes.hist(np.ravel(values), bins=bins, density=True, label=name, **style)
        axes.axvline(0, color="grey", linewidth=1)
        axes.set(xlabel=xlabel, title=title)
    all_axes[0, 0].set_ylabel("share of images per unit")
    all_axes[0, -1].legend(loc="upper left")
    return _done(figure)


def moves(start: np.ndarray, end: np.ndarray) -> Figure:
    """Points of the plane [n, 2] that moved from start to end, numbered from 0."""
    figure, axes = _axes(5.2, 4.4)
    axes.plot([start[:, 0], end[:, 0]], [start[:, 1], end[:, 1]], color="grey")
    axes.plot(*start.T, color=_colours(2)[0], marker="o", markersize=10, fillstyle="none", linestyle="", label="start")
    axes.plot(*end.T, color=_colours(2)[1], marker="D", markersize=4, linestyle="", label="learned")
    for number, place in enumerate(end):
        axes.annotate(str(number), place, xytext=(8, 4), textcoords="offset points")
    axes.set(xlabel="first component", ylabel="second component", aspect="equal")
    axes.legend()
    return _done(figure)


def grouped(table: pd.DataFrame, x: str, y: str, by: str, line="-", log="", level=np.nan) -> Figure:
    """Columns x and y of a table, marked for each value of `by`, joined by `line`; log axes "", "x" or "xy"."""
    figure, axes = _axes(7, 3.6)
    for name, rows, style in _styled(dict(list(table.groupby(by, sort=False)))):
        axes.plot(rows[x], rows[y], **style, linestyle=line, label=name)
    axes.axhline(level, color="black", linestyle="--", linewidth=1)  # nothing, where the level is not a number
    if table[x].dtype.kind == "i":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel=x, ylabel=y, **{f"{axis}scale": "log" for axis in log})
    if log:
        axes.set_xticks(ticks := sorted(table[x].unique()), labels=ticks)
    if "y" in log:
        few = table[y].max() < 1000 * table[y].min()
        axes.yaxis.set_major_locator(LogLocator(subs=[1, 2, 5] if few else [1]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(title=by, **({"loc": "center left", "bbox_to_anchor": (1.02, 0.5)} if "y" in log else {}))
    return _done(figure)


def accuracy_against_size(table: pd.DataFrame, published: pd.DataFrame) -> Figure:
    """Accuracy against numbers: for one more task (left), and in all (right); a line joins three and more alike.

    Both tables have the columns `method`, `per_task`, `parameters`, `ACC`, `sd` (drawn as a bar), `label`, and `alike`:
    whether the row was learned like most others, so that a line may join it to those of its method; else it is hollow.
    The axis of accuracies is stretched towards 1, as their errors shrink: by log(ACC / (1 - ACC)).
    """
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, 2, figsize=(10.5, 4.4), sharey=True)
    methods = {**dict(list(table.groupby("method", sort=False))), "published": published}
    for axes, column in zip(panels, ["per_task", "parameters"], strict=True):
        for name, rows, style in _styled(methods):
            rows = rows.sort_values(column)
            alike = rows[rows["alike"]]
            if len(alike) > 2:
                axes.plot(alike[column], alike["ACC"], color=style["color"])
            for some, fill in [(alike, style["color"]), (rows[~rows["alike"]], "none")]:
                points = {**style, "markerfacecolor": fill, "linestyle": "", "capsize": 2}
                axes.errorbar(some[column], some["ACC"], some["sd"], **points)
            face = style["color"] if rows["alike"].any() else "none"
            axes.plot([], [], **style, markerfacecolor=face, linestyle="", label=name)
            for _, row in rows.iterrows():
                offset, ha = _beside(row, column, is_top=row["ACC"] == rows["ACC"].max())
                place = {"xytext": offset, "textcoords": "offset points", "ha": ha}
                axes.annotate(row["label"], (row[column], row["ACC"]), fontsize=7, **place)
        axes.set(xscale="log", yscale="logit")
        left, right = axes.get_xlim()
        axes.set_xlim(left / 1.5, 3 * right)  # room for the labels of the outer points
        axes.minorticks_off()
    ticks = [
        t for t in (0.5, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.985) if t > table["ACC"].min() - 0.03
    ]
    panels[0].set_yticks(ticks, labels=ticks)
    panels[0].set(xlabel="numbers that one more task adds", ylabel="accuracy after 100 tasks (stretched towards 1)")
    panels[1].set(xlabel="numbers in all, for 100 tasks")
    panels[1].plot([], [], "o", color="grey", markerfacecolor="none", label="hollow: more images, or dropped pixels")
    panels[1].legend(fontsize=8, loc="lower right")
    return _done(figure)


# In the right panel, where points lie close together: which labels have another place than their like (see `_beside`).
CROWDED = {
    "784-39-10": ((5, -16), "left"),
    "PR-BbB-SR": ((7, -3), "left"),
    "big": ((-5, -7), "right"),
    "few chunks": ((-6, -6), "right"),
}


def _beside(row: pd.Series, column: str, is_top: bool) -> tuple[tuple[int, int], str]:
    """Where a point's label is in the way of nothing: its offset in points, and which of its ends is there."""
    if column == "parameters" and row["label"] in CROWDED:
        return CROWDED[row["label"]]
    if row["method"] == "an embedding for each chunk":  # the uppermost line
        return (-6, 2), "right"
    if row["method"] == "separate networks":  # the line below it, and above that what was learned otherwise
        return ((5, -11), "left") if row["alike"] else ((0, 6), "center")
    if row["method"] == "published":
        return (0, 6) if is_top else (0, -11), "center"
    return (5, 4), "left"


def filling_matrix(metrics: pd.DataFrame, after: list[int]) -> Figure:
    """The accuracy matrix as it fills, a panel for each number of learned tasks in `after`."""
    R = AccuracyMatrix(metrics).R
    return _matrices({f"after {n}": np.where(np.arange(len(R))[:, None] < n, R, np.nan) for n in after}, side=2.2)


def accuracy_matrices(runs: dict[str, pd.DataFrame]) -> Figure:
    """The accuracy matrices of several runs side by side, their numbers in the cells."""
    return _matrices({name: AccuracyMatrix(metrics).R for name, metrics in runs.items()}, side=3.6, annot=True)


def _matrices(panels: dict[str, np.ndarray], side: float, annot: bool = False) -> Figure:
    """A heat map for each matrix, all in the same colours, with one bar for them."""
    n = len(panels)
    figure, (*all_axes, bar) = plt.subplots(
        1, n + 1, figsize=(side * n + 0.6, side + 0.3), width_ratios=[1] * n + [0.07]
    )
    for axes, (title, R) in zip(all_axes, panels.items(), strict=True):
        sns.heatmap(R, vmin=0, vmax=1, cmap="viridis", square=True, ax=axes, cbar_ax=bar, annot=annot, fmt=".2f",
                    cbar_kws={"label": "accuracy"}, yticklabels=range(1, len(R) + 1))  # fmt: skip
        axes.set(xlabel="task", title=title)
    all_axes[0].set_ylabel("tasks learned")
    return _done(figure)


def plane(panels: dict[str, tuple[dict, dict]], limits: list[float]) -> Figure:
    """The plane of two weights: level lines of quadratic losses, and marked paths; a panel of both for each title.

    A loss by its name is (centre [2], curvature [2, 2], levels): lines where half (w - centre)^T curvature (w - centre)
    reaches the levels; without levels the line where it is 0, of a loss that is flat in one direction. A path by its
    name is [n, 2], an arrow in its longest step; of one point it marks that place. `limits` are w_0's, then w_1's.
    """
    with plt.rc_context(STYLE):
        figure, all_axes = plt.subplots(1, len(panels), figsize=(3.1 * len(panels) + 2.2, 4), squeeze=False)
    x, y = np.meshgrid(np.linspace(*limits[:2], 201), np.linspace(*limits[2:], 201))
    for axes, (title, (losses, paths)) in zip(all_axes[0], panels.items(), strict=True):
        lines = cycle(["-", "--", ":", "-."])
        for (name, (centre, form, levels), style), line in zip(_styled(losses), lines, strict=False):
            change = np.stack([x - centre[0], y - centre[1]], axis=-1)  # [201, 201, 2]
            height = np.einsum("...i,ij,...j->...", change, form, change) / 2
            if levels:
                axes.contour(x, y, height, levels, colors=[style["color"]], linestyles=line, linewidths=1.2)
            else:
                flat = np.linalg.eigh(form)[1][:, 0]  # the direction of least curvature
                axes.axline(centre, np.add(centre, flat), color=style["color"], linestyle=line, linewidth=1.2)
            axes.plot([], [], color=style["color"], linestyle=line, label=name)
        for name, path, style in list(_styled({**losses, **paths}))[len(losses) :]:
            if len(path) == 1:
                axes.plot(*path.T, **style, markersize=12, markerfacecolor="none", linestyle="", label=name)
                continue
            axes.plot(*path.T, **style, markersize=5, linewidth=1, label=name)
            start = np.linalg.norm(np.diff(path, axis=0), axis=1).argmax()  # of the longest step
            arrow = {"arrowstyle": "->", "color": style["color"], "linewidth": 1.8, "mutation_scale": 18, "shrinkA": 0}
            axes.annotate("", path[start : start + 2].mean(axis=0), path[start], arrowprops=arrow | {"shrinkB": 0})
        axes.set(xlabel="$w_0$", title=title, aspect="equal", xlim=limits[:2], ylim=limits[2:])
    all_axes[0, 0].set_ylabel("$w_1$")
    all_axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return _done(figure)


def _axes(width: float, height: float):
    with plt.rc_context(STYLE):
        return plt.subplots(figsize=(width, height))


def _colours(n: int) -> list:
    """Of the palette for the colour-blind; after six of them, where pinks would be too alike, grey and black."""
    palette = sns.color_palette("colorblind")
    return [*palette[:6], palette[7], (0, 0, 0), palette[9], palette[8]][:n]


def _styled(things: dict) -> Iterator[tuple]:
    """Each name and what it stands for, with a colour and a marker of its own, for `axes.plot`."""
    for i, ((name, thing), colour) in enumerate(zip(things.items(), _colours(len(things)), strict=True)):
        yield name, thing, {"color": colour, "marker": MARKERS[i % len(MARKERS)]}


def _done(figure: Figure) -> Figure:
    """Lay out the figure and take it off pyplot's list, so that a notebook shows it once, as the cell's value."""
    figure.set_facecolor("white")  # a page with a dark background would swallow the labels
    figure.tight_layout()
    plt.close(figure)
    return figure
