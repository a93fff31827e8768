"""Message classes of `forecasts.proto`, from the descriptor beside it, in a pool of their own."""

from pathlib import Path
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from forecasting.wire.messages import make_pool

PACKAGE = "almanac.forecasts.v1"
SERVICE = f"{PACKAGE}.Forecasts"
_POOL = make_pool(FileDescriptorSet.FromString(Path(__file__).with_name("forecasts.binpb").read_bytes()))


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


ForecastRequest = _message("ForecastRequest")
ForecastResponse = _message("ForecastResponse")
