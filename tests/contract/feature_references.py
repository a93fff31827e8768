"""Every derived feature and calendar column once more, one step at a time, and examples of each."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from forecasting.features.terms import (
    DegreeDaysTerm,
    DifferenceTerm,
    ExponentialMeanTerm,
    LagTerm,
    PresentTerm,
    QuantileTerm,
    RatioTerm,
    RollingTerm,
    SeasonalTerm,
    SinceEventTerm,
    Term,
)

Scaled = Callable[[int], float]
"""The scaled value of a step, NaN where it is missing or before the first."""

EXAMPLES: dict[str, Sequence[Term]] = {
    "lag": (LagTerm("x", 1), LagTerm("x", 24), LagTerm("x", 1_000)),
    "difference": (DifferenceTerm("x", 1), DifferenceTerm("x", 24)),
    "ratio": (RatioTerm("x", 5), RatioTerm("x", 168)),
    "rolling": tuple(
        RollingTerm("x", window, statistic, lag)
        for window, lag in ((1, 0), (7, 0), (24, 1), (168, 0))
        for statistic in ("mean", "std", "min", "max")
    ),
    "seasonal": tuple(SeasonalTerm("x", 24, 5, statistic) for statistic in ("mean", "std", "min", "max")),
    "quantile": (QuantileTerm("x", 24, 0.1), QuantileTerm("x", 7, 0.5), QuantileTerm("x", 1, 0.9)),
    "exponential_mean": (ExponentialMeanTerm("x", 1), ExponentialMeanTerm("x", 12)),
    "degree_days": (DegreeDaysTerm("x", 18.0, "heating", 24), DegreeDaysTerm("x", 18.0, "cooling", 6)),
    "since_event": (SinceEventTerm("x", 1), SinceEventTerm("x", 48)),
    "present": (PresentTerm("x"),),
}

STATISTIC = {"mean": np.mean, "std": np.std, "min": np.min, "max": np.max}


def reference(term: Term, raw: np.ndarray, location: float, scale: float) -> np.ndarray:
    """The feature of a series `[T]`, float64."""
    scaled = (raw - location) / scale

    def at(t: int) -> float:
        return float(scaled[t]) if t >= 0 else np.nan

    return np.asarray([_step(term, raw, at, t, location, scale) for t in range(len(raw))])


def _step(term: Term, raw: np.ndarray, at: Scaled, t: int, location: float, scale: float) -> float:
    match term:
        case LagTerm(steps=steps):
            return _or_zero(at(t - steps))
        case DifferenceTerm(steps=steps):
            return _or_zero(at(t) - at(t - steps))
        case RatioTerm(window=window):
            mean = _over([at(t - i) for i in range(window)], np.mean)
            return _or_zero((at(t) - mean) / max(abs(mean + location / scale), 1.0))
        case RollingTerm(window=window, statistic=statistic, lag=lag):
            return _over([at(t - lag - i) for i in range(window)], STATISTIC[statistic])
        case SeasonalTerm(season=season, count=count, statistic=statistic):
            return _over([at(t - i * season) for i in range(1, count + 1)], STATISTIC[statistic])
        case QuantileTerm(window=window, level=level):
            return _over([at(t - i) for i in range(window)], lambda found: float(np.quantile(found, level)))
        case ExponentialMeanTerm(half_life=half_life):
            pairs = [(at(t - i), 2.0 ** (-i / half_life)) for i in range(8 * half_life)]
            weight = sum(w for x, w in pairs if x == x)
            return sum(w * x for x, w in pairs if x == x) / weight if weight >= 1e-3 else 0.0
        case DegreeDaysTerm(base=base, direction=direction, window=window):
            sign = 1.0 if direction == "heating" else -1.0
            values = [float(raw[t - i]) if t - i >= 0 else np.nan for i in range(window)]
            return _over([max(0.0, sign * (base - v)) / scale if v == v else v for v in values], np.mean)
        case SinceEventTerm(limit=limit):
            ages = [i for i in range(min(limit, t + 1)) if raw[t - i] == raw[t - i] and raw[t - i] != 0]
            return min([*ages, limit]) / limit
        case PresentTerm():
            return float(at(t) == at(t))
        case _:
            raise AssertionError(f"{term.kind} has no reference")


def _over(values: Sequence[float], reduce: Callable[[np.ndarray], float]) -> float:
    found = np.asarray([value for value in values if value == value])
    return float(reduce(found)) if len(found) else 0.0


def _or_zero(value: float) -> float:
    return value if value == value else 0.0


def calendar_reference(name: str, moment: int, zone: ZoneInfo, tables: dict[str, set[date]], first: int) -> float:
    """A calendar column by the standard library."""
    at = datetime.fromtimestamp(moment, zone)
    today = at.date()

    def day_off(shift: int) -> bool:
        day = today + timedelta(days=shift)
        return day.weekday() >= 5 or day in tables["holidays"]

    match name:
        case "minute_of_hour":
            return (at.minute * 60 + at.second) / 3_600
        case "hour_of_day":
            return (at.hour * 3_600 + at.minute * 60 + at.second) / 86_400
        case "day_of_week":
            return today.weekday() / 7
        case "day_of_month":
            return (today.day - 1) / 31
        case "day_of_year":
            return (today.timetuple().tm_yday - 1) / 366
        case "week_of_year":
            return (today.isocalendar().week - 1) / 53
        case "month_of_year":
            return (today.month - 1) / 12
        case "quarter_of_year":
            return (today.month - 1) // 3 / 4
        case "year":
            return (today.year - 2_000) / 100
        case "trend":
            return (moment + at.utcoffset().total_seconds() - first) / 31_557_600
        case "is_month_start":
            return today.day == 1
        case "is_month_end":
            return (today + timedelta(days=1)).day == 1
        case "is_weekend":
            return today.weekday() >= 5
        case "is_holiday" | "is_holiday_yesterday" | "is_holiday_tomorrow":
            shift = {"is_holiday": 0, "is_holiday_yesterday": -1, "is_holiday_tomorrow": 1}[name]
            return today + timedelta(days=shift) in tables["holidays"]
        case "is_day_off" | "is_day_off_yesterday" | "is_day_off_tomorrow":
            return day_off({"is_day_off": 0, "is_day_off_yesterday": -1, "is_day_off_tomorrow": 1}[name])
        case "is_bridge_day":
            return not day_off(0) and day_off(-1) and day_off(1)
        case "is_school_holiday":
            return today in tables["school"]
        case "day_length":
            begin = datetime.combine(today, time(), zone).astimezone(UTC)
            end = datetime.combine(today + timedelta(days=1), time(), zone).astimezone(UTC)
            return (end - begin).total_seconds() / 3_600 - 24
        case _:
            raise AssertionError(f"{name} has no reference")
