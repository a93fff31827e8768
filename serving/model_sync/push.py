"""Put what has a role in a model repository into an object store."""

import logging

from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import RetryableError
from forecasting.repository import ModelRepository, RolesRecord
from serving.model_sync.object_store import ObjectStore
from serving.model_sync.sync_manifest import (
    SyncManifest,
    digests,
    manifest_key,
    manifests_key,
    roles_key,
    series_key,
    version_key,
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
        RetryableError: The repository changed meanwhile.
        RemoteError: The store cannot be asked.
    """
    try:
        roles_text = repository.roles_file(model).read_text(encoding="utf-8")
        roles = repository.roles(model)
        put = [version for version in held_versions(roles) if _push_version(repository, store, model, version)]
    except FileNotFoundError as error:
        raise RetryableError(
            f"{error.filename} of {model!r} must stay where it is while it is put; it is put in the next round"
        ) from error
    if store.read(roles_key(model)) != roles_text.encode():
        store.write(roles_key(model), roles_text.encode())
        logger.info("put the roles of %s: champion %s", model, roles.champion)
    _delete_pruned(repository, store, model)
    return put


class PushedModel:
    """A model that is put again where its roles or records changed since it was put last."""

    def __init__(self, repository: ModelRepository, store: ObjectStore, model: str) -> None:
        """Nothing is put yet."""
        self._repository, self._store, self._model = repository, store, model
        self._put: tuple[RolesRecord, str] | None = None

    def push(self) -> list[int]:
        """Put what changed; returns the versions that were put.

        Raises:
            ArtifactError: The repository is damaged.
            RetryableError: The repository changed meanwhile.
            RemoteError: The store cannot be asked.
        """
        roles = self._repository.roles(self._model)
        if roles == RolesRecord():
            return []
        # Looked at before it is put: a change in between is seen the next time.
        found = roles, repr([self._repository.record(self._model, one) for one in held_versions(roles)])
        if found == self._put:
            return []
        versions = push_model(self._repository, self._store, self._model)
        self._put = found
        return versions


def held_versions(roles: RolesRecord) -> list[int]:
    """Versions with a role, the champion first."""
    return list(dict.fromkeys(found for role in ModelRole if (found := roles.of(role)) is not None))


def _push_version(repository: ModelRepository, store: ObjectStore, model: str, version: int) -> bool:
    record = repository.record(model, version)
    folder, series = repository.version_dir(model, version), repository.series_dir(model, version)
    manifest = SyncManifest(
        version=version,
        files=digests(folder),
        series=None if series is None else series.name,
        series_files={} if series is None else digests(series),
        record=record,
    )
    content = manifest.text().encode()
    found = store.read(manifest_key(model, version))
    if found == content:
        return False
    for path in manifest.files:
        store.upload(folder / path, f"{version_key(model, version)}/{path}")
    if series is not None:
        for path in manifest.series_files:
            store.upload(series / path, f"{series_key(model, series.name)}/{path}")
    store.write(manifest_key(model, version), content)
    logger.info("put %s version %d: %d files", model, version, len(manifest.files))
    return True


def _delete_pruned(repository: ModelRepository, store: ObjectStore, model: str) -> None:
    """Delete versions that are gone here: the manifest first, so that nobody begins to read them."""
    kept = set(repository.versions(model))
    for name in store.names(manifests_key(model)):
        number = name.removesuffix(".json")
        if number.isdecimal() and int(number) not in kept:
            store.delete(manifest_key(model, int(number)))
    for number in store.names(f"{model}/versions"):
        if number.isdecimal() and int(number) not in kept:
            store.delete(version_key(model, int(number)), is_folder=True)
            logger.info("deleted %s version %s", model, number)
