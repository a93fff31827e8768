"""From a message to each horizon step to quantiles that never cross.

The median has a linear skip from the seasonal lags, as in A. Zeng et al., "Are Transformers Effective
for Time Series Forecasting?" (AAAI 2023); the other levels are positive gaps outwards from it.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from typing_extensions import override

from forecasting.config.models import ModelConfig
from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.features.spec import FeatureSpec

Tensor = Any
_GAP_OFFSET = 2.0
"""softplus(-2) ≈ 0.13: quantiles start close to the median."""


class QuantileHead(keras.layers.Layer):
    """Messages and seasonal lags to quantiles."""

    def __init__(self, spec: FeatureSpec, model: ModelConfig) -> None:
        """Create the layers."""
        super().__init__(name="quantile_head")
        self._levels = spec.quantiles
        self.hidden = layers.Dense(model.head_units, activation="gelu", name="head")
        self.dropout = layers.Dropout(model.dropout, seed=0)
        self.gaps = layers.Dense(len(spec.quantiles), kernel_initializer="zeros", name="gaps")
        self.skip = layers.Dense(1, kernel_initializer=_lag_mean(len(spec.seasons)), name="skip")

    @override
    def call(self, message: Tensor, lags: Tensor, training: bool = False) -> Tensor:
        """Quantiles `[B,H,Q]` from messages `[B,H,D]` and lags `[B,H,D']`; their median alone skips what is between."""
        horizon = lags.shape[1]
        joined = tf.concat([message, lags], axis=2)
        hidden = self.dropout(self.hidden(tf.reshape(joined, [-1, joined.shape[2]])), training=training)
        median = self.skip(tf.reshape(lags, [-1, lags.shape[2]]))
        quantiles = _spread(median, self.gaps(hidden), self._levels)
        return tf.reshape(quantiles, [-1, horizon, len(self._levels)])


def _spread(median: Tensor, raw: Tensor, levels: tuple[float, ...]) -> Tensor:
    """Quantiles `[rows,Q]` from the skip `[rows,1]` and head outputs `[rows,Q]`.

    The median first, then positive gaps outwards. Sums stay in rank 2, which the TensorFlow Lite
    converter needs.
    """
    middle = levels.index(POINT_QUANTILE)
    columns: dict[int, Tensor] = {middle: raw[:, middle : middle + 1] + median}
    for j in range(middle - 1, -1, -1):
        columns[j] = columns[j + 1] - tf.nn.softplus(raw[:, j : j + 1] - _GAP_OFFSET)
    for j in range(middle + 1, len(levels)):
        columns[j] = columns[j - 1] + tf.nn.softplus(raw[:, j : j + 1] - _GAP_OFFSET)
    return tf.concat([columns[j] for j in range(len(levels))], axis=1)


def _lag_mean(n_seasons: int) -> keras.initializers.Initializer:
    """The skip starts as the mean of the seasonal lags, which are its first inputs."""

    class LagMean(keras.initializers.Initializer):
        def __call__(self, shape: tuple[int, int], **_: Any) -> Tensor:
            kernel = np.zeros(shape, dtype=np.float32)
            kernel[:n_seasons] = 1.0 / n_seasons
            return tf.constant(kernel)

    return LagMean()
