"""The gateway over gRPC gives what it gives over HTTP."""

import http.client
import json
import re
import sys

import grpc
import numpy as np
import pytest
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc

from forecasting.answering.fallback import FallbackCause
from forecasting.answering.forecasts import ForecastsRecord
from forecasting.answering.plan import DegradedSpec, SkippedRecord
from forecasting.answering.served_model import ServedModel
from forecasting.store.address import store_address
from forecasting.store.forecasts import ForecastQuery, read_forecasts
from forecasting.store.opening import open_store
from forecasting.wire.server_process import listening_process
from serving.gateway.rpc.messages import SERVICE, ForecastRequest, ForecastResponse
from serving.gateway.rpc.service import peer_address
from serving.gateway.rpc.translation import answers_of
from serving.gateway.tokens import TokenScope, make_token
from tests.unit.serving.conftest import LINE, START
from tests.unit.serving.tiny_models import SPEC

ORIGIN = START + 40 * 3600
INPUT = {
    "series": "b",
    "start": START + 38 * 3600,
    "history": {"Demand": {"values": [60, "NaN"]}, "Temperature": {"values": [2, 4]}},
    "known": {"Temperature": {"values": [8, 9, 10]}},
}
SAME = {
    "history": {"b": {"start": "2014-01-02T14:00:00Z", "values": {"Demand": [60, None], "Temperature": [2, 4]}}},
    "known": {"b": {"Temperature": [8, 9, 10]}},
}


@pytest.fixture(scope="module")
def channel(gateway_addresses):
    with grpc.insecure_channel(gateway_addresses["grpc"]) as found:
        yield found


def _message(document):
    return json_format.ParseDict(document, ForecastRequest())


def _ask(channel, document, **settings):
    call = channel.unary_unary(f"/{SERVICE}/Forecast", ForecastRequest.SerializeToString, ForecastResponse.FromString)
    return call(_message(document), timeout=20, **settings)


def _http(address, document):
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("POST", "/v1/forecast", json.dumps(document))
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


def _assert_same(message, document):
    assert (message.model, message.version, message.target, message.step_s) == tuple(document[key] for key in ("model", "version", "target", "step_s"))  # fmt: skip
    assert [(one.series, one.reason) for one in message.skipped] == [(one["series"], one["reason"]) for one in document["skipped"]]  # fmt: skip
    assert len(message.forecasts) == len(document["forecasts"])
    for found, wanted in zip(message.forecasts, document["forecasts"], strict=True):
        flags = ("series", "degraded", "imputed", "stale")
        assert [getattr(found, name) for name in flags] == [wanted[name] for name in flags]
        assert (found.limited_by or None, found.reason or None) == (wanted["limited_by"], wanted["reason"])
        assert str(np.datetime64(found.origin, "s")) + "Z" == wanted["origin"]
        np.testing.assert_array_equal(np.float32(found.point), np.float32(wanted["point"]))
        levels = np.float32(list(wanted["quantiles"].values()))
        np.testing.assert_array_equal(np.float32(found.quantile_values), levels.ravel())
        assert [f"{level:g}" for level in message.quantiles] == list(wanted["quantiles"])


@pytest.mark.parametrize(
    ("asked", "same"),
    [
        ({}, {}),
        ({"series": ["a"], "quantiles": [0.9]}, {"series": ["a"], "quantiles": [0.9]}),
        ({"series": ["a", "b"], "origin": START + 36_000}, {"series": ["a", "b"], "origin": "2014-01-01T10:00:00Z"}),
        ({"series": ["a"], "cutoff": START + 35_999}, {"series": ["a"], "cutoff": "2014-01-01T09:59:59Z"}),
        ({"inputs": [INPUT], "fallback": False}, {**SAME, "fallback": False}),
        (
            {"inputs": [{"series": "b", "timestamps": [ORIGIN - 3600], "history": {"Demand": {"values": [1]}}, "known": INPUT["known"]}]},
            {"history": {"b": {"timestamps": ["2014-01-02T15:00:00Z"], "values": {"Demand": [1]}}}, "known": SAME["known"]},
        ),
    ],
)  # fmt: skip
def test_a_request_is_answered_as_over_http(channel, address, asked, same):
    status, document = _http(address, same)
    assert status == 200, document
    _assert_same(_ask(channel, asked), document)


def test_a_stream_of_requests_is_answered_in_order(channel, address):
    bulk = channel.stream_stream(f"/{SERVICE}/ForecastBulk", ForecastRequest.SerializeToString, ForecastResponse.FromString)  # fmt: skip
    asked = [{"series": ["a"]}, {}, {"series": ["b"]}]
    answers = list(bulk(iter([_message(one) for one in asked]), timeout=20))
    assert [(one.request_number, one.is_last) for one in answers] == [(0, True), (1, True), (2, True)]
    for document, answer in zip(asked, answers, strict=True):
        _assert_same(answer, _http(address, document)[1])


def test_an_answer_of_many_series_comes_in_pieces_with_what_was_skipped_in_the_last():
    served, no = ServedModel("tiny", 1, START, SPEC, {}), np.zeros(5, np.bool_)
    found = ForecastsRecord(
        served, tuple("abcde"), np.full(5, ORIGIN), np.arange(45, dtype=np.float32).reshape(5, 3, 3), (0.1, 0.9),
        {3: DegradedSpec(FallbackCause.COLD, "cold")}, {}, no, no, (SkippedRecord("z", "why"),),
    )  # fmt: skip
    pieces = list(answers_of(found, 7, piece=2))
    assert [[one.series for one in piece.forecasts] for piece in pieces] == [["a", "b"], ["c", "d"], ["e"]]
    assert [(piece.is_last, len(piece.skipped), piece.request_number) for piece in pieces] == [(False, 0, 7), (False, 0, 7), (True, 1, 7)]  # fmt: skip
    assert [one.reason for one in pieces[1].forecasts] == ["", "cold"]
    assert list(pieces[2].forecasts[0].point) == [37, 40, 43]
    assert list(pieces[2].forecasts[0].quantile_values) == [36, 39, 42, 38, 41, 44]


@pytest.mark.parametrize(
    ("asked", "code", "text", "about"),
    [
        ({"series": ["zz"]}, grpc.StatusCode.NOT_FOUND, "there is no series 'zz'", {"series": "zz"}),
        ({"series": ["a\nb"]}, grpc.StatusCode.NOT_FOUND, "there is no series 'a\\nb'", {}),
        ({"series": ["a", "a"]}, grpc.StatusCode.INVALID_ARGUMENT, "must not name an id twice", {}),
        ({"quantiles": [0.2]}, grpc.StatusCode.INVALID_ARGUMENT, "'quantiles' must be among", {}),
        ({"quantiles": [0.9, 0.9]}, grpc.StatusCode.INVALID_ARGUMENT, "must not name a level twice", {}),
        ({"quantiles": [2]}, grpc.StatusCode.INVALID_ARGUMENT, "levels between 0 and 1", {}),
        ({"origin": 1, "cutoff": 1}, grpc.StatusCode.INVALID_ARGUMENT, "must not both be given", {}),
        ({"inputs": [INPUT, INPUT]}, grpc.StatusCode.INVALID_ARGUMENT, "'inputs' must not name a series twice", {}),
        ({"inputs": [{**INPUT, "timestamps": [1]}]}, grpc.StatusCode.INVALID_ARGUMENT, "must have either 'start' or 'timestamps'", {"series": "b"}),
        ({"inputs": [{**INPUT, "history": {"Demand": {"values": [1, "Infinity"]}}}]}, grpc.StatusCode.INVALID_ARGUMENT, "must have finite numbers", {"series": "b", "column": "Demand", "place": "2014-01-02T15:00:00Z"}),
        ({"inputs": [{**INPUT, "history": {"Demand": {"values": [1, 2]}, "Temperature": {"values": [1]}}}]}, grpc.StatusCode.INVALID_ARGUMENT, "must have 2 values, as others have, found 1", {"series": "b", "column": "Temperature"}),
        ({"inputs": [{**INPUT, "known": {"Temperature": {"values": [1, "NaN", 3]}}}]}, grpc.StatusCode.INVALID_ARGUMENT, "must be finite numbers", {"series": "b", "column": "Temperature", "place": "1"}),
        ({"inputs": [{"series": "b", "static": {"Zone": "n"}}]}, grpc.StatusCode.INVALID_ARGUMENT, "which has no 'history'", {"series": "b"}),
    ],
)  # fmt: skip
def test_a_request_that_must_be_changed_says_what_it_is_about(channel, asked, code, text, about):
    with pytest.raises(grpc.RpcError) as found:
        _ask(channel, asked, metadata=(("x-request-id", "order-17"),))
    trailing = dict(found.value.trailing_metadata())
    assert (found.value.code(), trailing.pop("x-request-id")) == (code, "order-17")
    assert text in found.value.details()
    assert trailing == about


def test_an_error_in_a_stream_names_the_request(channel):
    bulk = channel.stream_stream(f"/{SERVICE}/ForecastBulk", ForecastRequest.SerializeToString, ForecastResponse.FromString)  # fmt: skip
    with pytest.raises(grpc.RpcError) as found:
        list(bulk(iter([_message({"series": ["a"]}), _message({"series": ["zz"]})]), timeout=20))
    assert "request 1: there is no series 'zz'" in found.value.details()


def test_calls_are_counted_by_route_and_the_server_says_that_it_serves(channel, address):
    _ask(channel, {"series": ["a"]})
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("GET", "/metrics")
    page = connection.getresponse().read().decode()
    connection.close()
    assert f'forecast_requests_total{{code="200",model="tiny",route="/{SERVICE}/Forecast"}}' in page
    status = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=20)
    assert status.status == health_pb2.HealthCheckResponse.SERVING


def test_a_token_is_asked_for_where_http_asks_for_one_and_what_is_answered_is_kept(home, tmp_path):
    token, record = make_token("shop", [TokenScope.READ])
    (tmp_path / "tokens").write_text(record.line())
    command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={home / 'models'}", "--port=0"]
    command += ["--grpc=127.0.0.1:1", "--grpc-port=0", f"--tokens={tmp_path / 'tokens'}"]
    command += [f"--store=sqlite:///{tmp_path / 'store.db'}"]
    lines = {"grpc": re.compile(r"Gateway gRPC at (\S+)"), **LINE}
    with (
        listening_process(command, lines, log=tmp_path / "log") as (_, addresses),
        grpc.insecure_channel(addresses["grpc"]) as channel,
    ):
        with pytest.raises(grpc.RpcError) as found:
            _ask(channel, {"series": ["a"]})
        assert found.value.code() == grpc.StatusCode.UNAUTHENTICATED
        metadata = (("authorization", f"Bearer {token}"), ("x-request-id", "mine"))
        answer = _ask(channel, {"series": ["a"]}, metadata=metadata)
        bulk = channel.stream_stream(f"/{SERVICE}/ForecastBulk", ForecastRequest.SerializeToString, ForecastResponse.FromString)  # fmt: skip
        assert len(list(bulk(iter([_message({"series": ["a"]})] * 20), timeout=20, metadata=metadata))) == 20
    with open_store(store_address(None, tmp_path / "store.db")) as store:
        kept = read_forecasts(store, ForecastQuery(model="tiny"))
    # Twenty-one answers to requests of one name, and none of them is lost.
    assert len({one.request for one in kept}) == len(kept) == 21
    # No model server was there to take any time.
    assert {one.latency_us for one in kept} == {None}
    assert {(one.request.partition("/")[0], one.series) for one in kept} == {("mine", "a")}
    assert [one.degraded for one in answer.forecasts] == [True]


def test_a_stream_is_no_way_around_the_rate(home, tmp_path):
    command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={home / 'models'}", "--port=0"]
    command += ["--grpc=127.0.0.1:1", "--grpc-port=0", "--rate-limit=2"]
    lines = {"grpc": re.compile(r"Gateway gRPC at (\S+)"), **LINE}
    with (
        listening_process(command, lines, log=tmp_path / "log") as (_, addresses),
        grpc.insecure_channel(addresses["grpc"]) as channel,
    ):
        bulk = channel.stream_stream(f"/{SERVICE}/ForecastBulk", ForecastRequest.SerializeToString, ForecastResponse.FromString)  # fmt: skip
        with pytest.raises(grpc.RpcError) as found:
            list(bulk(iter([_message({"series": ["a"]})] * 5_000), timeout=60))
    assert found.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(found.value.trailing_metadata())["retry-after"] == "1"


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.1:50123", "10.0.0.1"),
        ("ipv6:[2001:db8::1]:50123", "2001:db8::1"),
        ("ipv6:%5B::1%5D:50123", "::1"),
        ("unix:/run/gateway", "unix:/run/gateway"),
    ],
)
def test_a_client_has_one_address_over_http_and_grpc(peer, address):
    assert peer_address(peer) == address
