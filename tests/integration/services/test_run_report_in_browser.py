"""The run report as a reader sees it: opened from disk, without a network, on a screen and on a phone, by day and by night."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.reporting.gate_report import GATE_REPORT_HTML
from components.reporting.report_run import report_run
from forecasting.config import parse_config, step_settings
from forecasting.contracts.artifacts import FORECAST_PICTURE_FILE, RUN_REPORT_FILE
from forecasting.contracts.layout import RunLayout, home_layout
from forecasting.contracts.steps import StepName
from forecasting.steps import StepContext
from tests.integration.services.browser import Page, chromium_page
from tests.integration.services.finished_run import finished_run

pytestmark = pytest.mark.services

GATES = {
    "model": {"max_mae": 189, "max_rmse": 274, "max_naive_ratio": 0.6, "max_champion_ratio": 1.02},
    "compressed": {"max_mae": 189, "max_rmse": 274},
    "serving": {"max_latency_ms": 50, "max_difference_ratio": 0.001},
}
CHARTS = {
    "forecast-0", "error-by-step", "error-by-hour", "error-by-weekday", "champion-by-step", "calibration", "pit",
    "autocorrelation", "qq", "learning-curve", "example-typical", "example-worst",
}  # fmt: skip
DRAWN = """
Object.fromEntries(Object.entries(almanac.charts).map(([id, chart]) => {
  const canvas = chart.root.querySelector('canvas'), {left, top, width, height} = chart.bbox;
  const pixels = canvas.getContext('2d').getImageData(left, top, width, height).data, seen = {};
  for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] > 200) {
    const key = `${pixels[i]},${pixels[i + 1]},${pixels[i + 2]}`;
    seen[key] = (seen[key] || 0) + 1;
  }
  return [id, {width: canvas.clientWidth, height: canvas.clientHeight, colours: seen}];
}))
"""
CONTRAST = """
(() => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => { const f = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
  const behind = node => { for (; node; node = node.parentElement) { const c = parse(getComputedStyle(node).backgroundColor); if (c.length === 3 || c[3] === 1) return c; } return null; };
  const poor = [], seen = new Set();
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.getClientRects().length) continue;
    const style = getComputedStyle(node), ground = behind(node) || parse(getComputedStyle(document.documentElement).backgroundColor);
    const [a, b] = [light(parse(style.color)), light(ground)], ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    seen.add(style.color);
    if (ratio < 4.5) poor.push([node.tagName, node.className, node.textContent.trim().slice(0, 40), style.color, ground.join(), ratio.toFixed(2)]);
  }
  return {poor, n_colours: seen.size, ground: parse(getComputedStyle(document.body).backgroundColor)};
})()
"""


def reported(home: Path, run: RunLayout) -> RunLayout:
    """The run, with its report."""
    output = run.step(StepName.REPORT_RUN)
    output.mkdir()
    settings = step_settings(
        parse_config({"name": "demand", "gates": GATES, "compression": {"max_accuracy_loss": 0.02}}, "test"),
        StepName.REPORT_RUN,
    )
    report_run(settings, {}, output, StepContext(home_layout(home), run))
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    """A finished run with its report."""
    home = tmp_path_factory.mktemp("home")
    return reported(home, finished_run(home))


@pytest.fixture(scope="module")
def report(run: RunLayout) -> Path:
    """Output directory of report_run."""
    return run.step(StepName.REPORT_RUN)


def evaluate(page: Page, expression: str) -> Any:
    found = page.call("Runtime.evaluate", expression=expression, returnByValue=True)
    assert "exceptionDetails" not in found, found
    return found["result"].get("value")


def opened(page: Page, report: Path, *, width: int, scheme: str = "light", name: str = RUN_REPORT_FILE) -> Page:
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.open((report / name).as_uri())
    return page


def read(run: RunLayout, step: StepName, name: str) -> Any:
    return json.loads((run.step(step) / name).read_text())


def lines(page: Page, chart: str) -> dict[str, list[float | None]]:
    """What a chart draws, by the names in its legend."""
    expression = f"Object.fromEntries(almanac.charts['{chart}'].series.map((s, i) => [s.label, [...almanac.charts['{chart}'].data[i]]]))"
    return evaluate(page, expression)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")])
def test_every_chart_is_drawn_without_complaints(report, tmp_path, width, scheme):
    with chromium_page(tmp_path) as page:
        opened(page, report, width=width, scheme=scheme)
        drawn = evaluate(page, DRAWN)
        shown = page.shown()
        picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"))
    assert page.complaints == []
    assert set(drawn) == CHARTS
    blue = "29,95,194" if scheme == "light" else "110,168,255"
    for name, chart in drawn.items():
        assert chart["width"] > 250, name
        assert chart["height"] > 200, name
        # The candidate's colour, as solid as a line is, and the grid behind it.
        assert chart["colours"].get(blue, 0) > 60, name
        assert len(chart["colours"]) > 3, name
    assert shown["broken"] == []
    assert "demand" in shown["title"]
    assert len(np.unique(picture)) > 20


def test_a_horizon_of_one_step_and_a_training_of_one_epoch_are_drawn_as_points(tmp_path):
    run = finished_run(tmp_path / "home")
    shorten(run.step(StepName.EVALUATE_MODEL) / "metrics.json", lambda document: [
        model["by_step"].update({name: values[:1] for name, values in model["by_step"].items()})
        for model in document["models"].values()
    ])  # fmt: skip
    shorten(run.step(StepName.DEPLOY_MODEL) / "forecast.json", lambda document: [
        series.update({name: series[name][:1] for name in ("timestamps", "actuals", "quantiles")})
        for series in document["series"]
    ])  # fmt: skip
    shorten(run.step(StepName.TRAIN_MODEL) / "history.json", lambda epochs: epochs.__delitem__(slice(1, None)))
    report = reported(tmp_path / "home", run).step(StepName.REPORT_RUN)
    with chromium_page(tmp_path) as page:
        opened(page, report, width=1280)
        drawn = evaluate(page, DRAWN)
    assert page.complaints == []
    for name in ("error-by-step", "forecast-0", "learning-curve"):
        assert drawn[name]["colours"].get("29,95,194", 0) > 15, name


def shorten(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file in place."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_figures_of_the_charts_are_those_of_the_files_of_the_run(run, report, tmp_path):
    metrics = read(run, StepName.EVALUATE_MODEL, "metrics.json")["models"]
    diagnostics = read(run, StepName.EVALUATE_MODEL, "diagnostics.json")
    forecast = read(run, StepName.DEPLOY_MODEL, "forecast.json")["series"][0]
    history = read(run, StepName.TRAIN_MODEL, "history.json")
    with chromium_page(tmp_path) as page:
        opened(page, report, width=1280)
        steps, hours = lines(page, "error-by-step"), lines(page, "error-by-hour")
        calibration, champion = lines(page, "calibration"), lines(page, "champion-by-step")
        correlation, normal = lines(page, "autocorrelation"), lines(page, "qq")
        learning, drawn, worst = (lines(page, name) for name in ("learning-curve", "forecast-0", "example-worst"))
    for name, label in (("candidate", "candidate"), ("champion", "champion"), ("seasonal_naive_24", "naive, 24 steps")):
        assert steps[label] == metrics[name]["by_step"]["mae"]
        assert hours[label] == [metrics[name]["slices"][f"hour_{hour:02d}"]["mae"] for hour in range(24)]
    assert calibration["candidate"][1:-1] == [0.14, 0.52, 0.87]
    assert champion["champion"] == diagnostics["comparison"]["champion_by_step"]
    assert correlation["autocorrelation"] == diagnostics["residuals"]["autocorrelation"]
    assert normal["errors"] == diagnostics["residuals"]["observed"]
    assert learning["validation"] == [row["validation_loss"] for row in history]
    # The worst of three days is the last one, off by 150.
    assert np.array(worst["forecast (median)"][72:]) - worst["actual"][72:] == pytest.approx(150, abs=0.01)
    assert drawn["history"][:168] == forecast["history"]
    assert drawn["actual"][168:] == forecast["actuals"]
    assert drawn["forecast (median)"][168:] == [row[1] for row in forecast["quantiles"]]
    assert drawn["0.9 quantile"][168:] == [row[2] for row in forecast["quantiles"]]


def test_figures_of_the_tables_are_those_of_the_files_of_the_run(run, report, tmp_path):
    cells = (
        "[...document.querySelectorAll('#%s tbody tr')].map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    )
    with chromium_page(tmp_path) as page:
        opened(page, report, width=1280)
        accuracy, importance, lineage = (evaluate(page, cells % part) for part in ("accuracy", "importance", "lineage"))
        gates, text = evaluate(page, cells % "gates"), page.shown()["text"]
    assert ["candidate", "111.0", "111.0", "111.0", "3.0 %", "3.0 %", "0.5000", "0.0200", "80.0 %", "111.0"] in accuracy
    assert [row[0] for row in importance] == ["Demand", "calendar"]
    assert importance[0][2:4] == ["300.0 ± 3.00", "+170.3 %"]
    rule = read(run, StepName.REPORT_RUN, "gate_report.json")["gates"][0]["rules"][0]
    assert gates[0][3:] == [f"{rule['value']:.1f}", f"≤ {rule['limit']:.1f}", f"{100 * rule['margin']:+.1f} %"]
    assert len(lineage) == 8
    assert "MAE 111.0 against 123.0" in text


def test_the_report_asks_for_nothing_but_itself(report, tmp_path):
    with chromium_page(tmp_path) as page:
        opened(page, report, width=1280)
        press(page, "forecast")
        evaluate_later(page)
    assert [url for url in page.requests if not url.startswith(("data:", "about:"))] == [
        (report / RUN_REPORT_FILE).as_uri()
    ]


def test_the_page_forbids_requests_even_to_a_script_in_it(report, tmp_path):
    with chromium_page(tmp_path) as page:
        opened(page, report, width=1280)
        asked = "fetch('http://127.0.0.1:9/spy').then(() => 'answered', error => error.name)"
        page.call("Runtime.evaluate", expression=asked, awaitPromise=True)
        page.shown()
    assert any("Content Security Policy" in complaint for complaint in page.complaints)


@pytest.mark.parametrize("name", [RUN_REPORT_FILE, GATE_REPORT_HTML])
@pytest.mark.parametrize("width", [360, 500, 1280, 1920])
def test_the_page_never_scrolls_sideways(report, tmp_path, width, name):
    with chromium_page(tmp_path) as page:
        opened(page, report, width=width, name=name)
        assert page.shown()["overflow"] == 0
        beyond = evaluate(
            page,
            "[...document.querySelectorAll('.plot canvas')].filter(c => c.getBoundingClientRect().right > innerWidth).length",
        )
    assert beyond == 0


@pytest.mark.parametrize("name", [RUN_REPORT_FILE, GATE_REPORT_HTML])
@pytest.mark.parametrize(("scheme", "ground"), [("light", [246, 248, 250]), ("dark", [16, 20, 26])])
def test_all_text_can_be_read_by_day_and_by_night(report, tmp_path, scheme, ground, name):
    with chromium_page(tmp_path) as page:
        opened(page, report, width=1280, scheme=scheme, name=name)
        evaluate(page, "document.querySelectorAll('details').forEach(part => part.open = true)")
        found = evaluate(page, CONTRAST)
    assert found["ground"] == ground
    assert found["n_colours"] > 3
    # 4.5 is the least contrast of WCAG 2.2, level AA.
    assert found["poor"] == []


def test_charts_change_colours_with_the_scheme_of_the_system_and_size_with_the_window(report, tmp_path):
    with chromium_page(tmp_path) as page:
        opened(page, report, width=1280)
        before = evaluate(page, DRAWN)["error-by-step"]
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        page.call("Emulation.setDeviceMetricsOverride", width=700, height=900, deviceScaleFactor=1, mobile=False)
        evaluate_later(page)
        after = evaluate(page, DRAWN)["error-by-step"]
    assert before["colours"].get("29,95,194", 0) > 60
    assert after["colours"].get("29,95,194", 0) == 0
    assert after["colours"].get("110,168,255", 0) > 60
    assert after["width"] < before["width"]
    assert page.complaints == []


def evaluate_later(page: Page) -> None:
    """Wait until the page has been laid out anew and the observers of its sizes have been called."""
    expression = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0))))"
    page.call("Runtime.evaluate", expression=expression, awaitPromise=True)


def seen(page: Page) -> list[float]:
    evaluate_later(page)
    return evaluate(page, "[almanac.charts['forecast-0'].scales.x.min, almanac.charts['forecast-0'].scales.x.max]")


def press(page: Page, what: str) -> None:
    evaluate(page, f"document.querySelector('[data-look={what}]').click()")


def test_buttons_look_at_a_part_of_the_forecast_and_at_all_of_it_again(report, tmp_path):
    with chromium_page(tmp_path) as page:
        opened(page, report, width=360)
        first, last = seen(page)
        press(page, "forecast")
        assert seen(page) == [first + 168 * 3600, last]
        press(page, "back")
        earlier = seen(page)
        assert earlier == [first + 168 * 3600 - 23 * 900, last - 23 * 900]
        press(page, "in")
        closer = seen(page)
        assert closer[1] - closer[0] == (earlier[1] - earlier[0]) / 2
        press(page, "all")
        assert seen(page) == [first, last]


def test_dragging_over_a_part_looks_at_it_and_a_double_click_at_all(report, tmp_path):
    with chromium_page(tmp_path) as page:
        opened(page, report, width=1280)
        first, last = seen(page)
        box = evaluate(
            page,
            "(() => { const r = almanac.charts['forecast-0'].over.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()",
        )
        middle = box[1] + box[3] / 2

        def mouse(kind: str, share: float, **more: Any) -> None:
            page.call("Input.dispatchMouseEvent", type=kind, x=box[0] + share * box[2], y=middle, button="left", **more)

        mouse("mouseMoved", 0.5)
        mouse("mousePressed", 0.5, clickCount=1)
        mouse("mouseMoved", 0.6)
        mouse("mouseMoved", 0.75)
        mouse("mouseReleased", 0.75, clickCount=1)
        part = seen(page)
        assert part == pytest.approx([first + 0.5 * (last - first), first + 0.75 * (last - first)], abs=3600)
        for count in (1, 2):
            mouse("mousePressed", 0.5, clickCount=count)
            mouse("mouseReleased", 0.5, clickCount=count)
        assert seen(page) == [first, last]


def test_pointing_at_a_chart_tells_its_numbers_in_local_time(report, tmp_path):
    with chromium_page(tmp_path) as page:
        opened(page, report, width=1280)
        evaluate(
            page,
            "almanac.charts['forecast-0'].setCursor({left: almanac.charts['forecast-0'].valToPos(almanac.figures['forecast-0'].x[168], 'x'), top: 20})",
        )
        evaluate_later(page)
        told = evaluate(page, "document.querySelector('[data-chart=forecast-0] .u-legend').innerText").replace(
            "\n", " "
        )
    # The origin is 2014-05-13 17:00 UTC, in Melbourne ten hours later.
    assert "Wed, 14 May 2014, 03:00" in told
    assert "80 % interval" in told
    assert "4,850 to 5,180" in told


def test_the_forecast_picture_shows_more_than_an_empty_sheet(report):
    picture = np.asarray(Image.open(report / FORECAST_PICTURE_FILE).convert("L"))
    assert picture.shape == (800, 1600)
    assert (picture < 128).mean() > 0.005
