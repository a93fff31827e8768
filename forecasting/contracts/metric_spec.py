"""What is said of a Prometheus metric."""

from dataclasses import dataclass
from enum import StrEnum


class MetricKind(StrEnum):
    """What Prometheus makes of a metric. INFO: a gauge that is 1 and whose labels are what it tells."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


class MetricSource(StrEnum):
    """Who exposes a metric. PIPELINE: report_run, as a textfile and to a Pushgateway."""

    GATEWAY = "gateway"
    MONITOR = "monitor"
    PIPELINE = "pipeline"
    WORKER = "worker"


DURATIONS_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of a histogram of the time that an answer takes, seconds."""
SIZES = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
"""Of how many series a request has."""
DELAYS_S = tuple(3_600.0 * hours for hours in (1 / 60, 0.25, 1, 3, 6, 12, 24, 48, 168, 336, 720))
"""Of how long after its time an actual is known, seconds: from a minute to thirty days."""

_SUFFIXES = {MetricKind.COUNTER: "_total", MetricKind.INFO: "_info"}


@dataclass(frozen=True)
class MetricSpec:
    """One metric.

    name: without the suffix that the client library appends. help: one line, with the unit. unit: of its values, empty for a
    number. bounds: upper bounds of the buckets of a histogram.
    """

    name: str
    kind: MetricKind
    labels: tuple[str, ...]
    help: str
    sources: tuple[MetricSource, ...]
    unit: str = ""
    bounds: tuple[float, ...] = ()

    @property
    def exposed(self) -> str:
        """Name on a page; that of a histogram has `_bucket`, `_sum` and `_count` behind it."""
        return self.name + _SUFFIXES.get(self.kind, "")
