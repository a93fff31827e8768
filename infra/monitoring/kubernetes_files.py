"""Scrapes, rules and the retraining route as resources of the Prometheus operator.

They are made of the same documents as prometheus.yml, the rule files and alertmanager.yml, so that what promtool tested is
what a cluster loads.
"""

from typing import Any

from forecasting.retrain_alerts import RETRAIN_LABEL
from infra.monitoring.alertmanager_file import alertmanager_document, compose_receivers
from infra.monitoring.prometheus_file import PIPELINE_JOB, compose_scrapes, prometheus_document
from infra.monitoring.rule_files import rule_files
from infra.monitoring.spec import RulesSpec

TOKENS_SECRET = "almanac-tokens"  # nosec B105 # the name of a secret
"""Secret with tokens of the gateway."""
READ_TOKEN_KEY, ALERT_TOKEN_KEY = "read-token", "alert-token"
SCRAPED_PORT = "http"
"""Name of the port of every service that Prometheus asks."""
_NAME_LABEL = "app.kubernetes.io/name"
_COMPONENT_LABEL = "app.kubernetes.io/component"
_COMPONENTS = {PIPELINE_JOB: "pushgateway"}
"""Component that a job scrapes, where it has another name."""


def service_monitors() -> list[dict[str, Any]]:
    """One ServiceMonitor a scrape of prometheus.yml, with its path, relabelling and token."""
    return [_service_monitor(job) for job in prometheus_document(compose_scrapes())["scrape_configs"]]


def prometheus_rules(spec: RulesSpec) -> list[dict[str, Any]]:
    """One PrometheusRule a file of rules, with the same groups."""
    return [
        _resource("monitoring.coreos.com/v1", "PrometheusRule", f"almanac-{name.removesuffix('.yml')}", document)
        for name, document in rule_files(spec).items()
    ]


def retraining_route() -> dict[str, Any]:
    """AlertmanagerConfig with the route of alerts that ask to train again; who hears of the others is the cluster's matter."""
    document = alertmanager_document(compose_receivers())
    (route,) = [one for one in document["route"]["routes"] if one["receiver"] == "retrain"]
    (receiver,) = [one for one in document["receivers"] if one["name"] == "retrain"]
    (hook,) = receiver["webhook_configs"]
    spec = {
        "route": {
            "receiver": "retrain",
            "groupBy": document["route"]["group_by"],
            "groupWait": document["route"]["group_wait"],
            "groupInterval": document["route"]["group_interval"],
            "repeatInterval": route["repeat_interval"],
            "matchers": [{"name": RETRAIN_LABEL, "matchType": "=~", "value": ".+"}],
            "continue": True,
        },
        "receivers": [
            {
                "name": "retrain",
                "webhookConfigs": [
                    {
                        # Alertmanager runs in another namespace.
                        "url": hook["url"].replace("//gateway:", "//gateway.almanac.svc:"),
                        "sendResolved": hook["send_resolved"],
                        "httpConfig": {
                            "authorization": {"credentials": {"name": TOKENS_SECRET, "key": ALERT_TOKEN_KEY}}
                        },
                    }
                ],
            }
        ],
    }
    return _resource("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig", "almanac-retraining", spec)


def _service_monitor(job: dict[str, Any]) -> dict[str, Any]:
    name = job["job_name"]
    endpoint: dict[str, Any] = {
        "port": SCRAPED_PORT,
        "path": job["metrics_path"],
        "honorLabels": bool(job.get("honor_labels")),
        # Rules and dashboards ask for the jobs of prometheus.yml.
        "relabelings": [{"action": "replace", "targetLabel": "job", "replacement": name}],
    }
    if "authorization" in job:
        endpoint["authorization"] = {"credentials": {"name": TOKENS_SECRET, "key": READ_TOKEN_KEY}}
    if "metric_relabel_configs" in job:
        endpoint["metricRelabelings"] = [_relabelling(rule) for rule in job["metric_relabel_configs"]]
    labels = {_NAME_LABEL: "almanac", _COMPONENT_LABEL: _COMPONENTS.get(name, name)}
    spec = {"selector": {"matchLabels": labels}, "endpoints": [endpoint]}
    return _resource("monitoring.coreos.com/v1", "ServiceMonitor", labels[_COMPONENT_LABEL], spec)


def _relabelling(rule: dict[str, Any]) -> dict[str, Any]:
    return {
        "sourceLabels": rule["source_labels"],
        "targetLabel": rule["target_label"],
        "regex": rule["regex"],
        "replacement": rule["replacement"],
    }


def _resource(version: str, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    labels = {_NAME_LABEL: "almanac", "app.kubernetes.io/part-of": "almanac"}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": labels}, "spec": spec}
