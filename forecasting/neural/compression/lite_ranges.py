"""Ranges of activations of a float model over calibration windows."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from forecasting.contracts.signature import SERVING_DEFAULT
from forecasting.errors import ArtifactError
from forecasting.windows import ModelInputs

TensorRanges = Mapping[str, Mapping[str, npt.NDArray[np.float32]]]
"""`min` and `max` of each float tensor by its name, with as many dimensions as the tensor."""


def activation_ranges(model: bytes, windows: ModelInputs) -> TensorRanges:
    """What each tensor lies between, over all windows.

    The whole range: leaving out what is rare (a tenth of a hundredth part at either end) was measured to lose more than the
    coarser steps do.

    Args:
        model: A float model.
        windows: Real windows.

    Raises:
        ArtifactError: The model fails on them.
    """
    try:
        return _ranges(_invoked(model, windows))
    except (ValueError, RuntimeError) as error:
        raise ArtifactError(f"the TensorFlow Lite model must run on calibration windows; it fails: {error}") from error


def _invoked(model: bytes, windows: ModelInputs) -> Interpreter:
    interpreter = Interpreter(
        model_content=model,
        num_threads=1,
        experimental_preserve_all_tensors=True,
        # Fused kernels keep no intermediate tensor.
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    inputs = interpreter.get_signature_runner(SERVING_DEFAULT).get_input_details()
    for detail in inputs.values():
        interpreter.resize_tensor_input(detail["index"], [len(windows), *detail["shape"][1:]], strict=False)
    interpreter.allocate_tensors()
    for name, detail in inputs.items():
        interpreter.set_tensor(detail["index"], windows.as_dict()[name])
    interpreter.invoke()
    return interpreter


def _ranges(interpreter: Interpreter) -> TensorRanges:
    found = {}
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    used = {i for operation in interpreter._get_ops_details() for key in ("inputs", "outputs") for i in operation[key]}  # noqa: SLF001
    for index in sorted(used & set(details)):
        if details[index]["dtype"] is not np.float32 or details[index]["shape"].size == 0:
            continue
        values = interpreter.get_tensor(index)
        if values.size and np.isfinite(values).all():
            shape = (1,) * values.ndim
            found[details[index]["name"]] = {"min": values.min().reshape(shape), "max": values.max().reshape(shape)}
    return found
