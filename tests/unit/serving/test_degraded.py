"""The gateway where the model cannot be asked: series in quarantine, and a model server that is gone."""

import http.client
import json
import re
import signal
import sys
import threading
import time
from contextlib import ExitStack

import numpy as np
import pytest

from forecasting.answering.fallback import fallback_answer
from forecasting.repository import ModelRepository
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import listening_process, model_server
from tests.unit.forecasting.series_stores import write_series_store
from tests.unit.serving import tiny_models

START = 1_388_534_400  # 2014-01-01T00:00:00Z
LINE = {"http": re.compile(r"Gateway at (\S+)")}
CUTOFF = START + 40 * 3600
REASON = "its unit changed by a factor of 100"


def _store(targets):
    spec = SeriesSpec("Demand", (), ("Temperature",), (), {}, 3600, SplitSpec(START + 72000, START + 108000, CUTOFF))
    warmth = 20 + np.arange(40.0) % 5
    rows = {name: np.column_stack([target, warmth]) for name, target in targets.items()}
    return SeriesStore(spec, tuple(Series(name, START, values) for name, values in rows.items()))


@pytest.fixture(scope="module")
def home(models, tmp_path_factory):
    """Champion of factor 2; series a and c (from hour 5 on) are trained on; in quarantine are b, and d, which has no values."""
    root = tmp_path_factory.mktemp("degraded")
    clock = np.arange(40.0)
    store = root / "store"
    (store / "quarantine").mkdir(parents=True)
    steady, late = 10 + clock % 4, np.where(clock < 5, np.nan, 10 + clock % 4)
    steady[34:37] = np.nan
    broken = np.append(10 + clock[:-6] % 4, [700, 900, 1100, 800, 1000, 1200])
    write_series_store(_store({"a": steady, "c": late}), store)
    write_series_store(_store({"b": broken, "d": np.full(40, np.nan)}), store / "quarantine")
    quarantined = [{"series": name, "rules": ["unit_change"], "reason": REASON} for name in ("b", "d")]
    (store / "report.json").write_text(json.dumps({"quarantined": quarantined}))
    repository = ModelRepository(root / "models")
    repository.promote(
        "tiny", repository.publish("tiny", tiny_models.write_version(models, root / "v", factor=2, lite=True))
    )
    repository.keep_series("tiny", 1, store)
    return root


class Services:
    """A model server that can be killed and started again at its port, and gateways in front of it."""

    def __init__(self, home, stack):
        self._home, self._stack = home, stack
        self.server = None

    def start_server(self):
        config = ModelRepository(self._home / "models").server_config
        flags = [f"--model_config_file={config}", "--prefer_tflite_model"]
        if self.server is not None:
            flags.append(f"--port={self.server.grpc_address.rpartition(':')[2]}")
        self.server = self._stack.enter_context(model_server(flags, log=self._home / "server.log"))
        with GrpcClient(self.server.grpc_address) as client:
            client.wait_available("tiny", 1)

    def kill_server(self):
        self.server.process.send_signal(signal.SIGKILL)
        self.server.process.wait(20)

    def gateway(self, *flags):
        command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={self._home / 'models'}"]
        command += [f"--grpc={self.server.grpc_address}", "--port=0", *flags]
        log = self._home / f"gateway{len(flags)}.log"
        _, addresses = self._stack.enter_context(listening_process(command, LINE, log=log))
        return addresses["http"]


@pytest.fixture(scope="module")
def services(home):
    with ExitStack() as stack:
        found = Services(home, stack)
        found.start_server()
        yield found


@pytest.fixture(scope="module")
def address(services):
    return services.gateway()


@pytest.fixture
def without_server(services, address):
    """The address of the gateway while its model server is dead."""
    services.kill_server()
    yield address
    if services.server.process.poll() is not None:
        services.start_server()
    assert _wait(lambda: _ask(address, "GET", "/readyz")[1] == "ready\n")


def _ask(address, method, path, body=None):
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request(method, path, None if body is None else json.dumps(body).encode())
    response = connection.getresponse()
    text = response.read()
    connection.close()
    is_json = response.getheader("content-type") == "application/json"
    return response.status, json.loads(text) if is_json else text.decode()


def _wait(condition, seconds=30.0):
    event, deadline = threading.Event(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        event.wait(0.1)
    return False


def _counted(address, cause):
    page = _ask(address, "GET", "/metrics")[1]
    found = re.search(rf'forecast_degraded_total{{cause="{cause}",model="tiny"}} (\S+)', page)
    return float(found.group(1)) if found else 0.0


def test_all_series_include_those_in_quarantine_marked_with_the_reason(address):
    status, document = _ask(address, "POST", "/v1/forecast", {})
    assert status == 200
    flags = {one["series"]: (one["degraded"], one["reason"]) for one in document["forecasts"]}
    assert flags == {
        "a": (False, None),
        "b": (True, f"the series is in quarantine: {REASON}"),
        "c": (False, None),
    }


def test_a_quarantined_series_without_values_is_skipped_with_the_reason(address):
    _, document = _ask(address, "POST", "/v1/forecast", {})
    assert document["skipped"] == [{"series": "d", "reason": "series 'd' cannot be forecast: it has no target"}]
    status, document = _ask(address, "POST", "/v1/forecast", {"series": ["d"]})
    assert status == 400
    assert "it has no target" in document["error"]


def test_a_series_in_quarantine_is_answered_by_the_seasonal_naive_of_its_own_past(address):
    status, document = _ask(address, "POST", "/v1/forecast", {"series": ["b"]})
    assert status == 200
    (forecast,) = document["forecasts"]
    assert forecast["origin"] == "2014-01-02T16:00:00Z"
    assert forecast["point"] == [800, 1000, 1200]
    target = np.append(10 + np.arange(34.0) % 4, [700, 900, 1100, 800, 1000, 1200])
    wanted = fallback_answer(Series("b", START, target[:, None]), tiny_models.SPEC, CUTOFF)
    for i, level in enumerate(("0.1", "0.5", "0.9")):
        np.testing.assert_allclose(forecast["quantiles"][level], wanted[:, i], rtol=1e-6)


def test_an_origin_and_levels_hold_for_the_fallback_too(address):
    body = {"series": ["b"], "origin": "2014-01-02T04:00:00Z", "quantiles": [0.9]}
    (forecast,) = _ask(address, "POST", "/v1/forecast", body)[1]["forecasts"]
    # Hours 25, 26 and 27 of a course that repeats 10, 11, 12, 13.
    assert forecast["point"] == [11, 12, 13]
    assert list(forecast["quantiles"]) == ["0.9"]
    body["origin"] = "2014-01-03T00:00:00Z"
    status, document = _ask(address, "POST", "/v1/forecast", body)
    assert status == 400
    assert "from 2014-01-01T01:00:00Z to 2014-01-02T16:00:00Z" in document["error"]


def test_a_request_that_refuses_the_fallback_gets_an_error_or_a_skipped_series(address):
    status, document = _ask(address, "POST", "/v1/forecast", {"series": ["b"], "fallback": False})
    assert status == 400
    assert document["error"] == f"series 'b' is in quarantine and the fallback is refused: {REASON}"
    _, document = _ask(address, "POST", "/v1/forecast", {"fallback": False})
    assert [one["series"] for one in document["forecasts"]] == ["a", "c"]
    assert [one["series"] for one in document["skipped"]] == ["b", "d"]


def test_fallback_must_be_a_truth_value(address):
    status, document = _ask(address, "POST", "/v1/forecast", {"fallback": "no"})
    assert status == 400
    assert "'fallback' must be true, false or null, found 'no'" in document["error"]


def test_the_state_pages_name_the_quarantine(address):
    _, document = _ask(address, "GET", "/v1/models/tiny")
    assert document["quarantined"] == [{"series": "b", "reason": REASON}, {"series": "d", "reason": REASON}]
    assert (document["fallback"], document["n_series"]) == (True, 4)
    entries = {one["id"]: one for one in _ask(address, "GET", "/v1/series")[1]["series"]}
    assert (entries["a"]["degraded"], entries["b"]["degraded"], entries["b"]["reason"]) == (False, True, REASON)
    assert entries["b"]["default_origin"] == "2014-01-02T16:00:00Z"
    assert entries["d"]["default_origin"] is None


def test_the_counter_counts_series_by_cause(address):
    before = _counted(address, "quarantine")
    _ask(address, "POST", "/v1/forecast", {"series": ["a", "b"]})
    assert _counted(address, "quarantine") == before + 1


def test_a_killed_model_server_leaves_degraded_answers_and_its_return_ends_them(services, address, without_server):
    before = _counted(address, "model_server")
    status, document = _ask(without_server, "POST", "/v1/forecast", {})
    assert status == 200
    reasons = {one["series"]: one["reason"] for one in document["forecasts"]}
    assert set(reasons) == {"a", "b", "c"}
    assert all(one["degraded"] for one in document["forecasts"])
    assert reasons["a"].startswith("the model server cannot be reached: the model server at 127.0.0.1:")
    assert reasons["b"] == f"the series is in quarantine: {REASON}"
    # The covariates reach to hour 40, so the forecast is from hour 37; hours 31 to 33 are its last known season.
    assert document["forecasts"][0]["origin"] == "2014-01-02T13:00:00Z"
    assert document["forecasts"][0]["point"] == [13, 10, 11]
    assert _counted(address, "model_server") == before + 2
    status, text = _ask(address, "GET", "/readyz")
    assert (status, text.partition(":")[0]) == (200, "degraded")
    assert "UNAVAILABLE" in _ask(address, "GET", "/v1/models/tiny")[1]["problem"]
    services.start_server()
    assert _wait(lambda: not _ask(address, "POST", "/v1/forecast", {"series": ["a"]})[1]["forecasts"][0]["degraded"])


def test_without_the_model_server_who_refuses_the_fallback_gets_503(services, without_server):
    status, document = _ask(without_server, "POST", "/v1/forecast", {"series": ["a"], "fallback": False})
    assert status == 503
    assert "UNAVAILABLE" in document["error"]
    strict = services.gateway("--no-fallback")
    assert _ask(strict, "POST", "/v1/forecast", {})[0] == 503
    assert _ask(strict, "GET", "/readyz")[0] == 503
    assert _ask(strict, "GET", "/v1/models/tiny")[1]["fallback"] is False


def test_a_series_that_is_new_to_the_model_is_answered_by_the_fallback_from_what_the_request_gives(address):
    """Its target lies before the six steps that the model reads, so the model would know nothing of it."""
    body = {
        "origin": "2014-01-02T00:00:00Z",
        "history": {"z": {"start": "2014-01-01T06:00:00Z", "values": {"Demand": [5, 6, 7]}}},
        "known": {"z": {"Temperature": [1, 2, 3]}},
    }
    status, document = _ask(address, "POST", "/v1/forecast", {**body, "series": ["z"]})
    assert status == 400, document
    assert "must be from 2014-01-01T07:00:00Z to 2014-01-01T09:00:00Z" in document["error"]
    body["history"]["z"]["values"] = {"Demand": [5, 6, 7] + [None] * 14 + [8.0], "Temperature": [0.0] * 18}
    body["origin"] = "2014-01-01T16:00:00Z"
    before = _counted(address, "cold")
    status, document = _ask(address, "POST", "/v1/forecast", body)
    assert status == 200, document
    (forecast,) = document["forecasts"]
    assert (forecast["degraded"], forecast["imputed"], forecast["stale"]) == (True, True, True)
    assert forecast["reason"] == "the series has no target in what the model reads of its history"
    # Hours 6 to 8 again, from hour 16 on: 16 is one more than three times three after 6.
    assert forecast["point"] == [6, 7, 5]
    assert _counted(address, "cold") == before + 1
    status, document = _ask(address, "POST", "/v1/forecast", {**body, "fallback": False})
    assert status == 400
    assert "and the fallback is refused" in document["error"]


def test_an_origin_before_any_target_cannot_be_answered(without_server):
    status, document = _ask(without_server, "POST", "/v1/forecast", {"series": ["c"], "origin": "2014-01-01T02:00:00Z"})
    assert status == 400
    assert "series 'c' has no target before 2014-01-01T02:00:00Z" in document["error"]
    _, document = _ask(without_server, "POST", "/v1/forecast", {"origin": "2014-01-01T02:00:00Z"})
    assert [one["series"] for one in document["forecasts"]] == ["a", "b"]
    assert [one["series"] for one in document["skipped"]] == ["c", "d"]


def test_the_log_warns_and_not_with_every_request(home, address):
    for _ in range(5):
        _ask(address, "POST", "/v1/forecast", {"series": ["b"]})
    lines = [line for line in (home / "gateway0.log").read_text().splitlines() if "(quarantine)" in line]
    assert 1 <= len(lines) <= 2
    assert f"the first is 'b': the series is in quarantine: {REASON}" in lines[0]


def test_a_model_server_that_hangs_is_waited_for_once_and_asked_again_when_it_goes_on(services):
    address = services.gateway("--timeout-s=3")
    assert not _forecast_of_a(address)["degraded"]
    services.server.process.send_signal(signal.SIGSTOP)
    try:
        found = [_forecast_of_a(address) for _ in range(2)]
        state, page = _ask(address, "GET", "/readyz"), _ask(address, "GET", "/v1/models/tiny")
    finally:
        services.server.process.send_signal(signal.SIGCONT)
    assert [one["degraded"] for one in found] == [True, True]
    assert ["DEADLINE_EXCEEDED" in one["reason"] for one in found] == [True, False]
    assert "is not asked again yet" in found[1]["reason"]
    assert state == (200, "degraded: the model server does not answer within 0.3 s\n")
    assert (page[0], page[1]["problem"]) == (200, "the model server does not answer within 0.3 s")
    assert _wait(lambda: not _forecast_of_a(address)["degraded"])


def _forecast_of_a(address):
    status, document = _ask(address, "POST", "/v1/forecast", {"series": ["a"]})
    assert status == 200
    return document["forecasts"][0]
