"""RAM, disk and cores: how much an experiment needs, whether this machine has it, and how a run keeps to its share."""

from __future__ import annotations

import os
import shutil

import psutil

from experiments.baselines.settings import KEPT_PER_WEIGHT
from experiments.parameters import Experiment
from experiments.store import run_folder
from hypernet_lib.datasets import describe_dataset
from hypernet_lib.sizes import IMAGES_AT_ONCE

# What TensorFlow, and NumPy's libraries, read when they are imported.
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limited_to(cores: int) -> dict[str, str]:
    """The environment that keeps a process, and its kernel, to so many cores."""
    return dict.fromkeys(THREADS, str(cores))


def cores_used(experiment: Experiment) -> int:
    """How many cores a run makes good use of: its matrices are too small for more than one, or large enough."""
    return 1 if experiment.sizes.n_weights < 50_000 else 2


def ram_needed(experiment: Experiment) -> int:
    """About how many bytes a run needs, in all: what refuses sizes that a machine cannot hold, or asks for one."""
    height, width, _ = describe_dataset(experiment.dataset)
    sizes, n_tasks = experiment.sizes, experiment.n_tasks_to_learn
    embeddings = n_tasks * sizes.per_task
    images = (
        70_000 * height * width
        + (experiment.batch_size + experiment.outliers + 10_000) * experiment.target_sizes.activations
    )
    if experiment.tasks != "permuted":
        images += 2 * 70_000 * height * width  # a copy of the task in hand, and what it is made from
    if experiment.method == "hypernetwork":
        is_mean = not experiment.hypernet_hidden_dims and experiment.regularized_tasks == "all"  # see LinearMemory
        kept = (1 if is_mean else n_tasks) * sizes.n_chunks * sum(sizes.widths[:-1])  # rows
    elif experiment.method == "joint":
        # Whatever a task does not show as the data set has it is a copy; two classes are a fifth or so of all images.
        copied = {"permuted": 14_000 * experiment.narrow_tasks, "split": 70_000}
        kept = copied.get(experiment.tasks, 70_000 * n_tasks) * height * width
    else:
        kept = experiment.size["stored"]
    if experiment.infer_task != "oracle":
        at_once = max(IMAGES_AT_ONCE, experiment.infer_images)
        images += at_once * (5 * n_tasks + height * width)  # every candidate's four scores and class of each
    # Adam's two moments, two gradients, the snapshot and its difference; each row forwards and backwards; and
    # Python with TensorFlow and the graphs, which are there before any number is.
    return 2**30 + 4 * (8 * sizes.shared + 4 * embeddings + 4 * kept + 2 * images)


def disk_needed(experiment: Experiment) -> int:
    """About how many bytes a run's folder will have: two checkpoints while a third comes, and all weights."""
    sizes, n_tasks = experiment.sizes, experiment.n_tasks_to_learn
    if experiment.method == "joint":
        state = n_tasks * sizes.per_task  # all heads, from the first task on
    else:
        state = sizes.shared * KEPT_PER_WEIGHT.get(experiment.method, 0)  # at most
    # Each embedding is in a file of its own as well.
    return 2**22 + 4 * (4 * (sizes.shared + state) + 2 * n_tasks * sizes.per_task)


def _what_takes_ram(experiment: Experiment) -> str:
    """What to lower where an experiment is too large."""
    if experiment.method == "hypernetwork":
        return "innernet_all_dims, hypernet_hidden_dims or n_tasks_to_learn, or raise num_chunks"
    if experiment.method == "rehearsal":
        return "innernet_all_dims, n_tasks_to_learn or rehearsal.images_per_task"
    return "innernet_all_dims or n_tasks_to_learn" if experiment.sizes.per_task else "innernet_all_dims"


def too_large(experiments: list[Experiment], jobs: int = 1) -> list[str]:
    """The sentences that refuse experiments that need more RAM, disk or cores than this machine has."""
    has, cores = psutil.virtual_memory().total / 2**30, available_cores()
    needs = [(experiment.run_name, ram_needed(experiment) / 2**30) for experiment in experiments]
    problems = [
        f"{name}: needs about {need:,.1f} GiB of RAM, this machine has {has:,.1f} GiB; lower "
        f"{_what_takes_ram(experiment)}"
        for experiment, (name, need) in zip(experiments, needs, strict=True)
        if need > has
    ]
    disk = {}  # MB needed, by folder
    for experiment in experiments:
        folder = run_folder(experiment)
        if not folder.exists():  # one that has begun has some of it already
            there = next(place for place in folder.parents if place.exists())
            disk[there] = disk.get(there, 0) + disk_needed(experiment) / 1e6
    for place, need in disk.items():
        if need > (free := shutil.disk_usage(place).free / 1e6):
            problems.append(f"{place}: the runs need about {need:,.0f} MB, {free:,.0f} are free; choose another logdir")
    together = sum(sorted(need for _, need in needs)[-jobs:])
    if not 1 <= jobs <= cores:
        problems.append(f"--jobs {jobs}: expected 1 to {cores}, the cores that there are")
    elif together > has and not problems:
        problems.append(
            f"--jobs {jobs}: the {jobs} largest together need about {together:,.1f} GiB of RAM, "
            f"this machine has {has:,.1f} GiB; expected fewer jobs"
        )
    return problems
