"""The accuracy matrix and what is read from it; and what was right where the task of an image was inferred."""

from __future__ import annotations

import numpy as np
import pandas as pd

# Columns of what `inference.infer` finds: by which score, of how many images together, of which task; and the shares
# of its images, 0 to 1, whose task was right, whose class, both, and whose class where the task is told.
INFERRED = ["score", "together", "task", "task_right", "class_right", "both_right", "told"]


class AccuracyMatrix:
    """R[i, j]: accuracy on task j once i + 1 tasks are learned; NaN where it was not measured.

    `records` is the same as a table with the columns learned (i + 1), task (j) and accuracy.
    """

    def __init__(self, records: pd.DataFrame):
        n = int(records["learned"].max())
        self.R = np.full([n, n], np.nan)
        self.R[records["learned"] - 1, records["task"]] = records["accuracy"]

    def after(self, learned: int) -> np.ndarray:
        """Accuracy on every task so far once `learned` tasks were learned, [learned]; NaN where it was not measured."""
        return self.R[learned - 1, :learned]

    @property
    def final(self) -> np.ndarray:
        """Accuracy on every task after the last one, [N]."""
        return self.after(len(self.R))

    @property
    def just_learned(self) -> np.ndarray:
        """Accuracy on every task right after it was learned, [N]: the diagonal."""
        return np.diag(self.R)

    @property
    def acc(self) -> float:
        """ACC: mean accuracy over all tasks after the last (Lopez-Paz and Ranzato, arXiv 1706.08840, equation 2)."""
        return float(self.final.mean())

    @property
    def bwt(self) -> float:
        """BWT, backward transfer: mean change of each task but the last since it was learned (same, equation 3)."""
        change = self.final - self.just_learned
        return float(change[:-1].mean()) if len(change) > 1 else 0.0

    @property
    def forgetting(self) -> float:
        """Mean drop of each task but the last from its best measured accuracy (Chaudhry et al., arXiv 1801.10112, 3.2).

        The best is taken over what was measured before the last task was learned, so it can be negative.
        """
        if len(self.R) == 1:
            return 0.0
        return float((np.nanmax(self.R[:-1, :-1], axis=0) - self.final[:-1]).mean())

    @property
    def worst(self) -> float:
        """The lowest accuracy of any task after the last one."""
        return float(self.final.min())

    def summary(self) -> dict[str, float]:
        """ACC, BWT, forgetting and the worst accuracy, by the names that `summary.json` uses."""
        return {"ACC": self.acc, "BWT": self.bwt, "forgetting": self.forgetting, "min": self.worst}


def after_the_last(inferred: pd.DataFrame) -> pd.DataFrame:
    """Of what `inference.infer` found, with a column `learned` beside it: the mean over tasks, once all are learned.

    A row for each score and number of images together, a column for each share.
    """
    last = inferred[inferred["learned"] == inferred["learned"].max()]
    return last.groupby(["score", "together"])[INFERRED[3:]].mean()
