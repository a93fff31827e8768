"""What only our own server tells about the same requests."""

import os

import pytest

from tests.conformance.test_e_grpc import predict_request, tensor

pytestmark = pytest.mark.skipif(
    "TFS_COMMAND" in os.environ or "TFS_GRPC" in os.environ, reason="the page is our own server's"
)
X = {"x": tensor([2.0], shape=[1, 1])}


def _line(signature, entrypoint, status="OK"):
    return (
        f'almanac_model_server_requests_total{{model="default",version="123",signature="{signature}",'
        f'entrypoint="{entrypoint}",status="{status}"}} 1\n'
    )


def test_own_metrics_tell_version_and_signature_of_every_kind_of_request(own_server, models):
    from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

    with own_server(f"--model_base_path={models / 'half_plus_two'}") as server:
        server.post("/v1/models/default:regress", {"signature_name": "regress_x_to_y", "examples": [{"x": 2.0}]})
        classify = classification_pb2.ClassificationRequest()
        classify.model_spec.name, classify.model_spec.signature_name = "default", "classify_x_to_y"
        classify.input.example_list.examples.add().features.feature["x"].float_list.value.append(2.0)
        server.prediction.Classify(classify, timeout=30)
        regress = regression_pb2.RegressionRequest(model_spec=classify.model_spec, input=classify.input)
        regress.model_spec.signature_name = "regress_x_to_y2"
        server.prediction.Regress(regress, timeout=30)
        multi = inference_pb2.MultiInferenceRequest(input=classify.input)
        for name in ("regress_x_to_y", "classify_x_to_y"):
            task = multi.tasks.add(method_name=f"tensorflow/serving/{name.partition('_')[0]}")
            task.model_spec.name, task.model_spec.signature_name = "default", name
        server.prediction.MultiInference(multi, timeout=30)
        server.post("/v1/models/default:predict", {"signature_name": "made up", "instances": [1.0]})
        page = server.ask("GET", "/metrics")[2].decode()
    assert _line("regress_x_to_y", "REST") in page
    assert _line("classify_x_to_y", "GRPC").replace(" 1\n", " 2\n") in page
    assert _line("regress_x_to_y", "GRPC") in page
    assert _line("regress_x_to_y2", "GRPC") in page
    assert _line("", "REST", "INVALID_ARGUMENT") in page
    assert "made up" not in page


@pytest.mark.parametrize("names", [["p10", "p90"], ["p90", "p10"], ["p50"]])
def test_outputs_come_by_name_in_any_order_of_the_filter(server, names):
    inputs = {"history": tensor([1.0] * 24, shape=[1, 24]), "future": tensor([0.5] * 4, shape=[1, 4])}
    found = server.prediction.Predict(predict_request(inputs, model="forecaster", outputs=names), timeout=30)
    wanted = {"p10": 2.0, "p50": 3.0, "p90": 4.0}
    assert {name: list(found.outputs[name].float_val) for name in found.outputs} == {
        name: [wanted[name]] * 8 for name in names
    }
