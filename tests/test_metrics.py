"""The accuracy matrix's measures, by hand."""

import numpy as np
import pandas as pd
import pytest

from hypernet_lib.metrics import AccuracyMatrix, after_the_last


def matrix(*records):
    return AccuracyMatrix(pd.DataFrame(records, columns=["learned", "task", "accuracy"]))


def test_measures_of_three_tasks():
    # R = [0.9, -, -], [0.95, 0.8, -], [0.6, 0.7, 0.5]
    m = matrix((1, 0, 0.9), (2, 0, 0.95), (2, 1, 0.8), (3, 0, 0.6), (3, 1, 0.7), (3, 2, 0.5))
    assert np.isnan(m.R[0, 1]) and np.isnan(m.R[1, 2])
    assert list(m.after(2)) == [0.95, 0.8] and list(m.final) == [0.6, 0.7, 0.5]
    assert m.acc == pytest.approx((0.6 + 0.7 + 0.5) / 3)
    assert m.bwt == pytest.approx(((0.6 - 0.9) + (0.7 - 0.8)) / 2)  # against the diagonal
    assert m.forgetting == pytest.approx(((0.95 - 0.6) + (0.8 - 0.7)) / 2)  # against the best
    assert m.worst == 0.5
    assert m.summary() == {"ACC": m.acc, "BWT": m.bwt, "forgetting": m.forgetting, "min": 0.5}


def test_one_task_has_nothing_to_forget():
    m = matrix((1, 0, 0.9))
    assert (m.acc, m.bwt, m.forgetting, m.worst) == (0.9, 0, 0, 0.9)


def test_a_task_that_got_better_has_negative_forgetting():
    assert matrix((1, 0, 0.5), (2, 0, 0.7), (2, 1, 0.6)).forgetting == pytest.approx(-0.2)


def test_after_the_last_task_what_was_inferred_is_the_mean_over_tasks():
    rows = [
        (1, "entropy", 1, 0, 0.9, 0.9, 0.9, 0.9),
        (2, "entropy", 1, 0, 0.2, 0.4, 0.1, 0.8),
        (2, "entropy", 1, 1, 0.4, 0.5, 0.3, 0.6),
        (2, "entropy", 3, 0, 0.5, 0.6, 0.5, 0.8),
    ]
    columns = ["learned", "score", "together", "task", "task_right", "class_right", "both_right", "told"]
    found = after_the_last(pd.DataFrame(rows, columns=columns))
    assert found.loc[("entropy", 1)].tolist() == pytest.approx([0.3, 0.45, 0.2, 0.7])
    assert found.loc[("entropy", 3)].tolist() == [0.5, 0.6, 0.5, 0.8] and len(found) == 2
