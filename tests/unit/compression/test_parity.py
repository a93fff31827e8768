import math

import numpy as np
import pytest

from components.compression.parity import (
    MAX_FLOAT_RATIO,
    MAX_HALF_RATIO,
    MAX_QUANTISED_MEAN_RATIO,
    MAX_QUANTISED_WINDOW_RATIO,
    ParityReport,
    ParitySpec,
    compare,
    parity_problem,
)
from forecasting.parity import DifferenceReport
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
    report = DifferenceReport(largest, mean, 0.0, 0.0, 0)
    assert (parity_problem(report, precision=precision) == "") is passes


@pytest.mark.parametrize(
    ("largest", "precision", "passes"),
    [
        (MAX_FLOAT_RATIO, FLOAT32, True),
        (math.nextafter(MAX_FLOAT_RATIO, 1), FLOAT32, False),
        (MAX_HALF_RATIO, FLOAT16, True),
        (math.nextafter(MAX_HALF_RATIO, 1), FLOAT16, False),
        (math.nan, FLOAT16, False),
    ],
)
def test_a_float_conversion_holds_in_every_single_window(largest: float, precision: Precision, passes: bool) -> None:
    report = DifferenceReport(0.0, 0.0, largest, largest, 3)
    assert (parity_problem(report, precision=precision) == "") is passes


@pytest.mark.parametrize(
    ("mean", "passes"), [(MAX_QUANTISED_WINDOW_RATIO, True), (math.nextafter(MAX_QUANTISED_WINDOW_RATIO, 1), False)]
)
def test_a_single_window_of_a_quantised_conversion_has_a_wider_limit(mean: float, passes: bool) -> None:
    report = DifferenceReport(1.0, MAX_QUANTISED_MEAN_RATIO, 1.0, mean, 7)
    problem = parity_problem(report, precision=INT8)
    assert (problem == "") is passes
    assert passes or problem == "mean difference 25.00% from the float model in one window (number 7), at most 25.0%"


def test_one_spoiled_window_among_many_makes_a_conversion_another_model() -> None:
    """Of sixty windows, one small one is all wrong: 0.3 % in the mean of all."""
    expected = np.full((60, 1, 3), 100.0, np.float32)
    expected[17] = 15.0
    found = expected.copy()
    found[17] = 30.0
    windows = ModelInputs(np.zeros((60, 2, 1), np.float32), np.zeros((60, 1, 1), np.float32))
    spec = ParitySpec(windows, 60, np.full((60, 1), np.nan), {"zeros": slice(0, 1)})
    report = compare(found, expected, spec, precision=INT8, n_levels=3, middle=1)
    assert report.mean < 0.003
    assert report.problem == "mean difference 100.00% from the float model in one window (number 17), at most 25.0%"


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
