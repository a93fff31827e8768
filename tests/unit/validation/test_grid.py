"""The regular grid: the step of a table, buckets, gaps. By hand and against pandas."""

import numpy as np
import pandas as pd
import pytest

from components.validation.grid import RowTable, StepReport, infer_step, resample

HOUR = 3600


def rows_of(times: list[int], values: object | None = None, series: list[int] | None = None) -> RowTable:
    n = len(times)
    column = np.arange(n, dtype=np.float64) if values is None else np.asarray(values, dtype=np.float64)
    return RowTable(np.array(series or [0] * n), np.array(times), column.reshape(n, -1), np.arange(n))


def resampled(rows: RowTable, how: str, frequency_s: int, step_s: int) -> np.ndarray:
    source = StepReport(step_s, 0, np.array([]), None, None)
    report = resample(rows, 1, frequency_s=frequency_s, source=source, aggregations=(how,) * rows.values.shape[1])
    return report.series[0].values


def test_the_step_is_the_usual_distance_and_gaps_do_not_change_it():
    step = infer_step(rows_of([0, 10, 20, 50, 60, 70]))
    assert step is not None
    assert (step.step_s, step.phase_s, step.off_grid.tolist(), step.second_step_s) == (10, 0, [], None)


def test_rows_off_the_grid_are_found_by_their_phase():
    step = infer_step(rows_of([5, 15, 25, 32, 45, 55]))
    assert step is not None
    assert (step.phase_s, step.off_grid.tolist()) == (5, [3])


def test_ten_equal_longer_steps_are_a_second_frequency_and_nine_are_gaps():
    base = [10 * i for i in range(30)]
    nine = infer_step(rows_of(base + [290 + 20 * i for i in range(1, 10)]))
    ten = infer_step(rows_of(base + [290 + 20 * i for i in range(1, 11)]))
    assert nine is not None
    assert nine.second_step_s is None
    assert ten is not None
    assert (ten.second_step_s, ten.second_step_row) == (20, 30)


def test_closed_weekends_are_gaps_and_no_second_frequency():
    days = [d * 86_400 for d in range(100) if d % 7 < 5]
    step = infer_step(rows_of(days))
    assert step is not None
    assert (step.step_s, step.second_step_s) == (86_400, None)


def test_the_distance_between_series_is_no_step():
    step = infer_step(rows_of([0, 10, 20, 3, 13, 23], series=[0, 0, 0, 1, 1, 1]))
    assert step is not None
    assert step.step_s == 10


def test_single_rows_have_no_step():
    assert infer_step(rows_of([0, 0], series=[0, 1])) is None


@pytest.mark.parametrize("how", ["mean", "sum", "min", "max", "last"])
def test_buckets_equal_those_of_pandas(how):
    rng = np.random.default_rng(3)
    times = 900 * np.arange(4 * 24 * 5)
    values = rng.normal(size=len(times))
    frame = pd.Series(values, index=pd.to_datetime(times, unit="s"))
    expected = getattr(frame.resample("1h"), how)().to_numpy()
    found = resampled(rows_of(times.tolist(), values), how, HOUR, 900)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("how", "expected"), [("mean", 1.5), ("sum", np.nan), ("min", 1.0), ("max", 2.0), ("last", 2.0)]
)
def test_a_half_filled_bucket_has_a_value_unless_it_is_a_sum(how, expected):
    values = [[0.0], [0.0], [0.0], [0.0], [1.0], [2.0], [np.nan], [np.nan]]
    found = resampled(rows_of([900 * i for i in range(8)], values), how, HOUR, 900)
    np.testing.assert_array_equal(found[1], [expected])


def test_a_bucket_filled_by_less_than_half_is_missing():
    values = [0.0, 0.0, 0.0, 0.0, 1.0, np.nan, np.nan, np.nan]
    assert np.isnan(resampled(rows_of([900 * i for i in range(8)], values), "mean", HOUR, 900)[1, 0])


def test_partial_buckets_at_both_ends_are_left_out_and_counted():
    source = StepReport(1800, 0, np.array([]), None, None)
    report = resample(rows_of([1800, 3600, 5400, 7200]), 1, frequency_s=HOUR, source=source, aggregations=("mean",))
    assert report.n_partial_buckets == 2
    assert report.series[0].start == HOUR
    assert report.series[0].values.tolist() == [[1.5]]


def test_gaps_become_missing_rows_of_a_regular_grid():
    found = resampled(rows_of([0, HOUR, 4 * HOUR], [1.0, 2.0, 5.0]), "mean", HOUR, HOUR)
    np.testing.assert_array_equal(found[:, 0], [1, 2, np.nan, np.nan, 5])


def test_rows_that_are_not_resampled_keep_their_phase():
    source = StepReport(HOUR, 600, np.array([]), None, None)
    report = resample(rows_of([600, 4200, 7800]), 1, frequency_s=HOUR, source=source, aggregations=("mean",))
    assert report.series[0].start == 600
    assert report.series[0].values[:, 0].tolist() == [0, 1, 2]
