"""What happens to gradients between the loss and the optimiser, and their norms before and after."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from forecasting.config.training import TrainingConfig

Tensor = Any
_SMALLEST_NORM = 1e-12


@dataclass(frozen=True)
class ConditionedGradients:
    """Gradients as the optimiser gets them, the norm of each weight's `[V]` before and after, and whether any was cut."""

    gradients: list[Tensor]
    before: Tensor
    after: Tensor
    clipped: Tensor


def condition_gradients(gradients: list[Tensor], training: TrainingConfig) -> ConditionedGradients:
    """Normalise (where the settings say so), then clip.

    R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks" (2013).

    Args:
        gradients: One a weight, summed over all replicas.
        training: The settings.
    """
    before = norms(gradients)
    changed = gradients
    total = tf.norm(before)
    if training.normalize_gradients:
        factor = 1.0 / tf.maximum(total, _SMALLEST_NORM)
        changed = [gradient * factor for gradient in changed]
        total = total * factor
    after = before * factor if training.normalize_gradients else before
    clipped = tf.constant(False)
    match training.clip:
        case "global_norm":
            # The norms are there already: clipping costs one multiplication.
            clipped = total > training.clip_norm
            share = training.clip_norm / tf.maximum(total, training.clip_norm)
            changed, after = [gradient * share for gradient in changed], after * share
        case "norm":
            clipped = tf.reduce_any(after > training.clip_norm)
            shares = training.clip_norm / tf.maximum(after, training.clip_norm)
            changed = [gradient * shares[i] for i, gradient in enumerate(changed)]
            after = after * shares
        case "value":
            bound = training.clip_value
            changed = [tf.clip_by_value(gradient, -bound, bound) for gradient in changed]
            after, unclipped = norms(changed), after
            clipped = tf.reduce_any(after < unclipped)
        case "none":
            pass
    return ConditionedGradients(changed, before, after, clipped)


def norms(gradients: list[Tensor]) -> Tensor:
    """Euclidean norm of each gradient `[V]`."""
    return tf.sqrt(tf.stack([tf.reduce_sum(tf.square(gradient)) for gradient in gradients]))
