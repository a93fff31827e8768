"""train_model by two real workers of a fake Kubernetes: one is put out in the middle, the next attempt goes on and ends with the model.

The step runs as the pod of a pipeline runs it, with key, record and log; TF_CONFIG is made by the workers from the number of their pod.
"""

import json
from functools import partial
from pathlib import Path

import pytest

from components.launching.job_run import Waiting
from components.launching.job_spec import LaunchSpec
from components.launching.launch_training import Launching, launch_training
from forecasting.cluster_api.session import ApiAddressSpec
from forecasting.config import AlmanacConfig
from forecasting.config.cluster import ClusterConfig
from forecasting.config.launched import cluster_step_settings
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import RetryableError
from forecasting.execution import execute_step
from forecasting.runs import RunRecord, StepRecord, load_step, write_run, write_step
from tests.integration.local_pods import LocalPods
from tests.unit.training.small_run import SmallRun, make_small_run, small_config

TRAINING = {"max_epochs": 6, "patience": 6, "checkpoint_every_steps": 3, "refit": False, "threads": 1}
CLUSTER = {"training": {"launcher": "trainjob", "workers": 2}, "api": {"patience": "10s"}}
IMAGE = "registry.example/almanac@sha256:" + "0" * 64


def config() -> AlmanacConfig:
    return small_config(training=TRAINING, cluster=CLUSTER)


def attempt(run: SmallRun, url: str) -> bool:
    """The step as the pod of a pipeline does it."""
    launched = partial(
        launch_training,
        launch=LaunchSpec(ClusterConfig.model_validate({**CLUSTER, "home": str(run.folder)}), IMAGE),
        launching=Launching(ApiAddressSpec(url), Waiting(look_s=1, log_pause_s=0.1)),
    )
    settings = cluster_step_settings(config(), StepName.TRAIN_MODEL).model_dump_json()
    inputs = {step.value: str(place) for step, place in run.inputs(StepName.TRAIN_MODEL).items()}
    return execute_step(
        StepName.TRAIN_MODEL, launched, settings, inputs, home=str(run.folder), run="small", cutoff="", capture=False
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    made = make_small_run(tmp_path_factory.mktemp("launched"))
    write_run(made.context.run, RunRecord(run="small", model="load", created=1.0, cutoff=None, config_digest=""))
    for step in (StepName.VALIDATE_DATA, StepName.BUILD_FEATURES):
        write_step(made.context.run, StepRecord(step, RunStatus.SUCCEEDED, started=1.0))
    return made


def test_a_gang_of_which_a_worker_is_put_out_goes_on_from_its_checkpoint(run: SmallRun, tmp_path: Path, monkeypatch):
    monkeypatch.delenv("ALMANAC_POD", raising=False)
    states = run.context.run.checkpoint(StepName.TRAIN_MODEL) / "fit"

    def put_out(pods: LocalPods) -> None:
        if not pods.evicted and len(list(states.glob("state-*.npz"))) == 2:
            pods.kill(1)

    pods = LocalPods(logs=tmp_path, disturb=put_out)
    try:
        with pods as url:
            with pytest.raises(RetryableError, match=r"worker 1 .* was taken away: Evicted"):
                attempt(run, url)
            failed = load_step(run.context.run, StepName.TRAIN_MODEL)
            reached = max(int(path.stem.removeprefix("state-")) for path in states.glob("state-*.npz"))
            assert (failed.status, failed.exit_code) == (RunStatus.FAILED, 75)
            pods.disturb = lambda _pods: None
            assert attempt(run, url)
    finally:
        pods.close()
    output = run.directory(StepName.TRAIN_MODEL)
    report = json.loads((output / "report.json").read_text())
    assert (report["strategy"], report["n_replicas"], report["n_epochs"]) == ("multi_worker", 2, 6)
    assert report["resumed_from_step"] == reached >= 3
    assert (output / "saved_model" / "saved_model.pb").is_file()
    assert load_step(run.context.run, StepName.TRAIN_MODEL).status == RunStatus.SUCCEEDED
    assert not run.context.run.checkpoint(StepName.TRAIN_MODEL).exists()
    assert not any(pods.kept.values())
    # Each made its own TF_CONFIG of its number; one of them is the chief, and wrote the model.
    assert [one["JOB_COMPLETION_INDEX"] for one in pods.environments] == ["0", "1"]
    assert "TF_CONFIG" not in pods.environments[0]
