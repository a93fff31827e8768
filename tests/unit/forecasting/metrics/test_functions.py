"""Metrics: by hand, against second implementations, in limiting cases, and by their properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasting import metrics

ACTUAL = np.array([10.0, 20.0, np.nan, 30.0])
FORECAST = np.array([12.0, 16.0, 99.0, 30.0])
VALUES = arrays(np.float64, 20, elements=st.floats(-1e4, 1e4).filter(lambda value: value == 0 or abs(value) > 1e-3))


def test_mae_by_hand_leaves_out_the_missing_actual() -> None:
    assert metrics.mae(ACTUAL, FORECAST) == pytest.approx(2.0)


def test_rmse_by_hand() -> None:
    assert metrics.rmse(ACTUAL, FORECAST) == pytest.approx(math.sqrt((4 + 16 + 0) / 3))


def test_bias_is_positive_where_forecasts_are_too_high() -> None:
    assert metrics.bias(np.array([10.0, 20.0]), np.array([13.0, 21.0])) == pytest.approx(2.0)


def test_wape_by_hand() -> None:
    assert metrics.wape(ACTUAL, FORECAST) == pytest.approx(6 / 60)


def test_smape_by_hand_counts_zero_against_zero_as_perfect() -> None:
    found = metrics.smape(np.array([0.0, 10.0, np.nan]), np.array([0.0, 30.0, 5.0]))
    assert found == pytest.approx((0 + 2 * 20 / 40) / 2)


def test_mase_scale_is_the_mean_seasonal_difference_in_sample() -> None:
    history = np.array([1.0, 5.0, 2.0, 8.0, np.nan, 9.0])
    assert metrics.mase_scale(history, 2) == pytest.approx((1 + 3 + 1) / 3)


def test_mase_scale_of_a_history_no_longer_than_a_season_is_nan() -> None:
    assert math.isnan(metrics.mase_scale(np.array([1.0, 2.0]), 2))


def test_mase_divides_each_series_by_its_own_scale_and_skips_those_without() -> None:
    actual = np.array([[10.0, 10.0], [100.0, 100.0], [5.0, 5.0]])
    forecast = np.array([[12.0, 10.0], [90.0, 100.0], [50.0, 50.0]])
    scale = np.array([[2.0], [10.0], [np.nan]])
    assert metrics.mase(actual, forecast, scale) == pytest.approx((1 + 0 + 1 + 0) / 4)


def test_pinball_by_hand() -> None:
    quantiles = np.array([[8.0, 11.0]])
    # level 0.1: y above f by 2 → 0.2; level 0.9: y below f by 1 → 0.1
    assert metrics.pinball(np.array([10.0]), quantiles, (0.1, 0.9)) == pytest.approx((0.2 + 0.1) / 2)


def test_wql_by_hand() -> None:
    quantiles = np.array([[8.0, 11.0]])
    assert metrics.wql(np.array([10.0]), quantiles, (0.1, 0.9)) == pytest.approx(2 * (0.2 + 0.1) / 2 / 10)


def test_coverage_counts_the_bounds_as_inside() -> None:
    actual = np.array([1.0, 2.0, 3.0, np.nan])
    assert metrics.coverage(actual, np.full(4, 1.0), np.full(4, 2.0)) == pytest.approx(2 / 3)


def test_interval_width_is_measured_where_the_actual_is_known() -> None:
    assert metrics.interval_width(ACTUAL, np.zeros(4), np.array([1.0, 2.0, 900.0, 3.0])) == pytest.approx(2.0)


def test_nan_forecast_of_a_known_actual_makes_every_metric_nan() -> None:
    actual, forecast = np.array([1.0, 2.0]), np.array([1.0, np.nan])
    quantiles = np.stack([forecast, forecast], axis=1)
    found = [
        metrics.mae(actual, forecast),
        metrics.rmse(actual, forecast),
        metrics.wape(actual, forecast),
        metrics.smape(actual, forecast),
        metrics.bias(actual, forecast),
        metrics.mase(actual, forecast, 1.0),
        metrics.pinball(actual, quantiles, (0.1, 0.9)),
        metrics.wql(actual, quantiles, (0.1, 0.9)),
        metrics.coverage(actual, forecast, actual),
        metrics.interval_width(actual, forecast, actual),
    ]
    assert all(math.isnan(value) for value in found)


def test_metrics_over_no_known_actual_are_nan() -> None:
    nothing = np.array([np.nan, np.nan])
    assert math.isnan(metrics.mae(nothing, np.zeros(2)))
    assert math.isnan(metrics.coverage(nothing, np.zeros(2), np.ones(2)))


def test_wape_of_actuals_that_are_all_zero_is_nan() -> None:
    assert math.isnan(metrics.wape(np.zeros(3), np.ones(3)))


def test_median_pinball_is_half_the_mae_and_median_wql_is_the_wape() -> None:
    quantiles = FORECAST[:, None]
    assert metrics.pinball(ACTUAL, quantiles, (0.5,)) == pytest.approx(metrics.mae(ACTUAL, FORECAST) / 2)
    assert metrics.wql(ACTUAL, quantiles, (0.5,)) == pytest.approx(metrics.wape(ACTUAL, FORECAST))


def test_pinball_is_smallest_at_the_empirical_quantile() -> None:
    sample = np.random.default_rng(1).gamma(2.0, size=4_000)
    grid = np.linspace(0.1, 8.0, 400)
    losses = [metrics.pinball(sample, np.full((4_000, 1), value), (0.9,)) for value in grid]
    assert grid[int(np.argmin(losses))] == pytest.approx(np.quantile(sample, 0.9), abs=0.03)


def test_metrics_equal_plain_loops_over_the_same_numbers() -> None:
    rng = np.random.default_rng(7)
    actual = rng.normal(50, 20, size=(6, 5))
    actual[rng.random((6, 5)) < 0.2] = np.nan
    quantiles = np.sort(rng.normal(50, 20, size=(6, 5, 3)), axis=2)
    levels = (0.1, 0.5, 0.9)
    pairs = [(actual[i, j], quantiles[i, j]) for i in range(6) for j in range(5) if not math.isnan(actual[i, j])]
    losses = [sum(max(q * (y - f), (q - 1) * (y - f)) for q, f in zip(levels, row, strict=True)) for y, row in pairs]
    assert metrics.pinball(actual, quantiles, levels) == pytest.approx(sum(losses) / 3 / len(pairs))
    assert metrics.wql(actual, quantiles, levels) == pytest.approx(2 * sum(losses) / 3 / sum(abs(y) for y, _ in pairs))
    covered = sum(row[0] <= y <= row[2] for y, row in pairs) / len(pairs)
    assert metrics.coverage(actual, quantiles[..., 0], quantiles[..., 2]) == pytest.approx(covered)
    squared = sum((y - row[1]) ** 2 for y, row in pairs) / len(pairs)
    assert metrics.rmse(actual, quantiles[..., 1]) == pytest.approx(squared**0.5)


@given(actual=VALUES, forecast=VALUES)
def test_rmse_is_never_below_mae_and_mae_never_below_bias(actual: np.ndarray, forecast: np.ndarray) -> None:
    mae = metrics.mae(actual, forecast)
    assert metrics.rmse(actual, forecast) >= mae * (1 - 1e-12)
    assert mae >= abs(metrics.bias(actual, forecast)) * (1 - 1e-12)


@given(actual=VALUES, forecast=VALUES, factor=st.floats(0.01, 100.0))
def test_errors_scale_with_the_unit_and_ratios_do_not(actual: np.ndarray, forecast: np.ndarray, factor: float) -> None:
    assert metrics.mae(actual * factor, forecast * factor) == pytest.approx(factor * metrics.mae(actual, forecast))
    assert metrics.smape(actual * factor, forecast * factor) == pytest.approx(metrics.smape(actual, forecast))


@given(actual=VALUES, forecast=VALUES)
def test_smape_lies_between_zero_and_two(actual: np.ndarray, forecast: np.ndarray) -> None:
    assert 0 <= metrics.smape(actual, forecast) <= 2
