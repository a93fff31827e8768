"""The model `cnn_lstm`: gated convolutions over time that mix all columns and shorten the sequence, then LSTMs.

Y. Dauphin et al., "Language Modeling with Gated Convolutional Networks" (ICML 2017, arXiv:1612.08083), in front of a
recurrence as in G. Lai et al., "Modeling Long- and Short-Term Temporal Patterns with Deep Neural Networks" (SIGIR 2018,
arXiv:1703.07015). Related series come in as observed columns.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers
from typing_extensions import override

from forecasting.config.models import CnnLstmConfig
from forecasting.neural.models.contract import HorizonMessage, HorizonModel, NetworkSpec
from forecasting.neural.models.stack import RecurrentStack
from forecasting.neural.models.stepwise import SpreadOverHorizon, step_inputs
from forecasting.neural.models.widths import WeightAxis, WidthGroup, made_by, normalised_by, read_by, units_of
from forecasting.neural.models.window import Window

Tensor = Any


class ConvolutionModel(HorizonModel):
    """Gated convolutions with strides, then recurrent layers, whose last output is spread over the horizon."""

    def __init__(self, spec: NetworkSpec, model: CnnLstmConfig) -> None:
        """Create the layers."""
        super().__init__(name="convolution")
        self._model = model
        self.front = [
            GatedConvolution(model.filters, model.kernel, stride, f"gated_{i}")
            for i, stride in enumerate(model.strides)
        ]
        self.stack = RecurrentStack(model, model.units)
        self.spread = SpreadOverHorizon(spec.features.horizon, model.step_units)

    @override
    def width_groups(self, head: Sequence[WeightAxis]) -> list[WidthGroup]:
        """See `HorizonModel.width_groups`. A filter is a column of the content and one of its gate."""
        model, layers_ = self._model, [gated.convolution for gated in self.front]
        first, norm = self.stack.forwards[0], self.stack.norms[0]
        readers = [read_by(layer, model.filters) for layer in layers_[1:]]
        readers.append([*normalised_by(norm, model.filters), *read_by(first, model.filters)])
        made = [made_by(layer, model.filters, repeats=2) for layer in layers_]
        return [
            *(units_of("filters", *parts) for parts in zip(made, readers, strict=True)),
            *self.stack.width_groups("units", model.units, read_by(self.spread.spread, model.units[-1])),
            self.spread.width_group(head),
        ]

    @override
    def messages(self, window: Window, *, training: bool) -> HorizonMessage:
        """Messages of `step_units`."""
        values, counting = step_inputs(window), window.begun
        for convolution in self.front:
            values, counting = convolution(values, counting)
        _, last, _ = self.stack(values, counting, training=training)
        return HorizonMessage(self.spread(last, window.group))


class GatedConvolution(keras.layers.Layer):
    """A causal convolution whose output goes through a gate of its own; every `stride`-th step, counted from the last."""

    def __init__(self, filters: int, kernel: int, stride: int, name: str) -> None:
        """Create the layer; the stride is at most the kernel, so that every step is read."""
        super().__init__(name=name)
        self._kernel, self._stride = kernel, stride
        self.convolution = layers.Conv1D(2 * filters, kernel, strides=stride, padding="valid", name="convolution")

    @override
    def call(self, values: Tensor, counting: Tensor) -> tuple[Tensor, Tensor]:
        """`[B,T,F]` with `[B,T]`, 0 for padding before, to `[B,⌈T / stride⌉,filters]` with which of these count."""
        n_steps, stride = values.shape[1], self._stride
        n_outputs = -(-n_steps // stride)
        n_before = (n_outputs - 1) * stride + self._kernel - n_steps
        padded = tf.pad(values * counting[:, :, None], [[0, 0], [n_before, 0], [0, 0]])
        content, gate = tf.split(self.convolution(padded), 2, axis=2)
        counts = counting[:, (n_steps - 1) % stride :: stride]
        return content * tf.sigmoid(gate) * counts[:, :, None], counts
