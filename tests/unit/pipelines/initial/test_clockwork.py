"""Columns that follow from the time alone."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from pipelines.initial.clockwork import columns_of_time
from pipelines.initial.look import read_times
from pipelines.initial.roles import guess_roles
from tests.unit.pipelines.initial.tables import days, look_of, wave


def hours(n: int, first: str = "2023-01-01") -> list[datetime]:
    start = datetime.fromisoformat(first).replace(tzinfo=UTC)
    return [start + timedelta(hours=i) for i in range(n)]


def found(stamps: list[datetime], **columns: list[object]) -> set[str]:
    """Columns that follow from the time."""
    texts = {name: [str(value) for value in values] for name, values in columns.items()}
    look = look_of(time=[f"{stamp:%Y-%m-%d %H:%M:%S}" for stamp in stamps], **texts)
    return set(columns_of_time(look, "time", read_times(look.source, "time")[0]))


def test_numbers_of_a_calendar_follow_from_the_time_however_they_count():
    stamps = hours(30 * 24, "2023-12-20")
    columns = {
        "hr": [stamp.hour for stamp in stamps],
        "hour_from_one": [stamp.hour + 1 for stamp in stamps],
        "sunday_first": [(stamp.weekday() + 1) % 7 for stamp in stamps],
        "iso_weekday": [stamp.isoweekday() for stamp in stamps],
        "month": [stamp.month for stamp in stamps],
        "yr": [stamp.year - 2023 for stamp in stamps],
        "day": [stamp.day for stamp in stamps],
        "week": [stamp.isocalendar().week for stamp in stamps],
        "day_of_year": [stamp.timetuple().tm_yday for stamp in stamps],
    }
    assert found(stamps, **columns) == set(columns)


def test_codes_follow_from_the_time_where_the_table_shows_several_cycles():
    stamps = hours(70 * 24)
    columns = {
        "name_of_day": [f"{stamp:%A}" for stamp in stamps],
        "sine": [np.sin(2 * np.pi * stamp.hour / 24) for stamp in stamps],
        "is_office": [int(stamp.weekday() < 5 and 8 <= stamp.hour < 18) for stamp in stamps],
    }
    assert found(stamps, **columns) == set(columns)
    assert found(stamps[: 5 * 24], **{name: values[: 5 * 24] for name, values in columns.items()}) == set()


def test_seasons_of_two_years_follow_from_the_time_and_holidays_of_fixed_dates_do_not():
    stamps = [datetime(2022, 1, 1, tzinfo=UTC) + timedelta(days=i) for i in range(730)]
    season = ["warm" if (3, 21) <= (stamp.month, stamp.day) < (9, 23) else "cold" for stamp in stamps]
    holiday = [int((stamp.month, stamp.day) in {(1, 1), (5, 1), (12, 25)}) for stamp in stamps]
    assert found(stamps, season=season, holiday=holiday) == {"season"}


@pytest.mark.parametrize(
    "spoil",
    [lambda i: i == 500, lambda i: i % 97 == 0],
    ids=["one row", "now and then"],
)
def test_one_row_that_differs_is_no_clockwork(spoil):
    stamps = hours(40 * 24)
    flags = [int(stamp.hour >= 12) ^ int(spoil(i)) for i, stamp in enumerate(stamps)]
    assert found(stamps, flag=flags) == set()


def test_times_of_a_zone_are_looked_at_on_its_clock():
    start = np.datetime64("2023-03-01T00:00:00", "s").astype(np.int64)
    utc = start + 3_600 * np.arange(60 * 24)
    time = pa.array(utc, pa.timestamp("s", tz="Europe/Berlin"))
    local = [stamp.hour for stamp in time.to_pylist()]
    look = look_of(time=time, hr=pa.array(local))
    assert set(columns_of_time(look, "time", utc)) == {"hr"}


def test_such_a_column_is_neither_target_nor_series_nor_covariate():
    weekday = [str(i % 7) for i in range(60)]
    look = look_of(time=days(60) * 2, shop=["a"] * 60 + ["b"] * 60, power=wave(120), weekday=weekday * 2)
    roles = guess_roles(look)
    assert (roles.target.name, roles.key.columns, roles.known, roles.observed) == ("power", ("shop",), (), ())
    assert (
        "it follows from the time, by the day of the week" in {one.name: one.reason for one in roles.unused}["weekday"]
    )


def test_a_target_that_repeats_itself_is_still_the_target():
    repeated = [str(10 + i % 7) for i in range(70)]
    assert guess_roles(look_of(time=days(70), x=repeated)).target.name == "x"
    assert guess_roles(look_of(time=days(70), demand=repeated, wind=wave(70))).target.name == "demand"
    assert guess_roles(look_of(time=days(70), x=repeated, wind=wave(70)), "x").target.name == "x"
