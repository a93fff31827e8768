"""Repositories with versions to push, and what is seen of one that is pulled into."""

from pathlib import Path

from forecasting.contracts.vocabulary import ModelRole
from forecasting.repository import ModelRepository
from serving.model_sync.object_store import ObjectStore, open_object_store
from serving.model_sync.sync_manifest import digests

MODEL = "demand"


def publish(repository: ModelRepository, work: Path, text: str) -> int:
    """Publish a version of three files with a series store, and make it champion."""
    source = work / f"source-{text}"
    (source / "variables").mkdir(parents=True)
    (source / "saved_model.pb").write_text(f"graph of {text}", encoding="utf-8")
    (source / "variables" / "variables.index").write_text(f"weights of {text}", encoding="utf-8")
    (source / "model.tflite").write_bytes(text.encode() * 4096)
    version = repository.publish(MODEL, source, {"run": text})
    repository.keep_series(MODEL, version, series_store(work / f"series-{text}", text))
    repository.promote(MODEL, version, reason=text)
    return version


def series_store(folder: Path, text: str) -> Path:
    """The files of a series store."""
    folder.mkdir()
    for name in ("schema.json", "index.parquet", "series.parquet"):
        (folder / name).write_text(f"{name} of {text}", encoding="utf-8")
    return folder


def folder_store(folder: Path) -> ObjectStore:
    """An object store in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return open_object_store(folder.as_uri())


def served(repository: ModelRepository) -> dict[int, dict[str, str]]:
    """Digests of the files of every version that a server sees, by number."""
    return {version: digests(repository.version_dir(MODEL, version)) for version in repository.versions(MODEL)}


def is_whole(pulled: ModelRepository, source: ModelRepository) -> bool:
    """Whether all that is visible is whole: versions, what has a role, its record and its series."""
    there = served(source)
    seen = served(pulled)
    if any(there[version] != files for version, files in seen.items()):
        return False
    roles = pulled.roles(MODEL)
    for version in [found for role in ModelRole if (found := roles.of(role)) is not None]:
        series = pulled.series_dir(MODEL, version)
        if version not in seen or series is None:
            return False
        if digests(series) != digests(source.root / MODEL / "series" / series.name):
            return False
    return True
