"""Clients of the gateway: one for threads, one for an event loop, over the same flow of a request."""

import asyncio
import json
import os
import ssl
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from forecasting.errors import ConfigError, RemoteError
from serving.client.exchange import CallSpec, Outcome, Pause, Send, attempts
from serving.client.forecasts import Forecasts, read_forecasts
from serving.client.observations import ObservationsRecord, read_observations
from serving.client.questions import Moment, forecast_call, observations_call
from serving.client.retries import Retries, RetryPolicy
from serving.client.time_left import TimeLeft

if TYPE_CHECKING:
    from serving.client.questions import Rows

TOKEN_VARIABLE = "ALMANAC_TOKEN"  # nosec B105 # the name of a variable
REQUEST_ID = "x-request-id"
DEADLINE_S = 30.0


class _ClientBase(ABC):
    """What both clients have in common: settings, requests and the reading of answers."""

    def __init__(
        self, endpoint: str, *, token: str | None = None, deadline_s: float = DEADLINE_S,
        retries: RetryPolicy | None = None, ca_file: str | None = None,
    ) -> None:  # fmt: skip
        """Nothing is sent yet.

        Args:
            endpoint: `http://host:port` or `https://…`.
            token: Bearer token; none: $ALMANAC_TOKEN where it is set.
            deadline_s: Longest time for a call with all its retries, where the call has none of its own; more than 0.
            retries: None: the defaults of `RetryPolicy`.
            ca_file: Certificates (PEM) that are trusted; none: those of the system.

        Raises:
            ConfigError: The endpoint is no URL, the deadline is not more than 0, or the file holds no certificate.
        """
        if not endpoint.startswith(("http://", "https://")):
            raise ConfigError(f"an endpoint must be a URL such as http://127.0.0.1:8080, found {endpoint!r}")
        self.endpoint, self._deadline_s = endpoint.rstrip("/"), _checked(deadline_s)
        self._retries = Retries(retries or RetryPolicy())
        self._token = token if token is not None else os.environ.get(TOKEN_VARIABLE)
        self._open(True if ca_file is None else _trusting(ca_file))

    @abstractmethod
    def _open(self, verify: ssl.SSLContext | bool) -> None:
        """Open the connections."""

    def _request(self, http: httpx.Client | httpx.AsyncClient, call: CallSpec, request_id: str | None) -> httpx.Request:
        headers = dict(call.headers)
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        # Of its own where none is given: the same in every retry, so that all of them are answered by the same version.
        headers[REQUEST_ID] = uuid.uuid4().hex if request_id is None else request_id
        return http.build_request(
            call.method, self.endpoint + call.path, params=list(call.query), content=call.body, headers=headers
        )

    def _within(self, deadline_s: float | None) -> float:
        """Seconds of a call: its own, else those of the client."""
        return self._deadline_s if deadline_s is None else _checked(deadline_s)

    def _read(self, response: httpx.Response) -> Forecasts:
        request_id = response.headers.get(REQUEST_ID, "")
        return read_forecasts(response.content, endpoint=self.endpoint, request_id=request_id)

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        try:
            found = json.loads(response.content)
        except ValueError as error:
            raise RemoteError(f"{self.endpoint} must answer with JSON: {error}") from error
        if not isinstance(found, dict):
            raise RemoteError(f"{self.endpoint} must answer with an object; is it a gateway?")
        return found


class GatewayClient(_ClientBase):
    """A client that waits; safe to share between threads. Use it as a context, or close it."""

    def _open(self, verify: ssl.SSLContext | bool) -> None:
        self._http = httpx.Client(verify=verify)

    def forecast(
        self, series: Sequence[str] | None = None, *, history: "Rows | None" = None, origin: Moment | None = None,
        cutoff: Moment | None = None, quantiles: Sequence[float] | None = None,
        known: Mapping[str, Any] | None = None, static: Mapping[str, Any] | None = None, fallback: bool | None = None,
        model: str | int | None = None, deadline_s: float | None = None, request_id: str | None = None,
    ) -> Forecasts:  # fmt: skip
        """Forecasts as a table; docs/gateway.md says what each argument means.

        Args:
            series: Ids; none: those of the history, or all.
            history: A data frame of pandas or a table of Arrow with series, timestamp and one column a value; or a mapping
                as in JSON. Rows at or after the origin give known covariates.
            origin: First step.
            cutoff: In the place of origin, for series on different grids.
            quantiles: Levels to give.
            known: Known covariates of the horizon, as in JSON.
            static: Categories of new series, as in JSON.
            fallback: False: no seasonal naive forecast.
            model: "champion", "candidate" or a version that is one of them; none: whoever answers.
            deadline_s: Of this call, more than 0; none: the client's.
            request_id: For the gateway's log.

        Raises:
            ConfigError: The deadline is not more than 0.
            GatewayRefusalError: The request must be changed.
            RetryableError: The gateway has too much to do, is not ready, or does not answer in time.
            RemoteError: It cannot be reached, or answers wrongly.
        """
        call = forecast_call(
            series, history, origin=origin, cutoff=cutoff, quantiles=quantiles, known=known, static=static, fallback=fallback,
            model=model,
        )  # fmt: skip
        return self._read(self.call(call, deadline_s=deadline_s, request_id=request_id))

    def observe(
        self, rows: "Rows", *, known_at: Moment | None = None, idempotency_key: str | None = None,
        deadline_s: float | None = None,
    ) -> ObservationsRecord:  # fmt: skip
        """Post what was observed; forecasts begin after it.

        Args:
            rows: A data frame of pandas or a table of Arrow with series, timestamp and one column a value; or a mapping as in
                JSON. Nulls leave what is there.
            known_at: Since when it is known; none: the time of receipt.
            idempotency_key: Under which the gateway takes these rows once; none: one of this call, for its retries.
            deadline_s: Of this call, more than 0; none: the client's.

        Raises:
            ConfigError: The deadline is not more than 0.
            GatewayRefusalError: The rows must be changed; nothing is written.
            RetryableError: The gateway has too much to do, its store cannot be written now, or it does not answer in time.
            RemoteError: It cannot be reached, or answers wrongly.
        """
        call = observations_call(rows, known_at=known_at, idempotency_key=idempotency_key)
        return read_observations(self.document(call, deadline_s=deadline_s), endpoint=self.endpoint)

    def document(self, call: CallSpec, *, deadline_s: float | None = None) -> dict[str, Any]:
        """The JSON answer to a request; see `forecast` for what is raised."""
        return self._json(self.call(call, deadline_s=deadline_s))

    def model(self, name: str) -> dict[str, Any]:
        """Versions by role, and what the model reads."""
        return self.document(CallSpec("GET", f"/v1/models/{name}"))

    def series(self) -> list[dict[str, Any]]:
        """All series, and from when each can be forecast."""
        found: list[dict[str, Any]] = self.document(CallSpec("GET", "/v1/series"))["series"]
        return found

    def call(self, call: CallSpec, *, deadline_s: float | None = None, request_id: str | None = None) -> httpx.Response:
        """Send a request, again where that may help."""
        request = self._request(self._http, call, request_id)
        steps = attempts(self.endpoint, self._retries, deadline_s=self._within(deadline_s))
        outcome: Outcome = None
        step = next(steps)
        while True:
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                outcome = None
            else:
                outcome = self._send(request, step)
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                found: httpx.Response = done.value
                return found

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, request: httpx.Request, step: Send) -> Outcome:
        # One time for all: to connect, to write and to read would else take as long each.
        left, parts = TimeLeft(step.timeout_s), []
        request.extensions["timeout"] = left
        try:
            response = self._http.send(request, stream=True)
            try:
                # The parts of httpx's timeout are of one read each: an answer that trickles in would never end.
                content = response.iter_raw()
                while not left.is_over:
                    part = next(content, None)
                    if part is None:
                        break
                    parts.append(part)
                else:
                    return httpx.ReadTimeout(f"no whole answer within {step.timeout_s:.3g} s")
            finally:
                response.close()
        except httpx.TransportError as error:
            return error
        return httpx.Response(response.status_code, headers=response.headers, content=b"".join(parts), request=request)


class AsyncGatewayClient(_ClientBase):
    """A client for an event loop; see `GatewayClient` for what its methods take and raise."""

    def _open(self, verify: ssl.SSLContext | bool) -> None:
        self._http = httpx.AsyncClient(verify=verify)

    async def forecast(
        self, series: Sequence[str] | None = None, *, history: "Rows | None" = None, origin: Moment | None = None,
        cutoff: Moment | None = None, quantiles: Sequence[float] | None = None,
        known: Mapping[str, Any] | None = None, static: Mapping[str, Any] | None = None, fallback: bool | None = None,
        model: str | int | None = None, deadline_s: float | None = None, request_id: str | None = None,
    ) -> Forecasts:  # fmt: skip
        """See `GatewayClient.forecast`."""
        call = forecast_call(
            series, history, origin=origin, cutoff=cutoff, quantiles=quantiles, known=known, static=static, fallback=fallback,
            model=model,
        )  # fmt: skip
        return self._read(await self.call(call, deadline_s=deadline_s, request_id=request_id))

    async def observe(
        self, rows: "Rows", *, known_at: Moment | None = None, idempotency_key: str | None = None,
        deadline_s: float | None = None,
    ) -> ObservationsRecord:  # fmt: skip
        """See `GatewayClient.observe`."""
        call = observations_call(rows, known_at=known_at, idempotency_key=idempotency_key)
        return read_observations(await self.document(call, deadline_s=deadline_s), endpoint=self.endpoint)

    async def document(self, call: CallSpec, *, deadline_s: float | None = None) -> dict[str, Any]:
        """See `GatewayClient.document`."""
        return self._json(await self.call(call, deadline_s=deadline_s))

    async def model(self, name: str) -> dict[str, Any]:
        """See `GatewayClient.model`."""
        return await self.document(CallSpec("GET", f"/v1/models/{name}"))

    async def series(self) -> list[dict[str, Any]]:
        """See `GatewayClient.series`."""
        found: list[dict[str, Any]] = (await self.document(CallSpec("GET", "/v1/series")))["series"]
        return found

    async def call(
        self, call: CallSpec, *, deadline_s: float | None = None, request_id: str | None = None
    ) -> httpx.Response:
        """See `GatewayClient.call`."""
        request = self._request(self._http, call, request_id)
        steps = attempts(self.endpoint, self._retries, deadline_s=self._within(deadline_s))
        step = next(steps)
        while True:
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                outcome: Outcome = None
            else:
                outcome = await self._send(request, step)
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                found: httpx.Response = done.value
                return found

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, request: httpx.Request, step: Send) -> Outcome:
        request.extensions["timeout"] = httpx.Timeout(step.timeout_s).as_dict()
        try:
            # The parts of httpx's timeout are of one read each; this one is of the whole.
            async with asyncio.timeout(step.timeout_s):
                return await self._http.send(request)
        except TimeoutError:
            return httpx.ReadTimeout(f"no answer within {step.timeout_s:.3g} s")
        except httpx.TransportError as error:
            return error


def _checked(deadline_s: float) -> float:
    if not deadline_s > 0:
        raise ConfigError(f"deadline_s must be more than 0 seconds, found {deadline_s!r}")
    return deadline_s


def _trusting(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{ca_file} must hold certificates in PEM: {error}") from error
