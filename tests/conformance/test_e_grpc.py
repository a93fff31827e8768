"""Group E: gRPC with the official stubs."""

import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
    session_service_pb2,
)

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
INVALID = grpc.StatusCode.INVALID_ARGUMENT


def tensor(values=(), dtype=tf.float32, shape=None, **fields):
    """A TensorProto with typed values."""
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum)
    for size in shape if shape is not None else [len(values)]:
        proto.tensor_shape.dim.add(size=size)
    proto.float_val.extend(values)
    for name, value in fields.items():
        if name == "tensor_content":
            proto.tensor_content = value
        else:
            getattr(proto, name).extend(value)
    return proto


def predict_request(inputs, model="default", **spec):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    if "label" in spec:
        request.model_spec.version_label = spec["label"]
    request.model_spec.signature_name = spec.get("signature", "")
    request.output_filter.extend(spec.get("outputs", ()))
    for alias, proto in inputs.items():
        request.inputs[alias].CopyFrom(proto)
    return request


def example(**features):
    found = tf.train.Example()
    for name, value in features.items():
        found.features.feature[name].float_list.value.append(value)
    return found


def refused(call, request, code, *texts, timeout=30):
    """Check that a call fails with a code and texts."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=timeout)
    assert caught.value.code() == code, caught.value.details()
    for text in texts:
        assert text in caught.value.details()


X = {"x": tensor([2.0])}


@pytest.mark.parametrize("outputs", [pytest.param(["y"], id="E1"), pytest.param([], id="E2")])
def test_predict_answers_with_typed_values_and_the_resolved_model_spec(server, outputs):
    answer = server.prediction.Predict(predict_request(X, outputs=outputs), timeout=30)
    assert list(answer.outputs) == ["y"]
    assert answer.outputs["y"].dtype == 1
    assert list(answer.outputs["y"].float_val) == [3.0]
    assert answer.outputs["y"].tensor_content == b""
    assert [dim.size for dim in answer.outputs["y"].tensor_shape.dim] == [1]
    spec = answer.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("default", 123, "serving_default")


def test_e3_tensor_content_is_read(server):
    proto = tensor(shape=[2], tensor_content=np.float32([2.0, 4.0]).tobytes())
    answer = server.prediction.Predict(predict_request({"x": proto}), timeout=30)
    assert list(answer.outputs["y"].float_val) == [3.0, 4.0]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [pytest.param([2.0], [3.0, 3.0, 3.0], id="E4"), pytest.param([2.0, 4.0], [3.0, 4.0, 4.0], id="E4 last repeats")],
)
def test_short_lists_repeat_their_last_value(server, values, wanted):
    answer = server.prediction.Predict(predict_request({"x": tensor(values, shape=[3])}), timeout=30)
    assert list(answer.outputs["y"].float_val) == wanted


def test_e5_broken_content_is_a_parsing_error(server):
    proto = tensor(shape=[1], tensor_content=b"abc")
    refused(server.prediction.Predict, predict_request({"x": proto}), INVALID, "tensor parsing error: x")


@pytest.mark.parametrize(
    ("inputs", "spec", "texts"),
    [
        pytest.param(X, {"outputs": ["z"]}, ["output tensor alias not found in signature: z", "{y}"], id="E6"),
        pytest.param(X, {"outputs": ["y", "y"]}, ["duplicate output tensor alias: y"], id="E7"),
        pytest.param(
            {},
            {},
            [
                "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}."
            ],
            id="E8",
        ),
        pytest.param(
            {"x": tensor([1.0]), "z": tensor([1.0])},
            {},
            ["2!=1", "Sent extra: {z}. Missing but required: {}."],
            id="E9",
        ),
        pytest.param(
            {"z": tensor([1.0])},
            {},
            ["Signature input alias: x(feed name: x:0) not found in request and no default value provided."],
            id="E10",
        ),
        pytest.param({"x": tensor(dtype=tf.string, shape=[1], string_val=[b"a"])}, {}, [], id="E11 string"),
        pytest.param(
            {"x": tensor(dtype=tf.float64, shape=[1], double_val=[1.0])},
            {},
            ["Type mismatch: actual double vs. expect float"],
            id="E11 double",
        ),
        pytest.param({"x": tensor(dtype=tf.bool, shape=[1], bool_val=[True])}, {}, [], id="E11 bool"),
        pytest.param(X, {"label": "nope"}, ["Unrecognized servable version label: nope"], id="E15 label"),
    ],
)
def test_predict_refuses(server, inputs, spec, texts):
    refused(server.prediction.Predict, predict_request(inputs, **spec), INVALID, *texts)


def test_e12_an_unknown_signature_is_a_failed_precondition(server):
    request = predict_request(X, signature="nope")
    text = 'Serving signature key "nope" not found.'
    refused(server.prediction.Predict, request, grpc.StatusCode.FAILED_PRECONDITION, text)


def test_e13_a_model_must_be_named(server):
    refused(server.prediction.Predict, predict_pb2.PredictRequest(), INVALID, "Missing ModelSpec")
    refused(server.prediction.Predict, predict_request(X, model=""), INVALID, "ModelSpec has no name specified.")


@pytest.mark.parametrize(
    ("model", "spec", "text"),
    [
        pytest.param("intentionally_missing_model", {}, "Servable", id="E14"),
        pytest.param(
            "default", {"version": 99}, "Servable not found for request: Specific(default, 99)", id="E14 version"
        ),
    ],
)
def test_what_is_missing_is_not_found(server, model, spec, text):
    refused(server.prediction.Predict, predict_request(X, model=model, **spec), grpc.StatusCode.NOT_FOUND, text)


def test_e16_predict_runs_a_regression_signature(server):
    proto = tensor(dtype=tf.string, shape=[1], string_val=[example(x=2.0).SerializeToString()])
    answer = server.prediction.Predict(predict_request({"inputs": proto}, signature="regress_x_to_y"), timeout=30)
    assert list(answer.outputs["outputs"].float_val) == [3.0]


def test_e17_classify(server):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "default", "classify_x_to_y"
    request.input.example_list.examples.append(example(x=2.0))
    answer = server.prediction.Classify(request, timeout=30)
    (one,) = answer.result.classifications
    assert [(found.label, found.score) for found in one.classes] == [("", 3.0)]
    spec = answer.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("default", 123, "classify_x_to_y")


def test_e18_regress_with_a_context(server):
    request = regression_pb2.RegressionRequest()
    request.model_spec.name, request.model_spec.signature_name = "default", "regress_x_to_y"
    request.input.example_list_with_context.context.CopyFrom(example(x=2.0))
    request.input.example_list_with_context.examples.extend([example(), example(x=4.0)])
    answer = server.prediction.Regress(request, timeout=30)
    assert [found.value for found in answer.result.regressions] == [3.0, 4.0]


def test_e18_regress_without_examples(server):
    request = regression_pb2.RegressionRequest()
    request.model_spec.name, request.model_spec.signature_name = "default", "regress_x_to_y"
    refused(server.prediction.Regress, request, INVALID, "Input is empty")


def multi(*tasks, examples=(2.0,)):
    request = inference_pb2.MultiInferenceRequest()
    for model, signature, method in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = model, signature
    request.input.example_list.examples.extend(example(x=value) for value in examples)
    return request


R, C = ("default", "regress_x_to_y", REGRESS), ("default", "classify_x_to_y", CLASSIFY)


def test_e19_multi_inference(server):
    first, second = server.prediction.MultiInference(multi(R, C), timeout=30).results
    assert [found.value for found in first.regression_result.regressions] == [3.0]
    assert second.classification_result.classifications[0].classes[0].score == 3.0
    assert [found.model_spec.signature_name for found in (first, second)] == ["regress_x_to_y", "classify_x_to_y"]
    assert {found.model_spec.version.value for found in (first, second)} == {123}


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        pytest.param(multi(R, R), INVALID, "Duplicate evaluation of signature: regress_x_to_y", id="E20a"),
        pytest.param(
            multi(R, ("other", "classify_x_to_y", CLASSIFY)), INVALID, "must access the same model name", id="E20b"
        ),
        pytest.param(multi(R, C, examples=()), INVALID, "Input is empty", id="E20c"),
        pytest.param(
            multi(("default", "serving_default", "tensorflow/serving/predict")),
            grpc.StatusCode.UNIMPLEMENTED,
            "Unsupported signature method_name",
            id="E20d",
        ),
        pytest.param(
            multi(("default", "nope", REGRESS)), INVALID, "Requested signature not found in model graph", id="E20e"
        ),
        pytest.param(multi(("foo", "nope", REGRESS)), grpc.StatusCode.NOT_FOUND, "Latest(foo)", id="E20f"),
    ],
)
def test_multi_inference_refuses(server, request_, code, text):
    refused(server.prediction.MultiInference, request_, code, text)


def metadata_request(*names, model="default"):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=names)
    request.model_spec.name = model
    return request


def test_e22_metadata_holds_the_signatures(server):
    answer = server.prediction.GetModelMetadata(metadata_request("signature_def"), timeout=30)
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("default", 123)
    assert list(answer.metadata) == ["signature_def"]
    found = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(found)
    assert found.signature_def["serving_default"].inputs["x"].name == "x:0"


def test_e23_metadata_of_other_fields_is_refused(server):
    call = server.prediction.GetModelMetadata
    refused(call, metadata_request(), INVALID, "must specify at least one metadata_field")
    refused(call, metadata_request("foo"), INVALID, "Metadata field foo is not supported")
    refused(
        call,
        get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"]),
        INVALID,
        "Missing ModelSpec",
    )


def test_e24_status(server):
    request = get_model_status_pb2.GetModelStatusRequest()
    refused(server.models.GetModelStatus, request, INVALID, "Missing ModelSpec")
    request.model_spec.name = "default"
    (entry,) = server.models.GetModelStatus(request, timeout=30).model_version_status
    assert (entry.version, entry.state, entry.status.error_code) == (123, 30, 0)
    request.model_spec.version.value = 99
    refused(
        server.models.GetModelStatus, request, grpc.StatusCode.NOT_FOUND, "Could not find version 99 of model default"
    )


def test_e32_a_message_of_eight_mebibytes_is_read_and_answered(server):
    values = np.arange(2_000_000, dtype=np.float32)
    proto = tensor(shape=[len(values)], tensor_content=values.tobytes())
    answer = server.prediction.Predict(predict_request({"x": proto}), timeout=60)
    np.testing.assert_array_equal(np.float32(answer.outputs["y"].float_val), values * np.float32(0.5) + 2)


@pytest.mark.parametrize("name", ["", "PredictionService", "ModelService"])
def test_e34_health(server, name):
    stub = health_pb2_grpc.HealthStub(server.channel)
    assert stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10).status == 1


def test_e35_services_that_are_not_offered_are_unimplemented(server):
    call = server.channel.unary_unary(
        "/tensorflow.serving.SessionService/SessionRun",
        request_serializer=session_service_pb2.SessionRunRequest.SerializeToString,
        response_deserializer=session_service_pb2.SessionRunResponse.FromString,
    )
    refused(call, session_service_pb2.SessionRunRequest(), grpc.StatusCode.UNIMPLEMENTED)


def test_e36_an_input_with_a_default_may_be_left_out(server):
    answer = server.prediction.Predict(predict_request({}, model="with_default"), timeout=30)
    assert list(answer.outputs["y"].float_val) == [4.0]
    answer = server.prediction.Predict(predict_request(X, model="with_default"), timeout=30)
    assert list(answer.outputs["y"].float_val) == [3.0]


def test_e36_json_has_no_defaults(server):
    status, answer = server.post("/v1/models/with_default:predict", {"inputs": {}})
    assert status == 400
    assert "Missing named input: x" in answer["error"]


def test_e37_a_deadline_ends_the_wait_and_leaves_the_server_answering(server):
    started = time.monotonic()
    request = predict_request({"x": tensor([200_000.0])}, model="slow")
    refused(server.prediction.Predict, request, grpc.StatusCode.DEADLINE_EXCEEDED, timeout=0.5)
    assert time.monotonic() - started < 5
    assert list(server.prediction.Predict(predict_request(X), timeout=30).outputs["y"].float_val) == [3.0]


def test_e38_a_compressed_message_is_read(server):
    answer = server.prediction.Predict(predict_request(X), timeout=30, compression=grpc.Compression.Gzip)
    assert list(answer.outputs["y"].float_val) == [3.0]


@pytest.mark.parametrize(
    ("signature", "proto", "field", "wanted"),
    [
        pytest.param("i", tensor(dtype=tf.int32, shape=[2], int_val=[1, -2]), "int_val", [1, -2], id="E39 int32"),
        pytest.param("l", tensor(dtype=tf.int64, shape=[1], int64_val=[2**60]), "int64_val", [2**60], id="E39 int64"),
        pytest.param(
            "s", tensor(dtype=tf.string, shape=[1], string_val=[b"\xff"]), "string_val", [b"\xff"], id="E39 string"
        ),
        pytest.param(
            "b", tensor(dtype=tf.bool, shape=[2], bool_val=[True, False]), "bool_val", [True, False], id="E39 bool"
        ),
        pytest.param("d", tensor(dtype=tf.float64, shape=[1], double_val=[0.1]), "double_val", [0.1], id="E39 double"),
    ],
)
def test_types_survive_in_their_fields(server, signature, proto, field, wanted):
    metadata = server.prediction.GetModelMetadata(metadata_request("signature_def", model="identity"), timeout=30)
    found = get_model_metadata_pb2.SignatureDefMap()
    metadata.metadata["signature_def"].Unpack(found)
    (name,) = found.signature_def[signature].inputs
    answer = server.prediction.Predict(
        predict_request({name: proto}, model="identity", signature=signature), timeout=30
    )
    assert list(getattr(answer.outputs[signature], field)) == wanted


def test_e40_half_floats_come_back_as_bits(server):
    answer = server.prediction.Predict(
        predict_request({"x": tensor([1.0])}, model="odd", signature="float16"), timeout=30
    )
    assert list(answer.outputs["y"].half_val) == [0x3C00]
    answer = server.prediction.Predict(
        predict_request({"x": tensor([1.0])}, model="odd", signature="complex64"), timeout=30
    )
    assert list(answer.outputs["y"].scomplex_val) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("proto", "wanted"),
    [
        pytest.param(tensor([2.0, 4.0, 6.0], shape=[2]), [3.0, 4.0], id="E4 too many"),
        pytest.param(tensor([], shape=[2]), [2.0, 2.0], id="E4 none"),
        pytest.param(tensor([2.0, 4.0], shape=[]), [3.0], id="E4 two for a scalar"),
        pytest.param(tensor(dtype=tf.float32, shape=[1], double_val=[8.0]), [2.0], id="E4 another field"),
        pytest.param(tensor([2.0], shape=[0]), [], id="E4 one for nothing"),
    ],
)
def test_values_that_do_not_fit_the_shape(server, proto, wanted):
    answer = server.prediction.Predict(predict_request({"x": proto}), timeout=30)
    assert list(answer.outputs["y"].float_val) == wanted


def test_e12_an_empty_label_is_an_unknown_one(server):
    request = predict_request(X, label="")
    refused(server.prediction.Predict, request, INVALID, "Unrecognized servable version label: ")


def test_e12_version_zero_is_a_version(server):
    request = predict_request(X, version=0)
    refused(server.prediction.Predict, request, grpc.StatusCode.NOT_FOUND, "Specific(default, 0)")
