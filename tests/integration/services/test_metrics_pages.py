"""The metrics pages of the servers, read by Prometheus itself."""

import urllib.request

import pytest

from forecasting.contracts.ports import MODEL_SERVER_METRICS_PATH
from forecasting.wire.client import GrpcClient, RestClient, ServedModelMissingError
from tests.integration.services.prometheus import check_metrics, prometheus
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
