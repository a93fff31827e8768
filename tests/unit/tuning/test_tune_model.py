"""The step tune_model: what it takes of a search, and what train_model takes of it."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from components.training.train_model import tuned_settings
from components.tuning.tune_model import best_settings
from forecasting.code_closure import PROJECT_ROOT, ROOMS, code_digests
from forecasting.config import parse_config, step_settings
from forecasting.contracts.artifacts import TUNED_FILE
from forecasting.contracts.steps import StepName
from forecasting.errors import ArtifactError, ConfigError, ModelRefusedError
from forecasting.tuning_record import (
    FinalistRecord,
    FoldFitRecord,
    TrialOutcome,
    TrialRecord,
    TrialStage,
    TunedSettingsRecord,
    TuningReport,
    read_tuned_settings,
    read_tuning_report,
    write_tuned_settings,
    write_tuning_report,
)

DOCUMENT = {
    "name": "toy",
    "data": {"uri": "table.csv", "target": "load"},
    "compression": {"max_accuracy_loss": 0.1},
    "gates": {
        "model": {"max_mae": 1, "max_rmse": 1, "max_naive_ratio": 1, "max_champion_ratio": 1},
        "compressed": {"max_mae": 1, "max_rmse": 1},
        "serving": {"max_latency_ms": 50, "max_difference_ratio": 0.001},
    },
}
TRIAL = TrialRecord(
    3, TrialOutcome.SCORED, {"model.units": 32, "training.learning_rate": 0.002}, 0.25,
    (FoldFitRecord(0.25, 0.5, 0.75, 4, 1.5, "good fit"),), (0.8, 0.75), 1_000, 2.5, "", TrialStage.JOINT, "", None, None,
)  # fmt: skip
REPORT = TuningReport(
    "toy", "toy-1", "wql", False, "tpe", "none", ((0, 3_600),), 3_600, (TRIAL,), {"model.units": 1.0}, 3, None,
    (FinalistRecord(3, (0.25, 0.5), 0.375, 0.1768),), ("model.units",),
)  # fmt: skip


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_tuning_report(REPORT, tmp_path / "trials.json")
    assert read_tuning_report(tmp_path / "trials.json") == REPORT


def test_a_report_that_is_none_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "trials.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"trials\.json must hold the trials"):
        read_tuning_report(tmp_path / "trials.json")


def test_the_best_settings_stand_beside_the_configured_ones() -> None:
    settings = step_settings(parse_config(DOCUMENT, "toy"), StepName.TUNE_MODEL)
    assert best_settings(REPORT, settings) == TunedSettingsRecord(
        settings={"model.units": 32, "training.learning_rate": 0.002}, was={"model.units": 64, "training.learning_rate": 0.003},
        metric="wql", value=0.25, study="toy-1", trial=3, n_trials=1,
    )  # fmt: skip


def test_a_search_without_a_scored_trial_has_no_settings_to_train_with() -> None:
    settings = step_settings(parse_config(DOCUMENT, "toy"), StepName.TUNE_MODEL)
    with pytest.raises(ModelRefusedError, match="none of 1 trials"):
        best_settings(replace(REPORT, best=None), settings)


def test_training_takes_the_tuned_settings_and_leaves_the_others(tmp_path: Path) -> None:
    settings = step_settings(parse_config(DOCUMENT, "toy"), StepName.TRAIN_MODEL)
    record = TunedSettingsRecord({"model.units": 32, "training.optimizer": "sgd"}, {}, "wql", 0.25, "toy-1", 3, 1)
    write_tuned_settings(record, tmp_path / TUNED_FILE)
    assert read_tuned_settings(tmp_path / TUNED_FILE) == record
    tuned = tuned_settings(settings, tmp_path)
    assert (tuned.model.units, tuned.training.optimizer) == (32, "sgd")
    assert tuned.training.learning_rate == settings.training.learning_rate


def test_a_search_in_a_run_may_not_change_what_the_features_were_built_with() -> None:
    space = {"features.target_scaling": {"choices": ["train", "window"]}}
    with pytest.raises(ConfigError, match=r"settings of model and training, found features\.target_scaling"):
        parse_config({**DOCUMENT, "tuning": {"in_run": True, "space": space}}, "toy")
    assert parse_config({**DOCUMENT, "tuning": {"space": space}}, "toy").optional_steps == ()
    assert parse_config({**DOCUMENT, "tuning": {"in_run": True}}, "toy").optional_steps == (StepName.TUNE_MODEL,)


def test_the_key_of_the_step_holds_every_file_of_the_pipeline_that_its_processes_import() -> None:
    listed = {room for room in ROOMS[StepName.TUNE_MODEL] if room.startswith("pipelines/")}
    assert listed <= set(code_digests(StepName.TUNE_MODEL))
    imported = {
        f"{node.module.replace('.', '/')}.py"
        for name in listed
        for node in ast.walk(ast.parse((PROJECT_ROOT / name).read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipelines.")
    }
    # They start processes and show lines; no figure of a trial comes from them.
    assert imported - listed == {"pipelines/run.py", "pipelines/terminal.py"}
