"""What stood one season before each step of the horizon."""

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from forecasting.features.spec import FeatureSpec

Tensor = Any


def seasonal_lags(target: Tensor, known: Tensor, future: Tensor, begun: Tensor, spec: FeatureSpec) -> Tensor:
    """The target one season before each horizon step, the covariates of the step, and how they differ from then.

    Args:
        target: Relative target `[B,L]`, 0 where missing.
        known: `[B,L,known]`.
        future: `[B,H,known]`.
        begun: `[B,L]`, 0 for padding.
        spec: Feature spec.

    Returns:
        `[B,H, seasons + known + seasons × known]`; 0 for lags before the window, and for those in its padding.
    """
    length = target.shape[1]
    rows = [lag_rows(length, spec.horizon, season) for season in spec.seasons]
    lagged = [_gathered(target, row)[:, :, None] for row in rows]
    differences = [(future - _gathered(known, row)) * _gathered(begun, row)[:, :, None] for row in rows]
    return tf.concat([*lagged, future, *differences], axis=2)


def lag_rows(length: int, horizon: int, season: int) -> npt.NDArray[np.int64]:
    """Rows of a history that lie a whole number of seasons before each horizon step `[H]`; negative: before it."""
    ahead = np.arange(horizon)
    return length + ahead - season * (ahead // season + 1)


def _gathered(values: Tensor, rows: npt.NDArray[np.int64]) -> Tensor:
    return _masked(tf.gather(values, np.maximum(rows, 0), axis=1), rows)


def _masked(values: Tensor, rows: npt.NDArray[np.int64]) -> Tensor:
    if (rows >= 0).all():
        return values
    inside = (rows >= 0).astype(np.float32).reshape((1, -1) + (1,) * (len(values.shape) - 2))
    return values * tf.cast(inside, values.dtype)
