"""What a chart of the page shows, as plain numbers; `report.js` draws it.

The numbers of a chart are those of the JSON files of the run; they lie in the page as one JSON document.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from forecasting.backtest.summary import finite_document


class LineKind(StrEnum):
    """How the values of one line are drawn. HIDDEN: not at all, an edge of a band. BUBBLES: circles whose areas are `sizes`."""

    LINE = "line"
    DASHES = "dashes"
    BARS = "bars"
    POINTS = "points"
    DOTTED_LINE = "dotted"
    HIDDEN = "hidden"
    BUBBLES = "bubbles"


@dataclass(frozen=True)
class LineSpec:
    """One line or row of bars. colour: a colour of report.css by name. values: one for each x, none where missing.

    sizes, labels: of bubbles, one for each x; those of all lines of a chart are on one scale.
    """

    label: str
    colour: str
    values: tuple[float | None, ...]
    kind: LineKind = LineKind.LINE
    width: float = 2.0
    sizes: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class BandSpec:
    """The area between two lines, by their positions."""

    label: str
    low: int
    high: int
    colour: str


@dataclass(frozen=True)
class MarkSpec:
    """An upright line at one x, with a word beside it."""

    x: float
    label: str


@dataclass(frozen=True)
class ChartSpec:
    """One chart.

    id: unique on the page. title: above it. label: what it shows, for readers who do not see it. x: ascending. names: of
    x, where it counts them from 0. zone: time zone of x, where it is UTC epoch seconds. share: y is a ratio, shown in
    percent. from_zero: whether y begins at 0. zoom: whether a part of x can be looked at alone.
    """

    id: str
    title: str
    label: str
    x: tuple[float, ...]
    lines: tuple[LineSpec, ...]
    x_label: str
    y_label: str
    names: tuple[str, ...] = ()
    zone: str = ""
    bands: tuple[BandSpec, ...] = ()
    marks: tuple[MarkSpec, ...] = ()
    share: bool = False
    share_x: bool = False
    from_zero: bool = False
    zoom: bool = False
    wide: bool = False


def charts_document(charts: Iterable[ChartSpec]) -> str:
    """Charts as JSON that can stand in a page: nothing in it ends a script."""
    document: dict[str, Any] = {chart.id: finite_document(asdict(chart)) for chart in charts}
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def numbers(values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Values as they are drawn: plain floats, none where missing."""
    return tuple(None if value is None or value != value else float(value) for value in values)
