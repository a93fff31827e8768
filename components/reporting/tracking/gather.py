"""From what a run left behind to what trackers are told of it."""

import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from components.reporting.evidence import EvidenceRecord
from components.reporting.gate_report import gate_records
from components.reporting.tracking.bundle import (
    PIPELINE_PART,
    BundleRecord,
    DatasetRecord,
    TrackedPartRecord,
    VersionSpec,
)
from components.reporting.tracking.tags import PART_TAG, RUN_TAG
from components.reporting.tracking.trials import search_metrics, trial_parts
from components.reporting.verdict import judge_run
from forecasting.backtest.summary import BacktestReport
from forecasting.cache import lock_digest
from forecasting.config.root import ReportRunSettings
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.revision import RevisionSpec
from forecasting.runs import StepRecord
from forecasting.tournament import VariantStatus

_STATUSES = {RunStatus.FAILED: "failed", RunStatus.STOPPED: "killed"}
_MAX_VALUE = 5_000
"""Characters of a parameter; MLflow refuses more than 6,000. The configuration itself is among the files."""


def gather_bundle(evidence: EvidenceRecord, settings: ReportRunSettings, *, revision: RevisionSpec) -> BundleRecord:
    """Describe a run for trackers; its files are linked by `link_files`.

    Args:
        evidence: What the run left behind.
        settings: Model and section tracking.
        revision: Commit of the code.
    """
    steps = [record for name, record in evidence.run.steps.items() if name != StepName.REPORT_RUN]
    outer = _outer_run(steps)
    deployment = evidence.deployment
    return BundleRecord(
        run=evidence.run.run,
        model=evidence.run.model,
        tracking=settings.tracking,
        pipeline=_pipeline(evidence, joined=outer, revision=revision),
        steps=tuple(part for record in steps for part in _parts(evidence, record, outer=outer)),
        dataset=_dataset(evidence),
        version=VersionSpec(deployment["version"], deployment["digest"]) if deployment else None,
        variant=str(deployment["variant"]) if deployment else "",
    )


def _outer_run(steps: list[StepRecord]) -> str | None:
    """The MLflow run that all steps found open: that of the pipeline, and not one of a step."""
    found = {step.mlflow_run for step in steps}
    # A pipeline system opens one a task; who starts the whole run inside of his own has opened one for all.
    return found.pop() if len(found) == 1 and len(steps) > 1 else None


def _pipeline(evidence: EvidenceRecord, *, joined: str | None, revision: RevisionSpec) -> TrackedPartRecord:
    verdict = judge_run(evidence)
    tags = {
        RUN_TAG: evidence.run.run,
        PART_TAG: PIPELINE_PART,
        "almanac.model": evidence.run.model,
        "almanac.status": evidence.status.value,
        "almanac.verdict": verdict.sentence,
        "almanac.cutoff": evidence.run.cutoff or "end of the table",
        "almanac.config_digest": evidence.run.config_digest,
        "almanac.lock_digest": lock_digest(),
    }
    if revision.commit:
        tags |= {"mlflow.source.git.commit": revision.commit, "almanac.git_dirty": str(revision.dirty).lower()}
    ended = max([step.started + step.duration_s for step in evidence.run.steps.values()], default=time.time())
    return TrackedPartRecord(
        part=PIPELINE_PART,
        name=evidence.run.run,
        status=_STATUSES.get(evidence.status, "finished"),
        started=evidence.run.created,
        ended=max(ended, evidence.run.created),
        joined=joined,
        parameters=_flat(yaml.safe_load(evidence.config) or {}) if evidence.config else {},
        metrics=dict(_finite(_pipeline_metrics(evidence))),
        tags=tags,
    )


def _parts(evidence: EvidenceRecord, record: StepRecord, *, outer: str | None) -> Iterator[TrackedPartRecord]:
    """A step, and the trials of one that searches, unless another run has told of them."""
    yield _step(evidence, record, outer=outer)
    if record.step == StepName.TUNE_MODEL and evidence.search is not None and not record.reused:
        yield from trial_parts(evidence.search, evidence.run.run, within=StepName.TUNE_MODEL.value)


def _step(evidence: EvidenceRecord, record: StepRecord, *, outer: str | None) -> TrackedPartRecord:
    step = record.step
    tags = {RUN_TAG: evidence.run.run, PART_TAG: step.value, "almanac.status": record.status.value}
    tags |= {"almanac.summary": record.summary} if record.summary else {}
    tags |= {"almanac.error": record.error} if record.error else {}
    tags |= {"almanac.reused_from": record.reused_from} if record.reused_from else {}
    if manifest := evidence.manifests.get(step):
        tags |= {"almanac.payload_digest": manifest.payload_digest, "almanac.cache_key": manifest.cache_key}
    return TrackedPartRecord(
        part=step.value,
        name=step.value,
        status=_STATUSES.get(record.status, "finished"),
        started=record.started,
        ended=record.started + record.duration_s,
        joined=None if outer else record.mlflow_run,
        metrics=dict(_finite(_step_metrics(evidence, record))),
        curves=_curves(evidence, step),
        tags=tags,
    )


def _pipeline_metrics(evidence: EvidenceRecord) -> Iterator[tuple[str, Any]]:
    for step, report in _backtests(evidence):
        yield from ((f"{step}/{name}", value) for name, value in _overall(report))


def _step_metrics(evidence: EvidenceRecord, record: StepRecord) -> Iterator[tuple[str, Any]]:
    yield "step/duration_s", record.duration_s
    yield "step/peak_rss_bytes", record.peak_rss_bytes
    yield from (_report(evidence, record.step) or {}).items()
    if record.step == StepName.TUNE_MODEL and evidence.search is not None:
        yield from search_metrics(evidence.search)
    for step, report in _backtests(evidence):
        if step == record.step:
            yield from _overall(report)
    if decision := evidence.decisions.get(record.step):
        for rule in decision.rules:
            name = _allowed(f"gate/{rule.rule}" + (f"/{rule.role}" if rule.role else ""))
            yield from ((f"{name}/value", rule.value), (f"{name}/limit", rule.limit), (f"{name}/margin", rule.margin))
    if record.step == StepName.COMPRESS_MODEL:
        for variant in evidence.variants:
            if variant.status is VariantStatus.BUILT:
                yield f"{variant.name}/size_bytes", variant.size_bytes
                yield f"{variant.name}/latency_p50_ms", variant.latency_p50_ms


def _report(evidence: EvidenceRecord, step: StepName) -> Mapping[str, Any] | None:
    return {
        StepName.VALIDATE_DATA: evidence.validation,
        StepName.TRAIN_MODEL: evidence.training,
        StepName.EVALUATE_MODEL: evidence.evaluation,
        StepName.EVALUATE_COMPRESSED: evidence.compressed_report,
        StepName.VALIDATE_SERVING: evidence.serving,
    }.get(step)


def _backtests(evidence: EvidenceRecord) -> Iterator[tuple[StepName, BacktestReport]]:
    for step, report in (
        (StepName.EVALUATE_MODEL, evidence.backtest),
        (StepName.EVALUATE_COMPRESSED, evidence.compressed),
    ):
        if report is not None:
            yield step, report


def _overall(report: BacktestReport) -> Iterator[tuple[str, Any]]:
    for model, summary in report.models.items():
        yield from ((_allowed(f"{model}/{metric}"), value) for metric, value in summary.overall.items())
        yield _allowed(f"{model}/outlier_ratio"), summary.outlier_ratio


def _curves(evidence: EvidenceRecord, step: StepName) -> dict[str, list[tuple[int, float]]]:
    """Training by epoch, and errors by step of the horizon."""
    curves: dict[str, list[tuple[int, float]]] = {}
    if step == StepName.TRAIN_MODEL:
        for row in evidence.history:
            for name, value in _finite(_epoch_numbers(row)):
                curves.setdefault(name, []).append((int(row["epoch"]), value))
    for owner, report in _backtests(evidence):
        if owner != step:
            continue
        for model, summary in report.models.items():
            for metric, values in summary.by_step.items():
                points = [(number, float(value)) for number, value in enumerate(values, 1) if math.isfinite(value)]
                curves[_allowed(f"{model}/{metric}_by_horizon_step")] = points
    return curves


def _epoch_numbers(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((name, value) for name, value in row.items() if name != "epoch")
    for layer, (before, after) in row.get("layer_norms", {}).items():
        yield _allowed(f"layer_gradient_norm/{layer}"), before
        yield _allowed(f"layer_clipped_gradient_norm/{layer}"), after


def _finite(pairs: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, float]]:
    """The numbers among named values; trackers take no others."""
    for name, value in pairs:
        if isinstance(value, int | float) and math.isfinite(value):
            yield name, float(value)


def _allowed(name: str) -> str:
    """A name of which MLflow takes every character."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-. :/") else "_" for letter in name)


def _dataset(evidence: EvidenceRecord) -> DatasetRecord | None:
    manifest = evidence.manifests.get(StepName.VALIDATE_DATA)
    if manifest is None:
        return None
    profile = evidence.profile or {}
    source = yaml.safe_load(evidence.config).get("data", {}).get("uri", "") if evidence.config else ""
    return DatasetRecord(
        name=evidence.run.model,
        digest=manifest.payload_digest,
        source=source or str((evidence.validation or {}).get("source", "")),
        columns=tuple(profile.get("columns", ())),
        profile=dict(_finite(iter(profile.items()))),
    )


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """`section.key` of every setting; a list is one setting, as JSON."""
    flat: dict[str, str] = {}
    for key, value in document.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            flat[_allowed(f"{prefix}{key}")] = text if len(text) <= _MAX_VALUE else text[:_MAX_VALUE] + "…"
    return flat


def gate_table(evidence: EvidenceRecord) -> dict[str, Any]:
    """Every rule of every gate as MLflow shows tables: columns, and rows of values."""
    columns = ["gate", "rule", "role", "value", "sign", "limit", "margin", "verdict", "reason"]
    rows = [
        [gate.step, rule.rule, rule.role, rule.value, rule.sign, rule.limit, rule.margin, rule.verdict, rule.reason]
        for gate in gate_records(evidence)
        for rule in gate.rules
    ]
    return {"columns": columns, "data": rows}
