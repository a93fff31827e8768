"""Read the recent history of many series at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, func, select

from forecasting.observed_history import NOT_OBSERVED, ObservedSpan
from forecasting.store.observations import KEYS_AT_ONCE, ObservationRows, observed_keys
from forecasting.store.opening import Store
from forecasting.store.packing import BLOCK_STEPS, GridSpec, unpack_known_at, unpack_numbers
from forecasting.store.tables import OBSERVATION_BLOCKS, OBSERVED_COLUMNS, SUPERSEDED_OBSERVATIONS

Floats = npt.NDArray[np.float64]
Timestamps = npt.NDArray[np.int64]

_FEW = 500
"""Up to here series are looked up one by one; for more all of the model are read."""


@dataclass(frozen=True, kw_only=True)
class HistoryQuery:
    """Which observations are read.

    series: N ids. names: C columns. grid: of all of them. start: first step, on the grid. n_steps: T. known_by: what
    became known later does not exist; none: all that is known.
    """

    model: str
    series: Sequence[str]
    names: Sequence[str]
    grid: GridSpec
    start: int
    n_steps: int
    known_by: int | None = None


def read_history(store: Store, query: HistoryQuery) -> ObservedSpan:
    """What was observed, `[N,T,C]`, in the order of `query.series`; what there is not of a series is `NOT_OBSERVED`.

    Raises:
        RetryableError: The store cannot be used now.
    """
    n, names = len(query.series), len(query.names)
    first = query.grid.block_start(query.start)
    n_blocks = (query.start + query.n_steps * query.grid.step_s - first + query.grid.block_s - 1) // query.grid.block_s
    numbers = np.full((n, names, n_blocks, BLOCK_STEPS), np.nan)
    known_at = np.full((n, names, n_blocks, BLOCK_STEPS), NOT_OBSERVED, np.int64)
    with store.reading() as connection:
        keys = observed_keys(connection, query.model, query.series, query.names, query.grid)
        until = first + n_blocks * query.grid.block_s
        rows = _blocks(connection, query, keys, (first, until))
        if rows:
            places, of_query = _places(keys, np.array([row[0] for row in rows]))
            blocks = (np.array([row[1] for row in rows])[of_query] - first) // query.grid.block_s
            at = (places // names, places % names, blocks)
            numbers[at] = unpack_numbers(row[2] for row in rows)[of_query]
            known_at[at] = unpack_known_at(row[3] for row in rows)[of_query]
        skipped = (query.start - first) // query.grid.step_s
        steps = slice(skipped, skipped + query.n_steps)
        span = ObservedSpan(
            query.start,
            query.grid.step_s,
            numbers.reshape(n, names, -1)[:, :, steps].transpose(0, 2, 1),
            known_at.reshape(n, names, -1)[:, :, steps].transpose(0, 2, 1),
        )
        if query.known_by is not None:
            _go_back(connection, query, keys, span)
    return span


def read_cells(
    store: Store, model: str, names: Sequence[str], grid: GridSpec, *, since: int, series: Sequence[str] | None = None,
    known_by: int | None = None,
) -> ObservationRows:  # fmt: skip
    """Every value that stands from a step on, in no order; what takes memory is what was observed, not the span of time.

    Args:
        store: Where they are.
        model: Name of the model.
        names: Columns.
        grid: Of the series; others are left out.
        since: First step, epoch seconds.
        series: Ids, `KEYS_AT_ONCE` at most; none: all.
        known_by: What became known later does not exist; none: all that is known.

    Raises:
        RetryableError: The store cannot be used now.
    """
    table, columns = OBSERVATION_BLOCKS.c, OBSERVED_COLUMNS.c
    wanted = (
        select(columns.series, columns.name, table.block_start, table.numbers, table.known_at, table.key)
        .join_from(OBSERVED_COLUMNS, OBSERVATION_BLOCKS, columns.key == table.key)
        .where(
            columns.model == model,
            columns.step_s == grid.step_s,
            columns.phase_s == grid.phase_s,
            columns.name.in_(names),
            table.block_start >= grid.block_start(since),
        )
    )
    with store.reading() as connection:
        blocks = list(connection.execute(wanted if series is None else wanted.where(columns.series.in_(series))))
        numbers, known_at = unpack_numbers(row[3] for row in blocks), unpack_known_at(row[4] for row in blocks)
        if known_by is not None:
            places = [(row[5], row[2], grid.step_s) for row in blocks]
            _blocks_go_back(connection, places, numbers, known_at, known_by=known_by)
    ids = tuple(dict.fromkeys(row[0] for row in blocks))
    series_at, name_at = {one: i for i, one in enumerate(ids)}, {one: i for i, one in enumerate(names)}
    starts = np.array([row[2] for row in blocks], dtype=np.int64)
    times = starts[:, None] + grid.step_s * np.arange(BLOCK_STEPS, dtype=np.int64)
    block, place = np.nonzero((known_at != NOT_OBSERVED) & (times >= since))
    return ObservationRows(
        model=model,
        series=ids,
        names=tuple(names),
        series_at=np.array([series_at[row[0]] for row in blocks], dtype=np.int64)[block],
        name_at=np.array([name_at[row[1]] for row in blocks], dtype=np.int64)[block],
        time=times[block, place],
        number=numbers[block, place],
        known_at=known_at[block, place],
    )


def last_observed(store: Store, model: str, name: str, *, before: int, known_by: int | None = None) -> int | None:
    """The last step before a time at which a column of any series has a value; none where there is none.

    What became known after `known_by` does not exist, where that is given.

    Raises:
        RetryableError: The store cannot be used now.
    """
    table, columns = OBSERVATION_BLOCKS.c, OBSERVED_COLUMNS.c
    wanted = (
        select(columns.step_s, table.block_start, table.numbers, table.known_at, table.key)
        .join_from(OBSERVED_COLUMNS, OBSERVATION_BLOCKS, columns.key == table.key)
        .where(columns.model == model, columns.name == name)
    )
    until = before
    with store.reading() as connection:
        # Blocks of one start at a time, the latest first: nearly always the first ones have it.
        while True:
            start = connection.execute(
                wanted.with_only_columns(func.max(table.block_start)).where(table.block_start < until)
            ).scalar()
            if start is None:
                return None
            rows = list(connection.execute(wanted.where(table.block_start == start)))
            times = start + np.array([row[0] for row in rows])[:, None] * np.arange(BLOCK_STEPS, dtype=np.int64)
            numbers, known_at = unpack_numbers(row[2] for row in rows), unpack_known_at(row[3] for row in rows)
            if known_by is not None:
                places = [(row[4], row[1], row[0]) for row in rows]
                _blocks_go_back(connection, places, numbers, known_at, known_by=known_by)
            there = np.isfinite(numbers) & (times < before)
            if there.any():
                return int(times[there].max())
            until = start


def _blocks(
    connection: Connection, query: HistoryQuery, keys: npt.NDArray[np.int64], span: tuple[int, int]
) -> list[Any]:
    table, columns = OBSERVATION_BLOCKS.c, OBSERVED_COLUMNS.c
    wanted = select(table.key, table.block_start, table.numbers, table.known_at).where(
        table.block_start >= span[0], table.block_start < span[1]
    )
    if len(query.series) <= _FEW:
        known = keys[keys >= 0].tolist()
        return list(connection.execute(wanted.where(table.key.in_(known)))) if known else []
    return list(
        connection.execute(
            wanted.join_from(OBSERVED_COLUMNS, OBSERVATION_BLOCKS, columns.key == table.key).where(
                columns.model == query.model,
                columns.step_s == query.grid.step_s,
                columns.phase_s == query.grid.phase_s,
                columns.name.in_(query.names),
            )
        )
    )


def _places(
    keys: npt.NDArray[np.int64], found: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Place in `keys` `[N·C]` of those of the found keys that are there, and which are."""
    flat = keys.ravel()
    order = np.argsort(flat)
    at = np.minimum(np.searchsorted(flat[order], found), len(flat) - 1)
    is_there = flat[order][at] == found
    return order[at][is_there], is_there


def _blocks_go_back(
    connection: Connection,
    places: Sequence[tuple[int, int, int]],
    numbers: Floats,
    known_at: Timestamps,
    *,
    known_by: int,
) -> None:
    """As `_go_back`, in blocks `[n, BLOCK_STEPS]`; places: key, first step and seconds of a step of each."""
    later = known_at > known_by
    numbers[later], known_at[later] = np.nan, NOT_OBSERVED
    changed = [places[row] for row in np.flatnonzero(later.any(axis=1)).tolist()]
    if not changed:
        return
    row_of = {(key, start): row for row, (key, start, _) in enumerate(places)}
    grid_of = {key: (start, step_s) for key, start, step_s in changed}
    first_time = min(start for _, start, _ in changed)
    until = max(start + BLOCK_STEPS * step_s for _, start, step_s in changed)
    table, keys = SUPERSEDED_OBSERVATIONS.c, list(grid_of)
    wanted = select(table.key, table.time, table.known_at, table.number).where(
        table.time >= first_time, table.time < until, table.known_at <= known_by
    )
    for first in range(0, len(keys), KEYS_AT_ONCE):
        for key, time, at, number in connection.execute(
            wanted.where(table.key.in_(keys[first : first + KEYS_AT_ONCE]))
        ):
            start, step_s = grid_of[key]
            block, place = divmod((time - start) // step_s, BLOCK_STEPS)
            row = row_of.get((key, start + block * BLOCK_STEPS * step_s))
            if row is not None and at > known_at[row, place]:
                numbers[row, place], known_at[row, place] = np.nan if number is None else number, at


def _go_back(connection: Connection, query: HistoryQuery, keys: npt.NDArray[np.int64], span: ObservedSpan) -> None:
    """Put what was known at `known_by` in the place of what became known later."""
    later = span.known_at > (query.known_by or 0)
    span.numbers[later], span.known_at[later] = np.nan, NOT_OBSERVED
    table = SUPERSEDED_OBSERVATIONS.c
    wanted = select(table.key, table.time, table.known_at, table.number).where(
        table.time >= query.start, table.time < span.end, table.known_at <= query.known_by
    )
    places = {key: divmod(place, len(query.names)) for place, key in enumerate(keys.ravel().tolist()) if key >= 0}
    flat = list(places)
    for first in range(0, len(flat), KEYS_AT_ONCE):
        for key, time, known_at, number in connection.execute(
            wanted.where(table.key.in_(flat[first : first + KEYS_AT_ONCE]))
        ):
            row, column = places[key]
            cell = (row, (time - query.start) // span.step_s, column)
            if known_at > span.known_at[cell]:
                span.numbers[cell] = np.nan if number is None else number
                span.known_at[cell] = known_at
