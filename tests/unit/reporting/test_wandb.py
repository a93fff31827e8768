"""Weights & Biases beside MLflow: a real run of its library without any network, read back from its own file."""

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.reporting.evidence import gather_evidence
from components.reporting.tracking.spool import note_sent, spooled
from components.reporting.tracking.track_run import TrackingReport, track_run
from components.reporting.tracking.upload import upload
from forecasting.code_closure import PROJECT_ROOT
from forecasting.config.root import ReportRunSettings
from forecasting.config.sections import ForecastConfig
from forecasting.config.table import DataConfig
from forecasting.config.tracking import TrackingConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.steps import StepContext
from tests.unit.reporting.runs import whole_run


def _track(home: Path) -> TrackingReport:
    run = whole_run(home)
    (run.root / "report_run").mkdir()
    settings = ReportRunSettings(
        name="demand",
        data=DataConfig(),
        forecast=ForecastConfig(),
        # MLflow is away at once, so that only the mirror is looked at.
        tracking=TrackingConfig(uri="${NO_MLFLOW}", also=("wandb",), wandb_project="mirror"),
    )
    context = StepContext(HomeLayout(home), run)
    return track_run(settings, gather_evidence(run), report=run.step(StepName.REPORT_RUN), context=context)


def _records(path: Path) -> list[Any]:
    """What the library has written: after 7 bytes a log of LevelDB, in blocks of 32 KiB, of protocol buffers."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, parts, records = path.read_bytes(), 7, b"", []
    while place < len(content):
        if (left := 32_768 - place % 32_768) < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            records.append(Record.FromString(parts))
            parts = b""
    return records


def test_offline_the_mirror_has_settings_metrics_and_losses_by_epoch_and_asks_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    told = _track(tmp_path)
    assert [problem for problem in told.problems if "wandb" in problem or "Weights" in problem] == []
    (waits,) = spooled(HomeLayout(tmp_path))
    assert list(waits.pending) == ["mlflow"]

    files = sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    runs = {found.run.job_type: records for records in map(_records, files) for found in records if found.run.run_id}
    assert {"run", "train_model", "evaluate_model"} <= set(runs)
    pipeline = next(record.run for record in runs["run"] if record.run.run_id)
    assert (pipeline.project, pipeline.display_name, pipeline.run_group) == ("mirror", "run-1", "run-1")
    assert "features.calendar_time_zone" in {item.key for item in pipeline.config.update}
    losses = [
        (record.history.step.num, float(item.value_json))
        for record in runs["train_model"]
        for item in record.history.item
        if "validation_loss" in (item.key, *item.nested_key)
    ]
    assert losses == [(1, 0.8), (2, 0.6), (3, 0.65)]
    summary = {
        (item.key or "/".join(item.nested_key)): item.value_json
        for record in runs["run"]
        for item in record.summary.update
    }
    assert float(summary["evaluate_model/candidate/mae"]) == pytest.approx(0.25)
    logged = {"/".join(item.nested_key) or item.key for record in runs["run"] for item in record.history.item}
    assert {"gates/_type", "figures/error_by_step/_type", "figures/learning_curve/_type"} <= logged
    assert any((tmp_path / "wandb").rglob("config.yaml"))

    tracked = waits.directory / "files" / "run"
    contents = {path.relative_to(tracked): path.read_bytes() for path in tracked.rglob("*") if path.is_file()}
    assert {"config.yaml", "gates.json"} <= {path.name for path in contents}
    note_sent(HomeLayout(tmp_path), waits, "mlflow", "")
    assert spooled(HomeLayout(tmp_path)) == []
    (saved,) = (tmp_path / "wandb").glob("offline-run-*/files/run")
    assert {path: (saved / path).read_bytes() for path in contents} == contents
    # The library writes a file of this name itself, which must not be the run's own.
    assert not (saved.parent / "config.yaml").exists()
    assert [path for path in (tmp_path / "wandb").glob("offline-run-*/files/**/*") if not path.exists()] == []


def test_a_damaged_bundle_keeps_no_later_one_from_the_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    damaged = tmp_path / "tracking" / "spool" / "run-0"
    damaged.mkdir(parents=True)
    (damaged / "bundle.json").write_text("{")
    (damaged / "pending.json").write_text('{"wandb": ""}')
    told = _track(tmp_path)
    assert any(problem.startswith(f"{damaged / 'bundle.json'} must describe a run") for problem in told.problems)
    assert {found.name: list(found.pending) for found in spooled(HomeLayout(tmp_path))} == {
        "run-0": ["wandb"],
        "run-1": ["mlflow"],
    }


def _waiting_again(home: Path, name: str) -> Path:
    """Another bundle that waits for the mirror, made of that of run-1."""
    place = home / "tracking" / "spool" / name
    shutil.copytree(place.with_name("run-1"), place)
    bundle = json.loads((place / "bundle.json").read_text())
    (place / "bundle.json").write_text(json.dumps({**bundle, "run": name}))
    (place / "pending.json").write_text(json.dumps({"wandb": ""}))
    return place


def test_a_file_that_is_refused_keeps_no_other_bundle_from_the_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    _track(tmp_path)
    (_waiting_again(tmp_path, "run-2") / "files" / "run" / "figures" / "error_by_step.png").write_bytes(b"no picture")
    (_waiting_again(tmp_path, "run-3") / "files" / "run" / "gates.json").write_text("[]")
    (_waiting_again(tmp_path, "run-4") / "files" / "run" / "gates.json").write_text('{"columns": []}')
    _waiting_again(tmp_path, "run-5")
    sent = upload(HomeLayout(tmp_path), budget_s=300.0).sent["wandb"]
    for name in ("run-2", "run-3", "run-4"):
        assert f"a file of {tmp_path / 'tracking' / 'spool' / name} cannot be sent" in sent[name].problem
    assert (sent["run-5"].problem, sent["run-5"].experiment) == ("", "mirror")
    assert [waits.name for waits in spooled(HomeLayout(tmp_path))] == ["run-1", "run-2", "run-3", "run-4"]


WITHOUT = """
import sys
sys.path[:] = [path for path in sys.path if "site-packages" not in path] + [sys.argv[1]]
from components.reporting.tracking.upload import require_trackers
from forecasting.config.tracking import TrackingConfig
require_trackers(TrackingConfig(also=("wandb",)))
"""


def test_without_its_package_the_setting_is_refused_before_a_run_begins(tmp_path: Path) -> None:
    """A process whose packages are all of this environment but one."""
    packages = Path(pytest.__file__).parents[1]
    for path in packages.iterdir():
        if not path.name.startswith("wandb"):
            (tmp_path / path.name).symlink_to(path)
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path)], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert "ConfigError: tracking.also names wandb, whose package must be installed, and is not; " in result.stderr
    assert "install almanac[wandb], or take wandb out of tracking.also" in result.stderr
