from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.benchmarks.accuracy_tasks.peers import TaskWindows, by_window
from tests.benchmarks.accuracy_tasks.scoring import ScoringSpec

HOURS = pd.date_range("2020-01-01", periods=6, freq="h")


def task_windows() -> TaskWindows:
    """Two series at the first three hours."""
    windows = pd.DataFrame({"series": ["a"] * 3 + ["b"] * 3, "ds": [*HOURS[:3], *HOURS[:3]]})
    actual = np.arange(12.0).reshape(6, 2)
    return TaskWindows(Path(), windows, ScoringSpec(actual, np.ones((6, 1)), np.ones((6, 1))), 3_600)


def test_every_second_origin_keeps_all_series_and_their_actuals():
    part = task_windows().every(2)
    assert part.windows.series.tolist() == ["a", "a", "b", "b"]
    assert part.windows.ds.tolist() == [HOURS[0], HOURS[2]] * 2
    assert part.scoring.actual.tolist() == [[0.0, 1.0], [4.0, 5.0], [6.0, 7.0], [10.0, 11.0]]


def test_answers_of_consecutive_hours_are_cut_into_windows():
    ahead = pd.Series({name: HOURS.to_numpy() for name in ("a", "b")})
    answers = pd.Series({"a": np.arange(6.0), "b": np.arange(6.0) + 10})
    found = by_window(answers, ahead, task_windows())
    assert found.tolist() == [[0, 1], [1, 2], [2, 3], [10, 11], [11, 12], [12, 13]]


def test_a_peer_that_leaves_hours_out_is_refused():
    ahead = pd.Series({name: HOURS.to_numpy() for name in ("a", "b")})
    answers = pd.Series({"a": np.arange(5.0), "b": np.arange(6.0)})
    with pytest.raises(ValueError, match="must answer 6 hours of a, found 5"):
        by_window(answers, ahead, task_windows())
