"""What Beam runs on each part of a series: pure functions on arrays."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from forecasting.features.calendar import calendar_columns
from forecasting.features.numpy_namespace import NUMPY
from forecasting.features.spec import CalendarSpec, FeatureSpec
from forecasting.features.transform import OwnScales, feature_blocks, known_columns, past_columns
from forecasting.scaling import ColumnMoments

HISTOGRAM_BINS = 20
_PIECE_ROWS = 1 << 14
"""Rows computed at once: the arrays of a piece stay in the cache of a core."""


@dataclass(frozen=True)
class ColumnHistogram:
    """Counts `[C,bins]` of values between `low` and `high` `[C]`; missing values are left out."""

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]

    def merge(self, other: "ColumnHistogram") -> "ColumnHistogram":
        """Counts of both sets of rows."""
        return ColumnHistogram(self.low, self.high, self.counts + other.counts)


def column_histogram(rows: npt.NDArray[np.float64], moments: ColumnMoments) -> ColumnHistogram:
    """Histogram of rows `[T,C]` between the minimum and the maximum of the train cut."""
    counts = np.zeros((rows.shape[1], HISTOGRAM_BINS), dtype=np.int64)
    for i in range(rows.shape[1]):
        if not moments.count[i]:
            continue
        low, high = moments.minimum[i], moments.maximum[i]
        values = rows[:, i][~np.isnan(rows[:, i])]
        counts[i] = np.histogram(values, bins=HISTOGRAM_BINS, range=(low, high if high > low else low + 1.0))[0]
    return ColumnHistogram(moments.minimum, moments.maximum, counts)


def plane_pieces(
    values: npt.NDArray[np.float64], series_id: str, start: int, spec: FeatureSpec, *, n_before: int
) -> Iterator[npt.NDArray[np.float32]]:
    """Features of the rows after the first `n_before`, in pieces.

    Args:
        values: Consecutive rows of one series `[n_before + T, C]`.
        series_id: Its id.
        start: Time stamp of the first of them, UTC epoch seconds.
        spec: Feature spec.
        n_before: Rows that are there only to be looked back at.

    Yields:
        float32 `[piece, past + known]`.
    """
    reach = spec.history_length - spec.context
    own = {column: spec.scaler.of(column, series_id) for column in spec.scaler.own}
    for first in range(n_before, len(values), _PIECE_ROWS):
        end = min(first + _PIECE_ROWS, len(values))
        begin = max(0, first - reach)
        stamps = (start + first * spec.step_s, spec.step_s, end - first)
        yield _piece(values[begin:end], first - begin, _calendar(spec.calendar, *stamps), own, spec)


def _piece(
    values: npt.NDArray[np.float64], n_before: int, calendar: npt.NDArray[np.float32], own: OwnScales, spec: FeatureSpec
) -> npt.NDArray[np.float32]:
    blocks = feature_blocks(spec)
    # One contiguous line a column, seen as [1,T,C].
    batch = np.ascontiguousarray(values.T, dtype=np.float32)[None].transpose(0, 2, 1)
    n_values = 1 + len(spec.observed)
    planes = np.empty((len(values) - n_before, len(blocks.past) + len(blocks.known)), dtype=np.float32)
    columns = past_columns(batch[:, :, :n_values], own, spec, NUMPY)
    columns += known_columns(batch[:, :, n_values:], own, spec, NUMPY)
    for j, column in enumerate(columns):
        planes[:, j] = column[0, n_before:]
    planes[:, len(columns) :] = calendar
    return planes


@lru_cache(maxsize=16)
def _calendar(calendar: CalendarSpec, start: int, step_s: int, n_steps: int) -> npt.NDArray[np.float32]:
    # Most series of a table share their time stamps.
    columns: npt.NDArray[np.float32] = calendar_columns(start + step_s * np.arange(n_steps, dtype=np.int64), calendar)
    columns.flags.writeable = False
    return columns
