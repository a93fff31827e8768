"""Live accuracy as numbers for a person: what the sums say of every version, role and bucket."""

from collections.abc import Mapping
from dataclasses import dataclass

from forecasting.contracts import metric_names
from forecasting.store.live_scores import SumKey, SumRecord


@dataclass(frozen=True)
class LiveScoreReport:
    """Accuracy of one version in one role over one bucket; none where it cannot be told.

    mae, bias: in the target's unit. coverage: share of actuals in each interval, by its nominal share. skill: 1 - error over
    the seasonal naive's on the same points.
    """

    version: int
    role: str
    horizon: str
    n_points: int
    mae: float
    wape: float | None
    bias: float
    skill: float | None
    coverage: dict[str, float]


def live_scores(sums: Mapping[SumKey, SumRecord]) -> list[LiveScoreReport]:
    """Accuracy of all that was scored, by version, role and bucket."""
    groups: dict[tuple[int, str, str], dict[tuple[str, str], float]] = {}
    for key, one in sums.items():
        if key.horizon:
            groups.setdefault((key.version, key.role, key.horizon), {})[key.name, key.part] = one.total
    return [
        _report(label, totals)
        for label, totals in sorted(groups.items())
        if totals.get((metric_names.SCORED_POINTS.name, ""), 0) >= 1
    ]


def _report(label: tuple[int, str, str], totals: Mapping[tuple[str, str], float]) -> LiveScoreReport:
    def total(metric: metric_names.MetricSpec) -> float:
        return totals.get((metric.name, ""), 0.0)

    n_points, error = total(metric_names.SCORED_POINTS), total(metric_names.ABSOLUTE_ERROR)
    size, naive = total(metric_names.ACTUAL_ABSOLUTE), total(metric_names.NAIVE_ABSOLUTE_ERROR)
    covered = {
        part: value / totals[metric_names.INTERVAL_POINTS.name, part]
        for (name, part), value in sorted(totals.items())
        if name == metric_names.INTERVAL_COVERED.name
    }
    return LiveScoreReport(
        *label,
        n_points=round(n_points),
        mae=error / n_points,
        wape=error / size if size > 0 else None,
        bias=(total(metric_names.OVER_ERROR) - total(metric_names.UNDER_ERROR)) / n_points,
        skill=1 - total(metric_names.COMPARED_ABSOLUTE_ERROR) / naive if naive > 0 else None,
        coverage=covered,
    )
