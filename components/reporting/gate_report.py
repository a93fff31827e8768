"""Every rule of every gate of a run: for machines (JSON), for a review (Markdown), for a browser (HTML)."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from components.reporting.evidence import EvidenceRecord
from components.reporting.templating import template_environment
from components.reporting.verdict import judge_run
from forecasting.formats import as_margin, as_number
from forecasting.gates import GateDecision, GateResult

GATE_REPORT_JSON = "gate_report.json"
GATE_REPORT_MARKDOWN = "gate_report.md"
GATE_REPORT_HTML = "gate_report.html"

LABELS = {
    "max_missing_ratio": "Sanity: share of steps without a forecast",
    "max_nonfinite_ratio": "Sanity: share of forecasts that are no number",
    "max_crossed_ratio": "Sanity: share of steps whose quantiles cross",
    "max_range_ratio": "Sanity: distance beyond the history, in its ranges",
    "max_mae": "Mean absolute error",
    "max_rmse": "Root mean squared error",
    "max_mase": "Error over the naive's in the train cut",
    "max_wape": "Sum of errors over the sum of actuals",
    "max_abs_bias": "Mean error, either way",
    "max_naive_ratio": "Error over the better seasonal naive's",
    "min_naive_ratio": "Leak alarm: error over the better seasonal naive's",
    "beats_naive": "First model: error over the better seasonal naive's",
    "max_naive_p_value": "Luck: p-value of being better than the naive",
    "max_champion_ratio": "Error over the champion's",
    "min_champion_ratio": "Leak alarm: error over the champion's",
    "min_champion_improvement": "Improvement over the champion",
    "max_champion_p_value": "Luck: p-value of being better than the champion",
    "max_cutoff_lag_days": "Days by which the cutoff lies before the champion's",
    "max_cold_start_naive_ratio": "New series: error over the better seasonal naive's",
    "max_worst_series_naive_ratio": "Worst series: error over the better seasonal naive's",
    "max_worse_series_share": "Share of series that got worse than the champion",
    "max_bucket_naive_ratio": "Worst horizon bucket: error over the naive's",
    "max_holiday_naive_ratio": "Holidays: error over the better seasonal naive's",
    "min_coverage": "Share of actuals inside the interval",
    "max_coverage": "Share of actuals inside the interval",
    "max_outlier_ratio": "Outliers in the history: error over that without them",
    "exceedance.min_accuracy": "Exceeding the threshold: right decisions",
    "exceedance.min_precision": "Exceeding the threshold: precision",
    "exceedance.min_recall": "Exceeding the threshold: recall",
    "exceedance.min_f1": "Exceeding the threshold: F1",
    "exceedance.min_auc": "Exceeding the threshold: area under the ROC curve",
    "exceedance.max_brier": "Exceeding the threshold: Brier score",
    "max_accuracy_loss": "Increase of the error over the float model's",
    "max_coverage_change": "Change of the share of actuals inside the interval",
    "max_extreme_ratio": "Made-up windows: difference from the float network",
    "max_worst_series_loss": "Worst series: increase of the error over the float model's",
    "max_latency_ms": "Latency of one forecast over gRPC, 99th percentile, ms",
    "max_difference_ratio": "Largest difference between gRPC, REST and in process",
    "max_size_bytes": "Size of the version directory, bytes",
    "max_load_s": "Start of the server to available, seconds",
}


@dataclass(frozen=True)
class RuleRecord:
    """One rule as it is shown. value, margin: none where it could not be measured. verdict: passed or failed."""

    rule: str
    label: str
    role: str
    value: float | None
    sign: str
    limit: float
    margin: float | None
    verdict: str
    reason: str

    @property
    def passed(self) -> bool:
        """Whether the rule holds."""
        return self.verdict == "passed"


@dataclass(frozen=True)
class GateRecord:
    """One gate as it is shown. notes: rules that were not judged, and why. approval: why a person must approve."""

    step: str
    passed: bool
    reason: str
    approval: str
    notes: tuple[str, ...]
    rules: tuple[RuleRecord, ...]


@dataclass(frozen=True)
class RunGatesReport:
    """Contents of gate_report.json. badge, sentence: the verdict of the run. gates: in the order in which they judged."""

    run: str
    model: str
    badge: str
    sentence: str
    tone: str
    gates: tuple[GateRecord, ...]


def gate_records(evidence: EvidenceRecord) -> tuple[GateRecord, ...]:
    """The gates of a run that have judged."""
    return tuple(_gate(step.value, decision) for step, decision in evidence.decisions.items() if decision.rules)


def write_gate_report(evidence: EvidenceRecord, output: Path) -> None:
    """Write gate_report.json, gate_report.md and gate_report.html; without a gate that judged they say so.

    Args:
        evidence: What the run left behind.
        output: Folder for the three files.
    """
    verdict = judge_run(evidence)
    report = RunGatesReport(
        run=evidence.run.run,
        model=evidence.run.model,
        badge=verdict.badge,
        sentence=verdict.sentence,
        tone=verdict.tone,
        gates=gate_records(evidence),
    )
    text = json.dumps(asdict(report), indent=1, allow_nan=False)
    (output / GATE_REPORT_JSON).write_text(text, encoding="utf-8")
    (output / GATE_REPORT_MARKDOWN).write_text(gate_markdown(report), encoding="utf-8")
    page = template_environment().get_template("gate_report.html.j2").render(report=report)
    (output / GATE_REPORT_HTML).write_text(page, encoding="utf-8")


def gate_markdown(report: RunGatesReport) -> str:
    """The report as Markdown, for a pull request or a ticket."""
    lines = [f"# {report.badge}: {report.model}", "", _cell(report.sentence), "", f"Run `{report.run}`."]
    for gate in report.gates:
        lines += ["", f"## {'Passed' if gate.passed else 'Refused'}: {gate.step}", "", f"{_cell(gate.reason)}."]
        if gate.approval:
            lines += ["", f"A person must approve: {_cell(gate.approval)}."]
        lines += ["", "| verdict | rule | of | value | limit | margin |", "|---|---|---|---:|---:|---:|"]
        lines += [_markdown_row(rule) for rule in gate.rules]
        lines += ["", *(f"- {_cell(note)}" for note in gate.notes)] if gate.notes else []
    if not report.gates:
        lines += ["", "No gate has judged a model."]
    return "\n".join(lines) + "\n"


def _markdown_row(rule: RuleRecord) -> str:
    why = f" ({rule.reason})" if rule.reason else ""
    cells = (
        rule.verdict if rule.passed else f"**{rule.verdict}**",
        f"{rule.label} `{rule.rule}`{why}",
        rule.role,
        as_number(rule.value),
        f"{rule.sign} {as_number(rule.limit)}",
        as_margin(rule.margin, rule.limit),
    )
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    """Text in one cell of a table: no line break, no bar that would end it."""
    return " ".join(text.split()).replace("|", "\\|")


def _gate(step: str, decision: GateDecision) -> GateRecord:
    rules = tuple(_rule(result) for result in decision.rules)
    return GateRecord(step, decision.passed, decision.reason, decision.approval, decision.notes, rules)


def _rule(result: GateResult) -> RuleRecord:
    return RuleRecord(
        rule=result.rule,
        label=_label(result.rule),
        role=result.role,
        value=_finite(result.value),
        sign=result.direction.sign,
        limit=result.limit,
        margin=_finite(result.margin),
        verdict="passed" if result.passed else "failed",
        reason=result.reason,
    )


def _label(rule: str) -> str:
    if rule.startswith("coverage_bands"):
        return f"Share of actuals inside the interval of {rule.split()[1]}"
    return LABELS.get(rule, rule)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
