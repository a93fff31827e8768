import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ArtifactError, ConfigError
from forecasting.quarantine import read_quarantine
from forecasting.repository import ModelRepository
from forecasting.roles import RolesRecord
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.wire.messages import ModelServerConfig
from tests.unit.forecasting.series_stores import write_series_store


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"weights")
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    return ModelRepository(tmp_path / "models")


def _pins(repository: ModelRepository) -> dict[str, list[int]]:
    message = text_format.Parse(repository.server_config.read_text(), ModelServerConfig())
    return {
        entry.name: list(entry.model_version_policy.specific.versions) for entry in message.model_config_list.config
    }


def test_a_published_version_is_a_whole_copy_with_the_next_number(repository, source):
    assert [repository.publish("m", source), repository.publish("m", source)] == [1, 2]
    assert (repository.version_dir("m", 2) / "variables" / "variables.index").read_bytes() == b"weights"
    assert repository.versions("m") == [1, 2]
    assert repository.roles("m").champion is None


def test_a_number_is_never_used_again_even_when_its_version_was_deleted(repository, source):
    for _ in range(3):
        repository.publish("m", source)
    assert repository.prune("m", keep=1) == [1, 2]
    repository.version_dir("m", 3).rename(repository.root / "gone")
    assert repository.publish("m", source) == 4


def test_champion_and_candidate_are_two_pinned_names_over_one_folder(repository, source):
    first, second = repository.publish("m", source), repository.publish("m", source)
    repository.promote("m", first)
    repository.set_candidate("m", second)
    assert _pins(repository) == {"m": [1], "m-candidate": [2]}
    message = text_format.Parse(repository.server_config.read_text(), ModelServerConfig())
    assert {entry.base_path for entry in message.model_config_list.config} == {str(repository.root / "m")}


def test_promotion_keeps_the_old_champion_as_previous_and_rollback_swaps_them(repository, source):
    first, second = repository.publish("m", source), repository.publish("m", source)
    repository.promote("m", first)
    repository.set_candidate("m", second)
    repository.promote("m", second)
    assert (repository.role("m", ModelRole.CHAMPION), repository.role("m", ModelRole.PREVIOUS)) == (2, 1)
    assert _pins(repository) == {"m": [2]}
    assert repository.rollback("m") == 1
    assert (repository.role("m", ModelRole.CHAMPION), repository.role("m", ModelRole.PREVIOUS)) == (1, 2)
    assert _pins(repository) == {"m": [1]}


def test_promoting_the_champion_again_does_not_lose_previous(repository, source):
    for _ in range(2):
        repository.promote("m", repository.publish("m", source))
    repository.promote("m", 2)
    assert repository.roles("m").previous == 1


def _held(repository: ModelRepository) -> tuple[int | None, int | None, int | None]:
    roles = repository.roles("m")
    return roles.champion, roles.candidate, roles.previous


def test_changes_that_nobody_touched_are_undone_to_the_last(repository, source):
    for _ in range(4):
        repository.publish("m", source)
    repository.promote("m", 1)
    repository.promote("m", 2)
    repository.set_candidate("m", 3)
    changes = [repository.set_candidate("m", 4), repository.promote("m", 4)]
    assert _held(repository) == (4, None, 2)
    repository.undo("m", changes)
    assert _held(repository) == (2, 3, 1)
    assert _pins(repository) == {"m": [2], "m-candidate": [3]}


def test_a_rollback_since_then_is_not_undone_with_the_candidate(repository, source):
    for _ in range(3):
        repository.publish("m", source)
    repository.promote("m", 1)
    repository.promote("m", 2)
    changes = [repository.set_candidate("m", 3)]
    repository.rollback("m")
    repository.undo("m", changes)
    assert _held(repository) == (1, None, 2)


def test_a_candidate_that_a_person_made_champion_since_then_stays_champion(repository, source):
    for _ in range(2):
        repository.publish("m", source)
    repository.promote("m", 1)
    changes = [repository.set_candidate("m", 2)]
    repository.promote("m", 2)
    repository.undo("m", changes)
    assert _held(repository) == (2, None, 1)


def test_a_promotion_that_a_person_rolled_back_since_then_stays_rolled_back(repository, source):
    for _ in range(2):
        repository.publish("m", source)
    repository.promote("m", 1)
    changes = [repository.set_candidate("m", 2), repository.promote("m", 2)]
    repository.rollback("m")
    repository.undo("m", changes)
    assert _held(repository) == (1, None, 2)


def test_a_refused_check_changes_no_role_and_a_champion_waits_for_nobody(repository, source):
    repository.publish("m", source, {"approval": "a person must look"})

    def refuse(_roles: RolesRecord) -> None:
        raise ConfigError("no")

    with pytest.raises(ConfigError, match="no"):
        repository.promote("m", 1, check=refuse)
    assert _held(repository) == (None, None, None)
    assert repository.record("m", 1)["approval"] == "a person must look"
    repository.promote("m", 1)
    assert repository.record("m", 1)["approval"] == ""


def test_a_rollback_without_previous_is_refused(repository, source):
    repository.promote("m", repository.publish("m", source))
    with pytest.raises(ConfigError, match="no previous version"):
        repository.rollback("m")


def test_a_version_that_does_not_exist_gets_no_role(repository, source):
    repository.publish("m", source)
    with pytest.raises(ArtifactError, match=r"must have version 9, found \[1\]"):
        repository.set_candidate("m", 9)


def test_pruning_never_deletes_a_version_with_a_role(repository, source):
    for _ in range(6):
        repository.publish("m", source)
    repository.promote("m", 1)
    repository.promote("m", 2)
    repository.set_candidate("m", 3)
    assert repository.prune("m", keep=1) == [4, 5]
    assert repository.versions("m") == [1, 2, 3, 6]


def test_a_pin_that_a_crash_left_behind_its_role_is_repaired_at_the_next_start(repository, source):
    repository.promote("m", repository.publish("m", source))
    second = repository.publish("m", source)
    stale = repository.server_config.read_text()
    repository.promote("m", second)
    repository.server_config.write_text(stale)
    repository.write_server_config()
    assert _pins(repository) == {"m": [2]}


def test_pruning_clears_what_a_killed_publication_left_a_day_ago(repository, source):
    repository.publish("m", source)
    old, young = repository.root / "m" / ".incoming-old", repository.root / "m" / ".incoming-young"
    old.mkdir()
    young.mkdir()
    os.utime(old, (0, 0))
    repository.prune("m", keep=2)
    assert (old.exists(), young.exists()) == (False, True)


@pytest.fixture
def series_store(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "r1" / "validate_data"
    folder.mkdir(parents=True)
    for name in ("schema.json", "index.parquet", "series.parquet", "profile.json"):
        (folder / name).write_text(name)
    return folder


def test_a_versions_series_outlive_their_run_and_a_move_of_the_home(repository, source, series_store, tmp_path):
    repository.promote("m", repository.publish("m", source, {"run": "r1"}))
    repository.keep_series("m", 1, series_store)
    shutil.rmtree(tmp_path / "runs")
    moved = ModelRepository(repository.root.rename(tmp_path / "elsewhere"))
    folder = moved.require_series("m", 1)
    assert sorted(path.name for path in folder.iterdir()) == ["index.parquet", "schema.json", "series.parquet"]
    assert (folder / "series.parquet").read_text() == "series.parquet"
    assert moved.record("m", 1)["run"] == "r1"


def test_the_quarantine_is_kept_with_its_reasons_and_makes_another_store(repository, source, tmp_path):
    split = SplitSpec(10, 20, 30)
    spec = SeriesSpec("load", (), (), (), {}, 1, split)
    folder = tmp_path / "store"
    (folder / "quarantine").mkdir(parents=True)
    write_series_store(SeriesStore(spec, (Series("a", 0, np.ones((30, 1))),)), folder)
    repository.publish("m", source)
    shutil.move(folder / "quarantine", tmp_path / "apart")
    repository.keep_series("m", 1, folder)
    plain = repository.require_series("m", 1)
    shutil.move(tmp_path / "apart", folder / "quarantine")
    write_series_store(SeriesStore(spec, (Series("b", 0, np.full((30, 1), 7.0)),)), folder / "quarantine")
    with pytest.raises(ArtifactError, match=r"report\.json must say why each series is in quarantine"):
        repository.keep_series("m", 1, folder)
    other = {"series": "gone", "rules": [], "reason": "of no store"}
    (folder / "report.json").write_text(json.dumps({"quarantined": [other]}))
    with pytest.raises(ArtifactError, match="found nothing of 'b'"):
        repository.keep_series("m", 1, folder)
    record = {"series": "b", "rules": ["constant"], "reason": "it never changes"}
    (folder / "report.json").write_text(json.dumps({"quarantined": [other, record]}))
    repository.keep_series("m", 1, folder)
    kept = repository.require_series("m", 1)
    assert kept != plain
    shutil.rmtree(folder)
    (found,) = read_quarantine(kept)
    assert (found.series.id, found.reason) == ("b", "it never changes")
    np.testing.assert_array_equal(found.series.values, np.full((30, 1), 7.0))
    assert read_quarantine(plain) == ()


def test_vintages_are_kept_with_the_series(repository, source, series_store):
    (series_store / "vintages.parquet").write_text("issued")
    repository.publish("m", source)
    repository.keep_series("m", 1, series_store)
    folder = repository.require_series("m", 1)
    assert (folder / "vintages.parquet").read_text() == "issued"
    (series_store / "vintages.parquet").unlink()
    (series_store / "vintages.parquet").write_text("issued again")
    repository.keep_series("m", 1, series_store)
    assert repository.require_series("m", 1) != folder


def test_equal_series_are_kept_once_and_pruned_with_their_last_version(repository, source, series_store):
    for version in (1, 2, 3):
        repository.publish("m", source)
        if version == 3:
            (series_store / "series.parquet").unlink()
            (series_store / "series.parquet").write_text("more rows")
        repository.keep_series("m", version, series_store)
    assert repository.series_dir("m", 1) == repository.series_dir("m", 2)
    old, new = repository.require_series("m", 2), repository.require_series("m", 3)
    assert repository.prune("m", keep=2) == [1]
    assert old.is_dir()
    assert repository.prune("m", keep=1) == [2]
    assert (old.exists(), new.is_dir()) == (False, True)


def test_series_that_are_gone_are_named_with_the_way_back(repository, source, series_store):
    repository.publish("m", source)
    with pytest.raises(ConfigError, match="found none; `almanac run -c FILE --force deploy_model` puts it back"):
        repository.require_series("m", 1)
    repository.keep_series("m", 1, series_store)
    shutil.rmtree(repository.require_series("m", 1))
    with pytest.raises(ConfigError, match=r"version 1 of 'm' must have its series store"):
        repository.require_series("m", 1)


def test_a_series_store_without_its_table_is_refused(repository, source, series_store):
    repository.publish("m", source)
    (series_store / "series.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"must have series\.parquet"):
        repository.keep_series("m", 1, series_store)


def test_the_configuration_holds_every_model_of_the_folder(repository, source):
    for name in ("a", "b"):
        repository.promote(name, repository.publish(name, source))
    assert _pins(repository) == {"a": [1], "b": [1]}


def test_an_empty_source_is_refused_and_leaves_nothing(repository, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match="directory with files"):
        repository.publish("m", tmp_path / "empty")
    assert repository.versions("m") == []


def _publish_five(root: Path, source: Path) -> list[int]:
    return [ModelRepository(root).publish("m", source) for _ in range(5)]


def test_two_processes_that_publish_at_once_never_get_the_same_number(repository, source):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        answers = pool.starmap(_publish_five, [(repository.root, source)] * 2)
    assert sorted(answers[0] + answers[1]) == list(range(1, 11))
    assert repository.versions("m") == list(range(1, 11))


def test_a_publication_that_is_killed_never_shows_half_a_version(repository, source):
    for index in range(30):
        (source / f"part-{index:03d}").write_bytes(os.urandom(2000))
    program = (
        "import sys; from pathlib import Path; from forecasting.repository import ModelRepository\n"
        "r = ModelRepository(Path(sys.argv[1])); print('go', flush=True)\n"
        "while True: r.publish('m', Path(sys.argv[2]))"
    )
    repository.publish("m", source)
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(repository.root), str(source)], stdout=subprocess.PIPE
        )
        process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.send_signal(signal.SIGKILL)
        process.wait()
    versions = repository.versions("m")
    assert {len(list(repository.version_dir("m", version).rglob("*"))) for version in versions} == {34}
    assert repository.publish("m", source) > versions[-1]
