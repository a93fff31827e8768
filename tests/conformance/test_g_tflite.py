"""Group G: directories with a TensorFlow Lite model."""

import shutil

import pytest
import tensorflow as tf

from tests.conformance.test_e_grpc import INVALID, metadata_request, predict_request, refused, tensor
from tests.conformance.test_f_lifecycle import LITE, entry, write_config


@pytest.fixture(scope="module")
def lite(models, tmp_path_factory):
    """A server of the Lite models, and of a SavedModel that has none."""
    import os

    from tests.conformance.running import started

    if "TFS_GRPC" in os.environ:
        pytest.skip("needs a server with flags of its own; set TFS_COMMAND instead of TFS_GRPC")
    folder = tmp_path_factory.mktemp("lite")
    names = {
        "default": "lite_half_plus_two",
        "plain": "lite_forecaster_plain",
        "signed": "lite_forecaster_signed",
        "int8": "lite_forecaster_int8",
        "saved": "half_plus_two",
    }
    shutil.copytree(models / "half_plus_three" / "00000123", folder / "both" / "1")
    shutil.copy(models / "lite_half_plus_two" / "123" / "model.tflite", folder / "both" / "1")
    entries = [entry(name, models / source) for name, source in names.items()] + [entry("both", folder / "both")]
    flags = [LITE, write_config(folder / "c", *entries)]
    with started(flags, folder / "log", wait=[*names, "both"]) as server:
        yield server


def ask(server, inputs, model="default", **spec):
    return server.prediction.Predict(predict_request(inputs, model=model, **spec), timeout=30)


def forecast_inputs():
    return {"history": tensor([1.0] * 24, shape=[1, 24]), "future": tensor([0.0] * 4, shape=[1, 4])}


def signature(server, model):
    from tensorflow_serving.apis import get_model_metadata_pb2

    answer = server.prediction.GetModelMetadata(metadata_request("signature_def", model=model), timeout=30)
    found = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(found)
    return found.signature_def["serving_default"]


def test_g1_a_model_without_signatures_gets_one_of_its_tensors(lite):
    answer = ask(lite, {"x": tensor([2.0], shape=[1, 1])})
    assert list(answer.outputs["y"].float_val) == [3.0]
    assert answer.model_spec.version.value == 123
    found = signature(lite, "default")
    assert (list(found.inputs), list(found.outputs), found.method_name) == (["x"], ["y"], "tensorflow/serving/predict")
    assert lite.post("/v1/models/default:predict", {"instances": [[2.0]]}) == (200, {"predictions": [[3.0]]})


@pytest.mark.parametrize(
    ("shape", "values", "wanted"),
    [
        pytest.param([3], [1.0, 2.0, 3.0], [2.5, 3.0, 3.5], id="G2"),
        pytest.param([2, 2], [1.0, 2.0, 3.0, 4.0], [2.5, 3.0, 3.5, 4.0], id="G2 more"),
    ],
)
def test_inputs_are_resized(lite, shape, values, wanted):
    answer = ask(lite, {"x": tensor(values, shape=shape)})
    assert list(answer.outputs["y"].float_val) == wanted
    assert [dim.size for dim in answer.outputs["y"].tensor_shape.dim] == shape


def test_g3_signatures_of_the_metadata_entry_are_used(lite):
    found = signature(lite, "signed")
    assert (sorted(found.inputs), sorted(found.outputs)) == (["future", "history"], ["p10", "p50", "p90"])
    answer = ask(lite, forecast_inputs(), "signed")
    assert [answer.outputs[name].float_val[0] for name in ("p10", "p50", "p90")] == [0.0, 1.0, 2.0]


def test_g4_the_converters_own_signatures_are_not(lite):
    found = signature(lite, "plain")
    assert sorted(found.inputs) == ["serving_default_future", "serving_default_history"]
    # Three outputs, of one name before ':'.
    (output,) = found.outputs
    assert output.endswith("PartitionedCall")


def test_g5_without_a_lite_model_the_saved_model_is_served(lite):
    assert list(ask(lite, {"x": tensor([2.0])}, "saved").outputs["y"].float_val) == [3.0]


def test_g6_with_both_the_lite_model_is_served(lite):
    assert list(ask(lite, {"x": tensor([2.0], shape=[1, 1])}, "both").outputs["y"].float_val) == [3.0]


@pytest.mark.parametrize("dtype", [pytest.param(tf.float64, id="G7"), pytest.param(tf.int32, id="G7 int32")])
def test_another_type_is_refused(lite, dtype):
    field = {tf.float64: "double_val", tf.int32: "int_val"}[dtype]
    proto = tensor(dtype=dtype, shape=[1], **{field: [1]})
    refused(lite.prediction.Predict, predict_request({"x": proto}), INVALID, "Type mismatch")


def test_g8_an_int8_model_answers_floats(lite):
    answer = ask(lite, forecast_inputs(), "int8")
    assert abs(answer.outputs["p50"].float_val[0] - 1.0) < 0.2
