"""Tables of time-zone offsets and public holidays for a `CalendarSpec`."""

import datetime as dt
from zoneinfo import ZoneInfo

from forecasting.config.features import FeaturesConfig
from forecasting.durations import duration_s
from forecasting.errors import ConfigError
from forecasting.features.calendar import DAY_S
from forecasting.features.spec import CalendarSpec, FourierSpec
from forecasting.localities import public_holidays, school_holidays, time_zone

YEARS_BEFORE, YEARS_AFTER = 1, 6
"""How far the tables reach beyond the series: a served model must know next years' holidays."""


def calendar_spec(features: FeaturesConfig, first: int, last: int, *, learnt_until: int = 0) -> CalendarSpec:
    """Calendar of a configuration with tables around the series.

    Args:
        features: Columns, zone and holidays.
        first: First time stamp of the series, UTC epoch seconds.
        last: Last one.
        learnt_until: End of the train cut.

    Raises:
        ConfigError: The zone or the holiday region is unknown.
    """
    years = range(_utc(first).year - YEARS_BEFORE, _utc(last).year + YEARS_AFTER + 1)
    transitions, offsets = offset_table(features.calendar_time_zone, years)
    return CalendarSpec(
        columns=tuple(features.calendar),
        fourier=tuple(FourierSpec(period_s=duration_s(term.period), order=term.order) for term in features.fourier),
        transitions=transitions,
        offsets_s=offsets,
        holidays=holiday_table(features.holidays, years) if features.holidays else (),
        school_holidays=_school_holidays(features, years),
        trend_start=first,
        learnt_until=learnt_until,
    )


def _school_holidays(features: FeaturesConfig, years: range) -> tuple[int, ...]:
    if "is_school_holiday" not in features.calendar:
        return ()
    if features.holidays is None:
        raise ConfigError("features.calendar has is_school_holiday, which needs features.holidays to name the region")
    return holiday_table(features.holidays, years, school=True)


def offset_table(zone_name: str, years: range) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """UTC times at which a zone's offset changes within some years, and the offsets between them.

    Returns:
        Transitions (UTC epoch seconds, ascending) and offsets in seconds, one more than transitions.

    Raises:
        ConfigError: The zone is unknown.
    """
    zone = time_zone(zone_name)
    begin = int(dt.datetime(years.start, 1, 1, tzinfo=dt.UTC).timestamp())
    end = int(dt.datetime(years.stop, 1, 1, tzinfo=dt.UTC).timestamp())
    transitions: list[int] = []
    offsets = [_offset(zone, begin)]
    for moment in range(begin, end, DAY_S):
        if _offset(zone, moment + DAY_S) != offsets[-1]:
            change = _bisect_change(zone, moment, moment + DAY_S)
            transitions.append(change)
            offsets.append(_offset(zone, change))
    return tuple(transitions), tuple(offsets)


def holiday_table(region: str, years: range, *, school: bool = False) -> tuple[int, ...]:
    """Holidays as local days since 1970-01-01, ascending.

    Args:
        region: Country, or country and subdivision as in `AU-VIC`.
        years: Years to cover.
        school: School holidays instead of public ones.

    Raises:
        ConfigError: The region, or its school holidays, are unknown.
    """
    found = school_holidays(region, years) if school else public_holidays(region, years)
    return tuple(sorted((day - dt.date(1970, 1, 1)).days for day in found))


def _utc(timestamp: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(timestamp, tz=dt.UTC)


def _offset(zone: ZoneInfo, timestamp: int) -> int:
    offset = dt.datetime.fromtimestamp(timestamp, tz=zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _bisect_change(zone: ZoneInfo, low: int, high: int) -> int:
    before = _offset(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
    return high
