"""The Prometheus page of the monitor: what it found in its last round, as the contract names it."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from forecasting.contracts import metric_names
from forecasting.contracts.metric_spec import MetricKind, MetricSource, MetricSpec
from forecasting.contracts.vocabulary import ModelRole
from forecasting.store.forecasts import ForecastRole
from forecasting.store.live_scores import SumKey, SumRecord
from serving.monitor.scoring import FALLBACK_ROLE, SUM_PART
from serving.prometheus_metrics import process_metrics

EXPOSED_S = 30 * 86_400
"""A version without a role is shown for so long after its last score."""
LIVE_ROLES = {
    ModelRole.CHAMPION: (ForecastRole.CHAMPION.value, FALLBACK_ROLE),
    ModelRole.CANDIDATE: (ForecastRole.CANDIDATE.value, ForecastRole.SHADOW.value),
}

Gauges = dict[tuple[str, tuple[str, ...]], float]
"""By name of the metric and its labels without `model`."""


@dataclass(frozen=True)
class ServedPartsSpec:
    """Versions by role, and which buckets, levels and intervals their forecasts have: what is shown as 0 before it is scored."""

    roles: Mapping[ModelRole, int] = field(default_factory=dict)
    buckets: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    intervals: tuple[str, ...] = ()


class MonitorPage(Collector):
    """Shows sums and gauges as they were set last; asking for the page never reads the store."""

    def __init__(self, model: str) -> None:
        """A page with nothing but that the monitor waits."""
        self._model = model
        self._lock = threading.Lock()
        self._sums: dict[SumKey, float] = {}
        self._gauges: dict[str, Gauges] = {}
        self._counts: dict[tuple[str, tuple[str, ...]], float] = {}

    def registry(self) -> CollectorRegistry:
        """A registry with this page and what is known of the process."""
        found = CollectorRegistry()
        found.register(self)
        process_metrics(found)
        return found

    def show_sums(self, sums: Mapping[SumKey, SumRecord], parts: ServedPartsSpec, *, now: int) -> None:
        """Show sums of versions that have a role or were scored lately."""
        named = set(parts.roles.values()) | {0}
        shown = {
            key: one.peak for key, one in sums.items() if key.version in named or one.updated_at >= now - EXPOSED_S
        }
        shown = dict.fromkeys(_expected(parts), 0.0) | shown
        with self._lock:
            self._sums = shown

    def show(self, group: str, gauges: Gauges) -> None:
        """Replace the gauges of a group."""
        with self._lock:
            self._gauges[group] = gauges

    def count(self, metric: MetricSpec, *labels: str) -> None:
        """Count one."""
        with self._lock:
            self._counts[metric.name, labels] = self._counts.get((metric.name, labels), 0.0) + 1

    def collect(self) -> Iterable[Metric]:
        """All metrics with a value; see `prometheus_client`."""
        with self._lock:
            sums, counts = dict(self._sums), dict(self._counts)
            gauges = {key: value for group in self._gauges.values() for key, value in group.items()}
        for metric in metric_names.METRICS.values():
            if MetricSource.MONITOR in metric.sources:
                yield from self._family(metric, sums, gauges, counts)

    def _family(
        self, metric: MetricSpec, sums: Mapping[SumKey, float], gauges: Gauges, counts: Gauges
    ) -> Iterator[Metric]:
        mine = {key: value for key, value in sums.items() if key.name == metric.name}
        match metric.kind:
            case MetricKind.COUNTER:
                counter = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
                for key, value in sorted(mine.items()):
                    counter.add_metric(_labels(self._model, metric, key), value)
                for (name, labels), value in sorted(counts.items()):
                    if name == metric.name:
                        counter.add_metric([self._model, *labels], value)
                yield counter
            case MetricKind.HISTOGRAM:
                yield self._histogram(metric, mine)
            case _:
                gauge = GaugeMetricFamily(metric.exposed, metric.help, labels=metric.labels)
                found = {labels: value for (name, labels), value in gauges.items() if name == metric.name}
                found |= dict.fromkeys([()] if mine else [], sum(mine.values()))
                own = [self._model] if metric.labels[0] == "model" else []
                for labels, value in sorted(found.items()):
                    gauge.add_metric([*own, *labels], value)
                yield gauge

    def _histogram(self, metric: MetricSpec, mine: Mapping[SumKey, float]) -> Metric:
        family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        by_part, n, buckets = {key.part: value for key, value in mine.items()}, 0.0, []
        for bound in (*metric.bounds, float("inf")):
            n += by_part.get(f"{bound:g}", 0.0)
            buckets.append(("+Inf" if bound == float("inf") else f"{bound:g}", n))
        family.add_metric([self._model], buckets, by_part.get(SUM_PART, 0.0))
        return family


def _labels(model: str, metric: MetricSpec, key: SumKey) -> list[str]:
    if "horizon" not in metric.labels:
        return [model, key.part] if len(metric.labels) > 1 else [model]
    found = [model, str(key.version), key.role, key.horizon]
    return [*found, key.part] if len(metric.labels) > len(found) else found


def _expected(parts: ServedPartsSpec) -> Iterator[SumKey]:
    """Sums that there will be once something was scored: a counter that begins at 0 loses no first increase."""
    for role, version in parts.roles.items():
        for live in LIVE_ROLES.get(role, ()):
            for bucket in parts.buckets:
                for metric in metric_names.METRICS.values():
                    if metric.labels[:4] != metric_names.SCORED_POINTS.labels or metric.kind is not MetricKind.COUNTER:
                        continue
                    found: tuple[str, ...] = ("",)
                    if len(metric.labels) > len(metric_names.SCORED_POINTS.labels):
                        found = parts.levels if metric is metric_names.PINBALL_LOSS else parts.intervals
                    yield from (SumKey(version, live, bucket, metric.name, part) for part in found)
