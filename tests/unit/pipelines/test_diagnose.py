"""`almanac diagnose`: of a run, of a run whose training was lost, of a history of Keras."""

import json
from pathlib import Path

import pytest

from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.runs import RunRecord, create_run
from pipelines.cli import main
from tests.unit.reporting.runs import add_training, add_validation

CONFIG = Path("pipelines/configs/electricity.yaml")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunLayout:
    monkeypatch.setenv("ALMANAC_HOME", str(tmp_path / "home"))
    layout = create_run(HomeLayout(tmp_path / "home"), RunRecord("first", "demand", 1.0, None, "digest"))
    layout.config.write_text(CONFIG.read_text())
    return layout


@pytest.fixture
def keras_history(tmp_path: Path) -> Path:
    path = tmp_path / "keras.json"
    path.write_text(json.dumps({"loss": [1.0, 0.5, 0.35, 0.25], "val_loss": [1.0, 0.5, 0.6, 0.6]}))
    return path


def test_a_run_is_diagnosed_with_the_settings_that_it_had(run: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    add_validation(run)
    add_training(run)
    assert main(["diagnose"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("over-fitting\n")
    assert "rose by 8.3 % after it" in said
    assert "  - more dropout, up to 0.5: model.dropout (" in said


def test_a_history_of_keras_is_diagnosed_as_json(keras_history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", str(keras_history), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["pattern"], found["best_epoch"], found["from_run"]) == ("over-fitting", 2, False)
    assert found["evidence"][0]["value"] == pytest.approx(0.2)
    assert found["remedies"][0]["paths"][0] == "model.dropout"


@pytest.mark.parametrize(("suffix", "begins"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_the_curve_is_drawn(keras_history: Path, tmp_path: Path, suffix: str, begins: bytes) -> None:
    out = tmp_path / f"curve{suffix}"
    assert main(["diagnose", str(keras_history), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(begins)


def test_a_picture_of_another_kind_is_refused(keras_history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", str(keras_history), "--out", "curve.pdf"]) == 2
    assert "--out must end in .png or .svg, found curve.pdf" in capsys.readouterr().err


def test_a_run_without_a_training_says_so(run: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", run.name]) == 2
    assert "must have trained a network for an epoch, and has not" in capsys.readouterr().err


def test_a_training_that_was_given_up_is_read_from_its_checkpoint(
    run: RunLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    from forecasting.contracts.codes import ExitCode
    from forecasting.contracts.vocabulary import RunStatus
    from forecasting.neural.checkpoint import CheckpointStore, LoopRecord, TrainingState
    from forecasting.neural.watch import EpochRecord
    from forecasting.runs import StepRecord, write_step

    history = tuple(EpochRecord(epoch, 1 / epoch, 1 / epoch, 1e-3, 1.0) for epoch in (1, 2, 3))
    store = CheckpointStore(run.checkpoint(StepName.TRAIN_MODEL) / "fit", "key")
    store.save(TrainingState(30, LoopRecord(history=history), {"weights": ()}))
    failed = StepRecord(
        StepName.TRAIN_MODEL, RunStatus.FAILED, 1.0, exit_code=int(ExitCode.MODEL_REFUSED), error="lost"
    )
    write_step(run, failed)
    assert main(["diagnose"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("diverged\n")
    assert "The loss was lost after epoch 3; the best epoch before it is 3." in said
