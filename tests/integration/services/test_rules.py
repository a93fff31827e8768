"""The rules as Prometheus itself reads and judges them."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from infra.monitoring.alert_spec import AlertSpec
from infra.monitoring.dashboards.build import dashboard_specs
from infra.monitoring.rule_files import alert_groups, alerts_document, as_yaml
from infra.monitoring.rule_tests import CASES, alerts_test_document, rule_of
from infra.monitoring.spec import RulesSpec

pytestmark = pytest.mark.services

PROMETHEUS = Path(__file__).parents[3] / "infra" / "prometheus"
ALERTMANAGER = PROMETHEUS.parent / "alertmanager" / "alertmanager.yml"
SPEC = RulesSpec()
ALERTS = [alert for alerts in alert_groups(SPEC).values() for alert in alerts]


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)


def test_promtool_finds_nothing_wrong_with_the_rules():
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", *map(str, (PROMETHEUS / "rules").glob("*.yml")))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["recording", "serving", "quality", "data", "pipeline"])
def test_every_case_of_the_rules_holds(name):
    done = promtool("test", "rules", str(PROMETHEUS / "tests" / f"{name}_test.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def mutants(expr: str) -> list[str]:
    """The expression with one comparator turned round, one limit a tenth off, or one condition left out."""
    found = []
    for match in re.finditer(r" (>=|<=|==|>|<) (-?[\d.]+)(?=$|[\s)])", expr):
        head, tail, comparator, limit = expr[: match.start()], expr[match.end() :], match[1], float(match[2])
        turned = {">": "<", "<": ">", ">=": "<", "<=": ">", "==": "!="}[comparator]
        found.append(f"{head} {turned} {match[2]}{tail}")
        # What is only kept from being divided by 0 has no limit.
        if tail.startswith(")") and limit == 0:
            continue
        others = (limit * 1.1, limit * 0.9) if limit else (1.5, -0.5)
        found += [f"{head} {comparator} {other:.10g}{tail}" for other in others]
    lines = expr.split("\n")
    for number, line in enumerate(lines):
        if number and re.match(r"\s*(and|or) ", line):
            found.append("\n".join(lines[:number] + lines[number + 1 :]))
    return found


def test_a_mutant_is_made_of_each_part_of_a_rule():
    assert mutants("x > 2\nand y == 0") == ["x < 2\nand y == 0", "x > 2.2\nand y == 0", "x > 1.8\nand y == 0",
                                            "x > 2\nand y != 0", "x > 2\nand y == 1.5", "x > 2\nand y == -0.5", "x > 2"]  # fmt: skip


def cases_fail(alert: AlertSpec, mutant: AlertSpec, folder: Path) -> bool:
    """Whether a case of an alert fails when another rule stands in its place."""
    cases = [case for case in CASES if case.alert == alert.name and case.fixed.items() <= alert.labels.items()]
    assert all(rule_of(case, [alert]) is alert for case in cases)
    (folder / "rules.yml").write_text(as_yaml(alerts_document("mutant", [mutant], SPEC)))
    (folder / "test.yml").write_text(as_yaml(alerts_test_document(cases, [alert], SPEC, rules="rules.yml")))
    return promtool("test", "rules", str(folder / "test.yml")).returncode != 0


@pytest.mark.parametrize("alert", ALERTS[:-1], ids=lambda alert: f"{alert.name}{alert.labels.get('long', '')}")
def test_no_part_of_an_alert_can_change_without_a_case_that_fails(alert, tmp_path):
    assert not cases_fail(alert, alert, tmp_path)
    changed = [replace(alert, expr=expr) for expr in mutants(alert.expr)]
    if alert.for_s:
        changed += [replace(alert, for_s=alert.for_s * 2), replace(alert, for_s=alert.for_s / 2)]
    assert changed
    survivors = [mutant for mutant in changed if not cases_fail(alert, mutant, tmp_path)]
    assert [(mutant.expr, mutant.for_s) for mutant in survivors] == []


def test_prometheus_and_alertmanager_take_their_configurations():
    done = promtool("check", "config", "--syntax-only", str(PROMETHEUS / "prometheus.yml"))
    assert done.returncode == 0, done.stderr
    done = subprocess.run(["amtool", "check-config", str(ALERTMANAGER)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (("alertname=ForecastServingDown", "severity=critical"), "pages"),
        (("alertname=ForecastBiased", "severity=warning"), "tickets"),
        (("alertname=ForecastAccuracyDegraded", "severity=warning", "retrain=accuracy"), "retrain,tickets"),
        (("alertname=ForecastWorseThanNaive", "severity=critical", "retrain=accuracy"), "retrain,pages"),
        (("alertname=Watchdog", "severity=none"), "watchdog"),
    ],
)
def test_an_alert_goes_to_whom_it_concerns(labels, receivers):
    command = ["amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == receivers


def test_every_query_of_a_dashboard_is_promql(tmp_path):
    queries = [
        target.expr
        for board in dashboard_specs(SPEC)
        for row in board.rows
        for panel in row.panels
        for target in panel.targets
    ]
    rules = [
        {"record": f"panel:query:{place}", "expr": expr.replace("$__rate_interval", "1m")}
        for place, expr in enumerate(queries)
    ]
    (tmp_path / "panels.yml").write_text(as_yaml({"groups": [{"name": "panels", "rules": rules}]}))
    done = promtool("check", "rules", str(tmp_path / "panels.yml"))
    assert done.returncode == 0, done.stderr
    assert f"{len(queries)} rules found" in done.stdout
