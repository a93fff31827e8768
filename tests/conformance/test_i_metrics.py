"""Group I: the Prometheus page."""

import re
import shutil

import grpc
import pytest

from tests.conformance.test_e_grpc import predict_request, refused, tensor
from tests.conformance.test_f_lifecycle import LITE

PAGE = "/monitoring/prometheus/metrics"


def page_of(server):
    return server.ask("GET", PAGE)[2].decode()


@pytest.fixture
def counted(own_server, models, monitoring, tmp_path):
    """A server of one Lite model that nobody has asked anything yet."""
    shutil.copytree(models / "lite_half_plus_two", tmp_path / "base")
    flags = [f"--model_base_path={tmp_path / 'base'}", f"--monitoring_config_file={monitoring}"]
    with own_server(LITE, *flags) as server:
        yield server


def test_i1_the_page_is_plain_text_with_types(server):
    status, headers, body = server.ask("GET", PAGE)
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    assert b"# TYPE " in body


def test_i2_without_the_configuration_there_is_no_page(own_server, models):
    with own_server(LITE, f"--model_base_path={models / 'lite_half_plus_two'}") as server:
        assert server.ask("GET", PAGE)[0] == 404


def test_i3_the_configuration_names_the_path(own_server, models, tmp_path):
    (tmp_path / "m").write_text('prometheus_config { enable: true path: "/my/metrics" }')
    flags = [f"--model_base_path={models / 'lite_half_plus_two'}", f"--monitoring_config_file={tmp_path / 'm'}"]
    with own_server(LITE, *flags) as server:
        assert server.ask("GET", "/my/metrics")[0] == 200
        assert server.ask("GET", PAGE)[0] == 404


def test_i4_requests_are_counted_by_model_and_status(counted):
    counted.post("/v1/models/default:predict", {"instances": [[2.0]]})
    counted.post("/v1/models/foo:predict", {"instances": [[2.0]]})
    page = page_of(counted)
    assert ':tensorflow:serving:request_count{model_name="default",status="OK"} 1\n' in page
    assert ':tensorflow:serving:request_count{model_name="foo",status="NOT_FOUND"} 1\n' in page
    assert "# TYPE :tensorflow:serving:request_count counter\n" in page
    assert "HELP" not in page
    assert "request_count_total" not in page


def test_i5_latencies_have_the_official_labels_and_buckets(counted):
    counted.post("/v1/models/default:predict", {"instances": [[2.0]]})
    counted.prediction.Predict(predict_request({"x": tensor([2.0])}), timeout=30)
    counted.get("/v1/models/default")
    counted.post("/v1/models/foo:predict", {"instances": [[2.0]]})
    page = page_of(counted)
    prefix = ":tensorflow:serving:request_latency"
    for labels in (
        'model_name="default",API="predict",entrypoint="REST"',
        'model_name="default",API="Predict",entrypoint="GRPC"',
        'model_name="default",API="",entrypoint="REST"',
    ):
        bounds = re.findall(re.escape(f"{prefix}_bucket{{{labels},le=") + r'"([^"]+)"} (\d+)', page)
        assert [bound for bound, _ in bounds[:3]] == ["10", "18", "32.4"]
        assert len(bounds) == 34
        assert bounds[-1] == ("+Inf", "1")
        assert f"{prefix}_sum{{{labels}}} " in page
        assert f"{prefix}_count{{{labels}}} 1\n" in page
    assert 'request_latency_count{model_name="foo"' not in page
    assert ':tensorflow:serving:runtime_latency_count{model_name="default",API="Predict",runtime="TF1"} 2\n' in page


def test_i6_failures_over_grpc_are_counted(counted):
    refused(counted.prediction.Predict, predict_request({"x": tensor([1.0])}, model="foo"), grpc.StatusCode.NOT_FOUND)
    assert ':tensorflow:serving:request_count{model_name="foo",status="NOT_FOUND"} 1\n' in page_of(counted)


def test_i7_the_page_keeps_to_the_text_format(counted):
    name = 'we"ird\\name'
    counted.post("/v1/models/we%22ird%5Cname:predict", {"instances": [[2.0]]})
    counted.post("/v1/models/default:predict", {"instances": [[2.0]]})
    page = page_of(counted)
    assert 'model_name="we\\"ird\\\\name"' in page, name
    line = re.compile(
        r'^(# TYPE [\w:]+ (counter|gauge|histogram|untyped)|[a-zA-Z_:][\w:]*\{([a-zA-Z_]\w*="(\\.|[^"\\])*",?)*\} \S+)$'
    )
    assert [text for text in page.splitlines() if not line.match(text)] == []
    order = [
        text.partition("{")[0].rpartition("_")[2]
        for text in page.splitlines()
        if text.startswith(":tensorflow:serving:request_latency_")
    ]
    assert order[:34] == ["bucket"] * 34
    assert order[34:36] == ["sum", "count"]


def test_i2_a_query_is_told_where_the_page_is(server):
    status, headers, body = server.ask("GET", PAGE + "?name=x")
    assert (status, headers["content-type"].partition(";")[0]) == (400, "text/plain")
    assert body.decode() == f"Unexpected path: {PAGE}?name=x. Should be {PAGE}"
