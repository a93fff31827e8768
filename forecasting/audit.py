"""The audit log of a model: who changed which version serves, when and why; one line of JSON a change.

A line is on disk before the change that it tells of: what changed is always told, and a crash between the two leaves a line
whose roles the next line does not start from.
"""

import getpass
import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from forecasting.errors import ArtifactError

AUDIT_FILE = "audit.jsonl"
ACTOR_VARIABLE = "ALMANAC_ACTOR"


class AuditAction(StrEnum):
    """What was done to the roles of a model."""

    CANDIDATE = "candidate"
    WITHDRAW = "withdraw"
    PROMOTE = "promote"
    APPROVE = "approve"
    REJECT = "reject"
    ROLLBACK = "rollback"
    RESTORE = "restore"


@dataclass(frozen=True)
class AuditRecord:
    """One change.

    time: UTC epoch seconds. who: see `current_actor`. version: the version it is about; none where it is about none.
    champion, candidate, previous: versions in these roles afterwards. reason: as given; empty where none was.
    """

    time: float
    who: str
    action: AuditAction
    version: int | None
    champion: int | None
    candidate: int | None
    previous: int | None
    reason: str = ""


def current_actor() -> str:
    """Who is acting: $ALMANAC_ACTOR where it is set, else user@host of this process."""
    if named := os.environ.get(ACTOR_VARIABLE):
        return named
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        # A container may run under a number that has no name.
        user = str(os.getuid())
    return f"{user}@{platform.node() or 'unknown'}"


def append_audit(path: Path, record: AuditRecord) -> None:
    """Add a line, on disk when this returns; the caller holds the lock of the repository."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _cut_unfinished_line(path)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(asdict(record)) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def read_audit(path: Path) -> tuple[AuditRecord, ...]:
    """All changes, the oldest first; empty where there is no log. A last line cut off by a crash is left out.

    Raises:
        ArtifactError: Another line is no record.
    """
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8").split("\n")
    records = []
    # What follows the last line break was never finished.
    for number, line in enumerate(lines[:-1], start=1):
        try:
            records.append(_record(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            raise ArtifactError(
                f"{path} line {number} must be a record of a change: {error}; restore it from a backup"
            ) from error
    return tuple(records)


def new_record(
    action: AuditAction, version: int | None, *, roles: tuple[int | None, int | None, int | None], reason: str
) -> AuditRecord:
    """A change made now by who runs this process; roles: champion, candidate and previous afterwards."""
    champion, candidate, previous = roles
    return AuditRecord(time.time(), current_actor(), action, version, champion, candidate, previous, reason)


def _cut_unfinished_line(path: Path) -> None:
    """Drop what a crash left of a line, or the next one would be appended to it."""
    content = path.read_bytes() if path.is_file() else b""
    if content and not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)


def _record(document: dict[str, Any]) -> AuditRecord:
    return AuditRecord(**{**document, "action": AuditAction(document["action"])})
