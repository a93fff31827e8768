"""Export to ONNX: the same graph for runtimes that read neither SavedModels nor TensorFlow Lite.

tf2onnx translates the frozen graph with its plain recurrences. It knows no Erfc, which the GELU is made of: that is
written as 1 - erf here. What was exported is asked in onnxruntime and compared before it is given out.
"""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx
from onnxruntime.capi import onnxruntime_pybind11_state as states

from forecasting.contracts.signature import QUANTILES
from forecasting.errors import ArtifactError
from forecasting.neural.compression.conversion import frozen_function
from forecasting.neural.export import ForecastModule
from forecasting.parity import DifferenceReport, differences
from forecasting.windows import ModelInputs

OPSET = 17
"""Of ONNX 1.12, 2022: old enough for the runtimes in use, new enough for all operations of the models."""
MAX_RATIO = 1e-4
"""Largest difference of the exported model from its source, as a share of the mean forecast of all windows and of each window."""
_UNWRITABLE = (
    onnx.checker.ValidationError, ValueError, RuntimeError, TypeError, AttributeError, LookupError, AssertionError,
)  # fmt: skip
"""What tf2onnx ends with on graphs that it does not know; it has no error of its own."""
_REFUSALS = (states.Fail, states.InvalidArgument, states.InvalidGraph, states.NotImplemented, states.RuntimeException)


def export_onnx(module: ForecastModule, windows: ModelInputs) -> bytes:
    """An ONNX model with the inputs and the output of `serving_default`, the batch of any size.

    Args:
        module: The model.
        windows: Windows on which the answers of onnxruntime must be those of the model.

    Raises:
        ArtifactError: The graph has an operation that ONNX lacks, or onnxruntime answers something else.
    """
    model = _converted(module)
    report = _difference(model, module, windows)
    largest = max(report.largest, report.window_largest)
    if not largest <= MAX_RATIO:
        raise ArtifactError(
            f"the ONNX model must answer what the model answers, to {MAX_RATIO:.0e} of the mean forecast of every window; "
            f"onnxruntime differs by {largest:.1e}"
        )
    return model


def _converted(module: ForecastModule) -> bytes:
    frozen = frozen_function(module)
    names = list(module.spec.signature.input_shapes())
    inputs = {tensor.name: _alias(tensor.name, names) for tensor in frozen.inputs}
    outputs = {tensor.name: QUANTILES for tensor in frozen.outputs}
    try:
        model, _ = tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(),
            name="forecaster",
            input_names=list(inputs),
            output_names=list(outputs),
            opset=OPSET,
            custom_op_handlers={"Erfc": (_erfc, [])},
            tensors_to_rename=inputs | outputs,
        )
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
        onnx.checker.check_model(model)
    except _UNWRITABLE as error:
        raise ArtifactError(f"the model cannot be written as ONNX: {error}") from error
    return bytes(model.SerializeToString())


def _alias(tensor_name: str, names: list[str]) -> str:
    plain = tensor_name.partition(":")[0]
    if plain not in names:
        raise ArtifactError(f"the model has an input {tensor_name!r}, expected one of {names}")
    return plain


def _erfc(context: Any, node: Any, _name: str, _args: Any) -> None:
    """Erfc as 1 - erf."""
    node.type = "Erf"
    erf = node.output[0]
    one = context.make_const(tf2onnx.utils.make_name("one"), np.ones((), np.float32))
    difference = context.insert_new_node_on_output("Sub", erf, name=tf2onnx.utils.make_name("erfc"))
    context.replace_inputs(difference, [one.output[0], erf])


def _difference(model: bytes, module: ForecastModule, windows: ModelInputs) -> DifferenceReport:
    """Between what onnxruntime and the model answer."""
    arrays = windows.as_dict()
    try:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        found = session.run([QUANTILES], arrays)[0]
    except _REFUSALS as error:
        raise ArtifactError(f"onnxruntime cannot run the ONNX model: {error}") from error
    expected = module.quantiles(**{name: tf.constant(array) for name, array in arrays.items()}).numpy()
    if not np.isfinite(expected).any():
        raise ArtifactError("the model answers no window with a number, so that no export can be compared with it")
    return differences(found, expected)
