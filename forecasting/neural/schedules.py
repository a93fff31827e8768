"""Learning-rate schedules."""

import math
from typing import Any

import keras
import tensorflow as tf

from forecasting.config.sections import TrainingConfig


class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then constant or a half cosine down to 1 % of the largest rate.

    I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017).
    """

    def __init__(self, training: TrainingConfig, n_steps: int) -> None:
        """Schedule over `n_steps` optimiser steps."""
        self._peak = training.learning_rate
        self._warmup = max(1, min(training.warmup_steps, n_steps // 4))
        self._n_steps = n_steps
        self._cosine = training.schedule == "cosine"

    def __call__(self, step: Any) -> Any:
        """Rate at an optimiser step."""
        step = tf.cast(step, tf.float32)
        ramp = tf.minimum((step + 1.0) / self._warmup, 1.0)
        if not self._cosine:
            return self._peak * ramp
        progress = tf.clip_by_value((step - self._warmup) / max(1, self._n_steps - self._warmup), 0.0, 1.0)
        return self._peak * ramp * (0.01 + 0.99 * 0.5 * (1.0 + tf.cos(math.pi * progress)))

    def get_config(self) -> dict[str, Any]:
        """Not restored from a configuration: the loop builds it from the settings."""
        return {"peak": self._peak, "warmup": self._warmup, "n_steps": self._n_steps, "cosine": self._cosine}
