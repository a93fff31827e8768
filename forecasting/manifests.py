"""`manifest.json`: what a directory holds, from what it was made, and proof that it is unchanged."""

import hashlib
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import uuid4

from forecasting.contracts import CONTRACT_VERSION
from forecasting.contracts.artifacts import MANIFEST_FILE, SCHEMA_VERSIONS, ArtifactKind
from forecasting.errors import ArtifactError

_BLOCK_BYTES = 1 << 20
_TEMPORARY = ".tmp"


@dataclass(frozen=True)
class Manifest:
    """Contents of `manifest.json`.

    `payload` maps relative paths to SHA-256 digests; `parents` maps step names to the payload
    digest of the directory read; `duration_s` is wall time.
    """

    kind: ArtifactKind
    payload: Mapping[str, str]
    parents: Mapping[str, str] = field(default_factory=dict)
    settings_digest: str = ""
    cache_key: str = ""
    duration_s: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = 1
    contract_version: int = CONTRACT_VERSION

    @property
    def payload_digest(self) -> str:
        """One digest over all names and contents of the payload."""
        return digest_text(json.dumps(dict(sorted(self.payload.items()))))


def digest_text(text: str) -> str:
    """SHA-256 of a text in UTF-8, hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file, hexadecimal, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def payload_files(directory: Path) -> Iterator[Path]:
    """Every file below a directory except its own manifest, in a stable order."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path != directory / MANIFEST_FILE:
            yield path


def payload_digests(directory: Path) -> dict[str, str]:
    """SHA-256 of every payload file by its path relative to the directory, with `/`, in a stable order."""
    return {path.relative_to(directory).as_posix(): digest_file(path) for path in payload_files(directory)}


def write_manifest(directory: Path, kind: ArtifactKind, *, parents: Mapping[str, str], settings_digest: str = "",
                   cache_key: str = "", duration_s: float = 0.0) -> Manifest:  # fmt: skip
    """Digest the payload of a finished directory and write its manifest, atomically and last."""
    manifest = Manifest(
        kind=kind,
        payload=payload_digests(directory),
        parents=dict(parents),
        settings_digest=settings_digest,
        cache_key=cache_key,
        duration_s=duration_s,
        versions={"python": platform.python_version()},
        schema_version=SCHEMA_VERSIONS[kind],
    )
    write_text_atomically(directory / MANIFEST_FILE, json.dumps(asdict(manifest), indent=1, sort_keys=True))
    return manifest


def load_manifest(directory: Path) -> Manifest:
    """Parse a manifest without looking at the payload.

    Raises:
        ArtifactError: There is none, or it is of a layout this version does not know.
    """
    path = directory / MANIFEST_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(**{**document, "kind": ArtifactKind(document["kind"])})
        if not isinstance(manifest.payload, dict):
            raise TypeError(f"payload must be digests by path, found {manifest.payload!r}")
    except FileNotFoundError as error:
        raise ArtifactError(f"{directory} is no finished step output: it has no {MANIFEST_FILE}") from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from error
    if manifest.schema_version != SCHEMA_VERSIONS[manifest.kind]:
        raise ArtifactError(
            f"{path} has schema version {manifest.schema_version} of {manifest.kind}, "
            f"this version reads {SCHEMA_VERSIONS[manifest.kind]}; run the step again"
        )
    return manifest


def verify(directory: Path, kind: ArtifactKind) -> Manifest:
    """Check that a directory is of a kind and that its payload is exactly what was written.

    Raises:
        ArtifactError: Another kind, a file missing, added or altered.
    """
    manifest = load_manifest(directory)
    if manifest.kind != kind:
        raise ArtifactError(f"{directory} holds {manifest.kind}, expected {kind}")
    found = {path.relative_to(directory).as_posix() for path in payload_files(directory)}
    if missing := sorted(set(manifest.payload) - found):
        raise ArtifactError(f"{directory} lacks {missing[0]}, which its manifest lists; run the step again")
    if added := sorted(found - set(manifest.payload)):
        raise ArtifactError(f"{directory} has {added[0]}, which its manifest does not list; run the step again")
    for name, expected in manifest.payload.items():
        if digest_file(directory / name) != expected:
            raise ArtifactError(f"{directory / name} was altered after it was written; run the step again")
    return manifest


def write_text_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new text, never a part."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path`, to be written, that takes its place when the block ends without an error; else it is removed.

    On disk before the rename, and the rename on disk afterwards: a reader, also after a loss of power, finds the old
    file or the new one as a whole. What a kill leaves, `clear_leftovers` removes.
    """
    # Not by number of process: containers that share a folder have the same ones.
    temporary = path.with_name(f".{path.name}.{uuid4().hex}{_TEMPORARY}")
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def clear_leftovers(directory: Path, *, older_than_s: float) -> None:
    """Remove what `replacing` was filling in a directory when it was killed, if nobody has written to it for some time."""
    for left in directory.glob(f".*{_TEMPORARY}"):
        with suppress(FileNotFoundError):
            if left.stat().st_mtime < time.time() - older_than_s:
                left.unlink()


def sync_directory(directory: Path) -> None:
    """Make renames inside a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """Make every file below a directory, and every name in it, durable."""
    for folder, _, files in os.walk(directory):
        for name in files:
            descriptor = os.open(Path(folder) / name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(Path(folder))
