"""train_model by two real workers, of what is more than one fit: a model that is solved, an ensemble, remedies.

The workers are the processes that the pods of a launched step run; both must come to the same decisions, or they would wait for
each other for ever.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.launching.launched_call import LaunchedCallSpec, LaunchedFolder
from components.training.train_model import train_model
from forecasting.config import AlmanacConfig, step_settings
from forecasting.config.launched import cluster_step_settings
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName
from forecasting.steps import StepContext
from tests.unit.training.small_run import LINEAR, SmallRun, config_of, make_small_run, small_config

LOSS_RTOL = 1e-3
"""How far losses may be from those of one process: sums over replicas are added in another order, epoch after epoch."""
TRAINING = {"max_epochs": 3, "patience": 3, "threads": 0}
CLUSTER = {"training": {"launcher": "tfjob", "workers": 2}}
RIDGE = {"kind": "ridge"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    return make_small_run(tmp_path_factory.mktemp("workers"))


def addresses() -> list[str]:
    with socket.socket() as first, socket.socket() as second:
        for one in (first, second):
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in (first, second)]


def log_of(call: Path, number: int) -> Path:
    """What a worker prints: a file, for nobody empties two pipes at once."""
    return call.parent / f"worker-{number}.log"


def started(call: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The two workers of a call, as a TFJob starts them."""
    workers = addresses()
    for number in (0, 1):
        place = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": number}}
        with log_of(call, number).open("wb") as log:
            yield subprocess.Popen(
                [sys.executable, "-m", "components.launching.worker", "--call", str(call)],
                env={**os.environ, "TF_CONFIG": json.dumps(place)}, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip


def by_two_workers(run: SmallRun, config: AlmanacConfig, name: str) -> dict[str, Any]:
    """The report of the chief, and what the other worker printed."""
    context = replace(run.context, run=home_layout(run.folder).run(name))
    folder = LaunchedFolder(context.run.checkpoint(StepName.TRAIN_MODEL) / "launched")
    inputs = {step.value: str(place) for step, place in run.inputs(StepName.TRAIN_MODEL).items()}
    settings = cluster_step_settings(config, StepName.TRAIN_MODEL).model_dump_json()
    folder.write_call(LaunchedCallSpec(str(run.folder), name, settings, inputs, None, None))
    processes = list(started(folder.call))
    try:
        codes = [process.wait(timeout=280) for process in processes]
    finally:
        for process in processes:
            process.kill()
    printed = [log_of(folder.call, number).read_text() for number in (0, 1)]
    assert codes == [0, 0], printed[0][-2000:] + printed[1][-2000:]
    assert folder.read_outcome().passed
    report: dict[str, Any] = json.loads((folder.output / "report.json").read_text())
    assert (report["strategy"], report["n_replicas"]) == ("multi_worker", 2)
    assert (folder.output / "saved_model" / "saved_model.pb").is_file()
    return {**report, "printed": printed[1]}


def alone(run: SmallRun, config: AlmanacConfig, output: Path) -> dict[str, Any]:
    """The report of the same configuration on this machine."""
    output.mkdir()
    context: StepContext = replace(run.context, run=home_layout(run.folder).run(output.name))
    train_model(step_settings(config, StepName.TRAIN_MODEL), run.inputs(StepName.TRAIN_MODEL), output, context)  # type: ignore[arg-type]
    report: dict[str, Any] = json.loads((output / "report.json").read_text())
    return report


def test_every_worker_solves_a_ridge_and_the_chief_writes_it(run: SmallRun, tmp_path: Path) -> None:
    config = config_of(RIDGE, training=TRAINING, cluster=CLUSTER)
    found, expected = by_two_workers(run, config, "ridge"), alone(run, config, tmp_path / "ridge-alone")
    assert found["best_validation_loss"] == pytest.approx(expected["best_validation_loss"], rel=1e-6)
    assert found["calibration"] == pytest.approx(expected["calibration"], rel=1e-5)


def test_the_workers_train_the_members_of_an_ensemble_one_after_another(run: SmallRun, tmp_path: Path) -> None:
    members = [{**LINEAR, "dropout": 0.0}, RIDGE]
    config = config_of({"kind": "ensemble", "members": members}, training=TRAINING, cluster=CLUSTER)
    found, expected = by_two_workers(run, config, "ensemble"), alone(run, config, tmp_path / "ensemble-alone")
    assert [one["kind"] for one in found["members"]] == ["linear", "ridge"]
    losses = [one["best_validation_loss"] for one in expected["members"]]
    assert [one["best_validation_loss"] for one in found["members"]] == pytest.approx(losses, rel=LOSS_RTOL)
    shares = [one["share"] for one in expected["members"]]
    assert [one["share"] for one in found["members"]] == pytest.approx(shares, abs=0.02)


def test_the_workers_try_and_keep_the_same_remedies_as_one_process_does(run: SmallRun, tmp_path: Path) -> None:
    slow = {**TRAINING, "auto_remedy": True, "learning_rate": 1e-5, "refit": False}
    config = small_config(model={"dropout": 0.0, "segment_dropout": 0.0}, training=slow, cluster=CLUSTER)
    found, expected = by_two_workers(run, config, "remedy"), alone(run, config, tmp_path / "remedy-alone")
    kept = [(one["change"], one["kept"]) for one in found["remedies"]]
    assert kept == [(one["change"], one["kept"]) for one in expected["remedies"]]
    assert ("ten times the rate, 1e-3 to 1e-2", True) in kept
    # The other worker decides for itself, and comes to the same.
    assert found["printed"].count(": kept") == [was_kept for _, was_kept in kept].count(True)
