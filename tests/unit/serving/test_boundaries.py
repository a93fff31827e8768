"""Requests that are odd enough to reach a conversion's own exception: each is refused in words, none ends in silence."""

import asyncio
import gzip
import json
import logging

import grpc
import pytest

from forecasting.wire.fast_predict import PredictCall, TensorError
from forecasting.wire.messages import ClassificationRequest, DataType, PredictRequest, TensorProto
from serving.model_server.backends import session
from serving.model_server.examples import examples_of
from serving.model_server.grpc_service import GrpcConfig, GrpcServer
from serving.model_server.rest_app import RestApp, RestConfig, _inflate
from serving.model_server.rest_examples import fill_examples
from serving.model_server.rest_json import parse_object, signature_name_of
from serving.model_server.rest_values import values_of
from serving.model_server.signatures import InputSpec
from serving.model_server.status import RequestError, StatusCode

FLOATS = {"x": InputSpec("x:0", int(DataType.DT_FLOAT), None)}


def _read(body):
    parsed = parse_object(body)
    return values_of(parsed, FLOATS, signature_name_of(parsed.document))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b'{"instances": [NaN, [1]]}', "Failed to process element: 1", id="ragged beside NaN"),
        pytest.param(b'{"instances": ' + b"[" * 70 + b"1" + b"]" * 70 + b"}", "nested deeper than 63", id="70 lists"),
        pytest.param(b'{"inputs": ' + b"[" * 70 + b"1" + b"]" * 70 + b"}", "nested deeper than 63", id="70 columns"),
        pytest.param(b'{"inputs": 1' + b"0" * 400 + b"}", "Number too big", id="400 digits"),
        pytest.param(b'{"inputs": 1, "signature_name": "\\udc00"}', "must be a string value", id="half a pair"),
        pytest.param(b"[" * 1000 + b"]" * 1000, "Is not object", id="1000 lists and no object"),
    ],
)
def test_odd_values_are_invalid_arguments(body, message):
    with pytest.raises(RequestError, match=message) as caught:
        _read(body)
    assert caught.value.code == StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b'{"examples": [{"x": 1' + b"0" * 400 + b"}]}", "Number too big", id="400 digits"),
        pytest.param(b'{"examples": [{"\\udc00": 1}]}', "half of a surrogate pair in its name", id="half a pair"),
    ],
)
def test_odd_features_are_invalid_arguments(body, message):
    with pytest.raises(RequestError, match=message) as caught:
        fill_examples(parse_object(body), ClassificationRequest())
    assert caught.value.code == StatusCode.INVALID_ARGUMENT


def _call(tensor):
    request = PredictRequest()
    request.inputs["x"].CopyFrom(tensor)
    return PredictCall(request.SerializeToString())


def _tensor(shape, **fields):
    tensor = TensorProto(**fields)
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


def test_one_value_is_not_spread_over_a_shape_that_fills_the_memory():
    with pytest.raises(TensorError, match="values that repeat must not take more than 268435456 bytes"):
        _call(_tensor([2**33], dtype=DataType.DT_FLOAT, float_val=[1.0])).arrays()


def test_more_dimensions_than_numpy_has_are_refused():
    with pytest.raises(TensorError, match="at most 64 dimensions, found 70"):
        _call(_tensor([1] * 70, dtype=DataType.DT_FLOAT, float_val=[1.0])).arrays()


@pytest.mark.parametrize(
    ("dtype", "sent", "wanted"),
    [(DataType.DT_UINT8, [300, -1], [44, 255]), (DataType.DT_INT8, [200], [-56]), (DataType.DT_UINT16, [-1], [65535])],
)
def test_integers_wider_than_their_type_lose_the_upper_bits(dtype, sent, wanted):
    assert _call(_tensor([len(sent)], dtype=dtype, int_val=sent)).arrays()["x"].tolist() == wanted


def test_values_that_repeat_are_bounded_over_all_inputs_of_a_request():
    request = PredictRequest()
    for alias in ("a", "b"):
        request.inputs[alias].CopyFrom(_tensor([40_000_000], dtype=1, float_val=[1.0]))
    with pytest.raises(TensorError, match="must not take more than 268435456 bytes in all inputs"):
        PredictCall(request.SerializeToString()).arrays()


def test_copies_of_a_context_are_bounded():
    request = ClassificationRequest()
    examples = request.input.example_list_with_context
    examples.context.features.feature["x"].bytes_list.value.append(b"x" * 2**20)
    for _ in range(257):
        examples.examples.add()
    with pytest.raises(RequestError, match=r"found 1048.* bytes for 257 examples") as caught:
        examples_of(request.input)
    assert caught.value.code == StatusCode.RESOURCE_EXHAUSTED


def test_a_gzip_body_that_is_cut_followed_by_more_or_larger_than_100_mib_counts_as_empty():
    whole = gzip.compress(b'{"instances": [1]} and more', mtime=0)
    assert _inflate(whole) == b'{"instances": [1]} and more'
    assert _inflate(whole[:-9]) == b""
    assert _inflate(whole + whole) == b""
    blanks = gzip.compress(bytes(100 * 2**20), compresslevel=1)
    assert len(_inflate(blanks)) == 100 * 2**20
    assert _inflate(gzip.compress(bytes(100 * 2**20 + 1), compresslevel=1)) == b""


class _FaultyInference:
    """Stands for a fault of the server's own; nothing known reaches the boundary."""

    keeper = None

    def metadata(self, _request):
        raise ZeroDivisionError("a fault")


class _FaultyService:
    inference = _FaultyInference()
    log = None
    metrics = None

    async def predict(self, _call, _deadline_s, _is_patient=None):
        raise ZeroDivisionError("a fault")

    classify = regress = multi_inference = predict

    async def observe(self, _seen, _answer):
        raise ZeroDivisionError("a fault")


def test_a_fault_over_rest_is_a_json_500_and_in_the_log(caplog):
    app = RestApp(RestConfig(), _FaultyService(), None, {})
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "raw_path": b"/v1/models/m:predict",
        "query_string": b"",
        "headers": [],
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"{}"}

    async def send(message):
        sent.append(message)

    with caplog.at_level(logging.ERROR):
        asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 500
    assert json.loads(sent[1]["body"]) == {"error": "a fault of this server; its log tells more"}
    assert "ZeroDivisionError: a fault" in caplog.text


@pytest.mark.parametrize("method", ["Predict", "Classify", "GetModelMetadata"])
def test_a_fault_over_grpc_is_internal_and_in_the_log(method, caplog):
    class Models:
        status = None

    async def ask():
        server = GrpcServer(GrpcConfig("127.0.0.1:0"), _FaultyService(), Models())
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")(b"")
        await server.stop(0)
        return caught.value

    with caplog.at_level(logging.ERROR):
        error = asyncio.run(ask())
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "a fault of this server; its log tells more")
    assert "ZeroDivisionError: a fault" in caplog.text


def test_a_scalar_string_that_a_session_gives_is_an_object_that_holds_bytes():
    found = session._array(b"a\x00")
    assert (found.dtype, found.shape, found.item()) == (object, (), b"a\x00")
