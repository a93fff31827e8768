"""Ask the model server and turn quantiles into forecasts."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import RemoteError, RetryableError
from forecasting.repository import ModelRepository
from forecasting.windows import ModelInputs
from forecasting.wire.client import (
    CHANNEL_OPTIONS,
    PREDICT_METHOD,
    STATUS_METHOD,
    ServedModelMissingError,
    grpc_error,
    predict_request,
    read_prediction,
)
from forecasting.wire.messages import (
    GetModelStatusRequest,
    GetModelStatusResponse,
    PredictRequest,
    PredictResponse,
    VersionState,
)
from serving.gateway.answers import AnswerError
from serving.gateway.forecast_request import ForecastRequest
from serving.gateway.plan import PlanSpec, WindowSpec, batch_inputs, plan_windows
from serving.gateway.served_model import ServedModel

logger = logging.getLogger(__name__)

BATCH = 256
_ATTEMPTS = 20
_PAUSE_S = 0.1


class Forecaster:
    """Forecasts of one model through one server.

    Every request names the version whose feature spec made its inputs, so that a promotion between
    the two can never feed one model with the columns of another. While the server switches, the
    version that it has available is asked.
    """

    def __init__(
        self, name: str, repository: ModelRepository, models: "ModelLoader", address: str, *, timeout_s: float
    ) -> None:
        """Open a channel to the server's gRPC address; must be called inside the event loop."""
        self.name = name
        self._repository, self._models, self._address, self._timeout_s = repository, models, address, timeout_s
        self._channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._predict = self._channel.unary_unary(
            PREDICT_METHOD,
            request_serializer=PredictRequest.SerializeToString,
            response_deserializer=PredictResponse.FromString,
        )
        self._status = self._channel.unary_unary(
            STATUS_METHOD,
            request_serializer=GetModelStatusRequest.SerializeToString,
            response_deserializer=GetModelStatusResponse.FromString,
        )

    async def forecast(self, request: ForecastRequest) -> dict[str, Any]:
        """Answer a request.

        Raises:
            AnswerError: The request cannot be answered; 4xx where the client must change it, 502 where the model
                server answers wrongly, 503 where it cannot be asked.
            AlmanacError: The version or its series cannot be read.
        """
        try:
            served = await self._champion()
            for _ in range(_ATTEMPTS):
                levels = _levels(request, served)
                plan = await asyncio.get_running_loop().run_in_executor(None, plan_windows, served, request)
                try:
                    quantiles = await self._ask(served, plan.windows)
                except ServedModelMissingError:
                    served = await self._available()
                    continue
                return _document(served, plan, quantiles, levels)
        except RetryableError as error:
            raise AnswerError(503, str(error)) from error
        except RemoteError as error:
            raise AnswerError(502, str(error)) from error
        raise AnswerError(503, f"the model server has no version of {self.name!r} available")

    async def current(self) -> ServedModel:
        """The champion with its series, for the state pages."""
        return await self._champion()

    async def available_versions(self) -> list[int]:
        """Versions of the model that the server has available, highest first.

        Raises:
            AlmanacError: The server cannot be reached or refuses.
        """
        message = GetModelStatusRequest()
        message.model_spec.name = self.name
        try:
            response = await self._status(message, timeout=self._timeout_s)
        except grpc.RpcError as error:
            found = grpc_error(error, self._address)
            if isinstance(found, ServedModelMissingError):
                return []
            raise found from error
        return [entry.version for entry in response.model_version_status if entry.state == VersionState.AVAILABLE]

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def _champion(self) -> ServedModel:
        version = self._repository.role(self.name, ModelRole.CHAMPION)
        if version is None:
            raise AnswerError(503, f"model {self.name!r} has no champion yet; run the pipeline first")
        return await self._models.load(version)

    async def _available(self) -> ServedModel:
        versions = await self.available_versions()
        if not versions:
            await asyncio.sleep(_PAUSE_S)
            return await self._champion()
        return await self._models.load(versions[0])

    async def _ask(self, served: ServedModel, windows: Sequence[WindowSpec]) -> npt.NDArray[np.float32]:
        loop, parts = asyncio.get_running_loop(), []
        for start in range(0, len(windows), BATCH):
            inputs = await loop.run_in_executor(None, batch_inputs, windows[start : start + BATCH], served.spec)
            parts.append(await self._quantiles(served, inputs))
        return np.concatenate(parts)

    async def _quantiles(self, served: ServedModel, inputs: ModelInputs) -> npt.NDArray[np.float32]:
        message = predict_request(self.name, inputs.as_dict(), version=served.version)
        try:
            answer = read_prediction(await self._predict(message, timeout=self._timeout_s)).quantiles
        except grpc.RpcError as error:
            raise grpc_error(error, self._address) from error
        shape = (len(inputs), served.spec.horizon, len(served.spec.quantiles))
        if answer.shape != shape or not np.isfinite(answer).all():
            raise RemoteError(
                f"the model server must answer with finite quantiles of shape {shape}, found shape {answer.shape} or a missing value"
            )
        return answer


class ModelLoader:
    """Reads a version at most once and keeps the latest two, so that a swap and a rollback cost no reading.

    A version whose series were replaced, as a run does that finds its model champion already, is read again.
    """

    def __init__(self, load: Callable[[int], ServedModel], series_of: Callable[[int], Path | None]) -> None:
        """Load with a function from version to `ServedModel`; the other says which series a version has now."""
        self._load, self._series_of = load, series_of
        self._loaded: dict[tuple[int, Path | None], ServedModel] = {}
        self._busy = asyncio.Lock()

    async def load(self, version: int) -> ServedModel:
        """A version, from memory or from disk."""
        key = (version, self._series_of(version))
        if key in self._loaded:
            return self._loaded[key]
        async with self._busy:
            if key not in self._loaded:
                found = await asyncio.get_running_loop().run_in_executor(None, self._load, version)
                self._loaded = {**dict(list(self._loaded.items())[-1:]), key: found}
                logger.info("serving %s version %d with %d series", found.name, version, len(found.series))
            return self._loaded[key]


def _levels(request: ForecastRequest, served: ServedModel) -> tuple[float, ...]:
    levels = request.quantiles or served.spec.quantiles
    for level in levels:
        if level not in served.spec.quantiles:
            raise AnswerError(400, f"'quantiles' must be among {list(served.spec.quantiles)}, found {level}")
    return levels


def _document(
    served: ServedModel, plan: PlanSpec, quantiles: npt.NDArray[np.float32], levels: tuple[float, ...]
) -> dict[str, Any]:
    known = served.spec.quantiles
    point = known.index(POINT_QUANTILE)
    steps = served.spec.step_s * np.arange(served.spec.horizon, dtype=np.int64)
    origins = np.array([window.origin for window in plan.windows])
    stamps = np.datetime_as_string((origins[:, None] + steps).astype("datetime64[s]"), timezone="UTC")
    forecasts = [
        {
            "series": window.series.id,
            "origin": str(stamps[i, 0]),
            "limited_by": window.limited_by or None,
            "timestamps": stamps[i].tolist(),
            "point": np.ascontiguousarray(quantiles[i, :, point]),
            "quantiles": {f"{level:g}": np.ascontiguousarray(quantiles[i, :, known.index(level)]) for level in levels},
        }
        for i, window in enumerate(plan.windows)
    ]
    return {
        "model": served.name,
        "version": served.version,
        "target": served.spec.target,
        "step_s": served.spec.step_s,
        "forecasts": forecasts,
        "skipped": [asdict(one) for one in plan.skipped],
    }
