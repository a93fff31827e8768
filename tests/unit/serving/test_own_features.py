"""What the model server does beyond TensorFlow Serving: limits, own metrics, request log, drain."""

import http.client
import json
import signal
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from forecasting.errors import RetryableError
from forecasting.wire.client import GrpcClient
from forecasting.wire.messages import PredictionLog
from forecasting.wire.records import read_records
from forecasting.wire.server_process import model_server
from serving.model_server.metrics import REQUEST_COUNT, ServerMetrics, label_name, merged, metric_name, own_page
from serving.model_server.request_log import RequestLog
from serving.model_server.rest_json import parse_object
from tests.unit.serving import tiny_models


def _ask(address, method, path, body=None):
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request(method, path, body)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, text


def _columns():
    return json.dumps(
        {"inputs": {name: array.tolist() for name, array in tiny_models.window().as_dict().items()}}
    ).encode()


@pytest.fixture
def base(models, tmp_path) -> Path:
    """Base path of the Lite model of factor 1, version 1."""
    tiny_models.write_version(models, tmp_path / "base" / "1", factor=1, lite=True)
    return tmp_path / "base"


def _flags(base, *more):
    return ["--model_name=m", f"--model_base_path={base}", "--prefer_tflite_model", *more]


def test_own_metrics_tell_version_and_signature_and_no_unknown_name(base, tmp_path):
    with (
        model_server(_flags(base), log=tmp_path / "log") as server,
        GrpcClient(server.grpc_address) as client,
    ):
        client.wait_available("m", 1)
        client.predict("m", tiny_models.window().as_dict())
        _ask(server.rest_address, "POST", "/v1/models/nobody:predict", b'{"inputs": 1}')
        page = _ask(server.rest_address, "GET", "/metrics")[1].decode()
    assert (
        'almanac_model_server_requests_total{model="m",version="1",signature="serving_default",entrypoint="GRPC",status="OK"} 1\n'
        in page
    )
    assert (
        'almanac_model_server_request_seconds_count{model="m",version="1",signature="serving_default",entrypoint="GRPC"} 1\n'
        in page
    )
    assert 'requests_total{model="(unknown)",version="",signature="",entrypoint="REST",status="NOT_FOUND"} 1\n' in page
    assert 'almanac_model_server_requests_total{model="nobody"' not in page


def test_a_body_over_the_bound_is_429_and_a_message_over_it_resource_exhausted(base, tmp_path):
    flags = _flags(base, "--max_body_bytes=1000", "--max_message_bytes=1000")
    with (
        model_server(flags, log=tmp_path / "log") as server,
        GrpcClient(server.grpc_address) as client,
    ):
        client.wait_available("m", 1)
        status, text = _ask(server.rest_address, "POST", "/v1/models/m:predict", b" " * 1001)
        assert status == 429
        assert "must not exceed 1000 bytes" in json.loads(text)["error"]
        with pytest.raises(RetryableError, match="RESOURCE_EXHAUSTED"):
            client.predict("m", tiny_models.window(n=10).as_dict())
        assert _ask(server.rest_address, "POST", "/v1/models/m:predict", _columns())[0] == 200


def _begun(address, content_length):
    """A connection that has sent the head of a request and one byte of its body."""
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    head = f"POST /v1/models/m:predict HTTP/1.1\r\nHost: h\r\nContent-Length: {content_length}\r\n\r\n"
    connection.sendall(head.encode() + b"{")
    return connection


def test_a_body_is_refused_by_its_length_before_it_comes(base, tmp_path):
    with model_server(_flags(base, "--max_body_bytes=1000"), log=tmp_path / "log") as server:
        with _begun(server.rest_address, 10**12) as connection:
            assert connection.recv(1000).startswith(b"HTTP/1.1 429 ")
        page = _ask(server.rest_address, "GET", "/metrics")[1].decode()
        assert 'almanac_model_server_refused_total{reason="body"} 1\n' in page


def test_requests_whose_bodies_still_come_count_among_those_at_the_same_time(base, tmp_path):
    with (
        model_server(_flags(base, "--max_concurrent_requests=1"), log=tmp_path / "log") as server,
        GrpcClient(server.grpc_address) as client,
    ):
        client.wait_available("m", 1)
        with _begun(server.rest_address, 100):
            pause, left = threading.Event(), 200
            while b"requests_in_flight{} 1\n" not in _ask(server.rest_address, "GET", "/metrics")[1] and left:
                left -= 1
                pause.wait(0.05)
            assert _ask(server.rest_address, "POST", "/v1/models/m:predict", _columns())[0] == 429
            with pytest.raises(RetryableError, match="RESOURCE_EXHAUSTED"):
                client.predict("m", tiny_models.window().as_dict())
        page = _ask(server.rest_address, "GET", "/metrics")[1].decode()
        assert 'almanac_model_server_refused_total{reason="concurrency"} 2\n' in page


def test_a_body_that_does_not_come_in_time_is_504(base, tmp_path):
    with (
        model_server(_flags(base, "--rest_api_timeout_in_ms=200"), log=tmp_path / "log") as server,
        _begun(server.rest_address, 100) as connection,
    ):
        assert connection.recv(1000).startswith(b"HTTP/1.1 504 ")


def test_only_the_first_and_short_names_of_unknown_models_are_labels():
    metrics = ServerMetrics()
    assert metrics.unknown_model("n" * 200) == "n" * 200
    assert metrics.unknown_model("n" * 201) == "(other)"
    for number in range(60):
        metrics.unknown_model(str(number))
    assert metrics.unknown_model("5") == "5"
    assert metrics.unknown_model("59") == "(other)"


def test_the_request_log_holds_what_was_asked_over_both_transports(base, tmp_path):
    flags = _flags(base, f"--request_log_prefix={tmp_path / 'log' / 'asked'}", "--request_log_sampling_rate=1")
    inputs = tiny_models.window(target=4.0).as_dict()
    with (
        model_server(flags, log=tmp_path / "server.log") as server,
        GrpcClient(server.grpc_address) as client,
    ):
        client.wait_available("m", 1)
        answer = client.predict("m", inputs).quantiles
        _ask(server.rest_address, "POST", "/v1/models/m:predict", _columns())
    (file,) = (tmp_path / "log").iterdir()
    first, second = (PredictionLog.FromString(record).predict_log for record in read_records(file))
    assert first.request.model_spec.name == second.request.model_spec.name == "m"
    assert second.request.model_spec.version.value == 1
    assert np.float32(first.response.outputs["quantiles"].float_val).tolist() == answer.ravel().tolist()
    assert sorted(second.request.inputs) == ["future", "history"]


def test_a_request_log_is_a_warm_up_file(base, tmp_path, models):
    flags = _flags(base, f"--request_log_prefix={tmp_path / 'asked'}", "--request_log_sampling_rate=1")
    with (
        model_server(flags, log=tmp_path / "server.log") as server,
        GrpcClient(server.grpc_address) as client,
    ):
        client.wait_available("m", 1)
        client.predict("m", tiny_models.window().as_dict())
    (file,) = tmp_path.glob("asked-*.tfrecord")
    warm = tiny_models.write_version(models, tmp_path / "warm" / "1", factor=1, lite=True)
    target = warm / "assets.extra" / "tf_serving_warmup_requests"
    target.write_bytes(file.read_bytes())
    with (
        model_server(_flags(tmp_path / "warm"), log=tmp_path / "warm.log") as server,
        GrpcClient(server.grpc_address) as client,
    ):
        client.wait_available("m", 1)
        page = _ask(server.rest_address, "GET", "/metrics")[1].decode()
    assert 'model_warmup_records_read{model_path="' + str(warm) + '",status="OK"} 1\n' in page


def test_the_sample_of_a_request_log_has_about_the_rate_asked_for(tmp_path):
    log, request = RequestLog(tmp_path / "r", 0.25, seed=1, limit=10_000), PredictionLog().predict_log.request
    for _ in range(1000):
        log.offer("predict_log", request, PredictionLog().predict_log.response)
    log.close()
    (file,) = tmp_path.iterdir()
    assert 200 < len(list(read_records(file))) < 300


def test_a_full_file_is_closed_and_the_next_begun(tmp_path):
    log, request = RequestLog(tmp_path / "r", 1.0, max_file_bytes=1), PredictionLog().predict_log.request
    for _ in range(3):
        log.offer("predict_log", request, PredictionLog().predict_log.response)
    log.close()
    assert len(list(tmp_path.iterdir())) == 3


def test_sigterm_lets_what_is_in_flight_finish(base, tmp_path):
    parameters = tmp_path / "batching"
    parameters.write_text("batch_timeout_micros { value: 2000000 }")
    flags = _flags(base, "--enable_batching", f"--batching_parameters_file={parameters}")
    done = []
    with (
        model_server(flags, log=tmp_path / "log") as server,
        GrpcClient(server.grpc_address) as client,
    ):
        client.wait_available("m", 1)
        thread = threading.Thread(
            target=lambda: done.append(client.predict("m", tiny_models.window().as_dict()).version)
        )
        thread.start()
        pause = threading.Event()
        while b"batching_session:input_batch_size_count" not in _ask(server.rest_address, "GET", "/metrics")[1]:
            pause.wait(0.02)
        server.process.send_signal(signal.SIGTERM)
        thread.join()
        assert server.process.wait(20) == 0
    assert done == [1]


def test_names_of_models_that_do_not_exist_become_one_label_after_the_first_fifty():
    metrics = ServerMetrics()
    for number in range(60):
        metrics.count(REQUEST_COUNT, metrics.unknown_model(f"m{number}"), "NOT_FOUND")
    page = own_page([metrics.state()])
    assert ':tensorflow:serving:request_count{model_name="m49",status="NOT_FOUND"} 1\n' in page
    assert ':tensorflow:serving:request_count{model_name="(other)",status="NOT_FOUND"} 10\n' in page


def test_the_states_of_several_processes_add_up():
    one, other = ServerMetrics(), ServerMetrics()
    one.count(REQUEST_COUNT, "m", "OK", by=2)
    other.count(REQUEST_COUNT, "m", "OK", by=3)
    other.count(REQUEST_COUNT, "n", "OK")
    states = [json.loads(json.dumps(metrics.state())) for metrics in (one, other)]
    assert merged(states)[REQUEST_COUNT] == {("m", "OK"): [5.0], ("n", "OK"): [1.0]}


@pytest.mark.parametrize(
    ("name", "wanted"), [("/test/path/total", ":test:path:total"), ("9lives", "_9lives"), ("a-b", "a:b")]
)
def test_names_of_metrics_are_those_of_prometheus(name, wanted):
    assert metric_name(name) == wanted


def test_names_of_labels_are_those_of_prometheus():
    assert (label_name("a-b"), label_name("1st")) == ("a_b", "_1st")


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b'{"inputs": [NaN, 1.5], "NaN": 1}', {"inputs": [None, 1.5], "NaN": 1}),
        (b'{"inputs": [-NaN], "note": "a \\" NaN"}', {"inputs": [None], "note": 'a " NaN'}),
        (b'{"inputs": [Inf, -Infinity]}', {"inputs": [float("inf"), float("-inf")]}),
    ],
)
def test_nan_tokens_are_read_and_strings_that_hold_them_left_alone(body, wanted):
    assert parse_object(body).document == wanted


def test_a_word_of_truth_is_noticed_behind_many_letters_like_its_first():
    assert parse_object(b'{"' + b"t" * 1000 + b'": [true]}').may_hold_bool
    assert not parse_object(b'{"' + b"t" * 1000 + b'": [1]}').may_hold_bool


def test_an_unsupported_flag_is_named_with_the_reason(base, tmp_path):
    from forecasting.errors import RemoteError

    flags = _flags(base, "--use_alts_credentials")
    with (
        pytest.raises(RemoteError, match="use_alts_credentials is not supported"),
        model_server(flags, log=tmp_path / "log"),
    ):
        pass


def test_the_channel_arguments_reach_grpc(base, tmp_path):
    flags = _flags(base, "--grpc_channel_arguments=grpc.max_receive_message_length=100")
    with model_server(flags, log=tmp_path / "log") as server, GrpcClient(server.grpc_address) as client:
        client.wait_available("m", 1)
        with pytest.raises(RetryableError, match="RESOURCE_EXHAUSTED"):
            client.predict("m", tiny_models.window(n=10).as_dict())
