"""Which model each kind is."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from forecasting.config.models import EnsembleConfig
from forecasting.features.transform import feature_blocks
from forecasting.neural.models.additive import AdditiveModel
from forecasting.neural.models.contract import Forecaster, HorizonModel, NetworkSpec
from forecasting.neural.models.convolution import ConvolutionModel
from forecasting.neural.models.ensemble import EnsembleForecaster
from forecasting.neural.models.linear import LinearModel
from forecasting.neural.models.mixer import MixerModel
from forecasting.neural.models.ridge import RidgeModel
from forecasting.neural.models.segment import SegmentModel
from forecasting.neural.models.seq2seq import Seq2seqModel
from forecasting.neural.models.stepwise import StepwiseModel
from forecasting.neural.models.transformer import TransformerModel

_Builder = Callable[[NetworkSpec, Any], HorizonModel]

HORIZON_MODELS: dict[str, _Builder] = {
    "segment_lstm": lambda spec, model: SegmentModel(spec, model, "lstm"),
    "segment_gru": lambda spec, model: SegmentModel(spec, model, "gru"),
    "lstm": lambda spec, model: StepwiseModel(spec, model, "lstm", both_ways=False, residual=False),
    "bilstm": lambda spec, model: StepwiseModel(spec, model, "lstm", both_ways=True, residual=False),
    "gru": lambda spec, model: StepwiseModel(spec, model, "gru", both_ways=False, residual=False),
    "stacked_lstm": lambda spec, model: StepwiseModel(spec, model, "lstm", both_ways=False, residual=True),
    "seq2seq": Seq2seqModel,
    "cnn_lstm": ConvolutionModel,
    "transformer_lstm": TransformerModel,
    "additive": AdditiveModel,
    "linear": LinearModel,
    "ridge": RidgeModel,
    "tsmixer": MixerModel,
}
"""How the horizon model of each kind is made; the matrix test runs every one of them."""


def build_network(spec: NetworkSpec) -> Forecaster | EnsembleForecaster:
    """A network with its weights created; that of an ensemble has equal shares."""
    if isinstance(spec.model, EnsembleConfig):
        members = [NetworkSpec(spec.features, model) for model, _ in spec.model.singles(0)]
        network: Any = EnsembleForecaster([_forecaster(member) for member in members])
    else:
        network = _forecaster(spec)
    features = spec.features
    blocks = feature_blocks(features)
    network(
        tf.zeros([1, features.context, len(blocks.past) + len(blocks.known)]),
        tf.zeros([1, features.horizon, len(blocks.known)]),
        tf.zeros([1, len(features.static)]) if features.static else None,
    )
    return network


def _forecaster(spec: NetworkSpec) -> Forecaster:
    return Forecaster(spec, HORIZON_MODELS[spec.model.kind](spec, spec.model))
