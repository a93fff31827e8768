"""Alerts of the service: error budgets, processes, the model server."""

from forecasting.contracts import metric_names as m
from infra.monitoring import tensorflow_names as tf
from infra.monitoring.alert_spec import AlertSpec, Severity
from infra.monitoring.recording import BURN_WINDOWS_S, ERRORS, FORECAST_ROUTES, SLOW
from infra.monitoring.spec import HOUR_S, MINUTE_S, RulesSpec

GATEWAY_JOB, SERVER_JOB, MONITOR_JOB, WORKER_JOB = "gateway", "model-server", "monitor", "worker"
_BURNS = (
    (Severity.CRITICAL, "1h", "5m", 14.4, 2 * MINUTE_S),
    (Severity.CRITICAL, "6h", "30m", 6.0, 15 * MINUTE_S),
    (Severity.WARNING, "1d", "2h", 3.0, HOUR_S),
    (Severity.WARNING, "3d", "6h", 1.0, 3 * HOUR_S),
)
_CLIENTS_OWN = "OK|CANCELLED|INVALID_ARGUMENT|NOT_FOUND|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED"
"""Codes of requests that were wrong, given up or held off; the model server did what it should."""


def serving_alerts(spec: RulesSpec) -> tuple[AlertSpec, ...]:
    """Whether forecasts are answered, and by the model."""
    return (
        *_burns(spec, "ForecastErrorBudgetBurn", ERRORS, spec.availability_objective, "fail"),
        *_burns(
            spec, "ForecastLatencyBudgetBurn", SLOW, spec.latency_objective, f"take more than {spec.latency_s:g} s"
        ),
        _down(),
        _monitor_down(),
        _fallback(spec),
        _load_failing(spec),
        _invalid(spec),
        _server_errors(spec),
        _server_slow(spec),
        _version_skew(),
    )


def _burns(spec: RulesSpec, name: str, record: str, objective: float, what: str) -> list[AlertSpec]:
    rate = f'sum by (job, model) (rate({m.REQUESTS.exposed}{{route=~"{FORECAST_ROUTES}"}}'
    found = []
    for severity, long, short, factor, for_s in _BURNS:
        limit = f"{factor * (1 - objective):.6g}"
        traffic = f"{rate}[{spec.time.window(BURN_WINDOWS_S[long])}])) > {spec.min_rate:g}"
        expr = f"{record}{long} > {limit}\nand on (job, model) {record}{short} > {limit}\nand on (job, model) {traffic}"
        found.append(
            AlertSpec(
                name, severity, expr, for_s,
                f"Forecast requests of {{{{ $labels.model }}}} {what} too often",
                f"{{{{ $value | humanizePercentage }}}} of the requests {what}, over {long} and over {short}: {factor:g} times what "
                f"the objective of {objective:.6g} allows. At this rate the budget of 30 days is spent in {30 / factor:.3g} days.",
                {"long": long, "short": short},
            )
        )  # fmt: skip
    return found


def _down() -> AlertSpec:
    jobs = (GATEWAY_JOB, SERVER_JOB)
    away = "\nor ".join(f'absent(up{{job="{job}"}})' for job in jobs)
    return AlertSpec(
        "ForecastServingDown", Severity.CRITICAL, f'up{{job=~"{"|".join(jobs)}"}} == 0\nor {away}', 2 * MINUTE_S,
        "The {{ $labels.job }} does not answer",
        "Prometheus cannot read the metrics page of the {{ $labels.job }} (address: {{ $labels.instance }}).",
    )  # fmt: skip


def _monitor_down() -> AlertSpec:
    expr = f'max by (job) (up{{job="{MONITOR_JOB}"}}) == 0\nor absent(up{{job="{MONITOR_JOB}"}})'
    return AlertSpec(
        "ForecastMonitorDown", Severity.WARNING, expr, 15 * MINUTE_S,
        "No monitor scores the forecasts",
        "Prometheus cannot read a metrics page of {{ $labels.job }}; no alert on accuracy, drift or data can fire.",
    )  # fmt: skip


def _fallback(spec: RulesSpec) -> AlertSpec:
    window = spec.time.window(5 * MINUTE_S)
    causes = 'cause=~"model_server|model_answer"'
    degraded = f"sum by (job, model) (rate({m.DEGRADED.exposed}{{{causes}}}[{window}]))"
    every = f"sum by (job, model) (rate({m.REQUEST_SERIES.exposed}_sum[{window}]))"
    return AlertSpec(
        "ForecastAnsweredByFallback", Severity.CRITICAL,
        f"{degraded}\n/ ({every} > 0)\n> {spec.fallback_ratio:g}", 5 * MINUTE_S,
        "The seasonal naive answers for the model {{ $labels.model }}",
        "{{ $value | humanizePercentage }} of the series are answered by the fallback, because the model server is away or "
        "its answers cannot be used.",
    )  # fmt: skip


def _load_failing(spec: RulesSpec) -> AlertSpec:
    window = spec.time.window(15 * MINUTE_S)
    gateway = f"sum by (job, model) (increase({m.MODEL_LOAD_FAILURES.exposed}[{window}])) > 0"
    server = f'sum by (job, model_path) (increase({tf.LOAD_ATTEMPTS}{{status!="success"}}[{window}])) > 0'
    return AlertSpec(
        "ForecastModelLoadFailing", Severity.CRITICAL, f"{gateway}\nor {server}", 0,
        "A version cannot be loaded by the {{ $labels.job }}",
        "{{ $value | humanize }} attempts to load {{ $labels.model }}{{ $labels.model_path }} failed; the version before it is still served.",
    )  # fmt: skip


def _invalid(spec: RulesSpec) -> AlertSpec:
    window = spec.time.window(15 * MINUTE_S)
    return AlertSpec(
        "ForecastInvalidPredictions", Severity.CRITICAL,
        f"sum by (job, model, reason) (increase({m.INVALID_PREDICTIONS.exposed}[{window}])) > 0", 0,
        "The model {{ $labels.model }} answers what is no forecast",
        "{{ $value | humanize }} series got an answer that was not passed on ({{ $labels.reason }}); the fallback answered.",
    )  # fmt: skip


def _server_errors(spec: RulesSpec) -> AlertSpec:
    window = spec.time.window(5 * MINUTE_S)
    every = f"sum by (job, model_name) (rate({tf.REQUEST_COUNT}[{window}]))"
    failed = f'sum by (job, model_name) (rate({tf.REQUEST_COUNT}{{status!~"{_CLIENTS_OWN}"}}[{window}]))'
    return AlertSpec(
        "TensorFlowServingErrors", Severity.CRITICAL,
        f"{failed}\n/ ({every} > 0)\n> {spec.server_error_ratio:g}", 5 * MINUTE_S,
        "The model server fails at {{ $labels.model_name }}",
        "{{ $value | humanizePercentage }} of the requests for {{ $labels.model_name }} end in an error of the server.",
    )  # fmt: skip


def _server_slow(spec: RulesSpec) -> AlertSpec:
    window = spec.time.window(5 * MINUTE_S)
    buckets = f"sum by (job, model_name, le) (rate({tf.REQUEST_LATENCY}_bucket[{window}]))"
    return AlertSpec(
        "TensorFlowServingSlow", Severity.WARNING,
        f"histogram_quantile(0.99, {buckets}) / 1e6 > {spec.server_latency_s:g}", 10 * MINUTE_S,
        "The model server takes long for {{ $labels.model_name }}",
        "The 99th percentile of its answers is {{ $value | humanizeDuration }}.",
    )  # fmt: skip


def _version_skew() -> AlertSpec:
    version = f'{m.MODEL_VERSION.exposed}{{role="champion"}}'
    return AlertSpec(
        "ForecastModelVersionSkew", Severity.WARNING,
        f"max by (job, model) ({version})\n- min by (job, model) ({version})\n> 0", 30 * MINUTE_S,
        "Gateways of {{ $labels.model }} serve different champions",
        "The highest and the lowest version that a gateway serves are {{ $value | humanize }} apart.",
    )  # fmt: skip
