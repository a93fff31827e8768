import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from forecasting.features.columns import ColumnBlock
from forecasting.features.numpy_namespace import NUMPY
from forecasting.features.terms import RollingTerm


def rolled(values: list[float], window: int, statistic: str) -> list[float]:
    column = ColumnBlock(np.asarray(values, dtype=np.float32)[None], 0.0, 1.0, NUMPY)
    return RollingTerm("x", window, statistic).compute(column)[0].tolist()


def test_rolling_mean_by_hand_uses_what_there_is_at_the_start():
    assert rolled([3.0, 6.0, 9.0, 0.0], 3, "mean") == pytest.approx([3.0, 4.5, 6.0, 5.0])


def test_rolling_minimum_and_maximum_by_hand():
    assert rolled([3.0, 6.0, 9.0, 0.0], 2, "min") == [3.0, 3.0, 6.0, 0.0]
    assert rolled([3.0, 6.0, 9.0, 0.0], 2, "max") == [3.0, 6.0, 9.0, 9.0]


def test_missing_values_are_left_out_of_a_window():
    assert rolled([2.0, float("nan"), 4.0], 2, "mean") == pytest.approx([2.0, 2.0, 4.0])
    assert rolled([2.0, float("nan"), 4.0], 3, "min") == [2.0, 2.0, 2.0]


def test_a_window_without_any_value_is_zero():
    nan = float("nan")
    assert [rolled([nan, nan], 2, name) for name in ("mean", "std", "min", "max")] == [[0.0, 0.0]] * 4


def test_window_longer_than_the_series_covers_all_of_it():
    assert rolled([1.0, 2.0, 3.0], 10, "mean") == pytest.approx([1.0, 1.5, 2.0])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10_000))
def test_every_statistic_equals_brute_force(window: int, seed: int):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=60)
    values[rng.random(60) < 0.2] = np.nan
    padded = sliding_window_view(np.r_[np.full(window - 1, np.nan), values], window)
    usable = ~np.isnan(padded).all(axis=1)
    for name, reduce in (("mean", np.nanmean), ("std", np.nanstd), ("min", np.nanmin), ("max", np.nanmax)):
        found = np.asarray(rolled(values.tolist(), window, name))
        assert found[usable] == pytest.approx(reduce(padded[usable], axis=1), abs=1e-5)
