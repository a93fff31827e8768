"""The client of the model server, for programs that import from `serving`."""

from forecasting.wire.client import (
    GrpcClient,
    PredictionRecord,
    RestClient,
    ServedModelMissingError,
    VersionStatusRecord,
)

__all__ = ["GrpcClient", "PredictionRecord", "RestClient", "ServedModelMissingError", "VersionStatusRecord"]
