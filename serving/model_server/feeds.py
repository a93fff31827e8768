"""Check a request against a signature: names, types, shapes and outputs, with TensorFlow Serving's texts.

One check is ours: a fixed dimension greater than one must match before the model runs, because a
graph may answer nonsense for a shorter history. Dimensions of one are left to the model, which
TensorFlow Serving does for all of them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from forecasting.wire.messages import DataType
from forecasting.wire.tensors import type_name, type_number
from serving.model_server.backends import Arrays
from serving.model_server.status import invalid


def check_feeds(signature: Any, feeds: Arrays) -> None:
    """Check the inputs of a request.

    Raises:
        RequestError: INVALID_ARGUMENT naming what is wrong.
    """
    wanted, sent = set(signature.inputs), set(feeds)
    if len(wanted) != len(sent):
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(wanted)} len({_set(sent)}) != len({_set(wanted)}). "
            f"Sent extra: {_set(sent - wanted)}. Missing but required: {_set(wanted - sent)}."
        )
    for alias in sorted(wanted):
        if alias not in sent:
            raise invalid(
                f"Signature input alias: {alias}(feed name: {signature.inputs[alias].name}) "
                "not found in request and no default value provided."
            )
        _check_one(alias, signature.inputs[alias], feeds[alias])


def check_fetches(signature: Any, output_filter: Sequence[str]) -> tuple[str, ...]:
    """Outputs to compute: those asked for, else all of the signature.

    Raises:
        RequestError: INVALID_ARGUMENT: an output is unknown or named twice.
    """
    for position, alias in enumerate(output_filter):
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set {_set(signature.outputs)}."
            )
        if alias in output_filter[:position]:
            raise invalid(f"duplicate output tensor alias: {alias}")
    return tuple(output_filter) or tuple(sorted(signature.outputs))


def _check_one(alias: str, expected: Any, array: Any) -> None:
    if expected.dtype == DataType.DT_STRING or type_number(array.dtype) != expected.dtype:
        raise invalid(
            f"input {alias}: type mismatch: actual {type_name(type_number(array.dtype))} vs. expect {type_name(expected.dtype)}"
        )
    if expected.tensor_shape.unknown_rank:
        return
    sizes = [dim.size for dim in expected.tensor_shape.dim]
    fixed = any(size > 1 for size in sizes)
    wrong_rank = fixed and array.ndim != len(sizes)
    if wrong_rank or any(size > 1 and found != size for size, found in zip(sizes, array.shape, strict=False)):
        raise invalid(f"input {alias}: shape mismatch: actual {list(array.shape)} vs. expect {sizes} (-1 is any)")


def _set(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
