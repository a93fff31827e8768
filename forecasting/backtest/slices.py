"""Parts of a backtest that are judged on their own."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from forecasting.backtest.origins import BacktestSpec, history_steps
from forecasting.features.calendar import calendar_columns
from forecasting.features.spec import CalendarSpec

Codes = npt.NDArray[np.int64]

COLD_START = "cold_start"
LAST_FOLD = "last_fold"
RECENT_FOLDS = "recent_folds"
HOLIDAY = "holiday"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
HOURS = tuple(f"hour_{hour:02d}" for hour in range(24))
MONTHS = ("months_12_02", "months_03_05", "months_06_08", "months_09_11")
RECENT_SHARE = 0.25
"""Share of the folds, the last ones, that make the slice recent_folds."""
_DAY_S = 86_400
_HOUR_S = 3_600
_DAYS_FROM_MONDAY = 3
"""1970-01-01, day 0 of the epoch, was a Thursday."""


@dataclass(frozen=True)
class SliceSpec:
    """One way to part the steps of a backtest.

    names: of the parts. codes: for the windows first to end (exclusive), the part of each step, int `[w,H]`; -1 for
    steps that are in none.
    """

    names: tuple[str, ...]
    codes: Callable[[int, int], Codes]


def backtest_slices(
    backtest: BacktestSpec,
    calendar: CalendarSpec,
    *,
    cold_start_steps: int,
    n_buckets: int,
    fold_names: tuple[str, ...] = (),
) -> tuple[SliceSpec, ...]:
    """How a backtest is parted.

    Args:
        backtest: Windows.
        calendar: Gives the local time in which hours, days and months are counted, and the holidays.
        cold_start_steps: Windows whose series has fewer known steps of history form the slice
            cold_start.
        n_buckets: Parts of nearly equal length into which the horizon is cut.
        fold_names: Slices for the folds 1, 2 and so on; none: no such slices.

    Returns:
        Slices by fold, cold start, horizon bucket, weekday, holiday and months and, where steps are
        shorter than a day, by hour.
    """
    shape = (backtest.horizon,)
    first, last = int(backtest.folds.min()), int(backtest.folds.max())
    recent_from = min(last, first + int(np.ceil((last - first + 1) * (1 - RECENT_SHARE))))
    found = [
        _by_window((LAST_FOLD,), backtest.folds == last, shape),
        _by_window((RECENT_FOLDS,), backtest.folds >= recent_from, shape),
    ]
    if fold_names:
        found.append(_folds(fold_names, backtest))
    found.append(_by_window((COLD_START,), history_steps(backtest) < cold_start_steps, shape))
    found.append(_buckets(backtest.horizon, n_buckets))
    return (*found, *_calendar_slices(backtest, calendar))


def fold_name(number: int, n_folds: int) -> str:
    """Name of the slice of a fold, such as fold_03; the first fold is 1."""
    return f"fold_{number:0{len(str(n_folds))}d}"


def bucket_names(horizon: int, n_buckets: int) -> tuple[str, ...]:
    """Names of the horizon buckets, such as steps_01_06; the first step is 1."""
    edges = _bucket_edges(horizon, n_buckets)
    digits = len(str(horizon))
    return tuple(f"steps_{low + 1:0{digits}d}_{high:0{digits}d}" for low, high in pairwise(edges))


def local_seconds(timestamps: npt.NDArray[np.int64], calendar: CalendarSpec) -> npt.NDArray[np.int64]:
    """UTC epoch seconds moved by the offset from UTC that holds at each of them."""
    offsets = np.asarray(calendar.offsets_s, dtype=np.int64)
    position = np.searchsorted(np.asarray(calendar.transitions, dtype=np.int64), timestamps, side="right")
    return timestamps + offsets[position]


def _by_window(names: tuple[str, ...], inside: npt.NDArray[np.bool_], shape: tuple[int]) -> SliceSpec:
    def codes(first: int, end: int) -> Codes:
        chosen = np.where(inside[first:end], 0, -1)
        return np.broadcast_to(chosen[:, None], (end - first, *shape))

    return SliceSpec(names, codes)


def _folds(names: tuple[str, ...], backtest: BacktestSpec) -> SliceSpec:
    def codes(first: int, end: int) -> Codes:
        return np.broadcast_to(backtest.folds[first:end, None] - 1, (end - first, backtest.horizon))

    return SliceSpec(names, codes)


def _bucket_edges(horizon: int, n_buckets: int) -> list[int]:
    n_parts = min(n_buckets, horizon)
    return [round(horizon * part / n_parts) for part in range(n_parts + 1)]


def _buckets(horizon: int, n_buckets: int) -> SliceSpec:
    edges = _bucket_edges(horizon, n_buckets)
    bucket = np.searchsorted(np.asarray(edges[1:]), np.arange(horizon), side="right")
    return SliceSpec(
        bucket_names(horizon, n_buckets), lambda first, end: np.broadcast_to(bucket, (end - first, horizon))
    )


def _calendar_slices(backtest: BacktestSpec, calendar: CalendarSpec) -> list[SliceSpec]:
    ahead = backtest.step_s * np.arange(backtest.horizon)
    holidays = np.asarray(calendar.holidays, dtype=np.int64)

    def local(first: int, end: int) -> Codes:
        return local_seconds(backtest.origins[first:end, None] + ahead, calendar)

    def weekday(first: int, end: int) -> Codes:
        return (local(first, end) // _DAY_S + _DAYS_FROM_MONDAY) % 7

    def months(first: int, end: int) -> Codes:
        days = local(first, end) // _DAY_S
        low = int(days.min())
        # As a feature counts them, so that both mean the same month; January is 0.
        stamps = _DAY_S * np.arange(low, int(days.max()) + 1)
        month = np.rint(calendar_columns(stamps, _MONTHS_OF_UTC)[:, 0] * 12).astype(np.int64)
        quarter: Codes = ((month + 1) % 12 // 3)[days - low]
        return quarter

    found = [SliceSpec(WEEKDAYS, weekday), SliceSpec(MONTHS, months)]
    if len(holidays):
        found.append(
            SliceSpec((HOLIDAY,), lambda first, end: np.where(np.isin(local(first, end) // _DAY_S, holidays), 0, -1))
        )
    if backtest.step_s < _DAY_S:
        found.append(SliceSpec(HOURS, lambda first, end: local(first, end) % _DAY_S // _HOUR_S))
    return found


_MONTHS_OF_UTC = CalendarSpec(columns=("month_of_year",), fourier=(), transitions=(), offsets_s=(0,), holidays=())
