"""Calendar columns from time stamps: the one function behind Beam, graph, gateway and client.

Civil dates follow Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"
(https://howardhinnant.github.io/date_algorithms.html), in integer arithmetic only, so that NumPy
and TensorFlow agree to the last bit.
"""

import math

from forecasting.features.namespace import NUMPY, Array, ArrayNamespace
from forecasting.features.spec import CalendarSpec

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
    match name:
        case "hour_of_day":
            return xp.cast(local - day * DAY_S, "float32") / float(DAY_S)
        case "day_of_week":
            return xp.cast(_weekday(day), "float32") / 7.0
        case "day_of_month":
            return xp.cast(_day_of_month(day) - 1, "float32") / 31.0
        case "day_of_year":
            return xp.cast(_day_of_year(day), "float32") / 366.0
        case "is_weekend":
            return _flag(_weekday(day) >= 5, xp)
        case "is_holiday":
            return _is_holiday(day, spec, xp)
        case "is_day_off":
            return _is_day_off(day, spec, xp)
        case "is_day_off_yesterday":
            return _is_day_off(day - 1, spec, xp)
        case "is_day_off_tomorrow":
            return _is_day_off(day + 1, spec, xp)
        case "trend":
            return xp.cast(local - spec.trend_start, "float32") / float(spec.trend_length_s)
        case _:
            raise ValueError(f"no calendar column is called {name!r}")


def _flag(condition: Array, xp: ArrayNamespace) -> Array:
    return xp.cast(condition, "float32")


def _weekday(day: Array) -> Array:
    """Monday is 0; day 0, 1970-01-01, was a Thursday."""
    return (day + 3) % 7


def _is_holiday(day: Array, spec: CalendarSpec, xp: ArrayNamespace) -> Array:
    if not spec.holidays:
        return _flag(day != day, xp)
    # The number of holidays up to today exceeds that up to yesterday exactly on a holiday.
    return xp.cast(xp.count_not_above(spec.holidays, day) - xp.count_not_above(spec.holidays, day - 1), "float32")


def _is_day_off(day: Array, spec: CalendarSpec, xp: ArrayNamespace) -> Array:
    return xp.maximum(_flag(_weekday(day) >= 5, xp), _is_holiday(day, spec, xp))


def _year_of_march_era(day: Array) -> tuple[Array, Array]:
    """Era year (years begin on 1 March) and day of that year, 0 to 365."""
    shifted = day + 719_468
    era = shifted // 146_097
    day_of_era = shifted - era * 146_097
    year = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    return era * 400 + year, day_of_era - (365 * year + year // 4 - year // 100)


def _day_of_month(day: Array) -> Array:
    """1 to 31."""
    _, day_of_year = _year_of_march_era(day)
    month = (5 * day_of_year + 2) // 153
    return day_of_year - (153 * month + 2) // 5 + 1


def _day_of_year(day: Array) -> Array:
    """0 on 1 January, 365 on 31 December of a leap year."""
    return day - _first_of_january(day)


def _first_of_january(day: Array) -> Array:
    """Day number of 1 January of the same civil year."""
    march_year, since_march = _year_of_march_era(day)
    # January and February (days 306 and later) belong to the civil year after the March year.
    year = march_year + since_march // 306 - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + 306 - 719_468
