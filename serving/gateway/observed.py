"""What was observed since a version was made, kept in memory as rows to lay over its series."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from sqlalchemy.exc import DBAPIError

from forecasting.errors import AlmanacError
from forecasting.masks import masks_among
from forecasting.observed_history import ObservedSpan, lay_over
from forecasting.store.history import read_cells
from forecasting.store.observations import KEYS_AT_ONCE, ObservationRows, observation_revision
from forecasting.store.opening import Store
from forecasting.store.packing import GridSpec
from serving.gateway.given import GivenRows, joined
from serving.gateway.served_model import ServedModel

logger = logging.getLogger(__name__)

KEPT_VERSIONS = 2
LOOK_S = 1.0
"""How often the store is asked whether another process has written observations."""
T = TypeVar("T")


@dataclass(frozen=True)
class ObservedRows:
    """Rows of series of one version, sorted by series and time; `places` says which rows are of which series."""

    given: GivenRows
    places: dict[str, slice]

    @classmethod
    def of(cls, given: GivenRows) -> "ObservedRows":
        """Rows that are sorted."""
        bounds = np.searchsorted(given.series, np.arange(len(given.ids) + 1)).tolist()
        return cls(given, {one: slice(*bounds[i : i + 2]) for i, one in enumerate(given.ids)})

    def take(self, ids: Iterable[str]) -> GivenRows | None:
        """The rows of some series; none where none of them has any."""
        found = [one for one in ids if one in self.places]
        if len(found) == len(self.places):
            return self.given if found else None
        if not found:
            return None
        parts = [self.places[one] for one in found]
        rows = np.concatenate([np.arange(part.start, part.stop) for part in parts])
        lengths = [part.stop - part.start for part in parts]
        columns = {name: values[rows] for name, values in self.given.columns.items()}
        return GivenRows(tuple(found), np.repeat(np.arange(len(found)), lengths), self.given.time[rows], columns)

    def replaced(self, ids: Sequence[str], by: "ObservedRows") -> "ObservedRows":
        """These rows with those of some series replaced."""
        gone = set(ids)
        kept = self.take(one for one in self.given.ids if one not in gone)
        return by if kept is None else ObservedRows.of(joined(kept, by.given))


def rows_over(served: ServedModel, cells: ObservationRows) -> ObservedRows:
    """Where observations change what a version knows, by the rule of `forecasting.observed_history`.

    A value that was withdrawn has no row: the version's own stays.
    """
    block, spec = served.block, served.spec
    series = np.array([block.position.get(one, -1) for one in cells.series], dtype=np.int64)[cells.series_at]
    column = np.array([spec.value_columns.index(name) for name in cells.names], dtype=np.int64)[cells.name_at]
    step = (cells.time - block.start[series]) // spec.step_s if len(block.ids) else np.full(len(cells), -1)
    inside = (series >= 0) & (step >= 0) & (step < (block.n_steps[series] if len(block.ids) else 0))
    table = np.full(len(cells), np.nan)
    table[inside] = block.values[block.offset[series[inside]] + step[inside], column[inside]]
    span = ObservedSpan(0, spec.step_s, cells.number[:, None], cells.known_at[:, None])
    laid = lay_over(table[:, None], span, cutoff=served.cutoff)[:, 0]
    changed = np.isfinite(laid) & (laid != table)
    of_series, time, name_at, number = (
        cells.series_at[changed],
        cells.time[changed],
        cells.name_at[changed],
        laid[changed],
    )
    kept, of_kept = np.unique(of_series, return_inverse=True)
    pairs, row = np.unique(np.stack([of_kept, time]), axis=1, return_inverse=True)
    columns = {name: np.full(pairs.shape[1], np.nan) for name in cells.names}
    for i, name in enumerate(cells.names):
        columns[name][row.reshape(-1)[name_at == i]] = number[name_at == i]
    for name, mask in masks_among(spec.value_columns).items():
        # What was seen is not imputed, whatever the version has for that step.
        if name in columns:
            columns[mask] = np.where(np.isfinite(columns[name]), 0.0, columns.get(mask, np.nan))
    return ObservedRows.of(GivenRows(tuple(cells.series[i] for i in kept.tolist()), pairs[0], pairs[1], columns))


@dataclass(frozen=True)
class _KeptRows:
    """Rows of one version as of a revision of the observations; none where the store could not be read."""

    served: ServedModel
    rows: ObservedRows | None
    revision: int


class ObservedHistory:
    """Observations of one model in memory, for the versions that are asked; looks for those of other processes.

    Where the store cannot be read, what was read last of the same version stays, and that is logged.
    """

    def __init__(self, store: Store, model: str, *, look_s: float = LOOK_S) -> None:
        """Read nothing yet."""
        self._store, self._model, self._look_s = store, model, look_s
        self._kept: list[_KeptRows] = []
        self._busy = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for what other processes write."""
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()

    async def of(self, served: ServedModel) -> ObservedRows | None:
        """What was observed beyond a version; none where the store could not be read yet."""
        kept = self._find(served)
        if kept is None:
            await self._look(served)
            kept = self._find(served)
        return None if kept is None else kept.rows

    async def refresh(self, ids: Sequence[str], revision: int | None) -> None:
        """Read some series again, which this process has just written, and all where others have written too.

        Args:
            ids: Of the series.
            revision: Of the observations, which the write has made; none where it changed nothing.

        Raises:
            RetryableError: The store cannot be used now.
        """
        async with self._busy:
            for kept in list(self._kept):
                # What was read stood just before the write. Should somebody have written after it, the look below sees that.
                if kept.rows is not None and revision == kept.revision + 1 and len(ids) <= KEYS_AT_ONCE:
                    found = await asyncio.to_thread(self._read, kept.served, tuple(ids))
                    self._keep(_KeptRows(kept.served, kept.rows.replaced(ids, found), revision))
        await self._look_at_all()

    def _find(self, served: ServedModel) -> _KeptRows | None:
        return next((kept for kept in self._kept if kept.served is served), None)

    def _keep(self, new: _KeptRows) -> None:
        """Champion and candidate are asked in turns, so the rows of two versions stay."""
        others = [kept for kept in self._kept if kept.served is not new.served]
        self._kept = [*others[1 - KEPT_VERSIONS :], new]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._look_s)
            await self._look_at_all()

    async def _look_at_all(self) -> None:
        for kept in list(self._kept):
            await self._look(kept.served)

    async def _look(self, served: ServedModel) -> None:
        async with self._busy:
            kept = self._find(served)
            try:
                revision = await asyncio.to_thread(observation_revision, self._store, self._model)
                if kept is not None and revision == kept.revision:
                    return
                rows = await asyncio.to_thread(self._read, served, None)
            except (AlmanacError, DBAPIError) as error:
                why = self._store.address.scrubbed(str(getattr(error, "orig", None) or error))
                logger.warning("observations are not read: %s", why)
                if kept is None:
                    # Requests go on without; only the watch tries again, so that none of them waits for a database that is away.
                    self._keep(_KeptRows(served, None, -1))
                return
            self._keep(_KeptRows(served, rows, revision))

    def _read(self, served: ServedModel, ids: tuple[str, ...] | None) -> ObservedRows:
        return read_observed(self._store, self._model, served, ids)


def read_observed(store: Store, model: str, served: ServedModel, ids: tuple[str, ...] | None = None) -> ObservedRows:
    """What the store has beyond a version, of some series or of all.

    Raises:
        RetryableError: The store cannot be used now.
    """
    spec = served.spec
    # No forecast from the cutoff on reads what is further back.
    since = served.cutoff - spec.history_length * spec.step_s
    parts = [
        rows_over(served, read_cells(store, model, spec.value_columns, grid, since=since, series=ids))
        for grid in grids(served)
    ]
    found = parts[0]
    for part in parts[1:]:
        found = found.replaced((), part)
    return found


def grids(served: ServedModel) -> list[GridSpec]:
    """The grids of the series of a version, the commonest first; new series are on that one."""
    step_s = served.spec.step_s
    phases, counts = np.unique(served.block.start % step_s, return_counts=True)
    if not len(phases):
        return [GridSpec(step_s, 0)]
    return [GridSpec(step_s, phase) for phase in phases[np.argsort(-counts, kind="stable")].tolist()]
