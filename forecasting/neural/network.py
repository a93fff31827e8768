"""The segment-recurrent network.

The context is cut into segments of one season; a dense layer embeds each, an LSTM runs over the
segments and hands its state to a second LSTM over the segments of the horizon, which are fed with
what is known ahead, the same steps one season before, and how the covariates differ from then.
Segments make the recurrence short: S. Lin et al., "SegRNN: Segment Recurrent Neural Network for
Long-Term Time Series Forecasting" (2023, arXiv:2308.11200). The head adds a linear skip from the
seasonal lags, as in A. Zeng et al., "Are Transformers Effective for Time Series Forecasting?"
(AAAI 2023), and gives the median and positive gaps, so that quantiles never cross.

The recurrences are Python loops over cells, which converts to TensorFlow Lite without a loop.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from forecasting.config.sections import ModelConfig
from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.features.spec import FeatureSpec
from forecasting.features.transform import feature_blocks

Tensor = Any
WINDOW_SCALE_FLOOR = 0.02
"""Smallest scale of a window, in units of the train cut's: keeps a nearly empty series finite."""
_GAP_OFFSET = 2.0
"""softplus(-2) ≈ 0.13: quantiles start close to the median."""


@dataclass(frozen=True)
class NetworkSpec:
    """Sizes of the network."""

    features: FeatureSpec
    model: ModelConfig

    @property
    def n_segments(self) -> int:
        """Segments in the context."""
        return self.features.context // self.features.segment

    @property
    def n_horizon_segments(self) -> int:
        """Segments in the horizon, the last one padded."""
        return -(-self.features.horizon // self.features.segment)


class SegmentNetwork(keras.Model):
    """The network: features of a window to scaled quantiles.

    history_features `[B,context,past+known]`, future_features `[B,H,known]`, static `[B,S]` →
    quantiles `[B,H,Q]` in scaled units, and the window's scale `[B,1]`.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        """Create the layers; their weights appear with the first call."""
        super().__init__(name="segment_network")
        self.spec = spec
        features, model = spec.features, spec.model
        self.n_past = len(feature_blocks(features).past)
        self.segment_embedding = layers.Dense(model.units, activation="gelu", name="segment_embedding")
        self.encoder = layers.LSTMCell(model.units, name="encoder")
        self.horizon_embedding = layers.Dense(model.units, activation="gelu", name="horizon_embedding")
        self.decoder = layers.LSTMCell(model.units, name="decoder")
        self.step_message = layers.Dense(features.segment * model.step_units, activation="gelu", name="step_message")
        self.head = layers.Dense(model.head_units, activation="gelu", name="head")
        self.dropout = layers.Dropout(model.dropout, seed=0)
        self.gaps = layers.Dense(len(features.quantiles), kernel_initializer="zeros", name="gaps")
        self.skip = layers.Dense(1, kernel_initializer=_lag_mean(len(features.seasons)), name="skip")
        self.static_embedding = (
            layers.Dense(16, activation="tanh", name="static_embedding") if features.static else None
        )

    def call(
        self, history_features: Tensor, future_features: Tensor, static: Tensor | None = None, training: bool = False
    ) -> Tensor:
        """Scaled quantiles `[B,H,Q]` and window scale `[B,1]`."""
        features = self.spec.features
        past, known = history_features[:, :, : self.n_past], history_features[:, :, self.n_past :]
        scale, level, past = self._normalise(past)
        group = self._group(level, scale, static)
        state = self._encode(past, known, group)
        lags = self._lags(past[:, :, 0], known, future_features)
        message = self._decode(lags, group, state)
        joined = tf.reshape(tf.concat([message, lags], axis=2), [-1, message.shape[2] + lags.shape[2]])
        hidden = self.dropout(self.head(joined), training=training)
        median = self.skip(tf.reshape(lags, [-1, lags.shape[2]]))
        quantiles = _spread(median, self.gaps(hidden), features.quantiles)
        quantiles = tf.reshape(quantiles, [-1, features.horizon, len(features.quantiles)])
        return (quantiles + level[:, :, None]) * scale[:, :, None], scale

    def _normalise(self, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scale `[B,1]`, level `[B,1]`, and the past columns relative to both."""
        features = self.spec.features
        present = past[:, :, 1]
        scale = tf.ones_like(present[:, :1])
        if features.target_scaling == "window":
            scale = tf.maximum(_present_mean(tf.abs(past[:, :, 0]), present), WINDOW_SCALE_FLOOR)
        divided, shifted = _relative_columns(features)
        relative = past / (scale[:, :, None] * divided + (1.0 - divided))
        season = slice(-features.segment, None) if features.target_scaling == "train" else slice(None)
        level = _present_mean(relative[:, season, 0], present[:, season])
        relative = relative - level[:, :, None] * shifted
        seen = past[:, :, 1:2]
        if features.fill_season:
            # A value filled from an earlier season is an input like any other; 0 says that there was none.
            seen = tf.maximum(seen, tf.cast(tf.not_equal(past[:, :, :1], 0.0), tf.float32))
        target = relative[:, :, :1] * seen
        return scale, level, tf.concat([target, relative[:, :, 1:]], axis=2)

    def _group(self, level: Tensor, scale: Tensor, static: Tensor | None) -> Tensor:
        """What is one value per window: level, scale, embedded static columns `[B,G]`."""
        parts = [level, tf.math.log(scale)]
        if self.static_embedding is not None:
            parts.append(self.static_embedding(_one_hot(static, self.spec.features)))
        return tf.concat(parts, axis=1)

    def _encode(self, past: Tensor, known: Tensor, group: Tensor) -> list[Tensor]:
        features, n = self.spec.features, self.spec.n_segments
        by_step = tf.concat([past[:, :, :2], known], axis=2)
        segments = tf.reshape(by_step, [-1, n, features.segment * by_step.shape[2]])
        if past.shape[2] > 2:
            ends = past[:, features.segment - 1 :: features.segment, 2:]
            segments = tf.concat([segments, ends], axis=2)
        segments = tf.concat([segments, _repeat(group, n)], axis=2)
        embedded = self.segment_embedding(segments)
        zeros = tf.zeros_like(embedded[:, 0])
        state = [zeros, zeros]
        for step in range(n):
            _, state = self.encoder(embedded[:, step], state)
        return state

    def _lags(self, target: Tensor, known: Tensor, future: Tensor) -> Tensor:
        """Target and covariate differences one season before each horizon step `[B,H,*]`."""
        features = self.spec.features
        rows = [_lag_rows(features.context, features.horizon, season) for season in features.seasons]
        lagged = [tf.gather(target, row, axis=1)[:, :, None] for row in rows]
        differences = [future - tf.gather(known, row, axis=1) for row in rows]
        return tf.concat([*lagged, future, *differences], axis=2)

    def _decode(self, lags: Tensor, group: Tensor, state: list[Tensor]) -> Tensor:
        """Message to each horizon step `[B,H,step_units]`."""
        features, n = self.spec.features, self.spec.n_horizon_segments
        padding = n * features.segment - features.horizon
        padded = tf.pad(lags, [[0, 0], [0, padding], [0, 0]]) if padding else lags
        segments = tf.reshape(padded, [-1, n, features.segment * lags.shape[2]])
        embedded = self.horizon_embedding(tf.concat([segments, _repeat(group, n)], axis=2))
        messages = []
        for step in range(n):
            output, state = self.decoder(embedded[:, step], state)
            messages.append(self.step_message(tf.concat([output, embedded[:, step]], axis=1)))
        joined = tf.concat(messages, axis=1) if n > 1 else messages[0]
        steps = tf.reshape(joined, [-1, n * features.segment, self.spec.model.step_units])
        return steps[:, : features.horizon]


def build_network(spec: NetworkSpec) -> SegmentNetwork:
    """A network with its weights created."""
    network = SegmentNetwork(spec)
    features = spec.features
    blocks = feature_blocks(features)
    network(
        tf.zeros([1, features.context, len(blocks.past) + len(blocks.known)]),
        tf.zeros([1, features.horizon, len(blocks.known)]),
        tf.zeros([1, len(features.static)]) if features.static else None,
    )
    return network


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


def _present_mean(values: Tensor, present: Tensor) -> Tensor:
    """Mean of the present values `[B,1]`; 0 where there is none."""
    total = tf.reduce_sum(values * present, axis=1, keepdims=True)
    return total / tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1.0)


def _relative_columns(features: FeatureSpec) -> tuple[Tensor, Tensor]:
    """Which past columns are divided by the window's scale, and from which its level is taken `[1,1,past]`."""
    names = feature_blocks(features).past
    derived = [term for term in features.derived if term.column == features.target and term.relative]
    relative = {features.target, *(term.name for term in derived)}
    level = {features.target, *(term.name for term in derived if term.has_level)}
    divided = [float(name in relative) for name in names]
    shifted = [float(name in level) for name in names]
    return tf.constant([[divided]]), tf.constant([[shifted]])


def _one_hot(static: Tensor, features: FeatureSpec) -> Tensor:
    """Codes `[B,S]` as flags `[B,sum of categories]`; an unknown code (-1) is all zeros."""
    flags = []
    for i, name in enumerate(features.static):
        codes = tf.range(len(features.categories[name]), dtype=tf.float32)[None]
        flags.append(tf.cast(tf.abs(static[:, i : i + 1] - codes) < 0.5, tf.float32))
    return tf.concat(flags, axis=1)


def _repeat(group: Tensor, n: int) -> Tensor:
    """`[B,G]` for each of n segments `[B,n,G]`."""
    return tf.stack([group] * n, axis=1)


def _lag_rows(context: int, horizon: int, season: int) -> np.ndarray:
    """Rows of the context that lie a whole number of seasons before each horizon step `[H]`."""
    ahead = np.arange(horizon)
    return context + ahead - season * (ahead // season + 1)


def _lag_mean(n_seasons: int) -> keras.initializers.Initializer:
    """The skip starts as the mean of the seasonal lags, which are its first inputs."""

    class LagMean(keras.initializers.Initializer):
        def __call__(self, shape: tuple[int, int], **_: Any) -> Tensor:
            kernel = np.zeros(shape, dtype=np.float32)
            kernel[:n_seasons] = 1.0 / n_seasons
            return tf.constant(kernel)

    return LagMean()
