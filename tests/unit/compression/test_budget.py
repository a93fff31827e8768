"""Time that is gone, and time that a fine-tuning will take, by hand."""

import json
import math
import time
from pathlib import Path

import pytest

from components.compression.budget import BudgetClock, TuningPace, seconds_per_step


def clock_in(folder: Path, *, began_s_ago: float = 0.0) -> BudgetClock:
    return BudgetClock(60.0, folder / "clock.json", began=time.monotonic() - began_s_ago)


def test_the_clock_runs_from_the_beginning_of_the_step_and_goes_on_where_a_stopped_process_left_it(
    tmp_path: Path,
) -> None:
    first = clock_in(tmp_path, began_s_ago=20.0)
    assert first.left_s() == pytest.approx(40.0, abs=1.0)
    first.keep()
    assert json.loads((tmp_path / "clock.json").read_text())["spent_s"] == pytest.approx(20.0, abs=1.0)
    assert clock_in(tmp_path, began_s_ago=5.0).elapsed_s() == pytest.approx(25.0, abs=1.0)
    assert clock_in(tmp_path, began_s_ago=90.0).left_s() == 0.0


def test_a_step_of_the_training_takes_its_time_by_its_steps_also_where_epochs_are_cut_short() -> None:
    report = {"n_epochs": 3, "n_train_windows": 1_000, "batch_size": 100, "cpu_s": 60.0}
    assert seconds_per_step(report, max_steps_per_epoch=None) == pytest.approx(2.0)
    assert seconds_per_step(report, max_steps_per_epoch=4) == pytest.approx(5.0)
    assert seconds_per_step(report, max_steps_per_epoch=40) == pytest.approx(2.0)
    assert seconds_per_step({}, max_steps_per_epoch=None) == 0.0


def test_answers_of_a_teacher_count_by_the_windows_that_will_probably_be_drawn(tmp_path: Path) -> None:
    pace = TuningPace(clock_in(tmp_path), step_s=0.3, batch_size=10)
    alone = pace.estimate_s(100)
    assert alone == pytest.approx(6.0 + 100 * 0.3)
    # A thousand draws of a million windows are a thousand windows, of a hundred windows they are all of them.
    assert pace.estimate_s(100, n_windows=1_000_000) - alone == pytest.approx(2.0 + 1_000 * 0.01, rel=1e-3)
    assert pace.estimate_s(100, n_windows=100) - alone == pytest.approx(2.0 + 100 * 0.01, rel=1e-3)
    drawn_once = 1_000 * (1 - math.exp(-1))
    assert pace.estimate_s(100, n_windows=1_000) - alone == pytest.approx(2.0 + drawn_once * 0.01, rel=1e-3)


def test_scoring_takes_what_building_takes_and_a_third_of_a_step_for_as_many_windows_as_a_step_has(
    tmp_path: Path,
) -> None:
    pace = TuningPace(clock_in(tmp_path), step_s=0.3, batch_size=10)
    assert pace.estimate_scoring_s(4, n_windows=50) == pytest.approx(4 * (0.5 + 5 * 0.1))


def test_steps_that_were_done_here_say_more_than_those_of_the_training(tmp_path: Path) -> None:
    pace = TuningPace(clock_in(tmp_path), step_s=1_000.0, batch_size=10)
    after_step = pace.watch("fine-tuning", 20)
    for number in range(1, 11):
        after_step(number)
    assert pace.step_s == 1_000.0
    after_step(11)
    assert 0.0 < pace.step_s < 1.0
    assert (tmp_path / "clock.json").exists()
