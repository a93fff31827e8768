"""Group F: versions, configuration files, reloads and warm-up; and the reload cases of group E.

TensorFlow Lite models stand for all others here: they load in no time.
"""

import shutil

import grpc
import pytest
from tensorflow_serving.apis import model_management_pb2, predict_pb2, prediction_log_pb2

from forecasting.wire.records import write_records
from tests.conformance.running import run_to_end, wait_for
from tests.conformance.test_e_grpc import INVALID, X, predict_request, refused, tensor

LITE = "--prefer_tflite_model=true"
WARMUP = "assets.extra/tf_serving_warmup_requests"


@pytest.fixture
def publish(models, tmp_path):
    """Put a version into a base path, whole at once."""

    def put(version, source="lite_half_plus_two/123", base="base"):
        target = tmp_path / base / str(version)
        hidden = tmp_path / base / f"tmp-{version}"
        shutil.copytree(models / source, hidden)
        hidden.rename(target)
        return target

    return put


def entry(name, base, rest=""):
    return f'config {{ name: "{name}" base_path: "{base}" model_platform: "tensorflow" {rest} }}'


def write_config(path, *entries):
    path.write_text("model_config_list {\n" + "\n".join(entries) + "\n}")
    return f"--model_config_file={path}"


def reload_request(*entries, metrics=()):
    from google.protobuf import text_format

    request = model_management_pb2.ReloadConfigRequest(metric_names=metrics)
    text_format.Parse("model_config_list {" + " ".join(entries) + "}", request.config)
    return request


def y_of(server, model="default", **spec):
    answer = server.prediction.Predict(predict_request(X, model=model, **spec), timeout=30)
    return answer.model_spec.version.value, list(answer.outputs["y"].float_val)


def test_f1_the_latest_version_is_served_alone(own_server, publish, tmp_path):
    publish(123)
    publish(124)
    with own_server(LITE, f"--model_base_path={tmp_path / 'base'}") as server:
        assert y_of(server) == (124, [3.0])
        assert server.states("default") == {124: 30}


def test_f2_latest_with_a_number_serves_so_many(own_server, publish, tmp_path):
    for version in (1, 2, 3):
        publish(version)
    policy = "model_version_policy { latest { num_versions: 2 } }"
    config = write_config(tmp_path / "models.config", entry("default", tmp_path / "base", policy))
    with own_server(LITE, config) as server:
        server.wait_states("default", {3: "AVAILABLE", 2: "AVAILABLE"})


def test_f3_all_versions(own_server, publish, tmp_path):
    for version in (1, 2):
        publish(version)
    config = write_config(tmp_path / "c", entry("default", tmp_path / "base", "model_version_policy { all {} }"))
    with own_server(LITE, config) as server:
        server.wait_states("default", {2: "AVAILABLE", 1: "AVAILABLE"})


def test_f4_specific_versions_and_one_that_is_missing(own_server, publish, tmp_path):
    for version in (1, 2, 3):
        publish(version)
    policy = "model_version_policy { specific { versions: 1 versions: 3 versions: 7 } }"
    config = write_config(tmp_path / "c", entry("default", tmp_path / "base", policy))
    with own_server(LITE, config) as server:
        server.wait_states("default", {3: "AVAILABLE", 1: "AVAILABLE"})
        assert y_of(server, version=1)[0] == 1


def test_f5_leading_zeros_and_other_names(own_server, publish, tmp_path):
    publish("00000123")
    publish("notes")
    publish("7.bak")
    with own_server(LITE, f"--model_base_path={tmp_path / 'base'}") as server:
        assert server.states("default") == {123: 30}


def test_f5_one_version_in_two_directories_is_served_once(own_server, publish, tmp_path):
    publish("1")
    publish("0001")
    with own_server(LITE, f"--model_base_path={tmp_path / 'base'}") as server:
        assert server.states("default") == {1: 30}


def test_f6_a_new_version_takes_over_and_the_old_one_ends(own_server, publish, tmp_path):
    publish(123)
    with own_server(LITE, f"--model_base_path={tmp_path / 'base'}") as server:
        publish(124)
        server.wait_states("default", {123: "END", 124: "AVAILABLE"})
        assert y_of(server)[0] == 124
        refused(
            server.prediction.Predict,
            predict_request(X, version=123),
            grpc.StatusCode.NOT_FOUND,
            "Specific(default, 123)",
        )


def test_f7_a_corrupt_version_leaves_the_old_one_and_ends_with_its_error(own_server, publish, tmp_path):
    publish(123)
    with own_server(
        LITE,
        f"--model_base_path={tmp_path / 'base'}",
        "--max_num_load_retries=1",
        "--load_retry_interval_micros=200000",
    ) as server:
        broken = tmp_path / "base" / "tmp"
        broken.mkdir()
        (broken / "model.tflite").write_bytes(b"no model")
        broken.rename(tmp_path / "base" / "124")
        server.wait_states("default", {123: "AVAILABLE", 124: "END"})
        _, document = server.get("/v1/models/default/versions/124")
        (state,) = document["model_version_status"]
        assert state["status"]["error_code"] != "OK"
        assert state["status"]["error_message"]
        assert y_of(server) == (123, [3.0])


def test_f8_without_any_version_the_model_is_gone(own_server, publish, tmp_path):
    publish(123)
    with own_server(LITE, f"--model_base_path={tmp_path / 'base'}") as server:
        shutil.rmtree(tmp_path / "base" / "123")
        server.wait_states("default", {123: "END"})
        refused(server.prediction.Predict, predict_request(X), grpc.StatusCode.NOT_FOUND, "Latest(default)")
        publish(123)
        server.wait_states("default", {123: "AVAILABLE"})
        assert y_of(server) == (123, [3.0])


def test_f9_a_base_path_that_is_away_for_a_while_takes_nothing_down(own_server, publish, tmp_path):
    publish(123)
    with own_server(LITE, f"--model_base_path={tmp_path / 'base'}") as server:
        (tmp_path / "base").rename(tmp_path / "away")
        publish(5, base="other")
        request = reload_request(entry("default", tmp_path / "base"), entry("other", tmp_path / "other"))
        server.models.HandleReloadConfigRequest(request, timeout=30)
        assert y_of(server) == (123, [3.0])


def test_f10_a_configuration_that_is_none_ends_the_server(tmp_path):
    (tmp_path / "c").write_text("garbage!")
    found = run_to_end([f"--model_config_file={tmp_path / 'c'}"])
    assert found.returncode != 0
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig" in found.stderr


def test_f11_without_a_model_the_server_does_not_start():
    found = run_to_end([])
    assert found.returncode == 255
    text = (
        "Failed to start server. Error: INVALID_ARGUMENT: Both server_options.model_base_path and "
        "server_options.model_config_file are empty!"
    )
    assert text in found.stdout + found.stderr


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        pytest.param([entry("a", "/x"), entry("a", "/y")], "Illegal to list model a multiple times", id="F12 twice"),
        pytest.param(
            [entry("a", "x")], "Expected model a to have an absolute path or URI; got base_path()=x", id="F12 relative"
        ),
        pytest.param(['config { name: "a" base_path: "/x" }'], "Illegal setting neither", id="F12 no platform"),
        pytest.param(
            ['config { name: "a" base_path: "/x" model_platform: "caffe" }'],
            "requests unsupported platform caffe",
            id="F12 platform",
        ),
        pytest.param(
            [entry("a", "/x", 'version_labels { key: "stable" value: 1 }')],
            "which is not currently available",
            id="F12 label",
        ),
    ],
)
def test_configurations_that_end_the_server(tmp_path, entries, text):
    found = run_to_end([write_config(tmp_path / "c", *entries)])
    assert found.returncode != 0
    assert text in found.stdout + found.stderr


def test_f13_text_format_with_commas_colons_and_comments(own_server, publish, tmp_path):
    publish(1)
    config = tmp_path / "c"
    config.write_text(
        f'model_config_list: {{ config: {{ name: "a", base_path: "{tmp_path / "base"}", model_platform: "tensorflow" }},'
        f' # a comment\n config: {{ name: "b", base_path: "{tmp_path / "base"}", model_platform: "tensorflow" }} }}'
    )
    with own_server(LITE, f"--model_config_file={config}", wait=("a", "b")) as server:
        assert y_of(server, "a") == y_of(server, "b") == (1, [3.0])


def warmup_logs(value=2.0, n=2):
    logs = []
    for _ in range(n):
        log = prediction_log_pb2.PredictionLog()
        log.predict_log.request.CopyFrom(predict_request({"x": tensor([value], shape=[1, 1])}))
        logs.append(log.SerializeToString())
    return logs


def test_f14_warm_up_records_are_replayed_and_counted(own_server, publish, tmp_path, monitoring):
    write_records(publish(123) / WARMUP, warmup_logs())
    flags = [f"--model_base_path={tmp_path / 'base'}", f"--monitoring_config_file={monitoring}"]
    with own_server(LITE, *flags) as server:
        page = server.ask("GET", "/monitoring/prometheus/metrics")[2].decode()
        path = tmp_path / "base" / "123"
        assert f':tensorflow:serving:model_warmup_latency_count{{model_path="{path}",status="OK"}} 1\n' in page
        assert f':tensorflow:serving:model_warmup_records_read{{model_path="{path}",status="OK"}} 2\n' in page


def test_f15_warm_up_can_be_switched_off(own_server, publish, tmp_path, monitoring):
    write_records(publish(123) / WARMUP, warmup_logs())
    flags = [
        f"--model_base_path={tmp_path / 'base'}",
        f"--monitoring_config_file={monitoring}",
        "--enable_model_warmup=false",
    ]
    with own_server(LITE, *flags) as server:
        status, _, page = server.ask("GET", "/monitoring/prometheus/metrics")
        assert status == 200
        assert b"# TYPE :tensorflow:serving:request_count counter" in page
        assert b"model_warmup_records_read{" not in page


def _session_log():
    log = prediction_log_pb2.PredictionLog()
    log.session_run_log.SetInParent()
    return [log.SerializeToString()]


def _wrong_log():
    log = prediction_log_pb2.PredictionLog()
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "default"
    log.predict_log.request.CopyFrom(request)
    return [log.SerializeToString()]


@pytest.mark.parametrize(
    ("records", "text"),
    [
        pytest.param(_session_log(), "Unsupported log_type for warmup", id="F16"),
        pytest.param(_wrong_log(), "input size does not match signature", id="F16 wrong record"),
        pytest.param([b"\xff\xff\xff"], "parse warmup record", id="F16 no record"),
    ],
)
def test_a_failing_warm_up_fails_the_load(own_server, publish, tmp_path, records, text):
    publish(123)
    with own_server(LITE, f"--model_base_path={tmp_path / 'base'}") as server:
        hidden = tmp_path / "base" / "tmp"
        shutil.copytree(tmp_path / "base" / "123", hidden)
        write_records(hidden / WARMUP, records)
        hidden.rename(tmp_path / "base" / "124")
        server.wait_states("default", {123: "AVAILABLE", 124: "END"})
        _, document = server.get("/v1/models/default/versions/124")
        assert text in document["model_version_status"][0]["status"]["error_message"]


@pytest.fixture
def two_models(publish, tmp_path):
    """Half plus two below `base`, the forecaster below `other`."""
    publish(123)
    publish(1, "lite_forecaster_signed/1", base="other")
    return entry("default", tmp_path / "base"), entry("forecaster", tmp_path / "other")


def test_e25_a_reload_swaps_the_models(own_server, two_models, tmp_path):
    first, second = two_models
    with own_server(LITE, write_config(tmp_path / "c", first)) as server:
        answer = server.models.HandleReloadConfigRequest(reload_request(second), timeout=60)
        assert answer.status.error_code == 0
        refused(server.prediction.Predict, predict_request(X), grpc.StatusCode.NOT_FOUND, "Latest(default)")
        inputs = {"history": tensor([1.0] * 24, shape=[1, 24]), "future": tensor([0.0] * 4, shape=[1, 4])}
        found = server.prediction.Predict(predict_request(inputs, model="forecaster"), timeout=30)
        assert list(found.outputs["p50"].float_val) == [1.0] * 8
        server.wait_states("default", {123: "END"})


def test_e26_an_empty_reload_and_one_of_another_platform_are_refused(own_server, two_models, tmp_path):
    first, _ = two_models
    with own_server(LITE, write_config(tmp_path / "c", first)) as server:
        call = server.models.HandleReloadConfigRequest
        refused(
            call, model_management_pb2.ReloadConfigRequest(), INVALID, "Only ModelConfigList is currently supported"
        )
        changed = first.replace('"tensorflow"', '"other"')
        refused(call, reload_request(changed), INVALID, "Illegal to change a model's platform")
        refused(call, reload_request(first, first), INVALID, "Illegal to list model default multiple times")
        assert y_of(server) == (123, [3.0])


def test_e28_a_live_model_keeps_its_platform(own_server, two_models, tmp_path):
    first, _ = two_models
    with own_server(LITE, write_config(tmp_path / "c", first)) as server:
        request = reload_request(first.replace('"tensorflow"', '"tensorflow2"'))
        refused(server.models.HandleReloadConfigRequest, request, INVALID, "Illegal to change a model's platform")


def test_e29_a_reload_tells_how_metrics_grew(own_server, publish, tmp_path):
    publish(123, "half_plus_two/00000123")
    first = entry("default", tmp_path / "base")
    with own_server(write_config(tmp_path / "c", first)) as server:
        server.models.HandleReloadConfigRequest(reload_request(), timeout=60)
        server.wait_states("default", {123: "END"})
        grown = "/tensorflow/cc/saved_model/load_attempt_count"
        request = reload_request(first, metrics=[grown, "/tensorflow/serving/request_count", "/no/such/metric"])
        found = server.models.HandleReloadConfigRequest(request, timeout=60).metric
        assert {metric.name: metric.int64_value_increase for metric in found} == {
            grown: 1,
            "/tensorflow/serving/request_count": 0,
            "/no/such/metric": 0,
        }


def test_e30_a_reload_of_a_model_that_cannot_be_loaded_fails(own_server, two_models, tmp_path):
    first, _ = two_models
    (tmp_path / "bad" / "1").mkdir(parents=True)
    with own_server(LITE, write_config(tmp_path / "c", first)) as server:
        request = reload_request(first, entry("bad", tmp_path / "bad"))
        refused(
            server.models.HandleReloadConfigRequest,
            request,
            grpc.StatusCode.UNKNOWN,
            "did not become available",
            timeout=60,
        )
        assert y_of(server) == (123, [3.0])


def test_e31_labels_lead_to_versions_and_move(own_server, publish, tmp_path):
    publish(123)
    publish(124)
    base = entry("default", tmp_path / "base", "model_version_policy { all {} } %s")
    with own_server(LITE, write_config(tmp_path / "c", base % "")) as server:
        server.wait_states("default", {123: "AVAILABLE", 124: "AVAILABLE"})
        labels = 'version_labels { key: "A" value: %d } version_labels { key: "B" value: 124 }'
        server.models.HandleReloadConfigRequest(reload_request(base % (labels % 123)), timeout=30)
        assert y_of(server, label="A")[0] == 123
        assert y_of(server, label="B")[0] == 124
        assert server.post("/v1/models/default/labels/A:predict", {"inputs": [2.0]}) == (200, {"outputs": [3.0]})
        assert server.get("/v1/models/default/labels/A/metadata")[1]["model_spec"]["version"] == "123"
        server.models.HandleReloadConfigRequest(reload_request(base % (labels % 124)), timeout=30)
        assert y_of(server, label="A")[0] == 124
        gone = reload_request(base % (labels % 99))
        code = grpc.StatusCode.FAILED_PRECONDITION
        refused(server.models.HandleReloadConfigRequest, gone, code, "which is not currently available for inference")


def test_e31_labels_for_versions_to_come_need_a_flag(own_server, publish, tmp_path):
    publish(123)
    labels = 'version_labels { key: "A" value: 123 }'
    config = write_config(tmp_path / "c", entry("default", tmp_path / "base", labels))
    with own_server(LITE, config, "--allow_version_labels_for_unavailable_models") as server:
        assert y_of(server, label="A")[0] == 123
        moved = reload_request(entry("default", tmp_path / "base", labels.replace("123", "124")))
        refused(
            server.models.HandleReloadConfigRequest,
            moved,
            grpc.StatusCode.FAILED_PRECONDITION,
            "not currently available",
        )


def test_f17_the_configuration_file_is_read_again(own_server, two_models, tmp_path):
    first, second = two_models
    config = write_config(tmp_path / "c", first)
    with own_server(LITE, config, "--model_config_file_poll_wait_seconds=1") as server:
        write_config(tmp_path / "c2", first, second)
        (tmp_path / "c2").rename(tmp_path / "c")
        server.wait_states("forecaster", {1: "AVAILABLE"})
        (tmp_path / "c").write_text("garbage!")
        wait_for(lambda: "Error parsing text-format" in (tmp_path / "server.log").read_text(), "the error in the log")
        assert y_of(server) == (123, [3.0])
