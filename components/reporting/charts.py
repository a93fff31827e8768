"""The charts of a run report, each from plain numbers to one SVG element."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from components.reporting.picture import ShownForecastRecord
from components.reporting.style import (
    BAND,
    BLUE,
    INK,
    MODEL_COLOURS,
    MUTED,
    NAIVE_COLOURS,
    ORANGE,
    TEAL,
    chart_style,
    new_figure,
    thousands,
    time_axis,
    to_svg,
)
from forecasting.backtest.slices import WEEKDAYS
from forecasting.backtest.summary import NAIVE_PREFIX, BacktestReport
from forecasting.contracts.signature import POINT_QUANTILE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDE = (10.4, 4.2)
_HALF = (5.9, 3.6)
_DAY_S = 86_400
"""Dates on an axis are days since 1970-01-01."""
_DASHED = (0, (3, 1.5))
_UNITS = {1: "seconds", 60: "minutes", 3_600: "hours", 86_400: "days", 604_800: "weeks"}


def forecast_figure(
    forecast: ShownForecastRecord, zone: ZoneInfo, *, size: tuple[float, float], weight: float = 1.0
) -> "Figure":
    """History, actuals, band, median and, where there is one, mean of one forecast; to be drawn and saved inside `chart_style`.

    Args:
        forecast: What is drawn.
        zone: Of the times on the x axis.
        size: Inches.
        weight: Factor on the width of lines.
    """
    figure, axes = new_figure(*size)
    # The last known value begins the lines of the horizon, so that they do not hang in the air.
    past, future = forecast.history_timestamps / _DAY_S, forecast.timestamps / _DAY_S
    low, high = forecast.levels[0], forecast.levels[-1]
    median = forecast.quantiles[:, forecast.levels.index(POINT_QUANTILE)]
    if len(forecast.levels) > 1:
        label = f"{100 * (high - low):.0f} % interval"
        axes.fill_between(
            future,
            forecast.quantiles[:, 0],
            forecast.quantiles[:, -1],
            color=BAND,
            alpha=0.17,
            linewidth=0,
            label=label,
        )
    axes.plot(past, forecast.history, color=INK, linewidth=1.5 * weight, label="history")
    if np.isfinite(forecast.actuals).any():
        days, values = np.r_[past[-1:], future], np.r_[forecast.history[-1:], forecast.actuals]
        axes.plot(days, values, color=ORANGE, linewidth=1.7 * weight, label="actual")
    axes.plot(future, median, color=BLUE, linewidth=2.4 * weight, label="forecast (median)")
    if forecast.mean is not None:
        axes.plot(future, forecast.mean, color=TEAL, linewidth=1.9 * weight, linestyle=_DASHED, label="forecast (mean)")
    axes.axvline(future[0], color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.annotate(
        "forecast begins ",
        (future[0], 1.0),
        xycoords=("data", "axes fraction"),
        ha="right",
        va="top",
        color=MUTED,
        fontsize="small",
    )
    axes.set_ylabel(forecast.target)
    years = sorted({datetime.fromtimestamp(day * _DAY_S, zone).year for day in (*past[:1], future[-1])})
    axes.set_xlabel(f"{' to '.join(map(str, years))}, {'UTC' if zone.key == 'UTC' else f'local time of {zone.key}'}")
    axes.margins(x=0.01)
    thousands(axes)
    time_axis(axes, zone)
    _legend_above(axes)
    return figure


def forecast_chart(forecast: ShownForecastRecord, zone: ZoneInfo, *, name: str) -> str:
    """`forecast_figure` for the page."""
    with chart_style(name):
        figure = forecast_figure(forecast, zone, size=_WIDE)
        return to_svg(figure, f"forecast of {name} with history and actuals")


def error_by_step_chart(report: BacktestReport, *, step_s: int) -> str:
    """Mean absolute error of every model at each step of the horizon."""
    unit, factor = _step_unit(step_s)
    with chart_style("steps"):
        figure, axes = new_figure(*_HALF)
        for name, model in _drawing_order(report):
            errors = np.array(model.by_step["mae"], dtype=np.float64)
            width = 2.4 if name in MODEL_COLOURS else 1.6
            axes.plot(
                factor * np.arange(1, len(errors) + 1),
                errors,
                color=_colour(name, report),
                linewidth=width,
                label=_legend_label(name),
            )
        axes.set_xlabel(f"{unit} ahead")
        axes.set_ylabel(f"MAE, {report.unit}")
        axes.set_ylim(bottom=0)
        axes.margins(x=0.01)
        _whole_numbers(axes)
        thousands(axes)
        _legend_above(axes)
        return to_svg(figure, "mean absolute error by step of the horizon")


def slice_chart(report: BacktestReport, kind: str) -> str:
    """Mean absolute error by `hour` of the day or by `weekday`, local time; empty where there is no such slice."""
    names = [f"hour_{hour:02d}" for hour in range(24)] if kind == "hour" else list(WEEKDAYS)
    labels = [str(hour) for hour in range(24)] if kind == "hour" else [name[:3].capitalize() for name in WEEKDAYS]
    models = _drawing_order(report)
    if not any(name in model.slices for name in names for _, model in models):
        return ""
    with chart_style(kind):
        figure, axes = new_figure(*_HALF)
        for name, model in models:
            errors = [model.slices.get(part, {}).get("mae", np.nan) for part in names]
            if name == "candidate":
                axes.bar(range(len(names)), errors, width=0.72, color=_colour(name, report), label=_legend_label(name))
            else:
                axes.plot(range(len(names)), errors, color=_colour(name, report), linewidth=1.8, marker="o", markersize=3.5,
                          label=_legend_label(name))  # fmt: skip
        every = 3 if kind == "hour" else 1
        axes.set_xticks(range(0, len(names), every), labels[::every])
        axes.set_xlabel("hour of the day, local time" if kind == "hour" else "day of the week, local time")
        axes.set_ylabel(f"MAE, {report.unit}")
        axes.set_ylim(bottom=0)
        thousands(axes)
        _legend_above(axes)
        return to_svg(figure, f"mean absolute error by {kind}")


def learning_curve_chart(history: Sequence[Mapping[str, Any]], *, best_epoch: int | None, loss: str) -> str:
    """Training and validation loss by epoch; `loss` says which."""
    epochs = [row["epoch"] for row in history]
    with chart_style("learning"):
        figure, axes = new_figure(*_HALF)
        axes.plot(
            epochs,
            [row["train_loss"] for row in history],
            color=NAIVE_COLOURS[0],
            linewidth=2.0,
            marker="o",
            markersize=3.5,
            label="train",
        )
        axes.plot(
            epochs,
            [row["validation_loss"] for row in history],
            color=BLUE,
            linewidth=2.4,
            marker="o",
            markersize=3.5,
            label="validation",
        )
        if best_epoch is not None and best_epoch in epochs:
            axes.axvline(best_epoch, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), label="best epoch")
        axes.set_xlim(min(epochs) - 0.3, max(epochs) + 0.3)
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"{loss}, scaled")
        _whole_numbers(axes)
        thousands(axes)
        _legend_above(axes)
        return to_svg(figure, "training and validation loss by epoch")


def histogram_svg(counts: Sequence[int], *, width: int = 120, height: int = 28) -> str:
    """A small histogram without axes, for a table cell."""
    if not counts or not max(counts):
        return ""
    bar = width / len(counts)
    # A square root keeps rare values visible beside a peak.
    heights = [height * (count / max(counts)) ** 0.5 for count in counts]
    bars = "".join(
        f'<rect x="{i * bar:.1f}" y="{height - tall:.1f}" width="{bar - 1:.1f}" height="{tall:.1f}"/>'
        for i, tall in enumerate(heights)
    )
    return f'<svg class="spark" viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true">{bars}</svg>'


def model_label(name: str) -> str:
    """Name of a model for a person."""
    if name.startswith(NAIVE_PREFIX):
        return f"seasonal naive, {name.removeprefix(NAIVE_PREFIX)} steps"
    return name


def _drawing_order(report: BacktestReport) -> list[tuple[str, Any]]:
    """Baselines first, so that the candidate lies on top."""
    return sorted(report.models.items(), key=lambda item: (item[0] == "candidate", item[0] == "champion"))


def _colour(name: str, report: BacktestReport) -> str:
    if name in MODEL_COLOURS:
        return MODEL_COLOURS[name]
    others = [other for other in report.models if other not in MODEL_COLOURS]
    return NAIVE_COLOURS[others.index(name) % len(NAIVE_COLOURS)]


def ahead(n_steps: int, step_s: int) -> str:
    """A horizon in words: 24 hours ahead."""
    unit, factor = _step_unit(step_s)
    return f"{n_steps * factor:g} {unit} ahead"


def _step_unit(step_s: int) -> tuple[str, float]:
    """The largest unit of which a step is a whole number, and how many of it a step is."""
    fitting = max(seconds for seconds in _UNITS if step_s % seconds == 0)
    return _UNITS[fitting], step_s / fitting


def _whole_numbers(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1, steps=[1, 2, 3, 4, 6, 10]))


def _legend_label(name: str) -> str:
    """`model_label`, short enough for a chart of half the width."""
    return f"naive, {name.removeprefix(NAIVE_PREFIX)} steps" if name.startswith(NAIVE_PREFIX) else name


def _legend_above(axes: "Axes") -> None:
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: _legend_rank(labels[i]))
    axes.legend(
        [handles[i] for i in order], [labels[i] for i in order], loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4,
        borderaxespad=0.3, handlelength=1.6, columnspacing=1.4, fontsize="small",
    )  # fmt: skip


def _legend_rank(label: str) -> int:
    order = ("history", "actual", "forecast", "candidate", "champion", "validation", "train")
    return next((i for i, start in enumerate(order) if label.startswith(start)), len(order))
