"""Several processes behind one pair of ports."""

import http.client
import json
import os
import signal
import threading
from pathlib import Path

import grpc
import pytest

from forecasting.wire.client import GrpcClient
from forecasting.wire.messages import ModelServerConfig, ReloadConfigRequest, ReloadConfigResponse
from forecasting.wire.server_process import model_server
from serving.launch import MONITORING_CONFIG
from tests.unit.serving import tiny_models


def _ask(address, method, path, body=None):
    """One request on a connection of its own, which the system gives to any of the processes."""
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request(method, path, body)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, text


@pytest.fixture
def server(models, tmp_path):
    for name, factor in (("one", 1), ("two", 2)):
        tiny_models.write_version(models, tmp_path / name / "1", factor=factor, lite=True)
    flags = ["--model_name=one", f"--model_base_path={tmp_path / 'one'}", "--prefer_tflite_model", "--num_processes=2"]
    flags += ["--max_num_load_retries=0", "--allow_version_labels_for_unavailable_models"]
    flags.append(f"--monitoring_config_file={MONITORING_CONFIG}")
    with model_server(flags, log=tmp_path / "log") as found:
        yield found


def _columns():
    return json.dumps(
        {"inputs": {name: array.tolist() for name, array in tiny_models.window().as_dict().items()}}
    ).encode()


def _reload(server, base, label=""):
    request = ReloadConfigRequest(config=ModelServerConfig())
    entry = request.config.model_config_list.config.add(name="two", base_path=str(base), model_platform="tensorflow")
    if label:
        entry.version_labels[label] = 1
    with grpc.insecure_channel(server.grpc_address) as channel:
        call = channel.unary_unary(
            "/tensorflow.serving.ModelService/HandleReloadConfigRequest",
            request_serializer=ReloadConfigRequest.SerializeToString,
            response_deserializer=ReloadConfigResponse.FromString,
        )
        return call(request, timeout=30)


def test_each_connection_is_answered_and_the_metrics_are_those_of_all(server):
    for _ in range(20):
        assert _ask(server.rest_address, "POST", "/v1/models/one:predict", _columns())[0] == 200
    with GrpcClient(server.grpc_address) as client:
        assert client.predict("one", tiny_models.window().as_dict()).version == 1
    for path in ("/metrics", "/monitoring/prometheus/metrics"):
        page = _ask(server.rest_address, "GET", path)[1].decode()
        assert ':tensorflow:serving:request_count{model_name="one",status="OK"} 21\n' in page


def _codes(server, model):
    return {_ask(server.rest_address, "POST", f"/v1/models/{model}:predict", _columns())[0] for _ in range(20)}


def test_a_reload_is_answered_once_every_process_serves_it(server, tmp_path):
    assert _reload(server, tmp_path / "two").status.error_code == 0
    assert _codes(server, "two") == {200}
    assert _codes(server, "one") == {404}


def test_a_reload_that_a_process_cannot_follow_is_an_error(server, tmp_path):
    (tmp_path / "broken" / "1").mkdir(parents=True)
    with pytest.raises(grpc.RpcError) as caught:
        _reload(server, tmp_path / "broken")
    assert "did not become available" in caught.value.details()


def test_a_process_that_is_started_again_serves_what_was_reloaded(server, tmp_path):
    assert _reload(server, tmp_path / "two", label="stable").status.error_code == 0
    os.kill(_children(server.pid)[0], signal.SIGKILL)
    pause, log, left = threading.Event(), tmp_path / "log", 400
    while log.read_text().count("model two version 1 is available") < 3 and left:
        left -= 1
        pause.wait(0.05)
    assert log.read_text().count("model one version 1 is available") == 2
    pause.wait(0.5)
    assert _codes(server, "two/labels/stable") == {200}


def _children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_sigterm_ends_all_of_them_with_code_zero(server):
    children = _children(server.pid)
    assert len(children) == 2
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
