import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from forecasting.contracts.metric_names import METRICS, MetricKind
from infra.monitoring.dashboards.build import dashboard_json, dashboard_specs
from infra.monitoring.dashboards.panel_spec import PanelSpec
from infra.monitoring.recording import recording_rules
from infra.monitoring.rule_files import alert_groups
from infra.monitoring.spec import RulesSpec
from tests.unit.infra.monitoring.expressions import asked_labels, known_metrics, named_metrics

ROOT = Path(__file__).parents[4]
SCHEMA = ROOT.parent / "shared/schemas/grafana-dashboard.jsonschema.json"
SPECS = dashboard_specs(RulesSpec())
BOARDS = {spec.uid: json.loads(dashboard_json(spec)) for spec in SPECS}
PANELS = [(spec.uid, panel) for spec in SPECS for row in spec.rows for panel in row.panels]
EXPRESSIONS = [target.expr for _, panel in PANELS for target in panel.targets]


def name_of(found: object) -> str:
    return found.title if isinstance(found, PanelSpec) else str(found)


def test_there_are_five_dashboards_with_names_of_their_own():
    assert list(BOARDS) == [
        "almanac-overview",
        "almanac-serving",
        "almanac-quality",
        "almanac-data",
        "almanac-pipeline",
    ]
    assert len({board["title"] for board in BOARDS.values()}) == 5


@pytest.mark.parametrize("uid", BOARDS)
def test_a_dashboard_is_valid_against_the_schema_of_grafana(uid):
    if not SCHEMA.is_file():
        pytest.skip("needs ../shared/schemas")
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    errors = jsonschema.Draft7Validator(schema).iter_errors(BOARDS[uid])
    assert [(list(error.path), error.message[:200]) for error in errors] == []


@pytest.mark.parametrize("uid", BOARDS)
def test_a_dashboard_cannot_be_edited_and_asks_for_source_and_model(uid):
    board = BOARDS[uid]
    variables = {one["name"]: one["type"] for one in board["templating"]["list"]}
    assert (board["editable"], variables) == (False, {"datasource": "datasource", "model": "query"})
    assert board["tags"] == ["almanac"]
    assert len(board["annotations"]["list"]) == 2


@pytest.mark.parametrize(("uid", "panel"), PANELS, ids=name_of)
def test_a_panel_has_a_title_a_description_a_unit_and_queries_of_the_chosen_source(uid, panel):
    (drawn,) = [one for one in BOARDS[uid]["panels"] if one.get("title") == panel.title and one["type"] != "row"]
    assert drawn["description"].endswith(".")
    assert drawn["fieldConfig"]["defaults"]["unit"]
    assert drawn["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert [target["expr"] for target in drawn["targets"]] == [target.expr for target in panel.targets]
    assert {target["datasource"]["uid"] for target in drawn["targets"]} == {"${datasource}"}
    assert len({target["refId"] for target in drawn["targets"]}) == len(drawn["targets"])


@pytest.mark.parametrize("uid", BOARDS)
def test_panels_lie_side_by_side_within_24_columns_and_never_on_each_other(uid):
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[uid]["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_panels_read_only_metrics_that_exist_with_labels_that_they_have():
    labels = {spec.exposed: set(spec.labels) for spec in METRICS.values()}
    for expr in EXPRESSIONS:
        assert named_metrics(expr) <= known_metrics(), expr
        for name, asked in asked_labels(expr):
            assert asked <= labels.get(name, asked), expr


def test_counters_are_read_by_their_growth_over_the_interval_of_the_picture():
    counters = {spec.exposed for spec in METRICS.values() if spec.kind is MetricKind.COUNTER}
    for expr in EXPRESSIONS:
        for name in named_metrics(expr) & counters:
            found = re.findall(rf"(?:rate|increase)\({name}(?:\{{[^}}]*\}})?\[(\$__rate_interval|1h|1d|30d)\]", expr)
            assert len(found) == len(re.findall(rf"\b{name}\b", expr)), expr


def test_every_metric_of_the_contract_is_on_a_dashboard_or_in_a_rule():
    rules = [rule.expr for rules in recording_rules(RulesSpec()).values() for rule in rules]
    alerts = [alert.expr for alerts in alert_groups(RulesSpec()).values() for alert in alerts]
    read = {name for expr in (*EXPRESSIONS, *rules, *alerts) for name in named_metrics(expr)}
    shown = {
        spec.exposed for spec in METRICS.values() if {f"{spec.exposed}{end}" for end in ("", "_bucket", "_sum")} & read
    }
    assert {spec.exposed for spec in METRICS.values()} - shown == set()


def test_grafana_is_told_where_prometheus_and_the_dashboards_are():
    folder = ROOT / "infra/grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yml").read_text(encoding="utf-8"))["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = yaml.safe_load((folder / "dashboards/almanac.yml").read_text(encoding="utf-8"))["providers"]
    assert (provider["type"], provider["options"]) == ("file", {"path": "/var/lib/grafana/dashboards"})
