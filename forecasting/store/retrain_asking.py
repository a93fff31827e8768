"""Whether a reason to train again becomes a request: what is open already, cool-down, a limit for a day."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, func, insert, select

from forecasting.store.opening import Store
from forecasting.store.retrain_requests import RequestState, RetrainRequestRecord, as_record, lock_requests
from forecasting.store.tables import RETRAIN_REQUESTS

_DAY_S = 86_400
_SKEW_S = 300
"""By how much the clocks of two machines may differ."""
_OPEN = (RequestState.WAITING, RequestState.CLAIMED)


class RequestSource(StrEnum):
    """Who asks. ALERT and NEW_DATA ask as often as they like, so limits hold for them."""

    ALERT = "alert"
    NEW_DATA = "new_data"
    SCHEDULE = "schedule"
    HAND = "hand"


@dataclass(frozen=True, kw_only=True)
class RetrainReasonSpec:
    """A reason to train a model again.

    dedup_key: tells one reason from another. Of a schedule it names the time, and is taken once for ever; of all others
    it is taken while a request with it is open. Of alerts it names one episode, from the first firing until they are resolved.
    """

    model: str
    source: RequestSource
    reason: str
    dedup_key: str


@dataclass(frozen=True)
class AskingLimitsSpec:
    """What holds back those that ask by themselves.

    cooldown_s: after the end of a request of the model. max_per_day: requests by alert and new data within 24 hours.
    alert_repeat_s: after the end of a run that the same episode of alerts asked for.
    """

    cooldown_s: int
    max_per_day: int
    alert_repeat_s: int = 0


class AskedOutcome(StrEnum):
    """What became of a reason: a request was MADE, an open one stands for it (DUPLICATE), or a limit holds it back."""

    MADE = "made"
    DUPLICATE = "duplicate"
    LIMITED = "limited"


@dataclass(frozen=True)
class AskedDecision:
    """What became of a reason, and why it was not made; request: that was made or stands for it."""

    outcome: AskedOutcome
    request: RetrainRequestRecord | None
    why: str = ""


def ask_for_retraining(store: Store, asked: RetrainReasonSpec, limits: AskingLimitsSpec, *, now: int) -> AskedDecision:
    """Write a request, unless one stands for it or a limit holds it back.

    Whoever asks by hand is held back by nothing but an open request by hand; a schedule by a request of the model that
    waits, whatever asked for it; alerts and new data by any open request of the model and by the limits.

    Raises:
        RetryableError: The store cannot be used now.
    """
    with store.writing() as connection:
        lock_requests(store, connection)
        if (held := _held_back(connection, asked, limits, now)) is not None:
            return held
        row = {
            "created_at": now, "model": asked.model, "reason": asked.reason, "source": asked.source.value,
            "dedup_key": asked.dedup_key, "state": RequestState.WAITING.value, "attempts": 0,
        }  # fmt: skip
        made = connection.execute(insert(RETRAIN_REQUESTS).values(row).returning(RETRAIN_REQUESTS)).mappings().one()
    return AskedDecision(AskedOutcome.MADE, as_record(made))


def _held_back(
    connection: Connection, asked: RetrainReasonSpec, limits: AskingLimitsSpec, now: int
) -> AskedDecision | None:
    table = RETRAIN_REQUESTS.c
    is_open = table.state.in_(_OPEN)
    stands: ColumnElement[bool]
    match asked.source:
        case RequestSource.HAND:
            stands = is_open & (table.dedup_key == asked.dedup_key)
        case RequestSource.SCHEDULE:
            stands = (table.dedup_key == asked.dedup_key) | (table.state == RequestState.WAITING)
        case _:
            stands = is_open
    found = select(RETRAIN_REQUESTS).where(table.model == asked.model, stands).order_by(table.id.desc()).limit(1)
    if (row := connection.execute(found).mappings().first()) is not None:
        one = as_record(row)
        return AskedDecision(AskedOutcome.DUPLICATE, one, f"request {one.id} is {one.state.value}")
    match asked.source:
        case RequestSource.ALERT:
            return _limited(connection, asked.model, limits, now) or _repeated(connection, asked, limits, now)
        case RequestSource.NEW_DATA:
            return _limited(connection, asked.model, limits, now)
        case _:
            return None


def _repeated(
    connection: Connection, asked: RetrainReasonSpec, limits: AskingLimitsSpec, now: int
) -> AskedDecision | None:
    """A run on nearly the same table comes to nearly the same; a request that failed had no run that ended, and holds nothing back."""
    table = RETRAIN_REQUESTS.c
    same = (table.model == asked.model, table.dedup_key == asked.dedup_key, table.state == RequestState.DONE)
    last = _last_end(connection, same, now=now)
    if last is None or now >= last + limits.alert_repeat_s:
        return None
    left = last + limits.alert_repeat_s - now
    why = f"a run for this alert ended {max(0, now - last)} s ago, and it fires still; none for {left} s more"
    return AskedDecision(AskedOutcome.LIMITED, None, why)


def _last_end(connection: Connection, chosen: Sequence[ColumnElement[bool]], *, now: int) -> int | None:
    """When the last of some requests ended; one that ended ahead of now did so by a clock that was set back since."""
    table = RETRAIN_REQUESTS.c
    ended = select(func.max(table.finished_at)).where(*chosen, table.finished_at <= now + _SKEW_S)
    found: int | None = connection.execute(ended).scalar()
    return found


def _limited(connection: Connection, model: str, limits: AskingLimitsSpec, now: int) -> AskedDecision | None:
    table = RETRAIN_REQUESTS.c
    last = _last_end(connection, (table.model == model,), now=now)
    if last is not None and now < last + limits.cooldown_s:
        left = last + limits.cooldown_s - now
        why = f"the last request ended {max(0, now - last)} s ago; none for {left} s more"
        return AskedDecision(AskedOutcome.LIMITED, None, why)
    by_itself = table.source.in_([RequestSource.ALERT.value, RequestSource.NEW_DATA.value])
    within = select(func.count()).where(
        table.model == model, by_itself, table.created_at > now - _DAY_S, table.created_at < now + _DAY_S
    )
    if (n := int(connection.execute(within).scalar_one())) >= limits.max_per_day:
        return AskedDecision(AskedOutcome.LIMITED, None, f"{n} requests within a day are as many as may be")
    return None
