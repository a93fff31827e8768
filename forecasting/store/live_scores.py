"""What forecasts were scored with, the sums of all scores, up to where that went, and the lease of whoever scores a model.

A point is scored in one transaction with the note that it was, under the lease: whoever is killed has counted it, or has
not and the next one does. No two monitors count the same, since the one that lost its lease can commit nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, bindparam, case, select, update
from sqlalchemy.dialects import postgresql, sqlite

from forecasting.errors import RetryableError
from forecasting.store.opening import Store
from forecasting.store.tables import FORECASTS, MONITOR_LEASES, MONITOR_MARKS, MONITOR_SUMS, OBSERVATION_CHANGES

Floats = npt.NDArray[np.float64]
_SCORED = np.dtype("<f8")


@dataclass(frozen=True, order=True)
class SumKey:
    """What a sum is of: a metric of the contract and its labels; version 0 and empty words where it has none."""

    version: int
    role: str
    horizon: str
    name: str
    part: str = ""


@dataclass(frozen=True)
class SumRecord:
    """A sum now, the most that it was, and when it changed last (epoch seconds)."""

    total: float
    peak: float
    updated_at: int


@dataclass(frozen=True)
class ScoredForecastRecord:
    """Key of a forecast and what it is scored with `[2,H]`: actuals, then naive forecasts."""

    created_at: int
    request: str
    role: str
    series: str
    scored: Floats


@dataclass(frozen=True)
class MonitorMarkRecord:
    """What was looked at: forecasts with an origin from `since` on that a revision of the observations could change.

    targets: which table of which version lay under the observations. reach_s: the longest horizon of a forecast that
    was looked at.
    """

    revision: int
    targets: str
    since: int
    reach_s: int


@dataclass(frozen=True)
class MonitorLease:
    """The right to score a model; every commit renews it."""

    model: str
    owner: str
    lease_s: int


def claim_lease(store: Store, lease: MonitorLease, *, now: int) -> str | None:
    """Take the lease, or renew it; none where it is ours now, else its owner.

    Raises:
        RetryableError: The store cannot be used now.
    """
    row = {"model": lease.model, "owner": lease.owner, "lease_until": now + lease.lease_s}
    table = MONITOR_LEASES.c
    free = (table.lease_until <= now) | (table.owner == lease.owner)
    with store.writing() as connection:
        insert = _insert(connection, MONITOR_LEASES).values(row)
        insert = insert.on_conflict_do_update(index_elements=["model"], set_=row, where=free)
        connection.execute(insert)
        owner = connection.execute(select(table.owner).where(table.model == lease.model)).scalar_one()
    return None if owner == lease.owner else str(owner)


def release_lease(store: Store, lease: MonitorLease) -> None:
    """Give the lease back, so that nobody has to wait for its end.

    Raises:
        RetryableError: The store cannot be used now.
    """
    table = MONITOR_LEASES.c
    mine = (table.model == lease.model) & (table.owner == lease.owner)
    with store.writing() as connection:
        connection.execute(MONITOR_LEASES.delete().where(mine))


def unpack_scored(packed: Sequence[bytes | None], n_steps: int) -> Floats:
    """What N forecasts were scored with `[N,2,H]`, NaN where they were not."""
    nothing = not_scored(n_steps).astype(_SCORED, copy=False).tobytes()
    joined = bytearray().join(nothing if one is None else one for one in packed)
    return np.frombuffer(joined, _SCORED).reshape(-1, 2, n_steps)


def not_scored(n_steps: int) -> Floats:
    """What a forecast is scored with `[2,H]` that was looked at and has no actual yet."""
    return np.full((2, n_steps), np.nan)


def write_scores(
    store: Store, lease: MonitorLease, scored: Sequence[ScoredForecastRecord], added: Mapping[SumKey, float], *, now: int
) -> None:  # fmt: skip
    """Note what some forecasts are scored with now, and add what that changes to the sums: all of it, or nothing.

    Raises:
        RetryableError: The lease is another one's by now, or the store cannot be used; nothing was written.
    """
    table = FORECASTS.c
    statement = (
        update(FORECASTS)
        .where(
            table.created_at == bindparam("of_created_at"),
            table.request == bindparam("of_request"),
            table.role == bindparam("of_role"),
            table.series == bindparam("of_series"),
        )
        .values(scored=bindparam("new_scored"))
    )
    with store.writing() as connection:
        _renew(connection, lease, now=now)
        if scored:
            rows = [
                {
                    "of_created_at": one.created_at,
                    "of_request": one.request,
                    "of_role": one.role,
                    "of_series": one.series,
                    "new_scored": one.scored.astype(_SCORED, copy=False).tobytes(),
                }
                for one in scored
            ]
            connection.execute(statement, rows)
        _add(connection, lease.model, added, now=now)


def read_mark(store: Store, model: str) -> MonitorMarkRecord | None:
    """Up to where the forecasts of a model were looked at; none where they never were.

    Raises:
        RetryableError: The store cannot be used now.
    """
    table = MONITOR_MARKS.c
    wanted = select(table.revision, table.targets, table.since, table.reach_s).where(table.model == model)
    with store.reading() as connection:
        row = connection.execute(wanted).one_or_none()
    return None if row is None else MonitorMarkRecord(*row)


def write_mark(store: Store, lease: MonitorLease, mark: MonitorMarkRecord, *, now: int) -> None:
    """Note up to where forecasts were looked at, and forget what changed before.

    Raises:
        RetryableError: The lease is another one's by now, or the store cannot be used; nothing was written.
    """
    row, changes = asdict(mark), OBSERVATION_CHANGES.c
    seen = (changes.model == lease.model) & (changes.revision <= mark.revision)
    with store.writing() as connection:
        _renew(connection, lease, now=now)
        insert = _insert(connection, MONITOR_MARKS).values(model=lease.model, **row)
        connection.execute(insert.on_conflict_do_update(index_elements=["model"], set_=row))
        connection.execute(OBSERVATION_CHANGES.delete().where(seen))


def read_sums(store: Store, model: str) -> dict[SumKey, SumRecord]:
    """All sums of a model.

    Raises:
        RetryableError: The store cannot be used now.
    """
    table = MONITOR_SUMS.c
    columns = (table.version, table.role, table.horizon, table.name, table.part)
    wanted = select(*columns, table.total, table.peak, table.updated_at).where(table.model == model)
    with store.reading() as connection:
        rows = connection.execute(wanted)
        return {SumKey(*row[:5]): SumRecord(*row[5:]) for row in rows}


def _renew(connection: Connection, lease: MonitorLease, *, now: int) -> None:
    table = MONITOR_LEASES.c
    mine = (table.model == lease.model) & (table.owner == lease.owner)
    found = connection.execute(update(MONITOR_LEASES).where(mine).values(lease_until=now + lease.lease_s))
    if found.rowcount != 1:
        raise RetryableError(f"another monitor scores {lease.model!r} by now; this one has written nothing")


def _add(connection: Connection, model: str, added: Mapping[SumKey, float], *, now: int) -> None:
    rows = [
        {
            "model": model,
            "version": key.version,
            "role": key.role,
            "horizon": key.horizon,
            "name": key.name,
            "part": key.part,
            "total": value,
            "peak": max(value, 0.0),
            "updated_at": now,
        }
        for key, value in sorted(added.items())
    ]
    if not rows:
        return
    insert, table = _insert(connection, MONITOR_SUMS), MONITOR_SUMS.c
    total = table.total + insert.excluded.total
    insert = insert.on_conflict_do_update(
        index_elements=["model", "version", "role", "horizon", "name", "part"],
        set_={"total": total, "peak": case((total > table.peak, total), else_=table.peak), "updated_at": now},
    )
    connection.execute(insert, rows)


def _insert(connection: Connection, table: Any) -> Any:
    return (postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)(table)
