"""Training losses."""

from typing import Any

import tensorflow as tf

Tensor = Any
MEAN_WEIGHT = 1.0
"""Of the mean's squared errors beside the quantile losses, both in scaled units."""


def forecast_loss(
    answer: Tensor, target: Tensor, present: Tensor, scale: Tensor, levels: Tensor, *, has_mean: bool
) -> Tensor:
    """Sum of the losses of quantiles, and of the mean where there is one.

    Args:
        answer: `[B,H,A]` in scaled units.
        target: `[B,H]` in scaled units.
        present: `[B,H]`, 0 where the target is missing.
        scale: Of each window `[B,1]`.
        levels: `[Q]` in (0, 1).
        has_mean: Whether the last column of the answer is the mean.
    """
    n_levels = len(levels)
    # Between every series counting alike (1/scale) and errors counting in units sold (1).
    loss = pinball_loss(target, answer[:, :, :n_levels], levels, present / tf.sqrt(scale))
    if not has_mean:
        return loss
    # The same between, of squares: 1/scale² and 1/scale.
    weights = present / (scale * tf.sqrt(scale))
    return loss + MEAN_WEIGHT * squared_loss(target, answer[:, :, n_levels], weights)


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
