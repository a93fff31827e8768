"""Requests to the interface of a cluster: JSON over HTTP, repeated within a budget, with errors that say what to do."""

import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from forecasting.config.cluster_api import ClusterApiConfig
from forecasting.durations import duration_s
from forecasting.errors import ConfigError, RemoteError, RetryableError

logger = logging.getLogger(__name__)

CONFLICT, NOT_FOUND = 409, 404
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.25, 8.0
_JSON = "application/json"


class NotThereError(RemoteError):
    """The interface does not know what was asked for."""


@dataclass(frozen=True)
class ApiAddressSpec:
    """Where an interface is, and who asks. token_file: read for every request; ca_file: certificates of the interface."""

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None


@dataclass(frozen=True)
class ApiRequestSpec:
    """One request.

    accept: statuses beside 2xx that are answers, not errors. repeatable: whether sending it twice does what sending it once
    does; where it does not, only what surely was not done is tried again.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    content_type: str = _JSON
    accept: tuple[int, ...] = ()
    repeatable: bool = True


@dataclass(frozen=True)
class ApiAnswerRecord:
    """What came back. document: of JSON; text: of anything else."""

    status: int
    document: dict[str, Any]
    text: str = ""


class ApiSession:
    """Asks one interface; close it at the end."""

    def __init__(
        self, address: ApiAddressSpec, settings: ClusterApiConfig, *, sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Opens no connection yet.

        Args:
            address: Where it is.
            settings: How patiently it is asked.
            sleep: Waits for some seconds; true where the process was told to stop meanwhile.
            clock: Seconds.

        Raises:
            ConfigError: The file with certificates cannot be used.
        """
        self._address, self._patience_s = address, duration_s(settings.patience)
        self._sleep, self._clock = sleep, clock
        verify: str | bool = str(address.ca_file) if address.ca_file else True
        try:
            self._client = httpx.Client(
                base_url=address.url, timeout=float(duration_s(settings.request_timeout)), verify=verify
            )
        except OSError as error:
            raise ConfigError(f"cluster.api.ca_file {address.ca_file} must hold certificates (PEM): {error}") from error

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def send(self, request: ApiRequestSpec) -> ApiAnswerRecord:
        """Send a request until it is answered, or patience ends.

        Raises:
            RetryableError: The interface cannot be reached, is too slow or busy, or it is not known whether it did what was asked.
            RemoteError: It refuses the request; NotThereError where it does not know the thing.
            ConfigError: The token cannot be read.
        """
        deadline, delay_s = self._clock() + self._patience_s, _FIRST_DELAY_S
        while True:
            found, wait_s = self._try(request)
            if isinstance(found, ApiAnswerRecord):
                return found
            # Spread, so that many who wait for one interface do not come back at once.
            wait_s = wait_s or delay_s * random.uniform(0.5, 1.0)  # nosec B311 # of a pause
            if self._clock() + wait_s > deadline or not wait_s < self._patience_s:
                raise RetryableError(f"{found}; asked for {self._patience_s} s (cluster.api.patience); try again later")
            logger.info("%s; asked again in %.1f s", found, wait_s)
            if self._sleep(wait_s):
                raise RetryableError(f"{found}; not asked again, as this process is to end")
            delay_s = min(2 * delay_s, _LONGEST_DELAY_S)

    def lines(self, request: ApiRequestSpec, *, silence_s: float) -> Iterator[str]:
        """Lines of an answer while it is written, such as a watch or a log that is followed; asked for once.

        Nothing comes of a status that the request accepts.

        Args:
            request: What is asked for.
            silence_s: Time without a byte after which the stream counts as lost.

        Raises:
            RetryableError: The interface cannot be reached or is busy, or the stream was cut off.
            RemoteError: It refuses the request; NotThereError where it does not know the thing.
            ConfigError: The token cannot be read.
        """
        what = f"{request.method} {request.path} of {self._address.url}"
        try:
            with self._client.stream(
                request.method, request.path, params=dict(request.query), headers=self._headers(request),
                timeout=httpx.Timeout(self._client.timeout.connect, read=silence_s),
            ) as answer:  # fmt: skip
                if answer.status_code in request.accept:
                    return
                if not answer.is_success:
                    answer.read()
                    if answer.status_code in _PASSING:
                        raise RetryableError(f"{what} answered {answer.status_code}: {_reason(answer)}")
                    self._judged(request, answer, what)
                yield from answer.iter_lines()
        except httpx.TransportError as error:
            raise RetryableError(f"{what} was cut off: {type(error).__name__} {error}".rstrip()) from error

    def _try(self, request: ApiRequestSpec) -> tuple[ApiAnswerRecord | str, float]:
        """Send it once: the answer, or why it is to be sent again, and after how many seconds where the interface says so."""
        what = f"{request.method} {request.path} of {self._address.url}"
        try:
            answer = self._client.request(
                request.method, request.path, params=dict(request.query), headers=self._headers(request),
                content=None if request.body is None else json.dumps(request.body),
            )  # fmt: skip
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return f"{self._address.url} must be reachable (cluster.api.url, --host): {error}", 0.0
        except httpx.TransportError as error:
            why = f"{what} was not answered: {type(error).__name__} {error}".rstrip()
            return self._again_or_uncertain(request, why)
        if answer.status_code in _PASSING and answer.status_code not in request.accept:
            why = f"{what} answered {answer.status_code}: {_reason(answer)}"
            if answer.status_code == 429:
                return why, _retry_after_s(answer)
            return self._again_or_uncertain(request, why, _retry_after_s(answer))
        return self._judged(request, answer, what), 0.0

    def _again_or_uncertain(self, request: ApiRequestSpec, why: str, wait_s: float = 0.0) -> tuple[str, float]:
        if not request.repeatable:
            raise RetryableError(f"{why}; whether it was done is not known")
        return why, wait_s

    def _judged(self, request: ApiRequestSpec, answer: httpx.Response, what: str) -> ApiAnswerRecord:
        status = answer.status_code
        if answer.is_success or status in request.accept:
            return ApiAnswerRecord(status, _document(answer, what), answer.text)
        if status in (401, 403):
            raise RemoteError(
                f"{what} answered {status}: {_reason(answer)}; cluster.api.token_file must name the token of somebody who may do this, "
                f"found {self._address.token_file or 'none'}"
            )
        if status == NOT_FOUND:
            raise NotThereError(
                f"{what} is not there: {_reason(answer)}; look at cluster.api.url, cluster.backend and the name"
            )
        raise RemoteError(f"{what} answered {status}: {_reason(answer)}")

    def _headers(self, request: ApiRequestSpec) -> dict[str, str]:
        headers = {"Content-Type": request.content_type} if request.body is not None else {}
        path = self._address.token_file
        if path is None:
            return headers
        try:
            token = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(f"cluster.api.token_file {path} must be a file with a token: {error}") from error
        return {**headers, "Authorization": f"Bearer {token}"}


def _document(answer: httpx.Response, what: str) -> dict[str, Any]:
    if not answer.headers.get("Content-Type", "").startswith(_JSON):
        return {}
    try:
        found = answer.json()
    except ValueError as error:
        raise RemoteError(f"{what} must answer in JSON: {error}") from error
    return found if isinstance(found, dict) else {}


def _reason(answer: httpx.Response) -> str:
    """What the interface says is the matter: both kinds of interface call it `message`."""
    try:
        message = answer.json().get("message")
    except (ValueError, AttributeError):
        message = None
    return " ".join(str(message or answer.text or answer.reason_phrase).split())[:400]


def _retry_after_s(answer: httpx.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0
