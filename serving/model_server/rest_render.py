"""Arrays and results to response bodies, as util/json_tensor.cc of TensorFlow Serving writes them."""

import base64
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from forecasting.wire.messages import DataType
from forecasting.wire.tensors import type_name, type_number
from serving.model_server.backends import Arrays
from serving.model_server.status import invalid

_WRITTEN = {
    int(number)
    for number in (
        DataType.DT_FLOAT,
        DataType.DT_DOUBLE,
        DataType.DT_INT32,
        DataType.DT_INT16,
        DataType.DT_INT8,
        DataType.DT_UINT8,
        DataType.DT_STRING,
        DataType.DT_INT64,
        DataType.DT_BOOL,
        DataType.DT_UINT32,
        DataType.DT_UINT64,
    )
}
_BYTES_SUFFIX = "_bytes"


def render_outputs(results: Arrays, *, as_rows: bool) -> bytes:
    """The body of a predict response; one output comes without its name.

    Raises:
        RequestError: Rows were asked for and the outputs have no common batch size, or a type has no JSON form.
    """
    if not results:
        raise invalid("Cannot convert empty tensor map to JSON")
    if as_rows:
        n_rows = _batch_size(results)
    values = {name: _value(name, array) for name, array in results.items()}
    single = next(iter(values.values())) if len(values) == 1 else None
    if not as_rows:
        return dump({"outputs": values if single is None else single})
    if single is not None:
        return dump({"predictions": single})
    return dump({"predictions": [{name: value[row] for name, value in values.items()} for row in range(n_rows)]})


def render_classifications(result: Any) -> bytes:
    """The body of a classify response."""
    rows = [[[one.label, np.float32(one.score)] for one in entry.classes] for entry in result.classifications]
    if not rows:
        raise invalid("Cannot convert empty ClassificationResults to JSON")
    return dump({"results": rows})


def render_regressions(result: Any) -> bytes:
    """The body of a regress response."""
    values = np.array([entry.value for entry in result.regressions], dtype=np.float32)
    if not values.size:
        raise invalid("Cannot convert empty RegressionResults to JSON")
    return dump({"results": values})


def error_body(message: str) -> bytes:
    """`{"error": …}`."""
    return json.dumps({"error": message}, ensure_ascii=False).encode("utf-8", "replace")


def dump(document: Any) -> bytes:
    """JSON of arrays, bytes and plain values; NaN and Infinity are bare tokens."""
    if _finite(document):
        try:
            return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
        except orjson.JSONEncodeError:
            pass
    # Strings that are no UTF-8 leave as the bytes that they are, as RapidJSON writes them.
    return json.dumps(document, default=_plain, ensure_ascii=False).encode("utf-8", "surrogateescape")


def _batch_size(results: Arrays) -> int:
    size: int | None = None
    for name, array in results.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if size is not None and len(array) != size:
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {size}")
        size = len(array)
    return size or 0


def _value(name: str, array: npt.NDArray[Any]) -> Any:
    if array.dtype == np.float32 and array.flags.c_contiguous:
        return array
    number = type_number(array.dtype)
    if number not in _WRITTEN:
        raise invalid(f"Failed to write JSON value for tensor type: {type_name(number)}")
    if number != DataType.DT_STRING:
        return np.ascontiguousarray(array).reshape(array.shape)
    as_bytes = name.endswith(_BYTES_SUFFIX)
    write = _base64 if as_bytes else _text
    flat = np.empty(array.size, dtype=np.object_)
    flat[:] = [write(value) for value in array.ravel()]
    return flat.reshape(array.shape).tolist()


def _base64(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode()}


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _finite(value: Any) -> bool:
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind != "f" or bool(np.isfinite(value).all())
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list):
        return all(map(_finite, value))
    return True


def _plain(value: Any) -> Any:
    """An array as lists; a float32 by its own shortest text, not by that of the double it widens to."""
    if value.dtype.kind != "f" or value.dtype == np.float64:
        return value.tolist()
    shortest = [float(str(number)) for number in np.ravel(value)]
    return np.array(shortest).reshape(np.shape(value)).tolist()
