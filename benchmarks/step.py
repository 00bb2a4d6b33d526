"""What a training step costs, by the number of remembered tasks and by the way in which they are remembered.

    python benchmarks/step.py [--tasks 1 10 30 100] [--rounds 3] [--json FILE] [--profile FORM TASKS]

Random images in place of MNIST, each form in a process of its own, with nothing else running. At the original's size
(that of params/permuted_mnist_10.yaml), all with its ReLU:

    original   a Python loop over the remembered tasks in a compiled step, Keras layers and Keras's Adam, as published
    direct     the weights of all remembered tasks generated in one product
    moments    no weights generated; only moments of the trunk's outputs meet the head
    ours       what the library does by default: the cheaper of the two above, from shapes alone
    bfloat16   ours, with `precision: bfloat16`
    hypnettorch   that package's regularizer, where it and torch are installed

And where chunks are the rows of a target network 784-units-10, as in params/best.yaml, with embeddings of 35 numbers:

    rows 4000           units = 4000; its first layer is never written
    rows 4000 written   the same, but every weight is written in each step
    rows 1000           that of params/thousands.yaml, while its head still learns

Everything is measured in a few rounds, and the fastest counts: other users of a machine only ever slow it down.
--profile shows instead where the time of our step goes, operation by operation.
"""

import argparse
import collections
import glob
import importlib.util
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from hypernet_lib.sizes import HypernetSizes, mlp
from hypernet_lib.tasks import TaskData

CHUNKS, EMBEDDING, TRUNK, TARGET, BATCH, BETA = 30, 100, [200, 250, 350], [784, 300, 10], 256, 0.1
SIZES = HypernetSizes(mlp(TARGET).shapes, EMBEDDING, False, CHUNKS, TRUNK)
N_WEIGHTS, CHUNK_SIZE = SIZES.n_weights, SIZES.chunk_size  # P, S
FORMS = ["original", "direct", "moments", "ours", "bfloat16", "rows 4000 written", "rows 4000", "rows 1000"]
ROWS_EMBEDDING = 35


class RandomImages:
    """A family of tasks in place of MNIST's: as many pixels, and as many images as a timing needs."""

    image_shape, n_classes = (28, 28), TARGET[-1]

    def __init__(self):
        random = np.random.default_rng(0)
        self.train_images = random.standard_normal([20_000, TARGET[0]], dtype=np.float32)
        self.train_labels = random.integers(0, TARGET[-1], 20_000, dtype=np.int32)
        self.train_images.flags.writeable = self.train_labels.flags.writeable = False

    def train(self, task):
        permutation = np.random.default_rng(task).permutation(TARGET[0]).astype(np.int32)
        return TaskData(self.train_images, self.train_labels, permutation)

    test = train


def library_steps(form, n_tasks):
    """A function that makes a number of our own steps, the number of tasks remembered being `n_tasks`."""
    from hypernet_lib.hypernet import Hypernetwork
    from hypernet_lib.memory import DirectMemory, MomentsMemory
    from hypernet_lib.quiet import tf
    from hypernet_lib.targets import MLP
    from hypernet_lib.training import Learner

    target = MLP(TARGET)
    sizes = {"task_embedding_dim": EMBEDDING, "num_chunks": CHUNKS, "hypernet_hidden_dims": TRUNK}
    if form.startswith("rows"):
        target = MLP([TARGET[0], int(form.split()[1]), TARGET[-1]])
        sizes = {"task_embedding_dim": ROWS_EMBEDDING, "num_chunks": "rows", "hypernet_hidden_dims": []}
        sizes["embedding_per_chunk"] = True
    hypernet = Hypernetwork(target, n_tasks + 1, **sizes, hypernet_activation="relu")
    if form.endswith("written"):
        hypernet.weights = hypernet.generate
    precision = "bfloat16" if form == "bfloat16" else "float32"
    settings = {"batch_size": BATCH, "l2_memory_regularization": BETA, "precision": precision}
    learner = Learner(hypernet, target, RandomImages(), **settings, learned=range(n_tasks))
    memory = learner.remember(n_tasks)
    if form in ("direct", "moments"):
        embeddings, head = tf.identity(hypernet.task_embeddings[:n_tasks]), tf.identity(hypernet.head)
        hidden = hypernet.hidden(embeddings)
    if form == "direct":
        memory = DirectMemory(embeddings, hidden @ head)
    if form == "moments":
        memory = MomentsMemory(embeddings, hidden, head)
    return lambda count: learner.learn(n_tasks, memory, iterations=count)


def original_steps(n_tasks):
    """The same for the original's way: its network, its loop, its optimizer."""
    from hypernet_lib.quiet import tf

    layers = [tf.keras.layers.Dense(units, activation="relu") for units in TRUNK]
    decay = tf.keras.regularizers.L2(1e-6)
    layers.append(tf.keras.layers.Dense(CHUNK_SIZE, activation="tanh", kernel_regularizer=decay))
    generator = tf.keras.Sequential([tf.keras.layers.Input([2 * EMBEDDING]), *layers])
    chunk_embeddings = tf.keras.Variable(tf.zeros([CHUNKS, EMBEDDING]))
    tokens = [tf.random.normal([EMBEDDING]) / 10 for _ in range(n_tasks)]
    token = tf.keras.Variable(tf.random.normal([EMBEDDING]) / 10)
    trained = [chunk_embeddings, *generator.trainable_variables]
    optimizer = tf.keras.optimizers.Adam()
    optimizer.build([*trained, token])

    def generate(embedding):
        repeated = tf.repeat(tf.convert_to_tensor(embedding)[None], CHUNKS, axis=0)
        chunks = generator(tf.concat([tf.convert_to_tensor(chunk_embeddings), repeated], axis=1))
        return tf.reshape(chunks, [-1])[:N_WEIGHTS]

    def classify(weights, x):
        parts = tf.split(weights, [int(np.prod(shape)) for shape in SIZES.shapes])
        parts = [tf.reshape(part, shape) for part, shape in zip(parts, SIZES.shapes, strict=True)]
        for kernel, bias in zip(parts[::2], parts[1::2], strict=True):
            x = tf.nn.relu(x @ kernel + bias)
        return x

    snapshots = [generate(embedding) for embedding in tokens]

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            logits = classify(generate(token), x)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)) + sum(generator.losses)
        variables = [*trained, token]
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        with tf.GradientTape() as tape:
            loss = tf.constant(0.0)
            for embedding, snapshot in zip(tokens, snapshots, strict=True):
                loss += BETA / n_tasks * tf.reduce_sum((generate(embedding) - snapshot) ** 2)
        # Keras's optimizer moves the variables that it was built for; the new token gets no gradient here.
        gradients = tape.gradient(loss, [v.value for v in trained])
        optimizer.apply([*gradients, tf.zeros_like(token.value)], variables)

    tasks = RandomImages()
    images, labels = tf.constant(tasks.train_images[:BATCH]), tf.constant(tasks.train_labels[:BATCH])
    return lambda count: [step(images, labels) for _ in range(count)][-1]


def hypnettorch_steps(n_tasks):
    """The same with the chunked hypernetwork, the regularizer and the lookahead-free update of hypnettorch."""
    import torch
    from hypnettorch.hnets import ChunkedHMLP
    from hypnettorch.utils import hnet_regularizer

    shapes = [shape for i, o in zip(TARGET, TARGET[1:], strict=False) for shape in ([o, i], [o])]
    hnet = ChunkedHMLP(
        shapes, CHUNK_SIZE, chunk_emb_size=EMBEDDING, layers=TRUNK, cond_in_size=EMBEDDING, num_cond_embs=n_tasks + 1
    )
    optimizer = torch.optim.Adam(hnet.parameters(), lr=1e-3)
    targets = hnet_regularizer.get_current_targets(n_tasks, hnet)
    tasks = RandomImages()
    images = torch.tensor(tasks.train_images[:BATCH])
    labels = torch.tensor(tasks.train_labels[:BATCH], dtype=torch.long)

    def step():
        optimizer.zero_grad()
        w1, b1, w2, b2 = hnet(cond_id=n_tasks)
        logits = torch.relu(images @ w1.T + b1) @ w2.T + b2
        torch.nn.functional.cross_entropy(logits, labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        (BETA * hnet_regularizer.calc_fix_target_reg(hnet, n_tasks, targets=targets)).backward()
        optimizer.step()

    return lambda count: [step() for _ in range(count)][-1]


def measure(form, n_tasks):
    """Milliseconds of a step, seconds until the first one is there, and the most memory the process ever held."""
    others = {"original": original_steps, "hypnettorch": hypnettorch_steps}
    steps = others[form](n_tasks) if form in others else library_steps(form, n_tasks)
    start = time.perf_counter()
    steps(1)
    first = time.perf_counter() - start
    steps(3)
    few, many, differences = 2, 12, []
    for _ in range(5):  # the difference of two lengths leaves out what is paid once for a task
        begun = time.perf_counter()
        steps(few)
        between = time.perf_counter()
        steps(many)
        differences.append((time.perf_counter() - between - (between - begun)) / (many - few))
    seconds = statistics.median(differences)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    return {
        "form": form,
        "tasks": n_tasks,
        "ms_per_step": round(seconds * 1e3, 2),
        "trace_s": round(first - seconds, 2),
        "peak_mb": round(peak, 1),
    }


def multiply_adds(n_tasks):
    """Multiply-adds in the matrix products of one of our steps: the task's update, and the memory's."""
    k, rows = TRUNK[-1] + 1, n_tasks * CHUNKS
    trunk = sum(i * o for i, o in zip(TRUNK, TRUNK[1:], strict=False))
    task = 3 * CHUNKS * (trunk + k * CHUNK_SIZE)
    first, *deeper = [i * o for i, o in zip(TARGET, TARGET[1:], strict=False)]
    task += BATCH * (2 * first + 3 * sum(deeper))
    head = 3 * rows * k * CHUNK_SIZE if 3 * rows < 4 * k else 4 * k**2 * (rows + CHUNK_SIZE)
    return task + 3 * rows * trunk + head


def seconds_of_product(rows, inner, columns, dtype="float32"):
    """The least time that a product [rows, inner] x [inner, columns] takes on this machine."""
    from hypernet_lib.quiet import tf

    a = tf.cast(tf.random.normal([rows, inner]), dtype)
    b = tf.cast(tf.random.normal([inner, columns]), dtype)
    seconds = []
    for _ in range(25):
        start = time.perf_counter()
        _ = (a @ b).shape
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def rows_floor(units):
    """What a step with rows as chunks takes at least: (multiply-adds, bytes that are read from or written to RAM).

    Each product once forwards, and backwards for what is learned; each tensor written once and read once by whoever
    uses it: of the [B, units] ones the layer's output, ReLU's, and the gradients of both.
    """
    k, pixels, classes = 2 * ROWS_EMBEDDING + 1, TARGET[0], TARGET[-1]
    chunks = pixels + 1 + classes + 1
    task = BATCH * (2 * pixels * k + 3 * k * units + 3 * units * classes) + 3 * (classes + 1) * k * units
    memory = 4 * k**2 * (units + chunks)
    wide = BATCH * units * (2 + 3 + 2 + 3)  # output, ReLU's with both its products, gradient, the masked gradient's
    head = k * units * (2 * 8 + 8)  # Adam's two updates of it; the memory's products
    return task + memory, 4 * (wide + head + 3 * BATCH * pixels)


def bytes_per_second():
    """How fast this machine copies from RAM to RAM: bytes read and written."""
    from_, to = np.ones(2**26, np.float32), np.empty(2**26, np.float32)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(to, from_)
        seconds.append(time.perf_counter() - start)
    return 2 * from_.nbytes / min(seconds)


def profile(form, n_tasks, steps=20):
    """Print the milliseconds that each operation takes in one of our steps; those that overlap count twice."""
    from hypernet_lib.quiet import tf

    make_steps = library_steps(form, n_tasks)
    make_steps(3)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            make_steps(steps)
        from tensorflow.tsl.profiler.protobuf import xplane_pb2

        (file,) = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
        space = xplane_pb2.XSpace.FromString(Path(file).read_bytes())
    total = collections.Counter()
    for plane in space.planes:
        for event in [event for line in plane.lines for event in line.events]:
            total[plane.event_metadata[event.metadata_id].name] += event.duration_ps / 1e9 / steps
    for name, milliseconds in total.most_common(60):
        if "while" in name:  # an operation of the loop, not the executor around it
            print(f"{milliseconds:6.2f} ms  {name.removeprefix('while_1/body/_41/')}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", type=int, default=[1, 10, 30, 100], help="numbers of remembered tasks")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured; the fastest counts")
    parser.add_argument("--json", metavar="FILE", help="where to write the measurements")
    parser.add_argument("--profile", nargs=2, metavar=("FORM", "TASKS"), help="where the time of our step goes")
    parser.add_argument("--only", nargs=2, metavar=("FORM", "TASKS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.profile:
        return profile(options.profile[0], int(options.profile[1]))
    if options.only:
        return print(json.dumps(measure(options.only[0], int(options.only[1]))))
    forms = FORMS + ["hypnettorch"] * bool(importlib.util.find_spec("hypnettorch"))
    best = {}
    for _, form, n_tasks in itertools.product(range(options.rounds), forms, options.tasks):
        command = [sys.executable, __file__, "--only", form, str(n_tasks)]
        output = subprocess.run(command, capture_output=True, text=True)
        if output.returncode:
            sys.exit(f"{form} with {n_tasks} tasks: {output.stderr}")
        row = json.loads(output.stdout.splitlines()[-1])
        best[form, n_tasks] = min(row, best.get((form, n_tasks), row), key=lambda r: r["ms_per_step"])
        print("{form:17} {tasks:4} tasks  {ms_per_step:8.2f} ms a step  {trace_s:6.2f} s of tracing  "
              "{peak_mb:7.0f} MB".format(**row), flush=True)  # fmt: skip
    rows = list(best.values())
    peak = 2 * 2048**3 / seconds_of_product(2048, 2048, 2048) / 1e9
    print(f"the fastest of each:\n{pd.DataFrame(rows).pivot(index='form', columns='tasks', values='ms_per_step')}")
    print(f"a large matrix product: {peak:.0f} GFLOP/s")
    k = TRUNK[-1] + 1
    wide = {d: round(1e3 * seconds_of_product(k, k, CHUNK_SIZE, d), 2) for d in ("float32", "bfloat16")}
    print("moments [k, k] times the head [k, S]: " + ", ".join(f"{ms} ms in {dtype}" for dtype, ms in wide.items()))
    ours = {row["tasks"]: row["ms_per_step"] for row in rows if row["form"] == "ours"}
    fractions = {t: 2 * multiply_adds(t) / ms / 1e6 / peak for t, ms in ours.items()}
    for n_tasks, fraction in fractions.items():
        print(f"our step with {n_tasks} tasks: {fraction:.0%} of that")
    floor, copied = {}, bytes_per_second()
    for form in ("rows 4000", "rows 1000"):
        (measured,) = [row["ms_per_step"] for row in rows if (row["form"], row["tasks"]) == (form, max(options.tasks))]
        products, moved = rows_floor(int(form.split()[1]))
        floor[form] = {
            "ms_of_products": round(2 * products / peak / 1e6, 2),
            "ms_of_copies": round(1e3 * moved / copied, 2),
        }
        print(f"{form}: {measured} ms a step; its products alone {floor[form]['ms_of_products']} ms at that speed, its "
              f"bytes alone {floor[form]['ms_of_copies']} ms from and to RAM, at {copied / 1e9:.1f} GB/s")  # fmt: skip
    if options.json:
        from experiments.run import machine

        result = {"steps": rows, "peak_gflops": round(peak, 1), "wide_product_ms": wide, "machine": machine()}
        result["floor"] = floor
        result["fraction_of_peak"] = {t: round(fraction, 3) for t, fraction in fractions.items()}
        Path(options.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
