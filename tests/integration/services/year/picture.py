"""The picture of two years: error by day and week, alerts, runs, promotions."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.reporting.style import BLUE, INK, MUTED, ORANGE, TEAL, chart_style, save_png
from forecasting.store.retrain_requests import RequestState
from tests.integration.services.year.demand import ZONE
from tests.integration.services.year.living import DAY_S, YearRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE, DOTS = (11.5, 7.4), 130
WEEK = 7
_FIRED = "#c0392b"


def draw_years(shifted: YearRecord, control: YearRecord, change: int, path: Path) -> None:
    """Write the picture.

    Args:
        shifted: The year in which load moves.
        control: The year as it was.
        change: When load began to move, epoch seconds.
        path: Of the PNG.
    """
    from matplotlib.dates import DateFormatter
    from matplotlib.figure import Figure

    with chart_style(path.stem, font_size=10):
        figure = Figure(figsize=SIZE, layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, sharey=True)
        _panel(top, shifted, "15 % of the evening load moves to the night in the middle of the year")
        _panel(bottom, control, "The same year as it was")
        limit = 100 * max(float(_weekly(one, "naive").max()) for one in (shifted, control))
        top.set_ylim(0, min(limit, 14.0))
        top.axvline(_time(change), color=INK, linewidth=1.1)
        _mark(top, change, "load moves", INK, 0.94)
        for request in shifted.requests:
            is_promoted = "promoted" in (request["detail"] or "")
            color = TEAL if is_promoted else MUTED
            top.axvline(_time(request["created_at"]), color=color, linewidth=1.1, linestyle="-" if is_promoted else ":")
            if is_promoted:
                version = request["detail"].split("version ")[1].split()[0]
                _mark(top, request["created_at"], f"version {version} promoted", color, 0.80)
        known = [_time(one.day) for one in control.days]
        (line,) = top.plot(known, 100 * _weekly(control, "error"), color=MUTED, linewidth=1.2, linestyle="--")  # type: ignore[arg-type]
        line.set_label("the same without the change")
        bottom.xaxis.set_major_formatter(DateFormatter("%b"))
        figure.legend(*top.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=9)
        save_png(figure, path, dots_per_inch=DOTS)


def _panel(axes: "Axes", year: YearRecord, title: str) -> None:
    days = [_time(one.day) for one in year.days]
    axes.set_title(title, loc="left", color=INK)
    axes.set_ylabel("absolute error, % of demand")
    axes.grid(axis="y", color="#eceff3")
    daily = np.array([100 * one.error / one.actual for one in year.days])
    axes.plot(days, daily, color=BLUE, linewidth=0.7, alpha=0.35, label="forecast, by day")  # type: ignore[arg-type]
    axes.plot(days, 100 * _weekly(year, "naive"), color=ORANGE, linewidth=1.3, label="last week's value, by week")  # type: ignore[arg-type]
    axes.plot(days, 100 * _weekly(year, "error"), color=BLUE, linewidth=2.0, label="forecast, by week")  # type: ignore[arg-type]
    for number, one in enumerate(asking(year)):
        label = "alert that asks for a retrain" if not number else None
        axes.axvspan(_time(one["begin"]), _time(one["end"]), color=_FIRED, alpha=0.16, linewidth=0, label=label)  # type: ignore[arg-type]


def asking(year: YearRecord) -> list[dict[str, Any]]:
    """Alerts that ask for a retrain."""
    return [one for one in year.alerts if "retrain" in one]


def runs(year: YearRecord) -> list[dict[str, Any]]:
    """Requests that came to an end."""
    return [one for one in year.requests if one["state"] == RequestState.DONE.value]


def _weekly(year: YearRecord, what: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Error of the last seven days."""
    sums, actual = (np.cumsum([getattr(one, name) for one in year.days]) for name in (what, "actual"))
    return np.array([_since(sums, n) / _since(actual, n) for n in range(len(sums))])


def _since(sums: Any, n: int) -> float:
    return float(sums[n] - (sums[n - WEEK] if n >= WEEK else 0.0))


def _time(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone(ZONE).replace(tzinfo=None)


def _mark(axes: "Axes", at: int, text: str, color: str, height: float) -> None:
    axes.annotate(
        text, (_time(at + DAY_S), height), xycoords=("data", "axes fraction"), color=color, fontsize=9, va="top"
    )  # type: ignore[arg-type]
