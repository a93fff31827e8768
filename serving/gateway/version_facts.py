"""What is remembered of the version that answers: where it came from, how large it is, since when it is champion."""

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from forecasting.answering.iso_time import iso_time
from forecasting.answering.served_model import ServedModel
from forecasting.audit import AuditAction
from forecasting.contracts.vocabulary import ModelRole
from forecasting.repository import ModelRepository

_TO_CHAMPION = (AuditAction.PROMOTE, AuditAction.APPROVE, AuditAction.ROLLBACK, AuditAction.RESTORE)


def version_facts(repository: ModelRepository, served: ServedModel) -> dict[str, Any]:
    """Facts of one version for people; what is not known of it is none.

    Raises:
        ArtifactError: Its record or the audit log cannot be read.
    """
    record, calendar = repository.record(served.name, served.version), served.spec.calendar
    return {
        "version": served.version,
        "run": record.get("run"),
        "variant": record.get("variant"),
        "version_bytes": folder_bytes(repository.version_dir(served.name, served.version)),
        "champion_since": _champion_since(repository, served),
        "learnt_until": iso_time(calendar.learnt_until) if calendar.learnt_until else None,
        "local_time": {"transitions": calendar.transitions, "offsets_s": calendar.offsets_s},
    }


# A version is never changed after its publication.
@lru_cache(maxsize=64)
def folder_bytes(folder: Path) -> int:
    """Bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _champion_since(repository: ModelRepository, served: ServedModel) -> str | None:
    since: float | None = None
    before: int | None = None
    for line in repository.audit(served.name):
        if line.champion == served.version != before and line.action in _TO_CHAMPION:
            since = line.time
        before = line.champion
    return None if since is None else datetime.fromtimestamp(int(since), UTC).isoformat().replace("+00:00", "Z")


def roles_document(repository: ModelRepository, name: str) -> dict[str, int | None]:
    """Version in each role."""
    return {role.value: repository.role(name, role) for role in ModelRole}
