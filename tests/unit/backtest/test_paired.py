"""Two models on common steps, and sanity of forecasts."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.paired import compare_pair
from forecasting.backtest.report import open_backtest
from forecasting.backtest.sanity import check_sanity
from forecasting.backtest.score import ForecastRecord
from forecasting.config.sections import BacktestConfig
from tests.unit.backtest.tables import DAY_S, MONDAY, daily_wave, hourly_spec, hourly_store


def backtest_of(*targets: np.ndarray, stride: int = 24) -> BacktestSpec:
    store = hourly_store({"Demand": list(targets)})
    return open_backtest(store, hourly_spec(), settings=BacktestConfig(stride=stride))


def record_of(values: np.ndarray, available: np.ndarray | None = None) -> ForecastRecord:
    everywhere = np.ones(values.shape, dtype=bool) if available is None else available
    return ForecastRecord((0.5,), values[:, :, None].astype(np.float32), everywhere)


BACKTEST = backtest_of(daily_wave(10), daily_wave(10, level=300.0))
ACTUAL = BACKTEST.actual
TEST_START = MONDAY + 7 * DAY_S


def test_only_steps_that_both_forecast_are_compared() -> None:
    model = ACTUAL + 1.0
    model[:, 12:] = 1e6
    early = np.zeros(ACTUAL.shape, dtype=bool)
    early[:, :12] = True
    pair = compare_pair(BACKTEST, record_of(model), record_of(ACTUAL + 4.0, early))
    assert pair.ratio == pytest.approx(0.25, rel=1e-4)
    assert pair.by_origin.n_points.tolist() == [24, 24, 24]


def test_origins_that_only_one_has_are_not_common() -> None:
    available = np.ones(ACTUAL.shape, dtype=bool)
    available[BACKTEST.folds == 1] = False
    pair = compare_pair(BACKTEST, record_of(ACTUAL + 1.0), record_of(ACTUAL + 2.0, available))
    assert pair.n_common_origins == 2


def test_nothing_in_common_has_no_ratio() -> None:
    nowhere = np.zeros(ACTUAL.shape, dtype=bool)
    pair = compare_pair(BACKTEST, record_of(ACTUAL), record_of(ACTUAL, nowhere))
    assert (pair.n_common_origins, np.isnan(pair.ratio)) == (0, True)


def test_errors_are_summed_by_series_too() -> None:
    model = ACTUAL + np.where(BACKTEST.rows == 0, 1.0, 3.0)[:, None]
    pair = compare_pair(BACKTEST, record_of(model), record_of(ACTUAL + 2.0))
    assert pair.by_series.model / pair.by_series.other == pytest.approx([0.5, 1.5], rel=1e-4)


@pytest.mark.parametrize(("stride", "overlap"), [(24, 1), (12, 2), (7, 4), (48, 1)])
def test_overlap_is_how_many_origins_share_a_step(stride: int, overlap: int) -> None:
    backtest = backtest_of(daily_wave(10), stride=stride)
    record = record_of(backtest.actual)
    assert compare_pair(backtest, record, record).overlap == overlap


def test_sane_forecasts_have_nothing_to_be_said_of() -> None:
    found = check_sanity(BACKTEST, record_of(ACTUAL), test_start=TEST_START)
    assert (found.missing_ratio, found.nonfinite_ratio, found.crossed_ratio) == (0.0, 0.0, 0.0)
    # The target rises by 1 a day and lies up to 3 above what was seen before, in a range of 26.
    assert found.range_ratio == pytest.approx(3 / np.ptp(daily_wave(10)[: 7 * 24]), rel=1e-4)


def test_missing_non_finite_and_crossed_forecasts_are_counted() -> None:
    quantiles = np.stack([ACTUAL - 1, ACTUAL, ACTUAL + 1], axis=2).astype(np.float32)
    quantiles[0, 0, 1] = np.nan
    quantiles[1, 5] = quantiles[1, 5, ::-1]
    available = np.ones(ACTUAL.shape, dtype=bool)
    available[2, :12] = False
    found = check_sanity(BACKTEST, ForecastRecord((0.1, 0.5, 0.9), quantiles, available), test_start=TEST_START)
    assert found.missing_ratio == pytest.approx(12 / 144)
    assert found.nonfinite_ratio == pytest.approx(1 / (132 * 3))
    assert found.crossed_ratio == pytest.approx(1 / 132)


def test_a_step_whose_every_number_is_nan_is_a_missing_forecast() -> None:
    quantiles = np.stack([ACTUAL - 1, ACTUAL, ACTUAL + 1], axis=2).astype(np.float32)
    quantiles[0, :6] = np.nan
    record = ForecastRecord((0.1, 0.5, 0.9), quantiles, np.ones(ACTUAL.shape, dtype=bool))
    found = check_sanity(BACKTEST, record, test_start=TEST_START)
    assert found.missing_ratio == pytest.approx(6 / 144)
    assert found.nonfinite_ratio == 0.0


def test_infinite_mean_is_not_finite_either() -> None:
    mean = ACTUAL.astype(np.float32)
    mean[0, 0] = np.inf
    record = replace(record_of(ACTUAL), mean=mean)
    found = check_sanity(BACKTEST, record, test_start=TEST_START)
    assert found.nonfinite_ratio == pytest.approx(1 / 288)


def test_distance_is_counted_in_ranges_of_the_series_and_a_small_range_by_a_tenth_of_all() -> None:
    flat, wide = np.full(240, 5.0), np.linspace(0.0, 1_000.0, 240)
    backtest = backtest_of(flat, wide)
    forecast = np.where(backtest.rows == 0, 5.0 + 140.0, 500.0)[:, None] * np.ones((1, 24))
    found = check_sanity(backtest, record_of(forecast), test_start=TEST_START)
    widest = wide[: 7 * 24].max()
    assert found.range_ratio == pytest.approx(140 / (0.1 * widest), rel=1e-4)
