"""Alerts and panels of a service under Prometheus, in a calm and under one fault after another."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.monitoring.dashboards.build import dashboard_specs
from infra.monitoring.recording import NAMES
from tests.integration.services.watched.drawing import draw
from tests.integration.services.watched.expected import MOVED_BY, NOT_MOVED, WAVERING, WITHOUT_DATA
from tests.integration.services.watched.faults import FAULTS
from tests.integration.services.watched.queries import ask, lines, panels, shown_expression
from tests.integration.services.watched.stack import RULES, TIME
from tests.integration.services.watched.story import Story, told_story

pytestmark = pytest.mark.services

PANELS = {(uid.removeprefix("almanac-"), panel.title): panel for uid, panel in panels()}
MOVED = [
    (board, title, part) for board, parts in MOVED_BY.items() for part, titles in parts.items() for title in titles
]


def _named(one: object) -> str:
    return " ".join(one) if isinstance(one, tuple) else str(one)


@pytest.fixture(scope="module")
def story(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with told_story(models, tmp_path_factory.mktemp("watched"), FAULTS) as found:
        yield found


def test_every_panel_is_moved_by_one_fault_or_has_a_reason_why_by_none():
    named = [(board, title) for board, title, _ in MOVED] + list(NOT_MOVED)
    assert sorted(named) == sorted(PANELS)
    assert len(PANELS) == len(panels())
    assert {part for _, _, part in MOVED} == set(FAULTS)
    assert set(PANELS) >= WAVERING | WITHOUT_DATA


def test_an_undisturbed_service_raises_no_alert_but_the_heartbeat(story):
    assert story.parts["calm"].alerts == set()
    assert story.stack.received.names("watchdog") == {"Watchdog"}


@pytest.mark.parametrize("key", [key for key in PANELS if key not in WAVERING], ids=_named)
def test_an_undisturbed_service_is_flat(story, key):
    assert story.is_flat(PANELS[key])


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_raises_its_alerts_and_no_other(story, name):
    fault, found = FAULTS[name], story.parts[name].alerts
    assert found - fault.may == fault.alerts - fault.may
    assert fault.alerts <= found


def test_alerts_reach_whom_they_concern(story):
    pages, tickets = (story.stack.received.names(who) for who in ("pages", "tickets"))
    assert {
        "ForecastLatencyBudgetBurn",
        "ForecastDataStale",
        "ForecastServingDown",
        "ForecastAnsweredByFallback",
    } <= pages
    assert {"ForecastAccuracyDegraded", "ForecastFeatureDrift", "ForecastWorkerDown", "ForecastMonitorDown"} <= tickets
    inhibited = {name for fault in FAULTS.values() for name in fault.inhibited}
    assert inhibited & (pages | tickets) == set()


def test_errors_and_drift_ask_the_gateway_for_a_retrain(story):
    assert any("ForecastAccuracyDegraded" in reason or "ForecastFeatureDrift" in reason for reason in story.asked), (
        story.asked
    )


@pytest.mark.parametrize(("board", "title", "part"), MOVED)
def test_a_fault_moves_its_panels(story, board, title, part):
    assert story.is_moved(PANELS[board, title], part)


@pytest.mark.parametrize("key", PANELS, ids=_named)
def test_every_query_of_a_panel_returns_data(story, key):
    address = story.stack.prometheus.address
    empty = [
        target.expr
        for target in PANELS[key].targets
        if not lines(address, shown_expression(target.expr, TIME), story.stack.begin, story.end)
    ]
    assert bool(empty) == (key in WITHOUT_DATA), empty


@pytest.mark.parametrize("name", NAMES)
def test_every_recording_rule_records(story, name):
    assert lines(story.stack.prometheus.address, name, story.stack.begin, story.end)


def test_prometheus_evaluates_every_rule_without_an_error(story):
    found = [rule for group in ask(story.stack.prometheus.address, "rules")["groups"] for rule in group["rules"]]
    assert len(found) == 58
    assert [(rule["name"], rule.get("lastError")) for rule in found if rule["health"] != "ok"] == []


@pytest.mark.parametrize("spec", dashboard_specs(RULES), ids=lambda spec: spec.uid)
def test_a_dashboard_is_drawn_from_what_prometheus_has(story, spec, tmp_path):
    """With $ALMANAC_PICTURES the pictures of the documents are made."""
    target = Path(os.environ.get("ALMANAC_PICTURES", str(tmp_path))) / f"{spec.uid}.png"
    marks = [(part.begin, name) for name, part in story.parts.items()]
    times = {"begin": story.parts["calm"].begin, "end": story.end}
    counted = draw(spec, story.stack.prometheus.address, target, tmp_path / "page", marks=marks, **times)
    assert target.read_bytes().startswith(b"\x89PNG")
    n_drawn = sum(int(counted[kind]) for kind in ("charts", "numbers"))
    assert n_drawn >= sum(len(row.panels) for row in spec.rows) - int(counted["empty"])
