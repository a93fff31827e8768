"""`POST /v1/alerts` and `/v1/retrain`: a reason to train again becomes a request in the store. Nothing runs here."""

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from typing import Any

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.iso_time import iso_time
from forecasting.config.retraining import RetrainingConfig
from forecasting.durations import duration_s
from forecasting.errors import DataError
from forecasting.retrain_alerts import AlertRecord, episode, parse_alerts
from forecasting.store.opening import Store
from forecasting.store.retrain_asking import (
    AskedDecision,
    AskingLimitsSpec,
    RequestSource,
    RetrainReasonSpec,
    ask_for_retraining,
)
from forecasting.store.retrain_requests import RetrainRequestRecord, retrain_requests
from serving.gateway.forecast_request import parse_object
from serving.gateway.guard import RateLimit

MAX_REASON = 500
_REFUSED = "refused"
"""Counted for a post that was answered with 400 or 429, beside what becomes of a reason."""
LISTED = 100
"""Requests of a list, the newest."""


@dataclass(frozen=True)
class HandReasonSpec:
    """What a post to /v1/retrain says."""

    reason: str


def parse_hand_reason(body: bytes) -> HandReasonSpec:
    """Read the body of a post to /v1/retrain.

    Raises:
        AnswerError: 400.
    """
    reason = parse_object(body, ("reason",)).get("reason", "by hand")
    if not isinstance(reason, str) or not 0 < len(reason) <= MAX_REASON or not reason.isprintable():
        raise AnswerError(400, f"'reason' must be one line of 1 to {MAX_REASON} characters, found {reason!r}")
    return HandReasonSpec(reason)


class RetrainAsker:
    """Writes requests of one model, and lists them."""

    def __init__(
        self, store: Store, model: str, settings: RetrainingConfig, *, count: Callable[[str, str], None],
        rate: RateLimit | None = None, threads: Executor | None = None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """Write to a store.

        Args:
            store: Where requests are.
            model: Whose.
            settings: What holds alerts back.
            count: Is told who asked and what came of it.
            rate: Of posts of alerts, of all senders together; none: that of the settings.
            threads: Where the store is waited for; none: the event loop's.
            clock: Epoch seconds.
        """
        self._threads, self._clock = threads, clock
        self._store, self._model, self._settings, self._count = store, model, settings, count
        self._limits = AskingLimitsSpec(
            duration_s(settings.cooldown), settings.max_per_day, alert_repeat_s=duration_s(settings.alert_repeat)
        )
        self._rate = rate or RateLimit(settings.alert_rate)

    async def alerts(self, body: bytes) -> dict[str, Any]:
        """Ask for what a post of Alertmanager asks for; what became of each alert.

        Raises:
            AnswerError: 400: it is no such post; 429.
            RetryableError: The store cannot be used now.
        """
        if (wait_s := self._rate.wait_s("alerts")) > 0:
            self._count(RequestSource.ALERT.value, _REFUSED)
            raise AnswerError(
                429, "too many posts of alerts a second; send this one later", retry_after_s=int(wait_s) + 1
            )
        try:
            alerts = _parse_post(body)
        except AnswerError:
            self._count(RequestSource.ALERT.value, _REFUSED)
            raise
        return {"alerts": [await self._alert(alert, alerts) for alert in alerts]}

    async def _alert(self, alert: AlertRecord, post: Sequence[AlertRecord]) -> dict[str, Any]:
        ignored = alert.ignored(self._model)
        if ignored is None and not self._settings.alerts:
            ignored = "retraining.alerts is false"
        if ignored is not None:
            return {"fingerprint": alert.fingerprint, "outcome": "ignored", "request": None, "why": ignored}
        found = await self._ask(RequestSource.ALERT, alert.reason, episode(alert, post))
        return {"fingerprint": alert.fingerprint, **_asked_document(found)}

    async def by_hand(self, body: bytes, client: str) -> dict[str, Any]:
        """Ask as an operator; whose token it was stands in the reason.

        Raises:
            AnswerError: 400.
            RetryableError: The store cannot be used now.
        """
        try:
            asked = parse_hand_reason(body)
        except AnswerError:
            self._count(RequestSource.HAND.value, _REFUSED)
            raise
        by = "" if client == "-" else f" ({client})"
        return _asked_document(await self._ask(RequestSource.HAND, f"{asked.reason}{by}", "hand"))

    async def requests(self) -> dict[str, Any]:
        """The latest requests of the model, the newest first.

        Raises:
            RetryableError: The store cannot be used now.
        """
        read = functools.partial(retrain_requests, self._store, model=self._model, limit=LISTED)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, read)
        return {"requests": [request_document(one) for one in found]}

    async def _ask(self, source: RequestSource, reason: str, dedup_key: str) -> AskedDecision:
        asked = RetrainReasonSpec(model=self._model, source=source, reason=reason, dedup_key=dedup_key)
        ask = functools.partial(ask_for_retraining, self._store, asked, self._limits, now=int(self._clock()))
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        self._count(source.value, found.outcome.value)
        return found


def _parse_post(body: bytes) -> tuple[AlertRecord, ...]:
    try:
        return parse_alerts(parse_object(body))
    except DataError as error:
        raise AnswerError(400, str(error)) from error


def request_document(request: RetrainRequestRecord) -> dict[str, Any]:
    """A request as it is shown; times in ISO 8601."""
    times = {name: getattr(request, name) for name in ("created_at", "lease_until", "finished_at")}
    return asdict(request) | {name: None if at is None else iso_time(at) for name, at in times.items()}


def _asked_document(found: AskedDecision) -> dict[str, Any]:
    number = None if found.request is None else found.request.id
    return {"outcome": found.outcome.value, "request": number, "why": found.why}
