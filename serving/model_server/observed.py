"""Inference with what surrounds it: admission, latency, counts by status, the request log."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from forecasting.contracts.signature import SERVING_DEFAULT
from forecasting.wire.fast_predict import PredictCall
from serving.model_server.inference import InferenceService
from serving.model_server.metrics import OWN_LATENCY, OWN_REQUESTS, REQUEST_COUNT, REQUEST_LATENCY, ServerMetrics
from serving.model_server.request_log import RequestLog
from serving.model_server.served_version import ServedVersion
from serving.model_server.status import RequestError, StatusCode

GRPC, REST = "GRPC", "REST"
T = TypeVar("T")


@dataclass
class Observation:
    """What is known of a request while it is answered."""

    model: str
    api: str
    entrypoint: str
    signature: str = ""
    served: ServedVersion | None = None
    status: StatusCode = StatusCode.INTERNAL
    start_s: float = 0.0


class ObservedService:
    """Counts what the inference service answers."""

    def __init__(self, inference: InferenceService, metrics: ServerMetrics, log: RequestLog | None) -> None:
        """Wrap a service."""
        self.inference, self.metrics, self.log = inference, metrics, log

    async def predict(self, call: PredictCall, deadline_s: float | None) -> bytes:
        """Predict over gRPC."""
        spec = call.message.model_spec
        seen = Observation(spec.name, "Predict", GRPC, spec.signature_name or SERVING_DEFAULT)

        async def answer() -> bytes:
            seen.served, response = await self.inference.predict(call, deadline_s)
            if self.log is not None:
                self.log.offer_predict(call.message, response)
            return response

        return await self.observe(seen, answer)

    async def classify(self, request: Any, deadline_s: float | None) -> Any:
        """Classify over gRPC."""
        return await self._examples(request, self.inference.classify, "Classify", deadline_s)

    async def regress(self, request: Any, deadline_s: float | None) -> Any:
        """Regress over gRPC."""
        return await self._examples(request, self.inference.regress, "Regress", deadline_s)

    async def multi_inference(self, request: Any, deadline_s: float | None) -> Any:
        """MultiInference over gRPC, which TensorFlow Serving counts nowhere."""
        self.inference.executor.admit()
        try:
            response = await self.inference.multi_inference(request, deadline_s)
        finally:
            self.inference.executor.leave()
        if self.log is not None:
            self.log.offer("multi_inference_log", request, response)
        return response

    async def observe(self, seen: Observation, answer: Callable[[], Awaitable[T]]) -> T:
        """Await an answer, admitted and counted.

        Raises:
            RequestError: The answer's own, or that there are too many requests.
        """
        executor = self.inference.executor
        seen.start_s = time.perf_counter()
        admitted = False
        try:
            executor.admit()
            admitted = True
            result = await answer()
            seen.status = StatusCode.OK
            return result
        except RequestError as error:
            seen.status = error.code
            raise
        except asyncio.CancelledError:
            seen.status = StatusCode.CANCELLED
            raise
        finally:
            if admitted:
                executor.leave()
            self._count(seen)

    async def _examples(
        self, request: Any, answer: Callable[[Any, float | None], Awaitable[Any]], api: str, deadline_s: float | None
    ) -> Any:
        spec = request.model_spec
        seen = Observation(spec.name, api, GRPC, spec.signature_name or SERVING_DEFAULT)
        response = await self.observe(seen, lambda: answer(request, deadline_s))
        if self.log is not None:
            self.log.offer(f"{api.lower()}_log", request, response)
        return response

    def _count(self, seen: Observation) -> None:
        metrics, seconds = self.metrics, time.perf_counter() - seen.start_s
        known = bool(self.inference.keeper.versions(seen.model)) if seen.status != StatusCode.OK else True
        name = seen.model if known else metrics.unknown_model(seen.model)
        metrics.count(REQUEST_COUNT, name, seen.status.name)
        if seen.status == StatusCode.OK:
            metrics.observe(REQUEST_LATENCY, seconds * 1e6, name, seen.api, seen.entrypoint)
        self._count_own(seen, seconds, known=known)

    def _count_own(self, seen: Observation, seconds: float, *, known: bool) -> None:
        served = seen.served
        model = seen.model if known else "(unknown)"
        version = str(served.version) if served is not None else ""
        signature = seen.signature if served is not None else ""
        self.metrics.count(OWN_REQUESTS, model, version, signature, seen.entrypoint, seen.status.name)
        if served is not None and seen.status == StatusCode.OK:
            self.metrics.observe(OWN_LATENCY, seconds, model, version, signature, seen.entrypoint)
