"""One look for every picture: colours, type, and how a figure becomes a PNG."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1b2430"
MUTED = "#667085"
RULE = "#d5dae2"
GRID = "#eceff3"
BLUE = "#1d5fc2"
BAND = "#1d5fc2"
TEAL = "#0b8a7a"
ORANGE = "#c8620a"

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.linewidth": 0.9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "ytick.left": False,
    "xtick.major.size": 3.5,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
}


@contextmanager
def chart_style(name: str, *, font_size: float = 10.5) -> Iterator[None]:
    """Settings for drawing and saving one chart.

    Args:
        name: Of the picture.
        font_size: Points.
    """
    import matplotlib as mpl

    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": name, "font.size": font_size}):
        yield


def new_figure(width: float, height: float) -> "tuple[Figure, Axes]":
    """An empty figure with one pair of axes, without pyplot and its global state; inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(axis="y", color=GRID, linewidth=1.0)
    return figure, axes


def save_png(figure: "Figure", path: Path, *, dots_per_inch: int) -> None:
    """Write the figure as a PNG on white."""
    figure.savefig(path, format="png", dpi=dots_per_inch, facecolor="white", metadata={"Software": None})


def thousands(axes: "Axes") -> None:
    """Write values on the y axis with separators."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def time_axis(axes: "Axes", zone: tzinfo) -> None:
    """Write times on the x axis in a zone, as short as they can be understood beside the year."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(tz=zone, minticks=5, maxticks=10)
    formats = ["%Y", "%b %Y", "%-d %b", "%H:%M", "%H:%M", "%S.%f"]
    zero_formats = ["", "%b %Y", "%-d %b", "%-d %b", "%H:%M", "%H:%M"]
    formatter = ConciseDateFormatter(locator, tz=zone, formats=formats, zero_formats=zero_formats, show_offset=False)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(formatter)
