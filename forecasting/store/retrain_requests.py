"""Requests to train a model again, as a worker sees them: it claims one with a lease. `retrain_asking` writes them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, or_, select, text, update

from forecasting.errors import RetryableError
from forecasting.store.opening import Store
from forecasting.store.tables import RETRAIN_REQUESTS

MAX_ATTEMPTS = 3
"""A request whose workers died this often is given up: it may be what kills them."""


class RequestLostError(RetryableError):
    """A worker no longer holds the request that it works on."""


class RequestState(StrEnum):
    """How a request stands.

    WAITING: for a worker. CLAIMED: a worker has it, or had when its lease ended. DONE: its run ended, whatever the gates
    said. FAILED: it had no run that ended.
    """

    WAITING = "waiting"
    CLAIMED = "claimed"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class RetrainRequestRecord:
    """One request; see `tables.py` for the fields. Times are epoch seconds."""

    id: int
    created_at: int
    model: str
    reason: str
    source: str
    dedup_key: str
    state: RequestState
    lease_owner: str | None
    lease_until: int | None
    attempts: int
    run: str | None
    finished_at: int | None
    detail: str | None


def give_up_requests(store: Store, *, now: int, model: str | None = None) -> list[RetrainRequestRecord]:
    """Close as failed what was claimed `MAX_ATTEMPTS` times in vain; those that this call closed.

    Args:
        store: Where the requests are.
        now: Epoch seconds.
        model: Only requests of it; none: of all models.

    Raises:
        RetryableError: The store cannot be used now.
    """
    table = RETRAIN_REQUESTS.c
    mine = [] if model is None else [table.model == model]
    spent = and_(_is_free(now), table.attempts >= MAX_ATTEMPTS, *mine)
    why = f"its workers ended {MAX_ATTEMPTS} times before it was done"
    close = update(RETRAIN_REQUESTS).where(spent).values(state=RequestState.FAILED.value, finished_at=now, detail=why)
    with store.writing() as connection:
        return [as_record(row) for row in connection.execute(close.returning(RETRAIN_REQUESTS)).mappings()]


def claim_request(
    store: Store, owner: str, *, now: int, lease_s: int, model: str | None = None, only: int | None = None
) -> RetrainRequestRecord | None:
    """Take the oldest request that waits, or whose worker let its lease end; one that was taken over keeps its run.

    Two workers never get the same one, nor two requests of one model: while one of them is held the others wait.

    Args:
        store: Where the requests are.
        owner: The worker.
        now: Epoch seconds.
        lease_s: For how long the worker is taken for alive unless it renews its lease.
        model: Only requests of it; none: of all models.
        only: Number of the one request that may be taken; none: any.

    Raises:
        RetryableError: The store cannot be used now.
    """
    table, other = RETRAIN_REQUESTS.c, RETRAIN_REQUESTS.alias()
    mine = [] if model is None else [table.model == model]
    mine += [] if only is None else [table.id == only]
    is_held = (
        select(other.c.id)
        .where(other.c.model == table.model, other.c.state == RequestState.CLAIMED, other.c.lease_until > now)
        .exists()
    )
    next_one = (
        select(table.id)
        .where(_is_free(now), table.attempts < MAX_ATTEMPTS, ~is_held, *mine)
        .order_by(table.id)
        .limit(1)
    )
    take = (
        update(RETRAIN_REQUESTS)
        .where(table.id == next_one.scalar_subquery())
        .values(
            state=RequestState.CLAIMED.value, lease_owner=owner, lease_until=now + lease_s, attempts=table.attempts + 1
        )
        .returning(RETRAIN_REQUESTS)
    )
    with store.reading() as connection:
        if connection.execute(next_one).first() is None:
            return None
    with store.writing() as connection:
        lock_requests(store, connection)
        found = connection.execute(take).mappings().first()
    return None if found is None else as_record(found)


def lock_requests(store: Store, connection: Connection) -> None:
    """Let nobody else write requests until the transaction ends; SQLite has one writer anyway."""
    if store.is_postgresql:
        connection.execute(text(f"LOCK TABLE {RETRAIN_REQUESTS.name} IN SHARE ROW EXCLUSIVE MODE"))


def _is_free(now: int) -> ColumnElement[bool]:
    """Open, and held by nobody; a request that was given back waits until the time for which it was put off."""
    table = RETRAIN_REQUESTS.c
    return or_(
        and_(table.state == RequestState.WAITING, or_(table.lease_until.is_(None), table.lease_until <= now)),
        and_(table.state == RequestState.CLAIMED, table.lease_until <= now),
    )


def give_back(
    store: Store, request: RetrainRequestRecord, *, not_before: int, counts: bool, detail: str | None = None
) -> RetrainRequestRecord:
    """Let a request wait again, with the run that was begun for it.

    Args:
        store: Where the requests are.
        request: As it was claimed.
        not_before: When it may be claimed again, epoch seconds.
        counts: Whether the attempt counts; not where the worker was told to stop.
        detail: What came of the attempt.

    Raises:
        RequestLostError: Another worker has taken the request over.
        RetryableError: The store cannot be used now.
    """
    values: dict[str, Any] = {"state": RequestState.WAITING.value, "lease_owner": None, "lease_until": not_before}
    if not counts:
        values["attempts"] = request.attempts - 1
    if detail is not None:
        values["detail"] = detail
    return _change_own(store, request, values)


def renew_lease(store: Store, request: RetrainRequestRecord, *, now: int, lease_s: int) -> RetrainRequestRecord:
    """Say that the worker lives.

    Raises:
        RequestLostError: Another worker has taken the request over.
        RetryableError: The store cannot be used now.
    """
    return _change_own(store, request, {"lease_until": now + lease_s})


def record_run(store: Store, request: RetrainRequestRecord, run: str) -> RetrainRequestRecord:
    """Say which run the request became, so that whoever takes it over can resume it.

    Raises:
        RequestLostError: Another worker has taken the request over.
        RetryableError: The store cannot be used now.
    """
    return _change_own(store, request, {"run": run})


def finish_request(
    store: Store, request: RetrainRequestRecord, state: RequestState, *, detail: str, now: int
) -> RetrainRequestRecord:
    """Close a request as done or failed.

    Raises:
        RequestLostError: Another worker has taken the request over.
        RetryableError: The store cannot be used now.
    """
    return _change_own(store, request, {"state": state.value, "finished_at": now, "detail": detail})


def retrain_requests(store: Store, *, model: str | None = None, limit: int = 100) -> list[RetrainRequestRecord]:
    """Requests, the newest first."""
    table = RETRAIN_REQUESTS.c
    wanted = select(RETRAIN_REQUESTS).order_by(table.id.desc()).limit(limit)
    with store.reading() as connection:
        rows = connection.execute(wanted if model is None else wanted.where(table.model == model))
        return [as_record(row) for row in rows.mappings()]


def open_requests(store: Store, model: str) -> list[RetrainRequestRecord]:
    """Requests of a model that wait or are claimed, the oldest first.

    Raises:
        RetryableError: The store cannot be used now.
    """
    table = RETRAIN_REQUESTS.c
    is_open = table.state.in_((RequestState.WAITING, RequestState.CLAIMED))
    wanted = select(RETRAIN_REQUESTS).where(table.model == model, is_open).order_by(table.id)
    with store.reading() as connection:
        return [as_record(row) for row in connection.execute(wanted).mappings()]


def _change_own(store: Store, request: RetrainRequestRecord, values: dict[str, Any]) -> RetrainRequestRecord:
    table = RETRAIN_REQUESTS.c
    # The number of the attempt tells a worker from itself before it lost its lease.
    own = and_(
        table.id == request.id,
        table.state == RequestState.CLAIMED,
        table.lease_owner == request.lease_owner,
        table.attempts == request.attempts,
    )
    with store.writing() as connection:
        found = (
            connection.execute(update(RETRAIN_REQUESTS).where(own).values(values).returning(RETRAIN_REQUESTS))
            .mappings()
            .first()
        )
    if found is None:
        raise RequestLostError(
            f"request {request.id} must be held by {request.lease_owner!r} in attempt {request.attempts}, and is not any more; "
            "stop working on it"
        )
    return as_record(found)


def as_record(row: RowMapping) -> RetrainRequestRecord:
    """A row of the table."""
    return RetrainRequestRecord(**{**row, "state": RequestState(row["state"])})


@dataclass(frozen=True)
class RequestCountsReport:
    """Requests of a model by state, and when the oldest open one was made, epoch seconds; none where none is open."""

    counts: dict[RequestState, int]
    oldest_open: int | None


def count_requests(store: Store, model: str) -> RequestCountsReport:
    """How the requests of a model stand.

    Raises:
        RetryableError: The store cannot be used now.
    """
    table = RETRAIN_REQUESTS.c
    wanted = (
        select(table.state, func.count(), func.min(table.created_at)).where(table.model == model).group_by(table.state)
    )
    with store.reading() as connection:
        found = {RequestState(state): (int(n), int(first)) for state, n, first in connection.execute(wanted)}
    open_ones = [found[state][1] for state in (RequestState.WAITING, RequestState.CLAIMED) if state in found]
    return RequestCountsReport(
        {state: found[state][0] if state in found else 0 for state in RequestState}, min(open_ones, default=None)
    )
