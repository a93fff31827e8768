"""Training losses."""

from typing import Any

import tensorflow as tf

Tensor = Any


def pinball_loss(target: Tensor, quantiles: Tensor, levels: Tensor, weights: Tensor) -> Tensor:
    """Sum of weighted quantile losses, max(q·d, (q-1)·d) with d = target - quantile.

    R. Koenker and G. Bassett, "Regression Quantiles", Econometrica 46 (1978).

    Args:
        target: `[B,H]`.
        quantiles: `[B,H,Q]` in the same units.
        levels: `[Q]` in (0, 1).
        weights: `[B,H]`; 0 where the target is missing.
    """
    distance = target[:, :, None] - quantiles
    loss = tf.maximum(levels * distance, (levels - 1.0) * distance)
    return tf.reduce_sum(tf.reduce_mean(loss, axis=2) * weights)


def squared_loss(target: Tensor, mean: Tensor, weights: Tensor) -> Tensor:
    """Sum of weighted squared errors, of which the mean is the minimum.

    Args:
        target: `[B,H]`.
        mean: `[B,H]` in the same units.
        weights: `[B,H]`; 0 where the target is missing.
    """
    return tf.reduce_sum(tf.square(target - mean) * weights)
