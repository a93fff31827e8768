"""The model `tsmixer`: perceptrons that mix along time and across columns, in turns.

S.-A. Chen et al., "TSMixer: An All-MLP Architecture for Time Series Forecasting" (TMLR 2023, arXiv:2303.06053), in its
form with auxiliary columns (section 4.2): the history is mapped onto the steps of the horizon first, so that it can be
mixed with what is known of them.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import keras
import tensorflow as tf
from typing_extensions import override

from forecasting.config.models import TsmixerConfig
from forecasting.neural.models.contract import HorizonMessage, HorizonModel, NetworkSpec
from forecasting.neural.models.dense import Dense
from forecasting.neural.models.dropout import Dropout
from forecasting.neural.models.normalisation import make_normalisation
from forecasting.neural.models.projection import TimeProjection
from forecasting.neural.models.segment import repeated
from forecasting.neural.models.widths import WeightAxis, WidthGroup, made_by, normalised_by, read_by, units_of
from forecasting.neural.models.window import Window

Tensor = Any


class MixerModel(HorizonModel):
    """Blocks of time and feature mixing over the steps of the horizon."""

    def __init__(self, spec: NetworkSpec, model: TsmixerConfig) -> None:
        """Create the layers."""
        super().__init__(name="mixer")
        self._model = model
        context, horizon = spec.features.context, spec.features.horizon
        self._horizon, self._dropout = horizon, model.dropout
        self.onto_horizon = TimeProjection(context, horizon, name="onto_horizon")
        self.history_mixing = FeatureMixing(model, model.units, name="history_mixing")
        self.future_mixing = FeatureMixing(model, model.units, name="future_mixing")
        self.blocks = [MixerBlock(model, horizon, f"block_{i}") for i in range(model.layers)]
        self.to_message = Dense(model.step_units, activation="gelu", name="to_message")

    @override
    def width_groups(self, head: Sequence[WeightAxis]) -> list[WidthGroup]:
        """See `HorizonModel.width_groups`."""
        n = self._model.units
        first, mixings = self.blocks[0], [self.history_mixing, self.future_mixing, *(b.features for b in self.blocks)]
        found = [units_of("hidden_units", made_by(mixing.hidden, self._model.hidden_units), read_by(mixing.out, self._model.hidden_units)) for mixing in mixings]  # fmt: skip
        for i, mixing in enumerate(mixings[:2]):
            found.append(units_of("units", mixing.made(n), first.read(n, first=i * n)))
        for one, other in pairwise(self.blocks):
            found.append(units_of("units", one.features.made(n), other.read(n)))
        found.append(units_of("units", self.blocks[-1].features.made(n), read_by(self.to_message, n)))
        return [*found, units_of("step_units", made_by(self.to_message, self._model.step_units), head)]

    @override
    def messages(self, window: Window, *, training: bool) -> HorizonMessage:
        """Messages of `step_units`."""
        by_step = tf.concat([window.past, window.known], axis=2) * window.begun[:, :, None]
        group = repeated(window.group, self._horizon)
        history = self.history_mixing(tf.concat([self.onto_horizon(by_step), group], axis=2), training=training)
        future = self.future_mixing(tf.concat([window.lags, group], axis=2), training=training)
        values = tf.concat([history, future], axis=2)
        for block in self.blocks:
            values = block(values, group, training=training)
        message = self.to_message(tf.reshape(values, [-1, values.shape[2]]))
        return HorizonMessage(tf.reshape(message, [-1, self._horizon, message.shape[1]]))


class MixerBlock(keras.layers.Layer):
    """Time mixing, then feature mixing with what is one value a window; each around a residual."""

    def __init__(self, model: TsmixerConfig, horizon: int, name: str) -> None:
        """Create the layers."""
        super().__init__(name=name)
        self.norm = make_normalisation(model.normalisation, "time_norm")
        self.mixing = TimeProjection(horizon, horizon, name="time_mixing")
        self.dropout = Dropout(model.dropout, seed=2)
        self.features = FeatureMixing(model, model.units, name="feature_mixing")

    def read(self, n_units: int, *, first: int = 0) -> list[WeightAxis]:
        """What reads columns of the block's input from `first` on."""
        return [*normalised_by(self.norm, n_units, first=first), *self.features.read(n_units, first=first)]

    @override
    def call(self, values: Tensor, group: Tensor, training: bool = False) -> Tensor:
        """Mix values `[B,H,C]` with group `[B,H,G]` to `[B,H,units]`."""
        normed = values if self.norm is None else self.norm(values, training=training)
        values = values + self.dropout(tf.nn.relu(self.mixing(normed)), training=training)
        return self.features(tf.concat([values, group], axis=2), training=training)


class FeatureMixing(keras.layers.Layer):
    """A perceptron of two layers across columns, the same at every step; the residual is mapped where widths differ."""

    def __init__(self, model: TsmixerConfig, units: int, name: str) -> None:
        """Create the layers."""
        super().__init__(name=name)
        self._units = units
        self.norm = make_normalisation(model.normalisation, "norm")
        self.hidden = Dense(model.hidden_units, activation="relu", name="hidden")
        self.out = Dense(units, name="out")
        self.around = Dense(units, use_bias=False, name="around")
        self.dropouts = [Dropout(model.dropout, seed=3), Dropout(model.dropout, seed=4)]

    def made(self, n_units: int) -> list[WeightAxis]:
        """What makes the columns of the output."""
        return [*made_by(self.out, n_units), *made_by(self.around, n_units)]

    def read(self, n_units: int, *, first: int = 0) -> list[WeightAxis]:
        """What reads columns of the input from `first` on."""
        readers = [axis for layer in (self.hidden, self.around) for axis in read_by(layer, n_units, first=first)]
        return [*normalised_by(self.norm, n_units, first=first), *readers]

    @override
    def call(self, values: Tensor, training: bool = False) -> Tensor:
        """`[B,T,C]` to `[B,T,units]`."""
        n_steps, n_columns = values.shape[1:]
        normed = values if self.norm is None else self.norm(values, training=training)
        rows = self.dropouts[0](self.hidden(tf.reshape(normed, [-1, n_columns])), training=training)
        mixed = self.dropouts[1](self.out(rows), training=training)
        return tf.reshape(mixed + self.around(tf.reshape(values, [-1, n_columns])), [-1, n_steps, self._units])
