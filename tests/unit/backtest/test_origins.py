"""Origins and windows of a backtest."""

import numpy as np
import pytest

from forecasting.backtest.origins import backtest_origins, history_steps, plan_backtest
from forecasting.errors import DataError
from forecasting.schema import SplitSpec
from tests.unit.backtest.tables import DAY_S, HOUR_S, MONDAY, daily_wave, hourly_store

SPLIT = SplitSpec(train_end=MONDAY, validation_end=MONDAY + DAY_S, cutoff=MONDAY + 4 * DAY_S)


def test_origins_begin_with_the_test_period_and_end_a_horizon_before_the_cutoff() -> None:
    origins = backtest_origins(SPLIT, HOUR_S, horizon=24, stride=24)
    assert origins.tolist() == [MONDAY + DAY_S, MONDAY + 2 * DAY_S, MONDAY + 3 * DAY_S]


def test_origin_whose_horizon_reaches_past_the_cutoff_is_left_out() -> None:
    origins = backtest_origins(SPLIT, HOUR_S, horizon=25, stride=24)
    assert origins.tolist() == [MONDAY + DAY_S, MONDAY + 2 * DAY_S]


def test_test_period_shorter_than_the_horizon_is_refused_with_both_lengths() -> None:
    with pytest.raises(DataError, match="one horizon of 73 steps, it has 72"):
        backtest_origins(SPLIT, HOUR_S, horizon=73, stride=24)


def test_actuals_at_and_after_the_cutoff_are_not_known() -> None:
    store = hourly_store({"Demand": [daily_wave(12)]}, n_days=10)
    backtest = plan_backtest(store, np.array([store.spec.split.cutoff - 12 * HOUR_S]), horizon=24)
    assert np.isfinite(backtest.actual[0]).tolist() == [True] * 12 + [False] * 12


def test_series_that_has_not_begun_before_an_origin_has_no_window_there() -> None:
    late = MONDAY + 8 * DAY_S
    store = hourly_store({"Demand": [daily_wave(10), daily_wave(2)]}, starts=(MONDAY, late), n_test_days=3)
    origins = backtest_origins(store.spec.split, HOUR_S, horizon=24, stride=24)
    backtest = plan_backtest(store, origins, horizon=24)
    assert backtest.rows.tolist() == [0, 0, 0, 1]
    assert backtest.folds.tolist() == [0, 1, 2, 2]
    assert history_steps(backtest).tolist() == [168, 192, 216, 24]


def test_window_without_a_known_actual_is_left_out() -> None:
    demand = daily_wave(10)
    demand[8 * 24 : 9 * 24] = np.nan
    store = hourly_store({"Demand": [demand]}, n_test_days=3)
    backtest = plan_backtest(store, backtest_origins(store.spec.split, HOUR_S, horizon=24, stride=24), horizon=24)
    assert backtest.folds.tolist() == [0, 2]
    assert backtest.n_points == 48


def test_test_period_without_any_actual_is_refused() -> None:
    demand = daily_wave(10)
    demand[7 * 24 :] = np.nan
    store = hourly_store({"Demand": [demand]}, n_test_days=3)
    origins = backtest_origins(store.spec.split, HOUR_S, horizon=24, stride=24)
    with pytest.raises(DataError, match="must hold actuals of 'Demand'"):
        plan_backtest(store, origins, horizon=24)
