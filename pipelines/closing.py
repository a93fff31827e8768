"""The last lines of `almanac run`: what it came to, where the report is, how to serve it."""

import shlex
from typing import Any

from components.reporting.tracking.spool import NOTIFICATIONS_FILE, TRACKING_FILE
from forecasting.command_word import command_word
from forecasting.contracts.artifacts import DEPLOYMENT_FILE
from forecasting.contracts.codes import KILLED, ExitCode
from forecasting.contracts.layout import RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.formats import as_bytes, as_milliseconds, as_number
from forecasting.runs import RunRecord, failed_step
from forecasting.summary import (
    AccuracyReport,
    RunSummary,
    VariantReport,
    found_or_none,
    load_run_summary,
    read_document,
)
from pipelines.records import table
from pipelines.run import PIPELINE_LOG


def closing_lines(layout: RunLayout, record: RunRecord, config_path: str | None) -> list[str]:
    """Tables of errors and of variants, then version, report and the command that serves the champion.

    Args:
        layout: The run.
        record: Its record, finished.
        config_path: As given to the command, for the line that serves; none: the copy in the run, which
            holds what --set changed too.
    """
    summary = load_run_summary(layout)
    waits = bool(_deployment(layout).get("approval"))
    lines = [*_accuracy_lines(summary), *_variant_lines(summary, waits=waits), *_outcome_lines(layout, summary, record)]
    if summary.report is not None:
        lines.append(f"report   {summary.report}")
    lines += [f"left     {problem}" for problem in _left(layout)]
    if record.status == RunStatus.SUCCEEDED and summary.version is not None and not waits:
        lines.append(f"serve    {command_word()} serve -c {shlex.quote(config_path or str(layout.config))}")
    return lines


def failure_line(layout: RunLayout, record: RunRecord) -> str | None:
    """The true cause of a failed or stopped run and what to do, in one line; none where nothing failed."""
    failed = failed_step(record)
    if record.status == RunStatus.STOPPED:
        return f"run {record.run} was stopped; `{command_word()} run --resume {record.run}` continues it"
    if failed is None and record.status == RunStatus.FAILED:
        return f"run {record.run} ended before {record.last_step} without an error; {layout.logs / PIPELINE_LOG} may say why"
    if failed is None:
        return None
    if failed.exit_code == ExitCode.BUG:
        return f"{failed.step} failed: {failed.error_type}: {failed.error} ({layout.log(failed.step)} has the details)"
    if failed.exit_code in (ExitCode.RETRY, KILLED):
        return f"{failed.step} failed: {failed.error}; `{command_word()} run --resume {record.run}` tries again"
    return f"{failed.step}: {failed.error}"


def _accuracy_lines(summary: RunSummary) -> list[str]:
    models = (("naive", summary.naive), ("champion", summary.champion), ("candidate", summary.candidate))
    rows = [_accuracy_row(role, model) for role, model in models if model is not None]
    if not rows:
        return []
    unit = f" ({summary.unit})" if summary.unit else ""
    return [*table([("", f"MAE{unit}", f"RMSE{unit}"), *rows], right=frozenset({1, 2})), ""]


def _accuracy_row(role: str, model: AccuracyReport) -> tuple[str, str, str]:
    return (role, as_number(model.mae), as_number(model.rmse))


def _variant_lines(summary: RunSummary, *, waits: bool) -> list[str]:
    if not summary.variants:
        return []
    verdict = "shipped" if summary.version is not None and not waits else "chosen"
    rows = [_variant_row(variant, verdict if variant == summary.shipped else "") for variant in summary.variants]
    return [*table([("", "size", "latency", "MAE", ""), *rows], right=frozenset({1, 2, 3})), ""]


def _variant_row(variant: VariantReport, verdict: str) -> tuple[str, str, str, str, str]:
    sizes = (as_bytes(variant.size_bytes), as_milliseconds(variant.latency_p50_ms), as_number(variant.mae))
    return (variant.name, *sizes, verdict)


def _deployment(layout: RunLayout) -> dict[str, Any]:
    return found_or_none(read_document, layout.step(StepName.DEPLOY_MODEL) / DEPLOYMENT_FILE) or {}


def _left(layout: RunLayout) -> list[str]:
    """What trackers have yet to be told, and who could not be told."""
    report = layout.step(StepName.REPORT_RUN)
    sent = found_or_none(read_document, report / TRACKING_FILE) or {}
    told = found_or_none(read_document, report / NOTIFICATIONS_FILE) or {}
    return [*sent.get("problems", ()), *told.get("problems", ())]


def _outcome_lines(layout: RunLayout, summary: RunSummary, record: RunRecord) -> list[str]:
    match record.status:
        case RunStatus.REFUSED if record.refused_by == StepName.VALIDATE_DATA:
            return [f"data refused: {record.reason}; nothing was trained, the champion is untouched"]
        case RunStatus.REFUSED:
            return [f"not promoted: {record.refused_by} refused: {record.reason}; the champion is untouched"]
        case RunStatus.SUCCEEDED if summary.version is not None:
            deployment = _deployment(layout)
            already = record.steps[StepName.DEPLOY_MODEL].reused or deployment.get("already_champion")
            before = f" (before: {summary.previous_version})" if summary.previous_version else ""
            state = "is champion already" if already else f"deployed{before}"
            if approval := deployment.get("approval"):
                return [
                    f"model    {record.model} version {summary.version} waits for approval: {approval}",
                    f"approve  {command_word()} models approve {record.model}",
                ]
            return [f"model    {record.model} version {summary.version} {state}"]
        case RunStatus.SUCCEEDED:
            return [f"ended after {record.last_step}, as asked"]
        case _:
            return []
