"""NumPy arrays and `TensorProto`, both ways.

Strings are arrays of objects that hold bytes. NumPy knows `bfloat16` once TensorFlow has been imported.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.wire.messages import DataType, TensorProto


@dataclass(frozen=True)
class _TypeSpec:
    """NumPy type, name of the typed field, and the type in which that field keeps the bits where it differs."""

    dtype: np.dtype[Any]
    field: str
    bits: np.dtype[Any] | None = None


def _spec(dtype: npt.DTypeLike, field: str, bits: npt.DTypeLike | None = None) -> _TypeSpec:
    return _TypeSpec(np.dtype(dtype), field, None if bits is None else np.dtype(bits))


_TYPES: dict[int, _TypeSpec] = {
    DataType.DT_FLOAT: _spec(np.float32, "float_val"),
    DataType.DT_DOUBLE: _spec(np.float64, "double_val"),
    DataType.DT_INT32: _spec(np.int32, "int_val"),
    DataType.DT_INT64: _spec(np.int64, "int64_val"),
    DataType.DT_INT16: _spec(np.int16, "int_val"),
    DataType.DT_INT8: _spec(np.int8, "int_val"),
    DataType.DT_UINT8: _spec(np.uint8, "int_val"),
    DataType.DT_UINT16: _spec(np.uint16, "int_val"),
    DataType.DT_UINT32: _spec(np.uint32, "uint32_val"),
    DataType.DT_UINT64: _spec(np.uint64, "uint64_val"),
    DataType.DT_BOOL: _spec(np.bool_, "bool_val"),
    DataType.DT_HALF: _spec(np.float16, "half_val", np.uint16),
    DataType.DT_COMPLEX64: _spec(np.complex64, "scomplex_val", np.float32),
    DataType.DT_COMPLEX128: _spec(np.complex128, "dcomplex_val", np.float64),
    DataType.DT_STRING: _spec(np.object_, "string_val"),
}
_NUMBERS = {spec.dtype: int(number) for number, spec in _TYPES.items()}
_BFLOAT16 = "bfloat16"
_WIDE_FIELDS = ("int_val", "half_val")
_MAX_DIMENSIONS = 64
MAX_REPEATED_BYTES = 2**28
"""Memory that a short list of values may be spread over: a few bytes on the wire must not fill the machine."""
_NAMES = {int(number): number.name.removeprefix("DT_").lower() for number in DataType}


def type_number(dtype: npt.DTypeLike) -> int:
    """TensorFlow's number of a NumPy type.

    Raises:
        ValueError: TensorFlow has no such type.
    """
    found = np.dtype(dtype)
    number = _NUMBERS.get(found)
    if number is not None:
        return number
    if found.name == _BFLOAT16:
        return int(DataType.DT_BFLOAT16)
    raise ValueError(f"a tensor cannot hold NumPy's {found}")


def numpy_type(number: int) -> np.dtype[Any]:
    """NumPy type of TensorFlow's number.

    Raises:
        ValueError: The type has no NumPy form here (references, resources, quantised types).
    """
    return _spec_of(number).dtype


def type_name(number: int) -> str:
    """TensorFlow's short name of a type number, for example `float`."""
    return str(_NAMES.get(number, number))


def to_tensor(array: npt.NDArray[Any], *, as_content: bool = True) -> Any:
    """Make a `TensorProto`.

    Args:
        array: Any shape; strings as objects that hold bytes.
        as_content: Raw little-endian bytes (fast) instead of the typed field, which TensorFlow
            Serving answers with. Strings always go into their field.
    """
    tensor = TensorProto(dtype=type_number(array.dtype))
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if as_content and array.dtype.kind != "O":
        tensor.tensor_content = np.ascontiguousarray(array).tobytes()
    else:
        spec = _spec_of(tensor.dtype)
        flat = np.ascontiguousarray(array).ravel()
        getattr(tensor, spec.field).extend((flat if spec.bits is None else flat.view(spec.bits)).tolist())
    return tensor


def from_tensor(tensor: Any) -> npt.NDArray[Any]:
    """Read a `TensorProto` as TensorFlow does: of too few values the last repeats, none are zeros, too many are cut.

    Raises:
        ValueError: The type is not supported, or the values do not fit the shape.
    """
    spec = _spec_of(tensor.dtype)
    shape = tensor_shape(tensor)
    if tensor.tensor_content:
        return _from_content(tensor.tensor_content, spec.dtype, shape)
    field = getattr(tensor, spec.field)
    if spec.field in _WIDE_FIELDS:
        # The field is wider than the type: what does not fit loses its upper bits, as in TensorFlow.
        narrow = np.array(field, dtype=np.int64).astype(spec.dtype if spec.bits is None else spec.bits)
        values = narrow if spec.bits is None else narrow.view(spec.dtype)
    elif spec.bits is not None:
        n_whole = len(field) * np.dtype(spec.bits).itemsize // spec.dtype.itemsize
        whole = field[: n_whole * spec.dtype.itemsize // np.dtype(spec.bits).itemsize]
        values = np.array(whole, dtype=spec.bits).view(spec.dtype)
    elif spec.dtype.kind == "O":
        values = np.empty(len(field), dtype=np.object_)
        values[:] = list(field)
    else:
        values = np.array(field, dtype=spec.dtype)
    return _fitted(values, shape)


def repeated_bytes(tensor: Any) -> int:
    """Bytes that a `TensorProto` takes where its last value repeats; 0 where all values are there.

    Raises:
        ValueError: The type is not supported, or the shape is not known.
    """
    spec, size = _spec_of(tensor.dtype), math.prod(tensor_shape(tensor))
    complete = bool(tensor.tensor_content) or len(getattr(tensor, spec.field)) >= size
    return 0 if complete else size * spec.dtype.itemsize


def tensor_shape(tensor: Any) -> tuple[int, ...]:
    """The shape of a `TensorProto`.

    Raises:
        ValueError: It is not known, or has more dimensions than NumPy.
    """
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    # Without dimensions, TensorFlow takes an unknown rank for none.
    if (tensor.tensor_shape.unknown_rank and shape) or (shape and min(shape) < 0):
        raise ValueError(f"tensor shape must be known, found {shape}")
    if len(shape) > _MAX_DIMENSIONS:
        raise ValueError(f"a tensor must have at most {_MAX_DIMENSIONS} dimensions, found {len(shape)}")
    return shape


def _from_content(content: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind == "O" or len(content) != size:
        if size == 0:
            return np.zeros(shape, dtype=dtype)
        raise ValueError(f"tensor_content must hold {size} bytes for shape {shape}, found {len(content)}")
    if dtype.kind == "b" and max(content) > 1:
        raise ValueError(f"tensor_content of type bool must hold zeros and ones, found {max(content)}")
    return np.frombuffer(content, dtype=dtype).reshape(shape)


def _fitted(values: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    size = math.prod(shape)
    if values.size < size:
        if size * values.itemsize > MAX_REPEATED_BYTES:
            raise ValueError(
                f"values that repeat must not take more than {MAX_REPEATED_BYTES} bytes, found {values.size} values for shape "
                f"{shape}; send all of them"
            )
        zero = b"" if values.dtype.kind == "O" else 0
        last = values[-1] if values.size else zero
        values = np.concatenate([values, np.full(size - values.size, last, dtype=values.dtype)])
    return values[:size].reshape(shape)


def _spec_of(number: int) -> _TypeSpec:
    if number == DataType.DT_BFLOAT16:
        try:
            return _spec(np.dtype(_BFLOAT16), "half_val", np.uint16)
        except TypeError:
            raise ValueError("tensor type bfloat16 is supported only beside TensorFlow") from None
    if number not in _TYPES:
        raise ValueError(f"tensor type {type_name(number)} is not supported")
    return _TYPES[number]
