"""TensorFlow Serving's JSON: request bodies to arrays and arrays to response bodies.

Rules and texts follow util/json_tensor.cc: rows (`instances` to `predictions`) or columns (`inputs`
to `outputs`); integers are accepted for floats and not the other way; a missing value is the bare
token NaN, never null or a string.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from forecasting.contracts.signature import SERVING_DEFAULT
from forecasting.wire.tensors import numpy_type, type_name
from serving.model_server.backends import Arrays
from serving.model_server.status import RequestError, StatusCode, invalid


@dataclass(frozen=True)
class JsonRequest:
    """A parsed body: the values, and whether they came as rows or as columns."""

    signature_name: str
    values: Any
    as_rows: bool


def parse_body(body: bytes) -> JsonRequest:
    """Parse the body of a predict request.

    Raises:
        RequestError: It is no JSON object or lacks the values.
    """
    document = _parse_json(body)
    if not isinstance(document, dict):
        raise invalid("Request must be a JSON object")
    signature_name = document.get("signature_name", SERVING_DEFAULT)
    if not isinstance(signature_name, str):
        raise invalid("'signature_name' key must be a string value.")
    if "instances" in document and "inputs" in document:
        raise invalid("Not formatted correctly expecting only either 'instances' or 'inputs' keys in the request.")
    if "instances" in document:
        rows = document["instances"]
        if not isinstance(rows, list):
            raise invalid("Expecting 'instances' to be an list/array")
        if not rows:
            raise invalid("No values in 'instances' array")
        return JsonRequest(signature_name, rows, as_rows=True)
    if "inputs" not in document:
        raise invalid("Missing 'inputs' or 'instances' key")
    return JsonRequest(signature_name, document["inputs"], as_rows=False)


def feeds_of(request: JsonRequest, signature: Any) -> Arrays:
    """Arrays by input alias.

    Raises:
        RequestError: A value has a wrong type or shape, or a name is missing or unknown.
    """
    return _row_feeds(request.values, signature) if request.as_rows else _column_feeds(request.values, signature)


def render(results: Arrays, *, as_rows: bool) -> bytes:
    """The response body; one output comes without its name.

    Raises:
        RequestError: Rows were asked for and the outputs have no common batch dimension.
    """
    if not as_rows:
        values = next(iter(results.values())) if len(results) == 1 else results
        return _dump({"outputs": values})
    n_rows: int | None = None
    for name, array in results.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information")
        if n_rows is not None and len(array) != n_rows:
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {n_rows}")
        n_rows = len(array)
    if len(results) == 1:
        return _dump({"predictions": next(iter(results.values()))})
    return _dump({"predictions": [{name: array[row] for name, array in results.items()} for row in range(n_rows or 0)]})


def error_body(message: str) -> bytes:
    """`{"error": …}`."""
    return orjson.dumps({"error": message})


def _parse_json(body: bytes) -> Any:
    if not body.strip():
        raise invalid("JSON Parse error: The document is empty")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    # The slow parser also reads NaN and Infinity and stops after the first value, as TensorFlow Serving does.
    try:
        return json.JSONDecoder().raw_decode(body.decode("utf-8").lstrip())[0]
    except UnicodeDecodeError as error:
        raise invalid(f"JSON Parse error: Invalid encoding at offset: {error.start}") from error
    except json.JSONDecodeError as error:
        raise invalid(f"JSON Parse error: Invalid value at offset: {error.pos}") from error
    except (RecursionError, ValueError) as error:
        raise invalid("JSON Parse error: nested too deep or a number too long") from error


def _row_feeds(rows: list[Any], signature: Any) -> Arrays:
    names = sorted(signature.inputs)
    if not isinstance(rows[0], dict):
        if len(names) != 1:
            raise invalid(
                "instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map"
            )
        return {
            names[0]: _stacked(rows, signature.inputs[names[0]].dtype, "Expecting value/list but got object at item")
        }
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            raise invalid(f"Expecting object but got {_kind(row).lower()} at item {position} of input list")
        for key in row:
            if key not in signature.inputs:
                raise invalid(
                    f"Failed to process element: {position} key: {key} of 'instances' list. JSON object: does not have named input: {key}"
                )
        if len(row) != len(names):
            missing = next(name for name in names if name not in row)
            raise invalid(
                f"Failed to process element: {position} of 'instances' list. JSON object must have keys: {', '.join(names)}; missing: {missing}"
            )
    return {name: _stacked([row[name] for row in rows], signature.inputs[name].dtype, "") for name in names}


def _column_feeds(values: Any, signature: Any) -> Arrays:
    names = sorted(signature.inputs)
    if not isinstance(values, dict):
        if len(names) != 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map"
            )
        return {names[0]: _array(values, signature.inputs[names[0]].dtype)}
    for name in names:
        if name not in values:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: _array(values[name], signature.inputs[name].dtype) for name in names}


def _stacked(rows: list[Any], dtype_number: int, object_text: str) -> npt.NDArray[Any]:
    for position, row in enumerate(rows):
        if isinstance(row, dict) and object_text:
            raise invalid(f"{object_text} {position} of input list")
    dtype = _numeric(dtype_number)
    fast = _fast_array(rows, dtype)
    if fast is not None:
        return fast
    arrays = [_array(row, dtype_number) for row in rows]
    first = arrays[0]
    for array in arrays[1:]:
        if array.size != first.size:
            raise invalid(f"Expecting tensor size: {first.size} but got: {array.size}")
        if array.shape != first.shape:
            raise invalid(f"Expecting shape {_shape(first.shape)} but got: {_shape(array.shape)}")
    return np.stack(arrays)


def _array(value: Any, dtype_number: int) -> npt.NDArray[Any]:
    dtype = _numeric(dtype_number)
    fast = _fast_array(value, dtype)
    if fast is not None:
        return fast
    shape: list[int] = []
    inner = value
    while isinstance(inner, list):
        shape.append(len(inner))
        if not inner:
            break
        inner = inner[0]
    flat: list[Any] = []
    _flatten(value, shape, 0, flat, dtype_number)
    try:
        return np.array(flat, dtype=dtype).reshape(shape)
    except OverflowError as error:
        raise invalid(f"JSON Value: a number is out of the range of type: {type_name(dtype_number)}") from error


def _fast_array(value: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any] | None:
    """The array where NumPy alone can tell that every value has an allowed type, else none."""
    try:
        found = np.array(value)
    except ValueError:  # ragged: the slow way finds where
        return None
    allowed = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}[dtype.kind]
    if found.dtype.kind not in allowed or (found.dtype.kind != "b" and _has_bool(value)):
        return None
    if dtype.kind in "iu" and found.size and (found.min() < np.iinfo(dtype).min or found.max() > np.iinfo(dtype).max):
        return None
    return found.astype(dtype)


def _has_bool(value: Any) -> bool:
    """Whether a list holds a truth value, which NumPy would take for a number."""
    if isinstance(value, list):
        return (
            any(map(_has_bool, value))
            if value and isinstance(value[0], list)
            else any(kind is bool for kind in set(map(type, value)))
        )
    return isinstance(value, bool)


def _flatten(value: Any, shape: list[int], level: int, flat: list[Any], dtype_number: int) -> None:
    if isinstance(value, list):
        if level >= len(shape):
            raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(value) != shape[level]:
            raise invalid(
                f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
            )
        for item in value:
            _flatten(item, shape, level + 1, flat, dtype_number)
        return
    if level != len(shape):
        raise invalid(f"JSON Value: {_text(value)} found at level: {level}, expecting a list of level {len(shape)}")
    if not _allowed(value, numpy_type(dtype_number).kind):
        raise invalid(
            f"JSON Value: {_text(value)} Type: {_kind(value)} is not of expected type: {type_name(dtype_number)}"
        )
    flat.append(value)


def _allowed(value: Any, kind: str) -> bool:
    if kind == "b":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (kind == "f" and isinstance(value, float))


def _numeric(dtype_number: int) -> np.dtype[Any]:
    try:
        return numpy_type(dtype_number)
    except ValueError as error:
        raise RequestError(StatusCode.UNIMPLEMENTED, str(error)) from error


def _kind(value: Any) -> str:
    kinds: Mapping[type, str] = {
        type(None): "Null",
        str: "String",
        bool: "Bool",
        int: "Number",
        float: "Number",
        list: "List",
        dict: "Object",
    }
    return kinds[type(value)]


def _text(value: Any) -> str:
    return json.dumps(value)[:100]


def _shape(shape: tuple[int, ...]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"


def _dump(document: Any) -> bytes:
    if _finite(document):
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return json.dumps(document, default=_plain).encode()


def _finite(value: Any) -> bool:
    if isinstance(value, np.ndarray | np.generic):
        return bool(np.isfinite(value).all())
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return all(map(_finite, value))


def _plain(array: npt.NDArray[Any]) -> Any:
    if array.dtype.kind == "f":
        # The shortest text of the float32, not of the double it widens to.
        return (
            np.array([float(str(value)) if math.isfinite(value) else float(value) for value in array.ravel()])
            .reshape(array.shape)
            .tolist()
        )
    return array.tolist()
