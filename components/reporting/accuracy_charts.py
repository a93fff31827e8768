"""Charts of forecasts and of how far they were off."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from components.reporting.chart_spec import BandSpec, ChartSpec, LineKind, LineSpec, MarkSpec, numbers
from components.reporting.charts import legend_label, step_unit
from components.reporting.picture import ShownForecastRecord
from forecasting.backtest.examples import TYPICAL, WORST
from forecasting.backtest.slices import HOURS, WEEKDAYS
from forecasting.backtest.summary import BacktestReport, ModelReport
from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.metrics.registry import intervals

EXAMPLE_TITLES = {TYPICAL: "A usual forecast of the backtest", WORST: "Its worst forecast"}
_MAIN = ("candidate", "champion")
_HALF = 0.5
"""Nominal share of the interval that is drawn inside the outer one, or the next to it."""


def forecast_spec(forecast: ShownForecastRecord, zone: ZoneInfo, *, number: int, title: str) -> ChartSpec:
    """History, actuals, intervals, median and, where there is one, mean of one forecast.

    Args:
        forecast: What is drawn.
        zone: Of the times on the x axis.
        number: Of the forecast on the page.
        title: Above it.
    """
    past, ahead = len(forecast.history_timestamps), len(forecast.timestamps)
    before = (None,) * past

    def beyond(values: npt.NDArray[np.float64]) -> tuple[float | None, ...]:
        return (*before, *numbers(values.tolist()))

    lines: list[LineSpec] = []
    bands: list[BandSpec] = []
    for share, low, high in _drawn_intervals(forecast.levels):
        bands.append(BandSpec(f"{100 * share:.0f} % interval", len(lines), len(lines) + 1, "candidate"))
        lines += [
            LineSpec(f"{level:g} quantile", "candidate", beyond(forecast.quantiles[:, place]), LineKind.HIDDEN)
            for level, place in ((forecast.levels[low], low), (forecast.levels[high], high))
        ]
    lines.append(LineSpec("history", "ink", (*numbers(forecast.history.tolist()), *(None,) * ahead), width=1.5))
    if np.isfinite(forecast.actuals).any():
        lines.append(LineSpec("actual", "actual", beyond(forecast.actuals), width=1.75))
    median = forecast.quantiles[:, forecast.levels.index(POINT_QUANTILE)]
    lines.append(LineSpec("forecast (median)", "candidate", beyond(median), width=2.25))
    if forecast.mean is not None:
        lines.append(LineSpec("forecast (mean)", "champion", beyond(forecast.mean), LineKind.DASHES))
    stamps = (*forecast.history_timestamps.tolist(), *forecast.timestamps.tolist())
    return ChartSpec(
        id=f"forecast-{number}",
        title=title,
        label=f"forecast of {forecast.target} of {forecast.id} with history and what came true",
        x=tuple(map(float, stamps)),
        lines=tuple(lines),
        x_label="UTC" if zone.key == "UTC" else f"local time of {zone.key}",
        y_label=forecast.target,
        zone=zone.key,
        bands=tuple(bands),
        marks=(MarkSpec(float(forecast.timestamps[0]), "forecast begins"),),
        zoom=True,
        wide=True,
    )


def example_spec(forecast: ShownForecastRecord, zone: ZoneInfo, *, kind: str) -> ChartSpec:
    """One forecast of the backtest as an example, in half the width."""
    chart = forecast_spec(forecast, zone, number=0, title=EXAMPLE_TITLES[kind])
    return replace(chart, id=f"example-{kind}", zoom=False, wide=False)


def error_by_step_spec(report: BacktestReport, *, step_s: int) -> ChartSpec:
    """Mean absolute error of every model at each step of the horizon."""
    lines = [
        LineSpec(
            legend_label(name),
            colour_of(name, report),
            numbers(model.by_step["mae"]),
            width=2.25 if name in _MAIN else 1.5,
        )
        for name, model in _drawing_order(report)
    ]
    unit, factor = step_unit(step_s)
    horizon = len(lines[0].values)
    return ChartSpec(
        id="error-by-step",
        title="Error by step of the horizon",
        label="mean absolute error of each model at each step of the horizon",
        x=tuple(factor * step for step in range(1, horizon + 1)),
        lines=tuple(lines),
        x_label=f"{unit} ahead",
        y_label=f"MAE, {report.unit}",
        from_zero=True,
    )


def slice_specs(report: BacktestReport) -> list[ChartSpec]:
    """Mean absolute error by hour of the day and by day of the week, each where there are such slices."""
    hours = _slice_spec(
        report, HOURS, names=[str(hour) for hour in range(24)], kind="hour", title="Error by hour of the day"
    )
    days = _slice_spec(
        report,
        WEEKDAYS,
        names=[name[:3].capitalize() for name in WEEKDAYS],
        kind="weekday",
        title="Error by day of the week",
    )
    return [chart for chart in (hours, days) if chart is not None]


def comparison_spec(comparison: Mapping[str, Any], *, unit: str, step_s: int) -> ChartSpec:
    """Mean absolute error of candidate and champion at each step, on the steps that both forecast."""
    step_word, factor = step_unit(step_s)
    horizon = len(comparison["candidate_by_step"])
    return ChartSpec(
        id="champion-by-step",
        title="Candidate and champion by step of the horizon",
        label="mean absolute error of candidate and champion at each step, on the steps that both forecast",
        x=tuple(factor * step for step in range(1, horizon + 1)),
        lines=(
            LineSpec("champion", "champion", numbers(comparison["champion_by_step"])),
            LineSpec("candidate", "candidate", numbers(comparison["candidate_by_step"]), width=2.25),
        ),
        x_label=f"{step_word} ahead",
        y_label=f"MAE, {unit}",
        from_zero=True,
    )


def colour_of(name: str, report: BacktestReport) -> str:
    """Colour of a model: its own for candidate and champion, greys for the naive baselines."""
    if name in _MAIN:
        return name
    others = [other for other in report.models if other not in _MAIN]
    return f"naive-{1 + others.index(name) % 3}"


def _slice_spec(
    report: BacktestReport, parts: Sequence[str], *, names: Sequence[str], kind: str, title: str
) -> ChartSpec | None:
    models = _drawing_order(report)
    if not any(part in model.slices for part in parts for _, model in models):
        return None
    # Bars lie below lines, whatever their order in the legend.
    bars_first = sorted(models, key=lambda found: found[0] != "candidate")
    lines = [
        LineSpec(
            legend_label(name),
            colour_of(name, report),
            numbers([model.slices.get(part, {}).get("mae") for part in parts]),
            LineKind.BARS if name == "candidate" else LineKind.DOTTED_LINE,
            1.5,
        )
        for name, model in bars_first
    ]
    return ChartSpec(
        id=f"error-by-{kind}",
        title=title,
        label=f"mean absolute error of each model by {kind}",
        x=tuple(map(float, range(len(parts)))),
        lines=tuple(lines),
        x_label="hour of the day, local time" if kind == "hour" else "day of the week, local time",
        y_label=f"MAE, {report.unit}",
        names=tuple(names),
        from_zero=True,
    )


def _drawing_order(report: BacktestReport) -> list[tuple[str, ModelReport]]:
    """Baselines first, so that the candidate lies on top."""
    return sorted(report.models.items(), key=lambda item: (item[0] == "candidate", item[0] == "champion"))


def _drawn_intervals(levels: Sequence[float]) -> list[tuple[float, int, int]]:
    """The outer interval and the one nearest to half: nominal share, places of both levels; the widest first."""
    found = [(high - low, levels.index(low), levels.index(high)) for low, high in intervals(levels)]
    if not found and len(levels) > 1:
        found = [(levels[-1] - levels[0], 0, len(levels) - 1)]
    inner = found[1:]
    return found[:1] + ([min(inner, key=lambda one: abs(one[0] - _HALF))] if inner else [])
