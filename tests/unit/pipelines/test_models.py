"""`almanac models rollback` and the aliases of a real MLflow."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from components.deployment.registry import Registry, held_versions
from forecasting.config.sections import TrackingConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.vocabulary import ModelRole
from forecasting.repository import ModelRepository
from pipelines.cli import main
from pipelines.initial.opening import PLACEHOLDER_GATES

PROBE = "import sys; from pipelines.cli import main; code = main(sys.argv[1:]); sys.exit(code or int('mlflow' in sys.modules))"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HomeLayout:
    """Two versions, the second is champion."""
    monkeypatch.setenv("ALMANAC_HOME", str(tmp_path / "home"))
    made = HomeLayout(tmp_path / "home")
    repository = ModelRepository(made.models)
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "model.tflite").write_text(str(number))
        version = repository.publish("toy", folder, {"run": f"r{number}", "digest": f"digest {number}"})
        repository.promote("toy", version)
    return made


def _register(home: HomeLayout, tracking: TrackingConfig) -> Registry:
    registry, repository = Registry("toy", tracking, home), ModelRepository(home.models)
    for spec in sorted(held_versions(repository, "toy").values(), key=lambda one: one.number):
        made = registry.register(
            spec, repository.version_dir("toy", spec.number), metrics={}, curves={}, parameters={}, files={}
        )
        repository.update_record("toy", spec.number, {"mlflow_run_id": made.run_id})
    registry.point_aliases(held_versions(repository, "toy"))
    return registry


def _aliases(uri: str) -> dict[str, str]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    numbers = {one.version: one.tags["repository_version"] for one in client.search_model_versions("name = 'toy'")}
    return {role: numbers[version] for role, version in client.get_registered_model("toy").aliases.items()}


def test_a_rollback_moves_the_aliases_of_mlflow_at_once_and_so_does_one_back(
    home: HomeLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    _register(home, TrackingConfig())
    uri = f"sqlite:///{home.tracking_database}"
    assert _aliases(uri) == {"champion": "2", "previous": "1"}
    assert main(["models", "rollback", "toy"]) == 0
    assert _aliases(uri) == {"champion": "1", "previous": "2"}
    assert main(["models", "rollback", "toy", "--json"]) == 0
    assert _aliases(uri) == {"champion": "2", "previous": "1"}
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["problem"] == ""


def test_the_tracking_server_is_that_of_the_run_that_made_the_version(home: HomeLayout, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    _register(home, TrackingConfig(uri=uri))
    run = home.run("r1")
    run.root.mkdir(parents=True)
    run.config.write_text(json.dumps({"name": "toy", "tracking": {"uri": uri}, "gates": PLACEHOLDER_GATES}))
    assert main(["models", "rollback", "toy"]) == 0
    assert _aliases(uri) == {"champion": "1", "previous": "2"}
    assert not home.tracking_database.exists()


def test_a_rollback_holds_where_mlflow_cannot_be_told_and_says_so(
    home: HomeLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _register(home, TrackingConfig(uri=f"sqlite:///{tmp_path / 'elsewhere.db'}"))
    assert main(["models", "rollback", "toy"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "version 1 of toy is champion again\n"
    assert "MLflow's aliases are as they were" in shown.err
    assert "names the tracking server, is gone; the next run sets them" in shown.err
    assert ModelRepository(home.models).role("toy", ModelRole.CHAMPION) == 1


@pytest.mark.parametrize("words", [("models", "list"), ("models", "show", "toy"), ("models", "rollback", "toy")])
def test_no_command_loads_mlflow_for_a_model_that_it_does_not_know(home: HomeLayout, words: tuple[str, ...]) -> None:
    assert subprocess.run([sys.executable, "-c", PROBE, *words], capture_output=True, check=False).returncode == 0
