"""What `almanac gc` removes: chosen first, then renamed out of sight, then deleted.

A kill in the middle leaves a home in which everything is either there as a whole or gone: a run leaves by one rename
into `.trash/`, which the next collection empties, a version by one rename too, and what MLflow is to forget is written
down before either goes.
"""

import os
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.reporting.tracking.bundle import VersionSpec
from components.reporting.tracking.removals import note_removals
from forecasting.config import AlmanacConfig
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole
from forecasting.durations import duration_s
from forecasting.errors import ArtifactError
from forecasting.leases import run_is_going, step_is_going
from forecasting.repository import ModelRepository
from forecasting.runs import RunRecord, list_runs, load_run
from pipelines.fits import backtest_home

TRASH_DIR = ".trash"


@dataclass(frozen=True)
class GarbageRecord:
    """Something that goes. kind: run, version, fit or leftover. n_bytes: of its files, hard links counted whole."""

    kind: str
    name: str
    path: Path
    n_bytes: int
    reason: str


@dataclass(frozen=True)
class KeptRecord:
    """A run that would go by its age and stays."""

    name: str
    reason: str


@dataclass(frozen=True)
class CollectionReport:
    """What goes and what stays in spite of the policy. freed_bytes: once all of it is gone; files with other links stay."""

    garbage: tuple[GarbageRecord, ...]
    kept: tuple[KeptRecord, ...]
    freed_bytes: int

    def of(self, kind: str) -> tuple[GarbageRecord, ...]:
        """What goes of one kind."""
        return tuple(found for found in self.garbage if found.kind == kind)


def choose_garbage(config: AlmanacConfig, home: HomeLayout, now: float) -> CollectionReport:
    """Say what goes, and remove nothing; the caller holds the lease of the model.

    Args:
        config: Its name says which model, its section retention what stays.
        home: The home.
        now: UTC epoch seconds.
    """
    policy = config.retention
    old = _old_runs(_runs_of(home, config.name), keep=policy.keep_runs, youngest=_youngest(policy.keep_for, now))
    bound = _bound_runs(home, config.name)
    kept, garbage = [], []
    for layout, record in old:
        if reason := bound.get(record.run) or _going(layout):
            kept.append(KeptRecord(record.run, reason))
        else:
            garbage.append(_garbage("run", record.run, layout.root, f"not among the newest {policy.keep_runs} runs"))
    garbage += _old_versions(config, home)
    fits = _old_runs(_runs_of(backtest_home(home), config.name), keep=0, youngest=_youngest(policy.keep_fits_for, now))
    garbage += [
        _garbage("fit", record.run, layout.root, f"begun more than {policy.keep_fits_for} ago")
        for layout, record in fits
        if not _going(layout)
    ]
    left = sorted(_trash(home).iterdir()) if _trash(home).is_dir() else []
    garbage += [_garbage("leftover", path.name, path, "left by a collection that was killed") for path in left]
    return CollectionReport(tuple(garbage), tuple(kept), freed_bytes([found.path for found in garbage]))


def remove_garbage(report: CollectionReport, config: AlmanacConfig, home: HomeLayout) -> None:
    """Remove what was chosen; the caller holds the lease of the model since before it was.

    Args:
        report: What `choose_garbage` said.
        config: The same configuration.
        home: The same home.
    """
    repository = ModelRepository(home.models)
    versions = [int(found.name) for found in report.of("version")]
    if config.retention.tracked and (report.of("run") or versions):
        note_removals(
            home,
            config.name,
            config.tracking,
            runs=[found.name for found in report.of("run")],
            versions=[VersionSpec(number, _digest(repository, config.name, number)) for number in versions],
        )
    trash = _trash(home)
    trash.mkdir(parents=True, exist_ok=True)
    for found in (*report.of("run"), *report.of("fit")):
        found.path.rename(trash / f"{found.name}.{os.getpid()}.{time.monotonic_ns()}")
    if versions:
        repository.prune(config.name, _keep_versions(config))
    shutil.rmtree(trash)


def freed_bytes(paths: Iterable[Path]) -> int:
    """Bytes on disk that deleting some directories frees: of files none of whose links lies elsewhere."""
    sizes: dict[tuple[int, int], tuple[int, int, int]] = {}
    for path in paths:
        for file in _files(path):
            found = file.stat()
            _, _, seen = sizes.get((found.st_dev, found.st_ino), (0, 0, 0))
            sizes[found.st_dev, found.st_ino] = (found.st_size, found.st_nlink, seen + 1)
    return sum(size for size, links, seen in sizes.values() if seen >= links)


def _runs_of(home: HomeLayout, model: str) -> list[tuple[RunLayout, RunRecord]]:
    """Runs of a model whose record can be read, newest first; what cannot be read is nothing to judge by and stays."""
    found = []
    for layout in list_runs(home):
        try:
            record = load_run(layout)
        except ArtifactError:
            continue
        if record.model == model:
            found.append((layout, record))
    return sorted(found, key=lambda pair: pair[1].created, reverse=True)


def _old_runs(
    runs: Sequence[tuple[RunLayout, RunRecord]], *, keep: int, youngest: float
) -> list[tuple[RunLayout, RunRecord]]:
    return [(layout, record) for layout, record in runs[keep:] if record.created < youngest]


def _youngest(keep_for: str | None, now: float) -> float:
    """Runs begun at this time or later stay."""
    return now - duration_s(keep_for) if keep_for else float("inf")


def _bound_runs(home: HomeLayout, model: str) -> dict[str, str]:
    """Runs that versions with a role came from, and why they stay."""
    repository = ModelRepository(home.models)
    roles = {role: repository.role(model, role) for role in ModelRole}
    return {
        str(repository.record(model, version).get("run")): f"version {version}, the {role.value}, came from it"
        for role, version in roles.items()
        if version is not None
    }


def _going(layout: RunLayout) -> str:
    if run_is_going(layout) or any(step_is_going(layout, step) for step in StepName):
        return "it is going"
    return ""


def _old_versions(config: AlmanacConfig, home: HomeLayout) -> list[GarbageRecord]:
    repository, keep = ModelRepository(home.models), _keep_versions(config)
    if config.name not in repository.names():
        return []
    return [
        _garbage(
            "version", str(number), repository.version_dir(config.name, number), f"not among the newest {keep} versions"
        )
        for number in repository.prunable(config.name, keep)
    ]


def _keep_versions(config: AlmanacConfig) -> int:
    return config.retention.keep_versions or config.serving.keep_versions


def _digest(repository: ModelRepository, model: str, version: int) -> str:
    return str(repository.record(model, version).get("digest", ""))


def _garbage(kind: str, name: str, path: Path, reason: str) -> GarbageRecord:
    return GarbageRecord(kind, name, path, sum(file.stat().st_size for file in _files(path)), reason)


def _files(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]


def _trash(home: HomeLayout) -> Path:
    return home.root / TRASH_DIR
