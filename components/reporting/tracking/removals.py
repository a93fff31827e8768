"""Runs and versions that are gone here and have yet to be removed from MLflow: written down before they go.

tracking/removals/<model>.json   `RemovalsRecord`
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from components.reporting.tracking.bundle import VersionSpec
from components.reporting.tracking.spool import notes_lock, tracking_root
from forecasting.config.tracking import TrackingConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.errors import ArtifactError
from forecasting.manifests import write_text_atomically


@dataclass(frozen=True)
class RemovalsRecord:
    """What MLflow is to forget of a model. runs: names. problem: why it has not, empty where nobody tried."""

    tracking: TrackingConfig
    runs: tuple[str, ...] = ()
    versions: tuple[VersionSpec, ...] = ()
    problem: str = ""


def removals_name(model: str) -> str:
    """How the removals of a model are called among what is sent."""
    return f"removals of {model}"


def note_removals(
    home: HomeLayout, model: str, tracking: TrackingConfig, *, runs: Sequence[str], versions: Sequence[VersionSpec]
) -> None:
    """Add to what MLflow is to forget of a model."""
    with notes_lock(home):
        known = removals(home).get(model, RemovalsRecord(tracking))
        record = RemovalsRecord(
            tracking, tuple(dict.fromkeys((*known.runs, *runs))), tuple(dict.fromkeys((*known.versions, *versions)))
        )
        _write(_path(home, model), record)


def note_removed(home: HomeLayout, model: str, sent: RemovalsRecord, problem: str) -> None:
    """Write down that MLflow has forgotten all of `sent`, or why it has not; what was added since waits on."""
    with notes_lock(home):
        known = removals(home)[model]
        if problem:
            _write(_path(home, model), replace(known, problem=problem))
            return
        runs = tuple(name for name in known.runs if name not in sent.runs)
        versions = tuple(version for version in known.versions if version not in sent.versions)
        if runs or versions:
            _write(_path(home, model), RemovalsRecord(known.tracking, runs, versions))
        else:
            _path(home, model).unlink()


def removals(home: HomeLayout) -> dict[str, RemovalsRecord]:
    """What MLflow is to forget, by model.

    Raises:
        ArtifactError: A file is damaged.
    """
    return {path.stem: _read(path) for path in sorted((tracking_root(home) / "removals").glob("[!.]*.json"))}


def _path(home: HomeLayout, model: str) -> Path:
    return tracking_root(home) / "removals" / f"{model}.json"


def _write(path: Path, record: RemovalsRecord) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    document = asdict(record) | {"tracking": record.tracking.model_dump(mode="json")}
    write_text_atomically(path, json.dumps(document, indent=1))


def _read(path: Path) -> RemovalsRecord:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return RemovalsRecord(
            TrackingConfig.model_validate(document["tracking"]),
            tuple(document["runs"]),
            tuple(VersionSpec(**version) for version in document["versions"]),
            document["problem"],
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(
            f"{path} must say what MLflow is to forget: {error}; remove it to leave that there"
        ) from error
