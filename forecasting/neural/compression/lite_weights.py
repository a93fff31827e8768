"""Products of a float TensorFlow Lite model in fewer bits, by the quantiser of LiteRT.

B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference" (CVPR
2018): one scale for each output of a product, one for each activation.
"""

import re
from collections.abc import Sequence

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import qtyping, quantizer
from ai_edge_quantizer.algorithm_manager import AlgorithmName

from forecasting.errors import ArtifactError
from forecasting.neural.compression.lite_ranges import TensorRanges

_PRODUCTS = (qtyping.TFLOperationName.FULLY_CONNECTED, qtyping.TFLOperationName.CONV_2D)
_SMALLEST_WEIGHTS = 1024
"""Weights below which a product stays in float: nothing is gained by less, and a head of few outputs loses most."""
_NETWORK = r"(.*[/;]|^)(forecaster|ensemble)(_\d+)?/.*"
"""Names of operations of the network; features work in the table's own units, which no 8 bits hold."""
_INTEGERS = qtyping.TensorQuantizationConfig(num_bits=8, granularity=qtyping.QuantGranularity.CHANNELWISE)
_HALF_FLOATS = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)


def half_floats(model: bytes) -> bytes:
    """The model with weights in float16.

    Raises:
        ArtifactError: The quantiser refuses the model.
    """
    config = qtyping.OpQuantizationConfig(
        weight_tensor_config=_HALF_FLOATS,
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    return _changed(model, _NETWORK, config, algorithm=AlgorithmName.FLOAT_CASTING)


def integer_weights(model: bytes, *, smallest: int = _SMALLEST_WEIGHTS) -> bytes:
    """The model with weights in INT8, its activations quantised as it runs.

    Args:
        model: A float model.
        smallest: Weights that a product must have to be quantised.

    Raises:
        ArtifactError: No product of the network has as many weights, or the quantiser refuses the model.
    """
    config = qtyping.OpQuantizationConfig(
        weight_tensor_config=_INTEGERS,
        compute_precision=qtyping.ComputePrecision.INTEGER,
        explicit_dequantize=False,
        min_weight_elements=smallest,
    )
    found = _changed(model, _NETWORK, config)
    if not _has_integers(found):
        raise ArtifactError(f"INT8 weights need a product of {smallest:,} weights or more, found none in the model")
    return found


def integer_products(model: bytes, layers: Sequence[str], ranges: TensorRanges) -> bytes:
    """The model with the products of some layers in INT8, weights and activations.

    Args:
        model: A float model.
        layers: Names of the layers.
        ranges: Of its activations.

    Raises:
        ArtifactError: None of the layers has a product in the model, or the quantiser refuses it.
    """
    # A name lists all that was fused into an operation; a layer that is called again has a number.
    one_of = "|".join(re.escape(layer) for layer in layers)
    config = qtyping.OpQuantizationConfig(
        activation_tensor_config=qtyping.TensorQuantizationConfig(num_bits=8, symmetric=False),
        weight_tensor_config=_INTEGERS,
        compute_precision=qtyping.ComputePrecision.INTEGER,
        explicit_dequantize=False,
    )
    found = _changed(model, rf"(.*[/;]|^)({one_of})(_\d+)?/.*", config, ranges=ranges)
    if not _has_integers(found):
        raise ArtifactError("INT8 needs layers of matrix products, found none in the model")
    return found


def _has_integers(model: bytes) -> bool:
    try:
        details = Interpreter(model_content=model).get_tensor_details()
    except ValueError as error:
        raise ArtifactError(f"the quantiser has made a model that cannot be loaded: {error}") from error
    return any(detail["dtype"] is np.int8 for detail in details)


def _changed(
    model: bytes,
    where: str,
    config: qtyping.OpQuantizationConfig,
    *,
    algorithm: str = AlgorithmName.MIN_MAX_UNIFORM_QUANT,
    ranges: TensorRanges | None = None,
) -> bytes:
    try:
        work = quantizer.Quantizer(model)
        for product in _PRODUCTS:
            work.update_quantization_recipe(where, product, config, algorithm)
        result = work.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    except (ValueError, RuntimeError) as error:
        raise ArtifactError(f"the TensorFlow Lite model cannot be quantised: {error}") from error
    return bytes(result.quantized_model)
