"""What a search has found: its trials, which of its settings matter, and the best of them."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from forecasting.backtest.summary import finite_document
from forecasting.config.tuning import choice_label
from forecasting.errors import ArtifactError
from forecasting.manifests import write_text_atomically


class TrialOutcome(StrEnum):
    """What became of a trial. STOPPED: nothing yet, it is tried again by the next call."""

    SCORED = "scored"
    PRUNED = "pruned"
    REFUSED = "refused"
    FAILED = "failed"
    STOPPED = "stopped"
    RUNNING = "running"


OVER = (TrialOutcome.SCORED, TrialOutcome.PRUNED, TrialOutcome.REFUSED, TrialOutcome.FAILED)
"""Outcomes of trials that came to an end of their own."""


class TrialStage(StrEnum):
    """What a trial was made for; every trial of a search that is not staged is of the joint one, but the first."""

    BASELINE = "baseline"
    ONE_AT_A_TIME = "one at a time"
    JOINT = "joint"
    ARCHITECTURE = "architecture"
    FINALIST = "finalist"


@dataclass(frozen=True)
class FoldFitRecord:
    """The fit of one fold: the metric on the fold, losses of its best epoch in scaled units, epochs, CPU seconds.

    pattern: what its learning curve shows.
    """

    value: float
    train_loss: float
    validation_loss: float
    n_epochs: int
    cpu_s: float
    pattern: str = ""


@dataclass(frozen=True)
class FinalistRecord:
    """A trial again with other seeds. values: the metric by seed, the trial's own first. std: of them, with n - 1."""

    trial: int
    values: tuple[float, ...]
    mean: float
    std: float


@dataclass(frozen=True)
class TrialRecord:
    """One trial.

    settings: by path. value: the metric over all folds; none unless it was scored. epochs: validation losses of the first
    fold, by which trials are pruned. reason: why it was refused or failed. path: the one setting that differs, of a trial
    that varies one. seed: of its training, where it is not the configured one. started: in epoch seconds.
    """

    number: int
    outcome: TrialOutcome
    settings: Mapping[str, Any]
    value: float | None
    folds: tuple[FoldFitRecord, ...]
    epochs: tuple[float, ...]
    n_parameters: int | None
    duration_s: float | None
    reason: str
    stage: TrialStage = TrialStage.JOINT
    path: str = ""
    seed: int | None = None
    of: int | None = None
    started: float | None = None


@dataclass(frozen=True)
class TuningReport:
    """A whole search.

    baseline: the trial with the settings of the configuration as it was; none where the space does not hold them.
    importance: share of each setting in what changes the metric, largest first; empty for fewer than two scored trials.
    folds: (start, end) of each, UTC epoch seconds; the model of each was trained on what comes before. ends_before: start of
    the test period, of which nothing was read. finalists: of a staged search, the best first; the first one's trial is
    `best`. searched: settings that its joint stage varied, for they mattered one at a time.
    """

    model: str
    study: str
    metric: str
    maximised: bool
    sampler: str
    pruner: str
    folds: tuple[tuple[int, int], ...]
    ends_before: int
    trials: tuple[TrialRecord, ...]
    importance: Mapping[str, float]
    best: int | None
    baseline: int | None
    finalists: tuple[FinalistRecord, ...] = ()
    searched: tuple[str, ...] = ()

    def trial(self, number: int) -> TrialRecord:
        """A trial by its number."""
        return next(trial for trial in self.trials if trial.number == number)


@dataclass(frozen=True)
class TunedSettingsRecord:
    """The best settings of a search, by path, and what speaks for them; was: the configured ones. value: of the metric."""

    settings: Mapping[str, Any]
    was: Mapping[str, Any]
    metric: str
    value: float
    study: str
    trial: int
    n_trials: int


def write_tuned_settings(record: TunedSettingsRecord, path: Path) -> None:
    """Write the settings as JSON."""
    write_text_atomically(path, json.dumps(asdict(record), indent=1))


def read_tuned_settings(path: Path) -> TunedSettingsRecord:
    """Read what `write_tuned_settings` has written.

    Raises:
        ArtifactError: The file cannot be read.
    """
    try:
        return TunedSettingsRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path} must hold the best settings of a search: {error}; run tune_model again") from error


def write_tuning_report(report: TuningReport, path: Path) -> None:
    """Write the report as JSON; values that are not finite become null."""
    write_text_atomically(path, json.dumps(finite_document(asdict(report)), indent=1, allow_nan=False))


def read_tuning_report(path: Path) -> TuningReport:
    """Read what `write_tuning_report` has written.

    Raises:
        ArtifactError: The file cannot be read.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        trials = tuple(_read_trial(trial) for trial in document["trials"])
        finalists = tuple(FinalistRecord(**{**one, "values": tuple(one["values"])}) for one in document["finalists"])
        folds = tuple((int(start), int(end)) for start, end in document["folds"])
        return TuningReport(
            **{**document, "folds": folds, "trials": trials, "finalists": finalists, "searched": tuple(document["searched"])}
        )  # fmt: skip
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{path} must hold the trials of a search: {error}") from error


def _read_trial(document: Mapping[str, Any]) -> TrialRecord:
    folds = tuple(FoldFitRecord(**_numbers(fold)) for fold in document["folds"])
    settings = {path: tuple(value) if isinstance(value, list) else value for path, value in document["settings"].items()}  # fmt: skip
    epochs = tuple(math.nan if value is None else value for value in document["epochs"])
    outcome, stage = TrialOutcome(document["outcome"]), TrialStage(document["stage"])
    return TrialRecord(
        **{**document, "outcome": outcome, "settings": settings, "folds": folds, "epochs": epochs, "stage": stage}
    )


def _numbers(document: Mapping[str, Any]) -> dict[str, Any]:
    """A record of numbers, of which JSON has none that is not finite."""
    return {name: math.nan if value is None else value for name, value in document.items()}


def write_trials(report: TuningReport, path: Path) -> None:
    """Write one row a trial as Parquet: outcome, metric, losses (means over the folds), time, and each setting as text."""
    trials = report.trials
    paths = sorted({path for trial in trials for path in trial.settings})
    columns = {
        "trial": pa.array([trial.number for trial in trials], pa.int64()),
        "outcome": pa.array([trial.outcome.value for trial in trials], pa.string()),
        report.metric: pa.array([trial.value for trial in trials], pa.float64()),
        "train_loss": pa.array([_mean(trial, "train_loss") for trial in trials], pa.float64()),
        "validation_loss": pa.array([_mean(trial, "validation_loss") for trial in trials], pa.float64()),
        "cpu_s": pa.array([_mean(trial, "cpu_s") for trial in trials], pa.float64()),
        "n_epochs_seen": pa.array([len(trial.epochs) for trial in trials], pa.int64()),
        "n_parameters": pa.array([trial.n_parameters for trial in trials], pa.int64()),
        "duration_s": pa.array([trial.duration_s for trial in trials], pa.float64()),
        "reason": pa.array([trial.reason for trial in trials], pa.string()),
    }
    for name in paths:
        values = [choice_label(trial.settings[name]) if name in trial.settings else None for trial in trials]
        columns[name] = pa.array(values, pa.string())
    pq.write_table(pa.table(columns), path)


def _mean(trial: TrialRecord, field: str) -> float | None:
    values = [float(getattr(fold, field)) for fold in trial.folds]
    return sum(values) / len(values) if values else None
