"""The page at `/` as files and routes; what it looks like in a browser is in tests/integration/services."""

import http.client
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from forecasting.answering.given import GivenRows
from forecasting.answering.observed import ObservedRows
from forecasting.answering.series_with_rows import with_rows
from forecasting.answering.served_model import ServedModel
from forecasting.audit import AuditAction
from forecasting.repository import ModelRepository
from forecasting.schema import Series
from serving.gateway.page.files import PAGE_FILES
from serving.gateway.replays import replay_origins
from serving.gateway.schemas import ForecastsDocument, HistoryDocument, ModelDocument
from serving.gateway.seen_series import seen_ids, seen_series
from serving.gateway.version_facts import version_facts
from tests.unit.serving.conftest import START
from tests.unit.serving.tiny_models import SPEC

HOUR = 3600


def _get(address, path, **headers):
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def _document(address, path):
    response, body = _get(address, path)
    return response.status, json.loads(body)


def test_the_page_is_html_that_may_run_and_load_nothing_from_elsewhere(address):
    response, body = _get(address, "/")
    assert response.status == 200
    assert response.getheader("content-type") == "text/html; charset=utf-8"
    assert "default-src 'self'" in response.getheader("content-security-policy")
    assert b"<title>Almanac forecasts</title>" in body
    # The policy would keep the browser from running or using either.
    assert not re.search(rb"<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=", body)


def test_every_file_that_the_page_names_is_served(address):
    named = re.findall(r'(?:src|href)="(page/[^"]+)"', PAGE_FILES["/"].body.decode())
    scripts = [body.body.decode() for path, body in PAGE_FILES.items() if path.endswith(".js") and "uplot" not in path]
    named += [f"page/{name}" for text in scripts for name in re.findall(r'from "\./([^"]+)"', text)]
    assert {"page/page.js", "page/charts.js", "page/look.css", "page/uplot/LICENSE"} <= set(named)
    for name in sorted(set(named)):
        assert _get(address, f"/{name}")[0].status == 200, name


def test_a_file_that_the_browser_has_is_not_sent_again(address):
    tag = _get(address, "/page/page.css")[0].getheader("etag")
    response, body = _get(address, "/page/page.css", if_none_match=tag)
    assert (response.status, body) == (304, b"")
    assert _get(address, "/page/page.css", if_none_match='"older"')[0].status == 200


@pytest.mark.parametrize("path", ["/page/nothing.js", "/page/../page.css", "/page/", "/page/index.html"])
def test_nothing_but_the_files_of_the_page_is_served(address, path):
    assert _get(address, path)[0].status == 404


def test_history_is_what_a_request_may_give_as_history_again(address):
    status, document = _document(address, "/v1/series/a/history?steps=3")
    assert status == 200
    assert HistoryDocument.model_validate(document)
    # The last target is that of hour 39; 10 + clock % 4 and 20 + clock % 5.
    assert document["start"] == "2014-01-02T13:00:00Z"
    assert document["end"] == "2014-01-02T16:00:00Z"
    assert document["values"] == {"Demand": [11.0, 12.0, 13.0], "Temperature": [22.0, 23.0, 24.0]}


def test_history_until_a_time_has_null_where_nothing_is_known(address):
    _, document = _document(address, "/v1/series/a/history?steps=2&until=2014-01-02T17:00:00Z")
    assert document["values"] == {"Demand": [13.0, None], "Temperature": [24.0, 20.0]}


def test_history_begins_where_the_series_does(address):
    _, document = _document(address, "/v1/series/a/history?steps=100&until=2014-01-01T02:00:00Z")
    assert document["start"] == "2014-01-01T00:00:00Z"
    assert document["values"]["Demand"] == [10.0, 11.0]
    _, before = _document(address, "/v1/series/a/history?until=2013-01-01T00:00:00Z")
    assert (before["start"], before["end"], before["values"]["Demand"]) == (
        "2014-01-01T00:00:00Z", "2014-01-01T00:00:00Z", [],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1/series/zz/history", 404, "there is no series 'zz'"),
        ("/v1/series/zz/replays", 404, "there is no series 'zz'"),
        ("/v1/series/a/history?steps=0", 400, "'steps' must be a whole number from 1 to 100000, found '0'"),
        ("/v1/series/a/history?steps=%C2%B2", 400, "'steps' must be a whole number"),
        ("/v1/series/a/history?steps=99999999999", 400, "'steps' must be a whole number"),
        ("/v1/series/a/history?until=soon", 400, "'until' must be an ISO 8601 time"),
        ("/v1/series/a/history?until=2014-01-02T17:00:00", 400, "'until' must carry a time zone"),
        ("/v1/series/a/history?step=3", 400, "found 'step'"),
        ("/v1/series/a/replays?count=61", 400, "'count' must be a whole number from 1 to 60, found '61'"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_words(address, path, status, message):
    found, document = _document(address, path)
    assert found == status
    assert message in document["error"]


def test_a_series_whose_id_has_a_slash_can_be_asked_for(address):
    assert "there is no series 'north/1'" in _document(address, "/v1/series/north%2F1/history")[1]["error"]


def test_replays_are_what_a_forecast_from_these_origins_answers(address):
    status, document = _document(address, "/v1/series/a/replays?count=2")
    assert status == 200
    assert ForecastsDocument.model_validate(document)
    assert [one["origin"] for one in document["forecasts"]] == ["2014-01-02T10:00:00Z", "2014-01-02T13:00:00Z"]
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("POST", "/v1/forecast", json.dumps({"series": ["a"], "origin": "2014-01-02T10:00:00Z"}))
    assert json.loads(connection.getresponse().read())["forecasts"] == document["forecasts"][:1]
    connection.close()


def test_a_series_that_cannot_be_forecast_has_no_replays(address):
    _, document = _document(address, "/v1/series/c/replays")
    assert ForecastsDocument.model_validate(document).forecasts == []


def _series(n_known, n_steps):
    clock = np.arange(n_steps, dtype=float)
    return Series("a", START, np.column_stack([np.where(clock < n_known, clock, np.nan), clock]))


def test_replays_end_at_the_last_target_and_begin_where_the_model_has_its_whole_history():
    # The model reads 6 steps and forecasts 3: hours 6, 9 and 12 of 15.
    assert SPEC.history_length == 6
    assert replay_origins(_series(15, 20), SPEC, 14) == [START + hour * HOUR for hour in (6, 9, 12)]
    assert replay_origins(_series(15, 20), SPEC, 1) == [START + 12 * HOUR]
    assert replay_origins(_series(8, 20), SPEC, 14) == []
    assert replay_origins(_series(0, 20), SPEC, 14) == []


def test_a_series_is_seen_with_what_was_observed_of_it():
    served = ServedModel("tiny", 1, START, SPEC, {"a": _series(3, 4), "b": _series(2, 4)})
    given = GivenRows(
        ("a", "new"), np.array([0, 0, 1]), START + HOUR * np.array([1, 3, 7]), {"Demand": np.array([50.0, 51.0, 52.0])}
    )
    observed = ObservedRows.of(given)
    assert seen_series(served, observed, "a").values[:, 0].tolist() == [0, 50, 2, 51]
    assert seen_series(served, observed, "b") is served.series["b"]
    new = seen_series(served, observed, "new")
    assert (new.start, new.values[:, 0].tolist()) == (START + 7 * HOUR, [52.0])
    assert seen_series(served, observed, "zz") is None
    assert seen_series(served, None, "new") is None
    assert seen_ids(served, observed) == ["a", "b", "new"]


def test_a_row_of_the_far_future_is_not_laid_out():
    times = np.array([START + 12 * HOUR, START + 10**7 * HOUR])
    given = GivenRows(("a",), np.zeros(2, np.int64), times, {"Demand": np.array([7.0, 8.0])})
    assert with_rows(_series(10, 10), given, np.arange(2), SPEC).n_steps == 13
    assert with_rows(_series(10, 10), given, np.array([1]), SPEC).n_steps == 10


def test_the_model_is_told_with_where_its_version_came_from(address, home):
    _, document = _document(address, "/v1/models/tiny")
    assert ModelDocument.model_validate(document)
    repository = ModelRepository(home / "models")
    files = [path for path in repository.version_dir("tiny", 1).rglob("*") if path.is_file()]
    assert document["version"] == 1
    assert document["version_bytes"] == sum(path.stat().st_size for path in files)
    promoted = next(line for line in repository.audit("tiny") if line.action is AuditAction.PROMOTE)
    stamp = np.datetime64(int(promoted.time), "s")
    assert document["champion_since"] == f"{stamp}Z"
    assert document["local_time"] == {"transitions": [], "offsets_s": [0]}
    assert document["learnt_until"] is None


def test_the_end_of_training_is_told_where_the_model_knows_it(home):
    calendar = replace(SPEC.calendar, learnt_until=START, transitions=(START,), offsets_s=(3600, 7200))
    served = ServedModel("tiny", 1, START, replace(SPEC, calendar=calendar), {})
    found = version_facts(ModelRepository(home / "models"), served)
    assert found["learnt_until"] == "2014-01-01T00:00:00Z"
    assert found["local_time"] == {"transitions": (START,), "offsets_s": (3600, 7200)}
