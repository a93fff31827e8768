"""The contract's signature on a converted model, for LiteRT and for TensorFlow Serving."""

from typing import Any

import flatbuffers
from flatbuffers import flexbuffers
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.lite.python import schema_py_generated as schema

from forecasting.contracts.signature import QUANTILES, SERVING_DEFAULT
from forecasting.errors import ArtifactError
from forecasting.neural.export import ForecastModule
from forecasting.wire.lite_signatures import METADATA_ENTRY, PREDICT_METHOD_NAME

_FILE_IDENTIFIER = b"TFL3"


def name_signature(model: bytes, module: ForecastModule) -> bytes:
    """Give a converted model the contract's signature, for LiteRT and for TensorFlow Serving.

    LiteRT reads `signatureDefs`, TensorFlow Serving the metadata entry `signature_defs_metadata`, a
    flexbuffer map of serialised SignatureDef messages.
    """
    parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    graph = parsed.subgraphs[0]
    names = list(module.spec.signature.input_shapes())
    inputs = {_input_name(graph.tensors[i].name.decode(), names): i for i in graph.inputs}
    outputs = {QUANTILES: graph.outputs[0]}
    parsed.signatureDefs = [_lite_signature(inputs, outputs)]
    _add_serving_metadata(parsed, graph, inputs, outputs)
    builder = flatbuffers.Builder(1024)
    builder.Finish(parsed.Pack(builder), file_identifier=_FILE_IDENTIFIER)
    return bytes(builder.Output())


def _input_name(tensor_name: str, names: list[str]) -> str:
    plain = tensor_name.split(":")[0].removeprefix(f"{SERVING_DEFAULT}_")
    if plain not in names:
        raise ArtifactError(f"the converted model has an input {tensor_name!r}, expected one of {names}")
    return plain


def _lite_signature(inputs: dict[str, int], outputs: dict[str, int]) -> Any:
    signature = schema.SignatureDefT()
    signature.signatureKey = SERVING_DEFAULT.encode()
    signature.subgraphIndex = 0
    signature.inputs = [_tensor_map(name, index) for name, index in inputs.items()]
    signature.outputs = [_tensor_map(name, index) for name, index in outputs.items()]
    return signature


def _tensor_map(name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), index
    return entry


def _add_serving_metadata(parsed: Any, graph: Any, inputs: dict[str, int], outputs: dict[str, int]) -> None:
    signature = meta_graph_pb2.SignatureDef(method_name=PREDICT_METHOD_NAME)
    for names, target in ((inputs, signature.inputs), (outputs, signature.outputs)):
        for name, index in names.items():
            tensor = graph.tensors[index]
            shape = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
            target[name].name = tensor.name.decode()
            target[name].dtype = types_pb2.DT_FLOAT
            for size in shape:
                target[name].tensor_shape.dim.add(size=int(size))
    raw = signature.SerializeToString(deterministic=True)
    if b"\0" in raw:
        # The reader takes the text up to the first zero byte.
        raise ArtifactError("the signature cannot be written for TensorFlow Serving: a dimension is 0")
    flex = flexbuffers.Builder()
    with flex.Map():
        flex.Key(SERVING_DEFAULT)
        # The public String() would encode the bytes as UTF-8.
        flex._WriteBlob(raw, append_zero=True, type_=flexbuffers.Type.STRING)  # noqa: SLF001
    buffer = schema.BufferT()
    buffer.data = bytearray(flex.Finish())
    parsed.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA_ENTRY.encode(), len(parsed.buffers) - 1
    parsed.metadata = [*(parsed.metadata or []), entry]
