"""Forecasts beside what came, flat: what every metric is computed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoreBlock:
    """Steps whose actual is known, one after another (N steps, Q quantile levels), float64.

    actual: what came `[N]`. point: median forecast, or any point forecast `[N]`. expected: what squared errors and the
    bias are judged by `[N]`: the mean where a model forecasts it, else the point. quantiles: `[N,Q]`. levels: Q, ascending.
    scale: mean absolute seasonal difference of each step's series in the train cut `[N]`, squared_scale: the mean squared
    one; NaN where there is none. actual_change, forecast_change: difference from the step before in the same forecast `[N]`,
    NaN at the first step. anchor: a number near the actuals, subtracted before squares are summed.
    """

    actual: Doubles
    point: Doubles
    expected: Doubles
    quantiles: Doubles
    levels: tuple[float, ...]
    scale: Doubles
    squared_scale: Doubles
    actual_change: Doubles
    forecast_change: Doubles
    anchor: float = 0.0

    @property
    def n_points(self) -> int:
        """N."""
        return len(self.actual)

    @cached_property
    def error(self) -> Doubles:
        """`actual - point`."""
        return self.actual - self.point

    @cached_property
    def absolute_error(self) -> Doubles:
        """`|actual - point|`."""
        return np.abs(self.error)

    @cached_property
    def expected_error(self) -> Doubles:
        """`actual - expected`."""
        return self.actual - self.expected

    @cached_property
    def pinball(self) -> Doubles:
        """Pinball loss of every level `[N,Q]`: max(q (y - f), (q - 1) (y - f))."""
        errors = self.actual[:, None] - self.quantiles
        q = np.asarray(self.levels)
        return np.maximum(q * errors, (q - 1) * errors)

    def position(self, level: float) -> int:
        """Position of a quantile level along Q.

        Raises:
            ValueError: There is no such level.
        """
        return self.levels.index(level)


def score_block(
    actual: Floats,
    point: Floats,
    *,
    expected: Floats | None = None,
    quantiles: Floats | None = None,
    levels: Sequence[float] = (),
    scale: Floats | float = np.nan,
    squared_scale: Floats | float = np.nan,
    anchor: float = 0.0,
) -> ScoreBlock:
    """A block of the steps whose actual is known.

    Args:
        actual: What came, of any shape; NaN where not known. The last axis is the horizon.
        point: Point forecasts, of the same shape.
        expected: Mean forecasts, of the same shape; none: the point forecasts.
        quantiles: Quantile forecasts, one more axis at the end; none: no levels.
        levels: Its levels, ascending.
        scale: Broadcasts to the shape of `actual`.
        squared_scale: Likewise.
        anchor: See `ScoreBlock`.
    """
    y, f = np.asarray(actual, dtype=np.float64), np.asarray(point, dtype=np.float64)
    known = np.isfinite(y)
    spread = np.empty((*y.shape, 0)) if quantiles is None else quantiles
    return ScoreBlock(
        actual=y[known],
        point=f[known],
        expected=f[known] if expected is None else np.asarray(expected, dtype=np.float64)[known],
        quantiles=np.asarray(spread[known], dtype=np.float64),
        levels=tuple(levels),
        scale=np.broadcast_to(np.asarray(scale, dtype=np.float64), y.shape)[known],
        squared_scale=np.broadcast_to(np.asarray(squared_scale, dtype=np.float64), y.shape)[known],
        actual_change=_changes(y)[known],
        forecast_change=_changes(f)[known],
        anchor=anchor,
    )


def _changes(values: Doubles) -> Doubles:
    if values.ndim == 0:
        return np.full(values.shape, np.nan)
    return np.diff(values, axis=-1, prepend=np.nan)
