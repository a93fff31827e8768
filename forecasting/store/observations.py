"""Write observations: values of series by time, each with the time since when it is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from forecasting.errors import ConfigError, DataError
from forecasting.observed_history import NOT_OBSERVED
from forecasting.store.merging import CellsRecord, merge_cells
from forecasting.store.observation_changes import ChangedSpansRecord, note_changes
from forecasting.store.opening import Store
from forecasting.store.packing import (
    BLOCK_STEPS,
    EMPTY_KNOWN_AT,
    EMPTY_NUMBERS,
    GridSpec,
    pack_rows,
    unpack_known_at,
    unpack_numbers,
)
from forecasting.store.partitions import OBSERVATION_PARTS, ensure_partitions
from forecasting.store.tables import (
    OBSERVATION_BLOCKS,
    OBSERVATION_POSTS,
    OBSERVATION_REVISIONS,
    OBSERVED_COLUMNS,
    SUPERSEDED_OBSERVATIONS,
)

KEYS_AT_ONCE = 5_000
"""Parameters of one statement: SQLite takes 32 thousand of them, PostgreSQL 65 thousand."""


@dataclass(frozen=True, kw_only=True)
class ObservationRows:
    """R values of one model, as columns.

    series, names: distinct ids and columns. series_at, name_at `[R]`: places in them. time `[R]`: the step a value is of.
    number `[R]`: finite, or NaN where it is stated that there is no value. known_at `[R]`: since when it is known.
    """

    model: str
    series: tuple[str, ...]
    names: tuple[str, ...]
    series_at: npt.NDArray[np.int64]
    name_at: npt.NDArray[np.int64]
    time: npt.NDArray[np.int64]
    number: npt.NDArray[np.float64]
    known_at: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True)
class ObservationsReport:
    """What became of R values.

    new: the first of their step. restated: replaced another one, which is kept. late: one that became known later was
    there already; they are kept behind it. unchanged: the value was there. repeated: nothing was looked at, the
    idempotency key was seen before. revision: of the model's observations, which this write made; none where it changed nothing.
    """

    new: int
    restated: int
    late: int
    unchanged: int
    repeated: bool = False
    revision: int | None = field(default=None, compare=False)


def write_observations(
    store: Store, rows: ObservationRows, grid: GridSpec, *, now: int, idempotency_key: str | None = None, digest: str = ""
) -> ObservationsReport:  # fmt: skip
    """Write rows of one grid; see `write_grids`."""
    return write_grids(store, {grid: rows}, now=now, idempotency_key=idempotency_key, digest=digest)


def write_grids(
    store: Store,
    parts: Mapping[GridSpec, ObservationRows],
    *,
    now: int,
    idempotency_key: str | None = None,
    digest: str = "",
) -> ObservationsReport:
    """Write all rows, or none.

    A value that stands already changes nothing, also with a later `known_at`: a repetition is no new word. Of two values
    with the same `known_at` the one that was written last stands.

    Args:
        store: Where to.
        parts: Rows of one model by the grid of their series; each at least one.
        now: For the record of the idempotency key and of what changed, epoch seconds.
        idempotency_key: A second write with it does nothing, as long as its content is the same.
        digest: Of the content.

    Raises:
        DataError: A row is off the grid, infinite, or says another thing of the same step and `known_at` than one before it.
        ConfigError: The key was used with another content.
        RetryableError: The store cannot be used now; nothing was written.
    """
    for grid, rows in parts.items():
        _check(rows, grid)
    model, n_rows = next(iter(parts.values())).model, sum(len(rows) for rows in parts.values())
    with store.writing() as connection:
        if idempotency_key is not None and not _is_first(
            connection, model, idempotency_key, digest=digest, now=now, n_rows=n_rows
        ):
            return ObservationsReport(0, 0, 0, 0, repeated=True)
        # All of them before any row: who has written rows and waits to make a partition stops whoever does the same.
        starts = [one for grid, rows in parts.items() for one in np.unique(grid.block_starts(rows.time)).tolist()]
        ensure_partitions(connection, OBSERVATION_PARTS, starts)
        found, changed = [], []
        for grid, rows in parts.items():
            keys = _keys(connection, rows, grid)
            written, spans = _write(connection, rows, keys[rows.series_at, rows.name_at], grid)
            found.append(written)
            changed.append(spans)
        report = ObservationsReport(
            *(sum(getattr(one, name) for one in found) for name in ("new", "restated", "late", "unchanged"))
        )
        if report.new or report.restated:
            revision = _count_change(connection, model)
            note_changes(connection, model, revision, ChangedSpansRecord.together(changed), now=now)
            return replace(report, revision=revision)
        return report


def observation_revision(store: Store, model: str) -> int:
    """How often what stands of a model's observations has changed.

    Raises:
        RetryableError: The store cannot be used now.
    """
    found = select(OBSERVATION_REVISIONS.c.revision).where(OBSERVATION_REVISIONS.c.model == model)
    with store.reading() as connection:
        return int(connection.execute(found).scalar_one_or_none() or 0)


def _count_change(connection: Connection, model: str) -> int:
    statement = _insert(connection, OBSERVATION_REVISIONS).values(model=model, revision=1)
    following = {"revision": OBSERVATION_REVISIONS.c.revision + 1}
    statement = statement.on_conflict_do_update(index_elements=["model"], set_=following)
    return int(connection.execute(statement.returning(OBSERVATION_REVISIONS.c.revision)).scalar_one())


def _check(rows: ObservationRows, grid: GridSpec) -> None:
    for wrong, must in (
        (
            ~grid.on_grid(rows.time),
            f"lie on the grid of {grid.step_s} s steps, {grid.phase_s} s after a multiple of it",
        ),
        (np.isinf(rows.number), "be finite"),
        (rows.known_at == NOT_OBSERVED, "be known at a time"),
    ):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(
                f"row {row} (series {rows.series[rows.series_at[row]]!r}, column {rows.names[rows.name_at[row]]!r}, "
                f"time {rows.time[row]}) must {must}"
            )
    order = np.lexsort((rows.known_at, rows.time, rows.name_at, rows.series_at))
    parts = (rows.series_at[order], rows.name_at[order], rows.time[order], rows.known_at[order])
    same = np.logical_and.reduce([part[1:] == part[:-1] for part in parts])
    left, right = rows.number[order][:-1], rows.number[order][1:]
    differ = same & ~((left == right) | (np.isnan(left) & np.isnan(right)))
    if differ.any():
        first, second = sorted(order[[np.argmax(differ), np.argmax(differ) + 1]].tolist())
        raise DataError(
            f"rows {first} and {second} (series {rows.series[rows.series_at[second]]!r}, column "
            f"{rows.names[rows.name_at[second]]!r}, time {rows.time[second]}) must say the same, or become known at different times"
        )


def _is_first(connection: Connection, model: str, given: str, *, digest: str, now: int, n_rows: int) -> bool:
    key = f"{model}:{given}"
    row = {"idempotency_key": key, "digest": digest, "created_at": now, "n_written": n_rows}
    insert = _insert(connection, OBSERVATION_POSTS).values(row).on_conflict_do_nothing()
    if connection.execute(insert.returning(OBSERVATION_POSTS.c.idempotency_key)).first() is not None:
        return True
    found = select(OBSERVATION_POSTS.c.digest).where(OBSERVATION_POSTS.c.idempotency_key == key)
    if connection.execute(found).scalar_one() != digest:
        raise ConfigError(
            f"the idempotency key {given!r} must stand for one content, and was used with another one before"
        )
    return False


def _insert(connection: Connection, table: Any) -> Any:
    return (postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)(table)


def _keys(connection: Connection, rows: ObservationRows, grid: GridSpec) -> npt.NDArray[np.int64]:
    """Keys of all series and names `[S,C]`; those that are new get one."""
    found = observed_keys(connection, rows.model, rows.series, rows.names, grid)
    wanted = np.unique(rows.series_at * len(rows.names) + rows.name_at)
    missing = wanted[found.ravel()[wanted] < 0]
    if not len(missing):
        return found
    new = [
        {
            "model": rows.model,
            "series": rows.series[place // len(rows.names)],
            "name": rows.names[place % len(rows.names)],
            "step_s": grid.step_s,
            "phase_s": grid.phase_s,
        }
        for place in missing.tolist()
    ]
    connection.execute(_insert(connection, OBSERVED_COLUMNS).on_conflict_do_nothing(), new)
    return observed_keys(connection, rows.model, rows.series, rows.names, grid)


def observed_series(store: Store, model: str, names: Sequence[str], step_s: int) -> tuple[str, ...]:
    """Ids of the series of which some columns were ever observed, sorted.

    Raises:
        RetryableError: The store cannot be used now.
    """
    table = OBSERVED_COLUMNS.c
    wanted = select(table.series).where(table.model == model, table.step_s == step_s, table.name.in_(names)).distinct()
    with store.reading() as connection:
        return tuple(sorted(connection.execute(wanted).scalars()))


def observed_keys(
    connection: Connection, model: str, series: Sequence[str], names: Sequence[str], grid: GridSpec
) -> npt.NDArray[np.int64]:
    """Keys of some columns of some series `[S,C]`, -1 where there is none."""
    table = OBSERVED_COLUMNS.c
    wanted = select(table.series, table.name, table.key).where(
        table.model == model, table.step_s == grid.step_s, table.phase_s == grid.phase_s, table.name.in_(names)
    )
    if len(series) <= KEYS_AT_ONCE:
        wanted = wanted.where(table.series.in_(series))
    series_at = {one: place for place, one in enumerate(series)}
    name_at = {one: place for place, one in enumerate(names)}
    keys = np.full((len(series), len(names)), -1, np.int64)
    for one, name, key in connection.execute(wanted):
        if one in series_at:
            keys[series_at[one], name_at[name]] = key
    return keys


def _write(
    connection: Connection, rows: ObservationRows, keys: npt.NDArray[np.int64], grid: GridSpec
) -> tuple[ObservationsReport, ChangedSpansRecord]:
    starts = grid.block_starts(rows.time)
    blocks, block_at = _distinct_blocks(keys, starts, grid)
    numbers, known_at = _locked_blocks(connection, blocks)
    place = (rows.time - starts) // grid.step_s
    cells = CellsRecord(block_at * BLOCK_STEPS + place, rows.number, rows.known_at)
    merged = merge_cells(numbers.reshape(-1), known_at.reshape(-1), cells)
    _update_blocks(connection, blocks, numbers, known_at, merged.changed)
    _keep_superseded(connection, blocks, merged.superseded, grid)
    block, step = np.divmod(merged.changed, BLOCK_STEPS)
    times = blocks[block, 1] + step * grid.step_s
    changed = ChangedSpansRecord.of(blocks[block, 0], times, times)
    return ObservationsReport(merged.n_new, merged.n_restated, merged.n_late, merged.n_unchanged), changed


def _distinct_blocks(
    keys: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], grid: GridSpec
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs of key and start `[n blocks, 2]`, ascending, and the place in them of each row `[R]`."""
    # As one number each: numpy sorts pairs as bytes, many times as slowly, and lets no other thread run meanwhile.
    first = int(starts.min())
    width = (int(starts.max()) - first) // grid.block_s + 1
    distinct, place = np.unique(keys * width + (starts - first) // grid.block_s, return_inverse=True)
    return np.stack([distinct // width, first + grid.block_s * (distinct % width)], axis=1), place


def _locked_blocks(
    connection: Connection, blocks: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Numbers and times of some blocks `[n blocks, BLOCK_STEPS]`; those that are new are empty."""
    new = [
        {"key": key, "block_start": start, "numbers": EMPTY_NUMBERS, "known_at": EMPTY_KNOWN_AT}
        for key, start in blocks.tolist()
    ]
    connection.execute(_insert(connection, OBSERVATION_BLOCKS).on_conflict_do_nothing(), new)
    table, found = OBSERVATION_BLOCKS.c, {}
    starts = np.unique(blocks[:, 1]).tolist()
    keys = np.unique(blocks[:, 0]).tolist()
    for first in range(0, len(keys), KEYS_AT_ONCE):
        part = keys[first : first + KEYS_AT_ONCE]
        # In one order for everybody, so that two writers never wait for each other.
        statement = (
            select(table.key, table.block_start, table.numbers, table.known_at)
            .where(table.key.in_(part), table.block_start >= starts[0], table.block_start <= starts[-1])
            .order_by(table.key, table.block_start)
            .with_for_update()
        )
        found.update({(key, start): (values, times) for key, start, values, times in connection.execute(statement)})
    rows = [found[key, start] for key, start in blocks.tolist()]
    return unpack_numbers(values for values, _ in rows), unpack_known_at(times for _, times in rows)


def _update_blocks(
    connection: Connection,
    blocks: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.float64],
    known_at: npt.NDArray[np.int64],
    changed_cells: npt.NDArray[np.int64],
) -> None:
    changed = np.unique(changed_cells // BLOCK_STEPS)
    if not len(changed):
        return
    table = OBSERVATION_BLOCKS.c
    statement = (
        update(OBSERVATION_BLOCKS)
        .where(table.key == bindparam("of_key"), table.block_start == bindparam("of_start"))
        .values(numbers=bindparam("new_numbers"), known_at=bindparam("new_known_at"))
    )
    parts = zip(blocks[changed].tolist(), pack_rows(numbers[changed]), pack_rows(known_at[changed]), strict=True)
    connection.execute(
        statement,
        [
            {"of_key": key, "of_start": start, "new_numbers": values, "new_known_at": times}
            for (key, start), values, times in parts
        ],
    )


def _keep_superseded(
    connection: Connection, blocks: npt.NDArray[np.int64], superseded: CellsRecord, grid: GridSpec
) -> None:
    if not len(superseded.cell):
        return
    block, place = np.divmod(superseded.cell, BLOCK_STEPS)
    times = blocks[block, 1] + place * grid.step_s
    parts = zip(
        blocks[block, 0].tolist(), times.tolist(), superseded.known_at.tolist(), superseded.number.tolist(), strict=True
    )
    rows = [
        {"key": key, "time": time, "known_at": known_at, "number": None if number != number else number}
        for key, time, known_at, number in parts
    ]
    statement = _insert(connection, SUPERSEDED_OBSERVATIONS)
    statement = statement.on_conflict_do_update(
        index_elements=["key", "time", "known_at"], set_={"number": statement.excluded.number}
    )
    connection.execute(statement, rows)
