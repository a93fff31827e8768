"""The picture of two years: error by day and week, and below it what was told and done."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from components.reporting.style import BLUE, GRID, INK, MUTED, ORANGE, TEAL, chart_style, save_png
from forecasting.store.retrain_requests import RequestState
from tests.integration.services.year.demand import ZONE
from tests.integration.services.year.living import DAY_S, YearRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE, DOTS, HEIGHTS = (11.5, 8.2), 130, (5.0, 1.35, 5.0, 1.35)
WEEK = 7
LEAST_MARK_DAYS = 1.5
"""So wide an alert is drawn at least."""
_RED = "#c0392b"
KINDS = {"accuracy": "error too large", "calibration": "intervals too narrow", "drift": "inputs differ"}
"""Rows below the errors by what an alert asks for a retrain for, as a reader calls it."""
_COLORS = {"accuracy": _RED, "calibration": ORANGE, "drift": INK}


def draw_years(shifted: YearRecord, control: YearRecord, change: int, path: Path) -> None:
    """Write the picture.

    Args:
        shifted: The year in which load moves.
        control: The year as it was.
        change: When load began to move, epoch seconds.
        path: Of the PNG.
    """
    from matplotlib.dates import DateFormatter, MonthLocator
    from matplotlib.figure import Figure

    with chart_style(path.stem, font_size=10):
        figure = Figure(figsize=SIZE, layout="constrained")
        top, told, bottom, told_control = figure.subplots(
            4, 1, sharex=True, gridspec_kw={"height_ratios": HEIGHTS, "hspace": 0.0}
        )
        bottom.sharey(top)
        _errors(top, shifted, "In July 15 % of the evening load moves to the night")
        _line(
            top,
            control,
            "error",
            {"color": MUTED, "linewidth": 1.3, "linestyle": "--"},
            "the same without the change",
            since=change,
        )
        _errors(bottom, control, "The same year as it was")
        top.set_ylim(0, 1.05 * 100 * max(float(_weekly(one, "error").max()) for one in (shifted, control)) + 1.5)
        kinds = [kind for kind in KINDS if any(one["retrain"] == kind for one in asking(shifted) + asking(control))]
        _told(told, shifted, kinds)
        _told(told_control, control, kinds)
        for axes in (top, told):
            axes.axvline(_time(change), color=INK, linewidth=1.1)  # type: ignore[arg-type]
        _mark(top, change, "load moves", INK, 0.97)
        _promotions(top, told, shifted)
        top.set_xlim(_time(control.days[0].day), _time(control.days[-1].day + DAY_S))  # type: ignore[arg-type]
        told_control.xaxis.set_major_locator(MonthLocator())
        told_control.xaxis.set_major_formatter(DateFormatter("%b"))
        _legend(figure, top)
        save_png(figure, path, dots_per_inch=DOTS)


def _legend(figure: "Figure", top: "Axes") -> None:
    from matplotlib.lines import Line2D

    runs_shown = [
        Line2D([], [], marker=marker, color=color, linestyle="", markersize=8, markeredgewidth=1.8, label=label)
        for marker, color, label in (("^", TEAL, "run: a new version"), ("x", MUTED, "run: refused by a gate"))
    ]
    figure.legend(
        handles=[*top.get_legend_handles_labels()[0], *runs_shown],
        loc="outside lower center",
        ncols=6,
        fontsize=9,
        columnspacing=1.2,
    )


def asking(year: YearRecord) -> list[dict[str, Any]]:
    """Alerts that ask for a retrain."""
    return [one for one in year.alerts if "retrain" in one]


def runs(year: YearRecord) -> list[dict[str, Any]]:
    """Requests that came to an end."""
    return [one for one in year.requests if one["state"] == RequestState.DONE.value]


def is_promotion(request: dict[str, Any]) -> bool:
    """Whether a run gave a new champion."""
    return (request["detail"] or "").startswith("promoted")


def _errors(axes: "Axes", year: YearRecord, title: str) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=11.5, fontweight="bold")
    axes.set_ylabel("error, % of demand")
    axes.grid(axis="y", color=GRID)
    axes.tick_params(axis="x", length=0, labelbottom=False)
    daily = np.array([100 * one.error / one.actual for one in year.days])
    axes.plot(_times(year), daily, color=BLUE, linewidth=0.7, alpha=0.35, label="forecast, by day")  # type: ignore[arg-type]
    _line(axes, year, "naive", {"color": ORANGE, "linewidth": 0.9, "alpha": 0.55}, "repeating last week")
    _line(axes, year, "error", {"color": BLUE, "linewidth": 2.0}, "forecast, last 7 days")


def _told(axes: "Axes", year: YearRecord, kinds: Sequence[str]) -> None:
    """A row for each kind of alert, and one for the runs."""
    rows = [*kinds, "runs"]
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [*(KINDS[kind] for kind in kinds), "retrained"], fontsize=9)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)
    for row in range(len(rows)):
        axes.axhline(row, color=GRID, linewidth=1.0, zorder=0)
    for one in asking(year):
        days = max((one["end"] - one["begin"]) / DAY_S, LEAST_MARK_DAYS)
        row, color = rows.index(one["retrain"]), _COLORS[one["retrain"]]
        axes.barh(
            row, np.timedelta64(round(days * DAY_S), "s").item(), left=_time(one["begin"]), height=0.5, color=color
        )  # type: ignore[arg-type]
    for request in runs(year):
        marker, color = ("^", TEAL) if is_promotion(request) else ("x", MUTED)
        axes.plot(
            [_time(request["created_at"])],
            [len(rows) - 1],
            marker=marker,
            color=color,
            markersize=8,
            markeredgewidth=1.8,
        )  # type: ignore[arg-type, list-item]
    if not asking(year) and not year.requests:
        middle = year.days[len(year.days) // 2].day
        words = f"no alert in {year.n_evaluations:,} evaluations of rules, and no run"
        axes.annotate(
            words, (_time(middle), (len(rows) - 1) / 2), color=MUTED, ha="center", va="center", backgroundcolor="white"
        )  # type: ignore[arg-type]


def _promotions(errors: "Axes", told: "Axes", year: YearRecord) -> None:
    for request in filter(is_promotion, runs(year)):
        version = request["detail"].split("version ")[1].split()[0]
        for axes in (errors, told):
            axes.axvline(_time(request["created_at"]), color=TEAL, linewidth=1.3)  # type: ignore[arg-type]
        _mark(errors, request["created_at"], f"v{version}", TEAL, 0.88)


def _line(axes: "Axes", year: YearRecord, what: str, look: dict[str, Any], label: str, *, since: int = 0) -> None:
    first = sum(one.day < since for one in year.days)
    axes.plot(_times(year)[first:], 100 * _weekly(year, what)[first:], label=label, **look)  # type: ignore[arg-type]


def _weekly(year: YearRecord, what: str) -> npt.NDArray[np.float64]:
    """Error of the last seven days."""
    sums, actual = (np.cumsum([getattr(one, name) for one in year.days]) for name in (what, "actual"))
    return np.array([_since(sums, n) / _since(actual, n) for n in range(len(sums))])


def _since(sums: Any, n: int) -> float:
    return float(sums[n] - (sums[n - WEEK] if n >= WEEK else 0.0))


def _times(year: YearRecord) -> list[datetime]:
    return [_time(one.day) for one in year.days]


def _time(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone(ZONE).replace(tzinfo=None)


def _mark(axes: "Axes", at: int, text: str, color: str, height: float) -> None:
    place = (_time(at + 2 * DAY_S), height)
    axes.annotate(text, place, xycoords=("data", "axes fraction"), color=color, fontsize=9, va="top")  # type: ignore[arg-type]
