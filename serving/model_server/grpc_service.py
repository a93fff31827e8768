"""gRPC: tensorflow.serving.PredictionService, ModelService and grpc.health.v1.Health."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from forecasting.errors import ConfigError
from forecasting.wire.fast_predict import PredictCall
from forecasting.wire.messages import (
    MODEL_SERVICE,
    PREDICTION_SERVICE,
    REFUSE_AT_ONCE,
    ClassificationRequest,
    GetModelMetadataRequest,
    GetModelStatusRequest,
    MultiInferenceRequest,
    RegressionRequest,
    ReloadConfigRequest,
)
from serving.model_server.model_service import ModelService
from serving.model_server.observed import ObservedService
from serving.model_server.status import INTERNAL_TEXT, RequestError, StatusCode

logger = logging.getLogger(__name__)

_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}
_MAX_MESSAGE_BYTES = 2**31 - 1
_MAX_TEXT = 1024
_FAR_S = 1e8
_LAST_WORD_S = 0.1
_FAULT = "%s ends in a fault of this server"
HEALTH_NAMES = ("", "PredictionService", "ModelService")


@dataclass(frozen=True)
class GrpcConfig:
    """Where and how gRPC listens."""

    address: str
    socket_path: str = ""
    ssl: Any = None
    """An SSLConfig message, or none for plain text."""
    channel_arguments: tuple[tuple[str, int | str], ...] = ()
    health: bool = False
    share_port: bool = False
    max_message_bytes: int = _MAX_MESSAGE_BYTES
    max_calls: int | None = None
    """Calls at the same time; more are refused before their messages are read."""


class _Health(health.aio.HealthServicer):
    """Health whose watchers are told that the server goes, and let go: a stream that stays open must not hold it up."""

    def __init__(self) -> None:
        super().__init__()
        self._ending = asyncio.Event()

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802  # gRPC's name
        watching = asyncio.ensure_future(super().Watch(request, context))
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait({watching, ending}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({watching}, timeout=_LAST_WORD_S)
        finally:
            ending.cancel()
            watching.cancel()

    async def end(self) -> None:
        """Say NOT_SERVING to all, then end their streams."""
        await self.enter_graceful_shutdown()
        self._ending.set()


class GrpcServer:
    """The gRPC side of the server."""

    def __init__(self, config: GrpcConfig, service: ObservedService, models: ModelService) -> None:
        """Bind the port and the socket.

        Raises:
            ConfigError: The port is taken, the address is not ours or the certificate cannot be used.
        """
        self._service, self._models = service, models
        options: dict[str, int | str] = {
            "grpc.max_receive_message_length": config.max_message_bytes,
            "grpc.max_send_message_length": _MAX_MESSAGE_BYTES,
            # Without this a second server on the same port would start and share its requests unnoticed.
            "grpc.so_reuseport": int(config.share_port),
            # A window of some thousand values then comes in one frame, not in several of 16 KiB.
            "grpc.http2.max_frame_size": 2**20,
            **dict(config.channel_arguments),
        }
        self._server = grpc.aio.server(options=tuple(options.items()), maximum_concurrent_rpcs=config.max_calls)
        self._server.add_generic_rpc_handlers(tuple(self._handlers()))
        self._health = _Health() if config.health else None
        if self._health is not None:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.port = self._bind(config.address, config.ssl)
        if config.socket_path:
            self._bind(f"unix:{config.socket_path}", config.ssl)

    async def start(self) -> None:
        """Listen, and answer health checks."""
        await self._server.start()
        if self._health is not None:
            for name in HEALTH_NAMES:
                await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls and give those in flight some seconds."""
        if self._health is not None:
            await self._health.end()
        await self._server.stop(grace_s)

    def _bind(self, address: str, ssl: Any) -> int:
        try:
            if ssl is None:
                return int(self._server.add_insecure_port(address))
            credentials = grpc.ssl_server_credentials(
                [(ssl.server_key.encode(), ssl.server_cert.encode())],
                root_certificates=ssl.custom_ca.encode() or None,
                require_client_auth=ssl.client_verify,
            )
            return int(self._server.add_secure_port(address, credentials))
        except (RuntimeError, ValueError) as error:
            raise ConfigError(
                f"cannot listen for gRPC on {address}: the port is taken, the address is not of this machine, or the "
                f"certificate of --ssl_config_file cannot be used ({error})"
            ) from error

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        service, models = self._service, self._models
        prediction = {
            "Predict": grpc.unary_unary_rpc_method_handler(self._predict),
            "Classify": self._unary(ClassificationRequest, service.classify),
            "Regress": self._unary(RegressionRequest, service.regress),
            "MultiInference": self._unary(MultiInferenceRequest, service.multi_inference),
            "GetModelMetadata": self._unary(GetModelMetadataRequest, _now(service.inference.metadata)),
        }
        model = {
            "GetModelStatus": self._unary(GetModelStatusRequest, _now(models.status)),
            "HandleReloadConfigRequest": self._unary(ReloadConfigRequest, self._reload),
        }
        return [
            grpc.method_handlers_generic_handler(PREDICTION_SERVICE, prediction),
            grpc.method_handlers_generic_handler(MODEL_SERVICE, model),
        ]

    async def _predict(self, raw: bytes, context: Any) -> bytes:
        """Predict on raw bytes: reading and writing floats is what would cost most."""
        try:
            return await self._service.predict(PredictCall(raw), _deadline(context), lambda: _is_patient(context))
        except RequestError as error:
            return await _abort(context, error)
        except DecodeError as error:
            return await _abort(
                context, RequestError(StatusCode.INTERNAL, f"the request is no PredictRequest: {error}")
            )
        # The last boundary of a request: a fault of ours is told as one and kept in the log, and the server goes on.
        except Exception:
            logger.exception(_FAULT, "Predict")
            return await _abort(context, RequestError(StatusCode.INTERNAL, INTERNAL_TEXT))

    async def _reload(self, request: Any, deadline_s: float | None) -> Any:
        timeout_s = None if deadline_s is None else deadline_s - time.monotonic()
        return await self._models.reload(request, timeout_s)

    def _unary(
        self, request_class: Any, answer: Callable[[Any, float | None], Awaitable[Any]]
    ) -> grpc.RpcMethodHandler:
        async def handle(request: Any, context: Any) -> Any:
            try:
                return await answer(request, _deadline(context))
            except RequestError as error:
                return await _abort(context, error)
            # As in `_predict`.
            except Exception:
                logger.exception(_FAULT, request_class.DESCRIPTOR.name)
                return await _abort(context, RequestError(StatusCode.INTERNAL, INTERNAL_TEXT))

        return grpc.unary_unary_rpc_method_handler(
            handle,
            request_deserializer=request_class.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )


def _now(answer: Callable[[Any], Any]) -> Callable[[Any, float | None], Awaitable[Any]]:
    async def call(request: Any, _deadline_s: float | None) -> Any:
        return answer(request)

    return call


def _deadline(context: Any) -> float | None:
    remaining = context.time_remaining()
    return None if remaining is None or remaining > _FAR_S else time.monotonic() + remaining


def _is_patient(context: Any) -> bool:
    return all(key != REFUSE_AT_ONCE for key, _ in context.invocation_metadata() or ())


async def _abort(context: Any, error: RequestError) -> Any:
    text = error.message if len(error.message) <= _MAX_TEXT else error.message[:_MAX_TEXT] + "...TRUNCATED"
    await context.abort(_GRPC_CODES[int(error.code)], text)
    raise asyncio.CancelledError
