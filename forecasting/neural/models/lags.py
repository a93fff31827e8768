"""What stood one season before each step of the horizon."""

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from forecasting.features.spec import FeatureSpec

Tensor = Any


def seasonal_lags(
    target: Tensor, known: Tensor, future: Tensor, begun: Tensor, spec: FeatureSpec, *, axis: int = 1
) -> Tensor:
    """The target one season before each horizon step, the covariates of the step, and how they differ from then.

    Args:
        target: Relative target `[B,L]`, 0 where missing.
        known: `[B,L,known]`; other columns may stand before these.
        future: `[B,H,known]`.
        begun: `[B,L]`, 0 for padding.
        spec: Feature spec.
        axis: Of the steps in known, future and what is returned; 2: columns come before them.

    Returns:
        `[B,H, seasons + known + seasons × known]`; 0 for lags before the window, and for those in its padding.
    """
    across, n_known = 3 - axis, future.shape[3 - axis]
    rows = [lag_rows(target.shape[1], spec.horizon, season) for season in spec.seasons]
    lagged = [tf.expand_dims(_gathered(target, row), across) for row in rows]
    differences = []
    for row in rows:
        before = _gathered(known, row, axis)
        before = before[:, :, -n_known:] if axis == 1 else before[:, -n_known:]
        differences.append((future - before) * tf.expand_dims(_gathered(begun, row), across))
    return tf.concat([*lagged, future, *differences], axis=across)


def lag_rows(length: int, horizon: int, season: int) -> npt.NDArray[np.int64]:
    """Rows of a history that lie a whole number of seasons before each horizon step `[H]`; negative: before it."""
    ahead = np.arange(horizon)
    return length + ahead - season * (ahead // season + 1)


def _gathered(values: Tensor, rows: npt.NDArray[np.int64], axis: int = 1) -> Tensor:
    if rows[0] >= 0 and (np.diff(rows) == 1).all():
        part = slice(rows[0], rows[-1] + 1)
        return values[:, part] if axis == 1 else values[:, :, part]
    found = tf.gather(values, np.maximum(rows, 0), axis=axis)
    if (rows >= 0).all():
        return found
    inside = (rows >= 0).astype(np.float32)
    return found * tf.cast(inside.reshape([-1 if i == axis else 1 for i in range(len(values.shape))]), values.dtype)
