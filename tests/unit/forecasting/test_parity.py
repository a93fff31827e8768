"""Differences between answers, by hand."""

import math

import numpy as np
import pytest

from forecasting.parity import FLOOR_RATIO, DifferenceReport, differences


def of(found: list[list[float]], expected: list[list[float]]) -> DifferenceReport:
    """Windows of some steps and one quantile."""
    one, other = (np.asarray(values, np.float32)[:, :, np.newaxis] for values in (found, expected))
    return differences(one, other)


def test_differences_are_shares_of_the_mean_forecast_of_all_windows_and_of_each() -> None:
    report = of([[12.0, 30.0], [1.0, 5.0]], [[10.0, 30.0], [1.0, 3.0]])
    assert report.largest == pytest.approx(2 / 11)
    assert report.mean == pytest.approx(1 / 11)
    assert report.window_largest == pytest.approx(1.0)
    assert report.window_mean == pytest.approx(0.5)
    assert report.window == 1


def test_a_window_about_zero_counts_as_a_small_share_of_the_mean_of_all() -> None:
    report = of([[10.0], [1.0]], [[10.0], [0.0]])
    assert report.window_mean == pytest.approx(1.0 / (FLOOR_RATIO * 5.0))


def test_one_nan_where_a_number_is_expected_makes_all_ratios_nan() -> None:
    report = of([[np.nan, 30.0], [1.0, 3.0]], [[10.0, 30.0], [1.0, 3.0]])
    assert all(math.isnan(value) for value in (report.largest, report.mean, report.window_largest, report.window_mean))
    assert report.window == 0


def test_what_is_expected_to_be_nan_is_not_compared() -> None:
    report = of([[5.0, 33.0]], [[np.nan, 30.0]])
    assert (report.largest, report.window_mean) == pytest.approx((0.1, 0.1))
    assert of([[1.0]], [[np.nan]]) == DifferenceReport(0.0, 0.0, 0.0, 0.0, 0)
