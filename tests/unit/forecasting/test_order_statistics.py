import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.order_statistics import key_values, lower_counts, ordered_keys, place_rank, upper_counts, value_at

FLOATS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(FLOATS)
def test_keys_have_the_order_of_their_values_and_lead_back_to_them(numbers):
    values = np.asarray(numbers)
    keys = ordered_keys(values)
    np.testing.assert_array_equal(key_values(keys), values)
    np.testing.assert_array_equal(key_values(np.sort(keys)), np.sort(values))


def test_missing_values_have_no_key():
    assert len(ordered_keys(np.asarray([1.0, np.nan, -1.0]))) == 2


@settings(max_examples=100, deadline=None)
@given(FLOATS, FLOATS, st.data())
def test_the_value_of_a_rank_comes_out_of_added_counts(first, second, choose):
    parts = [ordered_keys(np.asarray(first)), ordered_keys(np.asarray(second))]
    rank = choose.draw(st.integers(0, len(first) + len(second) - 1))
    spot = place_rank(sum(upper_counts(keys) for keys in parts), rank)
    counts = sum(lower_counts(keys, [spot.upper]) for keys in parts)[0]
    assert value_at(spot.upper, counts, spot.rank) == pytest.approx(np.sort([*first, *second])[rank], abs=0.0)
