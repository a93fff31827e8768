"""Three small drawings as SVG, from numbers alone."""

from collections.abc import Mapping
from html import escape

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_WIDTH, _HEIGHT = 960, 200
_LABEL = 150
_ROW = 14


def strips(rows: Mapping[str, Floats], first: str, last: str) -> str:
    """One strip a row of cells from 0 (nothing) to 1 (full colour), grey where there is something, empty at NaN."""
    parts = []
    for number, (name, cells) in enumerate(rows.items()):
        top, width = number * _ROW, (_WIDTH - _LABEL) / len(cells)
        parts.append(f'<text x="0" y="{top + 11}">{escape(name[:22])}</text>')
        there = np.flatnonzero(~np.isnan(cells))
        if len(there):
            left, right = _LABEL + there[0] * width, _LABEL + (there[-1] + 1) * width
            parts.append(_rect(left, top, right - left, _ROW - 2, "back"))
        for i in np.flatnonzero(np.nan_to_num(cells) > 0):
            # At least a third of the colour, so that one missing step is seen.
            opacity = 0.33 + 0.67 * float(cells[i])
            parts.append(_rect(_LABEL + i * width, top, width, _ROW - 2, "gap", f' opacity="{opacity:.2f}"'))
    return _svg(parts, len(rows) * _ROW, first, last, left=_LABEL, title="missing targets over time")


def bars(counts: Floats, first: str, last: str) -> str:
    """A histogram `[n]`."""
    width, largest = _WIDTH / len(counts), max(float(counts.max()), 1.0)
    parts = [
        _rect(i * width, _HEIGHT * (1 - count / largest), width - 1, _HEIGHT * count / largest, "bar")
        for i, count in enumerate(counts.tolist())
    ]
    return _svg(parts, _HEIGHT, first, last, title="distribution")


def curve(values: Floats, first: str, last: str) -> str:
    """A line through `[n]` values, from their smallest to their largest; broken at NaN."""
    found = values[~np.isnan(values)]
    low, span = float(found.min()), max(float(found.max() - found.min()), 1e-12)
    points, parts = [], []
    for i, value in enumerate([*values.tolist(), float("nan")]):
        if value == value:
            x, y = i * _WIDTH / max(len(values) - 1, 1), (_HEIGHT - 20) * (1 - (value - low) / span) + 10
            points.append(f"{x:.1f},{y:.1f}")
        elif points:
            parts.append(f'<polyline class="line" points="{" ".join(points)}"/>')
            points = []
    parts.append(f'<text x="4" y="12">{float(found.max()):.4g}</text><text x="4" y="{_HEIGHT - 2}">{low:.4g}</text>')
    return _svg(parts, _HEIGHT, first, last, title="usual course over a season")


def _rect(x: float, y: float, width: float, height: float, kind: str, more: str = "") -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{more}/>'


def _svg(parts: list[str], height: int, first: str, last: str, *, title: str, left: int = 0) -> str:
    """The drawing, with what stands at both ends of its horizontal axis."""
    ends = (
        f'<text x="{left}" y="{height + 14}">{escape(first)}</text>'
        f'<text x="{_WIDTH}" y="{height + 14}" text-anchor="end">{escape(last)}</text>'
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height + 20}" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>'
        f"{''.join(parts)}{ends}</svg>"
    )
