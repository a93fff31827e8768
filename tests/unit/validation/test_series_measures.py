"""Measures of one series, by hand."""

import numpy as np
import pytest

from components.validation.duplicates import merge_duplicates
from components.validation.series_measures import (
    is_constant,
    level_shift,
    longest_run,
    missing_ratio,
    unit_change,
)

DAY = 24


def daily(n_days: int, level: float = 100.0) -> np.ndarray:
    hours = np.arange(n_days * DAY)
    return level + 10 * np.sin(2 * np.pi * hours / DAY) + np.random.default_rng(1).normal(0, 1, len(hours))


def test_the_longest_run_is_the_first_of_those_that_are_longest():
    found = longest_run(np.array([True, False, True, True, False, True, True]))
    assert (found.start, found.length) == (2, 2)
    assert longest_run(np.zeros(3, dtype=bool)).length == 0


def test_steps_that_were_hidden_are_not_missing():
    target = np.array([1.0, np.nan, np.nan, 4.0])
    assert missing_ratio(target, np.zeros(4, dtype=bool)) == 0.5
    assert missing_ratio(target, np.array([False, True, False, False])) == 0.25


def test_a_constant_needs_enough_values_to_be_called_so():
    assert is_constant(np.array([7.0, np.nan, 7.0]), 2)
    assert not is_constant(np.array([7.0, np.nan, 7.0]), 3)
    assert not is_constant(np.array([7.0, 8.0]), 2)
    assert not is_constant(np.array([np.nan]), 0)


def test_a_level_shift_is_found_where_it_happens():
    values = daily(30)
    values[20 * DAY :] += 60
    found = level_shift(values, DAY)
    assert found.index == 20 * DAY
    assert found.before == pytest.approx(100, abs=1)
    assert found.after == pytest.approx(160, abs=1)
    assert found.score > 12


def test_a_slow_rise_is_no_level_shift():
    assert level_shift(daily(60) + np.arange(60 * DAY) / DAY, DAY).score < 6


def test_a_steady_series_may_move_by_a_little():
    values = np.full(20 * DAY, 100.0)
    values[10 * DAY :] = 101.0
    assert level_shift(values, DAY).score == pytest.approx(0.5, abs=0.01)


def test_seven_seasons_have_no_level_to_shift():
    assert level_shift(daily(7), DAY).score == 0.0
    assert level_shift(np.full(500, np.nan), DAY).score == 0.0


@pytest.mark.parametrize(("factor", "change"), [(10, "times 10"), (1000, "times 1000"), (0.01, "divided by 100")])
def test_a_factor_of_ten_is_a_change_of_unit(factor: float, change: str):
    values = daily(20)
    values[12 * DAY : 15 * DAY] *= factor
    found = unit_change(values, DAY)
    assert (found.change, found.index) == (change, 12 * DAY)


def test_twice_or_five_times_as_much_is_no_change_of_unit():
    for factor in (2.0, 5.0, 20.0):
        values = daily(20)
        values[12 * DAY :] *= factor
        assert unit_change(values, DAY) is None


def test_codes_of_the_calendar_have_no_unit():
    hours = np.arange(800 * DAY)
    days = np.datetime64("2011-01-01T00") + hours.astype("timedelta64[h]")
    month = days.astype("datetime64[M]").astype(np.int64) % 12 + 1.0
    day_of_year = (days.astype("datetime64[D]") - days.astype("datetime64[Y]")).astype(np.int64) + 1.0
    for season in (DAY, 7 * DAY):
        assert unit_change(month, season) is None
        assert unit_change(day_of_year, season) is None


def test_a_fall_to_a_tenth_for_a_day_of_the_week_is_no_change_of_unit():
    values = daily(35)
    values[24 * DAY : 26 * DAY] /= 10
    assert unit_change(values, 7 * DAY) is None


def test_values_that_were_usual_in_the_seasons_before_are_in_no_other_unit():
    values = daily(12)
    values[: 2 * DAY] /= 10
    values[2 * DAY : 3 * DAY] = np.nan
    values[7 * DAY :] /= 10
    assert unit_change(values, DAY) is None
    values[: 2 * DAY] *= 10
    assert unit_change(values, DAY).index == 7 * DAY


def test_watt_hours_of_a_meter_that_wrote_few_kilowatt_hours_are_found():
    kilowatt_hours = np.tile(np.r_[np.full(10, 2.0), np.full(14, 5.0)], 20)
    mixed = kilowatt_hours.copy()
    mixed[12 * DAY :] = kilowatt_hours[12 * DAY :] * 1000 + np.arange(8 * DAY) % 17
    found = unit_change(mixed, DAY)
    assert (found.change, found.index) == ("times 1000", 12 * DAY)


def test_a_change_in_the_last_day_is_found():
    values = daily(30)
    values[29 * DAY :] *= 1000
    found = unit_change(values, 7 * DAY)
    assert (found.change, found.index) == ("times 1000", 29 * DAY)


def test_celsius_that_become_fahrenheit_are_found_in_a_column_of_temperatures_only():
    celsius = daily(20, level=15.0)
    mixed = celsius.copy()
    mixed[12 * DAY :] = celsius[12 * DAY :] * 1.8 + 32
    found = unit_change(mixed, DAY, is_temperature=True)
    assert found.change == "°C to °F"
    assert abs(found.index - 12 * DAY) <= 2
    assert unit_change(mixed, DAY) is None
    assert unit_change(celsius, DAY, is_temperature=True) is None
    back = np.r_[mixed[12 * DAY :], celsius[: 8 * DAY]]
    assert unit_change(back, DAY, is_temperature=True).change == "°F to °C"


ROWS = np.array([[1.0, 5.0], [2.0, 6.0], [4.0, np.nan], [3.0, 7.0], [3.0, 7.0]])
REPEATS = np.array([False, False, True, False, True])


@pytest.mark.parametrize(
    ("policy", "middle"), [("refuse", [2.0, 6.0]), ("first", [2.0, 6.0]), ("last", [4.0, np.nan]), ("mean", [3.0, 6.0])]
)
def test_rows_of_one_time_become_one_by_the_policy(policy: str, middle: list[float]):
    found = merge_duplicates(ROWS, REPEATS, policy)
    np.testing.assert_array_equal(found.values, [[1.0, 5.0], middle, [3.0, 7.0]])
    assert found.differs.tolist() == [False, True, True, False, False]
