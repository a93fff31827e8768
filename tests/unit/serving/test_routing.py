"""Who answers: the version that a request pins, over HTTP, Arrow, KServe's protocol and gRPC."""

import http.client
import json
import re
import sys

import grpc
import numpy as np
import pyarrow as pa
import pytest

from forecasting.answering.answer_error import AnswerError
from forecasting.contracts.vocabulary import ModelRole
from forecasting.repository import ModelRepository
from forecasting.roles import RolesRecord
from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import listening_process, model_server
from serving.client import GatewayClient, GatewayRefusalError
from serving.gateway.routing import RouteSpec, parse_pin, pinned_route
from serving.gateway.rpc.messages import SERVICE, ForecastRequest, ForecastResponse
from tests.unit.serving import tiny_models
from tests.unit.serving.conftest import LINE

BOTH = RolesRecord(champion=1, candidate=2, previous=4, last_version=4)


def test_a_pin_is_a_served_role_or_a_version():
    assert [parse_pin(value) for value in (None, "candidate", 7, "7")] == [None, ModelRole.CANDIDATE, 7, 7]


@pytest.mark.parametrize("value", ["previous", "", "-1", "1.0", 0, -3, True, 2.0, ["candidate"], "9" * 30])
def test_another_pin_is_refused(value):
    with pytest.raises(AnswerError, match="must be 'champion', 'candidate' or the number of a version") as caught:
        parse_pin(value)
    assert caught.value.code == 400


def test_a_version_is_asked_under_the_name_of_its_role():
    assert pinned_route("tiny", 2, BOTH) == RouteSpec(ModelRole.CANDIDATE, 2, "tiny-candidate")
    assert pinned_route("tiny", 1, BOTH) == RouteSpec(ModelRole.CHAMPION, 1, "tiny")


def test_a_version_that_is_not_served_is_refused_with_those_that_are():
    with pytest.raises(AnswerError, match="version 4 of 'tiny', which is not served; version 1 as champion and version 2 as candidate is") as caught:  # fmt: skip
        pinned_route("tiny", 4, BOTH)
    assert caught.value.code == 404


@pytest.fixture(scope="module")
def pair(models, home, tmp_path_factory):
    """A repository whose champion is factor 2 and whose candidate is factor 1, on the same series."""
    root = tmp_path_factory.mktemp("pair")
    repository = ModelRepository(root / "models")
    for factor in (2, 1):
        source = tiny_models.write_version(models, root / f"factor-{factor}", factor=factor, lite=True)
        version = repository.publish("tiny", source)
        repository.keep_series("tiny", version, home / "series")
    repository.promote("tiny", 1)
    repository.set_candidate("tiny", 2)
    return root


@pytest.fixture(scope="module")
def addresses(pair):
    config = ModelRepository(pair / "models").server_config
    with model_server([f"--model_config_file={config}", "--prefer_tflite_model"], log=pair / "server.log") as server:
        with GrpcClient(server.grpc_address) as client:
            client.wait_available("tiny-candidate", 2)
            client.wait_available("tiny", 1)
        command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={pair / 'models'}"]
        command += [f"--grpc={server.grpc_address}", "--port=0", "--grpc-port=0"]
        lines = {**LINE, "grpc": re.compile(r"Gateway gRPC at (\S+)")}
        with listening_process(command, lines, log=pair / "gateway.log") as (_, found):
            yield found


def _post(addresses, path, document):
    connection = http.client.HTTPConnection(addresses["http"], timeout=20)
    connection.request("POST", path, json.dumps(document).encode(), {"content-type": "application/json"})
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


def test_each_role_answers_for_itself_and_says_so(addresses):
    known = {"a": {"Temperature": [0, 0, 0]}}
    points = {}
    for pin in ("champion", "candidate", 1, 2, None):
        status, found = _post(addresses, "/v1/forecast", {"series": ["a"], "known": known, "model": pin})
        assert status == 200
        points[pin] = (found["role"], found["version"], found["forecasts"][0]["point"])
    assert points["champion"] == points[1] == points[None]
    assert points["candidate"] == points[2]
    assert [points[pin][:2] for pin in ("champion", "candidate")] == [("champion", 1), ("candidate", 2)]
    np.testing.assert_allclose(points["champion"][2], 2 * np.array(points["candidate"][2]))


def test_a_pin_that_nobody_serves_is_an_error_of_the_request(addresses):
    status, found = _post(addresses, "/v1/forecast", {"series": ["a"], "model": 9})
    assert (status, found["error"]) == (
        404,
        "'model' asks for version 9 of 'tiny', which is not served; version 1 as champion and version 2 as candidate is",
    )


def test_the_client_pins_with_and_without_a_table(addresses):
    table = pa.table({"series": ["a"]})
    with GatewayClient(f"http://{addresses['http']}") as client:
        found = [client.forecast(["a"], model=2), client.forecast(history=table, model="candidate"), client.forecast()]
        with pytest.raises(GatewayRefusalError, match="'previous'"):
            client.forecast(model="previous")
    assert [(one.role, one.version) for one in found] == [("candidate", 2), ("candidate", 2), ("champion", 1)]


def test_kserves_protocol_names_the_candidate_as_the_model_server_does(addresses):
    series = {"type": "univariate_time_series", "name": "a", "series": [12.0], "frequency": "hour",
              "start_timestamp": "2014-01-02T15:00:00Z"}  # fmt: skip
    versions = {}
    for name in ("tiny", "tiny-candidate"):
        body = {"model": name, "inputs": [series], "options": {"horizon": 2}}
        status, found = _post(addresses, "/v1/timeseries/forecast", body)
        assert status == 200, found
        versions[found["model"]] = found["version"]
    assert versions == {"tiny": 1, "tiny-candidate": 2}


def test_grpc_pins_each_request_of_a_stream(addresses):
    requests = [ForecastRequest(series=["a"], model=pin) for pin in ("candidate", "1", "champion")]
    with grpc.insecure_channel(addresses["grpc"]) as channel:
        call = channel.stream_stream(
            f"/{SERVICE}/ForecastBulk", ForecastRequest.SerializeToString, ForecastResponse.FromString
        )
        found = [(one.role, one.version) for one in call(iter(requests), timeout=20)]
    assert found == [("candidate", 2), ("champion", 1), ("champion", 1)]
