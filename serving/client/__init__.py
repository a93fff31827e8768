"""Clients: of the gateway (`GatewayClient`, `AsyncGatewayClient`) and of the model server behind it.

Nothing here imports TensorFlow, nor the gateway itself; pandas only where a table of pandas is given or asked for.
"""

from forecasting.wire.client import (
    GrpcClient,
    PredictionRecord,
    RestClient,
    ServedModelMissingError,
    VersionStatusRecord,
)
from serving.client.errors import GatewayRefusalError, GatewayUnreachableError
from serving.client.forecasts import Forecasts
from serving.client.gateway import AsyncGatewayClient, GatewayClient
from serving.client.observations import ObservationsRecord
from serving.client.retries import RetryPolicy

__all__ = [
    "AsyncGatewayClient",
    "Forecasts",
    "GatewayClient",
    "GatewayRefusalError",
    "GatewayUnreachableError",
    "GrpcClient",
    "ObservationsRecord",
    "PredictionRecord",
    "RestClient",
    "RetryPolicy",
    "ServedModelMissingError",
    "VersionStatusRecord",
]
