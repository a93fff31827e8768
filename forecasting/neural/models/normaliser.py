"""Reversible normalisation of a window by its own level and scale.

T. Kim et al., "Reversible Instance Normalization for Accurate Time-Series Forecasting against
Distribution Shift" (ICLR 2022), with a mean of the last segment as level, and a scale only where the
series differ in size.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from typing_extensions import override

from forecasting.features.spec import FeatureSpec
from forecasting.features.transform import feature_blocks
from forecasting.neural.models.dense import Dense

Tensor = Any
WINDOW_SCALE_FLOOR = 0.02
"""Smallest scale of a window, in units of the train cut's: keeps a nearly empty series finite."""
_STATIC_UNITS = 16


@dataclass(frozen=True)
class NormalisedWindow:
    """Past columns relative to level `[B,1]` and scale `[B,1]`, the target `[B,L]` of them; group, begun and ends as in `Window`.

    past: `[B,L,past]`, or `[B,L]` each where they came apart.
    """

    past: Tensor | tuple[Tensor, ...]
    target: Tensor
    level: Tensor
    scale: Tensor
    group: Tensor
    begun: Tensor
    ends: Tensor | None = None

    def restored(self, quantiles: Tensor) -> Tensor:
        """Quantiles `[B,H,Q]` with level and scale given back."""
        return (quantiles + self.level[:, :, None]) * self.scale[:, :, None]


class WindowNormaliser(keras.layers.Layer):
    """Takes level and scale out of the past columns of a window."""

    def __init__(self, spec: FeatureSpec, *, embeds_static: bool = True) -> None:
        """Create the embedding of static columns, for models that read it."""
        super().__init__(name="normaliser")
        self._spec = spec
        self._divided, self._shifted = _relative_columns(spec)
        self.static_embedding = (
            Dense(_STATIC_UNITS, activation="tanh", name="static_embedding") if spec.static and embeds_static else None
        )

    @override
    def call(
        self, past: Tensor | tuple[Tensor, ...], static: Tensor | None = None, ends: Tensor | None = None
    ) -> NormalisedWindow:
        """Normalise past columns `[B,L,past]`, or `[B,L]` each, with category codes `[B,S]` where there are any."""
        spec = self._spec
        columns = past if isinstance(past, tuple) else [past[:, :, i] for i in range(3 if spec.fill_season else 2)]
        present = columns[1]
        scale = 1.0 + 0.0 * present[:, :1]
        if spec.target_scaling == "window":
            own = tf.maximum(_present_mean(tf.abs(columns[0]), present), WINDOW_SCALE_FLOOR)
            # A window without a value has no scale of its own; the floor would weigh its errors up a thousandfold.
            scale = tf.where(tf.reduce_sum(present, axis=1, keepdims=True) > 0.0, own, scale)
        target = columns[0] / scale if spec.target_scaling == "window" else columns[0]
        season = slice(-spec.segment, None) if spec.target_scaling == "train" else slice(None)
        level = _present_mean(target[:, season], present[:, season])
        # A value filled from an earlier season is an input like any other.
        seen = present + columns[2] if spec.fill_season else present
        target = (target - level) * seen
        group = [level, tf.math.log(scale)]
        if self.static_embedding is not None:
            group.append(self.static_embedding(_one_hot(static, spec)))
        begun = tf.minimum(tf.cumsum(seen, axis=1), 1.0)
        if ends is not None:
            ends = self._relative(ends, level, scale, slice(-ends.shape[2], None))
        joined = self._joined(past, target, level, scale)
        return NormalisedWindow(joined, target, level, scale, tf.concat(group, 1), begun, ends)

    def _joined(
        self, past: Tensor | tuple[Tensor, ...], target: Tensor, level: Tensor, scale: Tensor
    ) -> Tensor | tuple[Tensor, ...]:
        """Past columns, the relative target in the place of their first."""
        if isinstance(past, tuple):
            return (target, *(self._relative(column, level, scale, i) for i, column in enumerate(past[1:], start=1)))
        return tf.concat([target[:, :, None], self._relative(past[:, :, 1:], level, scale, slice(1, None))], axis=2)

    def _relative(self, columns: Tensor, level: Tensor, scale: Tensor, part: int | slice) -> Tensor:
        """A past column `[B,T]`, or a part of them `[B,T,C]`, relative to level and scale."""
        if isinstance(part, slice):
            level, scale = level[:, :, None], scale[:, :, None]
        divided, shifted = self._divided[part], self._shifted[part]
        if self._spec.target_scaling == "window" and divided.any():
            columns = columns / (scale * divided + (1.0 - divided))
        return columns - level * shifted if shifted.any() else columns


def _present_mean(values: Tensor, present: Tensor) -> Tensor:
    """Mean of the present values `[B,1]`; 0 where there is none."""
    total = tf.reduce_sum(values * present, axis=1, keepdims=True)
    return total / tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1.0)


def _relative_columns(spec: FeatureSpec) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Which past columns are divided by the window's scale, and from which its level is taken `[past]`."""
    names = feature_blocks(spec).past
    derived = [term for term in spec.derived if term.column == spec.target and term.relative]
    relative = {spec.target, *(term.name for term in derived)}
    level = {spec.target, *(term.name for term in derived if term.has_level)}
    divided = np.asarray([name in relative for name in names], dtype=np.float32)
    shifted = np.asarray([name in level for name in names], dtype=np.float32)
    return divided, shifted


def _one_hot(static: Tensor, spec: FeatureSpec) -> Tensor:
    """Codes `[B,S]` as flags `[B,sum of categories]`; an unknown code (-1) is all zeros."""
    flags = []
    for i, name in enumerate(spec.static):
        codes = tf.range(len(spec.categories[name]), dtype=tf.float32)[None]
        flags.append(tf.cast(tf.abs(static[:, i : i + 1] - codes) < 0.5, tf.float32))
    return tf.concat(flags, axis=1)
