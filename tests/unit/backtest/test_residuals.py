"""What the errors of a backtest have in common, against values by hand and a second implementation."""

import numpy as np
import pytest
from scipy import stats

from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.report import open_backtest
from forecasting.backtest.residuals import examine_residuals
from forecasting.backtest.score import ForecastRecord
from forecasting.config.sections import BacktestConfig
from tests.unit.backtest.tables import daily_wave, hourly_spec, hourly_store


def backtest_of(*targets: np.ndarray, stride: int = 24, n_test_days: int = 3) -> BacktestSpec:
    store = hourly_store({"Demand": list(targets)}, n_test_days=n_test_days, n_days=len(targets[0]) // 24)
    return open_backtest(store, hourly_spec(), settings=BacktestConfig(stride=stride))


def record_of(point: np.ndarray) -> ForecastRecord:
    return ForecastRecord((0.5,), point[:, :, None], np.ones(point.shape, dtype=bool))


def errors_of(backtest: BacktestSpec, errors: np.ndarray) -> ForecastRecord:
    """Forecasts whose errors are those of each window, `[W,H]`."""
    return record_of(backtest.actual - errors)


def test_autocorrelation_is_that_of_the_errors_in_order_of_time() -> None:
    backtest = backtest_of(daily_wave(40), n_test_days=30)
    errors = np.random.default_rng(1).normal(size=30 * 24).cumsum()
    found = examine_residuals(backtest, errors_of(backtest, errors.reshape(30, 24)), n_lags=3)
    assert found is not None
    centred = errors - errors.mean()
    for lag in (1, 2, 3):
        pairs = (centred[lag:] * centred[:-lag]).mean()
        assert found.autocorrelation[lag - 1] == pytest.approx(pairs / (centred**2).mean(), abs=1e-9)
    assert (found.n_points, found.n_series) == (720, 1)
    assert found.band == pytest.approx(1.96 / 720**0.5)


def test_alternating_errors_are_opposite_one_step_apart_and_equal_two_steps_apart() -> None:
    backtest = backtest_of(daily_wave(10))
    found = examine_residuals(backtest, errors_of(backtest, np.tile([1.0, -1.0], (3, 12))), n_lags=2)
    assert found is not None
    assert found.autocorrelation == pytest.approx((-1.0, 1.0))


def test_a_step_that_several_origins_forecast_counts_once_by_the_latest() -> None:
    backtest = backtest_of(daily_wave(10), stride=12)
    errors = np.zeros((5, 24))
    errors[:, 12:] = 100.0
    errors[:, :12] = np.tile([1.0, -1.0], 6)
    errors[4, 12:] = np.tile([1.0, -1.0], 6)
    found = examine_residuals(backtest, errors_of(backtest, errors), n_lags=1)
    assert found is not None
    assert found.n_points == 72
    assert found.autocorrelation[0] == pytest.approx(-1.0)


def test_series_of_different_size_are_scaled_before_they_are_pooled() -> None:
    backtest = backtest_of(daily_wave(10), daily_wave(10, level=1e6))
    errors = np.concatenate([np.tile([1.0, -1.0], (3, 12)), np.tile([1e4, 1e4, -1e4, -1e4], (3, 6)) + 7.0])
    found = examine_residuals(backtest, errors_of(backtest, errors), n_lags=2)
    assert found is not None
    # One step apart: -1 in the first series and 1/71 in the second; two steps apart: 1 and -1.
    assert found.autocorrelation == pytest.approx(((-1 + 1 / 71) / 2, 0.0), abs=1e-6)


def test_quantiles_of_normal_errors_lie_on_those_of_the_normal_distribution() -> None:
    backtest = backtest_of(daily_wave(110), n_test_days=100)
    errors = np.random.default_rng(2).normal(3.0, 50.0, size=(100, 24))
    found = examine_residuals(backtest, errors_of(backtest, errors), n_lags=1)
    assert found is not None
    assert found.expected == pytest.approx(stats.norm.ppf((np.arange(101) + 0.5) / 101))
    assert np.abs(np.array(found.observed) - found.expected)[5:-5].max() < 0.15


def test_heavy_tails_reach_beyond_the_normal_quantiles() -> None:
    backtest = backtest_of(daily_wave(110), n_test_days=100)
    errors = stats.t(df=2).rvs(size=(100, 24), random_state=3)
    found = examine_residuals(backtest, errors_of(backtest, errors), n_lags=1)
    assert found is not None
    assert abs(found.observed[50]) < 0.1
    assert found.observed[40] - found.expected[40] > 0.05 > found.observed[0] - found.expected[0]


def test_missing_actuals_make_no_pairs() -> None:
    target = daily_wave(10)
    target[7 * 24 :: 2] = np.nan
    backtest = backtest_of(target)
    found = examine_residuals(backtest, errors_of(backtest, np.random.default_rng(4).normal(size=(3, 24))), n_lags=2)
    assert found is not None
    assert found.n_points == 36
    assert np.isnan(found.autocorrelation[0])
    assert np.isfinite(found.autocorrelation[1])


@pytest.mark.parametrize("error", [0.0, 0.3])
def test_errors_without_any_spread_are_not_examined(error: float) -> None:
    backtest = backtest_of(daily_wave(10))
    assert examine_residuals(backtest, errors_of(backtest, np.full((3, 24), error)), n_lags=2) is None


def test_of_more_series_than_there_is_room_for_an_even_choice_is_taken() -> None:
    backtest = backtest_of(*[daily_wave(10)] * 9)
    found = examine_residuals(
        backtest, errors_of(backtest, np.random.default_rng(5).normal(size=(27, 24))), n_lags=1, max_cells=3 * 72
    )
    assert found is not None
    assert (found.n_series, found.n_points) == (3, 216)
