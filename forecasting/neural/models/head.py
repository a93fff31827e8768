"""From a message to each horizon step to quantiles that never cross.

The median has a linear skip from the seasonal lags, as in A. Zeng et al., "Are Transformers Effective
for Time Series Forecasting?" (AAAI 2023); the other levels are positive gaps outwards from it.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

from forecasting.config.models import ModelConfig
from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.features.spec import FeatureSpec
from forecasting.neural.models.dense import Dense
from forecasting.neural.models.dropout import Dropout
from forecasting.neural.models.recurrence import is_portable
from forecasting.neural.models.widths import WidthGroup, made_by, read_by, units_of

Tensor = Any
_GAP_OFFSET = 2.0
"""softplus(-2) ≈ 0.13: quantiles start close to the median."""


class QuantileHead(keras.layers.Layer):
    """Messages and seasonal lags to quantiles, and to the mean where the features ask for it."""

    def __init__(self, spec: FeatureSpec, model: ModelConfig, *, given_median: bool = False) -> None:
        """Create the layers; where the median is given, they make the gaps around it only."""
        super().__init__(name="quantile_head")
        self._levels = spec.quantiles
        self.hidden = Dense(model.head_units, activation="gelu", name="head")
        self.dropout = Dropout(model.dropout, seed=0)
        self.gaps = Dense(max(len(spec.quantiles) - given_median, 1), kernel_initializer="zeros", name="gaps")
        self.skip = None if given_median else Dense(1, kernel_initializer=_lag_mean(len(spec.seasons)), name="skip")
        self.mean = Dense(1, kernel_initializer="zeros", name="mean") if spec.mean else None

    def width_group(self, n_units: int) -> WidthGroup:
        """Units of the hidden layer."""
        readers = [read_by(layer, n_units) for layer in (self.gaps, self.mean) if layer is not None and layer.built]
        return units_of("head_units", made_by(self.hidden, n_units), *readers)

    @override
    def call(self, message: Tensor, lags: Tensor, given: Tensor | None = None, training: bool = False) -> Tensor:
        """Quantiles, then the mean where there is one `[B,H,A]`.

        Args:
            message: `[B,H,D]`.
            lags: `[B,H,D']`.
            given: The median `[B,H]`, where it is given; else it is a linear skip from the lags plus an output.
            training: Whether dropout is on.
        """
        horizon = lags.shape[1]
        alone = given is not None and len(self._levels) == 1
        if given is not None and alone and self.mean is None:
            return given[:, :, None]
        joined = tf.concat([message, lags], axis=2)
        joined = tf.stop_gradient(joined) if alone else joined
        hidden = self.dropout(self.hidden(tf.reshape(joined, [-1, joined.shape[2]])), training=training)
        quantiles = tf.reshape(given, [-1, 1]) if alone else self._quantiles(hidden, lags, given)
        if self.mean is None:
            return tf.reshape(quantiles, [-1, horizon, len(self._levels)])
        middle = self._levels.index(POINT_QUANTILE)
        # Unconstrained: the mean of a skewed distribution may lie beyond its outer quantiles. It learns from what they
        # make of a window and changes nothing of it: squares of a long tail would draw the median up to the mean.
        median = tf.stop_gradient(quantiles[:, middle : middle + 1])
        mean = median + self.mean(hidden if alone else tf.stop_gradient(hidden))
        return tf.reshape(tf.concat([quantiles, mean], axis=1), [-1, horizon, len(self._levels) + 1])

    def _quantiles(self, hidden: Tensor, lags: Tensor, given: Tensor | None) -> Tensor:
        """Quantiles `[rows,Q]` around the median."""
        outputs = self.gaps(hidden)
        widths = _softplus(outputs - _GAP_OFFSET)
        gaps = [widths[:, j : j + 1] for j in range(outputs.shape[1])]
        if self.skip is None:
            median = tf.reshape(given, [-1, 1])
        else:
            middle = self._levels.index(POINT_QUANTILE)
            gaps.pop(middle)
            median = outputs[:, middle : middle + 1] + self.skip(tf.reshape(lags, [-1, lags.shape[2]]))
        return _spread(median, gaps, self._levels)


def _softplus(values: Tensor) -> Tensor:
    """log(1 + exp(x)), which TensorFlow Lite would take literally: beyond 88 the exponential is infinite."""
    if not is_portable():
        return tf.nn.softplus(values)
    return tf.nn.relu(values) + tf.math.log(1.0 + tf.exp(-tf.abs(values)))


def _spread(median: Tensor, gaps: list[Tensor], levels: tuple[float, ...]) -> Tensor:
    """Quantiles `[rows,Q]` from the median `[rows,1]` and a positive gap for each other level `[rows,1]`.

    The median first, then the gaps outwards. Sums stay in rank 2, which the TensorFlow Lite
    converter needs.
    """
    middle = levels.index(POINT_QUANTILE)
    columns: dict[int, Tensor] = {middle: median}
    for j in range(middle - 1, -1, -1):
        columns[j] = columns[j + 1] - gaps[j]
    for j in range(middle + 1, len(levels)):
        columns[j] = columns[j - 1] + gaps[j - 1]
    return tf.concat([columns[j] for j in range(len(levels))], axis=1)


def _lag_mean(n_seasons: int) -> keras.initializers.Initializer:
    """The skip starts as the mean of the seasonal lags, which are its first inputs."""

    class LagMean(keras.initializers.Initializer):
        def __call__(self, shape: tuple[int, int], **_: Any) -> Tensor:
            kernel = np.zeros(shape, dtype=np.float32)
            kernel[:n_seasons] = 1.0 / n_seasons
            return tf.constant(kernel)

    return LagMean()
