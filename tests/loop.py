"""The loop of notebook 03 as a program that tests can interrupt: python tests/loop.py EXPERIMENT.yaml [ACCIDENT].

ACCIDENT is what goes wrong, and when: `task N` dies in the middle of learning task N; `checkpoint N`, `metrics N` and
`events N` die right before that file is written for the N-th time; `size BYTES` lets no file grow beyond that, as a
full disk would. Dying is SIGKILL: nothing can be tidied up.
"""

import os
import resource
import signal
import sys

from hypernet_lib.checkpoints import Checkpoints
from hypernet_lib.experiment_files import load_experiments
from hypernet_lib.hypernet import Hypernetwork
from hypernet_lib.runs import Run
from hypernet_lib.targets import MLP
from hypernet_lib.tasks import PermutedTasks
from hypernet_lib.training import Learner


def die_before(owner, name, count):
    """Replace a method by one that kills the process when it is called for the count-th time."""
    method, calls = getattr(owner, name), []

    def wrapped(*args, **kwargs):
        calls.append(None)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*args, **kwargs)

    setattr(owner, name, wrapped)


def main(file, accident="", number="0"):
    (e,) = load_experiments(file)
    tasks, target = PermutedTasks(e.dataset, e.seed, e.center_pixels), MLP(e.innernet_all_dims)
    hypernet = Hypernetwork(
        target, e.n_tasks_to_learn, embedding_dim=e.task_embedding_dim, n_chunks=e.num_chunks,
        hidden_dims=e.hypernet_hidden_dims, activation=e.hypernet_activation, head_scale=e.head_init_scale, seed=e.seed,
    )  # fmt: skip
    learner = Learner(hypernet, target, tasks, batch_size=e.batch_size, iterations=e.iters_per_task, seed=e.seed)
    places = {"checkpoint": (Checkpoints, "save"), "metrics": (Run, "_write_metrics"), "events": (Run, "_log")}
    if accident in places:
        die_before(*places[accident], int(number))
    if accident == "size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(number), int(number)))
    run = Run(e)
    for task in range(run.resume(hypernet), e.n_tasks_to_learn):
        memory = learner.remember(task)
        if accident == "task" and task == int(number):
            signal.setitimer(signal.ITIMER_REAL, 0.3)  # SIGALRM, whose default is to end the process at once
            learner.learn(task, memory, iterations=1_000_000)  # so that the end comes in the middle, however fast
        learner.learn(task, memory)
        tested = range(task + 1) if e.tests_all_after(task + 1) else {0, task}
        run.record(task + 1, {t: learner.evaluate(t) for t in tested})
    run.finish(hypernet.compression)


if __name__ == "__main__":
    main(*sys.argv[1:])
