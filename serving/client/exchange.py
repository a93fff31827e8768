"""One request with its retries, without sending anything: the synchronous and the asynchronous client both drive it."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import httpx

from forecasting.errors import RetryableError
from serving.client.errors import PASSING, GatewayUnreachableError, refusal
from serving.client.retries import Retries


@dataclass(frozen=True)
class CallSpec:
    """A request."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Send:
    """Send the request, and wait for so long."""

    timeout_s: float


@dataclass(frozen=True)
class Pause:
    """Do nothing for so long."""

    seconds: float


Outcome = httpx.Response | httpx.TransportError | None
Steps = Generator[Send | Pause, Outcome, httpx.Response]


def attempts(
    endpoint: str, retries: Retries, *, deadline_s: float, clock: Callable[[], float] = time.monotonic
) -> Steps:
    """What to do for one answer: yields what to do next, is sent what came of it, returns the answer.

    Args:
        endpoint: For messages.
        retries: Of the client.
        deadline_s: All attempts and pauses together.
        clock: Seconds.

    Raises:
        GatewayUnreachableError: Nothing answers.
        RetryableError: The condition that passes did not, in the time and with the attempts there were.
        AlmanacError: The answer is another than 200; see `refusal`.
    """
    end, n_sent = clock() + deadline_s, 0
    while True:
        found = yield Send(max(0.001, end - clock()))
        n_sent += 1
        if isinstance(found, httpx.Response):
            if found.status_code == 200:
                retries.succeeded()
                return found
            error = refusal(endpoint, found.status_code, found.content)
            if found.status_code not in PASSING:
                raise error
        elif isinstance(found, httpx.TimeoutException) and not isinstance(found, httpx.ConnectTimeout):
            raise RetryableError(f"{endpoint} must answer within {deadline_s:g} s") from found
        else:
            error = GatewayUnreachableError(f"no gateway answers at {endpoint} ({found})")
        pause = retries.pause_s(n_sent, asked_s=_asked_s(found), left_s=end - clock())
        if pause is None:
            raise error
        yield Pause(pause)


def _asked_s(found: Outcome) -> float:
    """Seconds of the header Retry-After, 0 without one; its other form, a date, the gateway does not send."""
    text = found.headers.get("retry-after", "") if isinstance(found, httpx.Response) else ""
    return float(text) if text.isdecimal() else 0.0
