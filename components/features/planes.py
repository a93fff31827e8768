"""What Beam runs on each series: pure functions on whole series as arrays."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.features.calendar import calendar_columns
from forecasting.features.namespace import NUMPY
from forecasting.features.spec import FeatureSpec
from forecasting.features.transform import known_columns, past_columns
from forecasting.scaling import ColumnMoments, column_moments
from forecasting.schema import Series

HISTOGRAM_BINS = 20


@dataclass(frozen=True)
class ColumnHistogram:
    """Counts `[C,bins]` of values between `low` and `high` `[C]`; missing values are left out."""

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]

    def merge(self, other: "ColumnHistogram") -> "ColumnHistogram":
        """Counts of both sets of rows."""
        return ColumnHistogram(self.low, self.high, self.counts + other.counts)


def train_moments(series: Series, step_s: int, train_end: int) -> ColumnMoments:
    """Moments of the rows before the end of the train cut."""
    return column_moments(_train_rows(series, step_s, train_end))


def train_histogram(series: Series, step_s: int, train_end: int, moments: ColumnMoments) -> ColumnHistogram:
    """Histogram of the rows before the end of the train cut, between their minimum and maximum."""
    rows = _train_rows(series, step_s, train_end)
    counts = []
    for i in range(rows.shape[1]):
        values = rows[:, i][~np.isnan(rows[:, i])]
        low, high = moments.minimum[i], moments.maximum[i]
        high = high if high > low else low + 1.0
        counts.append(
            np.histogram(values, bins=HISTOGRAM_BINS, range=(low, high))[0]
            if moments.count[i]
            else np.zeros(HISTOGRAM_BINS)
        )
    return ColumnHistogram(moments.minimum, moments.maximum, np.asarray(counts, dtype=np.int64))


def feature_planes(series: Series, spec: FeatureSpec) -> npt.NDArray[np.float32]:
    """Features of every step of a series, and of a context of missing steps before its first.

    The lead makes a window that begins before its series the same here as in the served model,
    calendar included, and keeps it away from the series before it in the store.

    Args:
        series: Values `[T, 1 + observed + known]`.
        spec: Feature spec.

    Returns:
        float32 `[context + T, past + known]`, columns as in `forecasting.features.transform.feature_blocks`.
    """
    n_rows = spec.context + series.n_steps
    values = np.full((n_rows, series.values.shape[1]), np.nan, dtype=np.float32)
    values[spec.context :] = series.values
    stamps = series.start + spec.step_s * np.arange(-spec.context, series.n_steps, dtype=np.int64)
    n_past = 1 + len(spec.observed)
    batch = np.ascontiguousarray(values.T)[None].transpose(0, 2, 1)
    columns = past_columns(batch[:, :, :n_past], spec, NUMPY) + known_columns(batch[:, :, n_past:], spec, NUMPY)
    planes = np.empty((n_rows, len(columns) + len(spec.calendar.names)), dtype=np.float32)
    for j, column in enumerate(columns):
        planes[:, j] = column[0]
    planes[:, len(columns) :] = calendar_columns(stamps, spec.calendar)
    return planes


def _train_rows(series: Series, step_s: int, train_end: int) -> npt.NDArray[np.float64]:
    n_rows = max(0, min(series.n_steps, (train_end - series.start) // step_s))
    return series.values[:n_rows]
