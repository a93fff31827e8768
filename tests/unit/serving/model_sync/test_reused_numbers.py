"""Two homes that gave one number to different models: neither side may mix them."""

import pytest

from forecasting.errors import ArtifactError
from forecasting.repository import ModelRepository
from serving.model_sync.pull import PulledModel, pull_model
from serving.model_sync.push import push_model
from serving.model_sync.sync_manifest import digests, manifest_key
from tests.unit.serving.model_sync.repositories import MODEL, is_whole, publish, served


@pytest.fixture
def old(tmp_path):
    """The home whose version 1 is in the store and with the puller."""
    repository = ModelRepository(tmp_path / "old")
    publish(repository, tmp_path, "one")
    return repository


@pytest.fixture
def new(tmp_path):
    """A home that knows nothing of the other, and published another version 1."""
    repository = ModelRepository(tmp_path / "new")
    publish(repository, tmp_path, "another")
    return repository


def all_files(repository: ModelRepository) -> dict[str, str]:
    """Digests of everything in a repository, but its lock."""
    return {path: digest for path, digest in digests(repository.root).items() if path != ".lock"}


def test_a_push_never_replaces_a_version_by_another_of_its_number(old, new, store, tmp_path):
    push_model(old, store, MODEL)
    before = digests(tmp_path / "bucket")
    with pytest.raises(
        ArtifactError, match=r"manifests/1\.json must be of the files .* `python -m serving\.model_sync pull`"
    ):
        push_model(new, store, MODEL)
    assert digests(tmp_path / "bucket") == before


def test_a_push_that_is_refused_puts_no_other_version_either(old, new, store, tmp_path):
    push_model(old, store, MODEL)
    publish(new, tmp_path, "second")
    before = digests(tmp_path / "bucket")
    with pytest.raises(ArtifactError, match=r"manifests/1\.json"):
        push_model(new, store, MODEL)
    assert digests(tmp_path / "bucket") == before


def test_a_pull_that_is_refused_brings_no_other_version_either(old, new, store, pulled, tmp_path):
    push_model(old, store, MODEL)
    pull_model(store, pulled, MODEL)
    before = all_files(pulled)
    store.delete(MODEL, is_folder=True)
    publish(new, tmp_path, "second")
    push_model(new, store, MODEL)
    with pytest.raises(ArtifactError, match=r"manifests/1\.json"):
        pull_model(store, pulled, MODEL)
    assert all_files(pulled) == before


def test_a_home_that_begins_with_what_the_store_has_goes_on_with_its_numbers(old, store, pulled, tmp_path):
    push_model(old, store, MODEL)
    home = ModelRepository(tmp_path / "home")
    pull_model(store, home, MODEL)
    assert publish(home, tmp_path, "another") == 2
    assert push_model(home, store, MODEL) == [2]
    pull_model(store, pulled, MODEL)
    assert is_whole(pulled, home)


def test_a_pull_refuses_other_files_under_a_number_that_is_here_and_leaves_record_and_roles(
    old, new, store, pulled, tmp_path
):
    push_model(old, store, MODEL)
    pulling = PulledModel(store, pulled, MODEL)
    pulling.pull()
    before = all_files(pulled)
    store.delete(MODEL, is_folder=True)
    push_model(new, store, MODEL)
    with pytest.raises(ArtifactError, match=r"found model\.tflite to differ; .* start this pod anew"):
        pulling.pull()
    assert all_files(pulled) == before
    assert pulled.record(MODEL, 1) == old.record(MODEL, 1)


def test_a_pull_into_an_emptied_folder_brings_what_the_store_has_now(old, new, store, tmp_path):
    push_model(old, store, MODEL)
    store.delete(MODEL, is_folder=True)
    push_model(new, store, MODEL)
    emptied = ModelRepository(tmp_path / "emptied")
    assert pull_model(store, emptied, MODEL) == [1]
    assert is_whole(emptied, new)


def test_a_version_of_which_no_digests_were_kept_is_read_once(old, new, store, pulled):
    push_model(old, store, MODEL)
    pull_model(store, pulled, MODEL)
    kept = pulled.root / MODEL / "pulled" / "1.json"
    content = kept.read_text()
    kept.unlink()
    assert pull_model(store, pulled, MODEL) == []
    assert sorted(kept.read_text()) == sorted(content)
    kept.unlink()
    store.delete(MODEL, is_folder=True)
    push_model(new, store, MODEL)
    with pytest.raises(ArtifactError, match="to differ"):
        pull_model(store, pulled, MODEL)


def test_digests_that_are_kept_go_with_their_version(old, store, pulled, tmp_path):
    push_model(old, store, MODEL)
    pull_model(store, pulled, MODEL)
    for text in ("two", "three", "four"):
        publish(old, tmp_path, text)
        push_model(old, store, MODEL)
        pull_model(store, pulled, MODEL)
    kept = sorted(path.name for path in (pulled.root / MODEL / "pulled").iterdir())
    assert kept == [f"{version}.json" for version in served(pulled)] == ["3.json", "4.json"]


def test_a_list_of_digests_that_is_damaged_is_told(old, store, pulled):
    push_model(old, store, MODEL)
    pull_model(store, pulled, MODEL)
    (pulled.root / MODEL / "pulled" / "1.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"pulled/1\.json cannot be read: .* delete it"):
        pull_model(store, pulled, MODEL)


def test_a_manifest_that_is_damaged_is_not_replaced_but_named_with_what_to_do(old, store):
    push_model(old, store, MODEL)
    store.write(manifest_key(MODEL, 1), b"{")
    with pytest.raises(ArtifactError, match=r"manifests/1\.json .* delete it, so that it is pushed again"):
        push_model(old, store, MODEL)
    store.delete(manifest_key(MODEL, 1))
    assert push_model(old, store, MODEL) == [1]
