"""JSON values to arrays, by TensorFlow Serving's rules and with its texts (util/json_tensor.cc).

Rows (`instances`) or columns (`inputs`). Integers are accepted for floats and not the other way; a missing
value is the bare token NaN, never null or a string. Numbers that fit are converted at once; what does not
fit is walked value by value, which finds the error to tell.
"""

import array as compact
import base64
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.wire.messages import DataType
from forecasting.wire.tensors import type_name
from serving.model_server.backends import Arrays
from serving.model_server.rest_json import JsonBody, RepeatedNames, debug_text, kind_of
from serving.model_server.signatures import InputSpec
from serving.model_server.status import RequestError, StatusCode, invalid

INSTANCES, INPUTS, BASE64 = "instances", "inputs", "b64"
_INT32 = (-(2**31), 2**31 - 1)
_RANGES: dict[int, tuple[int, int]] = {
    DataType.DT_INT32: _INT32,
    DataType.DT_INT16: _INT32,
    DataType.DT_INT8: _INT32,
    DataType.DT_UINT8: _INT32,
    DataType.DT_INT64: (-(2**63), 2**63 - 1),
    DataType.DT_UINT32: (0, 2**32 - 1),
    DataType.DT_UINT64: (0, 2**64 - 1),
}
_INTEGERS: dict[int, npt.DTypeLike] = {
    DataType.DT_INT32: np.int32,
    DataType.DT_INT16: np.int16,
    DataType.DT_INT8: np.int8,
    DataType.DT_UINT8: np.uint8,
    DataType.DT_INT64: np.int64,
    DataType.DT_UINT32: np.uint32,
    DataType.DT_UINT64: np.uint64,
}
_FLOATS: dict[int, npt.DTypeLike] = {DataType.DT_FLOAT: np.float32, DataType.DT_DOUBLE: np.float64}
_BASE64, _NO_BLANKS = re.compile(r"[A-Za-z0-9+/]*"), str.maketrans("", "", " \t\n\v\f\r")
_STRING, _BOOL = int(DataType.DT_STRING), int(DataType.DT_BOOL)

_MAX_NESTED = 63
"""NumPy has 64 dimensions; the rows of a request may be one of them."""

Inputs = Mapping[str, InputSpec]


def values_of(body: JsonBody, inputs: Inputs, signature_name: str) -> tuple[Arrays, bool]:
    """Arrays by alias, and whether they came as rows.

    Raises:
        RequestError: A value has a wrong type or shape, or a name is missing or unknown.
    """
    if not inputs:
        raise invalid(f"Failed to get input map for signature: {signature_name or 'DEFAULT'}")
    document = body.document
    if INSTANCES in document:
        rows = document[INSTANCES]
        if INPUTS in document:
            raise _format_error(
                document, f"Not formatted correctly expecting only one of '{INPUTS}' or '{INSTANCES}' keys to exist "
            )
        if not isinstance(rows, list):
            raise _format_error(document, f"Expecting '{INSTANCES}' to be an list/array")
        if not rows:
            raise _format_error(document, f"No values in '{INSTANCES}' array")
        return _from_rows(rows, inputs, body), True
    if INPUTS not in document:
        raise invalid("Missing 'inputs' or 'instances' key")
    return _from_columns(document[INPUTS], inputs, body), False


def is_base64(value: Any) -> bool:
    """Whether a value is `{"b64": "…"}`."""
    if not isinstance(value, dict) or len(value) != 1 or isinstance(value, RepeatedNames):
        return False
    return isinstance(value.get(BASE64), str)


def decode_base64(value: Any) -> bytes:
    """The bytes of `{"b64": "…"}`: blanks anywhere, and as many '=' or '.' at the end as belong there, or none.

    Raises:
        RequestError: It is something else.
    """
    if not is_base64(value):
        raise invalid(f"JSON Value: {debug_text(value)} not formatted correctly for base64 data")
    text = value[BASE64].translate(_NO_BLANKS)
    digits = text.rstrip("=.")
    n_missing = -len(digits) % 4
    if not _BASE64.fullmatch(digits) or n_missing > 2 or len(text) - len(digits) not in (0, n_missing):
        raise invalid("Unable to base64 decode")
    return base64.b64decode(digits + "=" * n_missing)


def _from_rows(rows: list[Any], inputs: Inputs, body: JsonBody) -> Arrays:
    if not isinstance(rows[0], dict) and len(inputs) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map"
        )
    if isinstance(rows[0], dict) and not is_base64(rows[0]):
        return _from_row_objects(rows, inputs, body)
    name, spec = next(iter(inputs.items()))
    fast = _fast(rows, spec.dtype, body)
    return {name: fast if fast is not None else _plain_rows(rows, spec.dtype, body)}


def _plain_rows(rows: list[Any], dtype: int, body: JsonBody) -> npt.NDArray[Any]:
    stack = _Stack(dtype)
    for position, row in enumerate(rows):
        if isinstance(row, dict) and not is_base64(row):
            raise invalid(f"Expecting value/list but got object at item {position} of input list")
        try:
            stack.add(row, body)
        except RequestError as error:
            raise invalid(
                f"Failed to process element: {position} of 'instances' list. Error: {error.code.name}: {error.message}"
            ) from error
    return stack.joined()


def _from_row_objects(rows: list[Any], inputs: Inputs, body: JsonBody) -> Arrays:
    names = inputs.keys()
    if all(type(row) is dict and row.keys() == names for row in rows):
        found: Arrays = {}
        for name, spec in inputs.items():
            fast = _fast([row[name] for row in rows], spec.dtype, body)
            if fast is None:
                break
            found[name] = fast
        else:
            return found
    stacks = {name: _Stack(spec.dtype) for name, spec in inputs.items()}
    for position, row in enumerate(rows):
        _add_row_object(position, row, stacks, body)
    return {name: stack.joined() for name, stack in stacks.items()}


def _add_row_object(position: int, row: Any, stacks: Mapping[str, "_Stack"], body: JsonBody) -> None:
    if not isinstance(row, dict) or is_base64(row):
        raise invalid(f"Expecting object but got list at item {position} of input list")
    for key, value in row.items():
        try:
            if key not in stacks:
                raise invalid(f"JSON object: does not have named input: {key}")
            stacks[key].add(value, body)
        except RequestError as error:
            raise invalid(
                f"Failed to process element: {position} key: {key} of 'instances' list. "
                f"Error: {error.code.name}: {error.message}"
            ) from error
    if len(row) != len(stacks):
        raise invalid(
            f"Failed to process element: {position} of 'instances' list. JSON object: {debug_text(row)} "
            f"keys must be equal to: {','.join(sorted(stacks))}"
        )


def _from_columns(values: Any, inputs: Inputs, body: JsonBody) -> Arrays:
    if not isinstance(values, dict) or is_base64(values):
        if len(inputs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map"
            )
        name, spec = next(iter(inputs.items()))
        return {name: _array(values, spec.dtype, body)}
    found: Arrays = {}
    for name, spec in inputs.items():
        if name not in values:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        found[name] = _array(values[name], spec.dtype, body)
    return found


def _array(value: Any, dtype: int, body: JsonBody) -> npt.NDArray[Any]:
    fast = _fast(value, dtype, body)
    return fast if fast is not None else _walked(value, dtype, body)


class _Stack:
    """The items of one input, which must have one shape."""

    def __init__(self, dtype: int) -> None:
        self._dtype = dtype
        self._items: list[npt.NDArray[Any]] = []

    def add(self, value: Any, body: JsonBody) -> None:
        found = _walked(value, self._dtype, body)
        if self._items:
            first = self._items[0]
            if found.size != first.size:
                raise invalid(f"Expecting tensor size: {first.size} but got: {found.size}")
            if found.shape != first.shape:
                raise invalid(f"Expecting shape {_shape(first.shape)} but got: {_shape(found.shape)}")
        self._items.append(found)

    def joined(self) -> npt.NDArray[Any]:
        return np.stack(self._items)


def _fast(value: Any, dtype: int, body: JsonBody) -> npt.NDArray[Any] | None:
    """The array where a few checks over whole lists tell that every value fits, else none."""
    if body.may_hold_bool or type(value) is not list:
        return None
    flat: Sequence[Any] = value
    shape = [len(value)]
    try:
        while flat and type(flat[0]) is list:
            size = len(flat[0])
            if set(map(len, flat)) != {size}:
                return None
            flat = list(chain.from_iterable(flat))
            shape.append(size)
        return _packed(flat, dtype, body, shape)
    except (TypeError, ValueError, OverflowError):
        return None


def _packed(flat: Sequence[Any], dtype: int, body: JsonBody, shape: Sequence[int]) -> npt.NDArray[Any] | None:
    if dtype in _FLOATS:
        if body.null_is_nan:
            if str in set(map(type, flat)):
                return None
            found = np.array(flat, dtype=np.float64)
        else:
            # Refuses anything but numbers, unlike NumPy; a bool would pass, and there is none in the body.
            found = np.frombuffer(compact.array("d", flat), dtype=np.float64)
        with np.errstate(over="ignore"):
            return found.astype(_FLOATS[dtype]).reshape(shape)
    if dtype in _INTEGERS and dtype != DataType.DT_UINT64:
        found = np.frombuffer(compact.array("q", flat), dtype=np.int64)
        low, high = _RANGES[dtype]
        if found.size and (found.min() < low or found.max() > high):
            return None
        return found.astype(_INTEGERS[dtype]).reshape(shape)
    return None


def _walked(value: Any, dtype: int, body: JsonBody) -> npt.NDArray[Any]:
    """The array, value by value."""
    shape: list[int] = []
    inner = value
    while isinstance(inner, list):
        shape.append(len(inner))
        if not inner:
            break
        inner = inner[0]
    if len(shape) > _MAX_NESTED:
        raise invalid(f"lists must not be nested deeper than {_MAX_NESTED} levels, found {len(shape)}")
    flat: list[Any] = []
    _fill(value, 0, shape, flat, dtype, body)
    return _typed(flat, dtype).reshape(shape)


def _typed(flat: list[Any], dtype: int) -> npt.NDArray[Any]:
    if dtype in _FLOATS:
        with np.errstate(over="ignore"):
            return np.array(flat, dtype=np.float64).astype(_FLOATS[dtype])
    if dtype in _INTEGERS:
        wide = np.uint64 if dtype == DataType.DT_UINT64 else np.int64
        return np.array(flat, dtype=wide).astype(_INTEGERS[dtype])
    if dtype == _BOOL:
        return np.array(flat, dtype=np.bool_)
    found = np.empty(len(flat), dtype=np.object_)
    found[:] = flat
    return found


def _fill(value: Any, level: int, shape: list[int], flat: list[Any], dtype: int, body: JsonBody) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {debug_text(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        flat.append(_checked(value, dtype, body))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        _fill(item, level + 1, shape, flat, dtype, body)


def _checked(value: Any, dtype: int, body: JsonBody) -> Any:
    if value is None and body.null_is_nan:
        value = float("nan")
    if isinstance(value, dict):
        if dtype == _STRING:
            return decode_base64(value)
        raise _type_error(value, dtype)
    if dtype == _STRING:
        if isinstance(value, str):
            return body.bytes_of(value)
    elif dtype == _BOOL:
        if isinstance(value, bool):
            return value
    elif dtype in _FLOATS:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return as_double(value)
    elif dtype in _INTEGERS:
        low, high = _RANGES[dtype]
        if type(value) is int and low <= value <= high:
            return value
    else:
        raise RequestError(
            StatusCode.UNIMPLEMENTED, f"Conversion of JSON Value: {debug_text(value)} to type: {type_name(dtype)}"
        )
    raise _type_error(value, dtype)


def as_double(value: float) -> float:
    """A number as a float.

    Raises:
        RequestError: It is an integer beyond what a double holds.
    """
    try:
        return float(value)
    except OverflowError as error:
        raise invalid("JSON Parse error: Number too big to be stored in double.") from error


def _type_error(value: Any, dtype: int) -> RequestError:
    return invalid(
        f"JSON Value: {debug_text(value)} Type: {kind_of(value)} is not of expected type: {type_name(dtype)}"
    )


def _format_error(document: Any, text: str) -> RequestError:
    return invalid(f"JSON Value: {debug_text(document)} {text}")


def _shape(shape: Sequence[int]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"
