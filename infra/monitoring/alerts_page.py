"""docs/alerts.md: every rule with its limit and how many cases hold it."""

import re

from forecasting.retrain_alerts import RETRAIN_LABEL
from infra.monitoring.alert_spec import AlertSpec
from infra.monitoring.recording import recording_rules
from infra.monitoring.rule_files import alert_groups
from infra.monitoring.rule_tests import CASES
from infra.monitoring.spec import RulesSpec, duration

_PREAMBLE = """\
# Alerts

Alerts and recording rules are made by `infra/monitoring` from one set of limits (`RulesSpec`), which tests also make with times a few
hundred times shorter. Each alert has at least one case that fires it and one that just does not (`infra/prometheus/tests`),
judged by promtool; in another test every comparator, limit, condition and wait is changed in turn, and some case must fail. What to do
about each is in the [runbook](runbook.md).

`critical` goes to whoever is on duty, `warning` to the team, and an alert with `retrain` also to the gateway, which writes a retrain
request. This page is made by `python -m infra.monitoring`; a test holds it equal to the code.

| alert | severity | fires when | for | retrain | cases that fire, that do not |
|---|---|---|---|---|---|
"""


def alerts_page(spec: RulesSpec) -> str:
    """The page in Markdown."""
    alerts = [alert for found in alert_groups(spec).values() for alert in found]
    rows = "".join(_row(alert) for alert in alerts)
    records = "".join(
        f"| `{rule.name}` | `{_line(rule.expr)}` |\n" for rules in recording_rules(spec).values() for rule in rules
    )
    return f"{_PREAMBLE}{rows}\n## Recording rules\n\n| name | ratio |\n|---|---|\n{records}"


def _row(alert: AlertSpec) -> str:
    cases = [case for case in CASES if case.alert == alert.name and case.fixed.items() <= alert.labels.items()]
    fires = sum(bool(case.expected) for case in cases)
    link = f"[{alert.name}](runbook.md#{alert.anchor()})"
    return (
        f"| {link} | {alert.severity.value} | `{_line(alert.expr)}` | {duration(alert.for_s)} | "
        f"{alert.labels.get(RETRAIN_LABEL, '')} | {fires}, {len(cases) - fires} |\n"
    )


def _line(expr: str) -> str:
    return re.sub(r"\s+", " ", expr).replace("|", "\\|")
