"""The cases as files for `promtool test rules`."""

import re
from collections.abc import Sequence
from typing import Any

from infra.monitoring.alert_spec import AlertSpec
from infra.monitoring.quality_cases import quality_cases
from infra.monitoring.recording_cases import RECORDING_CASES, RecordingCase
from infra.monitoring.rule_cases import AlertCase, ExpectedSpec
from infra.monitoring.rule_files import alert_groups
from infra.monitoring.serving_cases import serving_cases
from infra.monitoring.spec import MINUTE_S, RulesSpec, duration

CASES: tuple[AlertCase, ...] = (*serving_cases(), *quality_cases())
_LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
_VALUE = re.compile(r"\{\{ \$value[^}]*\}\}")


def test_files(spec: RulesSpec) -> dict[str, dict[str, Any]]:
    """A file of promtool for each file of alerts, with every case."""
    found = {"recording_test.yml": _recording_document()}
    for group, alerts in alert_groups(spec).items():
        names = {alert.name for alert in alerts}
        cases = [case for case in CASES if case.alert in names]
        found[f"{group}_test.yml"] = alerts_test_document(cases, alerts, spec, rules=f"../rules/{group}.yml")
    return found


def alerts_test_document(
    cases: Sequence[AlertCase], alerts: Sequence[AlertSpec], spec: RulesSpec, *, rules: str
) -> dict[str, Any]:
    """Cases of alerts that are in a file of rules."""
    tests = [_test(case, rule_of(case, alerts), spec) for case in cases]
    return {"rule_files": [rules], "evaluation_interval": "1m", "tests": tests}


def _recording_document() -> dict[str, Any]:
    # Evaluated twice a day: the windows need many samples, the rules do not.
    tests = [_recording_test(case) for case in RECORDING_CASES]
    return {"rule_files": ["../rules/recording.yml"], "evaluation_interval": "12h", "tests": tests}


def _recording_test(case: RecordingCase) -> dict[str, Any]:
    return {
        "name": case.name,
        "interval": case.interval,
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "promql_expr_test": [
            {
                "expr": f"round({name}, 1e-6)",
                "eval_time": case.at,
                "exp_samples": [] if value is None else [{"labels": case.labels, "value": value}],
            }
            for name, value in case.values.items()
        ],
    }


def rule_of(case: AlertCase, alerts: Sequence[AlertSpec]) -> AlertSpec:
    """The rule that a case is about."""
    (found,) = [alert for alert in alerts if alert.name == case.alert and case.fixed.items() <= alert.labels.items()]
    return found


def _test(case: AlertCase, alert: AlertSpec, spec: RulesSpec) -> dict[str, Any]:
    at_s = case.begins_s + alert.for_s
    looks = [
        {
            "eval_time": duration(at_s),
            "alertname": case.alert,
            "exp_alerts": [_expected(one, alert, spec) for one in case.expected],
        }
    ]
    if case.expected and alert.for_s:
        # A minute earlier it is pending, so that the wait is what it says.
        looks.insert(0, {"eval_time": duration(at_s - MINUTE_S), "alertname": case.alert, "exp_alerts": []})
    n_minutes = f"{at_s / MINUTE_S + 1:.0f}"
    return {
        "name": f"{case.alert}: {case.name}",
        "interval": "1m",
        "input_series": [
            {"series": series, "values": values.replace("*", n_minutes)} for series, values in case.series.items()
        ],
        "alert_rule_test": looks,
    }


def _expected(expected: ExpectedSpec, alert: AlertSpec, spec: RulesSpec) -> dict[str, Any]:
    def rendered(text: str) -> str:
        return _VALUE.sub(expected.value, _LABEL.sub(lambda found: expected.labels.get(found[1], ""), text))

    return {
        "exp_labels": {**expected.labels, "severity": alert.severity.value, **alert.labels},
        "exp_annotations": {
            "summary": rendered(alert.summary),
            "description": rendered(alert.description),
            "runbook_url": f"{spec.runbook}#{alert.anchor()}",
        },
    }
