"""Observations that are posted to a gateway, and the forecasts that it makes of them and keeps."""

import asyncio
import http.client
import itertools
import json
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from forecasting.config.store import StoreConfig
from forecasting.errors import ConfigError
from forecasting.repository import ModelRepository
from forecasting.series_store import read_series_store
from forecasting.store.address import store_address
from forecasting.store.forecasts import ForecastFlag, ForecastQuery, read_forecasts, write_forecasts
from forecasting.store.opening import open_store
from forecasting.windows import window_inputs
from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import listening_process, model_server
from serving.client import AsyncGatewayClient, GatewayClient, GatewayRefusalError
from serving.gateway.__main__ import build_parser
from serving.gateway.__main__ import main as gateway
from serving.gateway.arrow_bodies import ARROW
from serving.gateway.schemas import KeptForecastsDocument, ObservationsDocument
from serving.launch import _store_flags
from tests.unit.forecasting.store.stores import batch
from tests.unit.serving import tiny_models
from tests.unit.serving.conftest import LINE, START

DEADLINE_S = 60
"""For what another process does meanwhile; it takes a second at most where nothing else runs."""
CUTOFF = START + 40 * 3600
"""2014-01-02T16:00:00Z, the step after the last target of the version."""


@pytest.fixture(scope="module")
def server(home):
    config = ModelRepository(home / "models").server_config
    with model_server([f"--model_config_file={config}", "--prefer_tflite_model"], log=home / "server.log") as server:
        with GrpcClient(server.grpc_address) as client:
            client.wait_available("tiny", 1)
        yield server.grpc_address


@pytest.fixture
def root(home, tmp_path):
    """A state directory of its own, with the models of `home`."""
    shutil.copytree(home / "models", tmp_path / "models")
    return tmp_path


def _gateway(server, root, *more):
    command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={root / 'models'}"]
    command += [f"--grpc={server}", "--port=0", "--store=default", "--flush-interval-s=0.05", *more]
    return listening_process(command, LINE, log=root / "gateway.log")


@pytest.fixture
def address(server, root):
    with _gateway(server, root) as (_, addresses):
        yield addresses["http"]


def _send(address, path, body, headers=None):
    connection = http.client.HTTPConnection(address, timeout=20)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", path, content, headers or {})
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


def _post(address, observations, headers=None, **fields):
    return _send(address, "/v1/observations", {"observations": observations, **fields}, headers)


def _forecast(address, **fields):
    status, document = _send(address, "/v1/forecast", {"series": ["a"], **fields})
    assert status == 200, document
    return document["forecasts"][0]


def _wanted(home, changes, origin=CUTOFF, series="a"):
    """Point forecast of the stored series with some values, (step, column): number, changed."""
    found = read_series_store(home / "series").get(series)
    values = found.values.copy()
    for (step, column), number in changes.items():
        values[step, column] = number
    window = window_inputs(replace(found, values=values), tiny_models.SPEC, np.array([origin]))
    return tiny_models.expected(window, 2.0)[0, :, 1]


def counts(document):
    return {name: document[name] for name in ("new", "restated", "late", "unchanged", "repeated")}


NONE = {"new": 0, "restated": 0, "late": 0, "unchanged": 0, "repeated": False}


def test_a_forecast_begins_after_what_was_observed_last_and_reads_it(address, home):
    status, document = _post(address, {"a": {"start": "2014-01-02T16:00:00Z", "values": {"Demand": [70, 71]}}})
    assert (status, counts(document)) == (200, {**NONE, "new": 2})
    ObservationsDocument.model_validate(document)
    forecast = _forecast(address)
    assert forecast["origin"] == "2014-01-02T18:00:00Z"
    np.testing.assert_allclose(forecast["point"], _wanted(home, {(40, 0): 70, (41, 0): 71}, CUTOFF + 7200), rtol=1e-6)


def test_a_restated_value_replaces_that_of_the_version_and_a_late_word_does_not(address, home):
    last = {"a": {"start": "2014-01-02T15:00:00Z", "values": {"Demand": [50]}}}
    assert counts(_post(address, last)[1]) == {**NONE, "new": 1}
    np.testing.assert_allclose(_forecast(address)["point"], _wanted(home, {(39, 0): 50}), rtol=1e-6)
    last["a"]["values"]["Demand"] = [60]
    assert counts(_post(address, last, known_at="2014-01-03T00:00:00Z")[1]) == {**NONE, "late": 1}
    np.testing.assert_allclose(_forecast(address)["point"], _wanted(home, {(39, 0): 50}), rtol=1e-6)


def test_a_value_known_before_the_cutoff_leaves_the_version_its_own(address, home):
    early = {"a": {"start": "2014-01-02T15:00:00Z", "values": {"Demand": [50]}}}
    assert _post(address, early, known_at="2014-01-02T15:30:00Z")[0] == 200
    np.testing.assert_allclose(_forecast(address)["point"], _wanted(home, {}), rtol=1e-6)


def test_the_history_of_a_request_goes_before_what_was_observed(address, home):
    _post(address, {"a": {"start": "2014-01-02T15:00:00Z", "values": {"Demand": [50]}}})
    given = {"a": {"start": "2014-01-02T15:00:00Z", "values": {"Demand": [80]}}}
    np.testing.assert_allclose(_forecast(address, history=given)["point"], _wanted(home, {(39, 0): 80}), rtol=1e-6)


def test_without_covariates_of_the_horizon_a_series_is_forecast_as_far_as_they_reach(address):
    _post(address, {"b": {"start": "2014-01-02T16:00:00Z", "values": {"Demand": [70]}}})
    forecast = _forecast(address, series=["b"])
    assert forecast["origin"] == "2014-01-02T14:00:00Z"
    assert "the forecast starts at 2014-01-02T17:00:00Z" in forecast["limited_by"]
    _post(address, {"b": {"start": "2014-01-02T17:00:00Z", "values": {"Temperature": [20, 21, 22]}}})
    forecast = _forecast(address, series=["b"])
    assert (forecast["origin"], forecast["limited_by"]) == ("2014-01-02T17:00:00Z", None)


def _origins(address):
    with urllib.request.urlopen(f"http://{address}/v1/series", timeout=20) as response:
        return {one["id"]: (one["default_origin"], one["next_origin"]) for one in json.load(response)["series"]}


def test_the_list_of_series_says_what_a_forecast_would_begin_with(address):
    _post(address, {"a": {"start": "2014-01-02T16:00:00Z", "values": {"Demand": [70]}}, "new": GOOD})
    found = _origins(address)
    assert found["a"] == ("2014-01-02T17:00:00Z", "2014-01-02T17:00:00Z")
    assert _forecast(address)["origin"] == found["a"][0]
    assert found["new"] == (None, "2014-01-02T17:00:00Z")
    assert found["b"] == ("2014-01-02T14:00:00Z", "2014-01-02T16:00:00Z")


def test_a_series_that_has_ended_is_told_by_its_age_while_the_others_go_on(address):
    warmth = {"Temperature": [20] * 9}
    _post(address, {"a": {"start": "2014-01-02T16:00:00Z", "values": {"Demand": [70] * 6}}})
    _post(address, {one: {"start": "2014-01-02T16:00:00Z", "values": warmth} for one in ("a", "b")})
    found = _origins(address)
    assert found["a"][1] == "2014-01-02T22:00:00Z"
    # The step after its last target, six hours before that of the other one.
    assert found["b"][1] == "2014-01-02T16:00:00Z"
    together = {"series": ["a", "b"], "origin": "2014-01-02T22:00:00Z"}
    status, document = _send(address, "/v1/forecast", together)
    assert status == 200, document
    assert {one["series"]: one["stale"] for one in document["forecasts"]} == {"a": False, "b": True}
    assert {one["series"]: one["imputed"] for one in document["forecasts"]} == {"a": False, "b": True}


def test_a_series_that_the_version_does_not_know_is_forecast_from_observations(address):
    values = {"Demand": [*range(48)], "Temperature": [20] * 48}
    _post(address, {"new": {"start": "2014-01-01T00:00:00Z", "values": values}})
    _post(address, {"new": {"start": "2014-01-03T00:00:00Z", "values": {"Temperature": [20] * 3}}})
    assert _forecast(address, series=["new"])["origin"] == "2014-01-03T00:00:00Z"


def test_a_table_of_arrow_is_written_as_json_is(address, home):
    table = pa.table(
        {
            "series": ["a", "a"],
            "timestamp": pa.array([CUTOFF - 3600, CUTOFF], pa.timestamp("s", "UTC")),
            "Demand": [50.0, None],
            "Temperature": [None, 25.0],
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    headers = {"content-type": ARROW}
    known_at = "2014-01-02T17:00:00Z"
    status, document = _send(address, f"/v1/observations?known_at={known_at}", sink.getvalue().to_pybytes(), headers)
    assert (status, counts(document), document["known_at"]) == (200, {**NONE, "new": 2}, known_at)
    np.testing.assert_allclose(_forecast(address)["point"], _wanted(home, {(39, 0): 50, (40, 1): 25}), rtol=1e-6)


def test_the_client_posts_data_frames_and_mappings_and_says_what_became_of_them(address, home):
    times = pd.date_range("2014-01-02T16:00", periods=2, freq="h", tz="UTC")
    frame = pd.DataFrame({"series": ["a", "a"], "timestamp": times, "Demand": [70.0, 71.0]})
    with GatewayClient(f"http://{address}") as client:
        first = client.observe(frame, idempotency_key="feed-1")
        assert (first.new, first.restated, first.repeated) == (2, 0, False)
        assert client.observe(frame, idempotency_key="feed-1").repeated
        assert client.observe(frame).unchanged == 2
        values = {"a": {"start": "2014-01-02T17:00:00Z", "values": {"Demand": [80]}}}
        assert client.observe(values, known_at=datetime.now(UTC).replace(microsecond=0)).restated == 1
        with pytest.raises(GatewayRefusalError, match="must have columns among"):
            client.observe(frame.rename(columns={"Demand": "Wind"}))
        with pytest.raises(ConfigError, match="known_at must have a time zone"):
            client.observe(values, known_at=datetime(2014, 1, 2))  # noqa: DTZ001
        found = client.forecast(["a"]).table["point"].to_pylist()
    wanted = _wanted(home, {(40, 0): 70, (41, 0): 80}, origin=CUTOFF + 2 * 3600)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_the_asynchronous_client_posts_the_same(address):
    async def post():
        async with AsyncGatewayClient(f"http://{address}") as client:
            return await client.observe({"a": {"start": "2014-01-02T16:00:00Z", "values": {"Demand": [70, 71]}}})

    assert asyncio.run(post()).new == 2


def test_the_same_again_changes_nothing_and_a_key_is_for_one_content(address):
    body = {"a": {"start": "2014-01-02T16:00:00Z", "values": {"Demand": [70]}}}
    key = {"idempotency-key": "feed-1"}
    assert counts(_post(address, body, key)[1]) == {**NONE, "new": 1}
    assert counts(_post(address, body, key)[1]) == {**NONE, "repeated": True}
    assert counts(_post(address, body)[1]) == {**NONE, "unchanged": 1}
    body["a"]["values"]["Demand"] = [71]
    status, document = _post(address, body, key)
    assert status == 409
    assert "idempotency key 'feed-1' must stand for one content" in document["error"]
    assert counts(_post(address, body)[1]) == {**NONE, "restated": 1}


TOMORROW = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
GOOD = {"start": "2014-01-02T16:00:00Z", "values": {"Demand": [70]}}


@pytest.mark.parametrize(
    ("body", "message", "about"),
    [
        ({}, "must have the key 'observations'", None),
        ({"observations": {"a": GOOD}, "extra": 1}, "unknown key 'extra'", None),
        ({"observations": {"a": {**GOOD, "values": {"Wind": [1]}}}}, "'observations' must have columns among", "Wind"),
        ({"observations": {"a": GOOD, "b": {**GOOD, "start": "2014-01-02T16:30:00Z"}}}, "'observations' of series 'b' must have times on the grid of 3600 s", None),
        ({"observations": {"a": GOOD, "b": {**GOOD, "values": {"Demand": [1e39]}}}}, "must have finite numbers, found 1e+39 at 2014-01-02T16:00:00Z", "Demand"),
        ({"observations": {"a": {**GOOD, "values": {"Demand": [None]}}}}, "must have at least one value, found none", None),
        ({"observations": {"a": GOOD}, "known_at": TOMORROW}, "'known_at' must not lie in the future", None),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_named_and_nothing_is_written(address, home, body, message, about):
    status, document = _send(address, "/v1/observations", body)
    assert status == 400
    assert message in document["error"]
    assert document.get("column") == about
    np.testing.assert_allclose(_forecast(address)["point"], _wanted(home, {}), rtol=1e-6)


def test_observations_and_forecasts_outlive_the_gateway(server, root, home):
    with _gateway(server, root) as (process, addresses):
        _post(addresses["http"], {"a": {"start": "2014-01-02T15:00:00Z", "values": {"Demand": [50]}}})
        first = _forecast(addresses["http"])
        process.terminate()
        assert process.wait(30) == 0
    with _gateway(server, root) as (_, addresses):
        assert _forecast(addresses["http"])["point"] == first["point"]


def test_two_gateways_on_one_store_forecast_from_each_others_observations(server, root, home):
    with _gateway(server, root) as (_, one), _gateway(server, root) as (_, other):
        before = _forecast(other["http"])["point"]
        _post(one["http"], {"a": {"start": "2014-01-02T15:00:00Z", "values": {"Demand": [50]}}})
        ends = time.monotonic() + DEADLINE_S
        while (found := _forecast(other["http"])["point"]) == before:
            assert time.monotonic() < ends, "the other gateway did not see it"
    np.testing.assert_allclose(found, _wanted(home, {(39, 0): 50}), rtol=1e-6)


def test_every_forecast_is_in_the_store_once_the_gateway_has_ended(server, root):
    with _gateway(server, root) as (process, addresses):
        headers = {"x-request-id": "mine"}
        answered = _send(addresses["http"], "/v1/forecast", {"series": ["a"], "quantiles": [0.9]}, headers)[1][
            "forecasts"
        ][0]
        for _ in range(20):
            _forecast(addresses["http"], series=["a", "b"])
        process.terminate()
        assert process.wait(30) == 0
    with open_store(store_address(None, root / "serving.db")) as store:
        found = read_forecasts(store, ForecastQuery(model="tiny"))
    assert len(found) == 41
    (kept,) = [one for one in found if one.request.startswith("mine/")]
    assert (kept.series, kept.version, kept.role, kept.origin) == ("a", 1, "champion", CUTOFF)
    assert kept.levels == (0.1, 0.5, 0.9)
    np.testing.assert_allclose(kept.quantiles[:, 1], answered["point"], rtol=1e-6)
    np.testing.assert_allclose(kept.quantiles[:, 2], answered["quantiles"]["0.9"], rtol=1e-6)
    assert kept.flags == ForecastFlag.NONE
    assert kept.latency_us > 0


def test_a_replay_does_not_know_what_became_known_after_its_first_step(address, home):
    wanted = _wanted(home, {}, CUTOFF - 3 * 3600)

    def replayed():
        connection = http.client.HTTPConnection(address, timeout=20)
        connection.request("GET", "/v1/series/a/replays?count=1")
        (found,) = json.loads(connection.getresponse().read())["forecasts"]
        connection.close()
        return found["origin"], found["point"]

    # Restated years later, and so read by forecasts of now.
    _post(address, {"a": {"start": "2014-01-02T12:00:00Z", "values": {"Demand": [90]}}})
    origin, point = replayed()
    assert origin == "2014-01-02T13:00:00Z"
    np.testing.assert_allclose(point, wanted, rtol=1e-6)
    asked = _forecast(address, origin="2014-01-02T13:00:00Z")
    np.testing.assert_allclose(asked["point"], _wanted(home, {(36, 0): 90}, CUTOFF - 3 * 3600), rtol=1e-6)


@pytest.mark.parametrize(
    ("column", "start", "series", "limit"),
    [
        ("Demand", "2014-01-03T02:00:00Z", "a", "2014-01-03T01:00:00Z"),
        ("Demand", "9999-12-31T00:00:00Z", "new", "2014-01-03T01:00:00Z"),
        ("Temperature", "2015-02-07T01:00:00Z", "a", "2015-02-07T00:00:00Z"),
    ],
)
def test_what_cannot_have_been_observed_yet_is_refused(address, column, start, series, limit):
    rows = {series: {"start": start, "values": {column: [1]}}}
    status, document = _post(address, rows, known_at="2014-01-03T00:00:00Z")
    assert (status, document["series"], document["column"], document["place"]) == (400, series, column, start)
    assert f"must not lie beyond {limit}, until when" in document["error"]


def _kept(address, query=""):
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("GET", f"/v1/series/a/forecasts{query}")
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


def test_what_was_forecast_stands_beside_what_came(address):
    assert _kept(address)[1]["forecasts"] == []
    forecast = _forecast(address, quantiles=[0.9])
    _post(address, {"a": {"start": "2014-01-02T16:00:00Z", "values": {"Demand": [70, 71]}}})
    pause = threading.Event()
    ends = time.monotonic() + DEADLINE_S
    while not (found := _kept(address))[1]["forecasts"]:
        assert time.monotonic() < ends, "the forecast was not written"
        pause.wait(0.05)
    assert found[0] == 200
    KeptForecastsDocument.model_validate(found[1])
    (kept,) = found[1]["forecasts"]
    assert (kept["origin"], kept["version"], kept["role"]) == ("2014-01-02T16:00:00Z", 1, "champion")
    np.testing.assert_allclose(kept["point"], forecast["point"], rtol=1e-6)
    assert sorted(kept["quantiles"]) == ["0.1", "0.5", "0.9"]
    assert kept["timestamps"] == forecast["timestamps"]
    assert kept["actual"] == [70, 71, None]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?count=61", "'count' must be a whole number from 1 to 60, found '61'"),
        ("?apart=0", "'apart' must be a whole number from 1 to 100000, found '0'"),
        ("?counts=1", "the query may have 'count' and 'apart', found 'counts'"),
    ],
)
def test_a_query_for_kept_forecasts_that_is_wrong_is_refused(address, query, message):
    status, document = _kept(address, query)
    assert (status, document["error"]) == (400, message)


def test_the_metrics_tell_of_the_log_of_forecasts(address):
    _forecast(address, series=["a", "b"])
    ends, pause = time.monotonic() + DEADLINE_S, threading.Event()
    while 'forecast_log_forecasts_total{model="tiny",outcome="written"} 2.0' not in (page := _page(address)):
        assert time.monotonic() < ends, page
        pause.wait(0.05)
    assert 'forecast_log_alive{model="tiny"} 1.0' in page
    assert 'forecast_log_waiting{model="tiny"} 0.0' in page
    assert 'forecast_log_forecasts_total{model="tiny",outcome="refused"} 0.0' in page


def _page(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as response:
        return response.read().decode()


SERVED = """
import sys
from pathlib import Path
from forecasting.config.sections import ServingConfig
from forecasting.config.store import StoreConfig
from serving.launch import serve

ports = ServingConfig(grpc_port=0, rest_port=0, gateway_port=0)
sys.exit(serve(Path(sys.argv[1]), "tiny", None, ports, store=StoreConfig(flush_interval_s=60)))
"""


def test_no_forecast_that_was_answered_before_sigterm_is_lost(root):
    process = subprocess.Popen([sys.executable, "-c", SERVED, str(root / "models")], stdout=subprocess.PIPE, text=True)
    lines = list(itertools.takewhile(lambda line: not line.startswith("ready"), process.stdout))
    address = next(line.split("//")[1].strip() for line in lines if line.startswith("gateway"))
    answered: set[str] = set()

    def ask_until_it_ends(client: int) -> None:
        for number in itertools.count():
            request = f"{client}-{number}"
            try:
                if _send(address, "/v1/forecast", {"series": ["a"]}, {"x-request-id": request})[0] == 200:
                    answered.add(request)
            except (OSError, http.client.HTTPException):
                return

    with ThreadPoolExecutor(3) as clients:
        asking = [clients.submit(ask_until_it_ends, client) for client in range(3)]
        waiting, ends = threading.Event(), time.monotonic() + DEADLINE_S
        while len(answered) < 300 and time.monotonic() < ends:
            waiting.wait(0.02)
        process.terminate()
        assert process.wait(40) == 0
        for one in asking:
            one.result()
    with open_store(store_address(None, root / "serving.db")) as store:
        kept = {one.request.partition("/")[0] for one in read_forecasts(store, ForecastQuery(model="tiny"))}
    assert len(answered) >= 300
    assert answered <= kept


def test_a_gateway_removes_what_is_older_than_it_has_to_be_kept(server, root):
    waiting = threading.Event()
    with open_store(store_address(None, root / "serving.db")) as store:
        write_forecasts(store, [batch(model="tiny"), batch(model="tiny", request="r2", created_at=int(time.time()))])
        with _gateway(server, root, "--keep-forecasts=1d"):
            ends = time.monotonic() + DEADLINE_S
            while len(found := read_forecasts(store, ForecastQuery(model="tiny"))) == 4:
                assert time.monotonic() < ends, "nothing was removed"
                waiting.wait(0.05)
    assert {one.request for one in found} == {"r2"}


def test_the_settings_of_the_store_reach_the_gateway():
    settings = StoreConfig(url="postgresql://a:${SECRET}@db/n", keep_forecasts=None, queue_size=7)
    flags = build_parser().parse_args(["--model=m", "--models-dir=d", *_store_flags(settings)])
    assert (flags.store, flags.keep_forecasts, flags.queue_size) == (settings.url, "none", "7")
    assert build_parser().parse_args(["--model=m", "--models-dir=d", *_store_flags(StoreConfig())]).store == "default"
    assert build_parser().parse_args(["--model=m", "--models-dir=d", *_store_flags(None)]).store is None


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--store=mysql://a@h/n", "store.url must be sqlite:///FILE"),
        ("--keep-forecasts=long", "--keep-forecasts: Value error"),
        ("--queue-size=0", "--queue-size: Input should be greater than 0, found '0'"),
    ],
)
def test_a_gateway_whose_store_is_set_wrong_says_so(tmp_path, flag, message, capsys):
    assert gateway(["--model=m", f"--models-dir={tmp_path / 'models'}", "--port=0", "--store=default", flag]) == 2
    assert message in capsys.readouterr().err
