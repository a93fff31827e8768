"""The Prometheus page with TensorFlow Serving's names, labels and buckets.

Written by hand: the official names start with a colon and have no `_total`, which the Prometheus
client library does not allow.
"""

import bisect
from collections.abc import Iterable

REQUEST_COUNT = ":tensorflow:serving:request_count"
REQUEST_LATENCY = ":tensorflow:serving:request_latency"
RUNTIME_LATENCY = ":tensorflow:serving:runtime_latency"
WARMUP_LATENCY = ":tensorflow:serving:model_warmup_latency"
WARMUP_RECORDS = ":tensorflow:serving:model_warmup_records_read"

_LABELS = {
    REQUEST_COUNT: ("model_name", "status"),
    REQUEST_LATENCY: ("model_name", "API", "entrypoint"),
    RUNTIME_LATENCY: ("model_name", "API", "runtime"),
    WARMUP_LATENCY: ("model_path", "status"),
    WARMUP_RECORDS: ("model_path",),
}
_BUCKETS_US = tuple(10 * 1.8**i for i in range(33))
_MAX_LABEL_SETS = 1000
"""Clients choose model names: past this many label sets of one metric, new ones are not kept."""


class _Histogram:
    def __init__(self) -> None:
        self.counts = [0] * (len(_BUCKETS_US) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect.bisect_left(_BUCKETS_US, value)] += 1
        self.total += value


class ServerMetrics:
    """Counters and histograms; changed on the event loop's thread only."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._counters: dict[str, dict[tuple[str, ...], int]] = {REQUEST_COUNT: {}, WARMUP_RECORDS: {}}
        self._histograms: dict[str, dict[tuple[str, ...], _Histogram]] = {
            REQUEST_LATENCY: {},
            RUNTIME_LATENCY: {},
            WARMUP_LATENCY: {},
        }

    def count(self, name: str, *labels: str, by: int = 1) -> None:
        """Raise a counter; labels in the order of the metric."""
        values = self._counters[name]
        if labels in values or len(values) < _MAX_LABEL_SETS:
            values[labels] = values.get(labels, 0) + by

    def observe(self, name: str, value_us: float, *labels: str) -> None:
        """Add a duration in microseconds."""
        found = self._histograms[name]
        if labels not in found:
            if len(found) >= _MAX_LABEL_SETS:
                return
            found[labels] = _Histogram()
        found[labels].add(value_us)

    def page(self) -> str:
        """Prometheus text format, without HELP lines, as TensorFlow Serving writes it."""
        lines: list[str] = []
        for name, counters in self._counters.items():
            lines.append(f"# TYPE {name} counter")
            lines += [f"{name}{_labels(name, labels)} {value}" for labels, value in counters.items()]
        for name, histograms in self._histograms.items():
            lines.append(f"# TYPE {name} histogram")
            for labels, histogram in histograms.items():
                lines += _histogram_lines(name, labels, histogram)
        return "\n".join(lines) + "\n"


def _histogram_lines(name: str, labels: tuple[str, ...], histogram: _Histogram) -> Iterable[str]:
    running = 0
    for bound, count in zip((*(f"{bound:g}" for bound in _BUCKETS_US), "+Inf"), histogram.counts, strict=True):
        running += count
        yield f"{name}_bucket{_labels(name, labels, le=bound)} {running}"
    yield f"{name}_sum{_labels(name, labels)} {histogram.total:.17g}"
    yield f"{name}_count{_labels(name, labels)} {running}"


def _labels(name: str, values: tuple[str, ...], le: str | None = None) -> str:
    pairs = [*zip(_LABELS[name], values, strict=True), *([("le", le)] if le is not None else [])]
    return "{" + ",".join(f'{label}="{_escape(value)}"' for label, value in pairs) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
