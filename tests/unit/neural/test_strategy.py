"""The one loop in processes of its own: killed and resumed, on two replicas, on two workers."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from forecasting.config.training import TrainingConfig
from forecasting.errors import ConfigError
from forecasting.neural.strategy import CLUSTER_VARIABLE, make_strategy

LOSS_RTOL = 1e-4
"""How far losses may be from those of one process: sums over replicas are added in another order."""


def start(strategy: str, *jobs: str, cluster: str | None = None) -> subprocess.Popen:
    environment = {**os.environ, **({CLUSTER_VARIABLE: cluster} if cluster else {})}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.unit.neural.training_process", strategy, *jobs],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def results(process: subprocess.Popen, *, code: int = 0) -> dict[str, dict]:
    out, err = process.communicate(timeout=280)
    assert process.returncode == code, err[-3_000:]
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return {row["job"]: row for row in rows}


def two_workers(*jobs: str, code: int = 0) -> list[dict[str, dict]]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in (first, second)]
    clusters = [json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}) for i in (0, 1)]
    processes = [start("multi_worker", *jobs, cluster=cluster) for cluster in clusters]
    try:
        return [results(process, code=code) for process in processes]
    finally:
        for process in processes:
            process.kill()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One process: a whole training, one without dropout, one that is killed; then the killed one resumed."""
    place = tmp_path_factory.mktemp("alone") / "fit"
    found = results(start("default", "whole", "plain", f"killed={place}"), code=-signal.SIGKILL)
    return {**found, **results(start("default", f"resumed={place}"))}


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """The same on two workers."""
    place = tmp_path_factory.mktemp("workers") / "fit"
    before = two_workers("whole", "plain", f"killed={place}", code=-signal.SIGKILL)
    after = two_workers(f"resumed={place}")
    return [{**one, **other} for one, other in zip(before, after, strict=True)]


def test_a_training_killed_in_an_epoch_resumes_to_the_history_and_weights_of_one_that_was_not(alone):
    assert alone["resumed"]["resumed_from_step"] == 14 + 3
    assert alone["resumed"]["losses"] == alone["whole"]["losses"]
    assert alone["resumed"]["weights"] == alone["whole"]["weights"]


def test_two_workers_killed_in_an_epoch_resume_to_the_same_history(workers):
    for worker in workers:
        assert worker["resumed"]["resumed_from_step"] == 14 + 3
        assert worker["resumed"]["losses"] == worker["whole"]["losses"]
        assert worker["resumed"]["weights"] == worker["whole"]["weights"]


def test_two_workers_end_with_equal_weights_and_the_loss_of_one_process(workers, alone):
    chief, other = workers
    assert chief["plain"]["n_replicas"] == 2
    assert chief["plain"]["weights"] == other["plain"]["weights"]
    assert chief["plain"]["losses"] == other["plain"]["losses"]
    for found, expected in zip(chief["plain"]["losses"], alone["plain"]["losses"], strict=True):
        assert found == pytest.approx(expected, rel=LOSS_RTOL)


def test_two_mirrored_replicas_end_with_equal_weights_and_the_loss_of_one(alone):
    mirrored = results(start("mirrored", "plain"))["plain"]
    assert mirrored["n_replicas"] == 2
    assert len(mirrored["weights"]) == 1
    for found, expected in zip(mirrored["losses"], alone["plain"]["losses"], strict=True):
        assert found == pytest.approx(expected, rel=LOSS_RTOL)


def test_a_tpu_is_refused_as_untested():
    with pytest.raises(ConfigError, match="never run on a TPU"):
        make_strategy(TrainingConfig(strategy="tpu"))


@pytest.mark.parametrize("text", ["", "{", '{"cluster": {}}', '{"cluster": {"worker": []}, "task": {}}'])
def test_several_workers_need_a_cluster(text, monkeypatch):
    monkeypatch.setenv(CLUSTER_VARIABLE, text)
    with pytest.raises(ConfigError, match="multi_worker needs TF_CONFIG in the environment"):
        make_strategy(TrainingConfig(strategy="multi_worker", threads=0))
