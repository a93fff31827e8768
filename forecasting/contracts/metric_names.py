"""Names of the Prometheus metrics that Almanac itself exposes. All start with `forecast_`.

No series id, request id or client text may ever be a label.
"""

REQUESTS = "forecast_requests"
"""Counter (exposed as forecast_requests_total); labels: model, route, code."""
REQUEST_SECONDS = "forecast_request_seconds"
"""Histogram of latency in seconds; labels: model, route."""
SERIES_FORECAST = "forecast_series"
"""Counter of series forecast (exposed as forecast_series_total); labels: model."""
DEGRADED = "forecast_degraded"
"""Counter of series answered by the fallback (exposed as forecast_degraded_total); labels: model, cause."""
CANDIDATE_REQUESTS = "forecast_candidate_requests"
"""Counter (exposed as forecast_candidate_requests_total); labels: model, kind (split, shadow), outcome (answered, failed, dropped)."""
CANDIDATE_SECONDS = "forecast_candidate_model_seconds"
"""Histogram of the model's time for requests that the candidate was asked too, in seconds; labels: model, role."""
CANDIDATE_JUDGEMENT = "forecast_candidate_judgement"
"""Gauge: 1 for the state of the judgement (none, gathering, undecided, waiting, promoted, rolled_back); labels: model, state."""
IN_FLIGHT = "forecast_requests_in_flight"
"""Gauge."""
MODEL_VERSION = "forecast_model_version"
"""Gauge: version served; labels: model, role."""
MODEL_CUTOFF = "forecast_model_cutoff_timestamp_seconds"
"""Gauge: cutoff of the served champion, epoch seconds; labels: model."""
RUN_STATUS = "forecast_run_status"
"""Gauge: 1 for the status of the last run; labels: model, status."""
RUN_SECONDS = "forecast_run_step_seconds"
"""Gauge: wall seconds of a step in the last run; labels: model, step."""
GATE_MARGIN = "forecast_gate_margin_ratio"
"""Gauge: (limit - value) / limit of a gate rule; labels: model, gate, rule, role."""
BACKTEST_ERROR = "forecast_backtest_error"
"""Gauge: error on the backtest in the target's unit; labels: model, role, metric."""

LABELS: dict[str, tuple[str, ...]] = {
    REQUESTS: ("model", "route", "code"),
    REQUEST_SECONDS: ("model", "route"),
    SERIES_FORECAST: ("model",),
    DEGRADED: ("model", "cause"),
    CANDIDATE_REQUESTS: ("model", "kind", "outcome"),
    CANDIDATE_SECONDS: ("model", "role"),
    CANDIDATE_JUDGEMENT: ("model", "state"),
    IN_FLIGHT: (),
    MODEL_VERSION: ("model", "role"),
    MODEL_CUTOFF: ("model",),
    RUN_STATUS: ("model", "status"),
    RUN_SECONDS: ("model", "step"),
    GATE_MARGIN: ("model", "gate", "rule", "role"),
    BACKTEST_ERROR: ("model", "role", "metric"),
}
