"""Requests to train a model again: whoever sees a reason writes one, a worker claims it with a lease."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import RowMapping, and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from forecasting.errors import RetryableError
from forecasting.store.opening import Store
from forecasting.store.tables import RETRAIN_REQUESTS

MAX_ATTEMPTS = 3
"""A request whose workers died this often is given up: it may be what kills them."""


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


def request_retraining(
    store: Store, model: str, *, reason: str, source: str, dedup_key: str, now: int
) -> RetrainRequestRecord:
    """Write a request, unless one of the same model and `dedup_key` is open.

    Returns:
        The new one, or the open one.

    Raises:
        RetryableError: The store cannot be used now.
    """
    row = {
        "created_at": now,
        "model": model,
        "reason": reason,
        "source": source,
        "dedup_key": dedup_key,
        "state": RequestState.WAITING.value,
        "attempts": 0,
    }
    insert = (postgresql.insert if store.is_postgresql else sqlite.insert)(RETRAIN_REQUESTS)
    table = RETRAIN_REQUESTS.c
    opened = select(RETRAIN_REQUESTS).where(
        table.model == model,
        table.dedup_key == dedup_key,
        table.state.in_([RequestState.WAITING, RequestState.CLAIMED]),
    )
    with store.writing() as connection:
        made = (
            connection.execute(insert.values(row).on_conflict_do_nothing().returning(RETRAIN_REQUESTS))
            .mappings()
            .first()
        )
        found = made or connection.execute(opened).mappings().first()
    if found is None:
        raise RetryableError(f"a request {dedup_key!r} of {model!r} was closed while this one was made; try again")
    return _record(found)


def claim_request(
    store: Store, owner: str, *, now: int, lease_s: int, model: str | None = None
) -> RetrainRequestRecord | None:
    """Take the oldest request that waits, or whose worker let its lease end; one that was taken over keeps its run.

    Two workers never get the same one. A request that was claimed `MAX_ATTEMPTS` times in vain becomes failed.

    Args:
        store: Where the requests are.
        owner: The worker.
        now: Epoch seconds.
        lease_s: For how long the worker is taken for alive unless it renews its lease.
        model: Only requests of it; none: of all models.

    Raises:
        RetryableError: The store cannot be used now.
    """
    table = RETRAIN_REQUESTS.c
    over = and_(table.state == RequestState.CLAIMED, table.lease_until <= now)
    mine = [] if model is None else [table.model == model]
    spent = and_(over, table.attempts >= MAX_ATTEMPTS, *mine)
    next_one = (
        select(table.id)
        .where(or_(table.state == RequestState.WAITING, over), *mine)
        .order_by(table.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    why = f"its workers ended {MAX_ATTEMPTS} times before it was done"
    give_up = update(RETRAIN_REQUESTS).where(spent).values(state=RequestState.FAILED.value, finished_at=now, detail=why)
    take = (
        update(RETRAIN_REQUESTS)
        .where(table.id == next_one)
        .values(
            state=RequestState.CLAIMED.value, lease_owner=owner, lease_until=now + lease_s, attempts=table.attempts + 1
        )
        .returning(RETRAIN_REQUESTS)
    )
    with store.writing() as connection:
        connection.execute(give_up)
        found = connection.execute(take).mappings().first()
    return None if found is None else _record(found)


def renew_lease(store: Store, request: RetrainRequestRecord, *, now: int, lease_s: int) -> RetrainRequestRecord:
    """Say that the worker lives.

    Raises:
        RetryableError: Another worker has taken the request over, or the store cannot be used now.
    """
    return _change_own(store, request, {"lease_until": now + lease_s})


def record_run(store: Store, request: RetrainRequestRecord, run: str) -> RetrainRequestRecord:
    """Say which run the request became, so that whoever takes it over can resume it.

    Raises:
        RetryableError: Another worker has taken the request over, or the store cannot be used now.
    """
    return _change_own(store, request, {"run": run})


def finish_request(
    store: Store, request: RetrainRequestRecord, state: RequestState, *, detail: str, now: int
) -> RetrainRequestRecord:
    """Close a request as done or failed.

    Raises:
        RetryableError: Another worker has taken the request over, or the store cannot be used now.
    """
    return _change_own(store, request, {"state": state.value, "finished_at": now, "detail": detail})


def retrain_requests(store: Store, *, model: str | None = None, limit: int = 100) -> list[RetrainRequestRecord]:
    """Requests, the newest first."""
    table = RETRAIN_REQUESTS.c
    wanted = select(RETRAIN_REQUESTS).order_by(table.id.desc()).limit(limit)
    with store.reading() as connection:
        rows = connection.execute(wanted if model is None else wanted.where(table.model == model))
        return [_record(row) for row in rows.mappings()]


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
        raise RetryableError(
            f"request {request.id} must be held by {request.lease_owner!r} in attempt {request.attempts}, and is not any more; "
            "stop working on it"
        )
    return _record(found)


def _record(row: RowMapping) -> RetrainRequestRecord:
    return RetrainRequestRecord(**{**row, "state": RequestState(row["state"])})
