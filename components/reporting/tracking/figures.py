"""Pictures of a run for trackers, which show PNG; the page of a run has drawings of its own."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.reporting.charts import model_label
from components.reporting.evidence import EvidenceRecord
from components.reporting.style import BLUE, INK, MUTED, ORANGE, TEAL, chart_style, new_figure, save_png
from components.reporting.variant_charts import BEHIND, FRONT, REFUSED, SHIPPED, variant_points
from forecasting.tournament import FLOAT_REFERENCE
from forecasting.variants import Precision, Pruning, VariantSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GROUP_COLOURS = {SHIPPED: BLUE, FRONT: TEAL, BEHIND: MUTED, REFUSED: ORANGE}
INCHES = (10.0, 5.0)
DOTS_PER_INCH = 110
LEARNING_CURVE = "learning_curve.png"
ERROR_BY_STEP = "error_by_step.png"
PARETO = "pareto.png"
_FLOATS = (FLOAT_REFERENCE, VariantSpec(Pruning.NONE, Precision.FLOAT32).name)


def draw_figures(evidence: EvidenceRecord, folder: Path) -> None:
    """Draw the learning curve, the error by horizon step and the variants, each where the run got that far.

    Args:
        evidence: What the run left behind.
        folder: Existing folder for the files.
    """
    if len(evidence.history) > 1:
        _draw_learning_curve(evidence, folder / LEARNING_CURVE)
    if evidence.backtest is not None:
        _draw_error_by_step(evidence, folder / ERROR_BY_STEP)
    if len(variant_points(evidence)) > 1:
        _draw_pareto(evidence, folder / PARETO)


def _draw_learning_curve(evidence: EvidenceRecord, path: Path) -> None:
    with chart_style("tracked-learning-curve"):
        figure, axes = new_figure(*INCHES)
        epochs = [row["epoch"] for row in evidence.history]
        for key, label in (("train_loss", "training"), ("validation_loss", "validation")):
            axes.plot(epochs, [_number(row.get(key)) for row in evidence.history], label=label, linewidth=2)
        axes.set_xlabel("Epoch")
        axes.set_ylabel(str((evidence.training or {}).get("loss", "loss")))
        axes.legend()
        save_png(figure, path, dots_per_inch=DOTS_PER_INCH)


def _draw_error_by_step(evidence: EvidenceRecord, path: Path) -> None:
    report = evidence.backtest
    if report is None:
        return
    with chart_style("tracked-error-by-step"):
        figure, axes = new_figure(*INCHES)
        for name, model in report.models.items():
            errors = model.by_step["mae"]
            axes.plot(range(1, len(errors) + 1), errors, label=model_label(name), linewidth=2)
        axes.set_xlabel("Step of the horizon")
        axes.set_ylabel(f"Mean absolute error ({report.unit})")
        axes.legend()
        save_png(figure, path, dots_per_inch=DOTS_PER_INCH)


def _draw_pareto(evidence: EvidenceRecord, path: Path) -> None:
    """Error against latency on a logarithmic scale; named are those that are beaten by none, and the float models."""
    points = variant_points(evidence)
    largest = max(point.size_bytes for point in points) or 1
    with chart_style("tracked-pareto"):
        figure, axes = new_figure(*INCHES)
        for group, colour in _GROUP_COLOURS.items():
            found = [point for point in points if point.group == group]
            axes.scatter(
                [point.latency_ms for point in found], [point.mae for point in found],
                s=[30 + 700 * point.size_bytes / largest for point in found], color=colour, alpha=0.6, linewidths=0, label=group,
            )  # fmt: skip
        named = [point for point in points if point.group in (SHIPPED, FRONT) or point.name in _FLOATS]
        for number, point in enumerate(named):
            below = number % 2 == 1
            axes.annotate(
                f"{point.name}, {point.size_bytes / 1e3:,.0f} kB", (point.latency_ms, point.mae), color=INK, fontsize="small",
                xytext=(12, -16 if below else 12), textcoords="offset points", arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "relpos": (0.0, 0.5)},
            )  # fmt: skip
        _scale_by_ratio(axes, [point.latency_ms for point in points])
        axes.set_xlabel("Milliseconds for one forecast, on a logarithmic scale; the area is the size of the file")
        axes.set_ylabel("Mean absolute error")
        axes.margins(y=0.15)
        axes.legend(markerscale=0.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(_GROUP_COLOURS))
        save_png(figure, path, dots_per_inch=DOTS_PER_INCH)


def _scale_by_ratio(axes: "Axes", values: Sequence[float]) -> None:
    """A logarithmic x axis with room for names to the right, and plain numbers beside its ticks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.set_xlim(min(values) / 1.3, max(values) * 2.2)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _number(value: float | None) -> float:
    return math.nan if value is None else value
