import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.scaling import column_moments, scaler_spec


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1_000), st.integers(1, 49))
def test_merged_moments_equal_those_of_all_rows_even_with_a_huge_offset(seed: int, cut: int):
    values = np.random.default_rng(seed).normal(1e9, 3.0, size=(50, 2))
    merged = column_moments(values[:cut]).merge(column_moments(values[cut:]))
    np.testing.assert_allclose(merged.mean, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(merged.std, values.std(axis=0), rtol=1e-4)


def test_missing_values_do_not_count():
    moments = column_moments(np.asarray([[1.0], [np.nan], [3.0]]))
    assert (moments.count[0], moments.mean[0], moments.std[0]) == (2, 2.0, 1.0)


def test_a_constant_column_keeps_scale_one():
    spec = scaler_spec(("x",), column_moments(np.full((5, 1), 7.0)))
    assert (spec.location["x"], spec.scale["x"]) == (7.0, 1.0)


def test_a_homogeneous_column_is_only_divided():
    spec = scaler_spec(("sales",), column_moments(np.asarray([[3.0], [4.0]])), homogeneous="sales")
    assert spec.location["sales"] == 0.0
    assert spec.scale["sales"] == pytest.approx(np.hypot(3.5, 0.5))
