"""Bring a model repository to what an object store says, so that a server never sees half a version."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from forecasting.errors import ArtifactError
from forecasting.manifests import digest_file, sync_directory, sync_tree, write_text_atomically
from forecasting.repository import SERIES_DIR, ModelRepository, RolesRecord
from serving.model_sync.object_store import ObjectStore
from serving.model_sync.push import held_versions
from serving.model_sync.sync_manifest import (
    manifest_key,
    parse_sync_manifest,
    roles_key,
    series_key,
    version_key,
)

logger = logging.getLogger(__name__)
KEPT_VERSIONS = 2
"""Versions that stay without a role: a server may still answer from one."""


class PulledModel:
    """A model that is pulled again and again by one process."""

    def __init__(self, store: ObjectStore, repository: ModelRepository, model: str) -> None:
        """Nothing is pulled yet."""
        self._store, self._repository, self._model = store, repository, model
        self._is_first = True

    def pull(self) -> list[int]:
        """Bring what changed; returns the versions that were brought. Raises as `pull_model`."""
        brought = pull_model(self._store, self._repository, self._model, is_first=self._is_first)
        self._is_first = False
        return brought


def pull_model(store: ObjectStore, repository: ModelRepository, model: str, *, is_first: bool = True) -> list[int]:
    """Bring the versions in a role, then the roles, then `models.config`.

    Files arrive in a folder that servers pass over, are compared with the digests of the manifest, and become visible by one
    rename. A file that arrived before the last kill is not brought again. Nothing else may write into the repository.

    Args:
        store: Where the versions are.
        repository: Where they go.
        model: Name of the model.
        is_first: Derive `models.config` even where no role changed, as the kill of a process before this one may have come
            between the two.

    Returns:
        Versions that were brought.

    Raises:
        ArtifactError: A manifest, or a file against its digest, is damaged; roles and what is served stay as they are.
        RemoteError: The store cannot be asked.
    """
    content = store.read(roles_key(model))
    if content is None:
        logger.info("the object store has no roles of %s yet", model)
        return []
    roles = _parse_roles(content, roles_key(model))
    brought = [version for version in held_versions(roles) if _pull_version(store, repository, model, version)]
    is_changed = repository.roles(model) != roles
    if is_changed:
        write_text_atomically(repository.roles_file(model), content.decode())
    if is_changed or is_first:
        repository.write_server_config()
        logger.info("%s: champion %s, candidate %s", model, roles.champion, roles.candidate)
    if dropped := repository.prune(model, KEPT_VERSIONS):
        logger.info("deleted %s versions %s", model, dropped)
    return brought


def _parse_roles(content: bytes, place: str) -> RolesRecord:
    try:
        return RolesRecord(**json.loads(content))
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{place} must be roles of a model, found what cannot be read: {error}") from error


def _pull_version(store: ObjectStore, repository: ModelRepository, model: str, version: int) -> bool:
    place = manifest_key(model, version)
    content = store.read(place)
    if content is None:
        raise ArtifactError(f"{place} must be there, as the roles name version {version}; push {model!r} again")
    manifest = parse_sync_manifest(content, place=place)
    if manifest.version != version:
        raise ArtifactError(f"{place} must be of version {version}, found {manifest.version}")
    folder = repository.root / model
    if manifest.series is not None:
        _bring(store, series_key(model, manifest.series), manifest.series_files, folder / SERIES_DIR / manifest.series)
    if dict(manifest.record) != repository.record(model, version):
        record = repository.record_file(model, version)
        record.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(record, json.dumps(dict(manifest.record), indent=1))
    target = repository.version_dir(model, version)
    return _bring(store, version_key(model, version), manifest.files, target)


def _bring(store: ObjectStore, key: str, files: Mapping[str, str], target: Path) -> bool:
    """Bring a folder whole; returns whether it was not there."""
    if target.is_dir():
        return False
    incoming = target.with_name(f".incoming-{target.name}")
    incoming.mkdir(parents=True, exist_ok=True)
    for path, digest in files.items():
        _bring_file(store, f"{key}/{path}", incoming / path, digest)
    for left in [path for path in incoming.rglob("*") if path.is_file()]:
        if left.relative_to(incoming).as_posix() not in files:
            left.unlink()
    sync_tree(incoming)
    incoming.rename(target)
    sync_directory(target.parent)
    logger.info("brought %s: %d files", key, len(files))
    return True


def _bring_file(store: ObjectStore, key: str, target: Path, digest: str) -> None:
    if target.is_file() and digest_file(target) == digest:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    store.download(key, target)
    if (found := digest_file(target)) != digest:
        target.unlink()
        raise ArtifactError(f"{key} must have the SHA-256 {digest} of its manifest, found {found}; it is brought again")
