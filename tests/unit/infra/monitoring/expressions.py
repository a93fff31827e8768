"""What a PromQL expression reads, told without Prometheus."""

import re

from forecasting.contracts.metric_names import METRICS, MetricKind
from infra.monitoring.recording import NAMES, WEEKS_NAMES
from infra.monitoring.tensorflow_names import OTHER, SCRAPED

KEYWORDS = {"and", "or", "on", "by", "unless", "ignoring", "group_left"}
_HISTOGRAM = ("_bucket", "_sum", "_count")
OF_OTHERS = {"up", "ALERTS", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"}
"""Of Prometheus itself and of the client library."""


def named_metrics(expr: str) -> set[str]:
    """Metrics that an expression reads: names that are no function, label or keyword."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\boffset \w+|\b(?:by|on|ignoring|group_left) \([^)]*\)', "", expr)
    return {name for name in re.findall(r"(?<![\w:])[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])", bare) if name not in KEYWORDS}


def known_metrics() -> set[str]:
    """Everything that a rule or a panel may read."""
    single = {spec.exposed for spec in METRICS.values() if spec.kind is not MetricKind.HISTOGRAM}
    histograms = {spec.exposed for spec in METRICS.values() if spec.kind is MetricKind.HISTOGRAM} | SCRAPED | set(OTHER)
    return (
        single
        | {f"{name}{end}" for name in histograms for end in _HISTOGRAM}
        | SCRAPED
        | set(OTHER)
        | {*NAMES, *WEEKS_NAMES}
        | OF_OTHERS
    )


def asked_labels(expr: str) -> list[tuple[str, set[str]]]:
    """Each metric of the contract that has matchers, with the labels that they ask for."""
    labels = {spec.exposed for spec in METRICS.values()}
    found = []
    for name, end, matchers in re.findall(r"(forecast_\w+?)(_bucket|_sum|_count)?\{([^}]*)\}", expr):
        whole = name if name in labels else f"{name}{end}"
        found.append((whole, set(re.findall(r"(\w+)=", matchers)) - ({"le"} if end == "_bucket" else set())))
    return found
