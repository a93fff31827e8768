"""gRPC: tensorflow.serving.PredictionService, ModelService and grpc.health.v1.Health."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from forecasting.errors import ConfigError
from forecasting.wire.messages import (
    MODEL_SERVICE,
    PREDICTION_SERVICE,
    GetModelMetadataRequest,
    GetModelStatusRequest,
    PredictRequest,
    ReloadConfigRequest,
)
from serving.model_server.inference import InferenceService
from serving.model_server.metrics import REQUEST_COUNT, REQUEST_LATENCY
from serving.model_server.status import RequestError, StatusCode

_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}
_MAX_MESSAGE_BYTES = 2**31 - 1
_OPTIONS = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    # Without this a second server on the same port would start and share its requests unnoticed.
    ("grpc.so_reuseport", 0),
)

Answer = Callable[[Any], Awaitable[Any]]


class GrpcServer:
    """The gRPC side of the server."""

    def __init__(self, service: InferenceService, address: str) -> None:
        """Bind a port.

        Raises:
            ConfigError: The port is taken or the address is not ours.
        """
        self._service = service
        self._server = grpc.aio.server(options=_OPTIONS)
        self._health = health.aio.HealthServicer()
        self._server.add_generic_rpc_handlers(tuple(self._handlers()))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise ConfigError(
                f"cannot listen for gRPC on {address}: the port is taken or the address is not of this machine"
            ) from error

    async def start(self) -> None:
        """Listen, and answer health checks."""
        await self._server.start()
        for name in ("", "PredictionService", "ModelService"):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls and give those in flight some seconds."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        service = self._service
        prediction = {
            "Predict": _unary(PredictRequest, self._counted(service.predict)),
            "GetModelMetadata": _unary(GetModelMetadataRequest, self._answered(_as_async(service.metadata))),
        }
        model = {
            "GetModelStatus": _unary(GetModelStatusRequest, self._answered(_as_async(service.status))),
            "HandleReloadConfigRequest": _unary(ReloadConfigRequest, self._answered(service.reload)),
        }
        return [
            grpc.method_handlers_generic_handler(PREDICTION_SERVICE, prediction),
            grpc.method_handlers_generic_handler(MODEL_SERVICE, model),
        ]

    def _counted(self, answer: Answer) -> Callable[..., Awaitable[Any]]:
        answered = self._answered(answer)
        metrics = self._service.metrics

        async def handle(request: Any, context: grpc.aio.ServicerContext) -> Any:
            start, name, status = time.perf_counter(), request.model_spec.name, StatusCode.UNKNOWN
            try:
                response = await answered(request, context)
                status = StatusCode.OK
                metrics.observe(REQUEST_LATENCY, (time.perf_counter() - start) * 1e6, name, "Predict", "GRPC")
                return response
            finally:
                code = context.code()
                if status != StatusCode.OK and code is not None:
                    status = StatusCode(code.value[0] if isinstance(code, grpc.StatusCode) else code)
                metrics.count(REQUEST_COUNT, name, status.name)

        return handle

    def _answered(self, answer: Answer) -> Callable[..., Awaitable[Any]]:
        async def handle(request: Any, context: grpc.aio.ServicerContext) -> Any:
            try:
                return await answer(request)
            except RequestError as error:
                await context.abort(_GRPC_CODES[int(error.code)], error.message)

        return handle


def _as_async(answer: Callable[[Any], Any]) -> Answer:
    async def call(request: Any) -> Any:
        return answer(request)

    return call


def _unary(request_class: Any, handler: Callable[..., Awaitable[Any]]) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(
        handler,
        request_deserializer=request_class.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )
