"""Drift of one model: its columns and its forecasts in the last window against the training and the same season."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.contracts.vocabulary import ModelRole
from forecasting.monitoring.drift import DistributionSpec, DriftReport, measure_drift
from forecasting.observed_history import lay_over
from forecasting.ranking import ValueSpool
from forecasting.series_store import ROW_GROUP_ROWS, SeriesReader
from forecasting.store.forecasts import ForecastFlag, ForecastQuery, ForecastRole, read_forecasts
from forecasting.store.history import HistoryQuery, read_history
from forecasting.store.opening import Store
from forecasting.store.packing import GridSpec
from serving.monitor.watched_model import WatchedModelSpec

TRAINING, SEASON = "training", "season"
"""What the last window is compared with: the train cut of the version, or the same weeks of earlier years in its table."""
YEAR_S = 31_556_952
MIN_SAME_SEASON = 0.5
"""Values in the same weeks of earlier years, as a share of those compared, that are enough."""
MAX_FORECASTS = 20_000
"""Latest forecasts whose points are compared."""
_SERIES_AT_ONCE = 500
_MAX_YEARS = 10
"""Earlier years whose weeks are looked at."""


@dataclass(frozen=True)
class ColumnDriftReport:
    """A column in the last window: how much of it is missing, its values, and drift by reference; one left out was not measured."""

    missing_ratio: float
    n: int
    drift: dict[str, DriftReport]


@dataclass(frozen=True)
class ModelDriftReport:
    """Drift of a version when its window ended; columns by name, and drift of its point forecasts by reference."""

    version: int
    end: int
    columns: dict[str, ColumnDriftReport] = field(default_factory=dict)
    predictions: dict[str, DriftReport] = field(default_factory=dict)


def measure_model(store: Store, model: WatchedModelSpec, *, end: int, window_s: int) -> ModelDriftReport | None:
    """Compare the window that ends at a time with what a champion was trained on; none where it kept no series.

    Values are gone over series by series and wait in scratch files where they are many.

    Args:
        store: Observations and forecasts.
        model: The champion.
        end: Step after the last that counts, epoch seconds.
        window_s: Length of the window.

    Raises:
        RetryableError: The store cannot be used now.
        ArtifactError: The series cannot be read.
    """
    if model.series_dir is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        values = _Values(model, (end - window_s, end), Path(folder))
        for reader_part in _parts(SeriesReader(model.series_dir)):
            values.add(store, reader_part)
        forecasts = _forecasts(store, model, end - window_s, end)
        target = model.spec.target
        predictions = {
            name: found
            for name in (TRAINING, SEASON)
            if (found := measure_drift(values.reference(name, target), forecasts)) is not None
        }
        columns = {name: values.report(name) for name in values.names}
    return ModelDriftReport(model.version, end, columns, predictions)


@dataclass(frozen=True)
class _SeriesPart:
    """Some series of a store `[N]`: ids, starts, and the rows `[T,C]` of each."""

    ids: tuple[str, ...]
    starts: tuple[int, ...]
    values: tuple[npt.NDArray[np.float64], ...]
    step_s: int


class _Values:
    """Values of the target and the observed columns in the window, in the train cut, and in the same weeks of earlier years."""

    def __init__(self, model: WatchedModelSpec, window: tuple[int, int], folder: Path) -> None:
        self._model, self._window = model, window
        self.names = (model.spec.target, *model.spec.observed)
        first, end = window
        self._references: dict[tuple[str, str], DistributionSpec | None] = {}
        self._seasons = [
            (first - years * YEAR_S, min(end - years * YEAR_S, model.cutoff)) for years in range(1, _MAX_YEARS + 1)
        ]
        kinds = ("now", TRAINING, SEASON)
        self._spools = {
            kind: [ValueSpool(folder / f"{kind}-{place}") for place in range(len(self.names))] for kind in kinds
        }

    def add(self, store: Store, part: _SeriesPart) -> None:
        for start, values in zip(part.starts, part.values, strict=True):
            self._add(TRAINING, start, values, part.step_s, (start, self._model.train_end))
            for span in self._seasons:
                self._add(SEASON, start, values, part.step_s, span)
        for phase in {start % part.step_s for start in part.starts}:
            places = [i for i, start in enumerate(part.starts) if start % part.step_s == phase]
            for first in range(0, len(places), _SERIES_AT_ONCE):
                self._add_window(store, part, places[first : first + _SERIES_AT_ONCE], GridSpec(part.step_s, phase))

    def _add(self, kind: str, start: int, values: npt.NDArray[np.float64], step_s: int, span: tuple[int, int]) -> None:
        first, end = (max(0, -(-(bound - start) // step_s)) for bound in span)
        if first < end:
            for place, spool in enumerate(self._spools[kind]):
                spool.add(values[first:end, place])

    def _add_window(self, store: Store, part: _SeriesPart, places: Sequence[int], grid: GridSpec) -> None:
        first = self._window[0] + (grid.phase_s - self._window[0]) % grid.step_s
        n_steps = -(-(self._window[1] - first) // grid.step_s)
        ids = [part.ids[place] for place in places]
        query = HistoryQuery(
            model=self._model.name, series=ids, names=self.names, grid=grid, start=first, n_steps=n_steps
        )  # fmt: skip
        table = np.full((len(ids), n_steps, len(self.names)), np.nan)
        begins = []
        for row, place in enumerate(places):
            start, values = part.starts[place], part.values[place]
            known = min(len(values), max(0, (self._model.cutoff - start + grid.step_s - 1) // grid.step_s))
            skipped = (first - start) // grid.step_s
            into, of = max(0, -skipped), max(0, skipped)
            n = min(n_steps - into, known - of)
            if n > 0:
                table[row, into : into + n] = values[of : of + n]
            begins.append(min(into, n_steps))
        found = lay_over(table, read_history(store, query), cutoff=self._model.cutoff)
        for row, begin in enumerate(begins):
            for place, spool in enumerate(self._spools["now"]):
                spool.add(found[row, begin:, place])

    def reference(self, kind: str, name: str) -> DistributionSpec | None:
        now, found = (self._spools[one][self.names.index(name)] for one in ("now", kind))
        if kind == SEASON and found.n < MIN_SAME_SEASON * now.n:
            return None
        if (kind, name) not in self._references:
            self._references[kind, name] = DistributionSpec.of(found)
        return self._references[kind, name]

    def report(self, name: str) -> ColumnDriftReport:
        now = self._spools["now"][self.names.index(name)]
        measured = {kind: measure_drift(self.reference(kind, name), now) for kind in (TRAINING, SEASON)}
        n_all = now.n + now.n_missing
        ratio = now.n_missing / n_all if n_all else float("nan")
        return ColumnDriftReport(ratio, now.n, {kind: one for kind, one in measured.items() if one is not None})


def _parts(reader: SeriesReader) -> Iterator[_SeriesPart]:
    """All series, no more than a group of rows, or one series, at once; target and observed columns only."""
    index, first = reader.index, 0
    columns = (reader.spec.target, *reader.spec.observed)
    ends = index.offset + index.n_steps
    while first < len(index):
        fitting = np.searchsorted(ends, int(index.offset[first]) + ROW_GROUP_ROWS, side="right")
        end = max(first + 1, int(fitting))
        low, high = int(index.offset[first]), int(ends[end - 1])
        block = np.stack([reader.column(name, low, high) for name in columns], axis=1)
        rows = [slice(int(index.offset[n]) - low, int(ends[n]) - low) for n in range(first, end)]
        yield _SeriesPart(
            index.ids[first:end],
            tuple(index.start[first:end].tolist()),
            tuple(block[one] for one in rows),
            reader.spec.step_s,
        )
        first = end


def _forecasts(store: Store, model: WatchedModelSpec, start: int, end: int) -> ValueSpool:
    query = ForecastQuery(
        model=model.name, version=model.roles[ModelRole.CHAMPION], roles=(ForecastRole.CHAMPION,), origin_from=start,
        origin_until=end, limit=MAX_FORECASTS, newest_first=True,
    )  # fmt: skip
    found = ValueSpool()
    for one in read_forecasts(store, query):
        if one.quantiles is not None and not one.flags & ForecastFlag.DEGRADED:
            found.add(one.quantiles[:, one.levels.index(POINT_QUANTILE)].astype(np.float64))
    return found
