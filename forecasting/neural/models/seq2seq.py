"""The model `seq2seq`: an encoder over the context, a decoder over the horizon that attends to it.

I. Sutskever, O. Vinyals and Q. Le, "Sequence to Sequence Learning with Neural Networks" (NeurIPS 2014), with the
attention of M.-T. Luong et al. (EMNLP 2015). The decoder is fed with what is known ahead and the seasonal lags, not with
its own outputs, so that both recurrences run in one piece and no error is carried on.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from typing_extensions import override

from forecasting.config.models import Seq2seqConfig
from forecasting.neural.models.attention import LuongAttention
from forecasting.neural.models.contract import HorizonMessage, HorizonModel, NetworkSpec
from forecasting.neural.models.dense import Dense
from forecasting.neural.models.dropout import Dropout
from forecasting.neural.models.recurrence import LSTM
from forecasting.neural.models.segment import repeated
from forecasting.neural.models.stack import RecurrentStack
from forecasting.neural.models.stepwise import step_inputs
from forecasting.neural.models.widths import WeightAxis, WidthGroup, made_by, read_by, state_of, units_of
from forecasting.neural.models.window import Window

Tensor = Any


class Seq2seqModel(HorizonModel):
    """LSTM encoder, LSTM decoder with attention to every step of the encoder."""

    def __init__(self, spec: NetworkSpec, model: Seq2seqConfig) -> None:
        """Create the layers."""
        super().__init__(name="seq2seq")
        self._model = model
        self._horizon = spec.features.horizon
        units = model.units[-1]
        self.encoder = RecurrentStack(model, model.units, truncate=model.truncate_steps, name="encoder")
        self.decoder = LSTM(units, recurrent_dropout=model.recurrent_dropout, name="decoder")
        self.attention = LuongAttention(units)
        self.dropout = Dropout(model.dropout, seed=5)
        self.to_message = Dense(model.step_units, activation="gelu", name="to_message")

    @override
    def width_groups(self, head: Sequence[WeightAxis]) -> list[WidthGroup]:
        """See `HorizonModel.width_groups`. What the encoder ends in is where the decoder begins."""
        model, n, attention = self._model, self._model.units[-1], self.attention
        same = [
            *state_of(self.decoder),
            *made_by(attention.score, n),
            *read_by(attention.score, n),
            *read_by(attention.combine, n, repeats=2, stride=n),
        ]
        return [
            *self.encoder.width_groups("units", model.units, same),
            units_of("units", made_by(attention.combine, n), read_by(self.to_message, n), place=len(model.units) - 1),
            units_of("step_units", made_by(self.to_message, model.step_units), head),
        ]

    @override
    def messages(self, window: Window, *, training: bool) -> HorizonMessage:
        """Messages of `step_units`. Attention reaches as far back as gradients do."""
        encoded, _, states = self.encoder(step_inputs(window), window.begun, training=training)
        ahead = tf.concat([window.lags, repeated(window.group, self._horizon)], axis=2)
        decoded, _ = self.decoder(ahead, state=states[-1], training=training)
        counting = window.begun[:, window.begun.shape[1] - encoded.shape[1] :]
        attended = self.dropout(self.attention(decoded, encoded, counting), training=training)
        return HorizonMessage(self.to_message(attended))
