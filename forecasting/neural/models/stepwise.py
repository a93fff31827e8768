"""Models that run over every step of the context: `lstm`, `bilstm`, `gru`, `stacked_lstm`."""

from typing import Any

import tensorflow as tf
from keras import layers
from typing_extensions import override

from forecasting.config.models import StepwiseConfig
from forecasting.neural.models.contract import HorizonMessage, HorizonModel, NetworkSpec
from forecasting.neural.models.normalisation import make_normalisation
from forecasting.neural.models.recurrence import RECURRENCES, Recurrence, State
from forecasting.neural.models.segment import repeated
from forecasting.neural.models.window import Window

Tensor = Any


class StepwiseModel(HorizonModel):
    """Recurrent layers over the steps of the context; their last output is spread over the horizon."""

    def __init__(self, spec: NetworkSpec, model: StepwiseConfig, cell: str, *, both_ways: bool, residual: bool) -> None:
        """Create the layers.

        Args:
            spec: Features.
            model: Settings.
            cell: `lstm` or `gru`.
            both_ways: Whether each layer also runs backwards.
            residual: Whether every two layers have a connection around them (A. Prakash et al., "Neural
                Paraphrase Generation with Stacked Residual LSTM Networks", 2016).
        """
        super().__init__(name="steps")
        self._horizon, self._step_units = spec.features.horizon, model.step_units
        self._truncate, self._residual = model.truncate_steps, residual
        self.forwards = [_make(cell, model, f"forward_{i}", units) for i, units in enumerate(model.units)]
        self.backwards = (
            [_make(cell, model, f"backward_{i}", units) for i, units in enumerate(model.units)] if both_ways else []
        )
        self.norms = [make_normalisation(model.normalisation, f"norm_{i}") for i in range(len(model.units))]
        self.between = layers.Dropout(model.dropout, seed=1)
        self.spread = layers.Dense(self._horizon * model.step_units, activation="gelu", name="spread")

    @override
    def messages(self, window: Window, *, training: bool) -> HorizonMessage:
        """Messages of `step_units`."""
        values, mask = step_inputs(window), window.begun
        last: list[Tensor] = []
        skipped: Tensor = None
        for i, forward in enumerate(self.forwards):
            if i:
                values = self.between(values, training=training)
            norm = self.norms[i]
            values = values if norm is None else norm(values, training=training)
            if self._residual and i % 2 == 1:
                skipped = values
            outputs, state = truncated_run(forward, values, mask, truncate=self._truncate, training=training)
            last = [state[0]]
            if self.backwards:
                back, back_state = self._run_back(self.backwards[i], values, mask, training=training)
                outputs, last = tf.concat([outputs, back], axis=2), [*last, back_state[0]]
            if self._residual and i % 2 == 0 and skipped is not None:
                outputs = outputs + skipped
                last = [outputs[:, -1]]
            values = outputs
        message = self.spread(tf.concat([*last, window.group], axis=1))
        return HorizonMessage(tf.reshape(message, [-1, self._horizon, self._step_units]))

    def _run_back(self, layer: Recurrence, values: Tensor, mask: Tensor, *, training: bool) -> tuple[Tensor, State]:
        """Outputs `[B,T,units]` of a run from the last step to the first, in the order of time."""
        outputs, state = layer(
            tf.reverse(values, [1]), counting=tf.reverse(mask, [1]), padding="after", training=training
        )
        return tf.reverse(outputs, [1]), state


def step_inputs(window: Window) -> Tensor:
    """Past, known and group of every step of the context `[B,L,F]`."""
    return tf.concat([window.past, window.known, repeated(window.group, window.past.shape[1])], axis=2)


def truncated_run(
    layer: Recurrence, values: Tensor, mask: Tensor, *, truncate: int, training: bool
) -> tuple[Tensor, State]:
    """Run a layer, with gradients through its last `truncate` steps only; those before set the state.

    P. Werbos, "Backpropagation through time: what it does and how to do it" (1990), truncated as in R. Williams
    and J. Peng (1990).
    """
    n_before = values.shape[1] - truncate
    if n_before <= 0:
        return layer(values, counting=mask, training=training)
    before, state = layer(tf.stop_gradient(values[:, :n_before]), counting=mask[:, :n_before], training=training)
    state = tuple(tf.stop_gradient(part) for part in state)
    outputs, state = layer(values[:, n_before:], state=state, counting=mask[:, n_before:], training=training)
    return tf.concat([tf.stop_gradient(before), outputs], axis=1), state


def _make(cell: str, model: StepwiseConfig, name: str, units: int) -> Recurrence:
    return RECURRENCES[cell](units, recurrent_dropout=model.recurrent_dropout, name=name)
