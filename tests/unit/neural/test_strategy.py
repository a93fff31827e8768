"""The one loop in processes of its own: killed and resumed, on two replicas, on two workers."""

import json
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from forecasting.config.training import TrainingConfig
from forecasting.contracts.codes import ExitCode
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


def results(process: subprocess.Popen, *, code: int = 0, or_else: int | None = None) -> dict[str, dict]:
    out, err = process.communicate(timeout=280)
    assert process.returncode in {code, code if or_else is None else or_else}, err[-3_000:]
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return {row["job"]: row for row in rows}


def two_workers(*jobs: str, code: int = 0, other_code: int | None = None) -> list[dict[str, dict]]:
    """What the chief and the other worker print; they end with `code`, the other one with `other_code` where it is given."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in (first, second)]
    clusters = [json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}) for i in (0, 1)]
    processes = [start("multi_worker", *jobs, cluster=cluster) for cluster in clusters]
    try:
        codes = (code, code if other_code is None else other_code)
        # Of two that are killed at one step the later may first see that the earlier is gone.
        or_else = ExitCode.RETRY if code == -signal.SIGKILL else None
        found = [results(process, code=one, or_else=or_else) for process, one in zip(processes, codes, strict=True)]
        assert code in {process.returncode for process in processes}
        return found
    finally:
        for process in processes:
            process.kill()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One process: a whole training, one without dropout, one that is killed; then the killed one resumed."""
    place = tmp_path_factory.mktemp("alone") / "fit"
    found = results(start("default", "masks", "whole", "plain", f"killed={place}"), code=-signal.SIGKILL)
    return {**found, **results(start("default", f"resumed={place}"))}


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """The same on two workers."""
    place = tmp_path_factory.mktemp("workers") / "fit"
    before = two_workers("masks", "whole", "plain", f"killed={place}", code=-signal.SIGKILL)
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
    found = results(start("mirrored", "masks", "plain"))
    masks, mirrored = found["masks"]["masks"], found["plain"]
    # The first drops out what one process would; the other one something else.
    assert masks[0] == alone["masks"]["masks"][0]
    assert masks[1] != masks[0]
    assert mirrored["n_replicas"] == 2
    assert len(mirrored["weights"]) == 1
    for found, expected in zip(mirrored["losses"], alone["plain"]["losses"], strict=True):
        assert found == pytest.approx(expected, rel=LOSS_RTOL)


def test_two_workers_drop_out_other_units_each(workers, alone):
    chief, other = workers
    assert chief["masks"]["masks"] == alone["masks"]["masks"]
    assert other["masks"]["masks"] != chief["masks"]["masks"]


def test_a_signal_to_one_worker_stops_all_of_them_and_they_go_on_to_the_same_history(workers, tmp_path):
    place = tmp_path / "fit"
    for worker in two_workers(f"stopped={place}", code=143):
        assert "training was stopped by SIGTERM" in worker["stopped"]["error"]
    # Asked at step 5 of the second epoch, agreed on at step 10.
    assert (place / "state-0000000024.npz").exists()
    for resumed, worker in zip(two_workers(f"resumed={place}"), workers, strict=True):
        assert resumed["resumed"]["resumed_from_step"] == 14 + 10
        assert resumed["resumed"]["losses"] == worker["whole"]["losses"]
        assert resumed["resumed"]["weights"] == worker["whole"]["weights"]


def test_a_worker_that_is_gone_is_named_by_the_other_one_which_may_be_started_again(tmp_path):
    chief, _ = two_workers(f"lost={tmp_path / 'fit'}", code=75, other_code=-signal.SIGKILL)
    assert re.match(r"worker 1 \(127\.0\.0\.1:\d+\) is gone; start all workers again", chief["lost"]["error"])


def test_a_tpu_is_refused_as_untested():
    with pytest.raises(ConfigError, match="never run on a TPU"):
        make_strategy(TrainingConfig(strategy="tpu"))


CHOSEN = """
import sys
from forecasting.config.training import TrainingConfig
from forecasting.errors import ConfigError
from forecasting.neural.strategy import make_strategy
try:
    strategy = make_strategy(TrainingConfig(accelerator=sys.argv[1]))
except ConfigError as error:
    sys.exit(str(error))
import tensorflow as tf
print(strategy.num_replicas_in_sync, *(device.device_type for device in tf.config.list_logical_devices()))
"""


def chosen_without_a_gpu(accelerator: str) -> subprocess.CompletedProcess[str]:
    """A process that sees no GPU, whatever the machine has, as where the driver is missing."""
    return subprocess.run(
        [sys.executable, "-c", CHOSEN, accelerator],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_gpu_that_was_asked_for_and_is_not_there_is_refused_by_name():
    said = chosen_without_a_gpu("gpu").stderr.splitlines()[-1]
    assert said.startswith("training.accelerator gpu needs a GPU, and TensorFlow sees none: ")
    assert said.endswith("set training.accelerator: any to train on the processor instead")


@pytest.mark.parametrize("accelerator", ["auto", "any", "cpu"])
def test_the_processor_is_used_where_that_is_allowed(accelerator):
    done = chosen_without_a_gpu(accelerator)
    assert done.stdout.split() == ["1", "CPU"], done.stderr[-3_000:]


@pytest.mark.parametrize("text", ["", "{", '{"cluster": {}}', '{"cluster": {"worker": []}, "task": {}}'])
def test_several_workers_need_a_cluster(text, monkeypatch):
    monkeypatch.setenv(CLUSTER_VARIABLE, text)
    with pytest.raises(ConfigError, match="multi_worker needs TF_CONFIG in the environment"):
        make_strategy(TrainingConfig(strategy="multi_worker", threads=0))
