"""A model repository by way of an object store: what arrives, in which order, and what is refused."""

import json

import pytest

from forecasting.errors import ArtifactError, ConfigError, RemoteError
from forecasting.repository import ModelRepository
from serving.model_sync.__main__ import build_parser, main
from serving.model_sync.object_store import open_object_store
from serving.model_sync.pull import PulledModel, pull_model
from serving.model_sync.push import PushedModel, push_model
from serving.model_sync.sync_manifest import manifest_key, parse_sync_manifest, roles_key, version_key
from tests.unit.serving.model_sync.repositories import MODEL, is_whole, publish, series_store, served


@pytest.fixture
def source(tmp_path):
    repository = ModelRepository(tmp_path / "source")
    publish(repository, tmp_path, "one")
    return repository


def test_what_is_pulled_is_what_was_pushed_with_roles_record_series_and_pins(source, store, pulled):
    assert push_model(source, store, MODEL) == [1]
    assert pull_model(store, pulled, MODEL) == [1]
    assert served(pulled) == served(source)
    assert pulled.roles(MODEL) == source.roles(MODEL)
    assert pulled.record(MODEL, 1) == source.record(MODEL, 1)
    assert is_whole(pulled, source)
    assert f'base_path: "{pulled.root / MODEL}"' in pulled.server_config.read_text()


def test_a_second_round_moves_nothing(source, store, pulled):
    push_model(source, store, MODEL)
    pulling = PulledModel(store, pulled, MODEL)
    assert pulling.pull() == [1]
    before = pulled.server_config.stat().st_mtime_ns
    assert push_model(source, store, MODEL) == []
    assert pulling.pull() == []
    assert pulled.server_config.stat().st_mtime_ns == before


def test_a_promotion_and_a_rollback_arrive(source, store, pulled, tmp_path):
    push_model(source, store, MODEL)
    pull_model(store, pulled, MODEL)
    publish(source, tmp_path, "two")
    assert push_model(source, store, MODEL) == [2]
    assert pull_model(store, pulled, MODEL) == [2]
    assert pulled.roles(MODEL).champion == 2
    source.rollback(MODEL)
    assert push_model(source, store, MODEL) == []
    pull_model(store, pulled, MODEL)
    assert pulled.roles(MODEL).champion == 1
    assert "versions: 1" in pulled.server_config.read_text()


def test_nothing_is_pulled_before_the_roles_are_there(store, pulled):
    assert pull_model(store, pulled, MODEL) == []
    assert not pulled.server_config.exists()


def test_a_version_without_its_manifest_is_not_there(source, store, pulled):
    push_model(source, store, MODEL)
    store.delete(manifest_key(MODEL, 1))
    with pytest.raises(ArtifactError, match="must be there"):
        pull_model(store, pulled, MODEL)
    assert pulled.versions(MODEL) == []
    assert not pulled.server_config.exists()


def test_a_file_that_differs_from_its_digest_is_refused_and_what_is_served_stays(source, store, pulled, tmp_path):
    push_model(source, store, MODEL)
    pull_model(store, pulled, MODEL)
    publish(source, tmp_path, "two")
    push_model(source, store, MODEL)
    good = store.read(f"{version_key(MODEL, 2)}/model.tflite")
    store.write(f"{version_key(MODEL, 2)}/model.tflite", b"another model")
    with pytest.raises(ArtifactError, match="SHA-256"):
        pull_model(store, pulled, MODEL)
    assert pulled.versions(MODEL) == [1]
    assert pulled.roles(MODEL).champion == 1
    store.write(f"{version_key(MODEL, 2)}/model.tflite", good)
    assert pull_model(store, pulled, MODEL) == [2]
    assert is_whole(pulled, source)


def test_a_file_that_is_not_there_is_told_and_nothing_shows(source, store, pulled):
    push_model(source, store, MODEL)
    store.delete(f"{version_key(MODEL, 1)}/saved_model.pb")
    with pytest.raises(RemoteError):
        pull_model(store, pulled, MODEL)
    assert pulled.versions(MODEL) == []


def test_a_version_that_is_pruned_leaves_the_store_manifest_first(source, store, tmp_path):
    push_model(source, store, MODEL)
    publish(source, tmp_path, "two")
    publish(source, tmp_path, "three")
    push_model(source, store, MODEL)
    assert source.prune(MODEL, 1) == [1]
    push_model(source, store, MODEL)
    assert store.read(manifest_key(MODEL, 1)) is None
    assert store.names(f"{MODEL}/versions") == ["2", "3"]


@pytest.mark.parametrize("path", ["../outside", "/absolute", "a/../../b", "a/./b", ""])
def test_a_manifest_cannot_name_a_file_beside_its_version(path):
    text = json.dumps({"version": 1, "files": {path: "0" * 64}, "series": None, "series_files": {}, "record": {}})
    with pytest.raises(ArtifactError, match="below its version"):
        parse_sync_manifest(text.encode(), place="here")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 1, "files": {}}'])
def test_a_manifest_that_is_cut_off_or_empty_is_none(content):
    with pytest.raises(ArtifactError, match="here"):
        parse_sync_manifest(content, place="here")


def test_series_that_do_not_match_their_digest_are_refused(source, store):
    push_model(source, store, MODEL)
    found = json.loads(store.read(manifest_key(MODEL, 1)))
    found["series_files"]["added"] = "0" * 64
    with pytest.raises(ArtifactError, match="series"):
        parse_sync_manifest(json.dumps(found).encode(), place="here")


def test_what_did_not_change_is_not_read_again(source, store):
    pushed = PushedModel(source, store, MODEL)
    assert pushed.push() == [1]
    record = source.record_file(MODEL, 1)
    before = store.read(manifest_key(MODEL, 1))
    source.version_dir(MODEL, 1).joinpath("saved_model.pb").write_text("never read", encoding="utf-8")
    assert pushed.push() == []
    assert store.read(manifest_key(MODEL, 1)) == before
    assert record.is_file()


def test_what_a_record_remembers_anew_is_put(source, store, pulled):
    pushed = PushedModel(source, store, MODEL)
    pushed.push()
    source.update_record(MODEL, 1, {"approval": "asked for"})
    assert pushed.push() == [1]
    pull_model(store, pulled, MODEL)
    assert pulled.record(MODEL, 1)["approval"] == "asked for"


@pytest.mark.parametrize("lost", [roles_key(MODEL), manifest_key(MODEL, 1)])
def test_what_the_store_lost_is_put_again(source, store, pulled, lost):
    pushed = PushedModel(source, store, MODEL)
    pushed.push()
    store.delete(lost)
    pushed.push()
    assert pull_model(store, pulled, MODEL) == [1]
    assert is_whole(pulled, source)


def test_a_store_that_was_emptied_is_filled_again(source, store, pulled):
    pushed = PushedModel(source, store, MODEL)
    pushed.push()
    store.delete(MODEL, is_folder=True)
    assert pushed.push() == [1]
    assert pull_model(store, pulled, MODEL) == [1]
    assert is_whole(pulled, source)


def test_roles_that_somebody_else_put_are_put_right(source, store):
    pushed = PushedModel(source, store, MODEL)
    pushed.push()
    right = store.read(roles_key(MODEL))
    store.write(roles_key(MODEL), b'{"champion": 7}')
    assert pushed.push() == []
    assert store.read(roles_key(MODEL)) == right


def test_series_that_no_version_names_any_more_leave_the_store(source, store, pulled, tmp_path):
    push_model(source, store, MODEL)
    publish(source, tmp_path, "two")
    publish(source, tmp_path, "three")
    push_model(source, store, MODEL)
    source.prune(MODEL, 1)
    push_model(source, store, MODEL)
    left = {source.series_dir(MODEL, 2).name, source.series_dir(MODEL, 3).name}
    assert set(store.names(f"{MODEL}/series")) == left
    assert pull_model(store, pulled, MODEL) == [3, 2]
    assert is_whole(pulled, source)


def test_series_that_a_version_is_served_with_no_more_leave_the_store(source, store, tmp_path):
    push_model(source, store, MODEL)
    first = source.series_dir(MODEL, 1).name
    source.keep_series(MODEL, 1, series_store(tmp_path / "newer", "newer"))
    push_model(source, store, MODEL)
    assert store.names(f"{MODEL}/series") == [source.series_dir(MODEL, 1).name]
    assert first != source.series_dir(MODEL, 1).name


def test_series_that_two_versions_share_stay_until_the_last_one_goes(source, store, tmp_path):
    push_model(source, store, MODEL)
    shared = source.series_dir(MODEL, 1).name
    publish(source, tmp_path, "two")
    third = publish(source, tmp_path, "three")
    source.update_record(MODEL, third, {"series": shared})
    push_model(source, store, MODEL)
    source.prune(MODEL, 1)
    push_model(source, store, MODEL)
    assert shared in store.names(f"{MODEL}/series")


@pytest.mark.parametrize("name", ["index.parquet", "*"])
def test_series_that_are_damaged_here_are_not_put(source, store, name):
    for path in source.series_dir(MODEL, 1).glob(name):
        path.unlink()
    with pytest.raises(ArtifactError, match="its name is the digest of"):
        push_model(source, store, MODEL)
    assert store.names(MODEL) == []


def test_the_command_moves_a_model_once_and_says_what_is_wrong(source, tmp_path, capsys):
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    words = ["--model", MODEL, "--store", bucket.as_uri(), "--once", "--models-dir"]
    assert main(["push", *words, str(source.root)]) == 0
    assert main(["pull", *words, str(tmp_path / "pulled")]) == 0
    assert is_whole(ModelRepository(tmp_path / "pulled"), source)
    (bucket / manifest_key(MODEL, 1)).unlink()
    assert main(["pull", *words, str(tmp_path / "again")]) == 1
    assert "manifests/1.json must be there" in capsys.readouterr().err
    assert build_parser().parse_args(["pull", *words, "x"]).every_s == 10


def test_an_address_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="s3://BUCKET/PREFIX"):
        open_object_store("nowhere:///x")
