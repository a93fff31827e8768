"""Everything that the steps of a run left behind, read with patience: a report is due for any run."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from forecasting.backtest.diagnostics import DIAGNOSTICS_FILE
from forecasting.backtest.summary import BacktestReport, read_backtest_report
from forecasting.contracts.artifacts import (
    DECISION_FILE,
    DEPLOYMENT_FILE,
    FORECAST_FILE,
    HISTORY_FILE,
    METRICS_FILE,
    PROFILE_FILE,
    REPORT_FILE,
    TOURNAMENT_FILE,
    TRIALS_FILE,
    VALIDATION_PAGE_FILE,
)
from forecasting.contracts.layout import RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import ArtifactError
from forecasting.gates import GateDecision, read_decision
from forecasting.manifests import Manifest, load_manifest
from forecasting.runs import RunRecord, StepRecord, derive_status, failed_step, load_run
from forecasting.summary import read_document
from forecasting.tournament import VariantRecord, read_tournament
from forecasting.tuning_record import TuningReport, read_tuning_report

Content = TypeVar("Content")

GATE_STEPS = (StepName.EVALUATE_MODEL, StepName.EVALUATE_COMPRESSED, StepName.VALIDATE_SERVING)
"""Gates whose decision is a table of rules; validate_data has checks instead."""


@dataclass(frozen=True)
class EvidenceRecord:
    """What a run left behind; none or empty where it did not get that far.

    status: as it follows from the steps. culprit: the step that failed, was stopped or died. problems:
    files that are there and cannot be read. validation_page: what validate_data drew, as a link from the
    report's own directory; empty where there is none.
    """

    run: RunRecord
    status: RunStatus
    culprit: StepRecord | None
    config: str
    manifests: Mapping[StepName, Manifest] = field(default_factory=dict)
    decisions: Mapping[StepName, GateDecision] = field(default_factory=dict)
    validation: Mapping[str, Any] | None = None
    profile: Mapping[str, Any] | None = None
    search: TuningReport | None = None
    training: Mapping[str, Any] | None = None
    history: tuple[Mapping[str, Any], ...] = ()
    evaluation: Mapping[str, Any] | None = None
    backtest: BacktestReport | None = None
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    variants: tuple[VariantRecord, ...] = ()
    compression: Mapping[str, Any] | None = None
    compressed: BacktestReport | None = None
    compressed_report: Mapping[str, Any] | None = None
    serving: Mapping[str, Any] | None = None
    deployment: Mapping[str, Any] | None = None
    forecast: Mapping[str, Any] | None = None
    validation_page: str = ""
    problems: tuple[str, ...] = ()


class _Reader:
    """Reads files that may be absent and remembers those that are damaged."""

    def __init__(self, run: RunLayout) -> None:
        self.run = run
        self.problems: list[str] = []

    def read(self, parse: Callable[[Path], Content], step: StepName, name: str) -> Content | None:
        path = self.run.step(step) / name
        if not path.exists():
            return None
        try:
            return parse(path)
        except ArtifactError as error:
            self.problems.append(str(error).replace(str(self.run.root) + os.sep, ""))
            return None


def gather_evidence(run: RunLayout) -> EvidenceRecord:
    """Read the run directory.

    Raises:
        ConfigError: There is no run record.
        ArtifactError: The run record cannot be read.
    """
    record = load_run(run)
    reader = _Reader(run)
    died = _died(record)
    decisions = {step: reader.read(read_decision, step, DECISION_FILE) for step in GATE_STEPS}
    manifests = {step: reader.read(load_manifest, step, "") for step in StepName if step != StepName.REPORT_RUN}
    return EvidenceRecord(
        run=record,
        status=RunStatus.FAILED if died else derive_status(record),
        culprit=died or failed_step(record),
        config=run.config.read_text(encoding="utf-8") if run.config.exists() else "",
        manifests={step: found for step, found in manifests.items() if found is not None},
        decisions={step: found for step, found in decisions.items() if found is not None},
        validation=reader.read(read_document, StepName.VALIDATE_DATA, REPORT_FILE),
        profile=reader.read(read_document, StepName.VALIDATE_DATA, PROFILE_FILE),
        search=reader.read(read_tuning_report, StepName.TUNE_MODEL, TRIALS_FILE),
        training=reader.read(read_document, StepName.TRAIN_MODEL, REPORT_FILE),
        history=reader.read(_history, StepName.TRAIN_MODEL, HISTORY_FILE) or (),
        evaluation=reader.read(read_document, StepName.EVALUATE_MODEL, REPORT_FILE),
        backtest=reader.read(read_backtest_report, StepName.EVALUATE_MODEL, METRICS_FILE),
        diagnostics=reader.read(read_document, StepName.EVALUATE_MODEL, DIAGNOSTICS_FILE) or {},
        variants=reader.read(read_tournament, StepName.COMPRESS_MODEL, TOURNAMENT_FILE) or (),
        compression=reader.read(read_document, StepName.COMPRESS_MODEL, REPORT_FILE),
        compressed=reader.read(read_backtest_report, StepName.EVALUATE_COMPRESSED, METRICS_FILE),
        compressed_report=reader.read(read_document, StepName.EVALUATE_COMPRESSED, REPORT_FILE),
        serving=reader.read(read_document, StepName.VALIDATE_SERVING, REPORT_FILE),
        deployment=reader.read(read_document, StepName.DEPLOY_MODEL, DEPLOYMENT_FILE),
        forecast=reader.read(read_document, StepName.DEPLOY_MODEL, FORECAST_FILE),
        validation_page=_validation_page(run),
        problems=tuple(reader.problems),
    )


def _validation_page(run: RunLayout) -> str:
    """A link, and no copy: the page links to the Data Docs beside it."""
    page = run.step(StepName.VALIDATE_DATA) / VALIDATION_PAGE_FILE
    return f"../{page.relative_to(run.root).as_posix()}" if page.is_file() else ""


def _died(record: RunRecord) -> StepRecord | None:
    """A step that still counts as running: when the report is made nothing else runs, so its process is gone."""
    left = [
        step for name, step in record.steps.items() if name != StepName.REPORT_RUN and step.status == RunStatus.RUNNING
    ]
    return left[0] if left else None


def _history(path: Path) -> tuple[Mapping[str, Any], ...]:
    try:
        epochs = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ArtifactError(f"{path} must list the epochs of a training: {error}") from error
    return tuple(epochs)
