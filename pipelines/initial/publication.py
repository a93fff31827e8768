"""Guess which observed columns are published late: their last values are missing while the target is there."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.initial.look import TableLook
from pipelines.initial.roles import RolesGuess, present_rows

_MIN_SERIES_RATIO = 0.9
"""Share of the series whose last values must be missing."""
_MIN_FILLED_RATIO = 0.5
"""Share of rows up to its last value in which a column must have one: a sparse column ends somewhere."""
_MAX_SPAN_RATIO = 0.1
"""Longest lag as a share of the table: a column that ends earlier has been given up."""

Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LagGuess:
    """How long after its time stamp a column is published, seconds."""

    column: str
    lag_s: int


def guess_lags(roles: RolesGuess, look: TableLook, seconds: Times) -> tuple[LagGuess, ...]:
    """Lags of the observed columns that have one.

    The lag is what nine in ten series stay within, so that a series with one value missing more lengthens nothing.

    Args:
        roles: Roles of the columns.
        look: The table.
        seconds: Time of each row, UTC epoch seconds `[rows]`.
    """
    series, span = roles.key.series, int(seconds.max() - seconds.min())
    ends = _last(seconds, series, present_rows(look, roles), roles.key.n_series)
    found = []
    for guess in roles.observed:
        present = look.column(guess.name).codes >= 0
        last = _last(seconds, series, present, roles.key.n_series)
        both = (last > _NEVER) & (ends > _NEVER)
        lags = (ends - last)[both]
        if not len(lags) or np.mean(lags > 0) < _MIN_SERIES_RATIO:
            continue
        lag = int(np.quantile(lags, 0.9, method="lower"))
        if 0 < lag <= _MAX_SPAN_RATIO * span and present[seconds <= last[series]].mean() >= _MIN_FILLED_RATIO:
            found.append(LagGuess(guess.name, lag))
    return tuple(found)


_NEVER = np.iinfo(np.int64).min


def _last(seconds: Times, series: Times, present: npt.NDArray[np.bool_], n_series: int) -> Times:
    """Last time with a value, by series; `_NEVER` where there is none."""
    last = np.full(n_series, _NEVER)
    np.maximum.at(last, series[present], seconds[present])
    return last
