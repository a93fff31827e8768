"""Bring a model repository to what an object store says, so that a server never sees half a version."""

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from forecasting.admission.provenance import ProvenanceConfig, admit_files
from forecasting.errors import ArtifactError
from forecasting.manifests import digest_file, sync_directory, sync_tree, write_text_atomically
from forecasting.repository import SERIES_DIR, ModelRepository
from forecasting.roles import RolesRecord
from serving.model_sync.object_store import ObjectStore
from serving.model_sync.push import held_versions
from serving.model_sync.sync_manifest import (
    SyncManifest,
    differing_files,
    digests,
    manifest_key,
    parse_sync_manifest,
    roles_key,
    series_key,
    version_key,
)

logger = logging.getLogger(__name__)
KEPT_VERSIONS = 2
"""Versions that stay without a role: a server may still answer from one."""
PULLED_DIR = "pulled"
"""Folder beside the versions: the files of each that was brought with their digests, so that they are not read in every round."""


class PulledModel:
    """A model that is pulled again and again by one process."""

    def __init__(
        self,
        store: ObjectStore,
        repository: ModelRepository,
        model: str,
        *,
        admission: ProvenanceConfig | None = None,
    ) -> None:
        """Nothing is pulled yet."""
        self._store, self._repository, self._model, self._admission = store, repository, model, admission
        self._is_first = True

    def pull(self) -> list[int]:
        """Bring what changed; returns the versions that were brought. Raises as `pull_model`."""
        brought = pull_model(
            self._store, self._repository, self._model, is_first=self._is_first, admission=self._admission
        )
        self._is_first = False
        return brought


def pull_model(
    store: ObjectStore,
    repository: ModelRepository,
    model: str,
    *,
    is_first: bool = True,
    admission: ProvenanceConfig | None = None,
) -> list[int]:
    """Bring the versions in a role, then the roles, then `models.config`.

    Files arrive in a folder that servers pass over, are compared with the digests of the manifest, and become visible by one
    rename. A file that arrived before the last kill is not brought again. Nothing else may write into the repository. A version
    never changes: where the store has other files under its number, all stays as it is, record and roles too.

    Args:
        store: Where the versions are.
        repository: Where they go.
        model: Name of the model.
        is_first: Derive `models.config` even where no role changed, as the kill of a process before this one may have come
            between the two.
        admission: What the files of a version must be before a server sees them; none: they may be anything.

    Returns:
        Versions that were brought.

    Raises:
        ArtifactError: A manifest, or a file against its digest, is damaged, or a version is of other files than the one that
            was brought under its number; roles and what is served stay as they are.
        VersionRefusedError: A version is not admitted; likewise.
        RemoteError: The store cannot be asked.
    """
    content = store.read(roles_key(model))
    if content is None:
        logger.info("the object store has no roles of %s yet", model)
        return []
    roles = _parse_roles(content, roles_key(model))
    # Looked at all before one is brought: what is refused must not leave a mixture.
    manifests = [_read_manifest(store, repository, model, version) for version in held_versions(roles)]
    brought = [one.version for one in manifests if _pull_version(store, repository, model, one, admission)]
    is_changed = repository.roles(model) != roles
    if is_changed:
        write_text_atomically(repository.roles_file(model), content.decode())
    if is_changed or is_first:
        repository.write_server_config()
        logger.info("%s: champion %s, candidate %s", model, roles.champion, roles.candidate)
    if dropped := repository.prune(model, KEPT_VERSIONS):
        logger.info("deleted %s versions %s", model, dropped)
    for version in dropped:
        _pulled_file(repository, model, version).unlink(missing_ok=True)
    return brought


def _parse_roles(content: bytes, place: str) -> RolesRecord:
    try:
        return RolesRecord(**json.loads(content))
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{place} must be roles of a model, found what cannot be read: {error}") from error


def _read_manifest(store: ObjectStore, repository: ModelRepository, model: str, version: int) -> SyncManifest:
    place = manifest_key(model, version)
    content = store.read(place)
    if content is None:
        raise ArtifactError(f"{place} must be there, as the roles name version {version}; push {model!r} again")
    manifest = parse_sync_manifest(content, place=place)
    if manifest.version != version:
        raise ArtifactError(f"{place} must be of version {version}, found {manifest.version}")
    if repository.version_dir(model, version).is_dir():
        _refuse_other_files(repository, model, manifest)
    return manifest


def _pull_version(
    store: ObjectStore,
    repository: ModelRepository,
    model: str,
    manifest: SyncManifest,
    admission: ProvenanceConfig | None,
) -> bool:
    """Bring a version with its series and record, where they are not here; returns whether its files were brought."""
    version = manifest.version
    if manifest.series is not None:
        target = repository.root / model / SERIES_DIR / manifest.series
        _bring(store, series_key(model, manifest.series), manifest.series_files, target)
    if dict(manifest.record) != repository.record(model, version):
        _write(repository.record_file(model, version), manifest.record)
    is_new = not repository.version_dir(model, version).is_dir()
    if is_new:
        # First, so that no version is ever seen beside the list of one that had its number before.
        _write(_pulled_file(repository, model, version), manifest.files)
        subject = f"{model}/{version}"
        check = None if admission is None else partial(admit_files, config=admission, subject=subject)
        _bring(store, version_key(model, version), manifest.files, repository.version_dir(model, version), check=check)
    return is_new


def _refuse_other_files(repository: ModelRepository, model: str, manifest: SyncManifest) -> None:
    """Compare a version that is here with the manifest under its number.

    Raises:
        ArtifactError: They are of different files.
    """
    here = repository.version_dir(model, manifest.version)
    other = differing_files(_pulled_files(repository, model, manifest.version), manifest.files)
    if other:
        raise ArtifactError(
            f"{manifest_key(model, manifest.version)} must be of the files in {here}, as a version never changes, found {other[0]} "
            f"to differ; what is here stays served under its own record. If the store is right, empty {repository.root / model} or start "
            f"this pod anew; if not, push from the home that made what is here"
        )


def _pulled_files(repository: ModelRepository, model: str, version: int) -> Mapping[str, str]:
    """Digests of the files of a version that is here, read only where none are kept."""
    kept = _pulled_file(repository, model, version)
    try:
        found: dict[str, str] = json.loads(kept.read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = digests(repository.version_dir(model, version))
        _write(kept, found)
    except ValueError as error:
        raise ArtifactError(f"{kept} cannot be read: {error}; delete it, and it is made again") from error
    return found


def _pulled_file(repository: ModelRepository, model: str, version: int) -> Path:
    return repository.root / model / PULLED_DIR / f"{version}.json"


def _write(path: Path, values: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, json.dumps(dict(values), indent=1))


def _bring(
    store: ObjectStore,
    key: str,
    files: Mapping[str, str],
    target: Path,
    *,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Bring a folder whole, where it is not there; what raises in the check keeps it from being seen."""
    if target.is_dir():
        return
    incoming = target.with_name(f".incoming-{target.name}")
    incoming.mkdir(parents=True, exist_ok=True)
    for path, digest in files.items():
        _bring_file(store, f"{key}/{path}", incoming / path, digest)
    for left in [path for path in incoming.rglob("*") if path.is_file()]:
        if left.relative_to(incoming).as_posix() not in files:
            left.unlink()
    if check is not None:
        check(incoming)
    sync_tree(incoming)
    incoming.rename(target)
    sync_directory(target.parent)
    logger.info("brought %s: %d files", key, len(files))


def _bring_file(store: ObjectStore, key: str, target: Path, digest: str) -> None:
    if target.is_file() and digest_file(target) == digest:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    store.download(key, target)
    if (found := digest_file(target)) != digest:
        target.unlink()
        raise ArtifactError(f"{key} must have the SHA-256 {digest} of its manifest, found {found}; it is brought again")
