"""Where objects lie, and the manifest that makes a version visible.

<model>/roles.json                      as in the model repository; written after the manifests that it needs
<model>/manifests/<version>.json        the commit point of a version: written last, deleted first
<model>/versions/<version>/<file>        never replaced by other contents once the manifest is there
<model>/series/<digest>/<file>          series store that one or more versions are served with; deleted once no manifest names it
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from forecasting.contracts.artifacts import MANIFEST_FILE
from forecasting.errors import ArtifactError
from forecasting.manifests import digest_file, digest_text
from forecasting.repository import ROLES_FILE

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class SyncManifest:
    """A version with everything that a gateway or server reads of it.

    `files` and `series_files` map relative paths to SHA-256 digests; `series` is the digest of the series store, which
    names its folder; `record` is what the repository remembers of the version.
    """

    version: int
    files: Mapping[str, str]
    series: str | None = None
    series_files: Mapping[str, str] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """The manifest as JSON; equal manifests have equal texts."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)


def parse_sync_manifest(content: bytes, *, place: str) -> SyncManifest:
    """Read a manifest, and refuse one that could write beside its folder.

    Raises:
        ArtifactError: It is cut off, lacks a key, or names a path or digest that is none.
    """
    try:
        manifest = SyncManifest(**json.loads(content))
        paths = [*manifest.files.items(), *manifest.series_files.items()]
        is_sound = (
            isinstance(manifest.version, int)
            and bool(manifest.files)
            and all(_is_inside(path) and _DIGEST.fullmatch(digest) for path, digest in paths)
            and (manifest.series is None or series_digest(manifest.series_files) == manifest.series)
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{place} must be the manifest of a version, found what cannot be read: {error}; delete it, so that it is pushed again"
        ) from error
    if not is_sound:
        raise ArtifactError(
            f"{place} must list files below its version with their SHA-256, and series that match their digest; delete it, so that it is pushed again"
        )
    return manifest


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder by its relative path, as the repository digests a series store."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): digest_file(path) for path in files}


def differing_files(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Paths that only one of two lists of files has, or that have another digest in each; what only follows from others last."""
    found = (path for path in {*one, *other} if one.get(path) != other.get(path))
    return sorted(found, key=lambda path: (path == MANIFEST_FILE, path))


def series_digest(files: Mapping[str, str]) -> str:
    """The digest that names a series store, as `ModelRepository.keep_series` makes it."""
    ordered = {path: files[path] for path in sorted(files, key=PurePosixPath)}
    return digest_text(json.dumps(ordered))


def roles_key(model: str) -> str:
    """Key of the roles."""
    return f"{model}/{ROLES_FILE}"


def manifests_key(model: str) -> str:
    """Key of all manifests."""
    return f"{model}/manifests"


def manifest_key(model: str, version: int) -> str:
    """Key of a manifest."""
    return f"{manifests_key(model)}/{version}.json"


def versions_key(model: str) -> str:
    """Key of the files of all versions."""
    return f"{model}/versions"


def version_key(model: str, version: int) -> str:
    """Key of the files of a version."""
    return f"{versions_key(model)}/{version}"


def all_series_key(model: str) -> str:
    """Key of all series stores."""
    return f"{model}/series"


def series_key(model: str, digest: str) -> str:
    """Key of the files of a series store."""
    return f"{all_series_key(model)}/{digest}"


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and "\\" not in path and not {"..", "."} & set(path.split("/"))
