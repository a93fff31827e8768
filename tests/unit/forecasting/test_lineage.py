"""What a step may read."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from forecasting.cache import STEP_KINDS
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import PARENTS, StepName, steps_of
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import ArtifactError, ConfigError
from forecasting.lineage import verify_inputs
from forecasting.manifests import load_manifest, write_manifest
from forecasting.runs import RunRecord, StepRecord, create_run, write_step

STEPS = steps_of()


@pytest.fixture
def run(tmp_path: Path) -> RunLayout:
    """A run in which every step succeeded."""
    run = create_run(HomeLayout(tmp_path), RunRecord("run-1", "toy", 0.0, None, "digest"))
    for step in STEPS:
        _write(run, step, "first")
    return run


def _write(run: RunLayout, step: StepName, text: str, status: RunStatus = RunStatus.SUCCEEDED) -> None:
    directory = run.step(step)
    directory.mkdir(exist_ok=True)
    (directory / "payload.txt").write_text(f"{step} {text}")
    parents = {parent.value: load_manifest(run.step(parent)).payload_digest for parent in PARENTS[step]}
    write_manifest(directory, STEP_KINDS[step], parents=parents)
    write_step(run, StepRecord(step, status, started=0.0, summary="4 ms is more than 2 ms"))


def _inputs(run: RunLayout, step: StepName) -> Mapping[StepName, Path]:
    return {parent: run.step(parent) for parent in PARENTS[step]}


@pytest.mark.parametrize("step", STEPS)
def test_what_one_run_made_in_order_can_be_read(run: RunLayout, step: StepName) -> None:
    digests = verify_inputs(run, step, _inputs(run, step))
    assert digests == {parent: load_manifest(run.step(parent)).payload_digest for parent in PARENTS[step]}


def test_nothing_is_deployed_that_the_serving_gate_refused(run: RunLayout) -> None:
    _write(run, StepName.VALIDATE_SERVING, "first", RunStatus.REFUSED)
    with pytest.raises(ConfigError, match="deploy_model may not run: validate_serving refused in run run-1: 4 ms"):
        verify_inputs(run, StepName.DEPLOY_MODEL, _inputs(run, StepName.DEPLOY_MODEL))


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.STOPPED, RunStatus.RUNNING])
def test_an_old_output_of_a_step_that_did_not_end_well_is_not_read(run: RunLayout, status: RunStatus) -> None:
    _write(run, StepName.TRAIN_MODEL, "first", status)
    with pytest.raises(ConfigError, match=f"train_model of run run-1 is {status}"):
        verify_inputs(run, StepName.COMPRESS_MODEL, _inputs(run, StepName.COMPRESS_MODEL))


def test_a_parent_without_a_record_is_named(run: RunLayout) -> None:
    (run.root / "steps" / "build_features.json").unlink()
    with pytest.raises(ConfigError, match="train_model reads what build_features wrote, and run run-1 has none"):
        verify_inputs(run, StepName.TRAIN_MODEL, _inputs(run, StepName.TRAIN_MODEL))


def test_a_new_model_is_not_served_with_variants_and_scores_of_an_older_one(run: RunLayout) -> None:
    _write(run, StepName.TRAIN_MODEL, "second")
    with pytest.raises(
        ConfigError, match=r"must come from one train_model.*run (evaluate_compressed|compress_model) of"
    ):
        verify_inputs(run, StepName.VALIDATE_SERVING, _inputs(run, StepName.VALIDATE_SERVING))


def test_a_model_made_from_other_series_than_it_is_scored_on_is_found_through_its_features(run: RunLayout) -> None:
    _write(run, StepName.VALIDATE_DATA, "second")
    with pytest.raises(ConfigError, match=r"one validate_data.*run build_features of this run again"):
        verify_inputs(run, StepName.EVALUATE_MODEL, _inputs(run, StepName.EVALUATE_MODEL))


def test_a_model_made_from_other_features_than_the_run_holds_is_refused(run: RunLayout) -> None:
    _write(run, StepName.BUILD_FEATURES, "second")
    with pytest.raises(ConfigError, match=r"one build_features.*run train_model of this run again"):
        verify_inputs(run, StepName.EVALUATE_MODEL, _inputs(run, StepName.EVALUATE_MODEL))


def test_an_altered_input_is_refused(run: RunLayout) -> None:
    (run.step(StepName.VALIDATE_DATA) / "payload.txt").write_text("other")
    with pytest.raises(ArtifactError, match="was altered"):
        verify_inputs(run, StepName.BUILD_FEATURES, _inputs(run, StepName.BUILD_FEATURES))
