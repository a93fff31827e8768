"""The service `almanac.forecasts.v1.Forecasts`, with the same guard, log and metrics as HTTP."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import unquote

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.forecasts import ForecastsRecord
from forecasting.errors import AlmanacError, ConfigError
from serving.asgi import TlsFiles
from serving.gateway.app import usable_request_id
from serving.gateway.candidate_traffic import CandidateTraffic
from serving.gateway.forecaster import REQUEST_ID, SERIES_BYTES, Forecaster, run_for
from serving.gateway.gateway_store import GatewayStore
from serving.gateway.guard import Guard
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.request_log import log_request
from serving.gateway.rpc.messages import SERVICE, ForecastRequest, ForecastResponse
from serving.gateway.rpc.translation import answers_of, request_of
from serving.gateway.tokens import TokenScope

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    502: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}


@dataclass
class _Call:
    """One call: what its line in the log says."""

    context: Any
    method: str
    request_id: str
    start: float
    authorization: str | None = None
    client: str = "-"
    status: int = 500
    n_received: int = 0
    n_sent: int = 0


class ForecastService:
    """Both methods."""

    def __init__(
        self, forecaster: Forecaster, metrics: GatewayMetrics, guard: Guard, *, traffic: CandidateTraffic,
        store: GatewayStore | None = None,
    ) -> None:  # fmt: skip
        """Answer with a forecaster who is let in by a guard; forecasts are kept where there is a store."""
        self._forecaster, self._metrics, self._guard, self._store = forecaster, metrics, guard, store
        self._traffic = traffic
        self._n_in_flight = 0

    def handler(self) -> Any:
        """What a server of gRPC is given."""
        read, write = ForecastRequest.FromString, ForecastResponse.SerializeToString
        methods = {
            "Forecast": grpc.unary_unary_rpc_method_handler(self.forecast, read, write),
            "ForecastBulk": grpc.stream_stream_rpc_method_handler(self.forecast_bulk, read, write),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def forecast(self, message: Any, context: Any) -> Any:
        """One request, one answer."""
        call = await self._begin(context, "Forecast")
        try:
            found = await self._found(call, message)
            (answer,) = await run_for(len(found), lambda: list(answers_of(found, 0, piece=max(1, len(found)))))
            call.n_sent += answer.ByteSize()
            call.status = 200
            return answer
        except AlmanacError as error:
            await _abort(call, error)
        except asyncio.CancelledError:
            call.status = 499
            raise
        finally:
            self._end(call)

    async def forecast_bulk(self, messages: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        """Requests one after another, each answered in pieces."""
        call, number = await self._begin(context, "ForecastBulk"), 0
        try:
            async for message in messages:
                if number:
                    # A stream is no way around the rate: the first of its requests was let in with it.
                    self._admit(call)
                found = await self._found(call, message)
                for answer in await run_for(len(found), functools.partial(_pieces, found, number)):
                    call.n_sent += answer.ByteSize()
                    yield answer
                number += 1
            call.status = 200
        except AlmanacError as error:
            await _abort(call, error, where=f"request {number}: ")
        except (asyncio.CancelledError, GeneratorExit):
            call.status = 499
            raise
        finally:
            self._end(call)

    async def _begin(self, context: Any, method: str) -> _Call:
        self._n_in_flight += 1
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        call = _Call(context, method, usable_request_id(metadata.get(REQUEST_ID)), time.perf_counter())
        call.authorization = metadata.get("authorization")
        try:
            self._admit(call)
        except AnswerError as error:
            try:
                await _abort(call, error)
            finally:
                self._end(call)
        return call

    def _admit(self, call: _Call) -> None:
        address = peer_address(call.context.peer())
        call.client = self._guard.admit(call.authorization, address, TokenScope.READ, n_in_flight=self._n_in_flight)

    async def _found(self, call: _Call, message: Any) -> ForecastsRecord:
        n_bytes = message.ByteSize()
        call.n_received += n_bytes
        try:
            self._guard.take_bytes(n_bytes)
            return await self._answered(call, message)
        finally:
            self._guard.give_back_bytes(n_bytes)

    async def _answered(self, call: _Call, message: Any) -> ForecastsRecord:
        loop = asyncio.get_running_loop()
        asked = await run_for(message.ByteSize() // SERIES_BYTES, functools.partial(request_of, message))
        found = await self._traffic.forecast(asked, call.request_id)
        call.context.add_done_callback(
            lambda _: loop.call_soon_threadsafe(self._traffic.shadow, asked, found, call.request_id)
        )
        if self._store is not None:
            await run_for(len(found), functools.partial(self._store.keep, found, call.request_id))
        self._metrics.series.labels(self._forecaster.name).observe(len(found))
        return found

    def _end(self, call: _Call) -> None:
        self._n_in_flight -= 1
        route, seconds = f"/{SERVICE}/{call.method}", time.perf_counter() - call.start
        self._metrics.count_request(self._forecaster.name, route, call.status, seconds)
        log_request(
            call.request_id, route=route, method="gRPC", status=call.status, client=call.client, seconds=seconds,
            n_bytes=(call.n_received, call.n_sent),
        )  # fmt: skip


class GatewayRpcServer:
    """gRPC on a port of its own, with the health service."""

    def __init__(self, service: ForecastService, address: str, *, tls: TlsFiles | None, max_bytes: int) -> None:
        """Bind a port.

        Raises:
            ConfigError: The port is taken, or certificate and key cannot be used.
        """
        options = (("grpc.max_receive_message_length", max_bytes), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0))  # fmt: skip
        self._server = grpc.aio.server(options=options)
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._server.add_generic_rpc_handlers((service.handler(),))
        try:
            if tls is None:
                self.port: int = self._server.add_insecure_port(address)
            else:
                pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
                self.port = self._server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
        except (RuntimeError, OSError, ValueError) as error:
            raise ConfigError(f"cannot listen for gRPC on {address}: {error}") from error

    async def start(self) -> None:
        """Listen."""
        await self._server.start()
        for name in ("", SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace_s: float) -> None:
        """Say so to those who watch, then wait for what is in flight."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)


def peer_address(peer: str) -> str:
    """The address as HTTP has it, so that both count towards one rate, of a peer such as `ipv4:10.0.0.1:50` or `ipv6:[::1]:50`."""
    family, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if family in ("ipv4", "ipv6") else peer


def _pieces(found: ForecastsRecord, number: int) -> list[Any]:
    return list(answers_of(found, number))


async def _abort(call: _Call, error: AlmanacError, *, where: str = "") -> NoReturn:
    """End a call by an error; what it is about is in the metadata at its end, as in the JSON of HTTP."""
    call.status = error.code if isinstance(error, AnswerError) else 503
    about = {REQUEST_ID: call.request_id}
    if isinstance(error, AnswerError):
        found = {"series": error.series, "column": error.column, "place": error.place}
        about |= {
            name: value
            for name, value in found.items()
            if value is not None and value.isascii() and value.isprintable()
        }
        if error.retry_after_s is not None:
            about["retry-after"] = str(error.retry_after_s)
    code = _CODES.get(call.status, grpc.StatusCode.UNKNOWN)
    await call.context.abort(code, f"{where}{error}", tuple(about.items()))
    raise error
