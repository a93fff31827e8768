"""What Prometheus scrapes, and where it sends alerts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forecasting.contracts.ports import GATEWAY_PORT, METRICS_PATH, MODEL_SERVER_METRICS_PATH, MONITOR_PORT, REST_PORT
from infra.monitoring.serving_alerts import GATEWAY_JOB, MONITOR_JOB, SERVER_JOB, WORKER_JOB
from infra.monitoring.spec import duration
from infra.monitoring.tensorflow_names import PATTERN, REPLACEMENT

PROMETHEUS_PORT, ALERTMANAGER_PORT, PUSHGATEWAY_PORT, GRAFANA_PORT = 9090, 9093, 9091, 3000
WORKER_PORT = 9103
PIPELINE_JOB = "pipeline"
TOKEN_FILE = "/etc/prometheus/gateway-token"  # nosec B105 # a path
"""A token of scope `read`: the gateway's page needs one wherever the gateway is not on loopback only."""


@dataclass(frozen=True)
class ScrapeSpec:
    """Who is asked, how often.

    targets: host:port by job; a job without one is left out. token_file: with the token of the gateway; none: it asks for none.
    alertmanager: host:port; none: nobody hears of an alert. rules: patterns of files. interval_s: between scrapes and evaluations. server_path: page of the
    model server; the embedded one has a second one with more.
    """

    targets: Mapping[str, str]
    rules: tuple[str, ...]
    alertmanager: str | None = None
    token_file: str | None = None
    interval_s: float = 15.0
    server_path: str = MODEL_SERVER_METRICS_PATH


def compose_scrapes() -> ScrapeSpec:
    """The services of infra/compose, by their names there."""
    ports = {
        GATEWAY_JOB: GATEWAY_PORT,
        SERVER_JOB: REST_PORT,
        MONITOR_JOB: MONITOR_PORT,
        WORKER_JOB: WORKER_PORT,
        PIPELINE_JOB: PUSHGATEWAY_PORT,
    }
    hosts = {PIPELINE_JOB: "pushgateway"}
    targets = {job: f"{hosts.get(job, job)}:{port}" for job, port in ports.items()}
    return ScrapeSpec(targets, ("/etc/prometheus/rules/*.yml",), f"alertmanager:{ALERTMANAGER_PORT}", TOKEN_FILE)


def prometheus_document(spec: ScrapeSpec) -> dict[str, Any]:
    """prometheus.yml."""
    interval = duration(spec.interval_s)
    alerting = {"alertmanagers": [{"static_configs": [{"targets": [spec.alertmanager]}]}]} if spec.alertmanager else {}
    return {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": duration(min(spec.interval_s, 10)),
            "evaluation_interval": interval,
        },
        "rule_files": list(spec.rules),
        "alerting": alerting,
        "scrape_configs": [_job(job, address, spec) for job, address in spec.targets.items()],
    }


def _job(job: str, address: str, spec: ScrapeSpec) -> dict[str, Any]:
    found: dict[str, Any] = {
        "job_name": job,
        "metrics_path": spec.server_path if job == SERVER_JOB else METRICS_PATH,
        "static_configs": [{"targets": [address]}],
    }
    if job == GATEWAY_JOB and spec.token_file is not None:
        found["authorization"] = {"credentials_file": spec.token_file}
    if job == PIPELINE_JOB:
        # What was pushed says itself which model it is of.
        found["honor_labels"] = True
    if job == SERVER_JOB:
        found["metric_relabel_configs"] = _relabelling()
    return found


def _relabelling() -> list[dict[str, Any]]:
    """TensorFlow Serving's names without colons: first the one in front, then one further in."""
    name = {"source_labels": ["__name__"], "target_label": "__name__"}
    return [
        {**name, "regex": PATTERN, "replacement": REPLACEMENT},
        {**name, "regex": "(tensorflow_[^:]+):(.*)", "replacement": "${1}_${2}"},
    ]
