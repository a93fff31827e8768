"""A pull with a key shows signed versions alone: the server beside it, whose own it may not be, sees no other."""

import shutil
from pathlib import Path

import pytest

from forecasting.admission.provenance import ProvenanceConfig
from forecasting.admission.signing import find_private_key, read_public_key
from forecasting.errors import VersionRefusedError
from forecasting.repository import ModelRepository
from serving.model_sync.pull import pull_model
from serving.model_sync.push import push_model
from tests.unit.forecasting.admission.test_signing import write_keys
from tests.unit.serving.model_sync.repositories import MODEL, publish, served


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return write_keys(tmp_path)


def test_a_pull_with_a_key_leaves_unsigned_versions_and_goes_on_with_signed_ones(store, pulled, keys, tmp_path):
    source = ModelRepository(tmp_path / "source")
    admission = ProvenanceConfig(public_key=read_public_key(keys[1]))
    publish(source, tmp_path, "one")
    push_model(source, store, MODEL)
    with pytest.raises(VersionRefusedError, match=r"must have model\.sig"):
        pull_model(store, pulled, MODEL, admission=admission)
    assert served(pulled) == {}
    assert pulled.roles(MODEL).champion is None
    # The same files, published anew with the key.
    signed = source.publish(MODEL, tmp_path / "source-one", key=find_private_key(str(keys[0]), None))
    source.promote(MODEL, signed)
    source.promote(MODEL, source.publish(MODEL, tmp_path / "source-one", key=find_private_key(str(keys[0]), None)))
    push_model(source, store, MODEL)
    assert pull_model(store, pulled, MODEL, admission=admission) == [3, 2]
    assert pulled.roles(MODEL).champion == 3


def test_a_manifest_of_the_store_that_was_made_to_fit_forged_files_is_of_no_use(store, pulled, keys, tmp_path):
    source = ModelRepository(tmp_path / "source")
    key = find_private_key(str(keys[0]), None)
    version = publish(source, tmp_path, "one")
    shutil.rmtree(source.version_dir(MODEL, version))
    assert source.publish(MODEL, tmp_path / "source-one", key=key) == 2
    source.promote(MODEL, 2)
    # Whoever may write to the store alters a file and every list of digests, and pushes as the worker does.
    (source.version_dir(MODEL, 2) / "saved_model.pb").write_text("forged")
    roles = source.roles_file(MODEL)
    roles.write_text(roles.read_text().replace('"previous": 1', '"previous": null'))
    push_model(source, store, MODEL)
    with pytest.raises(VersionRefusedError, match="must have the SHA-256"):
        pull_model(store, pulled, MODEL, admission=ProvenanceConfig(public_key=read_public_key(keys[1])))
    assert served(pulled) == {}
