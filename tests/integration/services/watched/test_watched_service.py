"""A service lives for two minutes under Prometheus: undisturbed, slow, with other data, without data, without a model server."""

import json
import os
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from forecasting.contracts import metric_names as m
from forecasting.contracts.metric_spec import MetricSource
from infra.monitoring.dashboards.build import dashboard_specs
from infra.monitoring.recording import NAMES
from serving.model_server.metrics import OWN_REFUSED
from tests.integration.services.prometheus import wait_until
from tests.integration.services.watched.drawing import draw
from tests.integration.services.watched.queries import ask, lines, panels, shown_expression
from tests.integration.services.watched.stack import RULES, TIME, WatchedStack, watched_stack

pytestmark = pytest.mark.services

CALM_S, AFTER_S = 25.0, 6.0
EMPTY_HERE = {
    m.MODEL_LOAD_FAILURES: "every version can be read",
    m.INVALID_PREDICTIONS: "every answer is a forecast",
    m.CANDIDATE_ERROR_RATIO: "the candidate is not judged by its error",
    OWN_REFUSED: "the model server refuses nothing",
}
"""Metrics of which nothing may be seen in this story, with the reason."""
SOURCES_NOT_HERE = {MetricSource.PIPELINE: "no run ends here", MetricSource.WORKER: "no worker runs here"}


def may_be_empty(expr: str) -> bool:
    """Whether nothing may be seen of a query."""
    elsewhere = [one for one in m.METRICS.values() if set(one.sources) <= set(SOURCES_NOT_HERE)]
    names = [one if isinstance(one, str) else one.exposed for one in (*EMPTY_HERE, *elsewhere)]
    return any(re.search(rf"\b{name}\b", expr) for name in names)


@dataclass(frozen=True)
class PhaseRecord:
    """A part of the story: when it was, epoch seconds, and the alerts that came until its end, by receiver."""

    begin: float
    end: float
    pages: frozenset[str]
    tickets: frozenset[str]


@dataclass(frozen=True)
class Story:
    """What happened. asked: reasons of the retrain requests that the gateway wrote."""

    stack: WatchedStack
    phases: dict[str, PhaseRecord]
    asked: list[str]

    def extreme(self, uid: str, title: str, phase: str, *, least: bool = False, **labels: str) -> float:
        """Greatest value that the lines of a panel with some labels showed in a part, or the least."""
        (panel,) = [one for board, one in panels() if (board, one.title) == (uid, title)]
        part = self.phases[phase]
        values = [
            value
            for target in panel.targets
            for line in lines(self.stack.prometheus.address, shown_expression(target.expr, TIME), part.begin, part.end)
            if labels.items() <= line.labels.items()
            for _, value in line.points
        ]
        assert values, f"{title} shows nothing in {phase}"
        return min(values) if least else max(values)


def phase(
    stack: WatchedStack, fault: Callable[[], None], *, pages: set[str] = frozenset(), tickets: set[str] = frozenset()
) -> PhaseRecord:
    """Do something, and wait until the alerts have come that it must cause."""
    begin, received = time.time(), stack.received
    fault()
    wait_until(
        lambda: pages <= received.names("pages") and tickets <= received.names("tickets"),
        lambda: (
            f"{pages} must be paged and {tickets} ticketed, found {received.posts[-20:]}; log in {stack.server.log.parent}"
        ),
    )
    return PhaseRecord(begin, time.time(), frozenset(received.names("pages")), frozenset(received.names("tickets")))


def calm(stack: WatchedStack) -> None:
    """Let time pass while clients work."""
    until = time.time() + CALM_S
    wait_until(lambda: time.time() > until, lambda: "")


def warmed_up(stack: WatchedStack) -> bool:
    """Whether everything is scraped, and the monitor has seen what clients sent."""
    found = ask(stack.prometheus.address, "query", query=f"{{__name__=~'up|{m.LAST_SCORED.exposed}'}}")["result"]
    values = {one["metric"].get("job"): float(one["value"][1]) for one in found if one["metric"]["__name__"] == "up"}
    scored = [float(one["value"][1]) for one in found if one["metric"]["__name__"] != "up"]
    return list(values.values()) == [1.0] * 3 and bool(scored) and time.time() - scored[0] < 8


def slow(stack: WatchedStack, delay_s: float) -> None:
    stack.proxy.delay_s = delay_s


@pytest.fixture(scope="module")
def story(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with watched_stack(models, tmp_path_factory.mktemp("watched")) as stack:
        clients, phases = stack.clients, {}
        wait_until(
            lambda: warmed_up(stack), lambda: f"the monitor must score what comes in; logs in {stack.server.log.parent}"
        )
        # Nothing that a start brings about may be taken for an alert of the calm; what lasts is told again.
        stack.received.posts.clear()
        phases["calm"] = phase(stack, lambda: calm(stack))
        phases["slow"] = phase(stack, lambda: slow(stack, 1.5), pages={"ForecastLatencyBudgetBurn"})
        slow(stack, 0)
        phases["drifted"] = phase(
            stack, lambda: setattr(clients, "is_drifted", True),
            tickets={"ForecastAccuracyDegraded", "ForecastFeatureDrift", "ForecastIntervalMiscalibrated"},
        )  # fmt: skip
        phases["stale"] = phase(stack, lambda: setattr(clients, "has_data", False), pages={"ForecastDataStale"})
        killed = {"ForecastServingDown", "ForecastAnsweredByFallback"}
        phases["killed"] = phase(stack, stack.server.process.kill, pages=killed)
        begun = time.time()
        wait_until(lambda: time.time() > begun + AFTER_S, lambda: "")
        phases["killed"] = replace(phases["killed"], end=time.time())
        with urllib.request.urlopen(f"http://{stack.gateway}/v1/retrain", timeout=10) as response:
            asked = [one["reason"] for one in json.load(response)["requests"]]
        yield Story(stack, phases, asked)


def test_an_undisturbed_service_raises_no_alert_but_the_heartbeat(story):
    part = story.phases["calm"]
    assert (set(part.pages), set(part.tickets) - {"ForecastRetrainingNotReporting"}) == (set(), set())
    assert story.stack.received.names("watchdog") == {"Watchdog"}


def test_an_undisturbed_service_is_flat(story):
    assert story.extreme("almanac-serving", "Error ratio", "calm") == 0
    assert story.extreme("almanac-overview", "Burn rate of the error budget", "calm") == 0
    assert story.extreme("almanac-overview", "Processes up", "calm", least=True) == 1
    assert story.extreme("almanac-quality", "Error, 1 d, and of the backtest", "calm") < 0.03
    assert story.extreme("almanac-data", "Age of the newest target", "calm", source="observations") < 12


@pytest.mark.parametrize(
    ("part", "pages", "tickets"),
    [
        ("slow", {"ForecastLatencyBudgetBurn"}, set()),
        ("drifted", set(), {"ForecastAccuracyDegraded", "ForecastFeatureDrift", "ForecastIntervalMiscalibrated"}),
        ("stale", {"ForecastDataStale"}, set()),
        ("killed", {"ForecastServingDown", "ForecastAnsweredByFallback"}, set()),
    ],
)
def test_a_fault_raises_its_alerts_and_they_reach_whom_they_concern(story, part, pages, tickets):
    assert pages <= story.phases[part].pages
    assert tickets <= story.phases[part].tickets


def test_errors_and_drift_ask_the_gateway_for_a_retrain(story):
    assert any("ForecastAccuracyDegraded" in reason or "ForecastFeatureDrift" in reason for reason in story.asked), (
        story.asked
    )


def test_a_slow_model_server_shows_in_the_latency_panels(story):
    assert story.extreme("almanac-serving", "Duration", "calm", least=True) < 0.5
    assert story.extreme("almanac-serving", "Duration", "slow") > 1
    assert story.extreme("almanac-overview", "Burn rate of the latency budget", "slow") > 14.4


def test_other_data_shows_in_the_panels_of_quality_and_drift(story):
    assert story.extreme("almanac-quality", "Error, 1 d, and of the backtest", "drifted") > 0.05
    covered = story.extreme("almanac-quality", "Coverage", "calm")
    assert story.extreme("almanac-quality", "Coverage", "drifted", least=True) < covered - 0.1
    assert story.extreme("almanac-data", "Stability index", "drifted") > 0.25


def test_missing_data_shows_in_the_panel_of_its_age(story):
    assert story.extreme("almanac-data", "Age of the newest target", "stale", source="observations") > 12


def test_a_killed_model_server_shows_as_down_and_in_the_share_of_the_fallback(story):
    assert story.extreme("almanac-overview", "Processes up", "killed", least=True) == 0
    assert story.extreme("almanac-overview", "Share of the fallback", "killed") > 0.05


@pytest.mark.parametrize(("uid", "panel"), panels(), ids=lambda one: getattr(one, "title", one))
def test_every_query_of_a_panel_returns_data(story, uid, panel):
    address, end = story.stack.prometheus.address, story.phases["killed"].end
    found = {
        target.expr: lines(address, shown_expression(target.expr, TIME), story.stack.begin, end)
        for target in panel.targets
    }
    assert [expr for expr, drawn in found.items() if not drawn and not may_be_empty(expr)] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_recording_rule_records(story, name):
    assert lines(story.stack.prometheus.address, name, story.stack.begin, story.phases["killed"].end)


def test_prometheus_evaluates_every_rule_without_an_error(story):
    found = [rule for group in ask(story.stack.prometheus.address, "rules")["groups"] for rule in group["rules"]]
    assert len(found) == 53
    assert [(rule["name"], rule.get("lastError")) for rule in found if rule["health"] != "ok"] == []


@pytest.mark.parametrize("spec", dashboard_specs(RULES), ids=lambda spec: spec.uid)
def test_a_dashboard_is_drawn_from_what_prometheus_has(story, spec, tmp_path):
    """With $ALMANAC_PICTURES the pictures of the documents are made."""
    target = Path(os.environ.get("ALMANAC_PICTURES", str(tmp_path))) / f"{spec.uid}.png"
    marks = [(part.begin, name) for name, part in story.phases.items()]
    times = {"begin": story.phases["calm"].begin, "end": story.phases["killed"].end}
    counted = draw(spec, story.stack.prometheus.address, target, tmp_path / "page", marks=marks, **times)
    assert target.read_bytes().startswith(b"\x89PNG")
    n_drawn = sum(int(counted[kind]) for kind in ("charts", "numbers"))
    assert n_drawn >= sum(len(row.panels) for row in spec.rows) - int(counted["empty"])
