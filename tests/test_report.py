"""The tables of results against the runs' own files, read row by row."""

import csv
import json

import pandas as pd
import pytest

from hypernet_lib.folders import PROJECT
from hypernet_lib.report import SEARCHES, search


def test_the_search_says_what_each_run_changed_and_how_well_it_learned_and_kept():
    row = search("search").loc["embedding_400"]
    with open(PROJECT / "outputs" / "search" / "embedding_400" / "metrics.csv") as file:
        metrics = [(int(r["learned"]), int(r["task"]), float(r["accuracy"])) for r in csv.DictReader(file)]
    just_learned = [accuracy for learned, task, accuracy in metrics if learned == task + 1]
    assert len(just_learned) == 30
    assert abs(row["just learned"] - sum(just_learned) / 30) < 1e-9
    assert abs(row["the last ten"] - sum(just_learned[20:]) / 10) < 1e-9
    assert row["changed"] == "task_embedding_dim: 400"
    assert row["ACC"] == json.loads((PROJECT / "outputs/search/embedding_400/summary.json").read_text())["ACC"]


@pytest.mark.parametrize("file", SEARCHES)
def test_the_committed_tables_of_the_search_are_those_that_make_report_makes(file):
    committed = pd.read_csv(PROJECT / "outputs" / "search" / f"{file}.csv", index_col="run", keep_default_na=False)
    pd.testing.assert_frame_equal(committed, search(file), atol=1e-6, check_dtype=False)
