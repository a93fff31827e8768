"""Rounds of scoring: which forecasts are looked at, part after part, each in a transaction of its own."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, select

from forecasting.contracts import metric_names
from forecasting.observed_history import NOT_OBSERVED
from forecasting.series_tails import last_target
from forecasting.store.history import read_cells
from forecasting.store.live_scores import (
    MonitorLease,
    SumKey,
    SumRecord,
    forecasts_to_score,
    read_sums,
    write_scores,
)
from forecasting.store.observations import observation_revision
from forecasting.store.opening import Store
from forecasting.store.packing import GridSpec
from forecasting.store.tables import FORECASTS, OBSERVATION_BLOCKS, OBSERVED_COLUMNS
from serving.monitor.known_targets import TargetSource
from serving.monitor.scoring import ScoringSpec, model_key, score_part
from serving.monitor.watched_model import TableTargets, WatchedModelSpec

logger = logging.getLogger(__name__)

AT_ONCE = 4_000
"""Forecasts of one transaction."""
LOOK_AGAIN_S = 3_600
"""Where nothing came, forecasts are looked at again after this, for those that reached the store late."""


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
    """Scores the forecasts of one model; between rounds it keeps the sums and what it saw last."""

    def __init__(
        self, store: Store, lease: MonitorLease, *, late_s: int, last_steps: tuple[int, ...], clock: Callable[[], float]
    ) -> None:
        """Nothing is scored yet; see `MonitoringConfig` for late_s and last_steps. clock: epoch seconds."""
        self._store, self._lease, self._late_s, self._last_steps = store, lease, late_s, last_steps
        self._clock = clock
        self._table = TableTargets()
        self._seen: tuple[object, ...] = ()
        self._looked_at = 0
        self._report = RoundReport(0, 0, 0, None, None)
        self.sums: dict[SumKey, SumRecord] = {}

    def forget(self) -> None:
        """Look at everything again, as another monitor may have scored meanwhile."""
        self._seen = ()

    def round(self, model: WatchedModelSpec, *, now: int, everything: bool = False) -> RoundReport:
        """Score what came since the last round.

        Args:
            model: The champion now.
            now: Epoch seconds.
            everything: Look at all forecasts of the store, however old, and not only at those that `late_s` leaves open.

        Raises:
            RetryableError: The store cannot be used now, or the lease is another one's; what is written stays.
            ArtifactError: The series of the champion cannot be read.
        """
        seen = (observation_revision(self._store, model.name), model.version, model.series_dir)
        if seen == self._seen and now - self._looked_at < LOOK_AGAIN_S and not everything:
            return self._report
        since = self._first_origin(model) if everything else model.cutoff - self._late_s
        reach_s = (2 * model.spec.horizon + model.season) * model.spec.step_s
        tails = self._table.tails(model, since - reach_s)
        last_table = last_target(tails, model.spec.step_s)
        last_observed = last_observation(self._store, model.name, model.spec.target, model.spec.step_s)
        report = RoundReport(0, 0, 0, last_table, last_observed)
        if report.last_target is not None:
            origin_from = report.last_target - self._late_s - model.spec.horizon * model.spec.step_s
            source = TargetSource(self._store, model.name, model.spec.target, tails, model.cutoff)
            how = ScoringSpec(source, model.season, self._last_steps)
            report = self._score(how, report, origin_from=None if everything else origin_from)
        self.sums = read_sums(self._store, model.name)
        self._seen, self._looked_at, self._report = seen, now, report
        return report

    def _score(self, how: ScoringSpec, report: RoundReport, *, origin_from: int | None) -> RoundReport:
        key = model_key(metric_names.LAST_SCORED)
        held = read_sums(self._store, how.targets.model).get(key)
        last_scored = 0.0 if held is None else held.total
        n_forecasts = n_new = n_restated = 0
        parts = forecasts_to_score(
            self._store,
            how.targets.model,
            origin_from=origin_from,
            origin_until=report.last_target or 0,
            at_once=AT_ONCE,
        )
        for rows in parts:
            found = score_part(rows, how)
            added = dict(found.added)
            if found.last_scored is not None and found.last_scored > last_scored:
                added[key] = found.last_scored - last_scored
                last_scored = float(found.last_scored)
            # Also with nothing to write: that renews the lease, which a round of many parts would outlive.
            write_scores(self._store, self._lease, found.scored, added, now=int(self._clock()))
            n_forecasts += len(rows)
            n_new += found.n_new
            n_restated += found.n_restated
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
    columns, blocks = OBSERVED_COLUMNS.c, OBSERVATION_BLOCKS.c
    mine = (columns.model == model) & (columns.name == target) & (columns.step_s == step_s)
    wanted = (
        select(columns.phase_s, func.max(blocks.block_start))
        .join_from(OBSERVED_COLUMNS, OBSERVATION_BLOCKS, columns.key == blocks.key)
        .where(mine)
        .group_by(columns.phase_s)
    )
    with store.reading() as connection:
        starts = [(int(phase), int(start)) for phase, start in connection.execute(wanted)]
    last: int | None = None
    for phase, start in starts:
        grid = GridSpec(step_s, phase)
        # The last block may hold nothing but withdrawn values; the one before it then has the last.
        for since in (start, start - grid.block_s):
            cells = read_cells(store, model, (target,), grid, since=since)
            known = cells.time[np.isfinite(cells.number) & (cells.known_at != NOT_OBSERVED)]
            if len(known):
                last = max(int(known.max()), NOT_OBSERVED if last is None else last)
                break
    return last
