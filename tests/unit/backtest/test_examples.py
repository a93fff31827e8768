"""Which forecasts are shown: the one in the middle and the worst one, whatever the size of a series."""

import numpy as np
import pytest

from forecasting.backtest.examples import pick_examples
from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.report import open_backtest
from forecasting.backtest.score import ForecastRecord
from forecasting.config.sections import BacktestConfig
from tests.unit.backtest.tables import DAY_S, MONDAY, hourly_spec, hourly_store

SMALL, LARGE = np.full(240, 10.0), np.full(240, 1000.0)


def backtest_of(*targets: np.ndarray) -> BacktestSpec:
    return open_backtest(hourly_store({"Demand": list(targets)}), hourly_spec(), settings=BacktestConfig(stride=24))


def off_by(backtest: BacktestSpec, *errors: float) -> ForecastRecord:
    """Forecasts that are off by one number a window."""
    point = np.nan_to_num(backtest.actual) + np.array(errors)[:, None]
    return ForecastRecord((0.5,), point[:, :, None], np.ones(point.shape, dtype=bool))


def test_the_forecast_in_the_middle_and_the_worst_one_are_picked() -> None:
    backtest = backtest_of(SMALL)
    typical, worst = pick_examples(backtest, off_by(backtest, 3.0, 1.0, 2.0))
    assert (typical.kind, typical.origin, typical.mae) == ("typical", MONDAY + 9 * DAY_S, pytest.approx(2.0))
    assert (worst.kind, worst.origin, worst.mae) == ("worst", MONDAY + 7 * DAY_S, pytest.approx(3.0))
    assert worst.ratio == pytest.approx(0.3)


def test_an_error_counts_by_the_size_of_its_series() -> None:
    backtest = backtest_of(SMALL, LARGE)
    _, worst = pick_examples(backtest, off_by(backtest, 1.0, 1.0, 2.0, 90.0, 90.0, 90.0))
    assert (worst.series, worst.ratio) == ("s0", pytest.approx(0.2))


def test_forecasts_that_can_hardly_be_judged_are_not_shown() -> None:
    target = SMALL.copy()
    target[-13:] = np.nan
    backtest = backtest_of(target)
    typical, worst = pick_examples(backtest, off_by(backtest, 1.0, 2.0, 50.0))
    assert (typical.mae, worst.mae) == (pytest.approx(1.0), pytest.approx(2.0))


def test_series_of_zeros_have_no_size_to_compare_with() -> None:
    backtest = backtest_of(np.zeros(240))
    assert pick_examples(backtest, off_by(backtest, 1.0, 2.0, 3.0)) == ()
