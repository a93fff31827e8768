"""A version in chunks of series, so that memory does not grow with their number."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np

from forecasting.answering.answer_error import NoForecastError
from forecasting.answering.observed import ObservedRows, grids_of, read_observed
from forecasting.answering.plan import PlanSpec
from forecasting.answering.plan_forecasts import plan_forecasts
from forecasting.answering.request import ForecastRequest
from forecasting.answering.served_model import ServedModel
from forecasting.answering.version_series import VersionSeries
from forecasting.store.observations import observed_series
from forecasting.store.opening import Store

SERIES_AT_ONCE = 2_048
"""Series of a chunk at most: a few batches of the model."""
ROWS_AT_ONCE = 1 << 20
"""Rows of history in a chunk at most; a longer series is a chunk of its own."""


@dataclass(frozen=True)
class ChunkSpec:
    """Some series: those of the version from one place up to another, or ids that only observations have."""

    first: int
    end: int
    new: tuple[str, ...] = ()


class SeriesChunks:
    """All series that a version can forecast, chunk by chunk, in the order in which the gateway answers them."""

    def __init__(self, version: VersionSeries, store: Store | None, *, at_once: int = SERIES_AT_ONCE) -> None:
        """Look at the series of a version and, where there is a store, at those that were observed; nothing of them is read.

        Args:
            version: A version with its series.
            store: Observations; none: there are none.
            at_once: Series of a chunk at most.
        """
        self._at_once, self._version, self._store = at_once, version, store
        self._grids = grids_of(version.start, version.spec.step_s)
        known = set(version.ids)
        seen = (
            ()
            if store is None
            else observed_series(store, version.name, version.spec.value_columns, version.spec.step_s)
        )
        self._new = tuple(one for one in seen if one not in known)

    def __iter__(self) -> Iterator[ChunkSpec]:
        first, ends = 0, np.cumsum(self._version.n_steps)
        while first < len(ends):
            before = int(ends[first - 1]) if first else 0
            fitting = int(np.searchsorted(ends, before + ROWS_AT_ONCE, side="right"))
            end = min(max(fitting, first + 1), first + self._at_once)
            yield ChunkSpec(first, end)
            first = end
        for place in range(0, len(self._new), self._at_once):
            # Arrays of a version have at least one series; it is taken out of the plan again.
            yield ChunkSpec(0, 1, self._new[place : place + self._at_once])

    def plan(self, chunk: ChunkSpec, request: ForecastRequest) -> PlanSpec:
        """What a request for all series comes to for those of a chunk.

        Raises:
            NoForecastError: None of them can be forecast.
        """
        served = self._version.part(chunk.first, chunk.end)
        if not chunk.new:
            return plan_forecasts(served, request, self._observed(served, self._version.ids[chunk.first : chunk.end]))
        return _only_new(served, request, self._observed(served, chunk.new), frozenset(chunk.new))

    def commonest_origin(self) -> int:
        """The latest origin of most series, epoch seconds; of several with as many series the latest.

        Raises:
            NoForecastError: No series can be forecast.
        """
        counts: Counter[int] = Counter()
        refused: NoForecastError | None = None
        for chunk in self:
            try:
                counts.update(self.plan(chunk, ForecastRequest()).origins.tolist())
            except NoForecastError as error:
                refused = refused or error
        if not counts:
            raise refused or NoForecastError(400, "the version has no series", {})
        most = max(counts.values())
        return max(origin for origin, n_series in counts.items() if n_series == most)

    def _observed(self, served: ServedModel, ids: tuple[str, ...]) -> ObservedRows | None:
        if self._store is None:
            return None
        return read_observed(self._store, self._version.name, served, ids, self._grids)


def _only_new(
    served: ServedModel, request: ForecastRequest, observed: ObservedRows | None, new: Collection[str]
) -> PlanSpec:
    """The plan of all series without those that the version has."""
    try:
        found = plan_forecasts(served, request, observed)
    except NoForecastError as error:
        reasons = {one: why for one, why in error.skipped.items() if one in new}
        raise NoForecastError(error.code, str(error), reasons) from error
    kept = np.array([i for i, one in enumerate(found.ids) if one in new], dtype=np.int64)
    skipped = tuple(one for one in found.skipped if one.series in new)
    if not len(kept):
        text = f"none of the {len(skipped)} new series can be forecast"
        raise NoForecastError(400, text, {one.series: one.reason for one in skipped})
    return replace(found.take(kept), skipped=skipped)
