"""Continual learning with hypernetworks: the idea, and nothing of files, experiments or reports.

Read it in this order, each module in one sitting:

    sizes      how large everything is: weights, chunks, parameters; no TensorFlow
    datasets   the data sets that tasks are made of
    tasks      what is learned: a data set, for each task in another order of pixels, turned, or in parts
    targets    the networks whose weights are generated
    hypernet   the network that generates them, from embeddings
    memory     the snapshot, and the gradient of the memory loss: what keeps old tasks
    adam       Adam, which moves every variable
    batches    what a step shows: which images, dropped pixels, outliers
    graphs     graphs traced once, data made tensors once
    training   a task learned step by step; evaluation
    metrics    the accuracy matrix and what is read from it
    inference  which task an image is of, where nobody tells

`from hypernet_lib.quiet import tf` is TensorFlow without its start-up chatter.
"""
