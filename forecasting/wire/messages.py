"""TensorFlow Serving's protocol buffers without TensorFlow.

The generated modules of `tensorflow_serving.apis` import all of TensorFlow. These classes are made of a
descriptor set instead, which `tests/contract/descriptor_set.py` takes from the locked wheels. They live in
a descriptor pool of their own, so another TensorFlow in the same process, of any version, is not disturbed;
what passes between its classes and ours goes as bytes.
"""

from enum import IntEnum
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet

DESCRIPTOR_SET = Path(__file__).with_name("tensorflow_serving.binpb")
_TENSORFLOW = "tensorflow."
_SERVING = "tensorflow.serving."


def make_pool(files: FileDescriptorSet) -> descriptor_pool.DescriptorPool:
    """A pool that holds some files and nothing else; each file comes after those it needs."""
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


POOL = make_pool(FileDescriptorSet.FromString(DESCRIPTOR_SET.read_bytes()))


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


def _serving(name: str) -> Any:
    return _message(_SERVING + name)


def _data_types() -> Any:
    values = POOL.FindEnumTypeByName(_TENSORFLOW + "DataType").values
    return IntEnum("DataType", {value.name: value.number for value in values})


TensorProto = _message(_TENSORFLOW + "TensorProto")
TensorInfo = _message(_TENSORFLOW + "TensorInfo")
SignatureDef = _message(_TENSORFLOW + "SignatureDef")
SavedModel = _message(_TENSORFLOW + "SavedModel")
Example = _message(_TENSORFLOW + "Example")
ConfigProto = _message(_TENSORFLOW + "ConfigProto")
ModelSpec = _serving("ModelSpec")
PredictRequest = _serving("PredictRequest")
PredictResponse = _serving("PredictResponse")
Input = _serving("Input")
ClassificationRequest = _serving("ClassificationRequest")
ClassificationResponse = _serving("ClassificationResponse")
ClassificationResult = _serving("ClassificationResult")
RegressionRequest = _serving("RegressionRequest")
RegressionResponse = _serving("RegressionResponse")
RegressionResult = _serving("RegressionResult")
MultiInferenceRequest = _serving("MultiInferenceRequest")
MultiInferenceResponse = _serving("MultiInferenceResponse")
GetModelMetadataRequest = _serving("GetModelMetadataRequest")
GetModelMetadataResponse = _serving("GetModelMetadataResponse")
SignatureDefMap = _serving("SignatureDefMap")
GetModelStatusRequest = _serving("GetModelStatusRequest")
GetModelStatusResponse = _serving("GetModelStatusResponse")
ModelVersionStatus = _serving("ModelVersionStatus")
ReloadConfigRequest = _serving("ReloadConfigRequest")
ReloadConfigResponse = _serving("ReloadConfigResponse")
PredictionLog = _serving("PredictionLog")
ModelServerConfig = _serving("ModelServerConfig")
MonitoringConfig = _serving("MonitoringConfig")
SSLConfig = _serving("SSLConfig")
BatchingParameters = _serving("BatchingParameters")

DataType: Any = _data_types()
"""tensorflow.DataType."""


class VersionState(IntEnum):
    """ModelVersionStatus.State."""

    UNKNOWN = 0
    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
REFUSE_AT_ONCE = "almanac-refuse-at-once"
"""Key of metadata by which a client says that it does not ask again where there is no room: it need not be told so in turn."""
MODEL_SERVICE = "tensorflow.serving.ModelService"
