"""The metrics pages of the servers, read by Prometheus itself."""

import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from forecasting.contracts.ports import METRICS_PATH, MODEL_SERVER_METRICS_PATH
from forecasting.repository import ModelRepository
from forecasting.wire.client import GrpcClient, RestClient, ServedModelMissingError
from forecasting.wire.server_process import model_server, stop_process
from tests.integration.services.prometheus import check_metrics, prometheus
from tests.unit.backtest.tables import daily_wave, hourly_store
from tests.unit.forecasting.series_stores import write_series_store
from tests.unit.serving import tiny_models

pytestmark = pytest.mark.services


def test_prometheus_scrapes_the_model_server_and_counts_what_was_asked(tiny_server, tmp_path):
    folder = tmp_path / "prometheus"
    folder.mkdir()
    inputs = tiny_models.window().as_dict()
    with GrpcClient(tiny_server.grpc_address) as grpc, RestClient(tiny_server.rest_address) as rest:
        grpc.wait_available("tiny", 7, timeout_s=20)
        for _ in range(3):
            grpc.predict("tiny", inputs)
        rest.predict("tiny", inputs)
        with pytest.raises(ServedModelMissingError):
            grpc.predict("nobody", inputs)
    with prometheus(folder, {"model-server": (tiny_server.rest_address, MODEL_SERVER_METRICS_PATH)}) as server:
        server.wait_for('up{job="model-server"}', 1)
        server.wait_for('sum({__name__=":tensorflow:serving:request_count",model_name="tiny",status="OK"})', 4)
        server.wait_for('sum({__name__=":tensorflow:serving:request_count",model_name="nobody",status="NOT_FOUND"})', 1)
        latency = (
            '{__name__=":tensorflow:serving:request_latency_%s",model_name="tiny",API="Predict",entrypoint="GRPC"%s}'
        )
        server.wait_for(latency % ("count", ""), 3)
        server.wait_for(latency % ("bucket", ',le="+Inf"'), 3)
        (median,) = server.query(f"histogram_quantile(0.5, {latency % ('bucket', '')})")
        assert 10 < median[1] < 10_000_000  # microseconds


def test_promtool_reads_the_page_of_the_model_server_and_minds_only_the_names_of_tensorflow_serving(tiny_server):
    with GrpcClient(tiny_server.grpc_address) as grpc:
        grpc.wait_available("tiny", 7, timeout_s=20)
        grpc.predict("tiny", tiny_models.window().as_dict())
    page = read_page(f"http://{tiny_server.rest_address}{MODEL_SERVER_METRICS_PATH}")
    result = check_metrics(page)
    complaints = {line.split(" ", 1)[1] for line in result.stderr.splitlines()}
    # TensorFlow Serving writes no help, puts colons into names and no _total behind counters; dashboards expect just that.
    known = {
        "no help text",
        "metric names should not contain ':'",
        'counter metrics should have "_total" suffix',
        'non-histogram and non-summary metrics should not have "_count" suffix',
    }
    assert result.returncode == 3, result.stderr
    assert complaints <= known


def read_page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as response:
        return response.read().decode()


@pytest.fixture
def gateway(models, tmp_path):
    """Address of a gateway over a repository whose champion is version 1 of `tiny`, with one series of ten days."""
    store = hourly_store({"Demand": [daily_wave()], "Temperature": [daily_wave(level=15.0)]})
    (tmp_path / "series").mkdir()
    write_series_store(store, tmp_path / "series")
    repository = ModelRepository(tmp_path / "models")
    source = tiny_models.write_version(models, tmp_path / "source", factor=2, lite=True)
    version = repository.publish("tiny", source, {"cutoff": store.spec.split.cutoff})
    repository.promote("tiny", version)
    flags = [
        f"--model_config_file={repository.write_server_config()}",
        "--prefer_tflite_model",
        "--max_num_load_retries=0",
    ]
    with model_server(flags, log=tmp_path / "server.log") as server, GrpcClient(server.grpc_address) as grpc:
        grpc.wait_available("tiny", version, timeout_s=20)
        command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={repository.root}", "--port=0",
                   f"--series-dir={tmp_path / 'series'}", f"--grpc={server.grpc_address}"]  # fmt: skip
        with (tmp_path / "gateway.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            yield process.stdout.readline().removeprefix("Gateway at ").strip()
        finally:
            stop_process(process, timeout_s=20)
            process.stdout.close()


def ask(address: str, body: bytes) -> int:
    """Status of one forecast request."""
    request = urllib.request.Request(
        f"http://{address}/v1/forecast", data=body, headers={"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_page_of_the_gateway_is_clean_for_promtool(gateway):
    assert ask(gateway, b"{}") == 200
    page = read_page(f"http://{gateway}{METRICS_PATH}")
    result = check_metrics(page)
    assert (result.returncode, result.stderr) == (0, "")
    assert "forecast_requests_total{" in page


def test_prometheus_counts_forecasts_of_the_gateway_by_code_and_sees_the_champion(gateway, tmp_path):
    assert [ask(gateway, b"{}"), ask(gateway, b'{"series": ["s0"]}'), ask(gateway, b"[[[")] == [200, 200, 400]
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with prometheus(folder, {"gateway": (gateway, METRICS_PATH)}) as server:
        server.wait_for('up{job="gateway"}', 1)
        server.wait_for('forecast_requests_total{model="tiny",route="/v1/forecast",code="200"}', 2)
        server.wait_for('forecast_requests_total{model="tiny",route="/v1/forecast",code="400"}', 1)
        server.wait_for('forecast_request_series_sum{model="tiny"}', 2)
        server.wait_for('forecast_request_duration_seconds_count{model="tiny",route="/v1/forecast"}', 3)
        server.wait_for('forecast_model_version{model="tiny",role="champion"}', 1)
        server.wait_for('forecast_model_cutoff_timestamp_seconds{model="tiny",version="1"}', 14 * 86_400)
