"""The gateway's Prometheus metrics; names and labels are the contract's."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from forecasting.answering.answered import INVALID_REASONS
from forecasting.answering.fallback import FallbackCause
from forecasting.contracts import metric_names
from forecasting.store.forecast_log import ForecastLog, ForecastLogReport
from serving.gateway.state_metrics import StateMetrics
from serving.prometheus_metrics import counter, gauge, histogram, process_metrics

_REASONS = {
    400: "schema",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "schema",
    413: "too_large",
    415: "schema",
    422: "schema",
    429: "overload",
    504: "deadline",
}
"""Why a request was refused, by its status."""


class GatewayMetrics:
    """Counters of one gateway process, in a registry of their own."""

    def __init__(self, model: str | None = None) -> None:
        """Start with nothing counted.

        Args:
            model: What is configured; its failures are 0 from the first page on, as `increase` sees no first count of a new set of labels.
        """
        self.registry = CollectorRegistry()
        self.requests = counter(metric_names.REQUESTS, self.registry)
        self.seconds = histogram(metric_names.REQUEST_DURATION, self.registry)
        self.series = histogram(metric_names.REQUEST_SERIES, self.registry)
        self.degraded = counter(metric_names.DEGRADED, self.registry)
        self.candidate = counter(metric_names.CANDIDATE_REQUESTS, self.registry)
        self.candidate_seconds = histogram(metric_names.CANDIDATE_DURATION, self.registry)
        self.error_ratio = gauge(metric_names.CANDIDATE_ERROR_RATIO, self.registry)
        self.judgement = gauge(metric_names.CANDIDATE_JUDGEMENT, self.registry)
        self.retrain_asked = counter(metric_names.RETRAIN_ASKED, self.registry)
        self.in_flight = gauge(metric_names.IN_FLIGHT, self.registry)
        self.observed = counter(metric_names.OBSERVED_VALUES, self.registry)
        self._rejected = counter(metric_names.REJECTED, self.registry)
        self._invalid = counter(metric_names.INVALID_PREDICTIONS, self.registry)
        self.log_forecasts = counter(metric_names.FORECAST_LOG, self.registry)
        self.log_waiting = gauge(metric_names.FORECAST_LOG_WAITING, self.registry)
        self.log_alive = gauge(metric_names.FORECAST_LOG_ALIVE, self.registry)
        self._logged = ForecastLogReport(0, 0, 0, 0)
        self.state = StateMetrics(self.registry, model)
        for reason in INVALID_REASONS if model is not None else ():
            self._invalid.labels(model, reason)
        process_metrics(self.registry)

    def count_request(self, model: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered, and why where it was refused."""
        self.requests.labels(model, route, str(status)).inc()
        self.seconds.labels(model, route).observe(seconds)
        if status in _REASONS:
            self._rejected.labels(model, _REASONS[status]).inc()

    def count_invalid(self, model: str, reason: str, n_series: int) -> None:
        """Count series whose answer of the model was not passed on."""
        self._invalid.labels(model, reason).inc(n_series)

    def count_observed(self, model: str, counts: Mapping[str, Any]) -> None:
        """Count values that were posted, by what became of them."""
        for status in ("new", "restated", "late", "unchanged"):
            self.observed.labels(model, status).inc(counts[status])

    def show_log(self, model: str, log: ForecastLog) -> None:
        """Tell of a forecast log as it is now."""
        report, before = log.report(), self._logged
        self._logged = report
        for outcome in ("written", "spilled", "refused"):
            self.log_forecasts.labels(model, outcome).inc(getattr(report, outcome) - getattr(before, outcome))
        self.log_waiting.labels(model).set(report.waiting)
        self.log_alive.labels(model).set(log.is_alive)

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

    def count_retrain_asked(self, model: str, source: str, outcome: str) -> None:
        """Count a reason to train again, by who gave it and what came of it."""
        self.retrain_asked.labels(model, source, outcome).inc()

    def page(self) -> bytes:
        """The Prometheus page."""
        return generate_latest(self.registry)
