"""Every file that is made from the code of this package."""

from pathlib import PurePosixPath
from typing import Any

from infra.monitoring.alertmanager_file import alertmanager_document, compose_receivers
from infra.monitoring.alerts_page import alerts_page
from infra.monitoring.dashboards.build import dashboard_json, dashboard_specs
from infra.monitoring.kubernetes_files import prometheus_rules, retraining_route, service_monitors
from infra.monitoring.prometheus_file import compose_scrapes, prometheus_document
from infra.monitoring.rule_files import HEADER, as_yaml, rule_files
from infra.monitoring.rule_tests import test_files
from infra.monitoring.spec import RulesSpec

PROMETHEUS, GRAFANA = PurePosixPath("infra/prometheus"), PurePosixPath("infra/grafana")
KUBERNETES = PurePosixPath("infra/kustomize/components/monitoring")


def written_files() -> dict[PurePosixPath, str]:
    """Text by the path in the repository."""
    spec = RulesSpec()
    rules = {PROMETHEUS / "rules" / name: as_yaml(found) for name, found in rule_files(spec).items()}
    tests = {PROMETHEUS / "tests" / name: as_yaml(found) for name, found in test_files(spec).items()}
    return {
        **rules,
        **tests,
        **{GRAFANA / "dashboards" / f"{one.uid}.json": dashboard_json(one) for one in dashboard_specs(spec)},
        PROMETHEUS / "prometheus.yml": as_yaml(prometheus_document(compose_scrapes())),
        PurePosixPath("infra/alertmanager/alertmanager.yml"): as_yaml(alertmanager_document(compose_receivers())),
        KUBERNETES / "service-monitors.yaml": _as_documents(service_monitors()),
        KUBERNETES / "rules.yaml": _as_documents(prometheus_rules(spec)),
        KUBERNETES / "retraining.yaml": as_yaml(retraining_route()),
        PurePosixPath("docs/alerts.md"): alerts_page(spec),
    }


def _as_documents(resources: list[dict[str, Any]]) -> str:
    """Several resources in one file."""
    return HEADER + "---\n".join(as_yaml(one, header="") for one in resources)
