"""Read the signature of a TensorFlow Lite file as TensorFlow Serving reads it.

TensorFlow Serving ignores the signatures that the converter writes. It reads the metadata entry
`signature_defs_metadata`: a FlexBuffer map from signature key to a serialised `SignatureDef`
(tensorflow/serving, servables/tensorflow/tflite_session.cc). Without it, one `serving_default` is
made of the tensor names cut at ':'.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from google.protobuf.message import DecodeError

from forecasting.errors import ArtifactError
from forecasting.wire.messages import DataType, SignatureDef

METADATA_ENTRY = "signature_defs_metadata"
PREDICT_METHOD_NAME = "tensorflow/serving/predict"

# Numbers of tflite.TensorType to those of tensorflow.DataType.
_TENSOR_TYPES: dict[int, int] = {
    0: DataType.DT_FLOAT,
    2: DataType.DT_INT32,
    3: DataType.DT_UINT8,
    4: DataType.DT_INT64,
    5: DataType.DT_STRING,
    6: DataType.DT_BOOL,
    7: DataType.DT_INT16,
    8: DataType.DT_COMPLEX64,
    9: DataType.DT_INT8,
    10: DataType.DT_DOUBLE,
}


def read_signatures(model: bytes) -> dict[str, Any]:
    """Signatures (`SignatureDef` by key) under which TensorFlow Serving offers a model.

    Raises:
        ArtifactError: The bytes are no TensorFlow Lite model, or a tensor has a type without a name.
    """
    with _reading(model):
        return _signatures(model)


def operation_names(model: bytes) -> list[str]:
    """Names of the kinds of operations in a model; a custom one is `CUSTOM` and its own name, one without a name its number.

    Raises:
        ArtifactError: The bytes are no TensorFlow Lite model.
    """
    from ai_edge_litert import schema_py_generated as schema

    known = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    with _reading(model):
        tree = schema.Model.GetRootAs(model, 0)
        codes = [tree.OperatorCodes(index) for index in range(tree.OperatorCodesLength())]
        # Numbers past 127 stand in the newer field alone; a reader takes the larger one.
        numbers = [max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) for code in codes]
        custom = [code.CustomCode() for code in codes]
        names = (known.get(number, str(number)) for number in numbers)
        return [name if own is None else f"{name} {_text(own)}" for name, own in zip(names, custom, strict=True)]


@contextmanager
def _reading(model: bytes) -> Iterator[None]:
    if model[4:8] != b"TFL3":
        raise ArtifactError(
            "a TensorFlow Lite model must have the file identifier TFL3; the file is something else or cut short"
        )
    try:
        yield
    except (struct.error, LookupError, TypeError, ValueError, AttributeError, DecodeError, MemoryError) as error:
        raise ArtifactError(
            f"a TensorFlow Lite model must be a whole FlatBuffer; the file is cut short or altered ({error})"
        ) from error


def _signatures(model: bytes) -> dict[str, Any]:
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    for entry in tree.metadata or []:
        if _text(entry.name) == METADATA_ENTRY:
            return _read_map(bytes(tree.buffers[entry.buffer].data))
    graph = tree.subgraphs[0]
    signature = SignatureDef(method_name=PREDICT_METHOD_NAME)
    for indices, target in ((graph.inputs, signature.inputs), (graph.outputs, signature.outputs)):
        for index in indices:
            tensor = graph.tensors[index]
            # Several outputs of one name before ':' become one, the last: TensorFlow Serving does so too.
            entry = target[_text(tensor.name).partition(":")[0]]
            entry.Clear()
            _fill(entry, tensor)
    return {"serving_default": signature}


def _read_map(blob: bytes) -> dict[str, Any]:
    from flatbuffers import flexbuffers

    entries = flexbuffers.GetRoot(bytearray(blob)).AsMap
    return {
        entries.Keys[index].AsKey: SignatureDef.FromString(bytes(entries.Values[index].AsStringBytes))
        for index in range(len(entries))
    }


def _fill(target: Any, tensor: Any) -> None:
    target.name = _text(tensor.name)
    if tensor.type not in _TENSOR_TYPES:
        raise ArtifactError(f"tensor {target.name!r} has TensorFlow Lite type {tensor.type}, which is not served")
    target.dtype = _TENSOR_TYPES[tensor.type]
    for size in tensor.shape if tensor.shape is not None else []:
        target.tensor_shape.dim.add(size=int(size))


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
