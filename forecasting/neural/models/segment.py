"""Models that run over segments: `segment_lstm` and `segment_gru`.

The context is cut into segments of one season; a dense layer embeds each, a recurrence runs over the
segments and hands its state to a second one over the segments of the horizon, which are fed with what is
known ahead, the same steps one season before, and how the covariates differ from then. Segments make the
recurrence short: S. Lin et al., "SegRNN: Segment Recurrent Neural Network for Long-Term Time Series
Forecasting" (2023, arXiv:2308.11200). Before they are cut, each step is embedded by itself, with the same weights
for all: what heat does to the load is learnt once and not once an hour of the day.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from keras import layers
from typing_extensions import override

from forecasting.config.models import SegmentConfig
from forecasting.features.transform import feature_blocks, n_fixed_columns
from forecasting.neural.models.contract import HorizonMessage, HorizonModel, NetworkSpec
from forecasting.neural.models.dense import Dense
from forecasting.neural.models.dropout import Dropout
from forecasting.neural.models.normalisation import make_normalisation
from forecasting.neural.models.recurrence import RECURRENCES, Recurrence
from forecasting.neural.models.widths import WeightAxis, WidthGroup, made_by, normalised_by, read_by, state_of, units_of
from forecasting.neural.models.window import Window

Tensor = Any


class SegmentModel(HorizonModel):
    """Encoder over segments of the context, decoder over segments of the horizon."""

    def __init__(self, spec: NetworkSpec, model: SegmentConfig, cell: str) -> None:
        """Create the layers of a cell, `lstm` or `gru`."""
        super().__init__(name="segments")
        self._spec, self._model = spec.features, model
        self._n_ahead = spec.n_horizon_segments
        make = RECURRENCES[cell]
        self.step_embeddings = {
            name: Dense(model.embedding_units, activation="gelu", name=f"{name}_step_embedding")
            for name in ("past", "ahead")
            if model.embedding_units
        }
        self.segment_embedding = Dense(model.units, activation="gelu", name="segment_embedding")
        self.encoders: list[Recurrence] = [
            make(model.units, recurrent_dropout=model.recurrent_dropout, name=f"encoder_{i}")
            for i in range(model.layers)
        ]
        self.norms = [make_normalisation(model.normalisation, f"norm_{i}") for i in range(model.layers)]
        self.between = Dropout(model.dropout, seed=1)
        self.segment_dropouts = {
            name: Dropout(model.segment_dropout, seed=2 + i) for i, name in enumerate(("past", "ahead", "decoded"))
        }
        self.horizon_embedding = Dense(model.units, activation="gelu", name="horizon_embedding")
        self.decoder: Recurrence = make(model.units, recurrent_dropout=model.recurrent_dropout, name="decoder")
        self.step_message = Dense(spec.features.segment * model.step_units, activation="gelu", name="step_message")

    @override
    def messages(self, window: Window, *, training: bool) -> HorizonMessage:
        """Messages of `step_units`."""
        state = self._encode(window, training=training)
        embedded = self.horizon_embedding(self._horizon_segments(window))
        embedded = self.segment_dropouts["ahead"](embedded, training=training)
        outputs, _ = self.decoder(embedded, state=state, training=training)
        decoded = self.segment_dropouts["decoded"](tf.concat([outputs, embedded], axis=2), training=training)
        steps = self.step_message(decoded)
        steps = tf.reshape(steps, [-1, self._n_ahead * self._spec.segment, self._model.step_units])
        return HorizonMessage(steps[:, : self._spec.horizon])

    @property
    @override
    def derived_every(self) -> int:
        return self._spec.segment

    @override
    def width_groups(self, head: Sequence[WeightAxis]) -> list[WidthGroup]:
        """See `HorizonModel.width_groups`."""
        model, segment = self._model, self._spec.segment
        width, first, last = model.units, self.encoders[0], self.encoders[-1]
        between = zip(self.encoders[:-1], self.encoders[1:], self.norms[1:], strict=True)
        found = [
            units_of("units", made_by(self.segment_embedding, width), normalised_by(self.norms[0], width), read_by(first, width)),
            *(units_of("units", state_of(one), normalised_by(norm, width), read_by(other, width)) for one, other, norm in between),
            units_of("units", state_of(last), state_of(self.decoder), read_by(self.step_message, width)),
            units_of("units", made_by(self.horizon_embedding, width), read_by(self.decoder, width), read_by(self.step_message, width, first=width)),
            units_of("step_units", made_by(self.step_message, model.step_units, repeats=segment), head),
        ]  # fmt: skip
        n, kept = model.embedding_units, {"past": 1, "ahead": len(self._spec.seasons)}
        readers = {"past": self.segment_embedding, "ahead": self.horizon_embedding}
        for name, embedding in self.step_embeddings.items():
            read = read_by(readers[name], n, first=kept[name], repeats=segment, stride=kept[name] + n)
            found.append(units_of("embedding_units", made_by(embedding, n), read))
        return found

    @override
    def input_axes(self) -> list[WeightAxis]:
        blocks, fixed = feature_blocks(self._spec), n_fixed_columns(self._spec)
        by_step = 2 + len(blocks.known) if not self._model.embedding_units else 1 + self._model.embedding_units
        # A flag of what was filled stands before them, once a segment.
        first = self._spec.segment * by_step + fixed - 2
        return read_by(self.segment_embedding, len(blocks.past) - fixed, first=first)

    def _encode(self, window: Window, *, training: bool) -> tuple[Tensor, ...]:
        segment = self._spec.segment
        values = self._embedded_segments(window)
        values = self.segment_dropouts["past"](values, training=training)
        counting = window.begun[:, segment - 1 :: segment]
        for i, (encoder, norm) in enumerate(zip(self.encoders, self.norms, strict=True)):
            if i:
                values = self.between(values, training=training)
            values = values if norm is None else norm(values, training=training)
            values, state = encoder(values, counting=counting, training=training)
        return state

    def _embedded_segments(self, window: Window) -> Tensor:
        """Segments of the context `[B,n,units]`."""
        segment, embedding = self._spec.segment, self.step_embeddings.get("past")
        if window.steps is None or embedding is None:
            return self.segment_embedding(segment_inputs(window, segment, embedding))
        # Targets of a segment side by side, then what its steps are embedded to: interleaved they are copied value by value.
        embedded = embedding(window.steps)
        n_units, n = embedded.shape[2], embedded.shape[1] // segment
        target = tf.reshape(window.lines[0], [-1, n, segment])
        parts = [target, tf.reshape(embedded, [-1, n, segment * n_units]), *_at_ends(window, segment)]
        by_step = np.arange(segment * (1 + n_units)).reshape(segment, 1 + n_units)
        inputs = tf.concat(parts, axis=2)
        rest = np.arange(by_step.size, inputs.shape[2])
        return self.segment_embedding(inputs, order=np.concatenate([by_step[:, 0], by_step[:, 1:].ravel(), rest]))

    def _horizon_segments(self, window: Window) -> Tensor:
        segment = self._spec.segment
        lags = embedded_steps(window.lags, len(self._spec.seasons), self.step_embeddings.get("ahead"))
        padding = self._n_ahead * segment - self._spec.horizon
        padded = tf.pad(lags, [[0, 0], [0, padding], [0, 0]]) if padding else lags
        segments = tf.reshape(padded, [-1, self._n_ahead, segment * lags.shape[2]])
        return tf.concat([segments, repeated(window.group, self._n_ahead)], axis=2)


def embedded_steps(steps: Tensor, n_kept: int, embedding: layers.Layer | None) -> Tensor:
    """Columns of each step `[B,T,D]` embedded by themselves, behind the first of them as they are; none: all as they are."""
    if embedding is None:
        return steps
    return tf.concat([steps[:, :, :n_kept], embedding(steps)], axis=2)


def segment_inputs(window: Window, segment: int, embedding: layers.Layer | None = None) -> Tensor:
    """Segments of the context `[B,L / segment,F]`: target and known columns of every step, observed and derived at the end."""
    steps = window.steps
    if steps is None:
        steps = tf.concat([window.past[:, :, :2], window.known], axis=2)
    by_step = embedded_steps(steps, 1, embedding)
    segments = tf.reshape(by_step, [-1, steps.shape[1] // segment, segment * by_step.shape[2]])
    return tf.concat([segments, *_at_ends(window, segment)], axis=2)


def _at_ends(window: Window, segment: int) -> list[Tensor]:
    """What a segment has once: observed and derived columns at its last step, and the group `[B,n,…]`."""
    past, parts = window.past, []
    if window.lines:
        by_segment = [tf.reshape(line, [-1, line.shape[1] // segment, segment]) for line in window.lines[2:]]
        parts += [line[:, :, segment - 1 :] for line in by_segment]
    elif past.shape[2] > 2:
        parts.append(past[:, segment - 1 :: segment, 2:])
    if window.ends is not None:
        parts.append(window.ends)
    return [*parts, repeated(window.group, past.shape[1] // segment)]


def repeated(group: Tensor, n: int) -> Tensor:
    """`[B,G]` for each of n segments or steps `[B,n,G]`."""
    return group[:, None] * tf.ones([1, n, 1])
