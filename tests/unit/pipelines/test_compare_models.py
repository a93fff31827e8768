"""`almanac models compare`: two versions on the steps that both forecast."""

import json
from pathlib import Path

import pytest

from components.evaluation.champion import Champion
from components.evaluation.evaluate_model import ChampionSource
from forecasting.contracts.artifacts import EXPORTED_SPEC_FILE
from forecasting.contracts.layout import HomeLayout
from forecasting.features.spec import write_feature_spec
from forecasting.repository import ModelRepository
from forecasting.runs import RunRecord, create_run
from pipelines.cli import main
from tests.unit.backtest.tables import KnownColumnPredictor
from tests.unit.reporting.runs import SPEC, add_evaluation, add_training, add_validation


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HomeLayout:
    monkeypatch.setenv("ALMANAC_HOME", str(tmp_path / "home"))
    return HomeLayout(tmp_path / "home")


def add_version(home: HomeLayout, run: str, offset: float, *, champion: ChampionSource | None = None) -> None:
    """A run whose model is off by `offset` everywhere, and the version it made."""
    layout = create_run(home, RunRecord(run, "demand", 1.0, None, "digest"))
    add_validation(layout)
    add_training(layout)
    add_evaluation(layout, offset=offset, champion=champion)
    folder = home.root / f"version of {run}"
    write_feature_spec(SPEC, folder / EXPORTED_SPEC_FILE)
    (folder / "saved_model.pb").write_bytes(b"x" * 1_000)
    repository = ModelRepository(home.models)
    record = {"run": run, "variant": "saved_model", "cutoff": 1_209_600}
    repository.promote("demand", repository.publish("demand", folder, record))


def test_versions_are_compared_on_the_steps_that_both_runs_scored(
    home: HomeLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    add_version(home, "r1", 0.4)
    add_version(home, "r2", 0.2)
    assert main(["models", "compare", "demand", "1", "2"]) == 0
    shown = capsys.readouterr().out
    assert "on 72 common steps from 3 origins the error of version 2 is 50.0 % of that of version 1" in shown
    assert "too few origins to test whether it is luck" in shown
    rows = {line[:30].strip(): line[30:].split() for line in shown.splitlines() if line.startswith("mae")}
    assert rows["mae on common steps"] == ["0.4000", "0.2000"]
    assert rows["mae on its own test period"] == ["0.4000", "0.2000"]


def test_a_version_that_was_scored_as_champion_of_the_other_is_compared_as_it_was_then(
    home: HomeLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    add_version(home, "r1", 0.4)
    rescored = ChampionSource(1, Champion(1, KnownColumnPredictor(offset=0.44), SPEC))
    add_version(home, "r2", 0.2, champion=rescored)
    assert main(["models", "compare", "demand", "2", "1", "--json"]) == 0
    common = json.loads(capsys.readouterr().out)["common"]
    assert common["mae"] == pytest.approx([0.2, 0.44], rel=1e-3)
    assert common["ratio"] == pytest.approx(2.2, rel=1e-3)
    assert common["p_value"] is None


def test_versions_whose_runs_are_gone_cannot_be_compared_and_it_says_why(
    home: HomeLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = ModelRepository(home.models)
    folder = home.root / "version"
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"x")
    for _ in range(2):
        repository.promote("demand", repository.publish("demand", folder, {"run": "gone", "variant": "saved_model"}))
    assert main(["models", "compare", "demand", "1", "2"]) == 0
    assert "no step is kept that both have forecast" in capsys.readouterr().out


def test_a_version_that_is_not_there_is_an_error(home: HomeLayout, capsys: pytest.CaptureFixture[str]) -> None:
    add_version(home, "r1", 0.4)
    assert main(["models", "compare", "demand", "1", "5"]) == 2
    assert "model 'demand' must have version 5, it has 1" in capsys.readouterr().err
