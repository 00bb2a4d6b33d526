"""Experiments carried out and reported: the machinery around `hypernet_lib`, which knows nothing of it.

Where to change what:

    parameters   a parameter: its default, bound and meaning
    families     which families of tasks there are, and the settings that each has to itself
    files        what an experiment file may say: documents, what they share, sweeps
    store        a run's folder seen from outside: where it is, what it holds, who may use it
    build        an experiment's tasks, target network and learner
    checkpoints  what a run has learned: kept as it goes, and loaded to go on or to be used
    run          an experiment being carried out: metrics and checkpoints as they come, its summary at the end
    events       what TensorBoard shows of it
    environment  what a kernel starts with: this project's code, none of the user's own settings
    execution    the one command line that carries out an experiment: papermill with notebooks/run.ipynb
    queue        many experiments: planned, side by side, tried once more, shown as they go
    resources    RAM and cores: how much an experiment needs, and its share
    baselines/   other methods to compare with
    rounding     a finished run tested again, the numbers of its task embeddings rounded to few bits
    tables       every table of results, read from outputs/
    plots        every figure of what was measured
    diagrams     every drawing of an idea: the hypernetwork, its products, what tasks show
    report       writes those tables and figures, and the parameters, where README, docs/ and notebooks show them
    grade        the exercises that students hand in, checked
"""
