"""The loop of notebooks/run.ipynb as a program that tests can interrupt: python tests/loop.py FILE [ACCIDENT].

ACCIDENT is what goes wrong, and when: `task N` dies in the middle of learning task N; `checkpoint N`, `shared N` (an
embedding is there, the rest is not), `metrics N` and `events N` die right before that is written for the N-th time;
`size BYTES` lets no file grow beyond that, as a full disk would. Dying is SIGKILL: nothing can be tidied up.
"""

import os
import resource
import signal
import sys

from experiments import run as runs
from experiments.build import build
from experiments.files import load_experiments
from hypernet_lib.quiet import tf


def die_before(owner, name, count, counts=lambda *args: True):
    """Replace a function by one that kills the process at the count-th of the calls that count."""
    function, calls = getattr(owner, name), []

    def wrapped(*args, **kwargs):
        calls.extend([None] * counts(*args))
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    setattr(owner, name, wrapped)


def main(file, accident="", number="0"):
    (experiment,) = load_experiments(file)
    learner = build(experiment).learner
    if accident == "checkpoint":
        die_before(runs.Checkpoints, "save", int(number))
    if accident == "shared":
        die_before(tf.train.Checkpoint, "write", int(number))
    if accident == "metrics":
        die_before(runs, "write_atomically", int(number), lambda path, text: path.name == "metrics.csv")
    if accident == "events":
        die_before(runs.Events, "accuracies", int(number))
    if accident == "size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(number), int(number)))
    run = runs.Run(experiment)
    for task in range(run.resume(learner), experiment.n_tasks_to_learn):
        memory = learner.remember(task)
        if accident == "task" and task == int(number):
            signal.setitimer(signal.ITIMER_REAL, 0.3)  # SIGALRM, whose default is to end the process at once
            learner.learn(task, memory, iterations=1_000_000)  # so that the end comes in the middle, however fast
        losses = learner.learn(task, memory)
        measure_and_record(run, learner, task, losses)
    run.finish()


def carried_out(experiment, end=None):
    """Carry out the first `end` tasks of an experiment, or all, going on where it stopped; returns the learner."""
    learner, run = build(experiment).learner, runs.Run(experiment)
    for task in range(run.resume(learner), end or experiment.n_tasks_to_learn):
        losses = learner.learn(task, learner.remember(task))
        measure_and_record(run, learner, task, losses)
    if end is None:
        run.finish()
    else:
        run.release()
    return learner


def measure_and_record(run, learner, task, losses):
    """What the loop does with a task that was just learned."""
    to_test = range(task + 1) if run.experiment.tests_all_after(task + 1) else {0, task}
    run.record(task + 1, {t: learner.evaluate(t) for t in to_test}, losses)


if __name__ == "__main__":
    main(*sys.argv[1:])
