"""Put what has a role in a model repository into an object store."""

import logging

from forecasting.command_word import command_word
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ArtifactError, RetryableError
from forecasting.repository import SERIES_DIR, SERIES_KEY, ModelRepository
from forecasting.roles import RolesRecord
from serving.model_sync.object_store import ObjectStore
from serving.model_sync.sync_manifest import (
    SyncManifest,
    all_series_key,
    differing_files,
    digests,
    manifest_key,
    manifests_key,
    parse_sync_manifest,
    roles_key,
    series_digest,
    series_key,
    version_key,
    versions_key,
)

logger = logging.getLogger(__name__)


def push_model(repository: ModelRepository, store: ObjectStore, model: str) -> list[int]:
    """Put the versions in a role that the store lacks, then the roles, and delete what the repository has no more.

    A version is put file by file and its manifest last, so that a reader sees all of it or nothing. Whatever a killed push left
    is put again.

    Args:
        repository: Where the versions are.
        store: Where they go.
        model: Name of the model.

    Returns:
        Versions that were put.

    Raises:
        ArtifactError: The store has a version of other files under the number of one of ours, or a damaged manifest; or
            series of ours are damaged. The store stays as it is.
        RetryableError: The repository changed meanwhile.
        RemoteError: The store cannot be asked.
    """
    try:
        roles_text = repository.roles_file(model).read_text(encoding="utf-8")
        roles = repository.roles(model)
        # Looked at all before one is put: what is refused must not leave a mixture.
        lacking = [one for one in _manifests(repository, model, roles) if _is_lacking(store, model, one)]
        for manifest in lacking:
            _push_version(repository, store, model, manifest)
    except FileNotFoundError as error:
        raise RetryableError(
            f"{error.filename} of {model!r} must stay where it is while it is put; it is put in the next round"
        ) from error
    if store.read(roles_key(model)) != roles_text.encode():
        store.write(roles_key(model), roles_text.encode())
        logger.info("put the roles of %s: champion %s", model, roles.champion)
    _delete_pruned(repository, store, model)
    return [manifest.version for manifest in lacking]


class PushedModel:
    """A model that is put again where its roles or records changed since it was put last, or the store lost them."""

    def __init__(self, repository: ModelRepository, store: ObjectStore, model: str) -> None:
        """Nothing is put yet."""
        self._repository, self._store, self._model = repository, store, model
        self._put: tuple[RolesRecord, str] | None = None

    def push(self) -> list[int]:
        """Put what changed; returns the versions that were put.

        Raises:
            ArtifactError: The repository is damaged, or as `push_model`.
            RetryableError: The repository changed meanwhile.
            RemoteError: The store cannot be asked.
        """
        roles = self._repository.roles(self._model)
        if roles == RolesRecord():
            return []
        # Looked at before it is put: a change in between is seen the next time.
        found = roles, repr([self._repository.record(self._model, one) for one in held_versions(roles)])
        if found == self._put and self._is_in_store(roles):
            return []
        versions = push_model(self._repository, self._store, self._model)
        self._put = found
        return versions

    def _is_in_store(self, roles: RolesRecord) -> bool:
        """Whether the store has these roles and a manifest of each version in them. Files are not looked at."""
        content = self._store.read(roles_key(self._model))
        if content is None or content != self._repository.roles_file(self._model).read_bytes():
            return False
        there = set(self._store.names(manifests_key(self._model)))
        return all(f"{version}.json" in there for version in held_versions(roles))


def held_versions(roles: RolesRecord) -> list[int]:
    """Versions with a role, the champion first."""
    return list(dict.fromkeys(found for role in ModelRole if (found := roles.of(role)) is not None))


def _manifests(repository: ModelRepository, model: str, roles: RolesRecord) -> list[SyncManifest]:
    return [_manifest(repository, model, version) for version in held_versions(roles)]


def _manifest(repository: ModelRepository, model: str, version: int) -> SyncManifest:
    record = repository.record(model, version)
    series = record.get(SERIES_KEY) or None
    folder = repository.root / model / SERIES_DIR / str(series)
    series_files = {} if series is None else digests(folder)
    if series is not None and series_digest(series_files) != series:
        raise ArtifactError(
            f"{folder} must have the files that its name is the digest of, found {len(series_files)} others; "
            f"`{command_word()} run -c FILE --force deploy_model` puts it back"
        )
    files = digests(repository.version_dir(model, version))
    return SyncManifest(version=version, files=files, series=series, series_files=series_files, record=record)


def _is_lacking(store: ObjectStore, model: str, manifest: SyncManifest) -> bool:
    """Whether the store has a version not at all, or with another record or series.

    Raises:
        ArtifactError: It has other files under its number.
    """
    place = manifest_key(model, manifest.version)
    found = store.read(place)
    if found is None:
        return True
    if other := differing_files(parse_sync_manifest(found, place=place).files, manifest.files):
        raise ArtifactError(
            f"{place} must be of the files of version {manifest.version} here, as a version never changes, found {other[0]} to "
            f"differ; the store stays as it is. It is that of another home: bring it into an empty one by "
            f"`python -m serving.model_sync pull` before anything is published there, so that numbers go on, or push to another address"
        )
    return found != manifest.text().encode()


def _push_version(repository: ModelRepository, store: ObjectStore, model: str, manifest: SyncManifest) -> None:
    for path in manifest.files:
        store.upload(
            repository.version_dir(model, manifest.version) / path, f"{version_key(model, manifest.version)}/{path}"
        )
    if manifest.series is not None:
        series = repository.root / model / SERIES_DIR / manifest.series
        for path in manifest.series_files:
            store.upload(series / path, f"{series_key(model, manifest.series)}/{path}")
    store.write(manifest_key(model, manifest.version), manifest.text().encode())
    logger.info("put %s version %d: %d files", model, manifest.version, len(manifest.files))


def _delete_pruned(repository: ModelRepository, store: ObjectStore, model: str) -> None:
    """Delete versions that are gone here, the manifest first, so that nobody begins to read them; then series of none."""
    kept = set(repository.versions(model))
    series: set[str | None] = set()
    for name in store.names(manifests_key(model)):
        number = name.removesuffix(".json")
        if not number.isdecimal():
            continue
        place = manifest_key(model, int(number))
        if int(number) not in kept:
            store.delete(place)
        elif (content := store.read(place)) is not None:
            series.add(parse_sync_manifest(content, place=place).series)
    for number in store.names(versions_key(model)):
        if number.isdecimal() and int(number) not in kept:
            store.delete(version_key(model, int(number)), is_folder=True)
            logger.info("deleted %s version %s", model, number)
    for digest in store.names(all_series_key(model)):
        if digest not in series:
            store.delete(series_key(model, digest), is_folder=True)
            logger.info("deleted %s series %s", model, digest)
