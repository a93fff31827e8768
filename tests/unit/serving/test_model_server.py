"""The server over the wire: gRPC and REST of one Lite model of factor 2, version 7 of `tiny`."""

import gzip
import http.client
import json
import signal
import subprocess
import sys

import grpc
import numpy as np
import pytest

from forecasting.errors import RemoteError
from forecasting.wire.client import GrpcClient, RestClient, ServedModelMissingError
from forecasting.wire.messages import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    PredictRequest,
    PredictResponse,
    SignatureDefMap,
)
from forecasting.wire.server_process import model_server
from forecasting.wire.tensors import to_tensor
from tests.unit.serving import tiny_models


def _http(server, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection(server.rest_address, timeout=10)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, text


def _post(server, document, model="tiny", headers=None):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    status, text = _http(server, "POST", f"/v1/models/{model}:predict", body, headers)
    return status, json.loads(text)


@pytest.fixture(scope="module")
def grpc_client(lite_server):
    with GrpcClient(lite_server.grpc_address) as client:
        client.wait_available("tiny", 7)
        yield client


@pytest.fixture(scope="module")
def rest_client(lite_server, grpc_client):
    with RestClient(lite_server.rest_address) as client:
        yield client


def test_grpc_and_rest_answer_as_the_model_does_for_every_batch_size(grpc_client, rest_client):
    for n in (1, 5, 2):
        inputs = tiny_models.window(target=4.0, temperature=3.0, n=n)
        wanted = tiny_models.expected(inputs, 2.0)
        np.testing.assert_allclose(grpc_client.predict("tiny", inputs.as_dict()).quantiles, wanted, rtol=1e-6)
        np.testing.assert_allclose(rest_client.predict("tiny", inputs.as_dict()).quantiles, wanted, rtol=1e-6)


def test_missing_history_goes_through_both_transports(grpc_client, rest_client):
    inputs = tiny_models.window(target=4.0)
    inputs.history[0, :4, 0] = np.nan
    wanted = tiny_models.expected(inputs, 2.0)
    np.testing.assert_allclose(grpc_client.predict("tiny", inputs.as_dict()).quantiles, wanted, rtol=1e-6)
    np.testing.assert_allclose(rest_client.predict("tiny", inputs.as_dict()).quantiles, wanted, rtol=1e-6)


def test_the_answer_echoes_the_version(grpc_client):
    inputs = tiny_models.window().as_dict()
    assert grpc_client.predict("tiny", inputs).version == 7
    assert grpc_client.predict("tiny", inputs, version=7).version == 7


def test_an_unknown_model_or_version_is_not_found(grpc_client, rest_client):
    inputs = tiny_models.window().as_dict()
    with pytest.raises(ServedModelMissingError, match=r"Servable not found for request: Latest\(other\)"):
        grpc_client.predict("other", inputs)
    with pytest.raises(ServedModelMissingError, match=r"Servable not found for request: Specific\(tiny, 8\)"):
        rest_client.predict("tiny", inputs, version=8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda inputs: inputs.pop("future"), r"Missing but required: \{future\}"),
        (lambda inputs: inputs.update(extra=np.zeros(1, np.float32)), r"Sent extra: \{extra\}"),
        (lambda inputs: inputs.update(past=inputs.pop("history")), "Signature input alias: history"),
        (
            lambda inputs: inputs.update(history=inputs["history"].astype(np.float64)),
            "input history: Type mismatch: actual double vs. expect float",
        ),
        (
            lambda inputs: inputs.update(history=inputs["history"][:, 1:]),
            r"input history: shape mismatch: actual \[1, 5, 3\] vs. expect \[-1, 6, 3\]",
        ),
    ],
)
def test_wrong_inputs_are_invalid_arguments_that_name_them(grpc_client, change, message):
    inputs = tiny_models.window().as_dict()
    change(inputs)
    with pytest.raises(RemoteError, match="INVALID_ARGUMENT.*" + message):
        grpc_client.predict("tiny", inputs)


def test_float_val_with_a_single_value_is_broadcast_and_outputs_come_as_float_val(lite_server, grpc_client):
    request = PredictRequest()
    request.model_spec.name = "tiny"
    inputs = tiny_models.window(target=4.0, temperature=0.0)
    request.inputs["future"].CopyFrom(to_tensor(inputs.future))
    request.inputs["history"].CopyFrom(to_tensor(inputs.history))
    request.inputs["history"].ClearField("tensor_content")
    request.inputs["history"].float_val.append(4.0)
    with grpc.insecure_channel(lite_server.grpc_address) as channel:
        call = channel.unary_unary(
            "/tensorflow.serving.PredictionService/Predict",
            request_serializer=PredictRequest.SerializeToString,
            response_deserializer=PredictResponse.FromString,
        )
        response = call(request, timeout=10)
    assert response.outputs["quantiles"].float_val[:3] == [7.0, 8.0, 9.0]
    assert response.outputs["quantiles"].tensor_content == b""
    assert response.model_spec.signature_name == "serving_default"


def test_a_request_larger_than_four_mebibytes_is_answered(grpc_client):
    inputs = tiny_models.window(n=70_000)
    assert grpc_client.predict("tiny", inputs.as_dict()).quantiles.shape == (70_000, 3, 3)


def test_metadata_lists_the_signature(lite_server, grpc_client):
    request = GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "tiny"
    with grpc.insecure_channel(lite_server.grpc_address) as channel:
        call = channel.unary_unary(
            "/tensorflow.serving.PredictionService/GetModelMetadata",
            request_serializer=GetModelMetadataRequest.SerializeToString,
            response_deserializer=GetModelMetadataResponse.FromString,
        )
        response = call(request, timeout=10)
    found = SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(found)
    assert sorted(found.signature_def["serving_default"].inputs) == ["future", "history"]
    status, text = _http(lite_server, "GET", "/v1/models/tiny/metadata")
    document = json.loads(text)
    assert status == 200
    assert document["model_spec"] == {"name": "tiny", "signature_name": "", "version": "7"}
    sizes = document["metadata"]["signature_def"]["signature_def"]["serving_default"]["outputs"]["quantiles"][
        "tensor_shape"
    ]["dim"]
    assert [dim["size"] for dim in sizes] == ["-1", "3", "3"]


def test_the_status_page_is_tensorflow_servings(lite_server, grpc_client):
    status, text = _http(lite_server, "GET", "/v1/models/tiny")
    assert status == 200
    entry = {"version": "7", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert json.loads(text) == {"model_version_status": [entry]}


def test_rows_give_predictions_and_columns_give_outputs(lite_server, grpc_client):
    row = {name: array[0].tolist() for name, array in tiny_models.window(target=1.0, temperature=0.0).as_dict().items()}
    assert _post(lite_server, {"instances": [row]}) == (200, {"predictions": [[[1.0, 2.0, 3.0]] * 3]})
    columns = {name: [value] for name, value in row.items()}
    assert _post(lite_server, {"inputs": columns}) == (200, {"outputs": [[[1.0, 2.0, 3.0]] * 3]})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"instances = [1]", "at offset: 0"),
        (b"[" * 200_000, "JSON Parse error"),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": [[1, 2]]}, "expecting list of objects as multiple input tensors required"),
        ({"signature_name": "nope", "instances": [1]}, 'Serving signature name: "nope" not found'),
        (
            {"instances": [{"history": None, "future": [[0, 0]] * 3}]},
            "JSON Value: null Type: Null is not of expected type: float",
        ),
        ({"inputs": {"history": [[["NaN", 0, 0]] * 6]}}, "Missing named input: future"),
        (
            {"inputs": {"history": [[[True, 0, 0]] * 6], "future": [[[0, 0]] * 3]}},
            "Type: True is not of expected type: float",
        ),
        (
            {"inputs": {"history": [[[0, 0, 0]] * 5 + [[0, 0]]], "future": [[[0, 0]] * 3]}},
            "Encountered list at unexpected size: 2 at level: 2",
        ),
    ],
)
def test_bad_bodies_are_400_with_the_official_text(lite_server, grpc_client, body, message):
    status, document = _post(lite_server, body)
    assert status == 400
    assert list(document) == ["error"]
    assert message in document["error"]


def test_codes_of_paths_follow_tensorflow_serving(lite_server, grpc_client):
    assert _post(lite_server, {"instances": [1]}, model="other")[0] == 404
    assert _http(lite_server, "GET", "/v1/models/other")[0] == 404
    assert _http(lite_server, "PUT", "/v1/models/tiny:predict")[0] == 400
    assert _http(lite_server, "GET", "/v1/models/tiny/version/1:predict")[0] == 400
    assert _http(lite_server, "GET", "/V1/Models/tiny")[0] == 200
    assert _http(lite_server, "GET", "/nothing")[0] == 404


def test_a_gzipped_body_is_read(lite_server, grpc_client):
    columns = {name: array.tolist() for name, array in tiny_models.window().as_dict().items()}
    body = gzip.compress(json.dumps({"inputs": columns}).encode())
    assert _post(lite_server, body, headers={"Content-Encoding": "gzip"})[0] == 200


def test_the_metrics_page_has_the_official_names(lite_server, grpc_client):
    _post(lite_server, {"instances": [1]}, model="missing-model")
    grpc_client.predict("tiny", tiny_models.window().as_dict())
    status, text = _http(lite_server, "GET", "/monitoring/prometheus/metrics")
    page = text.decode()
    assert status == 200
    assert ':tensorflow:serving:request_count{model_name="missing-model",status="NOT_FOUND"} 1\n' in page
    assert (
        ':tensorflow:serving:request_latency_bucket{model_name="tiny",API="Predict",entrypoint="GRPC",le="10"}' in page
    )
    assert "# TYPE :tensorflow:serving:request_latency histogram\n" in page


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v1/models/%ff", 404),
        ("GET", "/v1/models/%ff/metadata", 404),
        ("POST", "/v1/models/%ff:predict", 404),
        ("POST", "/v1/models/%ff:classify", 404),
        ("GET", "/v1/models/tiny/labels/%ff/metadata", 400),
    ],
)
def test_a_name_that_is_no_utf8_is_not_found_and_leaves_the_metrics_readable(lite_server, method, path, code):
    body = b'{"instances": [1], "examples": [{"x": 1}]}' if method == "POST" else None
    assert _http(lite_server, method, path, body)[0] == code
    assert _http(lite_server, "GET", "/metrics")[0] == 200
    assert _http(lite_server, "GET", "/monitoring/prometheus/metrics")[0] == 200


def test_readiness_tells_whether_every_model_is_available(lite_server, grpc_client, tmp_path):
    assert _http(lite_server, "GET", "/healthz")[0] == 200
    assert _http(lite_server, "GET", "/readyz")[0] == 200
    flags = ["--model_name=none", f"--model_base_path={tmp_path}"]
    with model_server(flags, log=tmp_path / "log") as empty:
        assert _http(empty, "GET", "/healthz")[0] == 200
        assert _http(empty, "GET", "/readyz")[0] == 503


def test_the_official_stub_and_the_health_service_work(lite_server, grpc_client):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(lite_server.grpc_address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_an_unknown_flag_is_named(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "serving.model_server", "--model_base_path=/x", "--portt=1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--portt=1" in done.stderr


def test_a_broken_configuration_file_ends_the_server_with_a_line(tmp_path):
    config = tmp_path / "models.config"
    config.write_text("model_config_list { nonsense }")
    with (
        pytest.raises(RemoteError, match=r"Error parsing text-format tensorflow\.serving\.ModelServerConfig"),
        model_server([f"--model_config_file={config}"], log=tmp_path / "log"),
    ):
        pass


def test_sigterm_ends_the_server_with_code_zero(models, tmp_path):
    tiny_models.write_version(models, tmp_path / "base" / "1", factor=1, lite=True)
    flags = ["--model_name=m", f"--model_base_path={tmp_path / 'base'}", "--prefer_tflite_model"]
    with model_server(flags, log=tmp_path / "log") as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0


def test_an_address_of_ipv6_stands_in_brackets_and_answers(models, tmp_path):
    tiny_models.write_version(models, tmp_path / "base" / "1", factor=2, lite=True)
    flags = [
        "--model_name=tiny",
        f"--model_base_path={tmp_path / 'base'}",
        "--prefer_tflite_model",
        "--bind_address=::1",
    ]
    with model_server(flags, log=tmp_path / "log") as server:
        assert server.grpc_address.startswith("[::1]:")
        assert server.rest_address.startswith("[::1]:")
        with GrpcClient(server.grpc_address) as client:
            client.wait_available("tiny", 1)
        assert _http(server, "GET", "/v1/models/tiny")[0] == 200
