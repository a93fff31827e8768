"""Serving: rate, errors and duration of requests; use of what they need; the model server."""

from forecasting.contracts import metric_names as m
from infra.monitoring import tensorflow_names as tf
from infra.monitoring.dashboards.panel_spec import RATE, DashboardSpec, RowSpec, lines, number, of, quantile, rate
from infra.monitoring.serving_alerts import GATEWAY_JOB, MONITOR_JOB, SERVER_JOB
from serving.model_server.metrics import OWN_IN_FLIGHT, OWN_LATENCY, OWN_LOAD_FAILURES, OWN_REFUSED, OWN_REQUESTS

_PROCESSES = f'job=~"{GATEWAY_JOB}|{MONITOR_JOB}"'
_SERVER = f'job="{SERVER_JOB}"'


def serving() -> DashboardSpec:
    """The dashboard."""
    return DashboardSpec(
        "almanac-serving", "Almanac: serving", "Requests, the processes that answer them, and the model server behind.",
        (_requests(), _answers(), _processes(), _candidate(), _model_server(), _own_server()), "now-6h",
    )  # fmt: skip


def _requests() -> RowSpec:
    failed = rate(m.REQUESTS, "model", 'code=~"5.."')
    every = f"({rate(m.REQUESTS, 'model')} > 0)"
    percentiles = (
        (quantile(q, m.REQUEST_DURATION, "model", 'route=~"/v1/.*|/almanac.*"'), f"p{q * 100:g}")
        for q in (0.5, 0.95, 0.99)
    )
    return RowSpec("Requests", (
        lines("Requests by code", "Requests answered a second.", "reqps", (rate(m.REQUESTS, "code"), "{{code}}"), floor=0),
        lines("Requests by route", "Requests answered a second.", "reqps", (rate(m.REQUESTS, "route"), "{{route}}"), floor=0),
        lines("Error ratio", "Share of answers with 5xx.", "percentunit", (f"({failed} or 0 * {every}) / {every}", "{{model}}"), floor=0),
        lines("Duration", "Time to answer, of all codes.", "s", *percentiles, floor=0),
        lines("In flight", "Requests being answered.", "short", (f"sum by (instance) ({m.IN_FLIGHT.exposed})", "{{instance}}"), floor=0),
        lines("Refused by reason", "Requests refused a second.", "reqps", (rate(m.REJECTED, "reason"), "{{reason}}"), floor=0),
    ))  # fmt: skip


def _answers() -> RowSpec:
    size = (
        f"{rate(m.REQUEST_SERIES, 'model', suffix='_sum')} / ({rate(m.REQUEST_SERIES, 'model', suffix='_count')} > 0)"
    )
    return RowSpec("Answers", (
        lines("Series forecast", "Series a second.", "short", (rate(m.REQUEST_SERIES, "model", suffix="_sum"), "{{model}}"), floor=0),
        lines("Series a request", "Mean over requests that were answered.", "short", (size, "{{model}}"), floor=0),
        lines("Answered by the fallback", "Series a second, by cause.", "short", (rate(m.DEGRADED, "cause"), "{{cause}}"), floor=0),
        lines("Answers that were no forecast", "Series a second whose answer of the model was not passed on.", "short",
              (rate(m.INVALID_PREDICTIONS, "reason"), "{{reason}}"), floor=0),
        lines("Observations posted", "Values a second, by what became of them.", "short", (rate(m.OBSERVED_VALUES, "status"), "{{status}}"), floor=0),
        lines("Forecasts not written yet", "In memory of the gateway; it grows where the store takes none.", "short", (f"sum by (instance) ({of(m.FORECAST_LOG_WAITING)})", "{{instance}}"), floor=0),
        number("Gateways that write forecasts", "1 while somebody writes them to the store.", "short", (f"min by (instance) ({of(m.FORECAST_LOG_ALIVE)})", "{{instance}}"),
               limits=((0.0, "red"), (1.0, "green"))),
        lines("Forecast log", "Forecasts a second that were written, kept for later, or refused by the log.", "short",
              (rate(m.FORECAST_LOG, "outcome"), "{{outcome}}"), floor=0),
    ))  # fmt: skip


def _processes() -> RowSpec:
    return RowSpec("Processes", (
        lines("CPU", "Cores used.", "short", (f"rate(process_cpu_seconds_total{{{_PROCESSES}}}{RATE})", "{{job}} {{instance}}"), floor=0),
        lines("Memory", "Resident memory.", "bytes", (f"process_resident_memory_bytes{{{_PROCESSES}}}", "{{job}} {{instance}}"), floor=0),
        lines("Open files", "File descriptors.", "short", (f"process_open_fds{{{_PROCESSES}}}", "{{job}} {{instance}}"), floor=0),
        number("Builds", "Version of Almanac and revision of its code.", "short", (f"max by (job, version, revision) ({m.BUILD_INFO.exposed})", "{{job}} {{version}} {{revision}}")),
        number("Versions served", "Versions by role, the revision they were made with and the digest of their table.", "short",
               (f"max by (model, role, version, revision, table_digest) ({of(m.MODEL_INFO)})", "{{role}} {{version}} {{revision}} {{table_digest}}")),
        lines("Who answers", "1 for the state of the gateway.", "short", (f"max by (state) ({of(m.MODEL_STATE)})", "{{state}}"), floor=0),
        lines("Versions that could not be read", "Failures a second.", "short", (rate(m.MODEL_LOAD_FAILURES, "reason"), "{{reason}}"), floor=0),
        number("Reading a version", "Time that the gateway took to read the champion.", "s", (f"max by (version) ({of(m.MODEL_LOAD_DURATION)})", "{{version}}")),
        number("Read since", "Time since the gateway read the champion.", "s", (f"time() - max by (version) ({of(m.MODEL_LOADED)})", "{{version}}")),
    ))  # fmt: skip


def _candidate() -> RowSpec:
    return RowSpec("Candidate", (
        lines("Requests to the candidate", "Requests a second, by kind and outcome.", "reqps",
              (rate(m.CANDIDATE_REQUESTS, "kind, outcome"), "{{kind}} {{outcome}}"), floor=0),
        lines("Model's time", "99th percentile for requests that both were asked.", "s", (quantile(0.99, m.CANDIDATE_DURATION, "role"), "{{role}}"), floor=0),
        lines("Error of the candidate over the champion's", "On the same steps of the latest requests that both answered.", "short", (f"max by (model) ({of(m.CANDIDATE_ERROR_RATIO)})", "{{model}}"), floor=0),
        lines("Judgement", "1 for its state.", "short", (f"max by (state) ({of(m.CANDIDATE_JUDGEMENT)})", "{{state}}"), floor=0),
    ))  # fmt: skip


def _p(q: float, name: str, by: str) -> str:
    return f"histogram_quantile({q:g}, sum by ({by}, le) (rate({name}_bucket{{{_SERVER}}}{RATE}))) / 1e6"


def _r(name: str, by: str) -> str:
    return f"sum by ({by}) (rate({name}{{{_SERVER}}}{RATE}))"


def _model_server() -> RowSpec:
    batch = f"{_r(tf.PROCESSED_BATCH_SIZE + '_sum', 'job')} / ({_r(tf.PROCESSED_BATCH_SIZE + '_count', 'job')} > 0)"
    return RowSpec("Model server", (
        lines("Requests", "Requests a second, by model and status.", "reqps", (_r(tf.REQUEST_COUNT, "model_name, status"), "{{model_name}} {{status}}"), floor=0),
        lines("Request latency", "Of successful requests.", "s", (_p(0.5, tf.REQUEST_LATENCY, "model_name"), "{{model_name}} p50"),
              (_p(0.99, tf.REQUEST_LATENCY, "model_name"), "{{model_name}} p99"), floor=0),
        lines("Runtime latency", "Of the model alone.", "s", (_p(0.5, tf.RUNTIME_LATENCY, "model_name"), "{{model_name}} p50"),
              (_p(0.99, tf.RUNTIME_LATENCY, "model_name"), "{{model_name}} p99"), floor=0),
        lines("Time in the batch queue", "With batching only.", "s", (_p(0.99, tf.QUEUING_LATENCY, "thread_pool_name"), "{{thread_pool_name}} p99"), floor=0),
        lines("Batch size", "Mean; with batching only.", "short", (batch, "size"), floor=0),
        lines("Loads", "Attempts to load a version, by status.", "short", (f"sum by (status) ({tf.LOAD_ATTEMPTS}{{{_SERVER}}})", "{{status}}"), floor=0),
    ))  # fmt: skip


def _own_server() -> RowSpec:
    p99 = f"histogram_quantile(0.99, sum by (model, version, le) (rate({OWN_LATENCY}_bucket{{{_SERVER}}}{RATE})))"
    return RowSpec("Embedded server", (
        lines("Requests by version", "What TensorFlow Serving does not tell.", "reqps", (_r(OWN_REQUESTS, "model, version, status"), "{{model}} {{version}} {{status}}"), floor=0),
        lines("Latency by version", "99th percentile.", "s", (p99, "{{model}} {{version}}"), floor=0),
        lines("Refused", "Requests a second, by reason.", "reqps", (_r(OWN_REFUSED, "reason"), "{{reason}}"), floor=0),
        lines("Failed loads", "Attempts to load a version that failed, by reason.", "short", (f"sum by (model, reason) ({OWN_LOAD_FAILURES}{{{_SERVER}}})", "{{model}} {{reason}}"), floor=0),
        lines("In flight in the embedded server", "Requests being answered.", "short", (f"sum by (instance) ({OWN_IN_FLIGHT}{{{_SERVER}}})", "{{instance}}"), floor=0),
    ))  # fmt: skip
