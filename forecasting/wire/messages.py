"""TensorFlow Serving's protocol buffers without TensorFlow.

The generated modules of `tensorflow_serving.apis` import `tensorflow.core.*_pb2`, and with them the
whole of TensorFlow (seconds of CPU) although those files need only protobuf. While they are
imported, an empty package whose path is that of the installed `tensorflow` stands in for it; it is
taken away afterwards, so a later `import tensorflow` in the same process gets the real one and
finds the message modules already there (one class a message, one descriptor pool).
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from threading import Lock
from types import ModuleType
from typing import Any

from forecasting.errors import ConfigError

_lock = Lock()


@contextmanager
def _light_tensorflow() -> Iterator[None]:
    """Let `tensorflow.core…_pb2` be imported without executing `tensorflow/__init__.py`."""
    with _lock:
        if "tensorflow" in sys.modules:
            yield
            return
        found = importlib.util.find_spec("tensorflow")
        if found is None or found.submodule_search_locations is None:
            raise ConfigError(
                "the package tensorflow must be installed: its message classes are needed to speak to a model server"
            )
        stand_in = ModuleType("tensorflow")
        stand_in.__path__ = list(found.submodule_search_locations)
        sys.modules["tensorflow"] = stand_in
        try:
            yield
        finally:
            # Only the stand-in goes: the message modules stay, or the descriptor pool would get a second class of each.
            del sys.modules["tensorflow"]


def _load(*names: str) -> tuple[Any, ...]:
    with _light_tensorflow():
        return tuple(importlib.import_module(name) for name in names)


(
    tensor_pb2,
    tensor_shape_pb2,
    types_pb2,
    meta_graph_pb2,
    error_codes_pb2,
    model_pb2,
    predict_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    prediction_log_pb2,
    model_server_config_pb2,
) = _load(
    "tensorflow.core.framework.tensor_pb2",
    "tensorflow.core.framework.tensor_shape_pb2",
    "tensorflow.core.framework.types_pb2",
    "tensorflow.core.protobuf.meta_graph_pb2",
    "tensorflow.core.protobuf.error_codes_pb2",
    "tensorflow_serving.apis.model_pb2",
    "tensorflow_serving.apis.predict_pb2",
    "tensorflow_serving.apis.get_model_metadata_pb2",
    "tensorflow_serving.apis.get_model_status_pb2",
    "tensorflow_serving.apis.model_management_pb2",
    "tensorflow_serving.apis.prediction_log_pb2",
    "tensorflow_serving.config.model_server_config_pb2",
)

TensorProto = tensor_pb2.TensorProto
TensorShapeProto = tensor_shape_pb2.TensorShapeProto
SignatureDef = meta_graph_pb2.SignatureDef
ModelSpec = model_pb2.ModelSpec
PredictRequest = predict_pb2.PredictRequest
PredictResponse = predict_pb2.PredictResponse
GetModelMetadataRequest = get_model_metadata_pb2.GetModelMetadataRequest
GetModelMetadataResponse = get_model_metadata_pb2.GetModelMetadataResponse
SignatureDefMap = get_model_metadata_pb2.SignatureDefMap
GetModelStatusRequest = get_model_status_pb2.GetModelStatusRequest
GetModelStatusResponse = get_model_status_pb2.GetModelStatusResponse
ModelVersionStatus = get_model_status_pb2.ModelVersionStatus
ReloadConfigRequest = model_management_pb2.ReloadConfigRequest
ReloadConfigResponse = model_management_pb2.ReloadConfigResponse
PredictionLog = prediction_log_pb2.PredictionLog
ModelServerConfig = model_server_config_pb2.ModelServerConfig


class VersionState(IntEnum):
    """ModelVersionStatus.State."""

    UNKNOWN = 0
    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
