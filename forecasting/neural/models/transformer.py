"""The model `transformer_lstm`: patches of the context as tokens, self-attention among them, then an LSTM.

Patches as in Y. Nie et al., "A Time Series is Worth 64 Words" (ICLR 2023, arXiv:2211.14730), attention with the memory
of one chunk as in Z. Dai et al., "Transformer-XL" (ACL 2019): each layer sees one chunk further back, and the recurrence
over all tokens reaches the beginning, at a cost that is linear in the context.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers
from typing_extensions import override

from forecasting.config.models import TransformerLstmConfig
from forecasting.neural.models.attention import MemoryAttention
from forecasting.neural.models.contract import HorizonMessage, HorizonModel, NetworkSpec
from forecasting.neural.models.dense import Dense
from forecasting.neural.models.dropout import Dropout
from forecasting.neural.models.segment import segment_inputs
from forecasting.neural.models.stack import RecurrentStack
from forecasting.neural.models.stepwise import SpreadOverHorizon
from forecasting.neural.models.widths import WeightAxis, WidthGroup, read_by
from forecasting.neural.models.window import Window

Tensor = Any


class TransformerModel(HorizonModel):
    """Attention blocks over patches, then recurrent layers, whose last output is spread over the horizon."""

    def __init__(self, spec: NetworkSpec, model: TransformerLstmConfig) -> None:
        """Create the layers."""
        super().__init__(name="transformer")
        self._model = model
        self._patch, self._chunk = model.patch or spec.features.segment, model.chunk
        self.embedding = Dense(model.units, name="embedding")
        self.blocks = [TransformerBlock(model, f"block_{i}") for i in range(model.layers)]
        self.norm = layers.LayerNormalization(name="norm")
        self.stack = RecurrentStack(model, model.recurrent_units)
        self.spread = SpreadOverHorizon(spec.features.horizon, model.step_units)

    @property
    @override
    def derived_every(self) -> int:
        return self._patch

    @override
    def width_groups(self, head: Sequence[WeightAxis]) -> list[WidthGroup]:
        """See `HorizonModel.width_groups`. Tokens keep their width, which heads share and normalisations are over."""
        units = self._model.recurrent_units
        last = read_by(self.spread.spread, units[-1])
        return [*self.stack.width_groups("recurrent_units", units, last), self.spread.width_group(head)]

    @override
    def messages(self, window: Window, *, training: bool) -> HorizonMessage:
        """Messages of `step_units`."""
        tokens = self.embedding(segment_inputs(window, self._patch))
        counting = window.begun[:, self._patch - 1 :: self._patch]
        n_before = -tokens.shape[1] % self._chunk
        values = tf.pad(tokens, [[0, 0], [n_before, 0], [0, 0]])
        counted = tf.pad(counting, [[0, 0], [n_before, 0]])
        for block in self.blocks:
            values = block(values, counted, training=training)
        _, last, _ = self.stack(self.norm(values[:, n_before:]), counting, training=training)
        return HorizonMessage(self.spread(last, window.group))


class TransformerBlock(keras.layers.Layer):
    """Attention, then a perceptron, each of what was normalised and around a residual.

    R. Xiong et al., "On Layer Normalization in the Transformer Architecture" (ICML 2020).
    """

    def __init__(self, model: TransformerLstmConfig, name: str) -> None:
        """Create the layers."""
        super().__init__(name=name)
        self.attention_norm = layers.LayerNormalization(name="attention_norm")
        self.attention = MemoryAttention(model.units, model.heads, model.chunk)
        self.mixing_norm = layers.LayerNormalization(name="mixing_norm")
        self.hidden = Dense(2 * model.units, activation="gelu", name="hidden")
        self.out = Dense(model.units, name="out")
        self.dropouts = [Dropout(model.dropout, seed=6), Dropout(model.dropout, seed=7)]

    @override
    def call(self, values: Tensor, counting: Tensor, training: bool = False) -> Tensor:
        """`[B,T,units]` to the same; counting `[B,T]` is 0 for padding."""
        attended = self.attention(self.attention_norm(values), counting)
        values = values + self.dropouts[0](attended, training=training)
        mixed = self.out(self.hidden(self.mixing_norm(values)))
        return values + self.dropouts[1](mixed, training=training)
