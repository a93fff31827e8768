"""The figures that a run leaves for Prometheus."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prometheus_client.parser import text_string_to_metric_families

from components.reporting.evidence import gather_evidence
from components.reporting.run_metrics import tell_run_metrics
from forecasting.config.monitoring import MonitoringConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.metric_names import METRICS
from forecasting.contracts.metric_spec import MetricSource
from forecasting.contracts.vocabulary import RunStatus
from forecasting.runs import RunRecord, create_run
from tests.unit.reporting.runs import add_validation, begin_run, whole_run

NOW = 1_700_000_600.0


def _values(text):
    return {
        (sample.name, *(value for name, value in sorted(sample.labels.items()) if name != "model")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@contextmanager
def _pushgateway() -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    seen: list[tuple[str, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            seen.append(("PUT", self.path, body))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


def _tell(run, tmp_path, **settings):
    output = tmp_path / "report"
    output.mkdir(exist_ok=True)
    problems = tell_run_metrics(
        gather_evidence(run), MonitoringConfig(**settings), output, home=HomeLayout(tmp_path), now=NOW
    )
    return problems, (output / "metrics.prom").read_text()


def test_a_run_that_promoted_tells_its_times_gates_errors_and_table(tmp_path):
    problems, text = _tell(whole_run(tmp_path), tmp_path)
    found = _values(text)
    assert problems == []
    assert found["forecast_pipeline_last_run_timestamp_seconds",] == NOW
    assert found["forecast_pipeline_last_success_timestamp_seconds",] == NOW
    assert found["forecast_pipeline_run_duration_seconds",] == 600
    assert found["forecast_pipeline_last_run_status", "succeeded"] == 1
    assert found["forecast_pipeline_last_run_status", "failed"] == 0
    assert found["forecast_pipeline_last_gate_passed", "evaluate_model"] == 1
    assert found["forecast_pipeline_last_gate_passed", "validate_data"] == 1
    assert 0 < found["forecast_pipeline_gate_margin_ratio", "evaluate_model", "max_mae"] < 1
    assert 0 < found["forecast_pipeline_wape", "candidate"] < found["forecast_pipeline_wape", "seasonal_naive"]
    assert found["forecast_pipeline_series", "accepted"] > 0
    assert ("forecast_pipeline_step_duration_seconds", "train_model") in found


def test_only_metrics_of_the_contract_are_told_and_all_are_gauges(tmp_path):
    _, text = _tell(whole_run(tmp_path), tmp_path)
    families = {family.name: family.type for family in text_string_to_metric_families(text)}
    assert set(families) == {one.exposed for one in METRICS.values() if MetricSource.PIPELINE in one.sources}
    assert set(families.values()) == {"gauge"}


def test_a_run_that_did_not_get_far_tells_that_and_no_success(tmp_path):
    _, text = _tell(begin_run(tmp_path), tmp_path)
    found = _values(text)
    assert found["forecast_pipeline_last_run_timestamp_seconds",] == NOW
    assert ("forecast_pipeline_last_success_timestamp_seconds",) not in found
    assert found["forecast_pipeline_last_result_timestamp_seconds",] == NOW - 600
    assert found["forecast_pipeline_last_run_status", "succeeded"] == 0


def test_a_refusal_is_a_result_and_no_success(tmp_path):
    run = begin_run(tmp_path)
    add_validation(run, problem="two steps at once")
    found = _values(_tell(run, tmp_path)[1])
    assert found["forecast_pipeline_last_result_timestamp_seconds",] == NOW
    assert ("forecast_pipeline_last_success_timestamp_seconds",) not in found


def test_a_result_is_waited_for_since_the_first_run_and_an_earlier_refusal_is_one(tmp_path):
    first = RunRecord("run-0", "demand", NOW - 90_000, None, "0" * 64, status=RunStatus.FAILED, finished=NOW - 80_000)
    create_run(HomeLayout(tmp_path), first)
    run = begin_run(tmp_path)
    found = _values(_tell(run, tmp_path)[1])
    assert found["forecast_pipeline_last_result_timestamp_seconds",] == NOW - 90_000
    create_run(HomeLayout(tmp_path), replace(first, run="run-00", status=RunStatus.REFUSED, finished=NOW - 70_000))
    create_run(
        HomeLayout(tmp_path), replace(first, run="run-000", model="other", status=RunStatus.SUCCEEDED, finished=NOW)
    )
    found = _values(_tell(run, tmp_path)[1])
    assert found["forecast_pipeline_last_result_timestamp_seconds",] == NOW - 70_000


def test_figures_are_pushed_as_a_group_of_the_model_and_left_for_the_node_exporter(tmp_path):
    folder = tmp_path / "node"
    folder.mkdir()
    with _pushgateway() as (address, seen):
        problems, text = _tell(whole_run(tmp_path), tmp_path, pushgateway=address, textfile_dir=str(folder))
    assert problems == []
    ((method, path, body),) = seen
    assert (method, path) == ("PUT", "/metrics/job/almanac_pipeline/model/demand")
    assert _values(body) == _values(text) == _values((folder / "almanac_demand.prom").read_text())


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"pushgateway": "http://127.0.0.1:1"}, "monitoring.pushgateway (http://127.0.0.1:1) took no figures: "),
        ({"pushgateway": "push:9091"}, "monitoring.pushgateway (push:9091) must be an address such as http://HOST:9091"),
        ({"pushgateway": "http://${NOT_SET_ANYWHERE}"}, "monitoring.pushgateway names the environment variable NOT_SET_ANYWHERE"),
        ({"textfile_dir": "no/such/folder"}, "monitoring.textfile_dir: no/such/folder/almanac_demand.prom cannot be written"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_said_and_ends_nothing(tmp_path, settings, problem):
    problems, text = _tell(whole_run(tmp_path), tmp_path, **settings)
    assert len(problems) == 1
    assert problems[0].startswith(problem)
    assert "forecast_pipeline_last_run_timestamp_seconds" in text
