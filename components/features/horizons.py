"""Features over the horizon of every origin, of covariates that have vintages: pure functions on arrays."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from forecasting.features.numpy_namespace import NUMPY
from forecasting.features.spec import FeatureSpec
from forecasting.features.transform import known_columns, vintage_part
from forecasting.schema import Series
from forecasting.vintages import no_vintages

_PIECE_VALUES = 1 << 18
"""Values of a column computed at once: they stay near a core."""


def horizon_pieces(series: Series, spec: FeatureSpec, *, n_before: int) -> Iterator[npt.NDArray[np.float32]]:
    """Features of the horizons that begin at the rows after the first `n_before`, in pieces.

    Args:
        series: Consecutive rows of one series, which may begin in its middle, and all of its vintages.
        spec: Feature spec.
        n_before: Rows that are there only to be looked back at.

    Yields:
        float32 `[piece,H,V]`.
    """
    part = vintage_part(spec)
    reach = max((term.reach for term in part.derived), default=0)
    own = {column: spec.scaler.of(column, series.id) for column in spec.scaler.own}
    n_known, vintages = len(spec.known), series.vintages or no_vintages(spec.vintages)
    places = [series.values.shape[1] - n_known + spec.known.index(name) for name in spec.vintages]
    order = [vintages.columns.index(name) for name in spec.vintages]
    padded = np.concatenate([np.full((reach, len(places)), np.nan), series.values[:, places]])
    # Row r of the view is what stood in the `reach` steps before row r of the series.
    past = sliding_window_view(padded, reach, axis=0) if reach else np.empty((len(padded) + 1, len(places), 0))
    stamps = series.timestamps(spec.step_s)
    n_rows = max(1, _PIECE_VALUES // (reach + spec.horizon))
    for first in range(n_before, series.n_steps, n_rows):
        end = min(first + n_rows, series.n_steps)
        ahead = vintages.known_at(stamps[first:end], spec.horizon, spec.step_s)[..., order]
        line = np.concatenate([past[first:end], ahead.transpose(0, 2, 1)], axis=2, dtype=np.float32)
        columns = known_columns(line.transpose(0, 2, 1), own, part, NUMPY)
        yield np.stack([column[:, reach:] for column in columns], axis=2)
