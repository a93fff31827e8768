"""`almanac models`: who is champion, who changed it and why, and the aliases of a real MLflow."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.reporting.tracking.spool import registries, remember_registry
from components.reporting.tracking.upload import set_aliases
from forecasting.config.tracking import TrackingConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.vocabulary import ModelRole
from forecasting.file_locks import exclusive_lock
from forecasting.repository import ModelRepository
from pipelines.cli import main

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


def _register(home: HomeLayout, tracking: TrackingConfig) -> None:
    """Both versions in MLflow, as runs leave them there."""
    from mlflow.tracking import MlflowClient

    uri, repository = tracking.uri or f"sqlite:///{home.tracking_database}", ModelRepository(home.models)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.create_registered_model("toy")
    for number in (1, 2):
        tags = {"repository_version": str(number), "repository_digest": f"digest {number}"}
        client.create_model_version("toy", source=repository.version_dir("toy", number).as_uri(), tags=tags)
    remember_registry(home, "toy", tracking)
    assert set_aliases(home, "toy") == ""


def _aliases(uri: str) -> dict[str, str]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    numbers = {one.version: one.tags["repository_version"] for one in client.search_model_versions("name = 'toy'")}
    return {role: numbers[version] for role, version in client.get_registered_model("toy").aliases.items()}


def test_a_rollback_while_an_upload_is_going_says_that_the_aliases_are_as_they_were(
    home: HomeLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    remember_registry(home, "toy", TrackingConfig())
    with exclusive_lock(home.root / "tracking" / ".lock", "taken"):
        assert main(["models", "rollback", "toy", "--json"]) == 0
        assert main(["models", "rollback", "toy"]) == 0
    out, err = capsys.readouterr()
    problem = json.loads(out.splitlines()[0])["problem"]
    assert problem.startswith("an upload to trackers is going already (process ")
    assert f"MLflow's aliases are as they were: {problem}; the next run sets them, or" in err
    assert registries(home)["toy"].waits


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


def test_the_tracking_server_is_that_where_the_versions_were_registered(home: HomeLayout, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    _register(home, TrackingConfig(uri=uri))
    assert main(["models", "rollback", "toy"]) == 0
    assert _aliases(uri) == {"champion": "1", "previous": "2"}
    assert not home.tracking_database.exists()


def test_a_rollback_holds_where_mlflow_is_down_and_the_aliases_follow_with_the_next_upload(
    home: HomeLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    _register(home, TrackingConfig())
    nowhere = TrackingConfig(uri="http://127.0.0.1:9", max_retries=0)
    remember_registry(home, "toy", nowhere)
    assert main(["models", "rollback", "toy"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "version 1 of toy is champion again\n"
    assert "MLflow's aliases are as they were: MLflow at http://127.0.0.1:9 failed" in shown.err
    assert "the next run sets them, or `almanac track upload`" in shown.err
    assert ModelRepository(home.models).role("toy", ModelRole.CHAMPION) == 1
    assert main(["track", "list"]) == 0
    assert "aliases of toy  mlflow" in capsys.readouterr().out

    path = home.root / "tracking" / "registries" / "toy.json"
    path.write_text(path.read_text().replace('"http://127.0.0.1:9"', "null"))
    assert main(["track", "upload"]) == 0
    assert _aliases(f"sqlite:///{home.tracking_database}") == {"champion": "1", "previous": "2"}
    assert main(["track", "list"]) == 0
    assert capsys.readouterr().err == "nothing waits to be sent\n"


def _waiting(home: HomeLayout, tmp_path: Path, *, cutoff: int = 300) -> ModelRepository:
    """Version 3 is candidate and waits for approval; the champion, version 2, has the cutoff 200."""
    repository = ModelRepository(home.models)
    repository.update_record("toy", 2, {"cutoff": 200})
    folder = tmp_path / "third"
    folder.mkdir()
    (folder / "model.tflite").write_text("3")
    version = repository.publish(
        "toy", folder, {"run": "r3", "cutoff": cutoff, "approval": "deploy.approval is manual"}
    )
    repository.set_candidate("toy", version)
    return repository


def test_approval_makes_the_candidate_champion_and_says_who_when_and_why(
    home: HomeLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALMANAC_ACTOR", "ada@desk")
    repository = _waiting(home, tmp_path)
    assert main(["models", "show", "toy"]) == 0
    assert "deploy.approval is manual" in capsys.readouterr().out.splitlines()[1]
    assert main(["models", "approve", "toy", "--reason", "looked at the holidays"]) == 0
    assert capsys.readouterr().out == "version 3 of toy is approved and champion\n"
    assert repository.roles("toy").champion == 3
    assert repository.roles("toy").previous == 2
    assert repository.roles("toy").candidate is None
    last = repository.audit("toy")[-1]
    assert (last.who, last.action, last.version, last.reason) == ("ada@desk", "approve", 3, "looked at the holidays")
    assert (last.champion, last.previous) == (3, 2)
    assert last.time == pytest.approx(time.time(), abs=60)
    assert main(["models", "show", "toy", "--audit"]) == 0
    assert "looked at the holidays" in capsys.readouterr().out.splitlines()[-1]
    assert main(["models", "approve", "toy"]) == 2
    assert "no version does" in capsys.readouterr().err


def test_approval_of_another_version_than_the_one_that_waits_is_an_error(
    home: HomeLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _waiting(home, tmp_path)
    assert main(["models", "approve", "toy", "--version", "1"]) == 2
    assert "version 1 of 'toy' must wait for approval to be approved, version 3 does" in capsys.readouterr().err


def test_approval_of_a_candidate_that_waits_for_nobody_is_an_error(
    home: HomeLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = _waiting(home, tmp_path)
    repository.update_record("toy", 3, {"approval": ""})
    assert main(["models", "approve", "toy"]) == 2
    assert "a version of 'toy' must wait for approval to be approved, no version does" in capsys.readouterr().err
    assert repository.role("toy", ModelRole.CHAMPION) == 2


def test_approval_of_a_version_for_an_earlier_cutoff_than_the_champions_is_refused(
    home: HomeLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = _waiting(home, tmp_path, cutoff=100)
    assert main(["models", "approve", "toy"]) == 4
    shown = capsys.readouterr().err
    assert "version 3 of 'toy' was not approved: its cutoff, 1970-01-01 00:01 UTC, lies before" in shown
    assert "models promote toy 3 --force --reason WHY` does it" in shown
    assert (repository.roles("toy").champion, repository.roles("toy").candidate) == (2, 3)


def test_a_version_whose_place_another_candidate_took_waits_no_more_and_needs_force(
    home: HomeLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = _waiting(home, tmp_path)
    repository.set_candidate("toy", repository.publish("toy", tmp_path / "third", {"run": "r4"}))
    assert main(["models", "show", "toy"]) == 0
    assert "deploy.approval is manual" not in capsys.readouterr().out
    assert main(["models", "promote", "toy", "3"]) == 4
    assert "nobody approved it (deploy.approval is manual) before another version took its place" in (
        capsys.readouterr().err
    )


def test_a_rejected_candidate_is_served_no_more_and_the_log_says_who_and_why(
    home: HomeLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALMANAC_ACTOR", "ada@desk")
    repository = _waiting(home, tmp_path)
    assert main(["models", "reject", "toy", "3", "--reason", "too low at Christmas"]) == 0
    assert capsys.readouterr().out == "version 3 of toy is rejected; the champion is untouched\n"
    assert (repository.roles("toy").champion, repository.roles("toy").candidate) == (2, None)
    assert "toy-candidate" not in repository.server_config.read_text()
    last = repository.audit("toy")[-1]
    assert (last.who, last.action, last.version, last.reason) == ("ada@desk", "reject", 3, "too low at Christmas")


def test_what_was_rejected_is_neither_approved_nor_rejected_again_and_promoted_by_force_alone(
    home: HomeLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = _waiting(home, tmp_path)
    main(["models", "reject", "toy", "3", "--reason", "too low at Christmas"])
    for words in (["approve", "toy"], ["reject", "toy", "3", "--reason", "again"]):
        assert main(["models", *words]) == 2
    assert "version 3 of 'toy' must wait for approval to be rejected, no version does" in capsys.readouterr().err
    assert main(["models", "promote", "toy", "3"]) == 4
    assert "it was rejected (too low at Christmas); --force --reason WHY does it" in capsys.readouterr().err
    assert main(["models", "promote", "toy", "3", "--force", "--reason", "it was right"]) == 0
    assert repository.record("toy", 3)["rejected"] == ""
    assert main(["models", "promote", "toy", "2"]) == 4
    assert main(["models", "promote", "toy", "3"]) == 0


def test_a_rejection_without_a_reason_or_of_the_champion_is_an_error(
    home: HomeLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = _waiting(home, tmp_path)
    assert main(["models", "reject", "toy", "3"]) == 2
    assert "must come with --reason" in capsys.readouterr().err
    assert main(["models", "reject", "toy", "2", "--reason", "x"]) == 2
    assert "version 2 of 'toy' must wait for approval to be rejected, version 3 does" in capsys.readouterr().err
    assert (repository.roles("toy").champion, repository.roles("toy").candidate) == (2, 3)


def test_promotion_of_what_waits_for_approval_needs_force_and_a_reason(
    home: HomeLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = _waiting(home, tmp_path)
    assert main(["models", "promote", "toy", "3"]) == 4
    assert "it waits for approval (deploy.approval is manual)" in capsys.readouterr().err
    assert main(["models", "promote", "toy", "3", "--force"]) == 2
    assert "--force must come with --reason" in capsys.readouterr().err
    assert repository.role("toy", ModelRole.CHAMPION) == 2
    assert main(["models", "promote", "toy", "3", "--force", "--reason", "the old one is broken"]) == 0
    assert repository.role("toy", ModelRole.CHAMPION) == 3
    assert repository.audit("toy")[-1].reason == "the old one is broken"


def test_promotion_of_a_version_for_an_earlier_cutoff_needs_force(
    home: HomeLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = ModelRepository(home.models)
    repository.update_record("toy", 1, {"cutoff": 100})
    repository.update_record("toy", 2, {"cutoff": 200})
    assert main(["models", "promote", "toy", "1"]) == 4
    shown = capsys.readouterr().err
    assert "its cutoff, 1970-01-01 00:01 UTC, lies before that of the champion, 1970-01-01 00:03 UTC" in shown
    repository.update_record("toy", 1, {"cutoff": 200})
    assert main(["models", "promote", "toy", "1"]) == 0
    assert repository.role("toy", ModelRole.CHAMPION) == 1


def test_promotion_of_a_version_that_is_not_there_names_those_that_are(
    home: HomeLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "promote", "toy", "9"]) == 2
    assert "model 'toy' must have version 9, it has 1, 2" in capsys.readouterr().err


def test_a_rollback_is_in_the_audit_log_with_its_reason(home: HomeLayout) -> None:
    assert main(["models", "rollback", "toy", "--reason", "bad nights"]) == 0
    last = ModelRepository(home.models).audit("toy")[-1]
    assert (last.action, last.version, last.champion, last.reason) == ("rollback", 1, 1, "bad nights")


@pytest.mark.parametrize("words", [("models", "list"), ("models", "show", "toy"), ("models", "rollback", "toy")])
def test_no_command_loads_mlflow_for_a_model_that_it_does_not_know(home: HomeLayout, words: tuple[str, ...]) -> None:
    assert subprocess.run([sys.executable, "-c", PROBE, *words], capture_output=True, check=False).returncode == 0
