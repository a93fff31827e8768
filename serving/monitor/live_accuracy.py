"""Rounds of scoring: which forecasts are looked at, part after part, each in a transaction of its own."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import ColumnElement, func, select

from forecasting.contracts import metric_names
from forecasting.observed_history import NOT_OBSERVED
from forecasting.series_tails import last_target
from forecasting.store.forecasts_to_score import (
    Rows,
    Spans,
    forecasts_never_looked_at,
    forecasts_of_changes,
    forecasts_to_score,
)
from forecasting.store.history import read_cells
from forecasting.store.live_scores import (
    MonitorLease,
    MonitorMarkRecord,
    SumKey,
    SumRecord,
    read_mark,
    read_sums,
    write_mark,
    write_scores,
)
from forecasting.store.observation_changes import changed_series
from forecasting.store.opening import Store
from forecasting.store.packing import GridSpec
from forecasting.store.tables import FORECASTS, OBSERVATION_BLOCKS, OBSERVED_COLUMNS
from serving.monitor.known_targets import TargetSource
from serving.monitor.scoring import ScoringSpec, model_key, score_part
from serving.monitor.watched_model import TableTargets, WatchedModelSpec

logger = logging.getLogger(__name__)

AT_ONCE = 4_000
"""Forecasts of one transaction."""


@dataclass(frozen=True)
class RoundReport:
    """One round. n_forecasts: looked at. n_new, n_restated: points. last_table, last_observed: latest targets, epoch seconds."""

    n_forecasts: int
    n_new: int
    n_restated: int
    last_table: int | None
    last_observed: int | None

    @property
    def last_target(self) -> int | None:
        """The latest target that is known."""
        return max((one for one in (self.last_table, self.last_observed) if one is not None), default=None)


class LiveAccuracy:
    """Scores the forecasts of one model; what it looked at is marked in the store, so that the next round, or the next monitor, goes on."""

    def __init__(
        self, store: Store, lease: MonitorLease, *, late_s: int, last_steps: tuple[int, ...], clock: Callable[[], float]
    ) -> None:
        """Nothing is scored yet; see `MonitoringConfig` for late_s and last_steps. clock: epoch seconds."""
        self._store, self._lease, self._late_s, self._last_steps = store, lease, late_s, last_steps
        self._clock = clock
        self._table = TableTargets()
        self._seen: tuple[int, str] | None = None
        self._report = RoundReport(0, 0, 0, None, None)
        self.sums: dict[SumKey, SumRecord] = {}

    def forget(self) -> None:
        """Read sums and latest targets again, as another monitor may have scored meanwhile."""
        self._seen = None

    def round(self, model: WatchedModelSpec, *, everything: bool = False) -> RoundReport:
        """Score what came since the last round.

        Args:
            model: The champion now.
            everything: Look at all forecasts of the store, however old, and not only at those that `late_s` leaves open.

        Raises:
            RetryableError: The store cannot be used now, or the lease is another one's; what is written stays.
            ArtifactError: The series of the champion cannot be read.
        """
        lying_under = f"{model.version}/{'' if model.series_dir is None else model.series_dir.name}"
        mark = read_mark(self._store, model.name)
        known = None if mark is None or mark.targets != lying_under else mark.revision
        changed = changed_series(self._store, model.name, model.spec.target, since=known)
        seen = (changed.revision, lying_under)
        report = self._report if seen == self._seen else self._latest(model)
        if report.last_target is not None:
            begin = report.last_target - self._late_s - model.spec.horizon * model.spec.step_s
            now = MonitorMarkRecord(changed.revision, lying_under, begin, 0 if mark is None else mark.reach_s)
            # A latest target that was withdrawn lets older forecasts in again, and what changed of them is forgotten.
            is_known = mark is not None and changed.spans is not None and begin >= mark.since
            spans = changed.spans if is_known and not everything else None
            if seen == self._seen and spans == {} and not self._has_new(model.name, now, report.last_target):
                return report
            since = self._first_origin(model) if everything else model.cutoff - self._late_s
            reach_s = (2 * model.spec.horizon + model.season) * model.spec.step_s
            tails = self._table.tails(model, since - reach_s)
            source = TargetSource(self._store, model.name, model.spec.target, tails, model.cutoff)
            how = ScoringSpec(source, model.season, self._last_steps)
            rows = self._rows(model.name, now, spans, until=report.last_target, everything=everything)
            report = self._score(how, report, rows, now)
        self.sums = read_sums(self._store, model.name)
        self._seen, self._report = seen, report
        return report

    def _latest(self, model: WatchedModelSpec) -> RoundReport:
        """Nothing is looked at yet."""
        reach_s = (2 * model.spec.horizon + model.season) * model.spec.step_s
        tails = self._table.tails(model, model.cutoff - self._late_s - reach_s)
        last_observed = last_observation(self._store, model.name, model.spec.target, model.spec.step_s)
        return RoundReport(0, 0, 0, last_target(tails, model.spec.step_s), last_observed)

    def _has_new(self, model: str, mark: MonitorMarkRecord, until: int) -> bool:
        return next(self._new(model, mark, until, at_once=1), None) is not None

    def _new(self, model: str, mark: MonitorMarkRecord, until: int, *, at_once: int) -> Iterator[Rows]:
        return forecasts_never_looked_at(
            self._store, model, origin_from=mark.since, origin_until=until, at_once=at_once
        )

    def _rows(
        self, model: str, mark: MonitorMarkRecord, spans: Spans | None, *, until: int, everything: bool
    ) -> Iterator[Rows]:
        """Forecasts to look at; each once, since those of changes were looked at before and the new ones never were."""
        if spans is None:
            begin = None if everything else mark.since
            yield from forecasts_to_score(self._store, model, origin_from=begin, origin_until=until, at_once=AT_ONCE)
            return
        yield from forecasts_of_changes(
            self._store, model, spans, reach_s=mark.reach_s, origin_from=mark.since, at_once=AT_ONCE
        )
        yield from self._new(model, mark, until, at_once=AT_ONCE)

    def _score(
        self, how: ScoringSpec, report: RoundReport, parts: Iterator[Rows], mark: MonitorMarkRecord
    ) -> RoundReport:
        key = model_key(metric_names.LAST_SCORED)
        held = read_sums(self._store, how.targets.model).get(key)
        last_scored = 0.0 if held is None else held.total
        n_forecasts = n_new = n_restated = 0
        reach_s = mark.reach_s
        for rows in parts:
            found = score_part(rows, how)
            added = dict(found.added)
            if found.last_scored is not None and found.last_scored > last_scored:
                added[key] = found.last_scored - last_scored
                last_scored = float(found.last_scored)
            # Also with nothing to write: that renews the lease, which a round of many parts would outlive.
            write_scores(self._store, self._lease, found.scored, added, now=int(self._clock()))
            reach_s = max(reach_s, *(row.n_steps * row.step_s for row in rows))
            n_forecasts += len(rows)
            n_new += found.n_new
            n_restated += found.n_restated
        # Last of all: whoever is killed before looks at the same again, and counts nothing twice.
        write_mark(self._store, self._lease, replace(mark, reach_s=reach_s), now=int(self._clock()))
        logger.info("scored %d points of %d forecasts, %d again", n_new, n_forecasts, n_restated)
        return RoundReport(n_forecasts, n_new, n_restated, report.last_table, report.last_observed)

    def _first_origin(self, model: WatchedModelSpec) -> int:
        found = first_origin(self._store, model.name)
        return model.cutoff if found is None else found


def first_origin(store: Store, model: str) -> int | None:
    """Origin of the first forecast with an answer, epoch seconds; none where there is none.

    Raises:
        RetryableError: The store cannot be used now.
    """
    table = FORECASTS.c
    wanted = select(func.min(table.origin)).where(table.model == model, table.answers.is_not(None))
    with store.reading() as connection:
        found = connection.execute(wanted).scalar_one_or_none()
    return None if found is None else int(found)


def last_observation(store: Store, model: str, target: str, step_s: int) -> int | None:
    """The latest step of a target that was observed, epoch seconds; none where none was.

    Raises:
        RetryableError: The store cannot be used now.
    """
    columns = OBSERVED_COLUMNS.c
    mine = (columns.model == model) & (columns.name == target) & (columns.step_s == step_s)
    with store.reading() as connection:
        phases = [int(one) for one in connection.execute(select(columns.phase_s).where(mine).distinct()).scalars()]
    found = (_last_known(store, model, target, GridSpec(step_s, phase), mine) for phase in phases)
    return max((time for time in found if time is not None), default=None)


def _last_known(store: Store, model: str, target: str, grid: GridSpec, mine: ColumnElement[bool]) -> int | None:
    columns, blocks = OBSERVED_COLUMNS.c, OBSERVATION_BLOCKS.c
    mine &= columns.phase_s == grid.phase_s
    wanted = select(func.max(blocks.block_start)).join_from(
        OBSERVED_COLUMNS, OBSERVATION_BLOCKS, columns.key == blocks.key
    )
    before: ColumnElement[bool] = mine
    while True:
        with store.reading() as connection:
            start = connection.execute(wanted.where(before)).scalar_one_or_none()
        if start is None:
            return None
        cells = read_cells(store, model, (target,), grid, since=int(start))
        known = cells.time[np.isfinite(cells.number) & (cells.known_at != NOT_OBSERVED)]
        if len(known):
            return int(known.max())
        # A block may hold nothing but withdrawn values; one before it then has the last.
        before = mine & (blocks.block_start < start)
