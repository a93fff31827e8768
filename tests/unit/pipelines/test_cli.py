"""The command line: one line and an exit code for whatever goes wrong, results on stdout."""

import json
import os
from pathlib import Path

import pytest
import yaml

from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.repository import ModelRepository
from forecasting.runs import RunRecord, StepRecord, create_run, finish_run, write_step
from pipelines.cli import main

CONFIG = """\
name: toy
compression: {max_accuracy_loss: 0.1}
gates:
  model: {max_mae: 1, max_rmse: 1, max_naive_ratio: 1, max_champion_ratio: 1}
  compressed: {max_mae: 1, max_rmse: 1}
  serving: {max_latency_ms: 50, max_difference_ratio: 0.001}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HomeLayout:
    monkeypatch.setenv("ALMANAC_HOME", str(tmp_path / "home"))
    return HomeLayout(tmp_path / "home")


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "toy.yaml"
    path.write_text(CONFIG)
    return str(path)


@pytest.mark.parametrize("words", [["run", "--con", "toy.yaml"], ["--verb", "runs", "list"], ["runs", "list", "--js"]])
def test_an_option_is_never_guessed_from_its_beginning(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


def test_a_command_in_a_message_can_be_typed_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    assert main(["--home", "my home", "runs", "show"]) == 2
    assert "`almanac --home 'my home' runs list` names them" in capsys.readouterr().err
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run"], "almanac run needs -c FILE, or --resume RUN"),
        (["run", "-c", "absent.yaml"], "cannot read the configuration absent.yaml: No such file or directory"),
        (["run", "--set", "a=b"], "--set changes a configuration; give it with -c FILE"),
        (["run", "--resume", "none"], "there is no run 'none'"),
        (["runs", "show"], "there is no run 'latest'"),
        (["models", "rollback", "toy"], "there is no model 'toy'"),
        (["step", "train_model"], "there is no run 'latest'"),
    ],
)
def test_a_wrong_command_is_one_line_and_exit_code_2(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"almanac: {line}")
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--cutoff", "yesterday"], "--cutoff must be an ISO 8601 time"),
        (["--cutoff", "2026-01-01T00:00"], "--cutoff must carry a time zone"),
        (["--from", "deploy_model", "--to", "train_model"], "--from deploy_model comes after --to train_model"),
        (["--set", "training.epochs=3"], "unknown key 'training.epochs'"),
        (["--resume", "latest", "--force", "train_model"], "--resume continues a run as it was begun"),
    ],
)
def test_a_wrong_run_is_refused_before_it_begins(
    config: str, home: HomeLayout, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "-c", config, *words]) == 2
    assert line in capsys.readouterr().err
    assert not home.runs.exists()


def test_an_unknown_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["runs", "list", "--bogus"])
    assert ended.value.code == 2
    assert "almanac runs list does not know --bogus" in capsys.readouterr().err


def test_config_show_prints_all_defaults_and_reads_back(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "-c", config, "--set", "forecast.horizon=12"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["forecast"]["horizon"] == 12
    assert shown["backtest"]["stride"] == 24


def test_config_schema_is_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["required"] == ["gates", "compression"]
    assert schema["additionalProperties"] is False


def _refused_run(home: HomeLayout) -> str:
    run = create_run(home, RunRecord("20260101T000000Z-toy", "toy", 0.0, None, "digest"))
    write_step(
        run, StepRecord(StepName.VALIDATE_DATA, RunStatus.SUCCEEDED, started=0.0, duration_s=1.5, summary="fine")
    )
    write_step(run, StepRecord(StepName.EVALUATE_MODEL, RunStatus.REFUSED, started=0.0, summary="MAE 9 (limit 1)"))
    run.log(StepName.VALIDATE_DATA).write_text("26 checks\n")
    finish_run(run)
    return run.name


def test_runs_show_names_every_step_and_the_refusal(home: HomeLayout, capsys: pytest.CaptureFixture[str]) -> None:
    _refused_run(home)
    assert main(["runs", "show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "status   refused" in lines
    assert any(line.split()[:3] == ["validate_data", "succeeded", "1.5"] for line in lines)
    assert any(line.startswith("evaluate_model") and line.endswith("MAE 9 (limit 1)") for line in lines)
    assert any(line.split()[:2] == ["deploy_model", "skipped"] for line in lines)


def test_runs_list_as_json_has_status_and_reason(home: HomeLayout, capsys: pytest.CaptureFixture[str]) -> None:
    name = _refused_run(home)
    assert main(["runs", "list", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["run"], found["status"], found["reason"], found["exit_code"]) == (
        name,
        "refused",
        "MAE 9 (limit 1)",
        4,
    )


def test_a_run_whose_process_is_gone_is_listed_as_stopped(home: HomeLayout, capsys: pytest.CaptureFixture[str]) -> None:
    create_run(home, RunRecord("20260101T000000Z-toy", "toy", 0.0, None, "digest"))
    main(["runs", "list", "--json"])
    assert json.loads(capsys.readouterr().out)[0]["status"] == "stopped"


def test_a_step_whose_process_is_gone_is_shown_as_stopped(home: HomeLayout, capsys: pytest.CaptureFixture[str]) -> None:
    run = create_run(home, RunRecord("20260101T000000Z-toy", "toy", 0.0, None, "digest"))
    write_step(run, StepRecord(StepName.TRAIN_MODEL, RunStatus.RUNNING, started=0.0))
    main(["runs", "show"])
    lines = capsys.readouterr().out.splitlines()
    assert "status   stopped" in lines
    assert any(line.split()[:2] == ["train_model", "stopped"] for line in lines)


def test_runs_logs_prints_what_the_steps_logged(home: HomeLayout, capsys: pytest.CaptureFixture[str]) -> None:
    _refused_run(home)
    assert main(["runs", "logs", "--step", "validate_data"]) == 0
    assert capsys.readouterr().out == "26 checks\n"
    assert main(["runs", "logs", "--step", "train_model"]) == 2


def test_a_run_that_is_over_cannot_be_stopped(home: HomeLayout, capsys: pytest.CaptureFixture[str]) -> None:
    _refused_run(home)
    assert main(["runs", "stop"]) == 2
    assert "is not going; it is refused" in capsys.readouterr().err


def test_rollback_makes_the_previous_version_champion(
    home: HomeLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "version").mkdir()
    (tmp_path / "version/saved_model.pb").write_bytes(b"x")
    repository = ModelRepository(home.models)
    for _ in range(2):
        repository.promote(
            "toy", repository.publish("toy", tmp_path / "version", {"run": "r", "variant": "tflite_int8"})
        )
    assert main(["models", "rollback", "toy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["champion"] == 1
    assert main(["models", "show", "toy"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[2].split()[:4] == ["1", "champion", "r", "tflite_int8"]


def test_a_bug_is_one_line_and_its_traceback_is_in_a_file(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A folder where the record of a run should be is something no code expects.
    (tmp_path / "home/runs/20260101T000000Z-toy/run.json").mkdir(parents=True)
    code = main(["compile", "-c", config, "-o", str(tmp_path / "home" / "runs" / "\0.yaml")])
    shown = capsys.readouterr().err
    assert code == 1
    assert "a bug;" in shown
    log = Path(shown.split("(a bug; ")[1].split(" has the details")[0])
    assert "Traceback" in log.read_text()
    log.unlink()
