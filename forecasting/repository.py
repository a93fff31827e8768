"""The model repository: version directories as TensorFlow Serving reads them, roles, and its configuration.

    models/.lock                     exclusive lock of every change
    models/models.config             ModelServerConfig: one pinned version a served name
    models/<name>/roles.json         champion, candidate, previous, highest version ever used
    models/<name>/audit.jsonl        who changed these roles, when and why (`forecasting.audit`)
    models/<name>/<version>/         a published version with the digests of its files, never changed afterwards
    models/<name>/records/<v>.json   where a version came from, and which series it is asked about
    models/<name>/series/<digest>/   the series store of one or more versions, and its quarantine/

A version becomes visible by one rename. A role changes by one rename of `roles.json`, which is the
commit point of a promotion; `models.config` is derived from all roles and written right after it.
A crash between the two leaves the old pin served; the next change, or `write_server_config` when a
server is started, repairs it.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from forecasting.admission.signing import sign_version
from forecasting.admission.version_files import write_version_manifest
from forecasting.audit import AUDIT_FILE, AuditAction, AuditRecord, append_audit, new_record, read_audit
from forecasting.command_word import command_word
from forecasting.contracts.artifacts import QUARANTINE_DIR, QUARANTINE_REASONS_FILE, VINTAGES_FILE
from forecasting.contracts.vocabulary import ModelRole, served_name
from forecasting.errors import ArtifactError, ConfigError
from forecasting.manifests import (
    clear_leftovers,
    digest_text,
    payload_digests,
    sync_directory,
    sync_tree,
    write_text_atomically,
)
from forecasting.roles import RolesChangeRecord, RolesRecord, undone

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

ROLES_FILE = "roles.json"
SERVER_CONFIG_FILE = "models.config"
RECORDS_DIR = "records"
SERIES_DIR = "series"
SERIES_KEY = "series"
"""Key of a version's record: digest of its series store."""
APPROVAL_KEY = "approval"
"""Key of a version's record: why a person must approve it; empty or absent where nobody need."""
REJECTED_KEY = "rejected"
"""Key of a version's record: why a person rejected it; empty or absent where nobody did."""
LOCK_FILE = ".lock"
_LEFTOVER_S = 86_400


class ModelRepository:
    """Versions and roles under one folder; every change holds its lock, so processes do not disturb each other."""

    def __init__(self, models_root: Path) -> None:
        """Remember the folder; nothing is created before the first change."""
        self.root = models_root

    @property
    def server_config(self) -> Path:
        """The file for `--model_config_file`."""
        return self.root / SERVER_CONFIG_FILE

    def names(self) -> list[str]:
        """Names of all models."""
        return sorted(path.parent.name for path in self.root.glob(f"*/{ROLES_FILE}"))

    def versions(self, name: str) -> list[int]:
        """Published versions, ascending."""
        folder = self.root / name
        return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal()) if folder.is_dir() else []

    def version_dir(self, name: str, version: int) -> Path:
        """Directory of a version, whether it exists or not."""
        return self.root / name / str(version)

    def roles(self, name: str) -> RolesRecord:
        """Roles of a model; all empty for one that was never published.

        Raises:
            ArtifactError: The file is damaged.
        """
        path = self.roles_file(name)
        try:
            return RolesRecord(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return RolesRecord()
        except (ValueError, TypeError) as error:
            raise ArtifactError(
                f"{path} cannot be read: {error}; restore it from `models.config` or a backup"
            ) from error

    def roles_file(self, name: str) -> Path:
        """The file that says which version has which role; it is replaced as a whole."""
        return self.root / name / ROLES_FILE

    def record_file(self, name: str, version: int) -> Path:
        """The file of what was remembered of a version; it is replaced as a whole."""
        return self.root / name / RECORDS_DIR / f"{version}.json"

    def role(self, name: str, role: ModelRole) -> int | None:
        """The version in a role, or none."""
        return self.roles(name).of(role)

    def champion_dir(self, name: str) -> Path | None:
        """Directory of the champion, or none."""
        champion = self.role(name, ModelRole.CHAMPION)
        return None if champion is None else self.version_dir(name, champion)

    def publish(
        self,
        name: str,
        source_dir: Path,
        record: Mapping[str, Any] | None = None,
        *,
        key: "EllipticCurvePrivateKey | None" = None,
    ) -> int:
        """Copy a directory in as the next version, with a list of its files; it takes part in nothing until it is given a role.

        Args:
            name: Model name.
            source_dir: What TensorFlow Serving reads: saved_model.pb or model.tflite and what belongs to them.
            record: What is to be remembered of its origin (JSON values).
            key: Private key that signs it; none: it is not signed.

        Returns:
            The version: one more than the highest that was ever used, also by runs at the same time.

        Raises:
            ArtifactError: The source is no directory or is empty.
        """
        if not source_dir.is_dir() or not any(source_dir.iterdir()):
            raise ArtifactError(f"a version to publish must be a directory with files, found {source_dir}")
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".incoming-{uuid4().hex}"
        try:
            shutil.copytree(source_dir, temporary)
            listed = write_version_manifest(temporary)
            sync_tree(temporary)
            with self._locked():
                roles = self.roles(name)
                version = max([roles.last_version, *self.versions(name)]) + 1
                # The number is spent before the version shows, so that no crash can give it out twice.
                self._write_roles(name, replace(roles, last_version=version))
                if record is not None:
                    self._write_record(name, version, record)
                if key is not None:
                    sign_version(temporary, listed, key, subject=f"{name}/{version}")
                temporary.rename(self.version_dir(name, version))
                sync_directory(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return version

    def record(self, name: str, version: int) -> dict[str, Any]:
        """What was remembered of a version at its publication; empty where nothing was."""
        path = self.record_file(name, version)
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise ArtifactError(f"{path} cannot be read: {error}") from error
        return found

    def update_record(self, name: str, version: int, values: Mapping[str, Any]) -> None:
        """Add to what is remembered of a version."""
        with self._locked():
            self._write_record(name, version, {**self.record(name, version), **values})

    def keep_series(self, name: str, version: int, store_dir: Path) -> None:
        """Keep a series store with a version, so that serving it needs no run; replaces the one kept so far.

        The series in quarantine beside the store, and why they are there, are kept with it. Versions with the
        same series share one store, whose files are hard links where the file system has them.

        Raises:
            ArtifactError: There is no such version, or the store lacks a file.
        """
        self._require(name, version)
        folder = self.root / name / SERIES_DIR
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".incoming-{uuid4().hex}"
        try:
            temporary.mkdir()
            _copy_series(store_dir, temporary)
            # Of names and contents, so that a store with and one without a quarantine differ.
            key = digest_text(json.dumps(payload_digests(temporary)))
            sync_tree(temporary)
            with self._locked():
                if not (folder / key).is_dir():
                    temporary.rename(folder / key)
                    sync_directory(folder)
                self._write_record(name, version, {**self.record(name, version), SERIES_KEY: key})
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def series_dir(self, name: str, version: int) -> Path | None:
        """The series store kept with a version; none where none was. Whether it is still there is not looked at."""
        key = self.record(name, version).get(SERIES_KEY)
        return self.root / name / SERIES_DIR / str(key) if key else None

    def require_series(self, name: str, version: int) -> Path:
        """The series store kept with a version.

        Raises:
            ConfigError: None was kept, or it is gone.
        """
        folder = self.series_dir(name, version)
        if folder is None or not folder.is_dir():
            raise ConfigError(
                f"version {version} of {name!r} must have its series store in {self.root / name / SERIES_DIR}, "
                f"found {'none' if folder is None else f'no {folder.name}'}; "
                f"`{command_word()} run -c FILE --force deploy_model` puts it back"
            )
        return folder

    def audit(self, name: str) -> tuple[AuditRecord, ...]:
        """Every change of the roles of a model, the oldest first.

        Raises:
            ArtifactError: The log is damaged.
        """
        return read_audit(self.root / name / AUDIT_FILE)

    def set_candidate(self, name: str, version: int, *, reason: str = "") -> RolesChangeRecord:
        """Serve a version as `<name>-candidate`; returns the change.

        Args:
            name: Model name.
            version: The version.
            reason: For the audit log.

        Raises:
            ArtifactError: There is no such version.
        """
        self._require(name, version)
        with self._locked():
            roles = self.roles(name)
            candidate = replace(roles, candidate=version)
            self._change(name, candidate, AuditAction.CANDIDATE, version, reason)
        return RolesChangeRecord(roles, candidate)

    def remove_candidate(self, name: str, *, reason: str = "") -> None:
        """Serve no candidate any more; its files stay until they are pruned."""
        with self._locked():
            roles = self.roles(name)
            self._change(name, replace(roles, candidate=None), AuditAction.WITHDRAW, roles.candidate, reason)

    def promote(
        self,
        name: str,
        version: int,
        *,
        reason: str = "",
        action: AuditAction = AuditAction.PROMOTE,
        check: Callable[[RolesRecord], None] | None = None,
    ) -> RolesChangeRecord:
        """Make a version the champion; the champion so far becomes `previous`. No change where it is the champion already.

        A champion waits for nobody: its record loses what a person had to approve, and that one had rejected it.

        Args:
            name: Model name.
            version: The version.
            reason: For the audit log.
            action: What the audit log calls it.
            check: Gets the roles under the lock and raises where the version may not be promoted; must change nothing.

        Returns:
            The change.

        Raises:
            ArtifactError: There is no such version.
        """
        self._require(name, version)
        with self._locked():
            roles = self.roles(name)
            if check is not None:
                check(roles)
            candidate = None if roles.candidate == version else roles.candidate
            promoted = replace(roles, champion=version, previous=roles.champion, candidate=candidate)
            if roles.champion == version:
                promoted = replace(roles, candidate=candidate)
            self._change(name, promoted, action, version, reason)
            record = self.record(name, version)
            if settled := {key: "" for key in (APPROVAL_KEY, REJECTED_KEY) if record.get(key)}:
                self._write_record(name, version, {**record, **settled})
        return RolesChangeRecord(roles, promoted)

    def reject(self, name: str, version: int, *, reason: str, check: Callable[[RolesRecord], None]) -> None:
        """Serve a candidate no more and remember why; its files stay until they are pruned.

        Args:
            name: Model name.
            version: The candidate.
            reason: For the record of the version and the audit log.
            check: Gets the roles under the lock and raises where the version is not to be rejected; must change nothing.
        """
        with self._locked():
            roles = self.roles(name)
            check(roles)
            self._write_record(name, version, {**self.record(name, version), REJECTED_KEY: reason})
            self._change(name, replace(roles, candidate=None), AuditAction.REJECT, version, reason)

    def rollback(self, name: str, *, reason: str = "") -> int:
        """Make `previous` the champion again and the champion `previous`; returns the new champion.

        Raises:
            ConfigError: There is no previous version.
        """
        with self._locked():
            roles = self.roles(name)
            if roles.previous is None:
                raise ConfigError(f"model {name!r} has no previous version to roll back to")
            self._require(name, roles.previous)
            back = replace(roles, champion=roles.previous, previous=roles.champion)
            self._change(name, back, AuditAction.ROLLBACK, roles.previous, reason)
            return roles.previous

    def undo(self, name: str, changes: Sequence[RolesChangeRecord], *, reason: str = "") -> RolesRecord:
        """Put roles back to what they were before some changes, each only where it is still what these made it.

        What somebody else has decided since then stays decided.

        Args:
            name: Model name.
            changes: The oldest first.
            reason: For the audit log.

        Returns:
            The roles now.
        """
        with self._locked():
            roles = self.roles(name)
            for change in reversed(changes):
                roles = undone(roles, change)
            if roles.candidate == roles.champion or roles.candidate not in self.versions(name):
                roles = replace(roles, candidate=None)
            self._change(name, roles, AuditAction.RESTORE, roles.champion, reason)
        return roles

    def prune(self, name: str, keep: int) -> list[int]:
        """Delete all but the newest `keep` versions; never one that has a role. Returns what was deleted."""
        with self._locked():
            dropped = self.prunable(name, keep)
            for version in dropped:
                # Out of a server's sight by one rename first: it must never see half of a version.
                hidden = self.root / name / f".dropped-{version}-{uuid4().hex}"
                self.version_dir(name, version).rename(hidden)
                shutil.rmtree(hidden)
                (self.root / name / RECORDS_DIR / f"{version}.json").unlink(missing_ok=True)
            self._clear_leftovers(name)
        return dropped

    def prunable(self, name: str, keep: int) -> list[int]:
        """What `prune` would delete."""
        roles = self.roles(name)
        held = {roles.champion, roles.candidate, roles.previous}
        return [version for version in self.versions(name)[:-keep] if version not in held]

    def write_server_config(self) -> Path:
        """Derive `models.config` from all roles anew; returns its path."""
        with self._locked():
            self._derive_config()
        return self.server_config

    def _clear_leftovers(self, name: str) -> None:
        """Delete series that no version names, and what killed publications left.

        The latter a day old, so that none is still being written.
        """
        folder = self.root / name
        named = {self.series_dir(name, version) for version in self.versions(name)}
        for unnamed in set((folder / SERIES_DIR).glob("[!.]*")) - named:
            shutil.rmtree(unnamed)
        for left in [
            *folder.glob(".incoming-*"),
            *folder.glob(".dropped-*"),
            *folder.glob(f"{SERIES_DIR}/.incoming-*"),
        ]:
            if left.stat().st_mtime < time.time() - _LEFTOVER_S:
                shutil.rmtree(left)
        for written in (self.root, folder, folder / RECORDS_DIR):
            clear_leftovers(written, older_than_s=_LEFTOVER_S)

    def _require(self, name: str, version: int) -> None:
        if not self.version_dir(name, version).is_dir():
            raise ArtifactError(f"model {name!r} must have version {version}, found {self.versions(name) or 'none'}")

    def _change(self, name: str, roles: RolesRecord, action: AuditAction, version: int | None, reason: str) -> None:
        if roles != self.roles(name):
            held = roles.champion, roles.candidate, roles.previous
            append_audit(self.root / name / AUDIT_FILE, new_record(action, version, roles=held, reason=reason))
        self._write_roles(name, roles)
        self._derive_config()

    def _write_roles(self, name: str, roles: RolesRecord) -> None:
        write_text_atomically(self.root / name / ROLES_FILE, json.dumps(asdict(roles), indent=1))

    def _write_record(self, name: str, version: int, record: Mapping[str, Any]) -> None:
        folder = self.root / name / RECORDS_DIR
        folder.mkdir(parents=True, exist_ok=True)
        write_text_atomically(folder / f"{version}.json", json.dumps(dict(record), indent=1))

    def _derive_config(self) -> None:
        entries = []
        for name in self.names():
            roles = self.roles(name)
            for role in (ModelRole.CHAMPION, ModelRole.CANDIDATE):
                version = roles.of(role)
                if version is not None:
                    entries.append(_config_entry(served_name(name, role), (self.root / name).resolve(), version))
        write_text_atomically(self.server_config, "model_config_list {\n" + "".join(entries) + "}\n")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / LOCK_FILE).open("w") as stream:
            # Waits; the kernel lets go when the holder ends, however it ends.
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def _copy_series(store_dir: Path, target: Path) -> None:
    """A series store and, where there is one, its quarantine with the reasons."""
    # Imported here: it reads Parquet, which who only asks for roles need not load.
    from forecasting.quarantine import STORE_FILES, quarantine_reasons

    folders = [store_dir] + ([store_dir / QUARANTINE_DIR] if (store_dir / QUARANTINE_DIR).is_dir() else [])
    for path in [folder / file for folder in folders for file in (*STORE_FILES, VINTAGES_FILE)]:
        if not path.is_file():
            if path.name == VINTAGES_FILE:
                continue
            raise ArtifactError(f"a series store must have {path.name}, found none at {path}")
        copy = target / path.relative_to(store_dir)
        copy.parent.mkdir(exist_ok=True)
        _link_or_copy(path, copy)
    if len(folders) > 1:
        reasons = json.dumps(quarantine_reasons(store_dir), indent=1, ensure_ascii=False)
        (target / QUARANTINE_DIR / QUARANTINE_REASONS_FILE).write_text(reasons, encoding="utf-8")


def _link_or_copy(source: Path, target: Path) -> None:
    """Make a hard link, or a copy where the file system has none or the two lie on different ones."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _config_entry(name: str, base_path: Path, version: int) -> str:
    return (
        "  config {\n"
        f"    name: {json.dumps(name)}\n"
        f"    base_path: {json.dumps(str(base_path))}\n"
        '    model_platform: "tensorflow"\n'
        f"    model_version_policy {{ specific {{ versions: {version} }} }}\n"
        "  }\n"
    )
