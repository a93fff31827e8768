"""What was observed since a version was made, as rows to lay over its series."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.answering.given import GivenRows, joined
from forecasting.answering.served_model import ServedModel
from forecasting.masks import masks_among
from forecasting.observed_history import NOT_OBSERVED, ObservedSpan, lay_over
from forecasting.store.history import HistoryQuery, read_cells, read_history
from forecasting.store.observations import ObservationRows
from forecasting.store.opening import Store
from forecasting.store.packing import GridSpec


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
    """Where observations change what a version knows, by the rule of `forecasting.observed_history`."""
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
    # One number for series and step: numpy sorts pairs as bytes, twenty times as slowly, and lets no other thread run meanwhile.
    first = int(time.min()) if len(time) else 0
    steps = (time - first) // spec.step_s
    width = int(steps.max()) + 1 if len(time) else 1
    pairs, row = np.unique(of_kept * width + steps, return_inverse=True)
    columns = {name: np.full(len(pairs), np.nan) for name in cells.names}
    for i, name in enumerate(cells.names):
        columns[name][row[name_at == i]] = number[name_at == i]
    for name, mask in masks_among(spec.value_columns).items():
        # What was seen is not imputed, whatever the version has for that step.
        if name in columns:
            columns[mask] = np.where(np.isfinite(columns[name]), 0.0, columns.get(mask, np.nan))
    ids = tuple(cells.series[i] for i in kept.tolist())
    return ObservedRows.of(GivenRows(ids, pairs // width, first + spec.step_s * (pairs % width), columns))


def read_observed(
    store: Store, model: str, served: ServedModel, ids: tuple[str, ...] | None = None, on: Sequence[GridSpec] = ()
) -> ObservedRows:
    """What the store has beyond a version, of some series or of all.

    Args:
        store: Of the observations.
        model: Its name there.
        served: The version.
        ids: Of the series; none: all.
        on: Grids that are looked at; none: those of the series of `served`.

    Raises:
        RetryableError: The store cannot be used now.
    """
    spec = served.spec
    # No forecast from the cutoff on reads what is further back.
    since = served.cutoff - spec.history_length * spec.step_s
    parts = [
        rows_over(served, read_cells(store, model, spec.value_columns, grid, since=since, series=ids))
        for grid in on or grids(served)
    ]
    found = parts[0]
    for part in parts[1:]:
        found = found.replaced((), part)
    return found


def read_observed_by(
    store: Store, model: str, served: ServedModel, ids: tuple[str, ...], known_by: int
) -> ObservedRows:
    """What the store had beyond a version at a time, of some series up to a horizon after that.

    Raises:
        RetryableError: The store cannot be used now.
    """
    spec, found = served.spec, ObservedRows.of(_NO_ROWS)
    since, until = served.cutoff - spec.history_length * spec.step_s, known_by + (spec.horizon + 1) * spec.step_s
    for grid in grids(served):
        start = since + (grid.phase_s - since) % spec.step_s
        if start >= until:
            continue
        query = HistoryQuery(
            model=model, series=ids, names=spec.value_columns, grid=grid, start=start,
            n_steps=-(-(until - start) // spec.step_s), known_by=known_by,
        )  # fmt: skip
        span = read_history(store, query)
        series, step, name = np.nonzero(span.known_at != NOT_OBSERVED)
        cells = ObservationRows(
            model=model, series=ids, names=tuple(spec.value_columns), series_at=series, name_at=name,
            time=start + spec.step_s * step, number=span.numbers[series, step, name],
            known_at=span.known_at[series, step, name],
        )  # fmt: skip
        found = found.replaced((), rows_over(served, cells))
    return found


_NO_ROWS = GivenRows((), np.empty(0, np.int64), np.empty(0, np.int64), {})


def grids(served: ServedModel) -> list[GridSpec]:
    """The grids of the series of a version, the commonest first; new series are on that one."""
    return grids_of(served.block.start, served.spec.step_s)


def grids_of(start: npt.NDArray[np.int64], step_s: int) -> list[GridSpec]:
    """The grids of series by a time of each `[S]`, the commonest first."""
    phases, counts = np.unique(start % step_s, return_counts=True)
    if not len(phases):
        return [GridSpec(step_s, 0)]
    return [GridSpec(step_s, phase) for phase in phases[np.argsort(-counts, kind="stable")].tolist()]
