"""The page of a run: evidence and charts put into the template."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from markupsafe import Markup

from components.reporting.accuracy_charts import (
    comparison_spec,
    error_by_step_spec,
    example_spec,
    forecast_spec,
    slice_specs,
)
from components.reporting.chart_spec import ChartSpec, charts_document
from components.reporting.charts import histogram_svg, model_label
from components.reporting.error_charts import (
    autocorrelation_spec,
    calibration_spec,
    learning_curve_spec,
    normal_quantiles_spec,
    pit_spec,
)
from components.reporting.evidence import EvidenceRecord
from components.reporting.gate_report import gate_records
from components.reporting.picture import ShownForecastRecord
from components.reporting.rows import compared_metrics, importance_records, interval_records, slice_records
from components.reporting.templating import template_environment
from components.reporting.variant_charts import pareto_spec, variant_rows
from components.reporting.verdict import judge_run
from forecasting import formats
from forecasting.backtest.summary import better_naive
from forecasting.contracts.steps import StepName
from forecasting.learning_curve import read_curve
from forecasting.learning_patterns import DiagnosisReport, diagnose_curve
from forecasting.learning_remedies import REMEDIES

MOST_ROWS = 100
"""Rows of tables that grow with the table of the user; the files beside the page have all."""

MOST_REMEDIES = 3
"""Of a learning curve's pattern; `almanac diagnose` has all."""


@dataclass(frozen=True)
class CardRecord:
    """A headline number."""

    label: str
    value: str
    note: str


def render_page(
    evidence: EvidenceRecord,
    *,
    forecasts: list[ShownForecastRecord],
    step_s: int | None,
    examples: Mapping[str, ShownForecastRecord] | None = None,
) -> str:
    """The whole page as HTML that needs no network.

    Args:
        evidence: What the run left behind.
        forecasts: To be drawn, at most a few.
        step_s: Step of the series in seconds; none before validate_data has said it.
        examples: Forecasts of the backtest by kind, to be drawn beside each other.
    """
    charts = _charts(evidence, forecasts, step_s=step_s, examples=examples or {})
    report, diagnostics = evidence.backtest, evidence.diagnostics
    learning = _learning(evidence)
    document = charts_document(charts.values())
    figures = Markup(document)  # nosec B704 # JSON of our own with < > & escaped
    return (
        template_environment()
        .get_template("report.html.j2")
        .render(
            e=evidence,
            verdict=judge_run(evidence),
            cards=_cards(evidence),
            charts=charts,
            figures=figures,
            forecast_source=forecasts[0].source if forecasts else "",
            accuracy=_accuracy_rows(evidence),
            slices=slice_records(report) if report else (),
            intervals=interval_records(report) if report else (),
            metrics=compared_metrics(report) if report else (),
            comparison=diagnostics.get("comparison"),
            residuals=diagnostics.get("residuals"),
            importance=diagnostics.get("importance"),
            examples={example["kind"]: example for example in diagnostics.get("examples", ())},
            columns_importance=importance_records(diagnostics["importance"]) if diagnostics.get("importance") else (),
            learning=learning,
            remedies=REMEDIES[learning.pattern][:MOST_REMEDIES] if learning else (),
            outlier_ratio=_outlier_ratio(evidence),
            most_rows=MOST_ROWS,
            members=(evidence.training or {}).get("members", ()),
            shares=_shares_sentence(evidence),
            gates=gate_records(evidence),
            variants=variant_rows(evidence),
            not_tried=(evidence.compression or {}).get("left_out", {}),
            columns=_column_rows(evidence),
            quarantine=_quarantine(evidence),
            steps=_step_rows(evidence),
        )
    )


def calendar_zone(config: str) -> ZoneInfo:
    """Zone in which the model counts hours, for the time axis; UTC where it is not said."""
    document = yaml.safe_load(config) or {}
    name = (document.get("features") or {}).get("calendar_time_zone", "UTC")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def _cards(evidence: EvidenceRecord) -> list[CardRecord]:
    cards = []
    if evidence.backtest and "candidate" in evidence.backtest.models:
        report = evidence.backtest
        overall = report.models["candidate"].overall
        naive = report.models[better_naive(report.models)].overall["mae"]
        cards = [
            CardRecord("MAE of the candidate", formats.as_number(overall["mae"]), f"{report.unit}; naive {formats.as_number(naive)}"),
            CardRecord("Error over the naive's", formats.as_share(report.ratios.get("naive_ratio")), "100 % is no better than repeating the last season"),
            CardRecord("Inside the interval", formats.as_share(overall["coverage"]), f"of actuals; {formats.as_share(report.interval)} is nominal"),
        ]  # fmt: skip
    chosen = _chosen_variant(evidence)
    shipped = next((variant for variant in evidence.variants if variant.name == chosen), None)
    if shipped:
        cards.append(
            CardRecord(
                "Ships as",
                shipped.name,
                f"{formats.as_bytes(shipped.size_bytes)}, {formats.as_milliseconds(shipped.latency_p50_ms)} a forecast",
            )
        )
    if evidence.deployment:
        previous = evidence.deployment.get("previous_version")
        note = f"previous: version {previous}" if previous is not None else "the first one"
        label = "Candidate" if evidence.deployment.get("approval") else "Champion"
        cards.append(CardRecord(label, f"version {evidence.deployment['version']}", note))
    return cards


def _charts(
    evidence: EvidenceRecord,
    forecasts: list[ShownForecastRecord],
    *,
    step_s: int | None,
    examples: Mapping[str, ShownForecastRecord],
) -> dict[str, ChartSpec]:
    """Every chart of the page by its id, in no order: the template says where each stands."""
    zone = calendar_zone(evidence.config)
    report, diagnostics = evidence.backtest, evidence.diagnostics
    charts: list[ChartSpec | None] = [
        forecast_spec(forecast, zone, number=i, title=f"Series {forecast.id}" if len(forecasts) > 1 else "")
        for i, forecast in enumerate(forecasts)
    ]
    charts.append(pareto_spec(evidence))
    charts += [example_spec(forecast, zone, kind=kind) for kind, forecast in examples.items()]
    if report:
        charts += [*slice_specs(report), calibration_spec(report), pit_spec(report)]
        if step_s:
            charts.append(error_by_step_spec(report, step_s=step_s))
        if step_s and (comparison := diagnostics.get("comparison")):
            charts.append(comparison_spec(comparison, unit=report.unit, step_s=step_s))
    if residuals := diagnostics.get("residuals"):
        charts += [autocorrelation_spec(residuals), normal_quantiles_spec(residuals)]
    if evidence.history:
        # Without the report of the training, which loss it was is not known.
        training = evidence.training or {}
        loss, best = training.get("loss", "loss"), training.get("best_epoch")
        charts.append(learning_curve_spec(evidence.history, best_epoch=best, loss=loss))
    return {chart.id: chart for chart in charts if chart is not None}


def _outlier_ratio(evidence: EvidenceRecord) -> float | None:
    candidate = evidence.backtest.models.get("candidate") if evidence.backtest else None
    return candidate.outlier_ratio if candidate and math.isfinite(candidate.outlier_ratio) else None


def _learning(evidence: EvidenceRecord) -> DiagnosisReport | None:
    if not evidence.history:
        return None
    divergences = (evidence.training or {}).get("divergences", ())
    return diagnose_curve(read_curve(evidence.history, n_divergences=len(divergences)))


def _shares_sentence(evidence: EvidenceRecord) -> str:
    """Why the members of an ensemble have the shares that they have."""
    shares = (evidence.training or {}).get("shares")
    if not shares:
        return ""
    if shares["choice"] == "unchecked":
        return "Shares are fitted on the whole validation period, which is too short to check them on folds left out."
    fitted, equal = (formats.as_number(shares[name]) for name in ("fitted_loss", "equal_loss"))
    losses = f"on {shares['n_folds']} folds left out, fitted shares had a loss of {fitted} and equal ones of {equal}"
    if shares["choice"] == "equal":
        return f"Shares are equal: {losses}."
    return f"Shares are fitted on the validation period: {losses}."


def _accuracy_rows(evidence: EvidenceRecord) -> list[dict[str, Any]]:
    if evidence.backtest is None:
        return []
    models = evidence.backtest.models
    order = sorted(models, key=lambda name: (name != "candidate", name != "champion", models[name].overall["mae"]))
    return [
        {"label": model_label(name), "name": name, "mean": models[name].mean, **models[name].overall} for name in order
    ]


def _chosen_variant(evidence: EvidenceRecord) -> str | None:
    decision = evidence.decisions.get(StepName.EVALUATE_COMPRESSED)
    return decision.variant if decision else None


def _histogram(counts: Sequence[int]) -> Markup:
    drawn = histogram_svg(counts)
    return Markup(drawn)  # nosec B704 # drawn of numbers


def _column_rows(evidence: EvidenceRecord) -> list[dict[str, Any]]:
    columns: Mapping[str, Any] = (evidence.profile or {}).get("columns", {})
    return [
        {"name": name, "histogram": _histogram(column.get("histogram_counts", ())), **column}
        for name, column in columns.items()
    ]


def _quarantine(evidence: EvidenceRecord) -> dict[str, Any] | None:
    """Series left out of training and what becomes of them; none where there are none or the table was refused."""
    validation = evidence.validation or {}
    if not validation.get("passed") or not validation.get("quarantined"):
        return None
    serving = (yaml.safe_load(evidence.config) or {}).get("serving") or {}
    served = (
        "The gateway answers for them by the fallback, a seasonal naive forecast that is marked degraded."
        if serving.get("fallback", True)
        else "The gateway does not answer for them: serving.fallback is false."
    )
    return {"records": validation["quarantined"], "served": served}


def _step_rows(evidence: EvidenceRecord) -> list[dict[str, Any]]:
    steps = [step for name, step in evidence.run.steps.items() if name != StepName.REPORT_RUN]
    longest = max((step.duration_s for step in steps), default=0.0)
    rows = []
    for step in steps:
        manifest = evidence.manifests.get(step.step)
        rows.append(
            {
                "record": step,
                "width": 100 * step.duration_s / longest if longest and not step.reused else 0.0,
                "digest": manifest.payload_digest if manifest else "",
                "parents": manifest.parents if manifest else {},
                "n_files": len(manifest.payload) if manifest else 0,
            }
        )
    return rows
