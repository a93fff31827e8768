"""The files of a bundle, linked from the directories of a run."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from components.reporting.evidence import EvidenceRecord
from components.reporting.gate_report import GATE_REPORT_HTML, GATE_REPORT_JSON, GATE_REPORT_MARKDOWN
from components.reporting.tracking.bundle import FILES_DIR, GOLDEN_FILE, MODEL_DIR, PIPELINE_PART
from components.reporting.tracking.figures import draw_figures
from components.reporting.tracking.gather import gate_table
from components.reporting.variant_charts import variant_table
from forecasting.backtest.summary import finite_document
from forecasting.contracts.artifacts import (
    DECISION_FILE,
    DEPLOYMENT_FILE,
    FEATURE_SPEC_FILE,
    FORECAST_FILE,
    FORECAST_PICTURE_FILE,
    HISTORY_FILE,
    MANIFEST_FILE,
    METRICS_FILE,
    MODEL_SPEC_FILE,
    PROFILE_FILE,
    REPORT_FILE,
    RUN_REPORT_FILE,
    TOURNAMENT_FILE,
    TRIALS_FILE,
    TUNED_FILE,
    TUNING_PAGE_FILE,
    VALIDATION_PAGE_FILE,
)
from forecasting.contracts.layout import RunLayout
from forecasting.contracts.steps import StepName
from forecasting.manifests import payload_files

GATE_TABLE = "gates.json"
VARIANT_TABLE = "variants.json"
FIGURES_DIR = "figures"
_OF_REPORT = (RUN_REPORT_FILE, GATE_REPORT_JSON, GATE_REPORT_MARKDOWN, GATE_REPORT_HTML)
_OF_STEPS = (
    REPORT_FILE, DECISION_FILE, METRICS_FILE, HISTORY_FILE, PROFILE_FILE, MANIFEST_FILE, TOURNAMENT_FILE, DEPLOYMENT_FILE,
    FORECAST_FILE, FEATURE_SPEC_FILE, MODEL_SPEC_FILE, VALIDATION_PAGE_FILE, TUNED_FILE, TRIALS_FILE, TUNING_PAGE_FILE,
)  # fmt: skip


def link_files(
    evidence: EvidenceRecord, run: RunLayout, *, report: Path, version_dir: Path | None, target: Path
) -> None:
    """Put the files of a run into a bundle.

    Args:
        evidence: What the run left behind.
        run: The run.
        report: Directory with the page and the gate reports.
        version_dir: The version that was deployed, in the model repository; none where nothing was.
        target: Directory of the bundle.
    """
    for source, place in _places(run, report):
        if source.is_file():
            _link(source, target / FILES_DIR / place)
    figures = target / FILES_DIR / PIPELINE_PART / FIGURES_DIR
    figures.mkdir(parents=True, exist_ok=True)
    draw_figures(evidence, figures)
    table = json.dumps(gate_table(evidence))
    (target / FILES_DIR / PIPELINE_PART / GATE_TABLE).write_text(table, encoding="utf-8")
    if evidence.variants:
        table = json.dumps(finite_document(variant_table(evidence)))
        (target / FILES_DIR / PIPELINE_PART / VARIANT_TABLE).write_text(table, encoding="utf-8")
    if version_dir is None:
        return
    for source in payload_files(version_dir):
        _link(source, target / MODEL_DIR / source.relative_to(version_dir))
    golden = run.step(StepName.VALIDATE_SERVING) / GOLDEN_FILE
    if golden.is_file():
        _link(golden, target / GOLDEN_FILE)


def _places(run: RunLayout, report: Path) -> Iterator[tuple[Path, str]]:
    """Each file that a tracker gets, and where it lies among the files of a bundle."""
    yield run.config, f"{PIPELINE_PART}/{run.config.name}"
    yield report / FORECAST_PICTURE_FILE, f"{PIPELINE_PART}/{FIGURES_DIR}/{FORECAST_PICTURE_FILE}"
    yield from ((report / name, f"{PIPELINE_PART}/{name}") for name in _OF_REPORT)
    for step in StepName:
        if step != StepName.REPORT_RUN:
            yield from ((run.step(step) / name, f"{step.value}/{name}") for name in _OF_STEPS)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
