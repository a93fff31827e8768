import math

import numpy as np
import pytest

from components.compression.measure import parity_ratios
from components.compression.parity import (
    MAX_FLOAT_RATIO,
    MAX_HALF_RATIO,
    MAX_QUANTISED_MEAN_RATIO,
    ParityReport,
    ParitySpec,
    compare,
    parity_problem,
)
from forecasting.variants import Precision
from forecasting.windows import ModelInputs

FLOAT32, FLOAT16, INT8 = Precision.FLOAT32, Precision.FLOAT16, Precision.INT8
EXPECTED = np.array([[[10.0, 20.0, 30.0]], [[10.0, 20.0, 30.0]], [[1.0, 2.0, 3.0]]], dtype=np.float32)
"""Two real windows, then one of zeros: one step, three quantiles."""


@pytest.mark.parametrize(
    ("largest", "mean", "precision", "passes"),
    [
        (MAX_FLOAT_RATIO, 0.0, FLOAT32, True),
        (math.nextafter(MAX_FLOAT_RATIO, 1), 0.0, FLOAT32, False),
        (math.nan, 0.0, FLOAT32, False),
        (MAX_HALF_RATIO, 0.0, FLOAT16, True),
        (math.nextafter(MAX_HALF_RATIO, 1), 0.0, FLOAT16, False),
        (1.0, MAX_QUANTISED_MEAN_RATIO, INT8, True),
        (1.0, math.nextafter(MAX_QUANTISED_MEAN_RATIO, 1), INT8, False),
        (1.0, math.nan, INT8, False),
        (math.inf, math.inf, INT8, False),
    ],
)
def test_parity_holds_up_to_its_limit_and_never_for_nan(
    largest: float, mean: float, precision: Precision, passes: bool
) -> None:
    assert (parity_problem(largest, mean, precision=precision) == "") is passes


def test_parity_ratios_are_shares_of_the_mean_forecast() -> None:
    expected = np.array([[[10.0], [30.0]]], dtype=np.float32)
    found = np.array([[[12.0], [30.0]]], dtype=np.float32)
    assert parity_ratios(found, expected) == pytest.approx((0.1, 0.05))


def test_one_nan_in_a_forecast_makes_its_ratios_nan() -> None:
    expected = np.array([[[10.0], [30.0]]], dtype=np.float32)
    found = np.array([[[np.nan], [30.0]]], dtype=np.float32)
    assert all(math.isnan(ratio) for ratio in parity_ratios(found, expected))


def test_what_the_float_model_does_not_know_either_is_not_compared() -> None:
    expected = np.array([[[np.nan], [30.0]]], dtype=np.float32)
    assert parity_ratios(np.array([[[5.0], [33.0]]], dtype=np.float32), expected) == pytest.approx((0.1, 0.1))
    assert parity_ratios(expected, np.full_like(expected, np.nan)) == (0.0, 0.0)


def compared(found: np.ndarray, precision: Precision) -> ParityReport:
    windows = ModelInputs(np.zeros((3, 2, 1), np.float32), np.zeros((3, 1, 1), np.float32))
    spec = ParitySpec(windows, 2, np.array([[21.0], [np.nan]]), {"zeros": slice(2, 3)})
    return compare(found.astype(np.float32), EXPECTED, spec, precision=precision, n_levels=3, middle=1)


def test_the_error_is_that_of_the_median_on_real_windows_with_an_actual() -> None:
    report = compared(EXPECTED, FLOAT32)
    assert (report.mae, report.problem, report.largest) == (1.0, "", 0.0)


def test_a_float_conversion_that_differs_on_made_up_windows_alone_is_another_model() -> None:
    found = EXPECTED.copy()
    found[2] *= 1.5
    assert compared(found, FLOAT32).problem.startswith("zeros: largest difference 75.00%")
    quantised = compared(found, INT8)
    assert (quantised.problem, quantised.extreme_windows) == ("", "zeros")
    assert quantised.extreme_ratio == pytest.approx(0.5)


@pytest.mark.parametrize("precision", [FLOAT32, INT8])
def test_no_conversion_may_lose_numbers_or_the_order_of_quantiles(precision: Precision) -> None:
    lost, crossed = EXPECTED.copy(), EXPECTED.copy()
    lost[2, 0, 2] = np.inf
    crossed[2, 0, 1] = 0.9999
    assert "zeros windows: 1 numbers are not finite, which the float model has" in compared(lost, precision).problem
    assert "zeros windows: quantiles do not ascend" in compared(crossed, precision).problem
