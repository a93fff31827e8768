"""A bundle: all that trackers are told of one run, as a directory that outlives the run.

    bundle.json                 `BundleRecord`
    files/run/…                 files of the run of the pipeline
    files/<step>/…              files of the nested run of a step
    model/                      the version that was deployed, and golden.npz, a request with its answer

Files are hard links where the file system has them. An address is kept as it is written, with
`${NAME}` for what only the environment may hold.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from forecasting.config.tracking import TrackingConfig
from forecasting.errors import ArtifactError
from forecasting.manifests import write_text_atomically

BUNDLE_FILE = "bundle.json"
FILES_DIR = "files"
MODEL_DIR = "model"
GOLDEN_FILE = "golden.npz"
PIPELINE_PART = "run"
"""Name of the part of the whole pipeline; the others have the names of steps."""


@dataclass(frozen=True)
class TrackedPartRecord:
    """One run as a tracker knows it: that of the pipeline or of a search, or the nested one of a step or a trial.

    joined: id of the MLflow run that the pipeline system has opened for it, none where it has not. status:
    finished, failed or killed. within: the part that its run is nested in. Times are epoch seconds. curves: points (epoch or step, value) by name. Values
    are finite.
    """

    part: str
    name: str
    status: str
    started: float
    ended: float
    joined: str | None = None
    within: str = PIPELINE_PART
    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetRecord:
    """The table of a run. digest: of the series store made of it. source: its address as written."""

    name: str
    digest: str
    source: str
    columns: tuple[str, ...]
    profile: Mapping[str, float]


@dataclass(frozen=True)
class VersionSpec:
    """A version of the model repository: its number and the digest of its files."""

    number: int
    digest: str


@dataclass(frozen=True)
class BundleRecord:
    """Contents of bundle.json. version: what was deployed, none where nothing was; `model/` holds its files."""

    run: str
    model: str
    tracking: TrackingConfig
    pipeline: TrackedPartRecord
    steps: tuple[TrackedPartRecord, ...]
    dataset: DatasetRecord | None = None
    version: VersionSpec | None = None
    variant: str = ""


def write_bundle(bundle: BundleRecord, directory: Path) -> None:
    """Write bundle.json, last of a bundle's files."""
    document = asdict(bundle) | {"tracking": bundle.tracking.model_dump(mode="json")}
    write_text_atomically(directory / BUNDLE_FILE, json.dumps(document, indent=1))


def read_bundle(directory: Path) -> BundleRecord:
    """Read bundle.json.

    Raises:
        ArtifactError: It is missing or no bundle of this version.
    """
    path = directory / BUNDLE_FILE
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return BundleRecord(
            **{
                **document,
                "tracking": TrackingConfig.model_validate(document["tracking"]),
                "pipeline": TrackedPartRecord(**document["pipeline"]),
                "steps": tuple(TrackedPartRecord(**part) for part in document["steps"]),
                "dataset": _dataset(document["dataset"]),
                "version": VersionSpec(**document["version"]) if document["version"] else None,
            }
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(
            f"{path} must describe a run for trackers: {error}; remove its directory to forget it"
        ) from error


def _dataset(document: dict[str, Any] | None) -> DatasetRecord | None:
    return DatasetRecord(**{**document, "columns": tuple(document["columns"])}) if document else None
