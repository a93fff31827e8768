"""The descriptors of every message that our clients and our server speak, taken from the locked wheels.

`python -m tests.contract.descriptor_set` writes `forecasting/wire/tensorflow_serving.binpb`. Three small
files of the official server are in no wheel; their messages are written down here.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet

import forecasting.wire

TARGET = Path(forecasting.wire.__file__).parent / "tensorflow_serving.binpb"
ROOTS = (
    "tensorflow.core.example.example_pb2",
    "tensorflow.core.protobuf.error_codes_pb2",
    "tensorflow.core.protobuf.saved_model_pb2",
    "tensorflow_serving.apis.classification_pb2",
    "tensorflow_serving.apis.get_model_metadata_pb2",
    "tensorflow_serving.apis.get_model_status_pb2",
    "tensorflow_serving.apis.inference_pb2",
    "tensorflow_serving.apis.model_management_pb2",
    "tensorflow_serving.apis.predict_pb2",
    "tensorflow_serving.apis.prediction_log_pb2",
    "tensorflow_serving.apis.regression_pb2",
    "tensorflow_serving.config.model_server_config_pb2",
)
_BOOL, _STRING, _INT64 = (
    FieldDescriptorProto.TYPE_BOOL,
    FieldDescriptorProto.TYPE_STRING,
    FieldDescriptorProto.TYPE_INT64,
)
_INT64_VALUE, _BOOL_VALUE, _STRING_VALUE = (f".google.protobuf.{name}Value" for name in ("Int64", "Bool", "String"))
_NOT_IN_THE_WHEELS: dict[str, dict[str, list[tuple[str, int, int | str]]]] = {
    "monitoring_config": {
        "PrometheusConfig": [("enable", 1, _BOOL), ("path", 2, _STRING)],
        "MonitoringConfig": [("prometheus_config", 1, ".tensorflow.serving.PrometheusConfig")],
    },
    "ssl_config": {
        "SSLConfig": [
            ("server_key", 1, _STRING),
            ("server_cert", 2, _STRING),
            ("custom_ca", 3, _STRING),
            ("client_verify", 4, _BOOL),
        ]
    },
    "session_bundle_config": {
        "BatchingParameters": [
            ("max_batch_size", 1, _INT64_VALUE),
            ("batch_timeout_micros", 2, _INT64_VALUE),
            ("max_enqueued_batches", 3, _INT64_VALUE),
            ("num_batch_threads", 4, _INT64_VALUE),
            ("thread_pool_name", 5, _STRING_VALUE),
            ("enable_large_batch_splitting", 8, _BOOL_VALUE),
            ("max_execution_batch_size", 9, _INT64_VALUE),
            ("allowed_batch_sizes", 6, _INT64),
            ("pad_variable_length_inputs", 7, _BOOL),
        ]
    },
}
_REPEATED = {"allowed_batch_sizes"}


def descriptor_set() -> FileDescriptorSet:
    """All files, each after those it needs."""
    found: dict[str, FileDescriptorProto] = {}
    with _light_tensorflow():
        for root in ROOTS:
            _collect(importlib.import_module(root).DESCRIPTOR, found)
    for name, messages in _NOT_IN_THE_WHEELS.items():
        found[name] = _written(name, messages)
    return FileDescriptorSet(file=found.values())


@contextmanager
def _light_tensorflow() -> Iterator[None]:
    """Let `tensorflow.core…_pb2` be imported without executing `tensorflow/__init__.py`, which costs seconds."""
    if "tensorflow" in sys.modules:
        yield
        return
    stand_in = ModuleType("tensorflow")
    stand_in.__path__ = list(importlib.util.find_spec("tensorflow").submodule_search_locations)
    sys.modules["tensorflow"] = stand_in
    try:
        yield
    finally:
        del sys.modules["tensorflow"]


def _collect(file: FileDescriptor, found: dict[str, FileDescriptorProto]) -> None:
    if file.name in found:
        return
    for needed in file.dependencies:
        _collect(needed, found)
    found[file.name] = FileDescriptorProto.FromString(file.serialized_pb)


def _written(name: str, messages: dict[str, list[tuple[str, int, int | str]]]) -> FileDescriptorProto:
    file = FileDescriptorProto(
        name=f"almanac/{name}.proto",
        package="tensorflow.serving",
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )
    for message_name, fields in messages.items():
        message = file.message_type.add(name=message_name)
        for field_name, number, kind in fields:
            repeated = field_name in _REPEATED
            label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
            field = message.field.add(name=field_name, number=number, label=label)
            if isinstance(kind, str):
                field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, kind
            else:
                field.type = kind
    return file


if __name__ == "__main__":
    TARGET.write_bytes(descriptor_set().SerializeToString(deterministic=True))
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")
