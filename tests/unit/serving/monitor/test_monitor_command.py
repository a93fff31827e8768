"""`almanac monitor` as a process, and once."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request

import pytest

from forecasting.contracts.codes import ExitCode
from forecasting.store.live_scores import MonitorLease, claim_lease, read_sums
from pipelines.cli import main
from tests.unit.serving.monitor.watched import CUTOFF, HOUR, MODEL, answer, observe, write_config


class Command:
    """A running `almanac monitor` and the lines that it has printed."""

    def __init__(self, home, config) -> None:
        command = [sys.executable, "-m", "pipelines.cli", "--home", str(home), "monitor", "-c", str(config)]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self.lines, self._came = [], threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with self._came:
                self.lines.append(line)
                self._came.notify_all()

    def wait_for(self, text):
        with self._came:
            assert self._came.wait_for(lambda: any(text in line for line in self.lines), timeout=60), self.lines
            return next(line for line in self.lines if text in line)

    def page(self):
        url = re.search(r"http://\S+", self.wait_for("monitor  http"))[0]
        with urllib.request.urlopen(url, timeout=20) as response:
            return response.read().decode()

    def wait_for_metric(self, line):
        tick = threading.Event()
        for _ in range(300):
            if line in self.page():
                return
            tick.wait(0.2)
        raise AssertionError(self.page())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def start(tmp_path, repository):
    commands = []

    def begin(**monitoring):
        commands.append(Command(tmp_path, write_config(tmp_path, **monitoring)))
        return commands[-1]

    yield begin
    for one in commands:
        one.process.kill()
        one.process.wait()


def _once(tmp_path, *arguments):
    config = write_config(tmp_path, horizon_buckets=[1])
    return main(["--home", str(tmp_path), "monitor", "-c", str(config), "--once", *arguments])


def test_once_scores_all_and_prints_accuracy_and_drift(store, repository, tmp_path, capsys):
    answer(store, CUTOFF, [5, 5, 5])
    observe(store, CUTOFF, 4, 7)
    assert _once(tmp_path, "--json") == ExitCode.DONE
    found = json.loads(capsys.readouterr().out)
    assert [(one["role"], one["horizon"], one["n_points"], one["mae"]) for one in found["scores"]] == [
        ("champion", "h1", 1, 1.0),
        ("champion", "h2_3", 1, 2.0),
    ]
    assert found["round"]["n_new"] == 2
    assert found["drift"]["columns"]["Demand"]["n"] > 0
    assert _once(tmp_path) == ExitCode.DONE
    told = capsys.readouterr().out
    assert re.search(r"1 champion +h2_3 +1 +2 ", told)
    assert "drift of Demand against training: PSI" in told


def test_once_beside_another_monitor_ends_with_75_and_scores_nothing(store, repository, tmp_path, capsys):
    answer(store, CUTOFF, 5)
    observe(store, CUTOFF, 4)
    claim_lease(store, MonitorLease(MODEL, "the other one", 3600), now=2_000_000_000)
    assert _once(tmp_path) == ExitCode.RETRY
    assert "'tiny' is monitored by the other one; stop it first" in capsys.readouterr().err
    assert read_sums(store, MODEL) == {}


def test_once_without_a_champion_says_how_to_get_one(store, tmp_path, capsys):
    assert _once(tmp_path) == ExitCode.CONFIG
    assert "no champion" in capsys.readouterr().err


def test_a_taken_port_is_named(store, repository, tmp_path, capsys):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = write_config(tmp_path, port=taken.getsockname()[1])
        assert main(["--home", str(tmp_path), "monitor", "-c", str(config)]) == ExitCode.CONFIG
    assert "monitoring.port must be free" in capsys.readouterr().err


def test_two_processes_share_one_model_and_the_second_takes_over(store, start):
    answer(store, CUTOFF, 5)
    first = start()
    first.wait_for_metric('forecast_monitor_active{model="tiny"} 1.0')
    second = start()
    second.wait_for("waiting: ")
    assert 'forecast_monitor_active{model="tiny"} 0.0' in second.page()
    observe(store, CUTOFF, 4)
    first.wait_for_metric('forecast_scored_points_total{horizon="h1",model="tiny",role="champion",version="1"} 1.0')
    assert first.stop() == 0
    second.wait_for("this monitor has taken over")
    observe(store, CUTOFF + HOUR, 4)
    second.wait_for_metric('forecast_scored_points_total{horizon="h2_3",model="tiny",role="champion",version="1"} 1.0')
    assert 'forecast_scored_points_total{horizon="h1",model="tiny",role="champion",version="1"} 1.0' in second.page()
    assert "process_cpu_seconds_total" in second.page()
    assert second.stop() == 0


def test_a_lease_that_is_not_longer_than_the_interval_is_refused(tmp_path, capsys):
    config = write_config(tmp_path, interval="5min", lease="5min")
    assert main(["--home", str(tmp_path), "monitor", "-c", str(config), "--once"]) == ExitCode.CONFIG
    assert "monitoring.lease (5min) must be longer than monitoring.interval (5min)" in capsys.readouterr().err
