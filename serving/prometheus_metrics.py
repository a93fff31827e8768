"""Make the Prometheus metrics that the contract names, as the client library has them."""

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, ProcessCollector

from forecasting.contracts.metric_spec import MetricSpec


def counter(metric: MetricSpec, registry: CollectorRegistry) -> Counter:
    """A counter that starts at nothing."""
    return Counter(metric.name, metric.help, metric.labels, registry=registry)


def gauge(metric: MetricSpec, registry: CollectorRegistry) -> Gauge:
    """A gauge; one that tells by its labels is 1."""
    return Gauge(metric.exposed, metric.help, metric.labels, registry=registry)


def histogram(metric: MetricSpec, registry: CollectorRegistry) -> Histogram:
    """A histogram with the buckets of the contract."""
    return Histogram(metric.name, metric.help, metric.labels, buckets=metric.bounds, registry=registry)


def process_metrics(registry: CollectorRegistry) -> None:
    """Add CPU, memory and files of this process, and the runs of its garbage collector."""
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
