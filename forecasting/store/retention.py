"""Remove what is older than it has to be kept: partitions on PostgreSQL, rows in small transactions on SQLite."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Table, delete, func, select, tuple_

from forecasting.store.opening import Store
from forecasting.store.packing import BLOCK_STEPS
from forecasting.store.partitions import FORECAST_PARTS, OBSERVATION_PARTS, drop_partitions
from forecasting.store.tables import (
    FORECASTS,
    OBSERVATION_BLOCKS,
    OBSERVATION_CHANGES,
    OBSERVATION_POSTS,
    OBSERVED_COLUMNS,
    RETRAIN_REQUESTS,
    SUPERSEDED_OBSERVATIONS,
)

KEEP_POSTS_S = 7 * 86_400
"""For how long an idempotency key is known, and what a revision changed where no monitor looks at it."""
_AT_ONCE = 5_000
"""Rows of one transaction: whoever else writes waits no longer than for these."""


@dataclass(frozen=True)
class PruneReport:
    """What is gone: rows by table, and whole partitions by name."""

    rows: dict[str, int]
    partitions: tuple[str, ...] = ()


def prune(
    store: Store, *, keep_forecasts_s: int | None, keep_observations_s: int | None, now: int, at_once: int = _AT_ONCE
) -> PruneReport:
    """Remove forecasts made, and observations of times, longer ago than that; none: all stay.

    On PostgreSQL forecasts and blocks of observations go by whole partitions, so that they stay up to the width of one longer.
    With forecasts go the retrain requests that were closed before them; idempotency keys, and changes that no monitor looked at, go after a week.

    Raises:
        RetryableError: The store cannot be used now; what is gone is gone, the rest goes next time.
    """
    rows: dict[str, int] = {}
    partitions: list[str] = []
    posts = OBSERVATION_POSTS.c.created_at < now - KEEP_POSTS_S
    rows["observation_posts"] = _remove(store, OBSERVATION_POSTS, posts, at_once)
    unseen = OBSERVATION_CHANGES.c.created_at < now - KEEP_POSTS_S
    rows["observation_changes"] = _remove(store, OBSERVATION_CHANGES, unseen, at_once)
    if keep_forecasts_s is not None:
        limit = now - keep_forecasts_s
        closed = RETRAIN_REQUESTS.c.finished_at < limit
        rows["retrain_requests"] = _remove(store, RETRAIN_REQUESTS, closed, at_once)
        if store.is_postgresql:
            with store.writing() as connection:
                partitions += drop_partitions(connection, FORECAST_PARTS, limit)
        else:
            rows["forecasts"] = _remove(store, FORECASTS, FORECASTS.c.created_at < limit, at_once)
    if keep_observations_s is not None:
        limit = now - keep_observations_s
        superseded = SUPERSEDED_OBSERVATIONS.c.time < limit
        rows["superseded_observations"] = _remove(store, SUPERSEDED_OBSERVATIONS, superseded, at_once)
        blocks, dropped = _remove_blocks(store, limit, at_once)
        rows["observation_blocks"] = blocks
        partitions += dropped
    return PruneReport({name: n for name, n in rows.items() if n}, tuple(partitions))


def _remove_blocks(store: Store, limit: int, at_once: int) -> tuple[int, list[str]]:
    """Blocks whose last step lies before the limit."""
    columns = OBSERVED_COLUMNS.c
    with store.reading() as connection:
        steps = [int(step_s) for step_s in connection.execute(select(columns.step_s).distinct()).scalars()]
    if not steps:
        return 0, []
    if store.is_postgresql:
        with store.writing() as connection:
            return 0, drop_partitions(connection, OBSERVATION_PARTS, limit - BLOCK_STEPS * max(steps))
    n_removed = 0
    for step_s in steps:
        keys = select(columns.key).where(columns.step_s == step_s)
        table = OBSERVATION_BLOCKS.c
        over = (table.block_start <= limit - BLOCK_STEPS * step_s) & table.key.in_(keys)
        n_removed += _remove(store, OBSERVATION_BLOCKS, over, at_once)
    return n_removed, []


def _remove(store: Store, table: Table, over: ColumnElement[bool], at_once: int) -> int:
    key = tuple_(*table.primary_key.columns)
    some = select(*table.primary_key.columns).where(over).limit(at_once)
    n_removed = 0
    while True:
        with store.writing() as connection:
            n_found = connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()
            if n_found:
                connection.execute(delete(table).where(key.in_(some)))
        n_removed += n_found
        if n_found < at_once:
            return n_removed
