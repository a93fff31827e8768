"""What Prometheus answers to the queries of panels and rules."""

import json
import math
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

from infra.monitoring.dashboards.build import dashboard_specs
from infra.monitoring.dashboards.panel_spec import PanelSpec
from infra.monitoring.spec import RulesSpec, TimeSpec, duration


@dataclass(frozen=True)
class LineRecord:
    """One line of a panel. labels: of the series. points: time and finite value."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]


def shown_expression(expr: str, time: TimeSpec) -> str:
    """A panel's query as Grafana would send it, with the short windows of a test."""
    expr = expr.replace("$__rate_interval", time.window(300)).replace('model=~"$model"', 'model=~".+"')
    for window, seconds in (("1h", 3_600), ("1d", 86_400), ("30d", 2_592_000), ("2m", 120)):
        expr = expr.replace(f"[{window}]", f"[{duration(max(seconds / time.speed, time.shortest_s))}]")
    return expr


def panels() -> list[tuple[str, PanelSpec]]:
    """Every panel with the dashboard it is on."""
    boards = dashboard_specs(RulesSpec())
    return [(board.uid, panel) for board in boards for row in board.rows for panel in row.panels]


def ask(address: str, path: str, **parameters: str) -> Any:
    """A result of Prometheus' interface."""
    url = f"http://{address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=20) as response:
        return json.load(response)["data"]


def lines(address: str, expr: str, begin: float, end: float, *, step_s: float = 1.0) -> list[LineRecord]:
    """Finite values of a query between two times, epoch seconds; lines without any are left out."""
    found = ask(address, "query_range", query=expr, start=f"{begin:.3f}", end=f"{end:.3f}", step=f"{step_s:g}")[
        "result"
    ]
    made = [
        LineRecord(
            one["metric"],
            tuple((float(at), float(value)) for at, value in one["values"] if math.isfinite(float(value))),
        )
        for one in found
    ]
    return [line for line in made if line.points]
