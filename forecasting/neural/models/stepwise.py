"""Models that run over every step of the context: `lstm`, `bilstm`, `gru`, `stacked_lstm`."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from typing_extensions import override

from forecasting.config.models import StepwiseConfig
from forecasting.neural.models.contract import HorizonMessage, HorizonModel, NetworkSpec
from forecasting.neural.models.dense import Dense
from forecasting.neural.models.segment import repeated
from forecasting.neural.models.stack import RecurrentStack
from forecasting.neural.models.widths import WeightAxis, WidthGroup, made_by, read_by, units_of
from forecasting.neural.models.window import Window

Tensor = Any


class StepwiseModel(HorizonModel):
    """Recurrent layers over the steps of the context; their last output is spread over the horizon."""

    def __init__(self, spec: NetworkSpec, model: StepwiseConfig, cell: str, *, both_ways: bool, residual: bool) -> None:
        """Create the layers; see `RecurrentStack` for what the arguments mean."""
        super().__init__(name="steps")
        self._spec, self._model = spec.features, model
        self.stack = RecurrentStack(
            model, model.units, cell=cell, both_ways=both_ways, residual=residual, truncate=model.truncate_steps
        )
        self.spread = SpreadOverHorizon(spec.features.horizon, model.step_units)

    @override
    def width_groups(self, head: Sequence[WeightAxis]) -> list[WidthGroup]:
        """See `HorizonModel.width_groups`."""
        units = self._model.units
        back = read_by(self.spread.spread, units[-1], first=units[-1]) if self.stack.backwards else []
        last = read_by(self.spread.spread, units[-1])
        return [*self.stack.width_groups("units", units, last, back=back), self.spread.width_group(head)]

    @override
    def input_axes(self) -> list[WeightAxis]:
        return self.stack.input_axes(self._spec)

    @override
    def messages(self, window: Window, *, training: bool) -> HorizonMessage:
        """Messages of `step_units`."""
        _, last, _ = self.stack(step_inputs(window), window.begun, training=training)
        return HorizonMessage(self.spread(last, window.group))


class SpreadOverHorizon(keras.layers.Layer):
    """What a recurrence ends in, as a message to each step of the horizon."""

    def __init__(self, horizon: int, step_units: int) -> None:
        """Create the layer."""
        super().__init__(name="spread_over_horizon")
        self._horizon, self._step_units = horizon, step_units
        self.spread = Dense(horizon * step_units, activation="gelu", name="spread")

    def width_group(self, head: Sequence[WeightAxis]) -> WidthGroup:
        """Columns of the message."""
        return units_of("step_units", made_by(self.spread, self._step_units, repeats=self._horizon), head)

    @override
    def call(self, last: list[Tensor], group: Tensor) -> Tensor:
        """Last outputs `[B,units]` each and group `[B,G]` to `[B,H,step_units]`."""
        message = self.spread(tf.concat([*last, group], axis=1))
        return tf.reshape(message, [-1, self._horizon, self._step_units])


def step_inputs(window: Window) -> Tensor:
    """Past, known and group of every step of the context `[B,L,F]`."""
    return tf.concat([window.past, window.known, repeated(window.group, window.past.shape[1])], axis=2)
