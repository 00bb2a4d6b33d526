"""The checks of the exercises in notebooks 07: each says whether a function is right, and if not, what is wrong.

The truths share no code with the library: plain loops over single numbers, and finite differences. A check compares an
answer with the right one, then with what typical mistakes would give, so that it can name the mistake.
"""

import copy
import functools
import itertools
import math
import traceback
import warnings

import numpy as np

RIGHT = {}  # exercise number: whether its last check was passed
N_EXERCISES = 14


class NotYet(Exception):
    """An answer is not right yet; the message says why."""


class NotAllRight(Exception):
    """Some exercises are still open."""


def exercise(number):
    """Make a check print its verdict and write it down, whatever happens inside."""

    def decorate(check):
        @functools.wraps(check)
        def judge(solve):
            try:
                check(solve)
                RIGHT[number], verdict = True, "right."
            except NotYet as reason:
                RIGHT[number], verdict = False, f"not yet: {reason}."
            print(f"Exercise {number}: {verdict}")

        return judge

    return decorate


def finish():
    """Say how many exercises are right; raises NotAllRight unless all are."""
    still_open = [number for number in range(1, N_EXERCISES + 1) if not RIGHT.get(number)]
    print(f"{N_EXERCISES - len(still_open)} of {N_EXERCISES} exercises are right.")
    if still_open:
        raise NotAllRight(f"still open: {', '.join(map(str, still_open))}")


@exercise(1)
def check_generate(solve):
    for C, E, k, S, surplus in [(2, 2, 3, 2, 1), (3, 2, 4, 5, 0), (4, 3, 5, 3, 2)]:
        c, e, V, v, A, b = _random(C, (C, E), E, (2 * E, k), k, (k, S), S)
        P = C * S - surplus

        def write(c=c, V=V, v=v, b=b, relu=True, e=e, A=A):
            weights = []
            for chunk_embedding in c:
                x = [*chunk_embedding, *e]
                h = [sum(x[i] * V[i, j] for i in range(len(x))) + v[j] for j in range(len(v))]
                h = [max(z, 0) if relu else z for z in h]
                weights += [sum(h[j] * A[j, s] for j in range(len(h))) + b[s] for s in range(len(b))]
            return np.array(weights)

        written = write()
        chunks = written.reshape(C, S)
        across = chunks.T.reshape(-1)[:P]
        swapped = write(V=np.roll(V, E, axis=0))[:P]
        mistakes = {
            f"the surplus is not dropped: {C} chunks of {S} numbers are more than P = {P}": written,
            "the surplus is dropped at the front; it is the end that is too long": written[-P:],
            "the chunks lie across each other; lay them out one after the other": across,
            "these are the chunks [C, S]; lay them out as one flat vector of P weights": chunks,
            "the head's bias b is missing": write(b=0 * b)[:P],
            "the trunk's bias v is missing": write(v=0 * v)[:P],
            "the ReLU is missing: negative numbers in h must become zero": write(relu=False)[:P],
            "the two halves of x are swapped: the chunk embedding comes first": swapped,
        }
        _expect(_call(solve, c, e, V, v, A, b, P), written[:P], mistakes, "the vector of weights")


@exercise(2)
def check_count_parameters(solve):
    hint = {IndexError: "it does not work without a trunk: hidden_dims may be empty, and then the head reads x itself"}
    for N, E, C, hidden_dims, P in [(5, 4, 3, [7, 6], 25), (10, 8, 4, [], 101), (1, 2, 2, [3], 3), (2, 3, 5, [4], 20)]:

        def count(N=N, E=E, C=C, hidden_dims=hidden_dims, P=P, inputs=2 * E, S=-(-P // C), trunk_bias=1, head_bias=1):
            total = N * E + C * E
            for width in hidden_dims:
                total, inputs = total + (inputs + trunk_bias) * width, width
            return total + (inputs + head_bias) * S

        mistakes = {
            "there are N task embeddings, not one": count(N=1),
            "the task embeddings are not counted": count(N=0),
            "the C chunk embeddings are not counted": count(C=0),
            "the trunk's first layer reads both embeddings: 2 E numbers, not E": count(inputs=E),
            "the trunk's biases are missing": count(trunk_bias=0),
            "the head's bias is missing": count(head_bias=0),
            "the biases are missing, in the trunk and in the head": count(trunk_bias=0, head_bias=0),
            "a chunk has P / C numbers rounded up, or the last weights would have no place": count(S=P // C),
            "a chunk has P / C numbers rounded up: parameters come in whole numbers": count(S=P / C),
            "a chunk has P / C numbers rounded up, and not one more where P is a multiple of C": count(S=P // C + 1),
            "the head writes one chunk, not all P weights": count(S=P),
        }
        where = f"the count for N = {N}, E = {E}, C = {C}, hidden_dims = {hidden_dims}, P = {P}"
        _expect(_call(solve, N, E, C, hidden_dims, P, hints=hint), count(), mistakes, where)


@exercise(3)
def check_head_gradients(solve):
    hint = {ValueError: "g has only P numbers; pad it with a zero for each surplus number, then cut it"}
    for C, k, S, surplus in [(2, 3, 2, 1), (3, 4, 5, 0), (4, 2, 3, 2)]:
        P = C * S - surplus
        g, h, A, b = _random(C, P, (C, k), (k, S), S)

        def loss(A, b, h=h, g=g):
            return (h @ A + b).reshape(-1)[: len(g)] @ g

        right_A, right_b = _slopes(lambda A: loss(A, b), A), _slopes(lambda b: loss(A, b), b)  # noqa: B023
        front = np.append(np.zeros(surplus), g).reshape(C, S)
        G = np.append(g, np.zeros(surplus)).reshape(C, S)
        across = np.append(g, np.zeros(surplus)).reshape(S, C).T
        dA, db = _pair(_call(solve, g, h, S, hints=hint), "the gradients of A and b")
        mistakes = {
            "the zeros for the surplus belong at the end of g, not at its beginning": h.T @ front,
            "the chunks lie across each other; cut g into C rows of S numbers, one after the other": h.T @ across,
            "the gradient of A is transposed: A is [k, S], and so is its gradient": right_A.T,
            "every chunk uses the same A, so the chunks' gradients add up; do not take their mean": right_A / C,
        }
        _expect(dA, right_A, mistakes, "the gradient of A")
        mistakes = {
            "the gradient of b still has a row for each chunk; every chunk uses the same b, so they add up": G,
            "every chunk uses the same b, so the chunks' gradients add up; do not take their mean": right_b / C,
            "the gradient of b sums each chunk; sum over the chunks instead": G.sum(axis=1),
        }
        _expect(db, right_b, mistakes, "the gradient of b")


@exercise(4)
def check_accuracy_matrix(solve):
    hint = {IndexError: "an index is too large; `learned` counts tasks, from 1, while rows count from 0"}
    full = [(1, 0, 0.9), (2, 0, 0.5), (2, 1, 0.8), (3, 0, 0.2), (3, 1, 0.6), (3, 2, 0.7)]
    for records in [full, [row for row in full if row[0] != 2 or row[1] != 0]]:
        right, first_row_empty = np.full([3, 3], np.nan), np.full([4, 3], np.nan)
        for learned, task, accuracy in records:
            right[learned - 1, task] = first_row_empty[learned, task] = accuracy
        mistakes = {
            "rows and columns are exchanged: rows follow time, columns are tasks": right.T,
            "what was not measured must be NaN; a zero would be an accuracy": np.nan_to_num(right),
            "the first row is empty; `learned` counts tasks, from 1, while rows count from 0": first_row_empty,
            "all is one row too low; `learned` counts tasks, from 1, while rows count from 0": first_row_empty[:3],
            "all is one row too low, and the last wrapped around": np.roll(right, 1, axis=0),
        }
        _expect(_call(solve, records, hints=hint), right, mistakes, "R")


@exercise(5)
def check_three_numbers(solve):
    # In column 0 the best lies between the first and the last; column 1 ends with its best; (2, 0) was not measured.
    R = np.full([4, 4], np.nan)
    R[[0, 1, 1, 2, 2], [0, 0, 1, 1, 2]] = 0.9, 0.95, 0.8, 0.7, 0.85
    R[3] = 0.5, 0.86, 0.6, 0.92
    now, first, others = R[3], [R[j, j] for j in range(4)], range(3)
    best = [0.95, 0.8, 0.85]
    ACC = sum(now) / 4
    BWT = sum(now[j] - first[j] for j in others) / 3
    forgetting = sum(best[j] - now[j] for j in others) / 3
    too_late = sum(max(best[j], now[j]) - now[j] for j in others) / 3
    answers = _call(solve, R)
    if np.shape(answers) != (3,):
        raise NotYet(f"return three numbers, ACC, BWT and forgetting; this has the shape {list(np.shape(answers))}")
    mistakes = {
        "ACC is read off the last row, not off the diagonal": sum(first) / 4,
        "ACC is read off the last row alone, not off the whole matrix": np.nanmean(R),
        "ACC is the mean over all tasks, the last one included": sum(now[:3]) / 3,
    }
    _expect(answers[0], ACC, mistakes, "ACC")
    mistakes = {
        "BWT has the wrong sign: it is negative where tasks were lost": -BWT,
        "BWT leaves the last task out, also where it divides: N - 1 tasks, not N": BWT * 3 / 4,
        "BWT compares with the diagonal, not with the best": -forgetting,
    }
    _expect(answers[1], BWT, mistakes, "BWT")
    mistakes = {
        "forgetting has the wrong sign: it is positive where tasks were lost": -forgetting,
        "forgetting compares with the best accuracy, not with the first: this is -BWT": -BWT,
        "the best is taken over the last row too; what counts is what was measured before": too_late,
        "forgetting leaves the last task out, also where it divides: N - 1 tasks, not N": forgetting * 3 / 4,
        "forgetting is NaN: some entries were not measured, and the best must pass over them": np.nan,
    }
    _expect(answers[2], forgetting, mistakes, "forgetting")


@exercise(6)
def check_memory_loss(solve):
    for T, P, beta in [(3, 4, 0.5), (1, 5, 0.1), (5, 2, 3.0)]:
        W, W_then = _random(T, (T, P), (T, P))

        def true_loss(W, W_then=W_then, beta=beta):
            return beta / len(W) * sum((W[i] - W_then[i]) ** 2 for i in np.ndindex(W.shape))

        right, gradient = true_loss(W), _slopes(true_loss, W)
        value, slope = _pair(_call(solve, W, W_then, beta), "the memory loss and its gradient")
        mistakes = {
            "the mean over the tasks is forgotten in the loss: divide by T": right * T,
            "within a task the squares are summed; take their sum over the P weights, not their mean": right / P,
            "the loss sums over the P weights and divides by T once; take the squares' sum, not their mean": right
            / P
            / T,
            "beta is missing in the loss": right / beta,
            "the changes are not squared in the loss": beta / T * (W - W_then).sum(),
            "the loss is still one number for each task; take their mean": beta * ((W - W_then) ** 2).sum(axis=1),
        }
        _expect(value, right, mistakes, "the memory loss")
        mistakes = {
            "the gradient has the wrong sign: it points to where the loss grows, away from the snapshot": -gradient,
            "the mean over the tasks is forgotten in the gradient: divide by T": gradient * T,
            "the 2 that comes down from the square is missing in the gradient": gradient / 2,
            "beta is missing in the gradient": gradient / beta,
            "the gradient has a row for each task: do not sum over them": gradient.sum(axis=0),
        }
        _expect(slope, gradient, mistakes, "the gradient")


@exercise(7)
def check_training_step(solve):
    embeddings, theta, y, kept = _random(7, (4, 3), 3, 3, (4, 3))
    rate, task = 0.1, 2

    def task_gradients(embeddings, theta):  # of || e_task theta - y ||^2 / 2
        d_embeddings, change = np.zeros_like(embeddings), embeddings[task] * theta - y
        d_embeddings[task] = change * theta
        return d_embeddings, change * embeddings[task]

    def memory_gradients(embeddings, theta):  # of the sum over t < task of || e_t theta - kept_t ||^2 / 2
        change = embeddings * theta - kept
        change[task:] = 0
        return change * theta, (change * embeddings).sum(axis=0)

    de, dtheta = task_gradients(embeddings, theta)
    e_new, half = embeddings - rate * de, theta - rate * dtheta
    theta_new = half - rate * memory_gradients(e_new, half)[1]
    arguments = embeddings, theta, rate, task_gradients, memory_gradients
    e, theta_got = _pair(_call(solve, *arguments), "the embeddings and theta")
    mistakes = {
        "the memory loss moved the embeddings of earlier tasks; they are frozen, only theta may follow it": (
            e_new - rate * memory_gradients(e_new, half)[0]
        ),
        "the memory loss, taken where the step began, moved the embeddings of earlier tasks; they are frozen": (
            e_new - rate * memory_gradients(embeddings, theta)[0]
        ),
        "the embedding of the current task does not move, though it is being learned": embeddings,
        "the embeddings go uphill: subtract the gradient": embeddings + rate * de,
    }
    _expect(e, e_new, mistakes, "the embeddings")
    uphill = theta + rate * dtheta
    mistakes = {
        "both gradients were taken where the step began; the memory's must be taken after the first update": (
            half - rate * memory_gradients(embeddings, theta)[1]
        ),
        "the second update is missing: theta has not felt the memory loss": half,
        "the first update is missing: theta has not felt the task's loss": (
            theta - rate * memory_gradients(e_new, theta)[1]
        ),
        "theta goes uphill in the first update: subtract the gradient": (
            uphill - rate * memory_gradients(e_new, uphill)[1]
        ),
        "theta goes uphill in the second update: subtract the gradient": (
            half + rate * memory_gradients(e_new, half)[1]
        ),
    }
    _expect(theta_got, theta_new, mistakes, "theta")


@exercise(8)
def check_residual(solve):
    n, k, S = 6, 20, 5
    for size, tolerance in [(1.0, 1e-4), (1e-5, 1e-3)]:  # a large change finds wrong formulas, a small one lost digits
        shapes = (n, k), (k, S), S
        then = [x.astype(np.float32) for x in _random(8, *shapes)]
        now = [(x + size * change).astype(np.float32) for x, change in zip(then, _random(9, *shapes), strict=True)]
        (h, A, b), (h_then, A_then, b_then) = now, then
        exact = [x.astype(np.float64) for x in (*now, *then)]
        right = exact[0] @ exact[1] + exact[2] - (exact[3] @ exact[4] + exact[5])
        d, D, e = (a - b for a, b in zip(exact[:3], exact[3:], strict=True))
        got = _array(_call(solve, h, h_then, A, A_then, b, b_then), "the residual")
        mistakes = {
            "the change b - b* of the bias is missing": right - e,
            "the bias itself is added where only its change belongs: b - b*": right - e + exact[2],
            "d D is counted twice: if d meets the new A, it is the OLD h* that meets D": right + d @ D,
            "d D is missing: one of d and D must meet what is new, the other what is old": right - d @ D,
            "the sign is wrong: the residual is new minus old": -right,
        }
        if size == 1.0:
            _expect(got, right, mistakes, "the residual", tolerance)
        elif np.abs(got - right).max() > tolerance * np.abs(right).max():
            raise NotYet(
                "digits are lost: where little has changed, large numbers are subtracted that agree in all but their "
                "last digits. Take the differences d, D and b - b* first, and multiply afterwards"
            )


@exercise(9)
def check_first_with_moments(solve):
    for k, C in [(351, 30), (6, 4), (101, 1), (65, 10), (20, 200)]:

        def first(direct=3, moments=4, C=C, k=k, strictly=False):
            for T in itertools.count(1):
                difference = direct * (T * C) * k - moments * k * k  # for each of the S columns
                if difference > 0 or (difference == 0 and not strictly):
                    return T

        rounded_down = 4 * k // (3 * C)
        mistakes = {
            "where both cost the same, the moments form is to be taken": first(strictly=True),
            "n counts rows, and a task has C of them: n = T C": first(C=1),
            "the result is rounded down; with so few tasks the direct form is still cheaper": rounded_down,
            "the result is not rounded up: tasks come in whole numbers": 4 * k / (3 * C),
            "the direct form has three wide products, not two: generating is one of them": first(direct=2),
            "the moments form has four wide products: two that make moments, two that use them": first(moments=2),
            "the two forms are exchanged": first(direct=4, moments=3),
        }
        _expect(_call(solve, k, C), first(), mistakes, f"the number of tasks for k = {k} and C = {C}")


@exercise(10)
def check_walk(solve):
    def generate(e):
        e = np.asarray(e)
        if e.shape != (3,):
            raise NotYet(f"generate takes one embedding [E] at a time; it was given the shape {list(e.shape)}")
        return np.tanh(e @ M)

    for n in [5, 2]:
        e_0, e_1, M = _random(n, 3, 3, (3, 7))
        points = [[(1 - i / (n - 1)) * a + i / (n - 1) * b for a, b in zip(e_0, e_1, strict=True)] for i in range(n)]
        right = np.array([generate(point) for point in points])
        short = np.array([generate(e_0 + i / n * (e_1 - e_0)) for i in range(n)])
        inner = np.array([generate(e_0 + (i + 1) / (n + 1) * (e_1 - e_0)) for i in range(n)])
        mistakes = {
            "these are the embeddings on the line; let generate write the weights for each": np.array(points),
            "the walk goes backwards: it starts at e_0": right[::-1],
            "the walk stops before e_1: both ends belong to it": short,
            "the walk leaves out both ends": inner,
        }
        if n > 2:
            straight = np.array([(1 - i / (n - 1)) * right[0] + i / (n - 1) * right[-1] for i in range(n)])
            mistakes["the line is drawn between the two weight vectors; draw it between the embeddings"] = straight
        _expect(_call(solve, e_0, e_1, n, generate), right, mistakes, "the array of weights")


@exercise(11)
def check_held(solve):
    for n, strength in [(3, 0.7), (5, 4.0)]:
        gradient, w, anchor, information = _random(n, n, n, n, n)
        information = information**2

        def penalty(w, anchor=anchor, information=information, strength=strength):
            return strength / 2 * sum(information * (w - anchor) ** 2)

        pull = _slopes(penalty, w)
        mistakes = {
            "the task's own gradient is missing: both are followed together": pull,
            "the pull has the wrong sign: it must lead back to the anchor when it is followed downhill": gradient
            - pull,
            "there is a factor 2 too many: the half of the penalty takes back the 2 that comes down": gradient
            + 2 * pull,
            "the strength is missing": gradient + pull / strength,
            "every weight is held equally; multiply each by its own information": gradient + strength * (w - anchor),
            "the pull does not know where the weights are: w - anchor is missing": gradient + strength * information,
            "this pulls towards zero; the weights are held to the anchor": gradient + strength * information * w,
            "add the gradient of the penalty, not the penalty itself": gradient + penalty(w),
        }
        answer = _call(solve, gradient, w, anchor, information, strength)
        _expect(answer, gradient + pull, mistakes, "the gradient", tolerance=1e-5)


@exercise(12)
def check_importance(solve):
    for steps, n, damping in [(4, 3, 0.1), (6, 2, 2.0)]:
        gradients, moves = _random(steps, (steps, n), (steps, n))
        path = np.cumsum(np.vstack([np.zeros(n), moves]), axis=0)  # [steps + 1, n]
        fall, squared, way = np.zeros(n), np.zeros(n), np.zeros(n)
        for k in range(n):
            for t in range(steps):
                fall[k] -= gradients[t, k] * (path[t + 1, k] - path[t, k])
                way[k] += (path[t + 1, k] - path[t, k]) ** 2
            squared[k] = (path[-1, k] - path[0, k]) ** 2
        mistakes = {
            "this has the wrong sign: a loss that falls makes a weight important": -fall / (squared + damping),
            "the damping is missing": fall / squared,
            "the distance is not squared": fall / (np.sqrt(squared) + damping),
            "this is the fall of the loss alone; divide it by how far the weight has come": fall,
            "take the distance from start to end, and square that; not the sum of the squared steps": fall
            / (way + damping),
            "sum over the steps for each weight, not over the weights": np.full(
                n, fall.sum() / (squared.sum() + damping)
            ),
            "sum over the steps, do not take their mean": fall / steps / (squared + damping),
        }
        _expect(_call(solve, path, gradients, damping), fall / (squared + damping), mistakes, "the importance")


@exercise(13)
def check_choose(solve):
    # Five images, so that each mistake in the choice says another task: all together say 0, the first says 1, most say
    # 2, the lowest sum is that of 7, and the highest row that of image 3. Shifted logits shift the score.
    shifts = np.zeros([5, 8])
    shifts[:, 0], shifts[range(5), [1, 2, 2, 0, 3]], shifts[:, 7] = 5, 6, -4
    shifts[3, :7] += [14, 2, 2, 2, 2, 2, 2]
    for M, T, n_classes, level in [(5, 8, 3, 0), (1, 3, 4, 0), (3, 2, 5, 1000), (4, 3, 2, -1000)]:
        (z,) = _random(M, (M, T, n_classes))
        z = z / 2 + shifts[:M, :T, None]
        right = np.array([[level + math.log(sum(math.exp(x) for x in row)) for row in image] for image in z])
        of_tasks = [sum(right[i][t] for i in range(M)) for t in range(T)]
        chosen = of_tasks.index(max(of_tasks))
        with np.errstate(all="ignore"):  # a mistake must not leave warnings beside its name
            answer = _call(solve, z + level)
        scores, task = _pair(answer, "the scores [M, T] and the chosen task")
        largest = z.max(axis=2) + level
        shift = "subtract the largest logit before it, and add it again after the logarithm"
        mistakes = {
            "this is the largest logit; the others belong to the sum, too": largest,
            "the classes are summed; this is the logarithm of their mean": right - math.log(n_classes),
            "the largest logit was subtracted before the sum; add it again after the logarithm": right - largest,
            "sum over the classes, which are the last axis, and keep an axis for the tasks": np.array(of_tasks),
        }
        if level == 0:
            mistakes["the logarithm is missing"] = np.exp(right)
        else:
            mistakes[f"exp of a logit of 1000 is infinite: {shift}"] = np.full([M, T], np.inf)
            mistakes[f"exp of a logit of -1000 is zero, and has no logarithm: {shift}"] = np.full([M, T], -np.inf)
        _expect(scores, right, mistakes, "the log-sum-exp")
        mistakes = {
            "this is a task for each image; add up the scores of all images first": right.argmax(axis=1),
            "these are the sums themselves; return the number of the task with the highest": of_tasks,
            "this is the highest sum itself; return the number of its task": max(of_tasks),
            "the task with the lowest sum is chosen; the highest wins": of_tasks.index(min(of_tasks)),
            "this sums over the tasks; add up the images, which are the first axis": right.sum(axis=1).argmax(),
            "each image has one vote here; add up the scores": np.bincount(right.argmax(axis=1)).argmax(),
            "this is the choice of the first image alone": right[0].argmax(),
            "this is the single highest score, or its place among all; add up first": right.argmax(),
        }
        _expect(task, chosen, mistakes, "the chosen task")


@exercise(14)
def check_loss_with_none(solve):
    for B, O, n_classes in [(5, 3, 4), (2, 6, 3), (4, 1, 2)]:  # noqa: E741
        logits, outlier_logits = (2 * z for z in _random(B, (B, n_classes), (O, n_classes)))
        labels = np.random.default_rng(B).integers(n_classes, size=B)

        def images(none=1.0, logits=logits, labels=labels):  # their summed cross-entropy
            rows = zip(logits.tolist(), labels, strict=True)
            return sum(math.log(none + sum(map(math.exp, z))) - z[y] for z, y in rows)

        def others(none=1.0, outlier_logits=outlier_logits):  # that of the outliers
            return sum(math.log(none + sum(map(math.exp, z))) for z in outlier_logits.tolist())

        n, right = B + O, (images() + others()) / (B + O)
        first, last = outlier_logits[:, 0].sum(), outlier_logits[:, -1].sum()
        mistakes = {
            "the outliers are missing": images() / B,
            "the outliers are missing in the sum, and counted in the mean": images() / n,
            "the images are missing": others() / O,
            "this has the wrong sign: a loss is minus the logarithm of a probability": -right,
            "this is the sum over all images and outliers; take the mean": right * n,
            "there are as many terms as images and outliers together; divide by B + O": right * n / B,
            "this adds the two means; take one mean over images and outliers together": images() / B + others() / O,
            "this is the mean of two means; every image and outlier counts alike": (images() / B + others() / O) / 2,
            "the images do not know of none of them; its logit 0 is in their softmax, too": (images(0) + others()) / n,
            "a logit of 0 still counts in the sum, with exp(0) = 1": (images(0) + others(0)) / n,
            "a logit of 0 counts in the sum of the outliers, too, with exp(0) = 1": (images() + others(0)) / n,
            "the label of an outlier is none of them; this takes its first class": (images() + others() - first) / n,
            "the label of an outlier is none of them; this takes its last class": (images() + others() - last) / n,
        }
        _expect(_call(solve, logits, labels, outlier_logits), right, mistakes, "the loss")


def _random(seed, *shapes):
    random = np.random.default_rng(seed)
    return [random.standard_normal(shape) for shape in shapes]


def _slopes(function, x, step=1e-4):
    """The gradient by central differences, one number after the other."""
    slopes = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        nudge = np.zeros(x.shape)
        nudge[i] = step
        slopes[i] = (function(x + nudge) - function(x - nudge)) / (2 * step)
    return slopes


def _call(solve, *arguments, hints=None):
    """What the reader's function returns; an error in it, nothing returned, or a changed argument is a NotYet."""
    given = copy.deepcopy(arguments)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice")  # of a column that is left out afterwards
            answer = solve(*given)
    except NotYet:
        raise
    except NotImplementedError:
        answer = None
    except Exception as error:
        words = f"your function stops with {type(error).__name__}: {error}"
        lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == solve.__code__.co_filename]
        words += f", in the line `{lines[-1].line}`" if lines and lines[-1].line else ""
        hint = (hints or {}).get(type(error))
        raise NotYet(f"{words}. A hint: {hint}" if hint else words) from None
    if answer is None:
        raise NotYet("your function returns nothing; write your lines in the place of the dots, the last one a return")
    for name, before, after in zip(solve.__code__.co_varnames, arguments, given, strict=False):
        if isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=True):
            raise NotYet(f"your function changes {name} itself; work on a copy, or write {name} = {name} - ...")
    return answer


def _pair(answer, what):
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise NotYet(f"return two things, {what}")
    return answer


def _array(answer, name):
    try:
        return np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError):
        raise NotYet(f"{name} should be made of numbers, and is a {type(answer).__name__}") from None


def _expect(answer, right, mistakes, name, tolerance=1e-6):
    """Raise NotYet unless the answer is right: with the words of the mistake it shows, else with the difference."""
    answer, right = _array(answer, name), _array(right, name)

    def same(a, b):
        return a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)

    if same(answer, right):
        return
    for words, wrong in mistakes.items():
        if same(answer, _array(wrong, name)):
            raise NotYet(words)
    if answer.shape != right.shape:
        raise NotYet(f"{name} should have the shape {list(right.shape)}, and has {list(answer.shape)}")
    where = np.argmax(np.abs(np.nan_to_num(answer - right, nan=np.inf)))
    at = f" at {[int(i) for i in np.unravel_index(where, right.shape)]}" if right.shape else ""
    raise NotYet(f"{name} should be {right.reshape(-1)[where]:.4g}{at}, and is {answer.reshape(-1)[where]:.4g}")
