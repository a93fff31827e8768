"""The rules as the files that Prometheus reads."""

from collections.abc import Sequence
from typing import Any

import yaml

from infra.monitoring.alert_spec import AlertSpec
from infra.monitoring.quality_alerts import data_alerts, pipeline_alerts, quality_alerts
from infra.monitoring.recording import recording_rules
from infra.monitoring.serving_alerts import serving_alerts
from infra.monitoring.spec import RulesSpec

HEADER = "# Written by `python -m infra.monitoring`; a test holds it equal to the code.\n"


def alert_groups(spec: RulesSpec) -> dict[str, tuple[AlertSpec, ...]]:
    """Alerts by group; each has a file, so that promtool evaluates few rules a case."""
    return {
        "serving": serving_alerts(spec),
        "quality": quality_alerts(spec),
        "data": data_alerts(spec),
        "pipeline": pipeline_alerts(spec),
    }


def recording_document(spec: RulesSpec) -> dict[str, Any]:
    """The file of the recording rules."""
    groups = recording_rules(spec).items()
    return _groups({name: [{"record": rule.name, "expr": rule.expr} for rule in rules] for name, rules in groups})


def alerts_document(group: str, alerts: Sequence[AlertSpec], spec: RulesSpec) -> dict[str, Any]:
    """The file of one group of alerts."""
    return _groups({f"almanac-{group}": [_alert(alert, spec) for alert in alerts]})


def rule_files(spec: RulesSpec) -> dict[str, dict[str, Any]]:
    """Every file of rules by its name."""
    alerts = {f"{group}.yml": alerts_document(group, found, spec) for group, found in alert_groups(spec).items()}
    return {"recording.yml": recording_document(spec), **alerts}


def as_yaml(document: Any, *, header: str = HEADER) -> str:
    """A document in YAML, texts of several lines as blocks."""
    return header + yaml.dump(document, Dumper=_Blocks, sort_keys=False, width=10_000, allow_unicode=True)


def _groups(rules: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {"groups": [{"name": name, "rules": found} for name, found in rules.items()]}


def _alert(alert: AlertSpec, spec: RulesSpec) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": spec.time.wait(alert.for_s),
        "labels": {"severity": alert.severity.value, **alert.labels},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{spec.runbook}#{alert.anchor()}",
        },
    }


class _Blocks(yaml.SafeDumper):
    """Writes texts of several lines as they are read, and everything in its place."""

    def ignore_aliases(self, _: Any) -> bool:
        """Whether to write a part again instead of pointing to it."""
        return True


_Blocks.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)
