"""The picture of a diagnosis: both losses, with what speaks for the pattern marked."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from components.reporting.style import BLUE, GRID, INK, MUTED, ORANGE, TEAL, chart_style, new_figure
from forecasting.learning_curve import RECENT_SHARE, CurveRecord
from forecasting.learning_patterns import DiagnosisReport, LearningPattern

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES = (7.2, 4.0)
_DOTS_PER_INCH = 80
_GRADIENTS = (LearningPattern.VANISHING, LearningPattern.EXPLODING)


def draw_learning_picture(curve: CurveRecord, report: DiagnosisReport, path: Path) -> None:
    """Draw a curve with its pattern marked, as PNG or SVG by the name of the file.

    Args:
        curve: Of one training.
        report: What it was found to show.
        path: Where the picture goes.
    """
    from matplotlib.ticker import MaxNLocator

    with chart_style("learning-picture"):
        figure, axes = new_figure(*_INCHES)
        if report.pattern in _GRADIENTS and curve.layers:
            _draw_layers(axes, curve, report)
        else:
            _draw_losses(axes, curve)
            _MARKS.get(report.pattern, _mark_best)(axes, curve, report)
            axes.set_ylabel("loss")
        axes.set_xlabel("epoch")
        axes.set_title(report.pattern.value, loc="left", color=INK, fontweight="bold")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1.0), ncols=4, borderaxespad=0.3, handlelength=1.4, columnspacing=1.0,
                    fontsize="small")  # fmt: skip
        figure.savefig(path, dpi=_DOTS_PER_INCH, facecolor="white")


def _draw_losses(axes: "Axes", curve: CurveRecord) -> None:
    axes.plot(curve.epochs, curve.train, color=INK, linewidth=1.8, marker=".", label="training")
    axes.plot(curve.epochs, curve.validation, color=BLUE, linewidth=2.2, marker=".", label="validation")
    known = [loss for loss in (*curve.train, *curve.validation) if math.isfinite(loss) and loss > 0]
    if known and max(known) > 50 * min(known):
        axes.set_yscale("log")


def _draw_layers(axes: "Axes", curve: CurveRecord, report: DiagnosisReport) -> None:
    named = report.evidence[-1].measure
    for name, norms in curve.layers.items():
        marked = f" {name} " in f" {named} "
        shown = [norm if norm > 0 else math.nan for norm in norms]
        axes.plot(
            curve.epochs[: len(shown)], shown, color=ORANGE if marked else MUTED, linewidth=2.6 if marked else 1.0,
            label=name if marked else None, alpha=1.0 if marked else 0.6,
        )  # fmt: skip
    axes.plot([], [], color=MUTED, linewidth=1.0, label="other layers")
    axes.set_yscale("log")
    axes.set_ylabel("mean gradient norm of each layer")


def _mark_best(axes: "Axes", curve: CurveRecord, report: DiagnosisReport) -> None:
    if report.best_epoch is None:
        return
    loss = curve.validation[curve.epochs.index(report.best_epoch)]
    axes.axvline(report.best_epoch, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.plot([report.best_epoch], [loss], "o", color=TEAL, markersize=8, label="best epoch")


def _mark_rise(axes: "Axes", curve: CurveRecord, report: DiagnosisReport) -> None:
    """The part after the best epoch, and the gap that widens in it."""
    _mark_best(axes, curve, report)
    best = curve.epochs.index(report.best_epoch) if report.best_epoch in curve.epochs else 0
    axes.axvspan(curve.epochs[best], curve.epochs[-1], color=ORANGE, alpha=0.10, linewidth=0)
    axes.fill_between(curve.epochs[best:], curve.train[best:], curve.validation[best:], color=ORANGE, alpha=0.18,
                      linewidth=0, label="gap that widens")  # fmt: skip


def _mark_gap(axes: "Axes", curve: CurveRecord, report: DiagnosisReport) -> None:
    _mark_best(axes, curve, report)
    axes.fill_between(curve.epochs, curve.train, curve.validation, color=ORANGE, alpha=0.16, linewidth=0, label="gap")


def _mark_end(axes: "Axes", curve: CurveRecord, report: DiagnosisReport) -> None:
    """The last third of the epochs, in which it still fell."""
    _mark_best(axes, curve, report)
    first = curve.epochs[len(curve.epochs) - math.ceil(len(curve.epochs) * RECENT_SHARE) - 1]
    axes.axvspan(first, curve.epochs[-1], color=ORANGE, alpha=0.16, linewidth=0, label="still falling")


def _mark_flat(axes: "Axes", curve: CurveRecord, _report: DiagnosisReport) -> None:
    axes.axhline(
        curve.validation[0], color=ORANGE, linewidth=1.2, linestyle=(0, (4, 3)), label="validation at the start"
    )
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=GRID)


def _mark_spikes(axes: "Axes", curve: CurveRecord, report: DiagnosisReport) -> None:
    """Epochs whose training loss is above the one before."""
    rises = [i for i in range(1, len(curve.train)) if curve.train[i] > curve.train[i - 1]]
    axes.plot([curve.epochs[i] for i in rises], [curve.train[i] for i in rises], "o", color=ORANGE, markersize=7,
              fillstyle="none", label="training loss rose")  # fmt: skip
    _mark_best(axes, curve, report)


def _mark_lost(axes: "Axes", curve: CurveRecord, report: DiagnosisReport) -> None:
    _mark_best(axes, curve, report)
    last = curve.epochs[-1] if curve.epochs else 0
    lost = next((curve.epochs[i] for i, loss in enumerate(curve.validation) if not math.isfinite(loss)), last + 1)
    axes.axvline(lost, color=ORANGE, linewidth=2.0, label="loss lost")


_MARKS: dict[LearningPattern, Callable[["Axes", CurveRecord, DiagnosisReport], None]] = {
    LearningPattern.OVERFITTING: _mark_rise,
    LearningPattern.HIGH_VARIANCE: _mark_gap,
    LearningPattern.LEAK: _mark_gap,
    LearningPattern.STOPPED_EARLY: _mark_end,
    LearningPattern.UNDERFITTING: _mark_flat,
    LearningPattern.UNSTABLE: _mark_spikes,
    LearningPattern.DIVERGED: _mark_lost,
}
