"""Recurrent layers on top of each other."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf
from typing_extensions import override

from forecasting.config.models import RecurrentConfig
from forecasting.features.spec import FeatureSpec
from forecasting.features.transform import feature_blocks, n_fixed_columns
from forecasting.neural.models.dropout import Dropout
from forecasting.neural.models.normalisation import make_normalisation
from forecasting.neural.models.recurrence import RECURRENCES, Recurrence, State, is_portable
from forecasting.neural.models.widths import WeightAxis, WidthGroup, normalised_by, read_by, state_of, units_of

Tensor = Any


class RecurrentStack(keras.layers.Layer):
    """Recurrent layers over the steps of a sequence, whose padding comes first."""

    def __init__(
        self,
        model: RecurrentConfig,
        units: tuple[int, ...],
        *,
        cell: str = "lstm",
        both_ways: bool = False,
        residual: bool = False,
        truncate: int | None = None,
        name: str = "stack",
    ) -> None:
        """Create the layers.

        Args:
            model: Dropout and normalisation.
            units: Width of each layer.
            cell: `lstm` or `gru`.
            both_ways: Whether each layer also runs backwards.
            residual: Whether every two layers have a connection around them (A. Prakash et al., "Neural
                Paraphrase Generation with Stacked Residual LSTM Networks", 2016).
            truncate: Last steps through which gradients flow; none: all.
            name: Name of the layer.
        """
        super().__init__(name=name)
        self._truncate, self._residual = truncate, residual

        def make(direction: str) -> list[Recurrence]:
            dropout = model.recurrent_dropout
            return [
                RECURRENCES[cell](width, recurrent_dropout=dropout, name=f"{direction}_{i}")
                for i, width in enumerate(units)
            ]

        self.forwards = make("forward")
        self.backwards = make("backward") if both_ways else []
        self.norms = [make_normalisation(model.normalisation, f"norm_{i}") for i in range(len(units))]
        self.between = Dropout(model.dropout, seed=1)

    @override
    def call(
        self, values: Tensor, counting: Tensor, training: bool = False
    ) -> tuple[Tensor, list[Tensor], tuple[State, ...]]:
        """Run over all steps.

        Args:
            values: `[B,T,F]`.
            counting: `[B,T]`, 1 for a step that counts, 0 for padding before.
            training: Whether dropout is on.

        Returns:
            Outputs of the last layer `[B,T',units]`, its last output in each direction `[B,units]`, and the state of each
            layer. T' is T, or the steps of `truncate` where these are fewer.
        """
        n_before = 0 if self._truncate is None else max(values.shape[1] - self._truncate, 0)
        if not n_before:
            return self._run(values, counting, None, training=training)
        recent = values[:, n_before:], counting[:, n_before:]
        if self.backwards:
            # What a layer that runs backwards reads last is the oldest step: there is no older state to begin from.
            return self._run(*recent, None, training=training)
        states = self._advanced(tf.stop_gradient(values[:, :n_before]), counting[:, :n_before], training=training)
        return self._run(*recent, states, training=training)

    def width_groups(
        self, field: str, units: Sequence[int], last: Iterable[WeightAxis], *, back: Iterable[WeightAxis] = ()
    ) -> list[WidthGroup]:
        """Units of all layers, entry by entry of a setting.

        Args:
            field: The setting.
            units: Width of each layer.
            last: What reads the last layer.
            back: What reads the last layer of those that run backwards.
        """
        axes: list[list[WeightAxis]] = [[*state_of(layer)] for layer in self.forwards]
        backs: list[list[WeightAxis]] = [[*state_of(layer)] for layer in self.backwards]
        for i in range(1, len(units)):
            width = units[i - 1]
            axes[i - 1] += [*normalised_by(self.norms[i], width), *read_by(self.forwards[i], width)]
            if self.backwards:
                axes[i - 1] += read_by(self.backwards[i], width)
                backs[i - 1] += normalised_by(self.norms[i], width, first=width)
                for layer in (self.forwards[i], self.backwards[i]):
                    backs[i - 1] += read_by(layer, width, first=width)
        axes[-1] += last
        if backs:
            backs[-1] += back
        if not self._residual:
            return [
                units_of(field, parts, place=i) for directions in (axes, backs) for i, parts in enumerate(directions)
            ]
        # A connection around two layers makes units of every other layer the same ones.
        even = [axis for parts in axes[::2] for axis in parts]
        return [
            units_of(field, even, place=0),
            *(units_of(field, parts, place=2 * i + 1) for i, parts in enumerate(axes[1::2])),
        ]

    def input_axes(self, spec: FeatureSpec) -> list[WeightAxis]:
        """Where the first layers read the columns of the past behind those that every model reads, of `step_inputs`."""
        fixed = n_fixed_columns(spec)
        n_columns = len(feature_blocks(spec).past) - fixed
        if self.norms[0] is not None:
            return []
        first = [*self.forwards[:1], *self.backwards[:1]]
        return [axis for layer in first for axis in read_by(layer, n_columns, first=fixed)]

    def _run(
        self, values: Tensor, counting: Tensor, states: tuple[State, ...] | None, *, training: bool
    ) -> tuple[Tensor, list[Tensor], tuple[State, ...]]:
        last: list[Tensor] = []
        following: list[State] = []
        skipped: Tensor = None
        for i, forward in enumerate(self.forwards):
            if i:
                values = self.between(values, training=training)
            norm = self.norms[i]
            values = values if norm is None else norm(values, training=training)
            if self._residual and i % 2 == 1:
                skipped = values
            begin = None if states is None else states[i]
            outputs, state = forward(values, state=begin, counting=counting, training=training)
            following.append(state)
            last = [state[0]]
            if self.backwards:
                back, back_state = _run_back(self.backwards[i], values, counting, training=training)
                outputs, last = tf.concat([outputs, back], axis=2), [*last, back_state[0]]
            if self._residual and i % 2 == 0 and skipped is not None:
                outputs = outputs + skipped
                last = [outputs[:, -1]]
            values = outputs
        return values, last, tuple(following)

    def _advanced(self, values: Tensor, counting: Tensor, *, training: bool) -> tuple[State, ...]:
        """States after steps that are read as in a forecast, without gradients.

        P. Werbos, "Backpropagation through time: what it does and how to do it" (1990), truncated as in R. Williams
        and J. Peng (1990). The steps are read in pieces, so that memory does not grow with their number.
        """
        size = self._truncate or values.shape[1]
        n_pieces, n_first = divmod(values.shape[1], size)
        if is_portable() and not training:
            n_pieces, n_first = 0, values.shape[1]
        states = None
        if n_first:
            _, _, states = self._run(values[:, :n_first], counting[:, :n_first], None, training=False)
        if states is None:
            _, _, states = self._run(values[:, :size], counting[:, :size], None, training=False)
            n_pieces, n_first = n_pieces - 1, size
        if n_pieces:
            states = self._through(values, counting, n_first, n_pieces, states)
        return tf.nest.map_structure(tf.stop_gradient, states)

    def _through(
        self, values: Tensor, counting: Tensor, first: int, n_pieces: int, states: tuple[State, ...]
    ) -> tuple[State, ...]:
        """States after `n_pieces` pieces from step `first` on, one after another."""
        size = self._truncate

        def body(piece: Tensor, *flat: Tensor) -> list[Tensor]:
            start = first + piece * size
            part = tf.slice(values, [0, start, 0], [-1, size, -1])
            part = tf.ensure_shape(part, [None, size, values.shape[2]])
            counted = tf.ensure_shape(tf.slice(counting, [0, start], [-1, size]), [None, size])
            _, _, following = self._run(part, counted, tf.nest.pack_sequence_as(states, flat), training=False)
            return [piece + 1, *tf.nest.flatten(following)]

        flat = [tf.constant(0), *tf.nest.flatten(states)]
        found = tf.while_loop(lambda piece, *_: piece < n_pieces, body, flat, maximum_iterations=n_pieces)
        return tf.nest.pack_sequence_as(states, found[1:])


def _run_back(layer: Recurrence, values: Tensor, counting: Tensor, *, training: bool) -> tuple[Tensor, State]:
    """Outputs `[B,T,units]` of a run from the last step to the first, in the order of time."""
    outputs, state = layer(
        tf.reverse(values, [1]), counting=tf.reverse(counting, [1]), padding="after", training=training
    )
    return tf.reverse(outputs, [1]), state
