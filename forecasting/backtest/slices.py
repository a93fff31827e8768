"""Parts of a backtest that are judged on their own."""

import numpy as np
import numpy.typing as npt

from forecasting.backtest.origins import BacktestSpec, history_steps
from forecasting.features.spec import CalendarSpec

Mask = npt.NDArray[np.bool_]

COLD_START = "cold_start"
LAST_FOLD = "last_fold"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_S = 86_400
_HOUR_S = 3_600
_DAYS_FROM_MONDAY = 3
"""1970-01-01, day 0 of the epoch, was a Thursday."""


def backtest_slices(backtest: BacktestSpec, calendar: CalendarSpec, *, cold_start_steps: int | None) -> dict[str, Mask]:
    """Steps of each slice, bool `[W,H]`.

    Args:
        backtest: Windows.
        calendar: Gives the local time in which hours and weekdays are counted.
        cold_start_steps: Windows whose series has fewer known steps of history form the slice
            cold_start; none: no such slice.

    Returns:
        cold_start, last_fold, monday … sunday and, where steps are shorter than a day, hour_00 … hour_23.
    """
    shape = backtest.actual.shape
    slices: dict[str, Mask] = {LAST_FOLD: np.broadcast_to((backtest.folds == backtest.folds.max())[:, None], shape)}
    if cold_start_steps is not None:
        slices[COLD_START] = np.broadcast_to((history_steps(backtest) < cold_start_steps)[:, None], shape)
    local = local_seconds(backtest.origins[:, None] + backtest.step_s * np.arange(backtest.horizon), calendar)
    weekday = (local // _DAY_S + _DAYS_FROM_MONDAY) % 7
    slices |= {name: weekday == i for i, name in enumerate(WEEKDAYS)}
    if backtest.step_s < _DAY_S:
        hour = local % _DAY_S // _HOUR_S
        slices |= {f"hour_{h:02d}": hour == h for h in range(24)}
    return slices


def local_seconds(timestamps: npt.NDArray[np.int64], calendar: CalendarSpec) -> npt.NDArray[np.int64]:
    """UTC epoch seconds moved by the offset from UTC that holds at each of them."""
    offsets = np.asarray(calendar.offsets_s, dtype=np.int64)
    position = np.searchsorted(np.asarray(calendar.transitions, dtype=np.int64), timestamps, side="right")
    return timestamps + offsets[position]
