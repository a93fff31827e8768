"""Ask the model server and turn its answers into forecasts."""

import asyncio
import functools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import grpc
import numpy as np
import numpy.typing as npt

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.answered import (
    BATCH,
    AnsweredRecord,
    PartRecord,
    check_levels,
    completed,
    count_invalid,
    cut_windows,
    join_parts,
    left_to_model,
)
from forecasting.answering.fallback import FallbackCause
from forecasting.answering.forecasts import ForecastsRecord
from forecasting.answering.given import GivenRows
from forecasting.answering.observed import ObservedRows
from forecasting.answering.plan import DegradedSpec, PlanSpec, degrade
from forecasting.answering.plan_forecasts import plan_forecasts
from forecasting.answering.request import ForecastRequest
from forecasting.answering.served_model import ServedModel
from forecasting.contracts.signature import SERVING_DEFAULT
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import AlmanacError, RemoteError, RetryableError
from forecasting.missing_champion import missing_champion
from forecasting.repository import ModelRepository
from forecasting.windows import ModelInputs
from forecasting.wire.client import (
    CHANNEL_OPTIONS,
    PREDICT_METHOD,
    STATUS_METHOD,
    ServedModelMissingError,
    grpc_error,
    read_quantiles,
)
from forecasting.wire.fast_predict import request_bytes
from forecasting.wire.messages import REFUSE_AT_ONCE, GetModelStatusRequest, GetModelStatusResponse, VersionState
from serving.gateway.fallback_warnings import FallbackWarnings
from serving.gateway.model_loader import ModelLoader
from serving.gateway.observed import ObservedHistory
from serving.gateway.routing import RouteSpec, pinned_route, role_route
from serving.gateway.silence import ServerSilence

IN_FLIGHT = 3
"""Batches of one request that are made, or answered by the model server, at the same time."""
FEW = 16
"""Series whose arrays are made in the event loop: handing them to a thread would take longer."""
SERIES_ROWS = 1_000
"""Rows of history that take as long as a series: a request for one may bring millions."""
SERIES_BYTES = 16_384
"""What a series takes of a body at most, roughly: larger bodies are parsed in a thread, so that other requests go on."""
REQUEST_ID = "x-request-id"
"""Header of a request and of its answer, and key of the metadata that the model server is sent."""
_ATTEMPTS = 20
_PAUSE_S = 0.1
RECONNECT_OPTIONS = (("grpc.initial_reconnect_backoff_ms", 250), ("grpc.max_reconnect_backoff_ms", 2_000))
"""gRPC waits up to two minutes by itself: too long to answer by the fallback once the server is back."""
TURNS_OPTIONS = (("grpc.lb_policy_name", "round_robin"),)
"""A name may have several addresses (dns:///model-server:8500): gRPC would ask the first one alone."""


T = TypeVar("T")


class Forecaster:
    """Forecasts of one model through one server.

    Every request names the version whose feature spec made its inputs, so that a promotion between
    the two can never feed one model with the columns of another. While the server switches, the
    version that it has available is asked.
    """

    def __init__(
        self, name: str, repository: ModelRepository, models: ModelLoader, address: str, *, timeout_s: float,
        has_fallback: bool, count: Callable[[FallbackCause, int], None], observed: ObservedHistory | None = None,
        count_invalid: Callable[[str, int], None] | None = None,
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
            observed: What was observed since the versions were made; none where there is no store.
            count_invalid: Told of how many series the model's answer was not passed on, and why: one of `INVALID_REASONS`.
        """
        self._count_invalid, self._silence = count_invalid, ServerSilence()
        self._observed = observed
        self.name = name
        self.has_fallback, self._count, self._warnings = has_fallback, count, FallbackWarnings()
        self._repository, self._models, self._address, self._timeout_s = repository, models, address, timeout_s
        self._channel = grpc.aio.insecure_channel(
            address, options=(*CHANNEL_OPTIONS, *RECONNECT_OPTIONS, *TURNS_OPTIONS)
        )
        # Without serialisers both ways are bytes: the messages are written and read as a whole, not value by value.
        self._predict = self._channel.unary_unary(PREDICT_METHOD)
        self._status = self._channel.unary_unary(
            STATUS_METHOD,
            request_serializer=GetModelStatusRequest.SerializeToString,
            response_deserializer=GetModelStatusResponse.FromString,
        )

    async def forecast(self, request: ForecastRequest, request_id: str = "", *, noted: bool = True) -> ForecastsRecord:
        """Answer a request: by the model, and where it cannot be asked by the fallback, unless that is refused.

        The request id goes to the model server as metadata. What the fallback answered is warned of and counted where
        it is to be noted.

        Raises:
            AnswerError: The request cannot be answered; 4xx where the client must change it; where the fallback
                is refused 502 for a model server that answers wrongly and 503 for one that cannot be asked; 503 where the
                fallback has no past.
            AlmanacError: The version or its series cannot be read.
        """
        request = replace(request, fallback=request.fallback and self.has_fallback)
        route = self._route(request)
        planned = await self._planned(await self._models.load(route.version), request)
        begun = time.perf_counter()
        try:
            answered = await self._answer(planned, request, request_id, route)
        except RetryableError as error:
            if not request.fallback:
                raise AnswerError(503, str(error)) from error
            why = DegradedSpec(FallbackCause.MODEL_SERVER, f"the model server cannot be reached: {error}")
            answered = _degraded(planned, why, route)
        except RemoteError as error:
            if not request.fallback:
                raise AnswerError(502, str(error)) from error
            why = DegradedSpec(FallbackCause.MODEL_ANSWER, f"the model server refuses: {error}")
            answered = _degraded(planned, why, route)
        model_s = None if answered.answers is None else time.perf_counter() - begun
        # One series of the fallback may take as long as many of the model.
        n_series = FEW + 1 if answered.plan.degraded else len(planned)
        found = await run_for(n_series, functools.partial(completed, answered, request))
        found = replace(found, role=answered.role, model_s=model_s)
        if noted:
            await run_for(len(found.degraded), functools.partial(self._note, found))
        return found

    def candidate(self) -> RouteSpec | None:
        """The candidate beside a champion; none where there is none, or the roles cannot be read."""
        try:
            roles = self._models.versions.roles()
        except AlmanacError:
            # Who asks for the champion is told.
            return None
        return None if roles.champion is None else role_route(self.name, ModelRole.CANDIDATE, roles)

    async def _planned(self, served: ServedModel, request: ForecastRequest) -> PlanSpec:
        check_levels(request, served)
        n_series = len(request.series or served.series)
        if request.known_by is None or self._observed is None:
            observed = await self.observed(served)
        else:
            observed = await self._observed.as_of(served, request.series or tuple(served.series), request.known_by)
        return await run_for(
            work_of(n_series, request.given), functools.partial(plan_forecasts, served, request, observed)
        )

    async def _answer(
        self, plan: PlanSpec, request: ForecastRequest, request_id: str, route: RouteSpec
    ) -> AnsweredRecord:
        """Ask the model for what is not left to the fallback."""
        for _ in range(_ATTEMPTS):
            try:
                return replace(await self._ask(plan, request_id, route.served_name), role=route.role)
            except ServedModelMissingError:
                route, served = await self._instead(request)
                plan = await self._planned(served, request)
        raise RetryableError(f"the model server has no version of {route.served_name!r} available")

    async def _instead(self, request: ForecastRequest) -> tuple[RouteSpec, ServedModel]:
        """Whom to ask where the server has a version no more, or not yet; never another one than is pinned."""
        if request.model in (None, ModelRole.CHAMPION):
            served = await self._available()
            return self._champion_route(), served
        await asyncio.sleep(_PAUSE_S)
        # It may have become champion, which is another name on the server, or be gone, which is the client's to know.
        route = self._route(request)
        return route, await self._models.load(route.version)

    def _note(self, found: ForecastsRecord) -> None:
        """Warn of what the fallback answered, and count it."""
        reasons: dict[FallbackCause, list[str]] = {}
        for place, why in found.degraded.items():
            # What a request calls a series of its own is not for the log.
            name = f"{found.ids[place]!r}" if found.ids[place] in found.served.series else "one of a request"
            reasons.setdefault(why.cause, []).append(f"{name}: {why.reason}")
        for cause, texts in reasons.items():
            self._warnings.say(cause, len(texts), f"the first is {texts[0]}")
            self._count(cause, len(texts))
        if self._count_invalid is not None:
            for reason, n_series in count_invalid(found.degraded.values()).items():
                self._count_invalid(reason, n_series)

    async def current(self) -> ServedModel:
        """The champion with its series, for the state pages."""
        return await self._champion()

    async def observed(self, served: ServedModel) -> ObservedRows | None:
        """What was observed since a version was made; none where there is no store, or it could not be read yet."""
        return None if self._observed is None else await self._observed.of(served)

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
        return await self._models.load(self._champion_route().version)

    def _champion_route(self) -> RouteSpec:
        route = role_route(self.name, ModelRole.CHAMPION, self._models.versions.roles())
        if route is None:
            raise AnswerError(503, missing_champion(self._repository, self.name))
        return route

    def _route(self, request: ForecastRequest) -> RouteSpec:
        if request.model is None:
            return self._champion_route()
        return pinned_route(self.name, request.model, self._models.versions.roles())

    async def _available(self) -> ServedModel:
        versions = await self.available_versions()
        if not versions:
            await asyncio.sleep(_PAUSE_S)
            return await self._champion()
        return await self._models.load(versions[0])

    async def _ask(self, plan: PlanSpec, request_id: str, name: str) -> AnsweredRecord:
        places = left_to_model(plan)
        if not len(places):
            return join_parts(plan, places, [])
        asked = plan if len(places) == len(plan) else plan.take(places)
        with self._silence.turn(name):
            parts = await self._ask_parts(asked, request_id, name)
        return await run_for(len(asked), functools.partial(join_parts, plan, places, parts))

    async def _ask_parts(self, asked: PlanSpec, request_id: str, name: str) -> list[PartRecord]:
        busy = asyncio.Semaphore(IN_FLIGHT)

        async def part(first: int) -> PartRecord:
            async with busy:
                end = min(first + BATCH, len(asked))
                size = work_of(end - first, asked.given)
                cut = await run_for(size, functools.partial(cut_windows, asked, first, end))
                inputs = cut.warm()
                found = None if inputs is None else await self._answers(asked.served, inputs, request_id, name)
                return cut.answered(found)

        if len(asked) <= BATCH:
            return [await part(0)]
        try:
            # Of a request that cannot be answered no batch is asked for any more.
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(part(first)) for first in range(0, len(asked), BATCH)]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [one.result() for one in tasks]

    async def _answers(
        self, served: ServedModel, inputs: ModelInputs, request_id: str, name: str
    ) -> npt.NDArray[np.float32]:
        message = request_bytes(name, inputs.as_dict(), signature=SERVING_DEFAULT, version=served.version)
        # What is refused is the fallback's, and is not asked for again.
        metadata = ((REFUSE_AT_ONCE, "1"), *(((REQUEST_ID, request_id),) if request_id else ()))
        begun = self._silence.begun()
        try:
            answer = read_quantiles(await self._predict(message, timeout=self._timeout_s, metadata=metadata))
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
                self._silence.answered(name)
            elif name == self.name:
                # A candidate is judged by each of its own answers, and is asked for every one.
                self._silence.missed(name, begun)
            raise grpc_error(error, self._address) from error
        self._silence.answered(name)
        shape = (len(inputs), served.spec.horizon, served.signature.n_columns)
        if answer.shape != shape:
            raise RemoteError(
                f"the model server must answer with forecasts of shape {shape}, found shape {answer.shape}"
            )
        return answer


def _degraded(plan: PlanSpec, why: DegradedSpec, route: RouteSpec) -> AnsweredRecord:
    """All of a plan left to the fallback."""
    return AnsweredRecord(degrade(plan, dict.fromkeys(range(len(plan)), why)), role=route.role)


def work_of(n_series: int, given: GivenRows | None) -> int:
    """How many series a request is worth: few of them may bring many rows."""
    return n_series if given is None else max(n_series, len(given.time) // SERIES_ROWS)


async def run_for(n_series: int, work: Callable[[], T]) -> T:
    """Do at once what takes no time for few series, and in a thread what does for many."""
    return work() if n_series <= FEW else await asyncio.get_running_loop().run_in_executor(None, work)
