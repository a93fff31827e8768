import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.config.features import FeaturesConfig
from forecasting.errors import ConfigError
from forecasting.features.calendar import calendar_columns
from forecasting.features.zones import calendar_spec, holiday_table, offset_table

MELBOURNE = ZoneInfo("Australia/Melbourne")


def melbourne_columns(moment: dt.datetime, *names: str) -> list[float]:
    features = FeaturesConfig(calendar_time_zone="Australia/Melbourne", holidays="AU-VIC", calendar=names, fourier=())
    stamp = int(moment.timestamp())
    return calendar_columns(np.asarray([stamp]), calendar_spec(features, stamp, stamp))[0].tolist()


def test_hour_is_counted_in_local_time_on_both_sides_of_daylight_saving():
    before = dt.datetime(2014, 10, 4, 15, 30, tzinfo=dt.UTC)
    after = dt.datetime(2014, 10, 4, 16, 30, tzinfo=dt.UTC)
    assert melbourne_columns(before, "hour_of_day") == pytest.approx([1.5 / 24])
    assert melbourne_columns(after, "hour_of_day") == pytest.approx([3.5 / 24])


def test_melbourne_cup_is_a_day_off_and_the_day_before_knows_it():
    cup_eve = dt.datetime(2014, 11, 3, 12, tzinfo=MELBOURNE)
    names = ("is_holiday", "is_day_off", "is_day_off_tomorrow", "is_day_off_yesterday")
    assert melbourne_columns(cup_eve, *names) == [0.0, 0.0, 1.0, 1.0]
    assert melbourne_columns(cup_eve + dt.timedelta(days=1), *names) == [1.0, 1.0, 0.0, 0.0]


def test_last_day_of_a_leap_year_is_day_366():
    moment = dt.datetime(2016, 12, 31, 12, tzinfo=MELBOURNE)
    assert melbourne_columns(moment, "day_of_year", "day_of_month") == pytest.approx([365 / 366, 30 / 31])


@settings(max_examples=200, deadline=None)
@given(st.integers(631_152_000, 2_366_841_600))
def test_calendar_equals_the_standard_library_from_1990_to_2044(stamp: int):
    local = dt.datetime.fromtimestamp(stamp, tz=MELBOURNE)
    expected = [
        (local.hour * 3600 + local.minute * 60 + local.second) / 86400,
        local.weekday() / 7,
        (local.day - 1) / 31,
        (local.timetuple().tm_yday - 1) / 366,
        float(local.weekday() >= 5),
    ]
    found = melbourne_columns(
        dt.datetime.fromtimestamp(stamp, tz=dt.UTC),
        "hour_of_day",
        "day_of_week",
        "day_of_month",
        "day_of_year",
        "is_weekend",
    )
    assert found == pytest.approx(expected, abs=1e-5)


def test_fourier_terms_repeat_after_their_period_and_start_on_monday():
    features = FeaturesConfig(calendar=(), fourier=({"period": "7d", "order": 1},))
    monday = int(dt.datetime(2014, 6, 2, tzinfo=dt.UTC).timestamp())
    waves = calendar_columns(np.asarray([monday, monday + 7 * 86400]), calendar_spec(features, monday, monday))
    assert waves.tolist() == [[0.0, 1.0], [0.0, 1.0]]


def test_offset_table_has_two_changes_a_year_in_melbourne():
    transitions, offsets = offset_table("Australia/Melbourne", range(2014, 2015))
    ends = int(dt.datetime(2014, 4, 5, 16, tzinfo=dt.UTC).timestamp())
    begins = int(dt.datetime(2014, 10, 4, 16, tzinfo=dt.UTC).timestamp())
    assert transitions == (ends, begins)
    assert offsets == (39_600, 36_000, 39_600)


def test_unknown_zone_and_unknown_region_are_configuration_errors():
    with pytest.raises(ConfigError, match="Australia/Melborne"):
        offset_table("Australia/Melborne", range(2014, 2015))
    with pytest.raises(ConfigError, match="XX"):
        holiday_table("XX", range(2014, 2015))
