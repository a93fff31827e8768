"""The model `additive`: a regularised regression on trend, seasons, holidays and covariates.

S. Taylor and B. Letham, "Forecasting at Scale", The American Statistician 72 (2018): a linear trend whose slope changes at
points spread evenly over the first part of the history, Fourier terms, holidays, and regressors, all added up. Here the
regression is part of the graph, is trained by the quantile loss, and by default is anchored: what a window shows of it
is compared with what was measured there, so that the forecast starts from where the series is.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

from forecasting.config.models import AdditiveConfig
from forecasting.errors import ConfigError
from forecasting.features.spec import FeatureSpec
from forecasting.features.transform import feature_blocks
from forecasting.neural.models.contract import HorizonMessage, HorizonModel, NetworkSpec
from forecasting.neural.models.segment import repeated
from forecasting.neural.models.window import Window

Tensor = Any
TREND_COLUMN = "trend"
CHANGEPOINT_RANGE = 0.8
"""Share of the train cut over which changepoints lie; the slope after it is that of the forecast."""
_N_NORMALISED = 2
"""Level and logarithm of the scale come first in a window's group; static columns follow."""


class AdditiveModel(HorizonModel):
    """The median is a sum of terms, each linear in columns that are known ahead."""

    gives_median = True

    def __init__(self, spec: NetworkSpec, model: AdditiveConfig) -> None:
        """Create the terms.

        Raises:
            ConfigError: The features have no time for the trend.
        """
        super().__init__(name="additive")
        self._spec, self._anchored = spec.features, model.anchored
        names = feature_blocks(spec.features).known
        if TREND_COLUMN not in names:
            raise ConfigError(
                "model.kind additive needs the time as a column, found none; add 'trend' to features.calendar"
            )
        self._trend_at = names.index(TREND_COLUMN)
        self._others = [i for i in range(len(names)) if i != self._trend_at]
        self._changepoints, self._length = changepoints(spec.features, model.changepoints)
        by_series = bool(spec.features.static)
        self.growth = AddedTerm(0.0, by_series, "growth")
        self.changes = AddedTerm(model.changepoint_l2, by_series, "changes")
        self.seasons = AddedTerm(model.season_l2, by_series, "seasons")
        self.offset = None if model.anchored else AddedTerm(0.0, by_series, "offset")

    @override
    def messages(self, window: Window, *, training: bool) -> HorizonMessage:
        """The median, and for the gaps around it the median again with what is one value a window."""
        median = self._regression(window.future, window.group)
        if self._anchored:
            # The level of a window is the mean of these steps, so the regression must have none over them.
            season = slice(-self._spec.segment, None) if self._spec.target_scaling == "train" else slice(None)
            present = window.past[:, season, 1]
            seen = self._regression(window.known[:, season], window.group) * present
            total = tf.reduce_sum(seen, axis=1, keepdims=True)
            median = median - total / tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1.0)
        else:
            median = median - window.group[:, :1]
        steps = tf.concat([median[:, :, None], repeated(window.group, self._spec.horizon)], axis=2)
        return HorizonMessage(steps, median)

    def _regression(self, known: Tensor, group: Tensor) -> Tensor:
        """The sum of all terms `[B,T]` at steps with known columns `[B,T,known]`."""
        series = group[:, _N_NORMALISED:]
        time = known[:, :, self._trend_at : self._trend_at + 1] / self._length
        found = self.growth(time, series)
        if len(self._changepoints):
            found = found + self.changes(tf.nn.relu(time - self._changepoints), series)
        if self._others:
            found = found + self.seasons(tf.gather(known, self._others, axis=2), series)
        return found if self.offset is None else found + self.offset(tf.ones_like(time), series)


class AddedTerm(keras.layers.Layer):
    """A linear term: coefficients of all series, and by what those of a series differ."""

    def __init__(self, l2: float, by_series: bool, name: str) -> None:
        """Create the term.

        Args:
            l2: Strength of the penalty on squared coefficients.
            by_series: Whether coefficients depend on the static columns.
            name: Name of the term.
        """
        super().__init__(name=name)
        self._by_series = by_series
        self._regularizer = keras.regularizers.L2(l2) if l2 else None

    @override
    def build(self, columns_shape: tuple[int, ...], series_shape: tuple[int, ...]) -> None:
        def coefficients(shape: tuple[int, int], name: str) -> Any:
            return self.add_weight(shape=shape, initializer="zeros", regularizer=self._regularizer, name=name)

        self.shared = coefficients((columns_shape[-1], 1), "shared")
        self.own = coefficients((series_shape[-1], columns_shape[-1]), "own") if self._by_series else None

    @override
    def call(self, columns: Tensor, series: Tensor) -> Tensor:
        """Columns `[B,T,C]` of series with `[B,S]` to the term `[B,T]`."""
        n_steps, n_columns = columns.shape[1:]
        found = tf.reshape(tf.matmul(tf.reshape(columns, [-1, n_columns]), self.shared), [-1, n_steps])
        if self.own is None:
            return found
        return found + tf.reduce_sum(columns * tf.matmul(series, self.own)[:, None], axis=2)


def changepoints(spec: FeatureSpec, n: int) -> tuple[np.ndarray[Any, np.dtype[np.float32]], float]:
    """Where the slope may change `[n]`, in shares of the train cut, and its length in units of the column `trend`."""
    calendar = spec.calendar
    length = (calendar.learnt_until - calendar.trend_start) / calendar.trend_length_s
    if length <= 0:
        raise ConfigError(
            "the calendar must say until when the model learns, after its first row, to place changepoints"
        )
    return np.linspace(0.0, CHANGEPOINT_RANGE, n + 1)[1:].astype(np.float32), length
