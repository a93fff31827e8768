"""Inference with what surrounds it: admission, latency, counts by status, the request log."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from forecasting.wire.fast_predict import PredictCall
from serving.model_server.inference import InferenceService, Resolution
from serving.model_server.metrics import OWN_LATENCY, OWN_REQUESTS, REQUEST_COUNT, REQUEST_LATENCY, ServerMetrics
from serving.model_server.request_log import RequestLog
from serving.model_server.status import OverloadError, RequestError, StatusCode

GRPC, REST = "GRPC", "REST"
T = TypeVar("T")


@dataclass
class Observation(Resolution):
    """What is known of a request while it is answered."""

    model: str = ""
    api: str = ""
    entrypoint: str = ""
    status: StatusCode = StatusCode.INTERNAL
    start_s: float = 0.0
    deadline_s: float | None = None
    """The client's, on the monotonic clock."""
    is_patient: Callable[[], bool] | None = None
    """Asked where there is no room: whether the client may be told so in turn; without it it may."""
    official: bool = True
    """Whether TensorFlow Serving counts such a request."""


class ObservedService:
    """Counts what the inference service answers."""

    def __init__(self, inference: InferenceService, metrics: ServerMetrics, log: RequestLog | None) -> None:
        """Wrap a service."""
        self.inference, self.metrics, self.log = inference, metrics, log

    async def predict(
        self, call: PredictCall, deadline_s: float | None, is_patient: Callable[[], bool] | None = None
    ) -> bytes:
        """Predict over gRPC."""
        seen = Observation(
            model=call.message.model_spec.name,
            api="Predict",
            entrypoint=GRPC,
            deadline_s=deadline_s,
            is_patient=is_patient,
        )
        response = await self.observe(seen, lambda: self.inference.predict(call, deadline_s, seen))
        if self.log is not None:
            self.log.offer_predict(call.message, response)
        return response

    async def classify(self, request: Any, deadline_s: float | None) -> Any:
        """Classify over gRPC."""
        return await self._examples(request, self.inference.classify, "Classify", deadline_s)

    async def regress(self, request: Any, deadline_s: float | None) -> Any:
        """Regress over gRPC."""
        return await self._examples(request, self.inference.regress, "Regress", deadline_s)

    async def multi_inference(self, request: Any, deadline_s: float | None) -> Any:
        """MultiInference over gRPC, which TensorFlow Serving counts nowhere."""
        model = request.tasks[0].model_spec.name if request.tasks else ""
        seen = Observation(model=model, api="MultiInference", entrypoint=GRPC, deadline_s=deadline_s, official=False)
        response = await self.observe(seen, lambda: self.inference.multi_inference(request, deadline_s, seen))
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
        except OverloadError as error:
            seen.status = error.code
            # Still counted in: calls whose refusal waits are bounded as those that run are.
            if seen.is_patient is None or seen.is_patient():
                await executor.refusals.turn(seen.deadline_s)
            raise
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
        self,
        request: Any,
        answer: Callable[[Any, float | None, Resolution], Awaitable[Any]],
        api: str,
        deadline_s: float | None,
    ) -> Any:
        seen = Observation(model=request.model_spec.name, api=api, entrypoint=GRPC, deadline_s=deadline_s)
        response = await self.observe(seen, lambda: answer(request, deadline_s, seen))
        if self.log is not None:
            self.log.offer(f"{api.lower()}_log", request, response)
        return response

    def _count(self, seen: Observation) -> None:
        metrics, seconds = self.metrics, time.perf_counter() - seen.start_s
        known = seen.served is not None or bool(self.inference.keeper.versions(seen.model))
        if seen.official:
            name = seen.model if known else metrics.unknown_model(seen.model)
            metrics.count(REQUEST_COUNT, name, seen.status.name)
            if seen.status == StatusCode.OK:
                metrics.observe(REQUEST_LATENCY, seconds * 1e6, name, seen.api, seen.entrypoint)
        self._count_own(seen, seconds, seen.model if known else "(unknown)")

    def _count_own(self, seen: Observation, seconds: float, model: str) -> None:
        """Count by version and signature, which are empty where the request was over before they were known."""
        version = str(seen.served.version) if seen.served is not None else ""
        for signature in seen.signatures or ("",):
            self.metrics.count(OWN_REQUESTS, model, version, signature, seen.entrypoint, seen.status.name)
            if seen.status == StatusCode.OK:
                self.metrics.observe(OWN_LATENCY, seconds, model, version, signature, seen.entrypoint)
