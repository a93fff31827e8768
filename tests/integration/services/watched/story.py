"""A service lives for minutes under Prometheus: undisturbed, then with one fault after another."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from forecasting.contracts import metric_names as m
from infra.monitoring.dashboards.panel_spec import PanelSpec
from tests.integration.services.prometheus import wait_until
from tests.integration.services.watched.differing import differs
from tests.integration.services.watched.queries import LineRecord, ask, lines, shown_expression
from tests.integration.services.watched.stack import TIME, WatchedStack, watched_stack

CALM_S, SETTLED_S, LEAST_S = 28.0, 6.0, 8.0
"""How long nothing is done; how much of the end of a part is compared; how long a part lasts at least."""
PATIENCE_S = 90.0
"""How long an alert may take on a machine that does much else."""
WINDOW_S = 22.0
"""Of drift, and a little."""
JOBS = 5
CLOCKS = (
    "Age of the champion", "Read since", "Data that the champion knows", "Last run", "Last success",
)  # fmt: skip
"""Panels that grow with the time: what is compared is what is above it."""


@dataclass(frozen=True)
class FaultSpec:
    """What is done to a service.

    alerts: exactly those that must begin to fire. inhibited: of them, those of which nobody is told, for another one says more. may: those that
    the speed of the machine decides about. until: a query that must be true before the part ends.
    """

    do: Callable[[WatchedStack], object]
    alerts: frozenset[str] = frozenset()
    inhibited: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    until: str = ""


@dataclass(frozen=True)
class PartRecord:
    """A part of the story: when it was, epoch seconds, and the alerts that began to fire in it."""

    begin: float
    end: float
    alerts: frozenset[str]


@dataclass(frozen=True)
class Story:
    """What happened. asked: reasons of the retrain requests that the gateway wrote."""

    stack: WatchedStack
    parts: dict[str, PartRecord]
    asked: list[str]

    @property
    def end(self) -> float:
        """Of all of it."""
        return max(part.end for part in self.parts.values())

    def drawn(self, panel: PanelSpec, begin: float, end: float) -> list[LineRecord]:
        """Lines of a panel between two times, by query and labels."""
        address, since = self.stack.prometheus.address, self.stack.begin if panel.title in CLOCKS else None
        return [
            LineRecord(
                {**line.labels, "query": str(number)},
                line.points if since is None else tuple((at, value - (at - since)) for at, value in line.points),
            )
            for number, target in enumerate(panel.targets)
            for line in lines(address, shown_expression(target.expr, TIME), begin, end)
        ]

    def is_flat(self, panel: PanelSpec) -> bool:
        """Whether the second half of the calm looks like the first."""
        calm = self.parts["calm"]
        middle = (calm.begin + calm.end) / 2
        return not differs(self.drawn(panel, middle, calm.end), self.drawn(panel, calm.begin, middle), end=calm.end)

    def is_moved(self, panel: PanelSpec, name: str) -> bool:
        """Whether a panel looks different in a part from what it was in the calm."""
        calm, part = self.parts["calm"], self.parts[name]
        before = self.drawn(panel, calm.begin, calm.end)
        return differs(self.drawn(panel, part.begin + 1, part.end), before, end=part.end)


def fired(stack: WatchedStack, begin: float, end: float) -> frozenset[str]:
    """Alerts that fired between two times, by Prometheus itself; the heartbeat is none."""
    found = lines(stack.prometheus.address, 'ALERTS{alertstate="firing",alertname!="Watchdog"}', begin, end)
    return frozenset(line.labels["alertname"] for line in found)


def warmed_up(stack: WatchedStack) -> bool:
    """Whether everything is scraped, and the monitor has seen what clients sent."""
    found = ask(stack.prometheus.address, "query", query=f"{{__name__=~'up|{m.LAST_SCORED.exposed}'}}")["result"]
    values = {one["metric"].get("job"): float(one["value"][1]) for one in found if one["metric"]["__name__"] == "up"}
    scored = [float(one["value"][1]) for one in found if one["metric"]["__name__"] != "up"]
    return list(values.values()) == [1.0] * JOBS and bool(scored) and time.time() - scored[0] < 8


def _part(stack: WatchedStack, fault: FaultSpec, *, least_s: float) -> PartRecord:
    """Do something, and wait until the alerts have come that it must cause, and for what comes besides."""
    begin = time.time()
    before = fired(stack, begin - 1, begin)
    fault.do(stack)
    heard = fault.alerts - fault.inhibited
    wait_until(
        lambda: (
            fault.alerts <= fired(stack, begin, time.time())
            and heard <= stack.received.every_name()
            and (not fault.until or bool(ask(stack.prometheus.address, "query", query=fault.until)["result"]))
        ),
        lambda: (
            f"{sorted(fault.alerts)} must fire and arrive, fired {sorted(fired(stack, begin, time.time()))}, "
            f"arrived {sorted(stack.received.every_name())}; then {fault.until!r}; log in {stack.server.log.parent}"
        ),
        limit_s=PATIENCE_S,
    )
    until = max(time.time() + SETTLED_S, begin + least_s)
    wait_until(lambda: time.time() > until, lambda: "")
    end = time.time()
    return PartRecord(begin, end, fired(stack, begin, end) - before)


@contextmanager
def told_story(models: Path, folder: Path, faults: dict[str, FaultSpec]) -> Iterator[Story]:
    """All faults one after another, after a calm; the service runs while the block does."""
    with watched_stack(models, folder) as stack:
        wait_until(lambda: warmed_up(stack), lambda: f"the monitor must score what comes in; logs in {folder}")
        # What a start brings about is no part of the calm: until then the window of drift has a gap.
        wait_until(lambda: time.time() > stack.begin + WINDOW_S + SETTLED_S, lambda: "", limit_s=PATIENCE_S)
        stack.received.posts.clear()
        parts = {"calm": _part(stack, FaultSpec(lambda _: None), least_s=CALM_S)}
        for name, fault in faults.items():
            parts[name] = _part(stack, fault, least_s=LEAST_S)
        with urllib.request.urlopen(f"http://{stack.gateway}/v1/retrain", timeout=10) as response:
            asked = [one["reason"] for one in json.load(response)["requests"]]
        yield Story(stack, parts, asked)
