"""The worker with a real store and real processes; what they run stands in for the pipeline."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml

from forecasting.claims import claim_path
from forecasting.config import load_config
from forecasting.contracts.layout import home_layout
from forecasting.leases import model_is_going, model_lease
from forecasting.repository import ModelRepository
from forecasting.runs import list_runs, load_run
from forecasting.store.address import store_address
from forecasting.store.observations import ObservationRows, write_observations
from forecasting.store.opening import open_store
from forecasting.store.packing import GridSpec
from forecasting.store.retrain_asking import AskingLimitsSpec, RequestSource, RetrainReasonSpec, ask_for_retraining
from forecasting.store.retrain_requests import RequestState, claim_request, record_run, retrain_requests
from pipelines.worker.local_run import LocalLauncher
from pipelines.worker.outcome import RunOutcome
from pipelines.worker.reasons import NewDataWatch
from tests.unit.pipelines.worker_process import STAND_IN, make_worker

NOW = 1_700_000_123
LIMITS = AskingLimitsSpec(cooldown_s=3600, max_per_day=4)


@pytest.fixture
def home(tmp_path):
    return home_layout(tmp_path)


@pytest.fixture
def config(tmp_path):
    """File of a configuration that works often; more settings of retraining may be given."""

    def write(**retraining):
        document = yaml.safe_load(Path("pipelines/configs/electricity.yaml").read_text())
        document["retraining"] = {"poll_interval_s": 0.05, "lease_s": 90, **retraining}
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return write


@pytest.fixture
def store(home):
    with open_store(store_address(None, home.serving_database)) as opened:
        yield opened


def ask(store, dedup_key="hand", now=NOW, source=RequestSource.HAND):
    asked = RetrainReasonSpec(model="electricity", source=source, reason="new tariffs", dedup_key=dedup_key)
    return ask_for_retraining(store, asked, LIMITS, now=now).request


def wait_until(condition, seconds=60):
    deadline, event = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        event.wait(0.02)


def count(worker, outcome):
    return worker._metrics.registry.get_sample_value(
        "forecast_worker_runs_total", {"model": "electricity", "status": outcome}
    )


def test_without_a_request_there_is_nothing_to_do(store, home, config):
    assert make_worker(store, home, config()).work_once() is None
    assert list_runs(home) == []


@pytest.mark.parametrize(
    ("wish", "outcome", "state", "detail"),
    [
        ("promote", "promoted", "done", "promoted version 7"),
        ("refuse", "refused", "done", "refused by evaluate_model: MAE 2 > 1"),
        ("fail", "failed", "failed", "failed with exit code 2: data.uri is wrong"),
    ],
)
def test_what_a_run_came_to_is_written_into_its_request(store, home, config, monkeypatch, wish, outcome, state, detail):
    monkeypatch.setenv("STAND_IN", wish)
    made, worker = ask(store), make_worker(store, home, config())
    found = worker.work_once()
    (closed,) = retrain_requests(store)
    assert (found.outcome, found.detail) == (outcome, detail)
    assert (closed.id, closed.state, closed.detail) == (made.id, state, detail)
    assert closed.run == (None if wish == "fail" else list_runs(home)[0].name)
    assert count(worker, outcome) == 1
    assert worker.work_once() is None


def test_the_cutoff_is_the_time_less_the_lag_on_the_step(store, home, config, monkeypatch):
    monkeypatch.setenv("STAND_IN", "promote")
    ask(store)
    make_worker(store, home, config(data_lag="2h"), clock=lambda: NOW + 0.9).work_once()
    # 2023-11-14T22:15:23Z less two hours.
    assert load_run(list_runs(home)[0]).cutoff == "2023-11-14T20:00:00+00:00"


def test_a_run_that_ended_for_a_passing_reason_is_resumed_and_failed_after_three_times(
    store, home, config, monkeypatch
):
    monkeypatch.setenv("STAND_IN", "retry")
    ask(store)
    now = [NOW]
    worker = make_worker(store, home, config(retry_delay="1min"), clock=lambda: now[0])
    assert worker.work_once().outcome == RunOutcome.STOPPED
    (waiting,) = retrain_requests(store)
    assert (waiting.state, waiting.attempts, waiting.lease_until) == ("waiting", 1, NOW + 60)
    assert waiting.detail.startswith("ended with exit code 75: train_model failed: the tracking server is restarting")
    assert worker.work_once() is None
    for _ in range(2):
        now[0] += 60
        assert worker.work_once() is not None
    (failed,) = retrain_requests(store)
    assert (failed.state, failed.attempts) == ("failed", 3)
    assert len(list_runs(home)) == 1
    assert count(worker, "stopped") == 3


def test_a_worker_that_is_told_to_stop_gives_its_request_back_and_another_resumes_the_run(
    store, home, config, monkeypatch
):
    monkeypatch.setenv("STAND_IN", "hang")
    ask(store)
    worker = make_worker(store, home, config())
    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(worker.work_once)
        wait_until(lambda: list(home.runs.glob("*/hanging")) and retrain_requests(store)[0].run)
        worker.stop.set()
        assert ended.result(timeout=60) is None
    (waiting,) = retrain_requests(store)
    run = list_runs(home)[0]
    assert (waiting.state, waiting.attempts, waiting.run, waiting.lease_owner) == ("waiting", 0, run.name, None)
    assert load_run(run).exit_code == 143
    monkeypatch.setenv("STAND_IN", "promote")
    assert make_worker(store, home, config(), "w2").work_once().outcome == RunOutcome.PROMOTED
    assert [one.name for one in list_runs(home)] == [run.name]


def test_a_run_with_another_configuration_is_begun_anew(store, home, config, monkeypatch):
    monkeypatch.setenv("STAND_IN", "retry")
    ask(store)
    make_worker(store, home, config(), clock=lambda: NOW).work_once()
    monkeypatch.setenv("STAND_IN", "promote")
    worker = make_worker(store, home, config(cooldown="7h"), clock=lambda: NOW + 60)
    assert worker.work_once().outcome == RunOutcome.PROMOTED
    assert len(list_runs(home)) == 2


@contextmanager
def worker_process(home, path, owner, wish):
    command = [sys.executable, "-m", "tests.unit.pipelines.worker_process", str(home.root), str(path), owner]
    process = subprocess.Popen(command, env={**os.environ, "STAND_IN": wish})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_the_run_of_a_killed_worker_stops_and_another_resumes_it_after_the_lease(store, home, config, monkeypatch):
    ask(store)
    with worker_process(home, config(), "killed", "hang") as process:
        wait_until(lambda: list(home.runs.glob("*/hanging")) and retrain_requests(store)[0].run)
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_until(lambda: not model_is_going(home, "electricity"))
    (held,) = retrain_requests(store)
    assert (held.state, held.lease_owner, held.attempts) == ("claimed", "killed", 1)
    monkeypatch.setenv("STAND_IN", "promote")
    early = make_worker(store, home, config(), "w2", clock=lambda: held.lease_until - 1)
    assert early.work_once() is None
    late = make_worker(store, home, config(), "w2", clock=lambda: held.lease_until)
    assert late.work_once().outcome == RunOutcome.PROMOTED
    (closed,) = retrain_requests(store)
    assert (closed.state, closed.attempts, closed.run) == ("done", 2, held.run)
    assert len(list_runs(home)) == 1


def test_workers_at_once_do_each_request_once_and_never_two_at_a_time(store, home, config):
    for number in range(4):
        ask(store, f"hand {number}")
    path = config()
    with (
        worker_process(home, path, "w1", "promote"),
        worker_process(home, path, "w2", "promote"),
        worker_process(home, path, "w3", "promote"),
    ):
        wait_until(lambda: all(one.state == RequestState.DONE for one in retrain_requests(store)), seconds=120)
    found = retrain_requests(store)
    # A run that found another one going would have ended with 75, and its request would have been tried again.
    assert [one.attempts for one in found] == [1, 1, 1, 1]
    assert len({one.run for one in found}) == len(list_runs(home)) == 4


def test_nothing_is_claimed_while_a_run_of_the_model_goes_on(store, home, config, monkeypatch):
    monkeypatch.setenv("STAND_IN", "promote")
    ask(store)
    worker = make_worker(store, home, config())
    with model_lease(home, "electricity"):
        assert worker.work_once() is None
    assert retrain_requests(store)[0].attempts == 0
    assert worker.work_once().outcome == RunOutcome.PROMOTED


def test_a_run_that_ended_before_its_worker_could_say_so_is_not_run_again(store, home, config, monkeypatch):
    monkeypatch.setenv("STAND_IN", "promote")
    ask(store)
    make_worker(store, home, config()).work_once()
    again = ask(store)
    record_run(store, claim_request(store, "killed", now=NOW, lease_s=60), list_runs(home)[0].name)
    monkeypatch.setenv("STAND_IN", "fail")
    found = make_worker(store, home, config(), "w2").work_once()
    assert (found.outcome, retrain_requests(store)[0].id) == (RunOutcome.PROMOTED, again.id)
    assert len(list_runs(home)) == 1


def test_a_run_is_stopped_before_its_lease_ends_where_it_cannot_be_renewed(store, home, config, monkeypatch, caplog):
    monkeypatch.setenv("STAND_IN", "hang")
    ask(store)
    times = [NOW]
    said = []
    worker = make_worker(
        store, home, config(), say=said.append, clock=lambda: times.pop(0) if len(times) > 1 else times[0]
    )
    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(worker.work_once)
        wait_until(lambda: list(home.runs.glob("*/hanging")) and retrain_requests(store)[0].run)
        with store.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE retrain_requests RENAME TO aside")
        # The renewal is due at a third of the lease, and its error comes 16 s later, within the 45 s of the margin.
        times[:] = [NOW + 30, NOW + 46]
        wait_until(lambda: not model_is_going(home, "electricity"))
        with store.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE aside RENAME TO retrain_requests")
        assert ended.result(timeout=60) is None
    assert any("is stopped, as its lease could not be renewed" in line for line in said)
    assert retrain_requests(store)[0].state == RequestState.WAITING
    assert sum("is not renewed" in line for line in caplog.messages) == 1


class SlowLauncher(LocalLauncher):
    """Does something before each start."""

    def __init__(self, home, before):
        super().__init__(home, STAND_IN)
        object.__setattr__(self, "before", before)

    def start(self, asked):
        self.before()
        return super().start(asked)


def test_the_lease_is_renewed_while_a_run_takes_long_to_begin(store, home, config, monkeypatch):
    monkeypatch.setenv("STAND_IN", "promote")
    ask(store)
    now, seen = [NOW], []

    def before():
        for moment in (NOW + 31, NOW + 62, NOW + 93):
            now[0] = moment
            wait_until(lambda: retrain_requests(store)[0].lease_until == now[0] + 90, seconds=20)
            seen.append(moment)

    worker = make_worker(store, home, config(), launcher=SlowLauncher(home, before), clock=lambda: now[0])
    assert worker.work_once().outcome == RunOutcome.PROMOTED
    assert len(seen) == 3


def test_the_lease_of_a_run_counts_from_the_claim_and_not_from_its_beginning(store, home, config, monkeypatch):
    monkeypatch.setenv("STAND_IN", "hang")
    ask(store)
    now, said = [NOW], []

    def before():
        with store.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE retrain_requests RENAME TO aside")
        now[0] = NOW + 46

    launcher = SlowLauncher(home, before)
    worker = make_worker(store, home, config(), say=said.append, launcher=launcher, clock=lambda: now[0])
    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(worker.work_once)
        try:
            wait_until(lambda: any("is stopped, as its lease could not be renewed" in line for line in said))
        finally:
            worker.stop.set()
            with store.writing() as connection:
                connection.exec_driver_sql("ALTER TABLE aside RENAME TO retrain_requests")
        assert ended.result(timeout=60) is None


def test_a_claim_that_cannot_be_read_is_told_and_does_not_end_the_worker(store, home, config):
    ask(store)
    home.runs.mkdir(parents=True)
    claim_path(home.runs, "electricity").write_text("{")
    said = []
    assert make_worker(store, home, config(), say=said.append).work_once() is None
    assert said[0].startswith("no request can be claimed: ")
    assert "is no claim of a run" in said[0]
    assert retrain_requests(store)[0].attempts == 0


def test_what_a_run_came_to_is_written_down_with_its_name_once_the_store_is_back(store, home, config, monkeypatch):
    monkeypatch.setenv("STAND_IN", "promote")
    ask(store)

    def take_away_and_bring_back(line):
        aside, table = "aside", "retrain_requests"
        before, after = (table, aside) if ", attempt 1 of 3" in line else (aside, table)
        if ", attempt 1 of 3" in line or "is not written down yet" in line:
            with store.writing() as connection:
                connection.exec_driver_sql(f"ALTER TABLE {before} RENAME TO {after}")

    found = make_worker(store, home, config(), say=take_away_and_bring_back).work_once()
    (closed,) = retrain_requests(store)
    assert (found.outcome, closed.state, closed.detail) == (RunOutcome.PROMOTED, "done", "promoted version 7")
    assert closed.run == list_runs(home)[0].name


def test_a_request_that_was_tried_too_often_is_given_up_and_counted(store, home, config):
    ask(store)
    for now in (NOW, NOW + 100, NOW + 200):
        assert claim_request(store, "killed", now=now, lease_s=60) is not None
    worker = make_worker(store, home, config(), clock=lambda: NOW + 300)
    assert worker.work_once() is None
    assert retrain_requests(store)[0].state == RequestState.FAILED
    assert count(worker, "given_up") == 1


def test_a_time_of_the_schedule_is_asked_for_once(store, home, config, monkeypatch):
    monkeypatch.setenv("STAND_IN", "refuse")
    now = [NOW]
    path = config(schedule="0 3 * * *")
    assert make_worker(store, home, path, clock=lambda: now[0]).work_once().outcome == RunOutcome.REFUSED
    assert retrain_requests(store)[0].dedup_key == "schedule:2023-11-14T03:00:00+00:00"
    assert make_worker(store, home, path, "w2", clock=lambda: now[0]).work_once() is None
    now[0] += 86_400
    assert make_worker(store, home, path, clock=lambda: now[0]).work_once() is not None
    assert retrain_requests(store)[0].dedup_key == "schedule:2023-11-15T03:00:00+00:00"


def champion(home, cutoff):
    repository = ModelRepository(home.models)
    version = home.root / "version"
    version.mkdir()
    (version / "model.tflite").write_bytes(b"x")
    repository.promote("electricity", repository.publish("electricity", version, {"cutoff": cutoff}))


def test_a_schedule_asks_for_nothing_where_a_version_was_deployed_since(store, home, config):
    champion(home, NOW)
    assert make_worker(store, home, config(schedule="0 3 * * *"), clock=lambda: NOW).work_once() is None
    assert retrain_requests(store) == []


def observe(store, time):
    rows = ObservationRows(
        model="electricity", series=("victoria",), names=("Demand",), series_at=np.array([0]), name_at=np.array([0]),
        time=np.array([time]), number=np.array([1.0]), known_at=np.array([time]),
    )  # fmt: skip
    write_observations(store, rows, GridSpec(3600, 0), now=time)


def with_short_table(config_file, folder):
    """The document of a configuration whose table has two rows of long ago."""
    document = yaml.safe_load(config_file.read_text())
    (folder / "table.csv").write_text(
        "Time,Demand,Temperature,Holiday\n2014-01-01T00:00:00Z,1,2,0\n2014-01-01T00:30:00Z,1,2,0\n"
    )
    document["data"] = {"uri": str(folder / "table.csv"), "time_column": "Time", "target": "Demand"}
    document["features"], document["gates"]["slices"], document["validation"] = {}, None, {}
    return document


@pytest.mark.parametrize("jump_s", [3_600, 86_400])
def test_a_clock_that_is_set_back_keeps_nobody_from_looking_for_new_data(store, home, config, tmp_path, jump_s):
    hour = NOW // 3600 * 3600
    champion(home, hour - 24 * 3600)
    settings = with_short_table(config(new_data="1d", look_interval="1h"), tmp_path)
    (tmp_path / "config.yaml").write_text(json.dumps(settings))
    watch = NewDataWatch(load_config(tmp_path / "config.yaml"), home, store)
    assert watch.reason(now=NOW + jump_s) is None
    observe(store, hour - 3600)
    assert watch.reason(now=NOW) is not None
    assert watch.reason(now=NOW + 60) is None


def test_enough_new_observations_ask_for_a_run_after_the_cooldown(store, home, config, tmp_path, monkeypatch):
    monkeypatch.setenv("STAND_IN", "refuse")
    hour = NOW // 3600 * 3600
    champion(home, hour - 24 * 3600)
    settings = with_short_table(config(new_data="1d", look_interval="1s"), tmp_path)
    (tmp_path / "config.yaml").write_text(json.dumps(settings))
    observe(store, hour - 2 * 3600)
    now = [NOW]
    worker = make_worker(store, home, tmp_path / "config.yaml", clock=lambda: now[0])
    assert worker.work_once() is None
    observe(store, hour - 3600)
    now[0] += 1
    assert worker.work_once().outcome == RunOutcome.REFUSED
    (made,) = retrain_requests(store)
    assert (made.source, made.reason) == (
        "new_data",
        "the target is known until 2023-11-14T22:00:00+00:00, 1d after the champion's cutoff",
    )
    now[0] += 1
    assert worker.work_once() is None
