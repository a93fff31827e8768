"""Calendar columns from time stamps: the one function behind Beam, graph, gateway and client.

Civil dates follow Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"
(https://howardhinnant.github.io/date_algorithms.html), in integer arithmetic only, so that NumPy
and TensorFlow agree to the last bit.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from forecasting.features.namespace import Array, ArrayNamespace
from forecasting.features.numpy_namespace import NUMPY
from forecasting.features.spec import CalendarSpec

HOUR_S = 3_600
DAY_S = 86_400
_MONDAY_S = 4 * DAY_S
"""1970-01-05 was a Monday: periods of seven days start there."""


def calendar_columns(timestamps: Array, spec: CalendarSpec, xp: ArrayNamespace = NUMPY) -> Array:
    """Calendar columns of every time stamp.

    Args:
        timestamps: UTC epoch seconds, int64 `[...]`.
        spec: Columns and tables.
        xp: Library that does the arithmetic.

    Returns:
        float32 `[..., len(spec.names)]`; fractions lie in [0, 1), flags are 0 or 1, waves in [-1, 1].
    """
    local = timestamps + xp.look_up(spec.offsets_s, xp.count_not_above(spec.transitions, timestamps))
    day = local // DAY_S
    columns = [_column(name, local, day, spec, xp) for name in spec.columns]
    for term in spec.fourier:
        phase = xp.cast((local - _MONDAY_S) % term.period_s, "float32") / float(term.period_s)
        for k in range(1, term.order + 1):
            angle = phase * float(2 * math.pi * k)
            columns += [xp.sin(angle), xp.cos(angle)]
    if not columns:
        return xp.stack_last([xp.cast(local, "float32")])[..., :0]
    return xp.stack_last(columns)


def _column(name: str, local: Array, day: Array, spec: CalendarSpec, xp: ArrayNamespace) -> Array:
    if name not in CALENDAR_COLUMNS:
        raise ValueError(f"no calendar column is called {name!r}")
    return CALENDAR_COLUMNS[name].compute(CalendarMoment(local, day, spec, xp))


@dataclass(frozen=True)
class CalendarMoment:
    """Time stamps on the clock of the zone: local seconds and days since 1970-01-01, int64 `[...]`."""

    local: Array
    day: Array
    spec: CalendarSpec
    xp: ArrayNamespace

    def share(self, count: Array, whole: int) -> Array:
        """A count as a share of the whole, float32."""
        return self.xp.cast(count, "float32") / float(whole)

    def flag(self, condition: Array) -> Array:
        """1 where it holds, else 0, float32."""
        return self.xp.cast(condition, "float32")

    def listed(self, days: tuple[int, ...], shift: int = 0) -> Array:
        """1 where a day, or the one `shift` days later, is in an ascending table."""
        day = self.day + shift
        if not days:
            return self.flag(day != day)
        # The number of entries up to today exceeds that up to yesterday exactly on a listed day.
        return self.xp.cast(self.xp.count_not_above(days, day) - self.xp.count_not_above(days, day - 1), "float32")

    def day_off(self, shift: int = 0) -> Array:
        """1 on Saturdays, Sundays and holidays."""
        return self.xp.maximum(self.flag(_weekday(self.day + shift) >= 5), self.listed(self.spec.holidays, shift))


@dataclass(frozen=True)
class CalendarKind:
    """A calendar column: what it means, and how it is computed, float32 `[...]`."""

    formula: str
    compute: Callable[[CalendarMoment], Array]


CALENDAR_COLUMNS: dict[str, CalendarKind] = {
    "minute_of_hour": CalendarKind("minutes / 60", lambda at: at.share(at.local % HOUR_S, HOUR_S)),
    "hour_of_day": CalendarKind("hours / 24", lambda at: at.share(at.local % DAY_S, DAY_S)),
    "day_of_week": CalendarKind("Monday 0, Sunday 6, / 7", lambda at: at.share(_weekday(at.day), 7)),
    "day_of_month": CalendarKind("(day - 1) / 31", lambda at: at.share(_day_of_month(at.day) - 1, 31)),
    "day_of_year": CalendarKind("1 January 0, / 366", lambda at: at.share(_day_of_year(at.day), 366)),
    "week_of_year": CalendarKind(
        "(ISO week - 1) / 53", lambda at: at.share(_day_of_year(at.day - _weekday(at.day) + 3) // 7, 53)
    ),
    "month_of_year": CalendarKind("(month - 1) / 12", lambda at: at.share(_month(at.day), 12)),
    "quarter_of_year": CalendarKind("(quarter - 1) / 4", lambda at: at.share(_month(at.day) // 3, 4)),
    "year": CalendarKind("(year - 2000) / 100", lambda at: at.share(_year(at.day) - 2_000, 100)),
    "trend": CalendarKind(
        "years of 365.25 days since the first row",
        lambda at: at.share(at.local - at.spec.trend_start, at.spec.trend_length_s),
    ),
    "is_month_start": CalendarKind("1 on the first of a month", lambda at: at.flag(_day_of_month(at.day) == 1)),
    "is_month_end": CalendarKind("1 on the last of a month", lambda at: at.flag(_day_of_month(at.day + 1) == 1)),
    "is_weekend": CalendarKind("1 on Saturday and Sunday", lambda at: at.flag(_weekday(at.day) >= 5)),
    "is_holiday": CalendarKind("1 on a public holiday", lambda at: at.listed(at.spec.holidays)),
    "is_holiday_yesterday": CalendarKind("1 on the day after one", lambda at: at.listed(at.spec.holidays, -1)),
    "is_holiday_tomorrow": CalendarKind("1 on the day before one", lambda at: at.listed(at.spec.holidays, 1)),
    "is_day_off": CalendarKind("1 on weekends and public holidays", lambda at: at.day_off()),
    "is_day_off_yesterday": CalendarKind("1 on the day after a day off", lambda at: at.day_off(-1)),
    "is_day_off_tomorrow": CalendarKind("1 on the day before a day off", lambda at: at.day_off(1)),
    "is_bridge_day": CalendarKind(
        "1 on a working day between two days off", lambda at: (1.0 - at.day_off()) * at.day_off(-1) * at.day_off(1)
    ),
    "is_school_holiday": CalendarKind("1 on a school holiday", lambda at: at.listed(at.spec.school_holidays)),
    "day_length": CalendarKind(
        "hours that the day has beyond 24: -1 and 1 where clocks change", lambda at: _day_length(at)
    ),
}
"""Every calendar column by its name; the contract test of features holds each to the standard library."""


def _weekday(day: Array) -> Array:
    """Monday is 0; day 0, 1970-01-01, was a Thursday."""
    return (day + 3) % 7


def _day_length(at: CalendarMoment) -> Array:
    spec, xp = at.spec, at.xp
    # Local days in which the offset changes: what is gained there, the day loses.
    days = [(moment + offset) // DAY_S for moment, offset in zip(spec.transitions, spec.offsets_s[:-1], strict=True)]
    after = xp.look_up(spec.offsets_s, xp.count_not_above(days, at.day))
    before = xp.look_up(spec.offsets_s, xp.count_not_above(days, at.day - 1))
    return xp.cast(before - after, "float32") / float(HOUR_S)


def _year_of_march_era(day: Array) -> tuple[Array, Array]:
    """Era year (years begin on 1 March) and day of that year, 0 to 365."""
    shifted = day + 719_468
    era = shifted // 146_097
    day_of_era = shifted - era * 146_097
    year = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    return era * 400 + year, day_of_era - (365 * year + year // 4 - year // 100)


def _day_of_month(day: Array) -> Array:
    """1 to 31."""
    _, since_march = _year_of_march_era(day)
    month = (5 * since_march + 2) // 153
    return since_march - (153 * month + 2) // 5 + 1


def _month(day: Array) -> Array:
    """January 0 to December 11."""
    _, since_march = _year_of_march_era(day)
    return ((5 * since_march + 2) // 153 + 2) % 12


def _year(day: Array) -> Array:
    """Civil year."""
    march_year, since_march = _year_of_march_era(day)
    # January and February (days 306 and later) belong to the civil year after the March year.
    return march_year + since_march // 306


def _day_of_year(day: Array) -> Array:
    """0 on 1 January, 365 on 31 December of a leap year."""
    return day - _first_of_january(day)


def _first_of_january(day: Array) -> Array:
    """Day number of 1 January of the same civil year."""
    year = _year(day) - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + 306 - 719_468
