"""Step report_run: one page about a run, whatever became of it."""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from components.reporting.charts import ahead, forecast_figure
from components.reporting.evidence import EvidenceRecord, gather_evidence
from components.reporting.gate_report import write_gate_report
from components.reporting.notification.message import message_of
from components.reporting.notification.notify import notify
from components.reporting.page import calendar_zone, render_page
from components.reporting.picture import ShownForecastRecord, backtest_forecasts, example_forecasts, served_forecasts
from components.reporting.run_metrics import tell_run_metrics
from components.reporting.style import chart_style, save_png
from components.reporting.tracking.spool import NOTIFICATIONS_FILE, TRACKING_FILE
from components.reporting.tracking.track_run import track_run
from components.reporting.verdict import judge_run
from forecasting.config.root import ReportRunSettings
from forecasting.contracts.artifacts import FORECAST_PICTURE_FILE, REPORT_FILE, RUN_REPORT_FILE
from forecasting.contracts.layout import RunLayout
from forecasting.contracts.steps import StepName
from forecasting.steps import StepContext, StepOutcome

logger = logging.getLogger(__name__)

PICTURE_INCHES = (16.0, 8.0)
PICTURE_DOTS_PER_INCH = 100
PICTURE_FONT_SIZE = 16.0
"""Together 1600 × 800 dots, with type that can still be read at half of that."""


@dataclass(frozen=True)
class PageReport:
    """What the page says: the true status of the run, its verdict, and whether a forecast is drawn."""

    status: str
    verdict: str
    has_forecast: bool


def report_run(
    settings: ReportRunSettings,
    inputs: Mapping[StepName, Path],  # noqa: ARG001 - the step protocol
    output: Path,
    context: StepContext,
) -> StepOutcome:
    """Write the pages of a run, tell trackers of it, and who is to be notified.

    Args:
        settings: The model, where runs are written down, and who is told.
        inputs: Empty: the run directory itself is read, with whatever steps are there.
        output: Receives what `write_report` writes, metrics.prom, tracking.json and notifications.json.
        context: The run.

    Returns:
        Passed, with the verdict of the run.

    Raises:
        ConfigError: The run has no record.
        ArtifactError: The record of the run cannot be read.
    """
    evidence = gather_evidence(context.run)
    try:
        write_report(evidence, context.run, output)
        untold = tell_run_metrics(evidence, settings.monitoring, output, home=context.home, now=time.time())
        tracking = track_run(settings, evidence, report=output, context=context)
        (output / TRACKING_FILE).write_text(json.dumps(asdict(tracking), indent=1), encoding="utf-8")
    finally:
        # Who is to be told of a run is told also where its report cannot be written.
        told = notify(settings.notify, message_of(evidence, context.run))
    not_told = [record.sentence for record in told if record.problem]
    document = {"receivers": [asdict(record) for record in told], "problems": not_told}
    (output / NOTIFICATIONS_FILE).write_text(json.dumps(document, indent=1), encoding="utf-8")
    verdict = judge_run(evidence)
    left = [*untold, *tracking.problems, *not_told]
    return StepOutcome(True, "; ".join([f"{verdict.badge.lower()}: {verdict.sentence}", *left]))


def write_report(evidence: EvidenceRecord, run: RunLayout, output: Path) -> PageReport:
    """Write report.html, report.json, gate_report.json, .md and .html, and forecast.png where there is a forecast to draw.

    Args:
        evidence: What the run left behind.
        run: The run.
        output: Folder for the files.
    """
    forecasts = _forecasts(evidence, run)
    step_s = (evidence.profile or {}).get("step_s")
    examples = example_forecasts(run, evidence.diagnostics.get("examples", ()))
    page = render_page(evidence, forecasts=forecasts, step_s=step_s, examples=examples)
    (output / RUN_REPORT_FILE).write_text(page, encoding="utf-8")
    write_gate_report(evidence, output)
    if forecasts and step_s:
        _draw(forecasts[0], evidence, step_s=step_s, path=output / FORECAST_PICTURE_FILE)
    report = PageReport(evidence.status.value, judge_run(evidence).sentence, bool(forecasts))
    (output / REPORT_FILE).write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
    for problem in evidence.problems:
        logger.warning("left out of the report: %s", problem)
    return report


def _forecasts(evidence: EvidenceRecord, run: RunLayout) -> list[ShownForecastRecord]:
    if evidence.forecast is not None:
        return served_forecasts(evidence.forecast)
    return backtest_forecasts(run) if evidence.backtest is not None else []


def _draw(forecast: ShownForecastRecord, evidence: EvidenceRecord, *, step_s: int, path: Path) -> None:
    zone = calendar_zone(evidence.config)
    with chart_style("picture", font_size=PICTURE_FONT_SIZE):
        figure = forecast_figure(forecast, zone, size=PICTURE_INCHES, weight=1.5)
        which = (
            f"{forecast.target} of {forecast.id}"
            if (evidence.profile or {}).get("n_series", 1) > 1
            else forecast.target
        )
        title = f"{evidence.run.model}: {which}, {ahead(len(forecast.timestamps), step_s)}"
        figure.suptitle(title, x=0.012, ha="left", fontsize=22, fontweight="bold")
        figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15)  # type: ignore[union-attr, call-arg]
        save_png(figure, path, dots_per_inch=PICTURE_DOTS_PER_INCH)
