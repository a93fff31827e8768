"""Ask the model server and turn its answers into forecasts."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

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
from serving.gateway.answers import AnswerError, iso_time
from serving.gateway.documents import forecast_document
from serving.gateway.fallback import FallbackCause, FallbackWarnings, fallback_answer
from serving.gateway.forecast_request import ForecastRequest
from serving.gateway.plan import DegradedSpec, PlanSpec, SkippedRecord, WindowSpec, batch_inputs, degrade, plan_windows
from serving.gateway.served_model import ServedModel
from serving.missing_champion import missing_champion

logger = logging.getLogger(__name__)

BATCH = 256
REQUEST_ID = "x-request-id"
"""Header of a request and of its answer, and key of the metadata that the model server is sent."""
_ATTEMPTS = 20
_PAUSE_S = 0.1
RECONNECT_OPTIONS = (("grpc.initial_reconnect_backoff_ms", 250), ("grpc.max_reconnect_backoff_ms", 2_000))
"""gRPC waits up to two minutes by itself: too long to answer by the fallback once the server is back."""


class Forecaster:
    """Forecasts of one model through one server.

    Every request names the version whose feature spec made its inputs, so that a promotion between
    the two can never feed one model with the columns of another. While the server switches, the
    version that it has available is asked.
    """

    def __init__(
        self, name: str, repository: ModelRepository, models: "ModelLoader", address: str, *, timeout_s: float,
        has_fallback: bool, count: Callable[[FallbackCause, int], None],
    ) -> None:  # fmt: skip
        """Open a channel to the server's gRPC address; must be called inside the event loop.

        Args:
            name: Model name.
            repository: Model repository.
            models: Reads versions.
            address: `host:port` of the model server.
            timeout_s: Longest wait for one of its answers.
            has_fallback: Whether the fallback may answer at all.
            count: Told of how many series the fallback answered.
        """
        self.name = name
        self.has_fallback, self._count, self._warnings = has_fallback, count, FallbackWarnings()
        self._repository, self._models, self._address, self._timeout_s = repository, models, address, timeout_s
        self._channel = grpc.aio.insecure_channel(address, options=(*CHANNEL_OPTIONS, *RECONNECT_OPTIONS))
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

    async def forecast(self, request: ForecastRequest, request_id: str = "") -> dict[str, Any]:
        """Answer a request: by the model, and where it cannot be asked by the fallback, unless that is refused.

        The request id goes to the model server as metadata.

        Raises:
            AnswerError: The request cannot be answered; 4xx where the client must change it, 502 where the model
                server answers wrongly, 503 where it cannot be asked and the fallback is refused or has no past.
            AlmanacError: The version or its series cannot be read.
        """
        request = replace(request, fallback=request.fallback and self.has_fallback)
        answered = await self._planned(await self._champion(), request)
        try:
            answered = await self._answer(answered, request, request_id)
        except RetryableError as error:
            if not request.fallback:
                raise AnswerError(503, str(error)) from error
            why = DegradedSpec(FallbackCause.MODEL_SERVER, f"the model server cannot be reached: {error}")
            answered = replace(answered, plan=degrade(answered.plan, why))
        except RemoteError as error:
            raise AnswerError(502, str(error)) from error
        plan, answers = await asyncio.get_running_loop().run_in_executor(None, _fill, answered, request)
        self._note(plan.windows)
        levels = request.quantiles or answered.served.spec.quantiles
        return forecast_document(answered.served, plan.windows, answers, skipped=plan.skipped, levels=levels)

    async def _planned(self, served: ServedModel, request: ForecastRequest) -> "_AnsweredRecord":
        _check_levels(request, served)
        plan = await asyncio.get_running_loop().run_in_executor(None, plan_windows, served, request)
        return _AnsweredRecord(served, plan)

    async def _answer(self, planned: "_AnsweredRecord", request: ForecastRequest, request_id: str) -> "_AnsweredRecord":
        """Ask the model for what is not left to the fallback."""
        for _ in range(_ATTEMPTS):
            windows = [window for window in planned.plan.windows if window.degraded is None]
            try:
                answers = await self._ask(planned.served, windows, request_id)
            except ServedModelMissingError:
                planned = await self._planned(await self._available(), request)
                continue
            return replace(planned, answers=answers)
        raise RetryableError(f"the model server has no version of {self.name!r} available")

    def _note(self, windows: Sequence[WindowSpec]) -> None:
        """Warn of what the fallback answered, and count it."""
        reasons: dict[FallbackCause, list[str]] = {}
        for window in windows:
            if window.degraded is not None:
                reasons.setdefault(window.degraded.cause, []).append(f"{window.series.id!r}: {window.degraded.reason}")
        for cause, found in reasons.items():
            self._warnings.say(cause, len(found), f"the first is {found[0]}")
            self._count(cause, len(found))

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
            raise AnswerError(503, missing_champion(self._repository, self.name))
        return await self._models.load(version)

    async def _available(self) -> ServedModel:
        versions = await self.available_versions()
        if not versions:
            await asyncio.sleep(_PAUSE_S)
            return await self._champion()
        return await self._models.load(versions[0])

    async def _ask(
        self, served: ServedModel, windows: Sequence[WindowSpec], request_id: str
    ) -> npt.NDArray[np.float32]:
        loop, parts = asyncio.get_running_loop(), []
        for start in range(0, len(windows), BATCH):
            inputs = await loop.run_in_executor(None, batch_inputs, windows[start : start + BATCH], served.spec)
            parts.append(await self._answers(served, inputs, request_id))
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    async def _answers(self, served: ServedModel, inputs: ModelInputs, request_id: str) -> npt.NDArray[np.float32]:
        message = predict_request(self.name, inputs.as_dict(), version=served.version)
        metadata = ((REQUEST_ID, request_id),) if request_id else ()
        try:
            answer = read_prediction(await self._predict(message, timeout=self._timeout_s, metadata=metadata)).quantiles
        except grpc.RpcError as error:
            raise grpc_error(error, self._address) from error
        shape = (len(inputs), served.spec.horizon, served.spec.signature.n_columns)
        if answer.shape != shape or not np.isfinite(answer).all():
            raise RemoteError(
                f"the model server must answer with finite forecasts of shape {shape}, found shape {answer.shape} or a missing value"
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


@dataclass(frozen=True)
class _AnsweredRecord:
    """Which version a request went to, its plan, and the model's answers for the windows not left to the fallback."""

    served: ServedModel
    plan: PlanSpec
    answers: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))


def _check_levels(request: ForecastRequest, served: ServedModel) -> None:
    for level in request.quantiles or ():
        if level not in served.spec.quantiles:
            raise AnswerError(400, f"'quantiles' must be among {list(served.spec.quantiles)}, found {level}")


def _fill(answered: _AnsweredRecord, request: ForecastRequest) -> tuple[PlanSpec, npt.NDArray[np.float32]]:
    """Answers `[N,H,A]` for the windows that have any, by model or fallback, in the plan's order."""
    spec, of_model = answered.served.spec, iter(answered.answers)
    windows, skipped, rows = [], list(answered.plan.skipped), []
    for window in answered.plan.windows:
        row = next(of_model) if window.degraded is None else fallback_answer(window.series, spec, window.origin)
        if row is not None:
            windows.append(window)
            rows.append(row)
            continue
        why = f"series {window.series.id!r} has no target before {iso_time(window.origin)}, so that the fallback cannot stand in"
        if request.series is not None:
            raise AnswerError(_no_past_code(window), f"{why}; {window.degraded.reason}" if window.degraded else why)
        skipped.append(SkippedRecord(window.series.id, why))
    if not rows:
        raise AnswerError(503, f"no series can be forecast; {skipped[0].reason}")
    return PlanSpec(tuple(windows), tuple(sorted(skipped, key=lambda one: one.series))), np.stack(rows)


def _no_past_code(window: WindowSpec) -> int:
    """400 where the client can ask for another origin, 503 where the model would have answered."""
    return 400 if window.degraded is None or window.degraded.cause is FallbackCause.QUARANTINE else 503
