"""Data and drift: whether data comes, and looks as it did."""

from forecasting.contracts import metric_names as m
from infra.monitoring.dashboards.panel_spec import DashboardSpec, RowSpec, age, lines, number, of, rate
from infra.monitoring.spec import RulesSpec

_PSI_LIMITS = ((0.0, "green"), (0.1, "yellow"), (0.25, "red"))


def data_drift(_: RulesSpec) -> DashboardSpec:
    """The dashboard."""
    return DashboardSpec(
        "almanac-data", "Almanac: data and drift", "Does data come, and is it distributed as it was?", (_coming(), _drift(), _run()), "now-7d",
    )  # fmt: skip


def _coming() -> RowSpec:
    return RowSpec("What comes", (
        lines("Age of the newest target", "By source.", "s", (age(m.DATA_LAST, "model, source"), "{{model}} {{source}}"), floor=0),
        lines("Observations posted", "Values a second, by what became of them.", "short", (rate(m.OBSERVED_VALUES, "status"), "{{status}}"), floor=0),
        lines("Missing values", "Share of the last window without a value.", "percentunit", (f"max by (feature) ({of(m.MISSING_RATIO)})", "{{feature}}"), floor=0, ceiling=1),
        number("Data that the champion knows", "Age of the last target that it was made with, and of its cutoff.", "s",
               (age(m.MODEL_DATA_END, "model"), "data"), (age(m.MODEL_CUTOFF, "model"), "cutoff")),
    ))  # fmt: skip


def _drift() -> RowSpec:
    return RowSpec("Drift", (
        lines("Stability index", "Population stability index of the last window against the same season of earlier years, and against the train cut, from which "
              "a column with seasons always differs; 0.1 is moderate, 0.25 much.", "short",
              (f"max by (feature, reference) ({of(m.DRIFT_PSI)})", "{{feature}} {{reference}}"), limits=_PSI_LIMITS, floor=0),
        lines("Kolmogorov-Smirnov", "Largest distance of the distributions, by reference.", "short",
              (f"max by (feature, reference) ({of(m.DRIFT_KS)})", "{{feature}} {{reference}}"), floor=0, ceiling=1),
        lines("Forecasts against the past target", "Stability index of the champion's forecasts for the last window.", "short",
              (f"max by (reference) ({of(m.PREDICTION_DRIFT_PSI)})", "{{reference}}"), limits=_PSI_LIMITS, floor=0),
        number("Values compared", "Of the last window, by column.", "short", (f"max by (feature) ({of(m.DRIFT_POINTS)})", "{{feature}}")),
        number("Last measured", "Time since.", "s", (age(m.DRIFT_LAST_RUN, "model"), "{{model}}")),
    ))  # fmt: skip


def _run() -> RowSpec:
    return RowSpec("Table of the last run", (
        lines("Series", "Accepted, and kept out by validation.", "short", (f"max by (status) ({of(m.PIPELINE_SERIES)})", "{{status}}"), floor=0),
        lines("Rows", "Read, duplicate, missing.", "short", (f"max by (status) ({of(m.PIPELINE_ROWS)})", "{{status}}"), floor=0),
        lines("Rules that the table breaks", "1 for each, by severity.", "short", (f"max by (rule, severity) ({of(m.PIPELINE_BROKEN_RULES)})", "{{severity}} {{rule}}"), floor=0),
    ))  # fmt: skip
