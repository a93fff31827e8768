"""The worker's page of metrics over HTTP."""

import urllib.request

import pytest

from pipelines.worker.outcome import RunOutcome
from pipelines.worker.worker_metrics import WorkerMetrics


def test_the_page_is_on_the_address_that_was_asked_for_and_on_no_other():
    metrics = WorkerMetrics("demand")
    metrics.count("demand", RunOutcome.REFUSED)
    port = metrics.serve(0, "127.0.0.2")
    with urllib.request.urlopen(f"http://127.0.0.2:{port}/metrics", timeout=10) as answer:
        page = answer.read().decode()
    assert 'forecast_worker_runs_total{model="demand",status="refused"} 1.0' in page
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)


def test_an_address_of_another_machine_is_an_error():
    with pytest.raises(OSError, match="assign"):
        WorkerMetrics("demand").serve(0, "192.0.2.1")
