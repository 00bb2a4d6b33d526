"""The other methods, each a learner with the same face as the hypernetwork's.

Read them in this order:

    settings  which methods there are, what each has to itself and how large it is; no TensorFlow
    networks  target networks that nothing generates, one for all tasks or one for each; learning them in a row
    weights   remembering in weight space: L2, EWC, SI
    images    remembering by images: rehearsal; joint training

`experiments.build` makes the one that an experiment asks for.
"""
