"""The picture of a forecast, the small histograms of the page, and names and units that all charts share."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from components.reporting.picture import ShownForecastRecord
from components.reporting.style import BAND, BLUE, INK, MUTED, ORANGE, TEAL, new_figure, thousands, time_axis
from forecasting.backtest.summary import NAIVE_PREFIX
from forecasting.contracts.signature import POINT_QUANTILE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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


def ahead(n_steps: int, step_s: int) -> str:
    """A horizon in words: 24 hours ahead."""
    unit, factor = step_unit(step_s)
    return f"{n_steps * factor:g} {unit} ahead"


def step_unit(step_s: int) -> tuple[str, float]:
    """The largest unit of which a step is a whole number, and how many of it a step is."""
    fitting = max(seconds for seconds in _UNITS if step_s % seconds == 0)
    return _UNITS[fitting], step_s / fitting


def legend_label(name: str) -> str:
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
