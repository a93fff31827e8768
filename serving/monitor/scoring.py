"""Score some forecasts of the store: read what is known of their steps, and say what that changes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.contracts import metric_names
from forecasting.monitoring.horizons import BucketSpec, horizon_buckets, naive_lags
from forecasting.monitoring.score_changes import (
    ForecastBlockRecord,
    KnownActualsRecord,
    ScoreChangesReport,
    score_changes,
)
from forecasting.store.forecasts import ForecastFlag
from forecasting.store.live_scores import ScoredForecastRecord, SumKey, unpack_scored
from forecasting.store.packing import GridSpec, unpack_answers, unpack_levels
from serving.monitor.known_targets import KnownTargetsRecord, TargetSource

FALLBACK_ROLE = "fallback"
"""Role of what the fallback answered in the place of the champion or the candidate: it is no error of theirs."""
MAX_CELLS = 4_000_000
"""Series times steps that are read at once."""
SUM_PART = "sum"
"""Last label of the sum of a histogram; those of its buckets are their upper bounds."""


@dataclass(frozen=True)
class PartScoresReport:
    """What scoring a part of the forecasts changes.

    scored: what is noted beside forecasts, also that they were looked at for the first time. added: to the sums. last_scored: the latest step that has a score, epoch seconds.
    """

    scored: list[ScoredForecastRecord] = field(default_factory=list)
    added: dict[SumKey, float] = field(default_factory=dict)
    n_new: int = 0
    n_restated: int = 0
    last_scored: int | None = None


@dataclass(frozen=True)
class ScoringSpec:
    """How forecasts are scored: with which targets, naive season (in steps) and buckets of the horizon."""

    targets: TargetSource
    season: int
    last_steps: tuple[int, ...]

    def buckets(self, horizon: int) -> BucketSpec:
        """Buckets of a horizon."""
        return horizon_buckets(horizon, self.last_steps)


def score_part(rows: Sequence[Any], how: ScoringSpec) -> PartScoresReport:
    """Score forecasts as `forecasting.store.forecasts_to_score` gives them.

    Raises:
        RetryableError: The store cannot be used now.
    """
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        role = FALLBACK_ROLE if row.flags & ForecastFlag.DEGRADED else row.role
        key = (row.version, role, row.levels, row.n_steps, row.step_s, row.origin % row.step_s, len(row.answers))
        groups.setdefault(key, []).append(row)
    found = PartScoresReport()
    for (version, role, *_), mine in groups.items():
        for part in _within(mine, MAX_CELLS, how):
            found = _together(found, _score_alike(part, how, version=version, role=role))
    return found


def _within(rows: list[Any], max_cells: int, how: ScoringSpec) -> Iterator[list[Any]]:
    """Rows in parts whose targets fit in memory; rows come by origin."""
    n_steps = (rows[-1].origin - rows[0].origin) // rows[0].step_s + rows[0].n_steps + how.season
    if len(rows) == 1 or len({row.series for row in rows}) * n_steps <= max_cells:
        yield rows
        return
    middle = len(rows) // 2
    yield from _within(rows[:middle], max_cells, how)
    yield from _within(rows[middle:], max_cells, how)


def _score_alike(rows: list[Any], how: ScoringSpec, *, version: int, role: str) -> PartScoresReport:
    """Of forecasts of one version, role, set of levels, grid and length."""
    first, buckets = rows[0], how.buckets(rows[0].n_steps)
    block = _block(rows)
    origins = np.array([row.origin for row in rows], dtype=np.int64)
    lags = naive_lags(first.n_steps, how.season)
    start = int(origins.min()) - int(lags.max()) * first.step_s
    n_steps = (int(origins.max()) - start) // first.step_s + first.n_steps
    ids = tuple(dict.fromkeys(row.series for row in rows))
    place = {one: number for number, one in enumerate(ids)}
    targets = how.targets.known(ids, GridSpec.of(first.step_s, first.origin), start=start, n_steps=n_steps)
    series = np.array([place[row.series] for row in rows])[:, None]
    step = ((origins - start) // first.step_s)[:, None] + np.arange(first.n_steps)
    at = (series, step)
    known = KnownActualsRecord(
        targets.values[at], targets.known_at[at], targets.withdrawn[at], targets.values[series, step - lags]
    )
    changes = score_changes(block, known, buckets)
    times = start + first.step_s * step
    return _report(rows, changes, times, targets, at, buckets=buckets, label=(version, role))


def _block(rows: list[Any]) -> ForecastBlockRecord:
    first, levels = rows[0], unpack_levels(rows[0].levels)
    packed = b"".join(row.answers for row in rows)
    answers = unpack_answers(packed, len(rows) * first.n_steps).astype(np.float64)
    answers = answers.reshape(len(rows), first.n_steps, -1)
    scored = unpack_scored([row.scored for row in rows], first.n_steps)
    return ForecastBlockRecord(
        levels=levels,
        quantiles=answers[..., : len(levels)],
        mean=answers[..., -1] if answers.shape[2] > len(levels) else None,
        created_at=np.array([row.created_at for row in rows], dtype=np.int64),
        actual=scored[:, 0],
        naive=scored[:, 1],
    )


def _report(
    rows: list[Any], changes: ScoreChangesReport, times: npt.NDArray[np.int64], targets: KnownTargetsRecord,
    at: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], *, buckets: BucketSpec, label: tuple[int, str],
) -> PartScoresReport:  # fmt: skip
    version, role = label
    # Also what is 0 where points were scored: a share needs both of its sums.
    n_points = changes.sums.get((metric_names.SCORED_POINTS.name, ""), np.zeros(len(buckets.names)))
    added = {
        SumKey(version, role, bucket, name, part): float(values[number])
        for (name, part), values in changes.sums.items()
        for number, bucket in enumerate(buckets.names)
        if values[number] or n_points[number]
    }
    _count_rejected(added, changes)
    came = changes.is_new & targets.observed[at]
    _count_delays(added, targets.known_at[at][came] - times[came] - rows[0].step_s)
    scored = [
        ScoredForecastRecord(
            row.created_at, row.request, row.role, row.series, np.stack([changes.actual[i], changes.naive[i]])
        )
        for i, row in enumerate(rows)
        if changes.changed[i] or row.scored is None
    ]
    last = times[changes.is_new].max() if changes.is_new.any() else None
    return PartScoresReport(
        scored, added, int(changes.is_new.sum()), int(changes.is_restated.sum()), None if last is None else int(last)
    )


def _count_rejected(added: dict[SumKey, float], changes: ScoreChangesReport) -> None:
    counts = {
        "early": changes.is_early,
        "withdrawn": changes.is_withdrawn,
        "not_finite": changes.is_unusable,
    }
    for reason, mask in counts.items():
        if mask.any():
            added[model_key(metric_names.ACTUALS_REJECTED, reason)] = float(mask.sum())
    if changes.is_restated.any():
        added[model_key(metric_names.ACTUALS_RESTATED)] = float(changes.is_restated.sum())


def _count_delays(added: dict[SumKey, float], delays_s: npt.NDArray[np.int64]) -> None:
    if not len(delays_s):
        return
    metric = metric_names.ACTUAL_DELAY
    waited = np.maximum(delays_s, 0)
    counts = np.bincount(np.searchsorted(metric.bounds, waited), minlength=len(metric.bounds) + 1)
    for bound, n in zip((*metric.bounds, float("inf")), counts.tolist(), strict=True):
        if n:
            added[model_key(metric, f"{bound:g}")] = float(n)
    added[model_key(metric, SUM_PART)] = float(waited.sum())


def model_key(metric: metric_names.MetricSpec, part: str = "") -> SumKey:
    """Key of a sum over all of a model."""
    return SumKey(0, "", "", metric.name, part)


def _together(first: PartScoresReport, second: PartScoresReport) -> PartScoresReport:
    added = dict(first.added)
    for key, value in second.added.items():
        added[key] = added.get(key, 0.0) + value
    ends = [end for end in (first.last_scored, second.last_scored) if end is not None]
    return PartScoresReport(
        first.scored + second.scored, added, first.n_new + second.n_new, first.n_restated + second.n_restated,
        max(ends, default=None),
    )  # fmt: skip
