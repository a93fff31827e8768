"""The gateway's Prometheus metrics; names and labels are the contract's."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from forecasting.contracts.metric_names import (
    CANDIDATE_JUDGEMENT,
    CANDIDATE_REQUESTS,
    CANDIDATE_SECONDS,
    DEGRADED,
    IN_FLIGHT,
    LABELS,
    MODEL_CUTOFF,
    MODEL_VERSION,
    REQUEST_SECONDS,
    REQUESTS,
    SERIES_FORECAST,
)
from serving.gateway.fallback import FallbackCause

_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class GatewayMetrics:
    """Counters of one gateway process, in a registry of their own."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self.registry = CollectorRegistry()
        self.requests = Counter(REQUESTS, "HTTP requests answered.", LABELS[REQUESTS], registry=self.registry)
        self.seconds = Histogram(
            REQUEST_SECONDS,
            "Time to answer, seconds.",
            LABELS[REQUEST_SECONDS],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.series = Counter(SERIES_FORECAST, "Series forecast.", LABELS[SERIES_FORECAST], registry=self.registry)
        self.degraded = Counter(DEGRADED, "Series answered by the fallback.", LABELS[DEGRADED], registry=self.registry)
        self.candidate = Counter(
            CANDIDATE_REQUESTS, "Requests to the candidate.", LABELS[CANDIDATE_REQUESTS], registry=self.registry
        )
        self.candidate_seconds = Histogram(
            CANDIDATE_SECONDS,
            "Time of the model for requests that the candidate was asked too, seconds.",
            LABELS[CANDIDATE_SECONDS],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.judgement = Gauge(
            CANDIDATE_JUDGEMENT, "State of the judgement.", LABELS[CANDIDATE_JUDGEMENT], registry=self.registry
        )
        self.in_flight = Gauge(IN_FLIGHT, "HTTP requests being answered.", registry=self.registry)
        self.version = Gauge(MODEL_VERSION, "Version in a role.", LABELS[MODEL_VERSION], registry=self.registry)
        self.cutoff = Gauge(
            MODEL_CUTOFF, "Cutoff of the served champion, epoch seconds.", LABELS[MODEL_CUTOFF], registry=self.registry
        )

    def count_degraded(self, model: str, cause: FallbackCause, n_series: int) -> None:
        """Count series that the fallback answered."""
        self.degraded.labels(model, cause.value).inc(n_series)

    def degraded_by_cause(self, model: str) -> dict[str, int]:
        """Series that the fallback answered since the start, by cause; a cause that never was is left out."""
        samples = (sample for metric in self.degraded.collect() for sample in metric.samples)
        return {
            sample.labels["cause"]: int(sample.value)
            for sample in samples
            if sample.labels.get("model") == model and not sample.name.endswith("_created")
        }

    def count_candidate(self, model: str, kind: str, outcome: str) -> None:
        """Count a request that the candidate answered, failed at, or was not asked because of too many others."""
        self.candidate.labels(model, kind, outcome).inc()

    def page(self) -> bytes:
        """The Prometheus page."""
        return generate_latest(self.registry)
