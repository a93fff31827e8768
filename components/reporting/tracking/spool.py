"""Bundles that wait to be sent, and what MLflow has yet to be told of the roles of models.

    tracking/spool/<run>/             a bundle, and pending.json: the trackers that do not have it yet, and why
    tracking/registries/<model>.json  `RegistryRecord`: where its versions are registered
    tracking/.lock                    held by who sends
    tracking/.notes.lock              held for the moment in which something of this is changed

A bundle becomes visible by one rename and is gone once every tracker has it.
"""

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from components.reporting.tracking.bundle import BUNDLE_FILE, BundleRecord, write_bundle
from forecasting.config.tracking import TrackingConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.errors import ArtifactError, ConfigError
from forecasting.manifests import sync_directory, write_text_atomically

PENDING_FILE = "pending.json"
MLFLOW = "mlflow"
CONNECTION_ERRORS = (ConnectionError, TimeoutError, socket.gaierror)
"""Errors of the operating system that are about a server; every other one is about files here."""
TRACKING_FILE = "tracking.json"
"""In the output of report_run: where the run was written down, and what waits to be."""
NOTIFICATIONS_FILE = "notifications.json"
"""In the output of report_run: the receivers that were to be told, and which of them were not."""


@dataclass(frozen=True)
class SentRecord:
    """What a tracker made of a bundle, or of the aliases of a model.

    name: of the run, or of the model. problem: why it is not done, empty where it is. version: number of the registered
    version, empty where nothing was deployed. note: what is to be known although it is done.
    """

    name: str
    problem: str = ""
    experiment: str = ""
    run_id: str = ""
    version: str = ""
    note: str = ""


@dataclass(frozen=True)
class SpooledRecord:
    """A bundle that waits. pending: tracker and why it does not have the bundle, empty where nobody tried.

    problem: why nobody can tell what is pending, with its path; empty where the bundle is whole. noted: when pending
    was written, in epoch seconds. stamp: another one for each bundle of a run.
    """

    name: str
    directory: Path
    pending: dict[str, str]
    problem: str = ""
    noted: float = 0.0
    stamp: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class RegistryRecord:
    """Where the versions of a model are registered. waits: whether its aliases have yet to be set. problem: why.

    asked: how often it was asked to set them, so that an answer to an earlier time is known as such.
    """

    tracking: TrackingConfig
    waits: bool = False
    problem: str = ""
    asked: int = 0


def alias_name(model: str) -> str:
    """How the setting of the aliases of a model is called among what is sent."""
    return f"aliases of {model}"


def tracking_root(home: HomeLayout) -> Path:
    """Folder of all this, under ALMANAC_HOME."""
    return home.root / "tracking"


def put_bundle(home: HomeLayout, bundle: BundleRecord, fill: Callable[[Path], None]) -> Path:
    """Put a bundle into the spool, in the place of an earlier one of the same run.

    Args:
        home: The home.
        bundle: What to send.
        fill: Puts its files into a directory.

    Returns:
        Its directory.
    """
    spool = _spool(home)
    spool.mkdir(parents=True, exist_ok=True)
    _clear(home, bundle.run)
    partial, final = spool / f".{bundle.run}.{os.getpid()}.partial", spool / bundle.run
    partial.mkdir()
    try:
        fill(partial)
        _write_pending(partial, dict.fromkeys((MLFLOW, *bundle.tracking.also), ""))
        write_bundle(bundle, partial)
        with notes_lock(home):
            if final.exists():
                final.rename(spool / f".{bundle.run}.{os.getpid()}.dropped")
            partial.rename(final)
            sync_directory(spool)
    finally:
        _clear(home, bundle.run)
    return final


def spooled(home: HomeLayout) -> list[SpooledRecord]:
    """Bundles that wait, the oldest first; a damaged one is no reason not to send the others, and says so."""
    found = sorted(_spool(home).glob(f"[!.]*/{BUNDLE_FILE}"))
    return [record for path in found if (record := _spooled(path.parent)) is not None]


def note_sent(home: HomeLayout, sent: SpooledRecord, tracker: str, problem: str) -> None:
    """Write down that a tracker has a bundle, or why it does not; a bundle that all have is removed.

    A bundle that has taken the place of the one that was sent is left to wait.
    """
    with notes_lock(home):
        found = _spooled(sent.directory)
        if found is None or found.problem or found.stamp != sent.stamp:
            return
        pending = found.pending | {tracker: problem}
        if not problem:
            del pending[tracker]
        _write_pending(sent.directory, pending)
        if not pending:
            hidden = sent.directory.with_name(f".{sent.name}.{os.getpid()}.dropped")
            sent.directory.rename(hidden)
            shutil.rmtree(hidden)


@contextmanager
def notes_lock(home: HomeLayout) -> Iterator[None]:
    """Change what waits, after whoever does it now."""
    tracking_root(home).mkdir(parents=True, exist_ok=True)
    with (tracking_root(home) / ".notes.lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def registries(home: HomeLayout) -> dict[str, RegistryRecord]:
    """Where the versions of each model are registered."""
    found = sorted((tracking_root(home) / "registries").glob("*.json"))
    return {path.stem: _read_registry(path) for path in found}


def registry_of(home: HomeLayout, model: str) -> TrackingConfig:
    """Where the versions of a model are registered.

    Raises:
        ConfigError: None is.
    """
    path = _registry_path(home, model)
    if not path.is_file():
        raise ConfigError(
            f"no version of {model!r} is registered with MLflow: {path} is not there; a run that deploys one does it"
        )
    return _read_registry(path).tracking


def remember_registry(home: HomeLayout, model: str, tracking: TrackingConfig) -> None:
    """Write down where the versions of a model are registered; aliases that wait go on doing so."""
    path = _registry_path(home, model)
    with notes_lock(home):
        known = _read_registry(path) if path.is_file() else RegistryRecord(tracking)
        _write_registry(path, replace(known, tracking=tracking))


def ask_aliases(home: HomeLayout, model: str) -> None:
    """Write down that the aliases of a registered model have yet to be set."""
    with notes_lock(home):
        known = _read_registry(_registry_path(home, model))
        _write_registry(_registry_path(home, model), RegistryRecord(known.tracking, True, asked=known.asked + 1))


def note_aliases(home: HomeLayout, model: str, problem: str, *, asked: int) -> None:
    """Write down that the aliases are set, or why not, unless somebody has asked again since `asked`."""
    with notes_lock(home):
        known = _read_registry(_registry_path(home, model))
        if known.asked == asked:
            _write_registry(_registry_path(home, model), replace(known, waits=bool(problem), problem=problem))


def waiting_aliases(home: HomeLayout) -> dict[str, int]:
    """Models whose aliases have yet to be set, and how often that was asked for."""
    return {model: record.asked for model, record in registries(home).items() if record.waits}


def _spool(home: HomeLayout) -> Path:
    return tracking_root(home) / "spool"


def _spooled(directory: Path) -> SpooledRecord | None:
    """One bundle; none where it was sent while we looked."""
    try:
        pending = _read_pending(directory)
        noted, bundle = (directory / PENDING_FILE).stat().st_mtime, (directory / BUNDLE_FILE).stat()
        return SpooledRecord(directory.name, directory, pending, noted=noted, stamp=(bundle.st_ino, bundle.st_mtime_ns))
    except (ArtifactError, FileNotFoundError) as error:
        if not (directory / BUNDLE_FILE).exists():
            return None
        return SpooledRecord(directory.name, directory, {}, str(error))


def _clear(home: HomeLayout, run: str) -> None:
    """Remove what a killed process has left of bundles of a run."""
    with notes_lock(home):
        for left in _spool(home).glob(f".{run}.*"):
            shutil.rmtree(left)


def _registry_path(home: HomeLayout, model: str) -> Path:
    return tracking_root(home) / "registries" / f"{model}.json"


def _write_registry(path: Path, record: RegistryRecord) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    document = asdict(record) | {"tracking": record.tracking.model_dump(mode="json")}
    write_text_atomically(path, json.dumps(document, indent=1))


def _read_registry(path: Path) -> RegistryRecord:
    document = _read_json(path)
    try:
        return RegistryRecord(**{**document, "tracking": TrackingConfig.model_validate(document["tracking"])})
    except (ValueError, TypeError, KeyError) as error:
        raise ArtifactError(
            f"{path} must say where a model is registered: {error}; remove it, the next run writes it"
        ) from error


def _read_pending(directory: Path) -> dict[str, str]:
    return {str(tracker): str(problem) for tracker, problem in _read_json(directory / PENDING_FILE).items()}


def _write_pending(directory: Path, pending: dict[str, str]) -> None:
    write_text_atomically(directory / PENDING_FILE, json.dumps(pending, indent=1))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise TypeError("it holds no JSON object")
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"{path} cannot be read: {error}; remove its directory to forget what it was to send"
        ) from error
    return document
