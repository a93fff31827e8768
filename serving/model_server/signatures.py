"""A signature made ready for requests: names, types and shapes looked up once, when the version is loaded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecasting.wire.messages import DataType
from forecasting.wire.tensors import from_tensor, type_name, type_number
from serving.model_server.backends import Arrays
from serving.model_server.status import RequestError, StatusCode, invalid


@dataclass(frozen=True)
class InputSpec:
    """One input: its tensor in the graph, TensorFlow's type number, and its sizes (-1 is any) where known."""

    tensor: str
    dtype: int
    sizes: tuple[int, ...] | None


@dataclass(frozen=True)
class ServedSignature:
    """A `SignatureDef` of a loaded version."""

    key: str
    method_name: str
    inputs: Mapping[str, InputSpec]
    outputs: Mapping[str, str]
    """Tensor by output alias, sorted by alias."""
    defaults: Arrays
    message: Any

    @classmethod
    def of(cls, key: str, message: Any) -> "ServedSignature":
        """Read a `SignatureDef` message.

        Raises:
            RequestError: A default value cannot be read.
        """
        try:
            defaults = {alias: from_tensor(tensor) for alias, tensor in message.defaults.items()}
        except ValueError as error:
            raise invalid(f"signature {key}: a default value cannot be read: {error}") from error
        inputs = {alias: _input_of(message.inputs[alias]) for alias in sorted(message.inputs)}
        outputs = {alias: message.outputs[alias].name for alias in sorted(message.outputs)}
        return cls(key, message.method_name, inputs, outputs, defaults, message)


def require_input_count(signature: ServedSignature, sent: Iterable[str]) -> None:
    """Check how many inputs came, which TensorFlow Serving does before it reads any.

    Raises:
        RequestError: INVALID_ARGUMENT naming what is missing and what is too much.
    """
    found, wanted = set(sent), set(signature.inputs)
    if len(found) > len(wanted) or (len(found) < len(wanted) and not signature.defaults):
        raise invalid(
            f"input size does not match signature: {len(found)}!={len(wanted)} len({_names(found)}) != len({_names(wanted)}). "
            f"Sent extra: {_names(found - wanted)}. Missing but required: {_names(wanted - found)}."
        )


def feeds_by_tensor(signature: ServedSignature, sent: Arrays) -> Arrays:
    """The arrays to feed, by tensor; defaults take the place of what was not sent.

    One check is ours: a fixed size greater than one must match before the model runs, because a graph
    may answer nonsense for a shorter history. Sizes of one are left to the model, as TensorFlow Serving
    does with all of them.

    Raises:
        RequestError: INVALID_ARGUMENT naming the input.
    """
    feeds: Arrays = {}
    for alias, spec in signature.inputs.items():
        array = sent.get(alias)
        if array is None:
            array = signature.defaults.get(alias)
        if array is None:
            raise invalid(
                f"Signature input alias: {alias}(feed name: {spec.tensor}) not found in request and no default value provided."
            )
        _require_fit(alias, spec, array)
        feeds[spec.tensor] = array
    if len(sent) > len(feeds) or not sent.keys() <= signature.inputs.keys():
        raise invalid(f"Sent extra inputs: {_names(set(sent) - set(signature.inputs))}.")
    return feeds


def fetches_of(signature: ServedSignature, output_filter: Sequence[str]) -> tuple[str, ...]:
    """Aliases of the outputs to compute: those asked for, else all of the signature.

    Raises:
        RequestError: INVALID_ARGUMENT: an output is unknown or named twice.
    """
    if not output_filter:
        return tuple(signature.outputs)
    seen: set[str] = set()
    for alias in output_filter:
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                f"{_names(signature.outputs)}."
            )
        if alias in seen:
            raise invalid(f"duplicate output tensor alias: {alias}")
        seen.add(alias)
    return tuple(output_filter)


def require_predict_method(signature: ServedSignature) -> None:
    """Check the method of a signature, where `--enable_signature_method_name_check` asks for it.

    Raises:
        RequestError: INTERNAL: the method is none that Predict may run.
    """
    allowed = [f"tensorflow/serving/{name}" for name in ("predict", "classify", "regress")]
    if signature.method_name not in allowed:
        raise RequestError(
            StatusCode.INTERNAL,
            f"Expected prediction signature method_name to be one of {{{', '.join(allowed)}}}. Was: {signature.method_name}",
        )


def _input_of(info: Any) -> InputSpec:
    shape = info.tensor_shape
    sizes = None if shape.unknown_rank else tuple(int(dim.size) for dim in shape.dim)
    return InputSpec(info.name, int(info.dtype), sizes)


def _require_fit(alias: str, spec: InputSpec, array: Any) -> None:
    if type_number(array.dtype) != spec.dtype:
        actual, wanted = type_name(type_number(array.dtype)), type_name(spec.dtype)
        raise invalid(f"input {alias}: Type mismatch: actual {actual} vs. expect {wanted}")
    sizes = spec.sizes
    if sizes is None or max(sizes, default=0) <= 1:
        return
    if array.ndim != len(sizes) or any(
        size > 1 and found != size for size, found in zip(sizes, array.shape, strict=True)
    ):
        raise invalid(f"input {alias}: shape mismatch: actual {list(array.shape)} vs. expect {list(sizes)} (-1 is any)")


def _names(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"


def strings(values: Sequence[bytes]) -> Any:
    """A vector of strings, `[n]`."""
    array = np.empty(len(values), dtype=np.object_)
    array[:] = list(values)
    return array


STRING = int(DataType.DT_STRING)
