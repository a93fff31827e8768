"""The model `linear`: a linear map from the context to the horizon.

A. Zeng, M. Chen, L. Zhang and Q. Xu, "Are Transformers Effective for Time Series Forecasting?" (AAAI 2023,
arXiv:2205.13504): DLinear maps the moving average and what is left of it apart from each other, NLinear maps the
differences to the last value. Covariates ahead, and how they differ from a season before, are added by a linear map.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

from forecasting.config.models import LinearConfig
from forecasting.features.spec import FeatureSpec
from forecasting.neural.models.contract import HorizonMessage, HorizonModel, NetworkSpec
from forecasting.neural.models.dense import Dense
from forecasting.neural.models.lags import lag_rows
from forecasting.neural.models.projection import TimeProjection
from forecasting.neural.models.segment import repeated
from forecasting.neural.models.window import Window

Tensor = Any


class LinearModel(HorizonModel):
    """The median is linear in the history and in the covariates ahead."""

    gives_median = True

    def __init__(self, spec: NetworkSpec, model: LinearConfig) -> None:
        """Create the layers."""
        super().__init__(name="linear")
        self._spec, self._model = spec.features, model
        context, horizon = spec.features.context, spec.features.horizon
        self.seasonal = TimeProjection(context, horizon, initializer=_lag_mean(spec.features), name="seasonal")
        self.trend = (
            TimeProjection(context, horizon, initializer="zeros", bias=False, name="trend")
            if model.form == "dlinear"
            else None
        )
        has_covariates = spec.features.known or spec.features.calendar.names
        self.covariates = (
            Dense(1, use_bias=False, kernel_initializer="zeros", name="covariates") if has_covariates else None
        )

    @override
    def messages(self, window: Window, *, training: bool) -> HorizonMessage:
        """The median, and for the gaps around it the median again with what is one value a window."""
        median = self._nlinear(window) if self.trend is None else self._dlinear(window, self.trend)
        if self.covariates is not None:
            ahead = window.lags[:, :, len(self._spec.seasons) :]
            mapped = self.covariates(tf.reshape(ahead, [-1, ahead.shape[2]]))
            median = median + tf.reshape(mapped, [-1, self._spec.horizon])
        steps = tf.concat([median[:, :, None], repeated(window.group, self._spec.horizon)], axis=2)
        return HorizonMessage(steps, median)

    def _dlinear(self, window: Window, of_trend: TimeProjection) -> Tensor:
        target, begun = window.past[:, :, 0], window.begun
        trend = moving_average(target, begun, self._model.kernel)
        left = (target - trend) * begun
        return self.seasonal(left[:, :, None])[:, :, 0] + of_trend(trend[:, :, None])[:, :, 0]

    def _nlinear(self, window: Window) -> Tensor:
        target, present = window.past[:, :, 0], window.past[:, :, 1]
        last = last_present(target, present)
        return self.seasonal(((target - last) * window.begun)[:, :, None])[:, :, 0] + last


def moving_average(values: Tensor, counting: Tensor, kernel: int) -> Tensor:
    """Mean of the `kernel` steps around each step of `[B,L]` that count; 0 where the step itself does not.

    At the ends it is the mean of the fewer steps there are.
    """
    n_before, n_after = (kernel - 1) // 2, kernel // 2
    both = tf.stack([values * counting, counting], axis=2)
    padded = tf.pad(both, [[0, 0], [n_before, n_after], [0, 0]])
    sums = kernel * tf.nn.avg_pool1d(padded, ksize=kernel, strides=1, padding="VALID")
    return sums[:, :, 0] / tf.maximum(sums[:, :, 1], 1.0) * counting


def last_present(values: Tensor, present: Tensor) -> Tensor:
    """The last present value of each window of `[B,L]`; 0 where there is none `[B,1]`."""
    from_the_end = tf.cumsum(present, axis=1, reverse=True)
    is_last = present * tf.cast(from_the_end < 1.5, values.dtype)
    return tf.reduce_sum(values * is_last, axis=1, keepdims=True)


def _lag_mean(spec: FeatureSpec) -> keras.initializers.Initializer:
    """The map starts as the mean of the seasonal lags."""

    class LagMean(keras.initializers.Initializer):
        def __call__(self, shape: tuple[int, int], **_: Any) -> Tensor:
            kernel = np.zeros(shape, dtype=np.float32)
            for season in spec.seasons:
                rows = lag_rows(spec.context, spec.horizon, season)
                inside = rows >= 0
                kernel[rows[inside], np.arange(spec.horizon)[inside]] += 1.0 / len(spec.seasons)
            return tf.constant(kernel)

    return LagMean()
