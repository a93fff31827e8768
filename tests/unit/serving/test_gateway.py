"""The gateway in front of a running server; history from a series store."""

import concurrent.futures
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import numpy as np
import pytest

from forecasting.config.sections import ServingConfig
from forecasting.errors import ConfigError
from forecasting.repository import ModelRepository
from forecasting.series_store import read_series_store
from forecasting.windows import window_inputs
from forecasting.wire.client import PREDICT_METHOD
from forecasting.wire.messages import REFUSE_AT_ONCE
from forecasting.wire.server_process import listening_process
from serving.gateway.schemas import ErrorDocument, ForecastsDocument, ModelDocument, SeriesListDocument
from serving.launch import serve
from tests.unit.serving import tiny_models
from tests.unit.serving.conftest import LINE, START


def _ask(address, method, path, body=None):
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request(method, path, body if isinstance(body, bytes | None) else json.dumps(body).encode())
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, json.loads(text) if response.getheader(
        "content-type"
    ) == "application/json" else text.decode()


def test_a_forecast_is_the_models_answer_to_the_stores_window(address, home):
    status, document = _ask(address, "POST", "/v1/forecast", {"series": ["a"]})
    assert status == 200
    assert (document["model"], document["version"], document["target"]) == ("tiny", 1, "Demand")
    (forecast,) = document["forecasts"]
    assert forecast["timestamps"] == ["2014-01-02T16:00:00Z", "2014-01-02T17:00:00Z", "2014-01-02T18:00:00Z"]
    series = read_series_store(home / "series").get("a")
    wanted = tiny_models.expected(window_inputs(series, tiny_models.SPEC, np.array([START + 40 * 3600])), 2.0)[0]
    np.testing.assert_allclose(forecast["point"], wanted[:, 1], rtol=1e-6)
    np.testing.assert_allclose(forecast["quantiles"]["0.9"], wanted[:, 2], rtol=1e-6)
    assert list(forecast["quantiles"]) == ["0.1", "0.5", "0.9"]


def test_without_ids_every_series_is_forecast_at_its_own_latest_origin(address):
    status, document = _ask(address, "POST", "/v1/forecast", b"")
    assert status == 200
    origins = {forecast["series"]: forecast["origin"] for forecast in document["forecasts"]}
    assert origins == {"a": "2014-01-02T16:00:00Z", "b": "2014-01-02T14:00:00Z"}


def test_a_forecast_that_starts_before_the_last_target_says_what_limits_it(address):
    _, document = _ask(address, "POST", "/v1/forecast", {"series": ["a", "b"]})
    free, limited = (forecast["limited_by"] for forecast in document["forecasts"])
    assert free is None
    assert limited == (
        "known covariates end at 2014-01-02T16:00:00Z; "
        "with their values under 'known' of the request the forecast starts at 2014-01-02T16:00:00Z"
    )


def test_an_origin_that_was_asked_for_is_limited_by_nothing(address):
    body = {"series": ["b"], "origin": "2014-01-02T10:00:00Z"}
    assert _ask(address, "POST", "/v1/forecast", body)[1]["forecasts"][0]["limited_by"] is None


@pytest.mark.parametrize("series", ["b", "c"])
def test_known_values_of_the_horizon_carry_the_forecast_past_the_table(address, home, series):
    body = {"series": [series], "known": {series: {"Temperature": [25, 26.5, 27]}}}
    status, document = _ask(address, "POST", "/v1/forecast", body)
    assert status == 200, document
    (forecast,) = document["forecasts"]
    assert (forecast["origin"], forecast["limited_by"]) == ("2014-01-02T16:00:00Z", None)
    window = window_inputs(
        read_series_store(home / "series").get(series), tiny_models.SPEC, np.array([START + 40 * 3600])
    )
    window.future[0, :, 0] = [25, 26.5, 27]
    np.testing.assert_allclose(forecast["point"], tiny_models.expected(window, 2.0)[0, :, 1], rtol=1e-6)


def test_known_values_by_time_answer_as_a_list_of_them_does(address):
    listed = {"series": ["b"], "known": {"b": {"Temperature": [25, 26.5, 27]}}}
    times = ("2014-01-02T16:00:00Z", "2014-01-02T19:00:00+02:00", "2014-01-02T18:00:00Z", "2014-01-05T00:00:00Z")
    by_time = {"b": {"Temperature": dict(zip(times, [25, 26.5, 27, 99], strict=True))}}
    found = _ask(address, "POST", "/v1/forecast", {"series": ["b"], "known": by_time})
    assert found == _ask(address, "POST", "/v1/forecast", listed)
    assert found[0] == 200


def test_known_values_go_before_those_of_the_store_and_leave_other_series_alone(address):
    origin = "2014-01-02T00:00:00Z"
    plain = _ask(address, "POST", "/v1/forecast", {"series": ["a", "b"], "origin": origin})[1]["forecasts"]
    body = {"series": ["a", "b"], "origin": origin, "known": {"a": {"Temperature": [0, 0, 0]}}}
    warmer = _ask(address, "POST", "/v1/forecast", body)[1]["forecasts"]
    # The store has 24, 20 and 21 degrees in these three hours: 20 + clock % 5 from hour 24 on.
    np.testing.assert_allclose(np.subtract(plain[0]["point"], warmer[0]["point"]), [24, 20, 21], rtol=1e-5)
    assert plain[1] == warmer[1]


def test_history_of_the_request_is_answered_as_if_it_had_been_stored(address, home):
    body = {"history": {"a": {"start": "2014-01-02T15:00:00Z", "values": {"Demand": [40]}}}}
    status, document = _ask(address, "POST", "/v1/forecast", body)
    assert status == 200, document
    (forecast,) = document["forecasts"]
    assert (forecast["series"], forecast["origin"]) == ("a", "2014-01-02T16:00:00Z")
    window = window_inputs(read_series_store(home / "series").get("a"), tiny_models.SPEC, np.array([START + 40 * 3600]))
    window.history[0, -1, 0] = 40
    np.testing.assert_allclose(forecast["point"], tiny_models.expected(window, 2.0)[0, :, 1], rtol=1e-6)
    assert (forecast["imputed"], forecast["stale"], forecast["degraded"]) == (False, False, False)


def test_without_ids_a_series_that_cannot_be_forecast_is_skipped_with_the_reason(address):
    _, document = _ask(address, "POST", "/v1/forecast", {})
    (skipped,) = document["skipped"]
    assert skipped["series"] == "c"
    assert "never cover 3 steps" in skipped["reason"]


def test_an_origin_that_only_some_series_have_skips_the_others(address):
    _, document = _ask(address, "POST", "/v1/forecast", {"origin": "2014-01-02T21:00:00Z"})
    assert [forecast["series"] for forecast in document["forecasts"]] == ["a"]
    assert [skipped["series"] for skipped in document["skipped"]] == ["b", "c"]


def test_an_origin_in_another_zone_and_a_choice_of_quantiles_are_taken(address):
    body = {"series": ["a"], "origin": "2014-01-02T02:00:00+02:00", "quantiles": [0.9]}
    status, document = _ask(address, "POST", "/v1/forecast", body)
    assert status == 200
    assert document["forecasts"][0]["origin"] == "2014-01-02T00:00:00Z"
    assert list(document["forecasts"][0]["quantiles"]) == ["0.9"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "must be JSON"),
        (b"[" * 200_000, 400, "must be JSON"),
        (b"[1]", 400, "must be a JSON object, found list"),
        ({"serie": ["a"]}, 400, "unknown key 'serie'"),
        ({"series": []}, 400, "'series' must be a list"),
        ({"series": ["a", "a"]}, 400, "must not name an id twice"),
        ({"series": ["zz"]}, 404, "no series 'zz'"),
        ({"origin": "0001-01-01T00:00:00+14:00"}, 400, "'origin' must lie in the years 1 to 9999 of UTC"),
        ({"cutoff": "9999-12-31T23:59:59-10:00"}, 400, "'cutoff' must lie in the years 1 to 9999 of UTC"),
        ({"origin": "soon"}, 400, "'origin' must be an ISO 8601 time"),
        ({"origin": "2014-01-02T00:00:00"}, 400, "must carry a time zone"),
        ({"series": ["a"], "origin": "2014-01-02T00:30:00Z"}, 400, "on the grid of 3600 s"),
        ({"series": ["a"], "origin": "2015-01-02T00:00:00Z"}, 400, "from 2014-01-01T01:00:00Z to 2014-01-02T21:00:00Z"),
        ({"series": ["a", "c"]}, 400, "series 'c' cannot be forecast"),
        ({"origin": "2015-01-02T00:00:00Z"}, 400, "none of the 3 series can be forecast"),
        ({"known": [1]}, 400, "'known' must be an object of series"),
        ({"known": {"a": [1, 2, 3]}}, 400, "'known' must be an object of series"),
        ({"known": {"a": {"Temperature": [1, None, 3]}}}, 400, "must be a list of numbers"),
        ({"known": {"a": {"Temperature": [1, True, 3]}}}, 400, "must be a list of numbers"),
        ({"known": {"a": {"Temperature": [1, 1e39, 3]}}}, 400, "must be a list of numbers"),
        ({"known": {"a": {"Temperature": 5}}}, 400, "must be a list of numbers, or numbers by time"),
        ({"known": {"a": {"Temperature": {"2014-01-02T16:00:00Z": "warm"}}}}, 400, "must be a list of numbers"),
        ({"known": {"a": {"Temperature": {"noon": 1}}}}, 400, "must be an ISO 8601 time such as"),
        ({"known": {"a": {"Temperature": {"2014-01-02T16:00:00": 1}}}}, 400, "must carry a time zone"),
        (
            {"known": {"a": {"Temperature": {"2014-01-02T16:00:00Z": 1, "2014-01-02T17:00:00+01:00": 2}}}},
            400,
            "must name each time once, found one in two zones",
        ),
        ({"known": {"a": {"Temperature": [1, 2]}}}, 400, "must have 3 values, one a step of the horizon, found 2"),
        ({"known": {"a": {"Wind": [1, 2, 3]}}}, 400, "must name columns among ['Temperature'], found 'Wind'"),
        ({"known": {"zz": {"Temperature": [1, 2, 3]}}}, 404, "no series 'zz'"),
        ({"series": ["a"], "known": {"b": {}}}, 400, "names series 'b', which 'series' does not ask for"),
        ({"series": ["b"], "known": {"b": {}}}, 400, "'Temperature' is missing at 2014-01-02T17:00:00Z"),
        ({"known": {"b": {}}}, 400, "series 'b': the known covariate 'Temperature' is missing"),
        ({"history": []}, 400, "'history' must be an object of at least one series"),
        (
            {"history": {"a": {"start": "2014-01-02T15:00:00Z", "values": {"Demand": 1}}}},
            400,
            "must be a list of numbers",
        ),
        (
            {"series": ["b"], "history": {"a": {"start": "2014-01-02T15:00:00Z", "values": {"Demand": [1]}}}},
            400,
            "which 'series' does not ask for",
        ),
        ({"static": {"a": {"Zone": "n"}}}, 400, "'static' is for new series, which need an entry in 'history' too"),
        (
            {"origin": "2014-01-02T15:00:00Z", "cutoff": "2014-01-02T15:00:00Z"},
            400,
            "'origin' and 'cutoff' must not both be given",
        ),
        ({"quantiles": [0.2]}, 400, "'quantiles' must be among"),
        (b" " * 1_000_001, 413, "must not exceed 1000000 bytes"),
    ],
)
def test_bad_requests_get_one_clear_line(address, body, status, message):
    found, document = _ask(address, "POST", "/v1/forecast", body)
    assert found == status
    assert message in document["error"]


def test_an_error_does_not_give_back_all_that_it_was_sent(address):
    status, document = _ask(address, "POST", "/v1/forecast", {"origin": "x" * 500_000})
    assert status == 400
    assert document["error"].startswith("'origin' must be an ISO 8601 time")
    assert len(document["error"]) < 2100


def test_wrong_paths_and_methods_are_named(address):
    status, document = _ask(address, "GET", "/v1/forecast")
    assert (status, document["error"]) == (405, "/v1/forecast takes POST, found GET")
    status, document = _ask(address, "GET", "/nothing")
    assert status == 404
    assert document["error"].startswith("there is no '/nothing'")
    assert _ask(address, "GET", "/v1/series/")[0] == 404
    assert _ask(address, "GET", "/v1/models/other")[0] == 404


def _with_id(address, request_id):
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("GET", "/v1/models/other", headers={"X-Request-ID": request_id} if request_id else {})
    response = connection.getresponse()
    found = response.getheader("x-request-id"), json.loads(response.read())
    connection.close()
    return found


def test_every_error_has_one_form_with_the_clients_request_id(address):
    header, document = _with_id(address, "order-17:retry_2.a")
    assert header == "order-17:retry_2.a"
    text = "there is no model 'other' here; this gateway serves 'tiny'"
    assert document == {"error": text, "status": 404, "request_id": "order-17:retry_2.a"}


@pytest.mark.parametrize("given", ["", "two words", "x" * 129])
def test_a_request_without_a_usable_id_gets_one(address, given):
    header, document = _with_id(address, given)
    assert re.fullmatch("[0-9a-f]{32}", header)
    assert document["request_id"] == header


@pytest.mark.parametrize(
    ("method", "path", "model"),
    [
        ("POST", "/v1/forecast", ForecastsDocument),
        ("GET", "/v1/series", SeriesListDocument),
        ("GET", "/v1/models/tiny", ModelDocument),
        ("GET", "/nothing", ErrorDocument),
    ],
)
def test_answers_are_as_the_openapi_document_has_them(address, method, path, model):
    assert model.model_validate(_ask(address, method, path)[1])


def test_the_openapi_document_is_served(address):
    assert "/v1/forecast" in _ask(address, "GET", "/openapi.json")[1]["paths"]


def test_the_model_page_shows_roles_and_what_the_server_has(address):
    status, document = _ask(address, "GET", "/v1/models/tiny")
    assert status == 200
    assert (document["champion"], document["candidate"], document["available_versions"]) == (1, None, [1])
    assert (document["horizon"], document["cutoff"], document["n_series"]) == (3, "2014-01-02T16:00:00Z", 3)


def test_series_are_listed_with_their_origins(address):
    status, document = _ask(address, "GET", "/v1/series")
    assert status == 200
    assert document["series"][1] == {
        "id": "b",
        "first_origin": "2014-01-01T01:00:00Z",
        "last_origin": "2014-01-02T14:00:00Z",
        "default_origin": "2014-01-02T14:00:00Z",
        "next_origin": "2014-01-02T16:00:00Z",
        "degraded": False,
        "reason": None,
    }


def test_metrics_count_by_route_and_carry_no_client_text(address):
    _ask(address, "POST", "/v1/forecast", {"series": ["secret-id"]})
    _ask(address, "GET", "/secret-path")
    status, page = _ask(address, "GET", "/metrics")
    assert status == 200
    assert 'forecast_requests_total{code="404",model="tiny",route="/v1/forecast"}' in page
    assert 'forecast_model_version{model="tiny",role="champion"} 1.0' in page
    assert "forecast_model_cutoff_timestamp_seconds" in page
    assert 'forecast_model_state{model="tiny",state="ready"} 1.0' in page
    assert 'forecast_model_loaded_timestamp_seconds{model="tiny",version="1"}' in page
    assert 'forecast_model_trained_timestamp_seconds{model="tiny",version="1"}' in page
    assert 'forecast_model_data_end_timestamp_seconds{model="tiny",version="1"}' in page
    assert 'forecast_requests_rejected_total{model="tiny",reason="not_found"}' in page
    assert re.search(
        r'forecast_model_info\{model="tiny",revision="unknown",role="champion",table_digest="\w+",version="1"\} 1.0',
        page,
    )
    assert 'forecast_build_info{revision="' in page
    assert "process_resident_memory_bytes" in page
    assert "secret" not in page


def test_readiness_follows_the_model_server(home, address, tmp_path):
    assert _ask(address, "GET", "/readyz")[0] == 200
    command = [
        sys.executable,
        "-m",
        "serving.gateway",
        "--model=tiny",
        f"--models-dir={home / 'models'}",
        "--grpc=127.0.0.1:1",
        "--port=0",
    ]
    with listening_process(command, LINE, log=tmp_path / "log") as (_, addresses):
        assert _ask(addresses["http"], "GET", "/healthz")[0] == 200
        status, text = _ask(addresses["http"], "GET", "/readyz")
        assert status == 200
        assert text.startswith("degraded: the model server at 127.0.0.1:1 answered UNAVAILABLE")


@pytest.mark.parametrize("given", ["order-17", ""])
def test_the_model_server_is_sent_the_request_id_as_metadata(home, tmp_path, given):
    """A server of gRPC that knows no method sees what every call brings."""
    seen = []

    class Recorder(grpc.GenericRpcHandler):
        def service(self, handler_call_details):
            if handler_call_details.method == PREDICT_METHOD:
                seen.append(dict(handler_call_details.invocation_metadata))

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1), handlers=(Recorder(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={home / 'models'}"]
    command += [f"--grpc=127.0.0.1:{port}", "--port=0"]
    with listening_process(command, LINE, log=tmp_path / "log") as (_, addresses):
        connection = http.client.HTTPConnection(addresses["http"], timeout=20)
        connection.request("POST", "/v1/forecast", b'{"series": ["a"]}', {"x-request-id": given} if given else {})
        response = connection.getresponse()
        (forecast,) = json.loads(response.read())["forecasts"]
        connection.request("POST", "/v1/forecast", b'{"series": ["a"], "fallback": false}')
        strict = connection.getresponse()
        document = json.loads(strict.read())
        connection.close()
    server.stop(None)
    # A server that refuses is stood in for as one that is gone, and who refuses the fallback is told.
    assert (response.status, forecast["degraded"]) == (200, True)
    assert forecast["reason"].startswith("the model server refuses: ")
    assert (strict.status, "UNIMPLEMENTED" in document["error"]) == (502, True)
    assert seen[0]["x-request-id"] == response.getheader("x-request-id")
    assert given in ("", seen[0]["x-request-id"])
    assert REFUSE_AT_ONCE in seen[0]


@pytest.fixture
def alone(home, tmp_path):
    """A gateway of its own, without a model server; its address and its repository."""
    shutil.copytree(home / "models", tmp_path / "models")
    command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={tmp_path / 'models'}"]
    command += ["--grpc=127.0.0.1:1", "--port=0"]
    with listening_process(command, LINE, log=tmp_path / "log") as (_, addresses):
        yield addresses["http"], ModelRepository(tmp_path / "models")


def test_a_role_that_is_given_up_leaves_the_metrics(alone):
    address, repository = alone
    repository.set_candidate("tiny", 1)
    assert 'forecast_model_version{model="tiny",role="candidate"} 1.0' in _ask(address, "GET", "/metrics")[1]
    repository.promote("tiny", 1)
    page = _ask(address, "GET", "/metrics")[1]
    assert 'role="candidate"' not in page
    assert 'forecast_model_version{model="tiny",role="champion"} 1.0' in page


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/forecast"), ("GET", "/v1/series"), ("GET", "/v1/models/tiny"), ("GET", "/readyz")],
)
def test_damaged_roles_are_a_counted_answer_that_names_the_file(alone, method, path):
    address, repository = alone
    (repository.root / "tiny" / "roles.json").write_text("{")
    status, document = _ask(address, method, path, b"")
    assert status == 503
    assert "roles.json cannot be read" in document["error"]
    status, page = _ask(address, "GET", "/metrics")
    assert status == 200
    assert 'forecast_requests_total{code="503",model="tiny"' in page
    assert "forecast_model_version{" not in page


def test_serve_prints_its_ports_is_ready_and_ends_with_zero_on_sigterm(home):
    program = (
        "import sys; from pathlib import Path; from serving.launch import serve; from forecasting.config.sections import ServingConfig\n"
        "sys.exit(serve(Path(sys.argv[1]), 'tiny', None, ServingConfig(grpc_port=0, rest_port=0, gateway_port=0)))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(home / "models")], stdout=subprocess.PIPE, text=True)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("ready"):
            break
    gateway = re.search(r"gateway  http://(\S+)", "".join(lines)).group(1)
    assert _ask(gateway, "POST", "/v1/forecast", {"series": ["a"]})[0] == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(40) == 0
    with pytest.raises(ConnectionRefusedError):
        _ask(gateway, "GET", "/healthz")


def test_serve_starts_a_model_server_again_that_was_killed(home, tmp_path):
    shutil.copytree(home / "models", tmp_path / "models")
    program = (
        "import sys; from pathlib import Path; from serving.launch import serve; from forecasting.config.sections import ServingConfig\n"
        "sys.exit(serve(Path(sys.argv[1]), 'tiny', None, ServingConfig(grpc_port=0, rest_port=0, gateway_port=0)))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "models")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    printed = ""
    for line in process.stdout:
        printed += line
        if line.startswith("ready"):
            break
    gateway = re.search(r"gateway  http://(\S+)", printed).group(1)
    log = (tmp_path / "logs" / "model_server.log").read_text()
    _kill_model_server(process)
    assert "ended by itself with code -9; the fallback answers until it is back" in process.stderr.readline()
    assert process.stderr.readline() == "the model server is started again\n"
    asked = (_ask(gateway, "POST", "/v1/forecast", {"series": ["a"]})[1]["forecasts"][0] for _ in range(2000))
    assert any(not forecast["degraded"] for forecast in asked)
    assert len((tmp_path / "logs" / "model_server.log").read_text()) > len(log)
    process.send_signal(signal.SIGTERM)
    assert process.wait(40) == 0


def test_serve_gives_up_where_three_model_servers_in_a_row_end_soon_after_their_start(home, tmp_path):
    shutil.copytree(home / "models", tmp_path / "models")
    program = (
        "import sys; from pathlib import Path; import serving.launch; from forecasting.config.sections import ServingConfig\n"
        "serving.launch.SETTLED_S = 600.0\n"
        "sys.exit(serving.launch.serve(Path(sys.argv[1]), 'tiny', None, ServingConfig(grpc_port=0, rest_port=0, gateway_port=0)))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "models")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("ready"):
            break
    for _ in range(2):
        _kill_model_server(process)
        assert "ended by itself with code -9; the fallback answers" in process.stderr.readline()
        assert process.stderr.readline() == "the model server is started again\n"
    _kill_model_server(process)
    assert process.stderr.readline() == "the model server ended by itself with code -9; stopping\n"
    assert process.wait(40) == 5


def _kill_model_server(serve: subprocess.Popen[str]) -> None:
    children = Path(f"/proc/{serve.pid}/task/{serve.pid}/children").read_text().split()
    (server,) = [pid for pid in children if "serving.model_server" in Path(f"/proc/{pid}/cmdline").read_text()]
    os.kill(int(server), signal.SIGKILL)


def test_serve_says_at_once_which_series_are_missing(models, tmp_path):
    repository = ModelRepository(tmp_path / "models")
    version = tiny_models.write_version(models, tmp_path / "version", factor=2, lite=True)
    repository.promote("tiny", repository.publish("tiny", version))
    with pytest.raises(ConfigError, match="version 1 of 'tiny' must have its series store in"):
        serve(tmp_path / "models", "tiny", None, ServingConfig())


def test_serve_without_a_champion_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"model 'tiny' has no champion in .*; run the pipeline first"):
        serve(Path(tmp_path), "tiny", None, ServingConfig())


def test_serve_of_a_first_model_that_waits_for_approval_says_how_to_approve_it(tmp_path, monkeypatch):
    monkeypatch.setenv("ALMANAC_COMMAND", "uv run almanac")
    (tmp_path / "version").mkdir()
    (tmp_path / "version" / "model.tflite").write_bytes(b"model")
    repository = ModelRepository(tmp_path / "models")
    version = repository.publish("tiny", tmp_path / "version", {"approval": "deploy.approval is manual"})
    repository.set_candidate("tiny", version)
    with pytest.raises(
        ConfigError, match="version 1 waits for approval: `uv run almanac models approve tiny` makes it"
    ):
        serve(tmp_path / "models", "tiny", None, ServingConfig())


@pytest.mark.parametrize("headers", [{"origin": "https://shop.example"}, {"host": "shop.example"}])
def test_a_page_of_another_site_cannot_ask_a_gateway_without_tokens(address, headers):
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("POST", "/v1/forecast", b"{}", {"content-type": "text/plain", **headers})
    response = connection.getresponse()
    assert (response.status, b"without tokens" in response.read()) == (403, True)
    connection.close()
