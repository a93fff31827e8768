"""Augmentation of training inputs: noise, scaling and a shift in time, drawn anew for every window.

Draws are stateless functions of the seed, the step and the replica, so that a resumed training draws
what it would have drawn. Missing targets stay missing, and marks of presence are never touched.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from forecasting.config.training import AugmentationConfig
from forecasting.features.spec import FeatureSpec
from forecasting.features.transform import feature_blocks

Tensor = Any


class Augmentation:
    """Changes batches of training windows."""

    def __init__(self, settings: AugmentationConfig, spec: FeatureSpec) -> None:
        """Augmentation of windows of one feature store."""
        names = feature_blocks(spec).past
        derived = {term.name for term in spec.derived if term.column == spec.target and term.relative}
        self._settings = settings
        self._n_past = len(names)
        self._level = np.asarray([name == spec.target or name in derived for name in names], dtype=np.float32)

    @property
    def active(self) -> bool:
        """Whether anything is changed."""
        return bool(self._settings.noise or self._settings.scaling or self._settings.time_shift)

    def __call__(self, batch: dict[str, Tensor], seed: Tensor) -> dict[str, Tensor]:
        """A changed batch.

        Args:
            batch: As `WindowGather` makes it.
            seed: int32 `[2]`; the same seed gives the same changes.
        """
        past, known = batch["history"][:, :, : self._n_past], batch["history"][:, :, self._n_past :]
        target = batch["target"]
        seeds = tf.random.split(seed, 3)
        if self._settings.time_shift:
            past = self._shift(past, seeds[0])
        if self._settings.scaling:
            n_windows = tf.shape(target)[:1]
            factor = 1.0 + self._settings.scaling * tf.random.stateless_truncated_normal(n_windows, seeds[1])
            past = past * (1.0 + (factor[:, None, None] - 1.0) * self._level)
            target = target * factor[:, None]
        if self._settings.noise:
            past = past + self._noise(past, seeds[2])
        return {**batch, "history": tf.concat([past, known], axis=2), "target": target}

    def _noise(self, past: Tensor, seed: Tensor) -> Tensor:
        drawn = self._settings.noise * tf.random.stateless_normal(tf.shape(past), seed) * self._level
        return tf.concat([drawn[:, :, :1] * past[:, :, 1:2], drawn[:, :, 1:]], axis=2)

    def _shift(self, past: Tensor, seed: Tensor) -> Tensor:
        """The past some steps later; nothing ahead of the origin is seen, what the first steps lack is missing."""
        shape = tf.shape(past)
        by = tf.random.stateless_uniform(shape[:1], seed, 0, self._settings.time_shift + 1, dtype=tf.int32)
        step = tf.range(shape[1])[None] - by[:, None]
        moved = tf.gather(past, tf.maximum(step, 0), batch_dims=1)
        return moved * tf.cast(step >= 0, past.dtype)[:, :, None]
