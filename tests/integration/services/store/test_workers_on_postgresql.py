"""Workers of several processes at one PostgreSQL database."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from forecasting.contracts.layout import home_layout
from forecasting.runs import list_runs
from forecasting.store.retrain_asking import AskingLimitsSpec, RequestSource, RetrainReasonSpec, ask_for_retraining
from forecasting.store.retrain_requests import RequestState, retrain_requests
from tests.unit.pipelines.test_worker import wait_until

pytestmark = pytest.mark.services


def test_three_workers_do_each_request_once_and_never_two_at_a_time(store, address, tmp_path):
    document = yaml.safe_load(Path("pipelines/configs/electricity.yaml").read_text())
    document["retraining"] = {"poll_interval_s": 0.05, "lease_s": 90}
    document["store"] = {"url": "${WORKER_STORE}"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(document))
    for number in range(4):
        asked = RetrainReasonSpec(
            model="electricity", source=RequestSource.HAND, reason="new tariffs", dedup_key=f"hand {number}"
        )
        ask_for_retraining(store, asked, AskingLimitsSpec(0, 9), now=1_700_000_000)
    url = address.url.render_as_string(hide_password=False)
    variables = {**os.environ, "STAND_IN": "promote", "WORKER_STORE": url}
    with ExitStack() as workers:
        for owner in ("w1", "w2", "w3"):
            command = [sys.executable, "-m", "tests.unit.pipelines.worker_process", str(tmp_path)]
            process = workers.enter_context(
                subprocess.Popen([*command, str(tmp_path / "config.yaml"), owner], env=variables)
            )
            workers.callback(process.kill)
        wait_until(lambda: all(one.state == RequestState.DONE for one in retrain_requests(store)), seconds=120)
    found = retrain_requests(store)
    # A run that found another one going would have ended with 75, and its request would have been tried again.
    assert [one.attempts for one in found] == [1, 1, 1, 1]
    assert len({one.run for one in found}) == len(list_runs(home_layout(tmp_path))) == 4
