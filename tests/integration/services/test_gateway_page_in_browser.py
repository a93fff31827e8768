"""The page of the gateway as people see it: in Chromium, in front of a real gateway and model server."""

import json
import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecasting.repository import ModelRepository
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import RunningServerRecord, listening_process, model_server
from serving.gateway.tokens import TokenScope, make_token
from tests.integration.services.browser import Page, chromium_page
from tests.integration.services.prometheus import wait_until
from tests.integration.services.test_run_report_in_browser import CONTRAST, evaluate, evaluate_later
from tests.unit.forecasting.series_stores import write_series_store
from tests.unit.serving import tiny_models
from tests.unit.serving.conftest import LINE, START

pytestmark = pytest.mark.services

REASON = "its unit changed by a factor of 100"
SETTLED = "document.getElementById('forecast').getAttribute('aria-busy') === 'false'"
LINES = """
(id => { const kept = almanac.chart(id); return kept && Object.fromEntries(kept.plot.series.map((s, i) => [s.label, [...kept.plot.data[i]]])); })
"""


def _store(targets: dict[str, Any]) -> SeriesStore:
    split = SplitSpec(START + 20 * 3600, START + 30 * 3600, START + 40 * 3600)
    spec = SeriesSpec("Demand", (), ("Temperature",), (), {}, 3600, split)
    warmth = 20 + np.arange(48.0) % 5
    rows = {name: np.column_stack([target, warmth]) for name, target in targets.items()}
    return SeriesStore(spec, tuple(Series(name, START, values) for name, values in rows.items()))


@pytest.fixture(scope="module")
def home(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 shops, one series without any target, `<b>bold</b>`, and one in quarantine."""
    root = tmp_path_factory.mktemp("home")
    clock = np.arange(48.0)
    known = np.where(clock < 40, 10 + clock % 4, np.nan)
    store = root / "series"
    (store / "quarantine").mkdir(parents=True)
    good = {f"shop {number:03d}": known for number in range(300)} | {"<b>bold</b>": known, "empty": np.full(48, np.nan)}
    write_series_store(_store(dict(sorted(good.items()))), store)
    write_series_store(_store({"broken": 100 * known}), store / "quarantine")
    quarantined = [{"series": "broken", "rules": ["unit_change"], "reason": REASON}]
    (store / "report.json").write_text(json.dumps({"quarantined": quarantined}))
    repository = ModelRepository(root / "models")
    version = tiny_models.write_version(models, root / "version", factor=2, lite=True)
    repository.promote("tiny", repository.publish("tiny", version))
    repository.keep_series("tiny", 1, store)
    return root


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[RunningServerRecord]:
    flags = [f"--model_config_file={ModelRepository(home / 'models').server_config}", "--prefer_tflite_model"]
    with model_server(flags, log=home / "server.log") as found:
        with GrpcClient(found.grpc_address) as client:
            client.wait_available("tiny", 1)
        yield found


def _gateway(home: Path, grpc_address: str, *flags: str) -> Any:
    command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={home / 'models'}"]
    command += [f"--grpc={grpc_address}", "--port=0", *flags]
    return listening_process(command, LINE, log=home / f"gateway{len(flags)}.log")


@pytest.fixture(scope="module")
def url(home: Path, server: RunningServerRecord) -> Iterator[str]:
    with _gateway(home, server.grpc_address) as (_, addresses):
        yield f"http://{addresses['http']}/"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium_page(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def page(browser: Page) -> Page:
    """The browser with nothing said yet."""
    browser.open("about:blank")
    browser.complaints.clear()
    browser.requests.clear()
    return browser


def seen_until(page: Page, expression: str) -> None:
    """Wait until something holds on the page."""
    wait_until(lambda: bool(evaluate(page, expression)), lambda: f"{expression}\n{page.shown()['text']}")


def opened(page: Page, url: str, *, width: int = 1280, scheme: str = "light") -> Page:
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.open(url)
    seen_until(page, SETTLED)
    return page


def lines(page: Page, chart: str) -> dict[str, list[float | None]]:
    found = evaluate(page, f"{LINES}('{chart}')")
    return {} if found is None else found


def key(page: Page, name: str) -> None:
    page.call("Input.dispatchKeyEvent", type="keyDown", key=name, code=name)
    page.call("Input.dispatchKeyEvent", type="keyUp", key=name, code=name)


def notices(page: Page) -> str:
    return evaluate(page, "document.getElementById('notices').innerText")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1920, "dark"), (360, "light"), (360, "dark")])
def test_the_page_is_whole_on_every_screen_and_asks_nobody_but_the_gateway(page, url, width, scheme):
    opened(page, url + "#series=shop+007", width=width, scheme=scheme)
    seen_until(page, "almanac.chart('past-chart')")
    evaluate(page, "document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.shown()["overflow"] == 0
    assert evaluate(page, CONTRAST)["poor"] == []
    assert page.complaints == []
    assert page.requests
    assert [one for one in page.requests if not one.startswith((url, "about:", "data:"))] == []


def test_the_chart_shows_the_history_and_the_forecast_that_the_gateway_answers(page, url):
    opened(page, url + "#series=shop+007&days=1")
    drawn = lines(page, "forecast-chart")
    # 10 + clock % 4 up to hour 39, then twice the mean of the last six plus the temperature 20, 21, 22, and one less and more.
    assert drawn["history"][-5:] == [12, 13, None, None, None]
    assert drawn["forecast (median)"][-3:] == pytest.approx([43 + 2 / 3, 44 + 2 / 3, 45 + 2 / 3], abs=1e-4)
    assert drawn["80 % interval"][-3:] == pytest.approx([44 + 2 / 3, 45 + 2 / 3, 46 + 2 / 3], abs=1e-4)
    assert "actual" not in drawn
    assert evaluate(page, "document.querySelector('#cards .value').innerText") == "43.67"
    assert evaluate(page, "document.querySelector('#numbers tbody tr').cells.length") == 5


def test_an_earlier_origin_shows_the_actual_values_beside_the_forecast(page, url):
    opened(page, url + "#series=shop+007&days=1")
    evaluate(page, "document.getElementById('earlier').click()")
    seen_until(page, "location.hash.includes('origin=2014-01-02T13') && " + SETTLED)
    assert lines(page, "forecast-chart")["actual"][-3:] == [11, 12, 13]
    assert "Mean absolute error" in evaluate(page, "document.getElementById('cards').innerText")
    evaluate(page, "document.getElementById('latest').click()")
    seen_until(page, "!location.hash.includes('origin') && " + SETTLED)
    assert "actual" not in lines(page, "forecast-chart")


def test_past_forecasts_stand_beside_what_came_with_their_errors(page, url):
    opened(page, url + "#series=shop+007")
    seen_until(page, "almanac.chart('past-chart')")
    drawn = lines(page, "past-chart")
    actual, point = np.array(drawn["actual"]), np.array(drawn["forecast (median)"])
    # 34 of the 40 hours follow a whole history of six, which is eleven times three.
    assert len(actual) == 33
    told = evaluate(page, "[...document.querySelectorAll('#past-cards .value')].map(card => card.innerText)")
    assert told[0] == f"{np.abs(point - actual).mean():.2f}"
    assert told[3] == "0.0 %"


def _post(url: str, path: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 200


def test_what_was_given_out_stands_in_the_place_of_the_replay_once_its_time_has_come(page, home, server):
    with _gateway(home, server.grpc_address, "--store=default", "--flush-interval-s=0.05") as (_, addresses):
        url, lead = f"http://{addresses['http']}/", "document.getElementById('past-lead').innerText"
        opened(page, url + "#series=shop+007")
        seen_until(page, "almanac.chart('past-chart')")
        assert evaluate(page, lead).startswith("A replay, as no forecast was given out yet")
        # The page itself has asked for the forecast from hour 40 on, and that was kept.
        values = {"Demand": [30.0, 31.0, 32.0]}
        _post(
            url, "v1/observations", {"observations": {"shop 007": {"start": "2014-01-02T16:00:00Z", "values": values}}}
        )
        page.open("about:blank")
        opened(page, url + "#series=shop+007")
        seen_until(page, f"{lead}.startsWith('The forecast by version 1 that was given out')")
        drawn = lines(page, "past-chart")
        marks = evaluate(page, "almanac.chart('past-chart').chart.marks.map(mark => [mark.label, mark.x])")
        told = evaluate(page, "document.querySelector('#past-cards .value').innerText")
        assert page.complaints == []
    # Three hours before the first origin, then its horizon.
    assert drawn["actual"] == [11.0, 12.0, 13.0, 30.0, 31.0, 32.0]
    assert drawn["forecast (median)"][:3] == [None] * 3
    assert ["cutoff", START + 40 * 3600] in marks
    assert told == f"{np.abs(np.array(drawn['forecast (median)'][3:]) - [30, 31, 32]).mean():.2f}"


def test_a_series_is_found_by_a_part_of_its_name_and_picked_by_keys(page, url):
    opened(page, url)
    evaluate(page, "document.getElementById('series').focus()")
    page.call("Input.insertText", text="29 shop")
    options = "[...document.querySelectorAll('#series-list [role=option]')].map(one => one.innerText.trim())"
    assert evaluate(page, options)[:3] == ["shop 029", "shop 129", "shop 229"]
    key(page, "ArrowDown")
    active = (
        "document.getElementById(document.getElementById('series').getAttribute('aria-activedescendant')).innerText"
    )
    assert evaluate(page, active) == "shop 129"
    key(page, "Enter")
    seen_until(page, "location.hash.includes('shop+129') && " + SETTLED)
    assert evaluate(page, "document.getElementById('series').getAttribute('aria-expanded')") == "false"
    # Of 303 names sixty are in the page, and how many there are besides is said.
    evaluate(page, "document.getElementById('series').click()")
    assert evaluate(page, options + ".length") == 60
    assert "243 more" in evaluate(page, "document.getElementById('series-list').innerText")
    key(page, "Escape")
    assert evaluate(page, "document.getElementById('series').value") == "shop 129"
    # What was still being read of the first series is given up.
    assert [one for one in page.complaints if one != "net::ERR_ABORTED"] == []


def test_arrow_keys_read_the_chart(page, url):
    opened(page, url + "#series=shop+007")
    evaluate(page, "document.getElementById('forecast-chart').focus()")
    key(page, "ArrowRight")
    evaluate_later(page)
    told = evaluate(page, "document.querySelector('#forecast-chart .u-legend').innerText")
    assert "Thu, 2 Jan 2014, 17:00 UTC" in told.replace("\n", " ")


def test_a_name_with_markup_in_it_is_text(page, url):
    opened(page, url + "#series=%3Cb%3Ebold%3C%2Fb%3E")
    assert evaluate(page, "document.getElementById('series').value") == "<b>bold</b>"
    assert "<b>bold</b>" in evaluate(page, "document.getElementById('forecast-lead').innerText")
    assert evaluate(page, "document.querySelectorAll('main b').length") == 0


def test_a_series_in_quarantine_says_why(page, url):
    opened(page, url + "#series=broken")
    assert "in quarantine" in notices(page)
    assert "Its unit changed by a factor of 100." in notices(page)
    assert "seasonal naive (median)" in lines(page, "forecast-chart")


def test_a_series_without_a_value_says_that_it_cannot_be_forecast(page, url):
    opened(page, url + "#series=empty")
    assert "it has no value of the target yet" in evaluate(page, "document.getElementById('forecast').innerText")
    assert lines(page, "forecast-chart") == {}
    assert evaluate(page, "document.getElementById('origin').disabled")
    assert page.complaints == []


def test_an_unknown_series_in_the_address_is_named(page, url):
    opened(page, url + "#series=nowhere")
    assert "“nowhere” is not among those of this model" in notices(page)


def test_a_gateway_with_tokens_asks_for_one_and_keeps_it_for_the_tab(page, home, server, tmp_path):
    token, record = make_token("reader", [TokenScope.READ])
    (tmp_path / "tokens").write_text(record.line())
    with _gateway(home, server.grpc_address, f"--tokens={tmp_path / 'tokens'}") as (_, addresses):
        opened(page, f"http://{addresses['http']}/")
        seen_until(page, "document.getElementById('token-dialog').open")
        submit = "document.getElementById('token').value = '%s'; document.getElementById('token-form').requestSubmit()"
        evaluate(page, submit % "almanac_wrong")
        seen_until(page, "document.getElementById('token-why').innerText.includes('none that this gateway knows')")
        evaluate(page, submit % token)
        seen_until(page, "almanac.chart('forecast-chart')")
        assert evaluate(page, "localStorage.length") == 0
        # Another place in the same document would be no new page.
        page.open("about:blank")
        page.open(f"http://{addresses['http']}/#series=shop+001")
        seen_until(page, "almanac.chart('forecast-chart')")
        assert not evaluate(page, "document.getElementById('token-dialog').open")


def test_a_model_server_that_goes_away_is_told_and_then_the_gateway_too(page, home):
    flags = [f"--model_config_file={ModelRepository(home / 'models').server_config}", "--prefer_tflite_model"]
    with model_server(flags, log=home / "second.log") as found, _gateway(home, found.grpc_address, "--timeout-s=5", "--max-in-flight=99") as (gateway, addresses):  # fmt: skip
        with GrpcClient(found.grpc_address) as client:
            client.wait_available("tiny", 1)
        opened(page, f"http://{addresses['http']}/#series=shop+007")
        assert notices(page) == ""
        found.process.send_signal(signal.SIGKILL)
        found.process.wait(20)
        look_again = "document.dispatchEvent(new Event('visibilitychange'))"
        evaluate(page, look_again)
        seen_until(
            page,
            "document.getElementById('state').innerText === 'degraded' && document.getElementById('series-state') !== null",
        )
        assert "The model server does not answer" in notices(page)
        assert "stands in for the model" in notices(page)
        gateway.send_signal(signal.SIGKILL)
        gateway.wait(20)
        evaluate(page, look_again)
        seen_until(page, "document.getElementById('state').innerText === 'unreachable'")
        assert "The gateway cannot be reached." in notices(page)
