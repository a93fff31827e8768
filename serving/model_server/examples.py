"""Classify, Regress and MultiInference: examples in, scores or values out.

Rules and texts follow servables/tensorflow/classifier.cc, regressor.cc, multi_inference.cc and util.cc.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.contracts.signature import SERVING_DEFAULT
from forecasting.wire.messages import ClassificationResult, RegressionResult
from forecasting.wire.tensors import type_name, type_number
from serving.model_server.backends import Arrays
from serving.model_server.signatures import STRING, ServedSignature, strings
from serving.model_server.status import RequestError, StatusCode, invalid

CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"
INPUTS, OUTPUTS, CLASSES, SCORES = "inputs", "outputs", "classes", "scores"

_MAX_CONTEXT_BYTES = 256 * 2**20

Results = Sequence[npt.NDArray[Any]]
Signatures = Mapping[str, ServedSignature]


@dataclass(frozen=True)
class ExamplePlan:
    """What to feed and fetch for a signature, and how the values become a result message."""

    signature_name: str
    kind: str
    input_tensor: str
    input_dtype: int
    fetches: tuple[str, ...]
    result: Callable[[Results, int], Any]
    """Takes the values of `fetches` and the number of examples."""


def examples_of(message: Any) -> list[bytes]:
    """The serialised examples of an `Input` message, each with the context in front where there is one.

    Raises:
        RequestError: INVALID_ARGUMENT: there are none; RESOURCE_EXHAUSTED: copies of the context would fill the memory.
    """
    context, found = b"", message.example_list
    if message.WhichOneof("kind") == "example_list_with_context":
        found = message.example_list_with_context
        context = found.context.SerializeToString()
    if not found.examples:
        raise invalid("Input is empty.")
    if len(context) * len(found.examples) > _MAX_CONTEXT_BYTES:
        raise RequestError(
            StatusCode.RESOURCE_EXHAUSTED,
            f"a context that all examples share must not take more than {_MAX_CONTEXT_BYTES} bytes in all of them, found "
            f"{len(context)} bytes for {len(found.examples)} examples",
        )
    return [context + example.SerializeToString() for example in found.examples]


def example_feeds(plans: Sequence[ExamplePlan], examples: Sequence[bytes]) -> Arrays:
    """The examples for the input tensor of each plan.

    Raises:
        RequestError: INVALID_ARGUMENT: an input takes no strings.
    """
    array = strings(examples)
    for plan in plans:
        if plan.input_dtype != STRING:
            raise invalid(f"input {INPUTS}: Type mismatch: actual string vs. expect {type_name(plan.input_dtype)}")
    return {plan.input_tensor: array for plan in plans}


def classify_plan(signatures: Signatures, signature_name: str, *, check_method: bool = False) -> ExamplePlan:
    """The plan of a classification.

    Raises:
        RequestError: INVALID_ARGUMENT: the signature cannot classify.
    """
    signature = _signature(signatures, signature_name, "No signature was found with the name: ")
    return _classify_plan(signature, signature_name, check_method=check_method)


def regress_plan(signatures: Signatures, signature_name: str, *, check_method: bool = False) -> ExamplePlan:
    """The plan of a regression.

    Raises:
        RequestError: INVALID_ARGUMENT: the signature cannot regress.
    """
    signature = _signature(signatures, signature_name, "No signature was found with the name: ")
    return _regress_plan(signature, signature_name, check_method=check_method)


def multi_plans(signatures: Signatures, tasks: Sequence[Any], *, check_method: bool = False) -> list[ExamplePlan]:
    """The plans of a MultiInferenceRequest's tasks.

    Raises:
        RequestError: The tasks do not fit together or a signature cannot do what its task asks.
    """
    plans: list[ExamplePlan] = []
    model, seen = "", set[str]()
    for task in tasks:
        spec = task.model_spec
        if not spec.name:
            raise invalid("Found ModelSpec with an empty model name.")
        if model and spec.name != model:
            raise invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        model = spec.name
        name = spec.signature_name or SERVING_DEFAULT
        if name in seen:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        seen.add(name)
        signature = _signature(signatures, name, "Requested signature not found in model graph: ")
        if task.method_name == CLASSIFY_METHOD:
            plans.append(_classify_plan(signature, spec.signature_name, check_method=check_method))
        elif task.method_name == REGRESS_METHOD:
            plans.append(_regress_plan(signature, spec.signature_name, check_method=check_method))
        else:
            raise RequestError(StatusCode.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
    return plans


def _signature(signatures: Signatures, name: str, text: str) -> ServedSignature:
    key = name or SERVING_DEFAULT
    if key not in signatures:
        raise invalid(f"{text}{key}")
    return signatures[key]


def _require_method(signature: ServedSignature, method: str, kind: str) -> None:
    if signature.method_name != method:
        raise invalid(f"Expected {kind} signature method_name to be {method}. Was: {signature.method_name}")


def _classify_plan(signature: ServedSignature, signature_name: str, *, check_method: bool) -> ExamplePlan:
    if check_method:
        _require_method(signature, CLASSIFY_METHOD, "classification")
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if INPUTS not in signature.inputs:
        raise invalid(f"No classification inputs found in SignatureDef: {_text(signature)}")
    aliases = [alias for alias in (CLASSES, SCORES) if alias in signature.outputs]
    if not aliases:
        raise invalid(
            f'Expected classification signature outputs to contain at least one of "{CLASSES}" or "{SCORES}". '
            f"Signature was: {_text(signature)}"
        )

    def result(values: Results, n_examples: int) -> Any:
        return _classifications(dict(zip(aliases, values, strict=True)), n_examples)

    source = signature.inputs[INPUTS]
    fetches = tuple(signature.outputs[alias] for alias in aliases)
    return ExamplePlan(signature_name, "classification", source.tensor, source.dtype, fetches, result)


def _regress_plan(signature: ServedSignature, signature_name: str, *, check_method: bool) -> ExamplePlan:
    if check_method:
        _require_method(signature, REGRESS_METHOD, "regression")
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    if INPUTS not in signature.inputs:
        raise invalid(f"No regression inputs found in SignatureDef: {_text(signature)}")
    if OUTPUTS not in signature.outputs:
        raise invalid(f"No regression outputs found in SignatureDef: {_text(signature)}")
    source = signature.inputs[INPUTS]
    fetches = (signature.outputs[OUTPUTS],)
    return ExamplePlan(signature_name, "regression", source.tensor, source.dtype, fetches, _regressions)


def _classifications(values: Mapping[str, npt.NDArray[Any]], n_examples: int) -> Any:
    for alias, dtype in ((CLASSES, "DT_STRING"), (SCORES, "DT_FLOAT")):
        if alias in values:
            _require_table(alias, values[alias], dtype, n_examples)
    labels, scores = values.get(CLASSES), values.get(SCORES)
    if labels is not None and scores is not None and labels.shape[1] != scores.shape[1]:
        raise invalid(
            f"Tensors class and score should match in dim_size(1). Got {labels.shape[1]} vs. {scores.shape[1]}"
        )
    n_classes = (labels if labels is not None else scores).shape[1]  # type: ignore[union-attr]  # one of them is there
    result = ClassificationResult()
    for row in range(n_examples):
        entry = result.classifications.add()
        for column in range(n_classes):
            found = entry.classes.add()
            if labels is not None:
                found.label = bytes(labels[row, column]).decode("utf-8", "replace")
            if scores is not None:
                found.score = float(scores[row, column])
    return result


def _require_table(alias: str, array: npt.NDArray[Any], dtype: str, n_examples: int) -> None:
    if array.ndim != 2:
        raise invalid(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}")
    found = _dtype(array)
    if found != dtype:
        raise invalid(f"Expected {alias} Tensor of {dtype}. Got: {found}")
    if len(array) != n_examples:
        raise invalid(f"Expected {alias} output batch size of {n_examples}. Got: {len(array)}")


def _regressions(values: Results, n_examples: int) -> Any:
    array = values[0]
    if not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)):
        raise invalid(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {_shape(array)}"
        )
    if len(array) != n_examples:
        raise invalid(f"Input batch size did not match output batch size: {n_examples} vs. {len(array)}")
    if _dtype(array) != "DT_FLOAT":
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {_dtype(array)}")
    result = RegressionResult()
    for value in np.ravel(array).tolist():
        result.regressions.add(value=value)
    return result


def _dtype(array: npt.NDArray[Any]) -> str:
    return "DT_" + type_name(type_number(array.dtype)).upper()


def _shape(array: npt.NDArray[Any]) -> str:
    return "[" + ",".join(map(str, array.shape)) + "]"


def _text(signature: ServedSignature) -> str:
    return str(signature.message)
