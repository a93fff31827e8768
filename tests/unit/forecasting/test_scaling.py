import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import DataError
from forecasting.scaling import column_moments, homogeneous_scale, own_scales


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


@pytest.mark.parametrize(
    ("method", "location", "scale"),
    [
        ("z_score", 3.0, 2.0),
        ("min_max", 1.0, 5.0),
        ("robust", 2.5, (3.25 - 1.75) / 1.3489795),
        ("none", 0.0, 1.0),
        ("log1p", np.log1p([1, 2, 3, 6]).mean(), np.log1p([1, 2, 3, 6]).std()),
    ],
)
def test_each_method_by_hand(method, location, scale):
    values = np.asarray([[1.0], [np.nan], [2.0], [3.0], [6.0]])
    if method == "robust":
        values[4] = 4.0
    if method == "z_score":
        values = np.asarray([[1.0], [1.0], [5.0], [5.0]])
    assert own_scales(values, [(0, method)]) == [(pytest.approx(location), pytest.approx(scale))]


@pytest.mark.parametrize("method", ["z_score", "min_max", "robust", "log1p"])
def test_a_constant_or_empty_column_keeps_scale_one(method):
    assert own_scales(np.full((5, 1), 7.0), [(0, method)])[0][1] == 1.0
    assert own_scales(np.full((5, 1), np.nan), [(0, method)]) == [(0.0, 1.0)]


def test_a_logarithm_of_minus_one_or_less_is_refused():
    with pytest.raises(DataError, match=r"must lie above -1 in the train cut, found -1.5; choose another method"):
        own_scales(np.asarray([[1.0], [-1.5]]), [(0, "log1p")])


def test_a_homogeneous_column_is_only_divided():
    assert homogeneous_scale(column_moments(np.asarray([[3.0], [4.0]])), 0) == (0.0, pytest.approx(np.hypot(3.5, 0.5)))
