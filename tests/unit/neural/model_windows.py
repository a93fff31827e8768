"""Windows drawn at random, for tests of single kinds of models."""

import numpy as np
import tensorflow as tf

from forecasting.features.spec import FeatureSpec
from forecasting.features.transform import feature_blocks
from forecasting.neural.models.lags import seasonal_lags
from forecasting.neural.models.window import Window


def drawn(*shape: int, seed: int = 3) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def drawn_window(spec: FeatureSpec, *, batch: int = 3, n_group: int = 2) -> Window:
    """A window of the whole context without missing values."""
    blocks = feature_blocks(spec)
    past = drawn(batch, spec.context, len(blocks.past)).numpy()
    past[:, :, 1] = 1.0
    known = drawn(batch, spec.context, len(blocks.known), seed=4)
    future = drawn(batch, spec.horizon, len(blocks.known), seed=5)
    begun = tf.ones([batch, spec.context])
    lags = seasonal_lags(tf.constant(past[:, :, 0]), known, future, begun, spec)
    return Window(tf.constant(past), known, future, lags, drawn(batch, n_group, seed=6), begun)
