"""Dashboards drawn from a Prometheus as Grafana would lay them out: a page of uPlot charts, photographed by Chromium."""

import base64
import html
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infra.monitoring.dashboards.build import dashboard_json
from infra.monitoring.dashboards.panel_spec import DashboardSpec, PanelKind, PanelSpec
from tests.integration.services.browser import chromium_page
from tests.integration.services.prometheus import wait_until
from tests.integration.services.watched.queries import LineRecord, lines, shown_expression
from tests.integration.services.watched.stack import TIME

WEB = Path(__file__).parents[4] / "forecasting" / "web" / "uplot"
WIDTH, UNIT_PX = 1_440, 34
MAX_LINES = 12
FRESH_S = 5.0
"""Age of a value at most that is shown as a number, counted from the latest one of its panel."""
READY = "document.body.dataset.ready === 'yes'"


def legend(template: str, labels: dict[str, str]) -> str:
    """A legend with the labels of a line."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), template).strip()


def _panel_lines(address: str, panel: PanelSpec, begin: float, end: float) -> list[dict[str, Any]]:
    found: list[tuple[str, LineRecord]] = []
    for target in panel.targets:
        answer = lines(address, shown_expression(target.expr, TIME), begin, end)
        found += [(legend(target.legend, line.labels), line) for line in answer]
    if panel.kind is PanelKind.NUMBER:
        # A number is one of now: what another line has taken the place of is none any more.
        latest = max((line.points[-1][0] for _, line in found), default=end)
        found = [(name, line) for name, line in found if line.points[-1][0] > latest - FRESH_S]
    return [{"name": name, "points": line.points} for name, line in found[:MAX_LINES]]


def page(
    spec: DashboardSpec, address: str, begin: float, end: float, marks: Sequence[tuple[float, str]]
) -> tuple[str, int]:
    """A dashboard as a page, and its height in pixels.

    Args:
        spec: What is on it.
        address: Of Prometheus.
        begin: First time, epoch seconds.
        end: Last time.
        marks: Times with what happened then.
    """
    made = json.loads(dashboard_json(spec))["panels"]
    placed = {(one["type"] == "row", one["title"]): one["gridPos"] for one in made}
    drawn = [
        {"place": placed[False, panel.title], **asdict(panel), "lines": _panel_lines(address, panel, begin, end)}
        for row in spec.rows
        for panel in row.panels
    ]
    rows = [{"place": placed[True, row.title], "title": row.title} for row in spec.rows]
    height = max(one["place"]["y"] + one["place"]["h"] for one in drawn) * UNIT_PX + 52
    content = json.dumps({"panels": drawn, "rows": rows, "begin": begin, "end": end, "marks": marks, "unit": UNIT_PX})
    script, style = (WEB / name for name in ("uPlot.iife.min.js", "uPlot.min.css"))
    own = Path(__file__).with_name("drawing.js").read_text(encoding="utf-8")
    look = Path(__file__).with_name("drawing.css").read_text(encoding="utf-8")
    text = (
        f"<!doctype html><meta charset=utf-8><title>{html.escape(spec.title)}</title><style>{style.read_text()}{look}</style>"
        f"<h1>{html.escape(spec.title)}</h1><main></main><script>{script.read_text()}</script>"
        f"<script>const board = {content.replace('</', '<' + chr(92) + '/')};\n{own}</script>"
    )
    return text, height


def draw(
    spec: DashboardSpec,
    address: str,
    target: Path,
    folder: Path,
    *,
    begin: float,
    end: float,
    marks: Sequence[tuple[float, str]],
) -> dict[str, Any]:
    """Write the picture of a dashboard; returns what the page counted: charts, numbers, lines."""
    folder.mkdir(parents=True)
    text, height = page(spec, address, begin, end, marks)
    source = folder / "dashboard.html"
    source.write_text(text, encoding="utf-8")
    with next_page(folder, height) as shown:
        shown.open(source.as_uri())
        wait_until(lambda: bool(evaluated(shown, READY)), lambda: f"{spec.title} must be drawn: {shown.complaints}")
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": height, "scale": 1}
        shot = shown.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        target.write_bytes(base64.b64decode(shot["data"]))
        assert shown.complaints == []
        return dict(evaluated(shown, "({...document.body.dataset})"))


def next_page(folder: Path, height: int) -> Any:
    """A browser of the width of the pictures."""
    return chromium_page(folder, width=WIDTH, height=height)


def evaluated(shown: Any, expression: str) -> Any:
    """Value of an expression in the page."""
    return shown.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")
