"""The list of a published version's files with their digests, and the comparison with what lies there.

`manifest.json` in the version directory, written once by `ModelRepository.publish`:

    {"schema_version": 1, "files": {"saved_model.pb": "<SHA-256>", ...}}
"""

import json
import os
import stat
from pathlib import Path
from typing import Any

from forecasting.contracts.artifacts import MANIFEST_FILE
from forecasting.errors import VersionRefusedError
from forecasting.manifests import digest_file, payload_digests, write_text_atomically

SCHEMA_VERSION = 1
SIGNATURE_FILE = "model.sig"
"""Not in the list, which it signs; see `forecasting.admission.signing`."""
MAX_MANIFEST_BYTES = 16 * 2**20
"""Of a file that is read before anything vouches for it."""


def write_version_manifest(version_dir: Path) -> dict[str, str]:
    """List the files of a version that is about to be published; returns their digests by name."""
    # Of what was published before, where a version is copied from one.
    (version_dir / SIGNATURE_FILE).unlink(missing_ok=True)
    files = payload_digests(version_dir)
    document = {"schema_version": SCHEMA_VERSION, "files": files}
    write_text_atomically(version_dir / MANIFEST_FILE, json.dumps(document, indent=1, sort_keys=True))
    return files


def check_version_files(version_dir: Path, *, required: bool = False) -> dict[str, str]:
    """Compare the files of a version with its list: none missing, none added, none altered, none of them a link.

    Args:
        version_dir: Directory of the version.
        required: Whether a version without a list is refused. Else it passes, as one that was made elsewhere.

    Returns:
        The digests by name; empty where there is no list.

    Raises:
        VersionRefusedError: They differ, or the list cannot be read.
    """
    path = version_dir / MANIFEST_FILE
    if not os.path.lexists(path):
        if required:
            raise VersionRefusedError(
                "no_manifest",
                f"{version_dir} must have {MANIFEST_FILE}, the list of its files that publishing writes, found none; "
                "publish the version again",
            )
        return {}
    listed = _read(path)
    found = set(_plain_files(version_dir)) - {MANIFEST_FILE, SIGNATURE_FILE}
    if missing := sorted(set(listed) - found):
        raise _differs("missing_file", version_dir / missing[0], "must be there, as its manifest lists it")
    if added := sorted(found - set(listed)):
        raise _differs("extra_file", version_dir / added[0], "must not be there, as its manifest does not list it")
    for name, digest in listed.items():
        if (now := digest_file(version_dir / name)) != digest:
            raise _differs("altered_file", version_dir / name, f"must have the SHA-256 {digest}, found {now}")
    return listed


def _read(path: Path) -> dict[str, str]:
    """The list, of a plain file of a sane size; names in it are only compared, never opened."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_MANIFEST_BYTES:
            raise ValueError(f"it must be a plain file of at most {MAX_MANIFEST_BYTES} bytes")
        document = json.loads(path.read_text(encoding="utf-8"))
        files: Any = document["files"]
        if document["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"it must have schema version {SCHEMA_VERSION}, found {document['schema_version']}")
        if not files or not all(isinstance(digest, str) for digest in files.values()):
            raise ValueError("`files` must map each name to a digest")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VersionRefusedError(
            "unreadable_manifest", f"{path} must list the files of its version: {error}; publish the version again"
        ) from error
    return dict(files)


def _plain_files(version_dir: Path) -> list[str]:
    """Paths of all files relative to the version, with `/`. Nothing else may be there, least of all a link."""
    found = []
    for folder, folders, files in os.walk(version_dir):
        for name in (*folders, *files):
            path = Path(folder) / name
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                found.append(path.relative_to(version_dir).as_posix())
            elif not stat.S_ISDIR(mode):
                what = "a link" if stat.S_ISLNK(mode) else "no file"
                raise _differs("link", path, f"must be a plain file of the version, found {what}")
    return found


def _differs(reason: str, path: Path, what: str) -> VersionRefusedError:
    return VersionRefusedError(
        reason, f"{path} {what}; a published version never changes: publish it again, or bring it from a copy"
    )
