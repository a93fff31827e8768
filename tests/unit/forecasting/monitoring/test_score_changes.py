import numpy as np
import pytest

from forecasting.monitoring.horizons import horizon_buckets
from forecasting.monitoring.score_changes import (
    NEVER,
    ForecastBlockRecord,
    KnownActualsRecord,
    score_changes,
)

NAN = np.nan
BUCKETS = horizon_buckets(3, (1,))


def _block(actual, naive=None, point=(10.0, 10.0, 10.0), created_at=100):
    actual = np.array([actual], np.float64)
    quantiles = np.array([[[value - 1, value, value + 1] for value in point]])
    held = np.where(np.isfinite(actual), 9.0, NAN) if naive is None else np.array([naive], np.float64)
    return ForecastBlockRecord((0.1, 0.5, 0.9), quantiles, None, np.array([created_at]), actual, held)


def _known(actual, known_at=(200, 200, 200), withdrawn=(False, False, False), naive=(9.0, 9.0, 9.0)):
    return KnownActualsRecord(
        np.array([actual], np.float64), np.array([known_at]), np.array([withdrawn]), np.array([naive], np.float64)
    )


def _total(found, name):
    return float(found.sums[name, ""].sum()) if found.sums else 0.0


def test_a_point_is_scored_when_its_actual_comes_and_not_again():
    first = score_changes(_block([NAN, NAN, NAN]), _known([12, NAN, NAN]), BUCKETS)
    assert (_total(first, "forecast_scored_points"), _total(first, "forecast_absolute_error")) == (1, 2)
    assert first.changed.tolist() == [True]
    second = score_changes(_block(first.actual[0], first.naive[0]), _known([12, 13, NAN]), BUCKETS)
    assert (_total(second, "forecast_scored_points"), _total(second, "forecast_absolute_error")) == (1, 3)
    third = score_changes(_block(second.actual[0], second.naive[0]), _known([12, 13, NAN]), BUCKETS)
    assert third.sums == {}
    assert third.changed.tolist() == [False]


def test_a_restated_actual_takes_out_what_the_first_gave():
    found = score_changes(_block([12, NAN, NAN]), _known([15, NAN, NAN]), BUCKETS)
    assert _total(found, "forecast_scored_points") == 0
    assert _total(found, "forecast_absolute_error") == 5 - 2
    assert _total(found, "forecast_actual_absolute") == 15 - 12
    assert found.is_restated.tolist() == [[True, False, False]]


def test_what_was_restated_any_number_of_times_is_as_if_it_had_come_once():
    state, total = _block([NAN, NAN, NAN]), {}
    for actual in (12.0, 3.0, 40.0, 11.0):
        found = score_changes(state, _known([actual, NAN, NAN], naive=(actual - 1, 9, 9)), BUCKETS)
        total = {key: total.get(key, 0.0) + values for key, values in found.sums.items()}
        state = _block(found.actual[0], found.naive[0])
    once = score_changes(_block([NAN, NAN, NAN]), _known([11, NAN, NAN], naive=(10, 9, 9)), BUCKETS)
    for key, values in once.sums.items():
        np.testing.assert_allclose(total[key], values, atol=1e-12)


def test_a_withdrawn_actual_takes_its_point_out_and_one_that_is_only_gone_does_not():
    found = score_changes(_block([12, 13, NAN]), _known([NAN, NAN, NAN], withdrawn=(True, False, False)), BUCKETS)
    assert _total(found, "forecast_scored_points") == -1
    assert _total(found, "forecast_absolute_error") == -2
    np.testing.assert_array_equal(found.actual, [[NAN, 13, NAN]])


def test_an_actual_that_was_known_before_the_forecast_never_scores():
    found = score_changes(_block([NAN, NAN, NAN]), _known([12, 12, NAN], known_at=(99, 100, 0)), BUCKETS)
    assert _total(found, "forecast_scored_points") == 1
    assert found.is_early.tolist() == [[True, False, False]]
    np.testing.assert_array_equal(found.actual, [[NEVER, 12, NAN]])
    again = score_changes(_block(found.actual[0], found.naive[0]), _known([13, 12, NAN]), BUCKETS)
    assert again.changed.tolist() == [False]


@pytest.mark.parametrize("number", [NAN, np.inf])
def test_a_forecast_that_is_no_number_poisons_no_sum(number):
    found = score_changes(_block([NAN, NAN, NAN], point=(10, number, 10)), _known([12, 12, NAN]), BUCKETS)
    assert _total(found, "forecast_scored_points") == 1
    assert found.is_unusable.tolist() == [[False, True, False]]
    assert all(np.isfinite(values).all() for values in found.sums.values())


def test_a_step_without_a_naive_forecast_is_scored_and_not_compared():
    found = score_changes(_block([NAN, NAN, NAN]), _known([12, 12, NAN], naive=(NAN, 11, NAN)), BUCKETS)
    assert _total(found, "forecast_scored_points") == 2
    assert _total(found, "forecast_naive_points") == 1
    assert _total(found, "forecast_naive_absolute_error") == 1
