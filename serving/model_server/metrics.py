"""The Prometheus pages: TensorFlow Serving's own names, labels and buckets, and a family of ours.

Written by hand: the official names start with a colon and have no `_total`, which the Prometheus
client library does not allow. Format: util/prometheus_exporter.cc of TensorFlow Serving.
"""

import bisect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

SERVING = ":tensorflow:serving:"
REQUEST_COUNT = SERVING + "request_count"
REQUEST_LATENCY = SERVING + "request_latency"
RUNTIME_LATENCY = SERVING + "runtime_latency"
EXAMPLE_COUNTS = SERVING + "request_example_counts"
EXAMPLE_COUNT_TOTAL = SERVING + "request_example_count_total"
WARMUP_LATENCY = SERVING + "model_warmup_latency"
WARMUP_RECORDS = SERVING + "model_warmup_records_read"
QUEUING_LATENCY = SERVING + "batching_session:queuing_latency"
PADDING_SIZE = SERVING + "batching_session:padding_size"
INPUT_BATCH_SIZE = SERVING + "batching_session:input_batch_size"
PROCESSED_BATCH_SIZE = SERVING + "batching_session:processed_batch_size"
WRAPPED_RUN_COUNT = SERVING + "batching_session:wrapped_run_count"
LOAD_ATTEMPTS = ":tensorflow:cc:saved_model:load_attempt_count"
LOAD_LATENCY = ":tensorflow:cc:saved_model:load_latency"
OWN_REQUESTS = "almanac_model_server_requests_total"
OWN_LATENCY = "almanac_model_server_request_seconds"
OWN_LOAD_FAILURES = "almanac_model_server_load_failures_total"
OWN_REFUSED = "almanac_model_server_refused_total"
OWN_IN_FLIGHT = "almanac_model_server_requests_in_flight"
OTHER_MODELS = "(other)"
"""Label that stands for the names of models that do not exist, past the first of them."""

_LATENCY_US = tuple(10 * 1.8**i for i in range(33))
_QUEUING_US = tuple(100 * 1.2**i for i in range(52))
_SIZES = tuple(float(2**i) for i in range(14))
_EXAMPLES = tuple(float(2**i) for i in range(15))
_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_MAX_UNKNOWN_NAMES, _MAX_UNKNOWN_LENGTH = 50, 200


@dataclass(frozen=True)
class FamilySpec:
    """One metric: its labels, and the upper bounds of its buckets where it is a histogram."""

    labels: tuple[str, ...]
    bounds: tuple[float, ...] | None = None
    gauge: bool = False

    @property
    def kind(self) -> str:
        """The metric's type as Prometheus calls it."""
        return "gauge" if self.gauge else "counter" if self.bounds is None else "histogram"


FAMILIES: Mapping[str, FamilySpec] = {
    LOAD_ATTEMPTS: FamilySpec(("model_path", "status")),
    LOAD_LATENCY: FamilySpec(("model_path",)),
    INPUT_BATCH_SIZE: FamilySpec((), _SIZES),
    PADDING_SIZE: FamilySpec(("execution_batch_size",), _SIZES),
    PROCESSED_BATCH_SIZE: FamilySpec((), _SIZES),
    QUEUING_LATENCY: FamilySpec(("thread_pool_name",), _QUEUING_US),
    WRAPPED_RUN_COUNT: FamilySpec(()),
    WARMUP_LATENCY: FamilySpec(("model_path", "status"), _LATENCY_US),
    WARMUP_RECORDS: FamilySpec(("model_path", "status")),
    REQUEST_COUNT: FamilySpec(("model_name", "status")),
    EXAMPLE_COUNT_TOTAL: FamilySpec(("model",)),
    EXAMPLE_COUNTS: FamilySpec(("model",), _EXAMPLES),
    REQUEST_LATENCY: FamilySpec(("model_name", "API", "entrypoint"), _LATENCY_US),
    RUNTIME_LATENCY: FamilySpec(("model_name", "API", "runtime"), _LATENCY_US),
    OWN_REQUESTS: FamilySpec(("model", "version", "signature", "entrypoint", "status")),
    OWN_LATENCY: FamilySpec(("model", "version", "signature", "entrypoint"), _SECONDS),
    OWN_LOAD_FAILURES: FamilySpec(("model", "reason")),
    OWN_REFUSED: FamilySpec(("reason",)),
    OWN_IN_FLIGHT: FamilySpec((), gauge=True),
}

_Labels = tuple[str, ...]


class _Histogram:
    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect.bisect_right(self.bounds, value)] += 1
        self.total += value


class ServerMetrics:
    """Counters and histograms; changed on the event loop's thread only."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._counters: dict[str, dict[_Labels, int]] = {}
        self._histograms: dict[str, dict[_Labels, _Histogram]] = {}
        for name, family in FAMILIES.items():
            if family.bounds is None:
                self._counters[name] = {}
            else:
                self._histograms[name] = {}
        self._unknown: set[str] = set()

    def count(self, name: str, *labels: str, by: int = 1) -> None:
        """Raise a counter; labels in the order of the family."""
        values = self._counters[name]
        values[labels] = values.get(labels, 0) + by

    def put(self, name: str, value: int, *labels: str) -> None:
        """Set a gauge; labels in the order of the family."""
        self._counters[name][labels] = value

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add a value to a histogram; labels in the order of the family."""
        found = self._histograms[name]
        histogram = found.get(labels)
        if histogram is None:
            bounds = FAMILIES[name].bounds
            histogram = found[labels] = _Histogram(bounds if bounds is not None else ())
        histogram.add(value)

    def unknown_model(self, name: str) -> str:
        """The label for the name of a model that does not exist.

        Clients choose such names, so only the first keep their own, and only short ones, as on TensorFlow Serving.
        """
        if name not in self._unknown:
            if len(self._unknown) >= _MAX_UNKNOWN_NAMES or len(name) > _MAX_UNKNOWN_LENGTH:
                return OTHER_MODELS
            self._unknown.add(name)
        return name

    def first(self, name: str) -> int:
        """The value of a counter's first labels, which is what a reload's `metric_names` asks for."""
        return next(iter(self._counters.get(name, {}).values()), 0)

    def state(self) -> dict[str, list[tuple[list[str], list[float]]]]:
        """Everything counted, as JSON takes it: by family, labels and numbers (a histogram's sum comes first)."""
        found: dict[str, list[tuple[list[str], list[float]]]] = {}
        for name, counters in self._counters.items():
            found[name] = [(list(labels), [float(value)]) for labels, value in counters.items()]
        for name, histograms in self._histograms.items():
            found[name] = [(list(labels), [one.total, *map(float, one.counts)]) for labels, one in histograms.items()]
        return found


State = Mapping[str, Sequence[tuple[Sequence[str], Sequence[float]]]]


def merged(states: Sequence[State]) -> dict[str, dict[_Labels, list[float]]]:
    """The sums over several servers' `ServerMetrics.state`."""
    sums: dict[str, dict[_Labels, list[float]]] = {name: {} for name in FAMILIES}
    for state in states:
        for name, entries in state.items():
            for labels, numbers in entries:
                key = tuple(labels)
                before = sums[name].get(key, [0.0] * len(numbers))
                sums[name][key] = [one + other for one, other in zip(before, numbers, strict=True)]
    return sums


def official_page(states: Sequence[State]) -> str:
    """The page of `--monitoring_config_file`: TensorFlow Serving's metrics, without HELP lines, as it writes them."""
    return _page(states, [name for name in FAMILIES if name.startswith(":")])


def own_page(states: Sequence[State]) -> str:
    """All metrics, ours too."""
    return _page(states, list(FAMILIES))


def _page(states: Sequence[State], names: Sequence[str]) -> str:
    sums, lines = merged(states), list[str]()
    for name in names:
        family = FAMILIES[name]
        lines.append(f"# TYPE {metric_name(name)} {family.kind}")
        for labels, numbers in sums[name].items():
            if family.bounds is None:
                lines.append(f"{metric_name(name)}{{{_labels(family, labels)}}} {numbers[0]:.0f}")
            else:
                lines += _histogram_lines(metric_name(name), family, labels, numbers)
    return "\n".join(lines) + "\n"


def metric_name(name: str) -> str:
    """A name as Prometheus takes it: other characters become ':', a leading digit gets '_'."""
    return _not_leading_digit(re.sub(r"[^a-zA-Z0-9_]", ":", name))


def label_name(name: str) -> str:
    """A label's name as Prometheus takes it: other characters become '_', a leading digit gets '_'."""
    return _not_leading_digit(re.sub(r"[^a-zA-Z0-9]", "_", name))


def _not_leading_digit(name: str) -> str:
    return "_" + name if name[:1].isdigit() else name


def _histogram_lines(name: str, family: FamilySpec, labels: _Labels, numbers: Sequence[float]) -> Iterator[str]:
    texts, running = _labels(family, labels), 0.0
    prefix = texts + "," if texts else ""
    bounds = [f"{bound:g}" for bound in family.bounds or ()]
    for bound, count in zip((*bounds, "+Inf"), numbers[1:], strict=True):
        running += count
        yield f'{name}_bucket{{{prefix}le="{bound}"}} {running:.0f}'
    yield f"{name}_sum{{{texts}}} {numbers[0]:.17g}"
    yield f"{name}_count{{{texts}}} {running:.0f}"


def _labels(family: FamilySpec, values: _Labels) -> str:
    return ",".join(f'{label_name(name)}="{escape(value)}"' for name, value in zip(family.labels, values, strict=True))


def escape(value: str) -> str:
    """A label's value between quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
