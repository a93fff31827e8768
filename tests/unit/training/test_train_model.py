import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from components.training.train_model import train_model
from forecasting.config import parse_config, step_settings
from forecasting.contracts.steps import StepName
from forecasting.errors import DataError
from forecasting.features.spec import read_feature_spec
from forecasting.steps import StepOutcome
from tests.unit.training.ensemble_process import KILLED_CONFIG
from tests.unit.training.small_run import SmallRun, ensemble_config, make_small_run, small_config


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[SmallRun, StepOutcome]:
    run = make_small_run(tmp_path_factory.mktemp("trained"))
    return run, run.perform(StepName.TRAIN_MODEL)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """Neither refit nor calibrated."""
    run = make_small_run(tmp_path_factory.mktemp("plain"))
    run.perform(StepName.TRAIN_MODEL, training={"refit": False}, model={"calibrate": False})
    return run


def document(run: SmallRun, name: str):
    return json.loads((run.directory(StepName.TRAIN_MODEL) / name).read_text())


def weights(run: SmallRun, name: str = "model.weights.h5") -> np.ndarray:
    found: list[np.ndarray] = []
    with h5py.File(run.directory(StepName.TRAIN_MODEL) / name) as file:
        file.visititems(lambda _, node: found.append(node[()].ravel()) if isinstance(node, h5py.Dataset) else None)
    return np.concatenate(found)


def test_every_file_of_a_model_is_written(trained):
    run, outcome = trained
    directory = run.directory(StepName.TRAIN_MODEL)
    assert {path.name for path in directory.iterdir()} == {
        "saved_model", "model.weights.h5", "first_fit.weights.h5", "feature_spec.json", "model_spec.json", "history.json", "report.json",
        "manifest.json",
    }  # fmt: skip
    assert (directory / "saved_model" / "saved_model.pb").is_file()
    assert outcome.passed


def test_the_feature_spec_of_the_features_lies_beside_the_model_and_in_it(trained):
    run, _ = trained
    spec = read_feature_spec(run.directory(StepName.BUILD_FEATURES) / "feature_spec.json")
    directory = run.directory(StepName.TRAIN_MODEL)
    assert read_feature_spec(directory / "feature_spec.json") == spec
    assert read_feature_spec(directory / "saved_model" / "assets.extra" / "almanac_feature_spec.json") == spec


def test_the_history_has_one_row_an_epoch_and_the_report_its_best(trained):
    run, _ = trained
    history, report = document(run, "history.json"), document(run, "report.json")
    assert [row["epoch"] for row in history] == [1, 2]
    assert {"epoch", "train_loss", "validation_loss", "learning_rate", "duration_s", "gradient_norm"} <= set(history[0])
    losses = [row["validation_loss"] for row in history]
    assert report["best_epoch"] == 1 + losses.index(min(losses))
    assert report["best_validation_loss"] == min(losses)
    # train: origins from hour 24 to 500 - 24; validation: from 500 to 600 - 24
    assert (report["n_train_windows"], report["n_validation_windows"]) == (453, 77)


def test_a_refit_changes_the_weights_and_not_the_report_of_the_training(trained, plain):
    run, outcome = trained
    assert "(refit)" in outcome.summary
    assert document(run, "report.json")["refit"]
    assert not document(plain, "report.json")["refit"]
    assert document(run, "report.json")["refit_cpu_s"] > 0
    assert document(plain, "report.json")["refit_cpu_s"] == 0
    losses = [[row["validation_loss"] for row in document(one, "history.json")] for one in (run, plain)]
    assert losses[0] == losses[1]
    assert not np.array_equal(weights(run), weights(plain))


def test_the_weights_before_the_refit_are_those_of_a_training_without_one(trained, plain):
    np.testing.assert_array_equal(weights(trained[0], "first_fit.weights.h5"), weights(plain))
    assert not (plain.directory(StepName.TRAIN_MODEL) / "first_fit.weights.h5").exists()


def test_quantiles_are_calibrated_unless_told_otherwise(trained, plain):
    factors = document(trained[0], "model_spec.json")["calibration"]
    assert factors[1] == 1.0
    assert factors[0] != 1.0
    assert document(plain, "model_spec.json")["calibration"] == [1.0, 1.0, 1.0]


def test_a_step_that_runs_again_in_the_same_run_goes_on_from_its_checkpoint(plain, tmp_path):
    settings = step_settings(small_config(training={"refit": False}, model={"calibrate": False}), StepName.TRAIN_MODEL)
    train_model(settings, plain.inputs(StepName.TRAIN_MODEL), tmp_path, plain.context)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["resumed_from_epoch"] == 2
    assert report["best_validation_loss"] == document(plain, "report.json")["best_validation_loss"]


def test_a_changed_setting_does_not_go_on_from_the_checkpoint(plain, tmp_path):
    changed = small_config(training={"refit": False, "max_epochs": 1, "seed": 2}, model={"calibrate": False})
    train_model(
        step_settings(changed, StepName.TRAIN_MODEL), plain.inputs(StepName.TRAIN_MODEL), tmp_path, plain.context
    )
    assert json.loads((tmp_path / "report.json").read_text())["resumed_from_epoch"] == 0


def test_too_few_steps_before_the_validation_period_are_refused(tmp_path: Path):
    run = make_small_run(tmp_path, n_train=40)
    with pytest.raises(
        DataError, match="training and validation need at least one window of 24 steps each, found 0 and 77"
    ):
        run.perform(StepName.TRAIN_MODEL)


def test_an_ensemble_is_trained_member_by_member_and_exported_as_one(tmp_path):
    run = make_small_run(tmp_path)
    outcome = run.perform_with(ensemble_config(training={"max_epochs": 1, "refit": False}), StepName.TRAIN_MODEL)

    report = document(run, "report.json")
    assert outcome.passed
    assert [(one["kind"], one["seed"]) for one in report["members"]] == [("linear", 1), ("segment_gru", 1)]
    assert sum(one["share"] for one in report["members"]) == pytest.approx(1.0)
    assert [one["share"] for one in report["members"]] == report["shares"]["shares"]
    # 77 origins of a horizon of 24 cannot be cut into four folds.
    assert report["shares"]["choice"] == "unchecked"
    assert report["best_validation_loss"] == min(one["best_validation_loss"] for one in report["members"])
    assert (run.directory(StepName.TRAIN_MODEL) / "saved_model" / "saved_model.pb").is_file()
    checkpoints = run.context.run.checkpoint(StepName.TRAIN_MODEL)
    assert {path.name for path in checkpoints.iterdir()} == {"member_0", "member_1"}


def test_an_ensemble_killed_in_its_second_member_resumes_to_the_weights_of_one_that_was_not(tmp_path):
    command = [sys.executable, "-m", "tests.unit.training.ensemble_process", str(tmp_path)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr[-3_000:]
    whole, killed = SmallRun(tmp_path / "whole"), SmallRun(tmp_path / "killed")
    assert not (killed.directory(StepName.TRAIN_MODEL) / "report.json").exists()
    states = {
        path.name for path in killed.context.run.checkpoint(StepName.TRAIN_MODEL).glob("member_1/fit/state-*.npz")
    }
    assert states == {"state-0000000003.npz"}

    shutil.rmtree(killed.directory(StepName.TRAIN_MODEL))
    killed.perform_with(KILLED_CONFIG, StepName.TRAIN_MODEL)
    np.testing.assert_array_equal(weights(killed), weights(whole))
    shares = [document(run, "report.json")["shares"]["shares"] for run in (killed, whole)]
    assert shares[0] == shares[1]
    losses = [[row["validation_loss"] for row in document(run, "history.json")] for run in (killed, whole)]
    assert losses[0] == losses[1]


def train_ridge(folder: Path, *, refit: bool) -> SmallRun:
    run = make_small_run(folder)
    document = {**small_config(training={"refit": refit}).model_dump(), "model": {"kind": "ridge"}}
    run.perform_with(parse_config(document, source="small"), StepName.TRAIN_MODEL)
    return run


def test_a_ridge_is_solved_again_on_train_and_validation_and_reports_the_first_solution(tmp_path):
    once, twice = train_ridge(tmp_path / "once", refit=False), train_ridge(tmp_path / "twice", refit=True)
    reports = [document(run, "report.json") for run in (once, twice)]
    assert [report["n_epochs"] for report in reports] == [1, 1]
    assert reports[0]["best_validation_loss"] == reports[1]["best_validation_loss"] > 0
    assert [report["refit_cpu_s"] > 0 for report in reports] == [False, True]
    assert reports[0]["calibration"] == reports[1]["calibration"]
    assert not np.array_equal(weights(once), weights(twice))
    assert (twice.directory(StepName.TRAIN_MODEL) / "saved_model" / "saved_model.pb").is_file()
