"""Drawings of a search as plain SVG: its history, what matters, and parallel coordinates. No script is needed to see them."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from forecasting.config.tuning import choice_label
from forecasting.formats import as_number, as_share
from forecasting.tuning_record import TrialOutcome, TrialRecord, TuningReport

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 34
_BAR = 26


def history_svg(report: TuningReport) -> str:
    """The metric of every scored trial in order, and the best so far; empty without any."""
    found = [trial for trial in report.trials if trial.value is not None]
    if not found:
        return ""
    first, last = min(trial.number for trial in report.trials), max(trial.number for trial in report.trials)
    values = [float(trial.value or 0.0) for trial in found]
    # A lost trial may be far off: the upper end is where nine in ten lie.
    low, high = min(values), sorted(values)[math.ceil(0.9 * len(values)) - 1]
    high = high if high > low else low + (abs(low) or 1.0)
    step = (_WIDTH - _LEFT - _RIGHT) / max(1, last - first)

    def place(trial: TrialRecord) -> tuple[float, float]:
        share = (min(float(trial.value or 0.0), high) - low) / (high - low)
        return _LEFT + step * (trial.number - first), _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_grid(low, high), _text(_WIDTH - _RIGHT, _HEIGHT - 6, "trial", "end")]
    best: list[tuple[float, float]] = []
    so_far = math.inf
    for trial in found:
        x, y = place(trial)
        signed = float(trial.value or 0.0) * (-1 if report.maximised else 1)
        if signed < so_far:
            so_far = signed
            best += [(x, best[-1][1]), (x, y)] if best else [(x, y)]
        name = escape(f"trial {trial.number}, {trial.stage}: {as_number(trial.value)}")
        parts.append(
            f'<circle class="stage-{trial.stage.name.lower()}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{name}</title></circle>'
        )
    best.append((_LEFT + step * (last - first), best[-1][1]))
    parts.append(f'<polyline class="best" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in best)}"/>')
    return _svg(_WIDTH, _HEIGHT, f"{report.metric} of each trial, and the best so far", parts)


def importance_svg(importance: Mapping[str, float]) -> str:
    """A bar a setting; empty where nothing is known."""
    if not importance:
        return ""
    height, left = _BAR * len(importance) + 8, 230
    largest = max(importance.values()) or 1.0
    parts = []
    for i, (path, share) in enumerate(importance.items()):
        y, width = _BAR * i + 4, max(1.0, share / largest * (_WIDTH - left - 70))
        parts.append(_text(left - 8, y + 15, path, "end"))
        parts.append(f'<rect class="bar" x="{left}" y="{y}" width="{width:.1f}" height="{_BAR - 8}"/>')
        parts.append(_text(left + width + 6, y + 15, as_share(share), "start"))
    return _svg(_WIDTH, height, "share of each setting in what changes the metric", parts)


def parallel_svg(report: TuningReport, paths: Sequence[str]) -> str:
    """A line a scored trial through its settings to the metric, the best in colour; empty for fewer than two trials.

    Args:
        report: Of a search.
        paths: Settings, an axis each.
    """
    found = [trial for trial in report.trials if trial.outcome is TrialOutcome.SCORED and trial.value is not None]
    if len(found) < 2 or not paths:
        return ""
    found.sort(key=lambda trial: float(trial.value or 0.0), reverse=not report.maximised)
    axes = {path: _axis([trial.settings.get(path) for trial in found]) for path in paths}
    axes[report.metric] = _axis([trial.value for trial in found])
    width, bottom = max(_WIDTH, 120 * len(axes)), _HEIGHT - 30
    gap = (width - 100) / max(1, len(axes) - 1)
    parts = []
    for rank, trial in enumerate(found):
        drawn = {**trial.settings, report.metric: trial.value}
        points = [
            f"{50 + gap * i:.1f},{bottom - axes[path][choice_label(drawn[path])] * (bottom - 40):.1f}"
            for i, path in enumerate(axes)
            if path in drawn
        ]
        # The last tenth of the order are the best: they are drawn over the others.
        kind = "top" if rank >= len(found) - max(1, len(found) // 10) else "line"
        title = escape(f"trial {trial.number}: {as_number(trial.value)}")
        parts.append(f'<polyline class="{kind}" points="{" ".join(points)}"><title>{title}</title></polyline>')
    for i, (path, places) in enumerate(axes.items()):
        x = 50 + gap * i
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="40" y2="{bottom}"/>')
        parts.append(_text(x, 14, path.rpartition(".")[2], "middle"))
        ordered = sorted(places, key=lambda label: places[label])
        parts.append(_text(x, bottom + 16, _short(ordered[0]), "middle"))
        parts.append(_text(x, 34, _short(ordered[-1]), "middle"))
    return _svg(width, _HEIGHT, "settings and metric of every scored trial", parts)


def _axis(values: Sequence[Any]) -> dict[str, float]:
    """Place of each value from 0 to 1: numbers by size (by ratio where they span a hundredfold), words side by side."""
    known = [value for value in values if value is not None]
    numbers = [float(value) for value in known if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(known) and numbers:
        ratio = min(numbers) > 0 and max(numbers) / min(numbers) >= 100
        placed = [math.log(number) if ratio else number for number in numbers]
        low, span = min(placed), max(placed) - min(placed)
        return {
            choice_label(value): (place - low) / span if span else 0.5
            for value, place in zip(known, placed, strict=True)
        }
    labels = sorted({choice_label(value) for value in known})
    return {label: i / max(1, len(labels) - 1) for i, label in enumerate(labels)}


def _grid(low: float, high: float) -> str:
    lines = []
    for i in range(5):
        y = _HEIGHT - _BOTTOM - i / 4 * (_HEIGHT - _TOP - _BOTTOM)
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(_text(_LEFT - 6, y + 4, as_number(low + i / 4 * (high - low)), "end"))
    return "".join(lines)


def _short(label: str) -> str:
    try:
        return label if label.isdigit() else as_number(float(label))
    except ValueError:
        return label if len(label) <= 14 else f"{label[:13]}…"


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(label)}" '
        f'style="min-width:{min(width, 560):.0f}px">{"".join(parts)}</svg>'
    )
