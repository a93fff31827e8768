"""NumPy arrays and `TensorProto`, both ways, for the numeric types that models here use."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.wire.messages import TensorProto, types_pb2

_TYPES: dict[int, tuple[np.dtype[Any], str]] = {
    types_pb2.DT_FLOAT: (np.dtype(np.float32), "float_val"),
    types_pb2.DT_DOUBLE: (np.dtype(np.float64), "double_val"),
    types_pb2.DT_INT32: (np.dtype(np.int32), "int_val"),
    types_pb2.DT_INT64: (np.dtype(np.int64), "int64_val"),
    types_pb2.DT_INT16: (np.dtype(np.int16), "int_val"),
    types_pb2.DT_INT8: (np.dtype(np.int8), "int_val"),
    types_pb2.DT_UINT8: (np.dtype(np.uint8), "int_val"),
    types_pb2.DT_BOOL: (np.dtype(np.bool_), "bool_val"),
}
_NUMBERS = {dtype: number for number, (dtype, _) in _TYPES.items()}


def type_number(dtype: npt.DTypeLike) -> int:
    """TensorFlow's number of a NumPy type.

    Raises:
        ValueError: TensorFlow Serving clients here do not send this type.
    """
    try:
        return _NUMBERS[np.dtype(dtype)]
    except KeyError:
        raise ValueError(f"tensors must be numeric, found {np.dtype(dtype)}") from None


def numpy_type(number: int) -> np.dtype[Any]:
    """NumPy type of TensorFlow's number.

    Raises:
        ValueError: The type has no numeric NumPy form here (strings, half floats, complex numbers).
    """
    if number not in _TYPES:
        raise ValueError(f"tensor type {type_name(number)} is not supported")
    return _TYPES[number][0]


def type_name(number: int) -> str:
    """TensorFlow's short name of a type number, for example `float`."""
    if number in types_pb2.DataType.values():
        return str(types_pb2.DataType.Name(number)).removeprefix("DT_").lower()
    return str(number)


def to_tensor(array: npt.NDArray[Any], *, as_content: bool = True) -> Any:
    """Make a `TensorProto`.

    Args:
        array: Any shape, a numeric type.
        as_content: Raw little-endian bytes (fast) instead of the typed field, which TensorFlow
            Serving answers with.
    """
    tensor = TensorProto(dtype=type_number(array.dtype))
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if as_content:
        tensor.tensor_content = np.ascontiguousarray(array).tobytes()
    else:
        field = _TYPES[tensor.dtype][1]
        getattr(tensor, field).extend(array.ravel().tolist())
    return tensor


def from_tensor(tensor: Any) -> npt.NDArray[Any]:
    """Read a `TensorProto`; a short list of values repeats its last one, as TensorFlow has it.

    Raises:
        ValueError: The type is not supported, or the values do not fit the shape.
    """
    dtype = numpy_type(tensor.dtype)
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise ValueError(f"tensor shape must be known, found {shape}")
    size = math.prod(shape)
    if tensor.tensor_content:
        if len(tensor.tensor_content) != size * dtype.itemsize:
            raise ValueError(
                f"tensor_content must hold {size * dtype.itemsize} bytes for shape {shape}, found {len(tensor.tensor_content)}"
            )
        return np.frombuffer(tensor.tensor_content, dtype=dtype).reshape(shape)
    values = np.array(getattr(tensor, _TYPES[tensor.dtype][1]), dtype=dtype)
    if values.size > size or (values.size == 0 and size > 0):
        raise ValueError(f"shape {shape} takes {size} values, found {values.size}")
    if values.size < size:
        values = np.concatenate([values, np.full(size - values.size, values[-1], dtype=dtype)])
    return values.reshape(shape)
