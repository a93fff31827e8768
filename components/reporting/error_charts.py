"""Charts that say why a model errs as it does: calibration, residuals, the learning curve."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from components.reporting.accuracy_charts import colour_of
from components.reporting.chart_spec import ChartSpec, LineKind, LineSpec, MarkSpec, numbers
from forecasting.backtest.summary import BacktestReport, ModelReport

_MAIN = ("champion", "candidate")


def calibration_spec(report: BacktestReport) -> ChartSpec | None:
    """Share of actuals below each quantile beside the share that the level promises; none without a model with levels."""
    models = _calibrated(report)
    if not models:
        return None
    # Nothing lies below level 0 and all below level 1: where the promise begins and ends.
    levels = [0.0, *sorted({float(level) for model in models.values() for level in model.levels}), 1.0]
    lines = [LineSpec("as promised", "naive-2", numbers(levels), LineKind.DASHES, 1.5)]
    lines += [
        LineSpec(name, colour_of(name, report), _shares_below(model, levels), LineKind.DOTTED_LINE, 2.25)
        for name, model in models.items()
    ]
    return ChartSpec(
        id="calibration",
        title="Nominal and observed share below each quantile",
        label="share of actuals below each quantile beside its level",
        x=tuple(levels),
        lines=tuple(lines),
        x_label="level of the quantile",
        y_label="share of actuals below it",
        share=True,
        share_x=True,
    )


def pit_spec(report: BacktestReport) -> ChartSpec | None:
    """Where actuals fall between the quantiles, over what the levels promise: the probability integral transform.

    Gneiting, Balabdaoui and Raftery (2007), Probabilistic forecasts, calibration and sharpness: flat is calibrated, high
    at both ends is too narrow, high in the middle too wide, a slope is a bias.
    """
    candidate = _calibrated(report).get("candidate")
    if candidate is None:
        return None
    levels = [0.0, *sorted(map(float, candidate.levels)), 1.0]
    below = [0.0, *_known(_shares_below(candidate, levels[1:-1])), 1.0]
    ratios = [
        (high - low) / (top - bottom)
        for (low, high), (bottom, top) in zip(pairwise(below), pairwise(levels), strict=True)
    ]
    return ChartSpec(
        id="pit",
        title="Where actuals fall between the quantiles",
        label="share of actuals between neighbouring quantiles over the nominal share",
        x=tuple(map(float, range(len(ratios)))),
        lines=(
            LineSpec("candidate", "candidate", numbers(ratios), LineKind.BARS),
            LineSpec("as promised", "naive-2", (1.0,) * len(ratios), LineKind.DASHES, 1.5),
        ),
        x_label="between these levels (PIT)",
        y_label="observed share over nominal",
        names=tuple(_bin_name(low, high) for low, high in pairwise(levels)),
        from_zero=True,
    )


def autocorrelation_spec(residuals: Mapping[str, Any]) -> ChartSpec:
    """Autocorrelation of the errors, with the band in which 95 % would lie by chance."""
    found = residuals["autocorrelation"]
    band = residuals["band"]
    return ChartSpec(
        id="autocorrelation",
        title="Autocorrelation of the errors",
        label="correlation of errors that are some steps apart, with the band of chance",
        x=tuple(map(float, range(1, len(found) + 1))),
        lines=(
            LineSpec("autocorrelation", "candidate", numbers(found), LineKind.BARS),
            LineSpec("95 % by chance", "naive-2", (band,) * len(found), LineKind.DASHES, 1.25),
            LineSpec("", "naive-2", (-band,) * len(found), LineKind.DASHES, 1.25),
        ),
        x_label="steps apart",
        y_label="correlation",
    )


def normal_quantiles_spec(residuals: Mapping[str, Any]) -> ChartSpec:
    """Quantiles of the errors beside those of the normal distribution (QQ)."""
    return ChartSpec(
        id="qq",
        title="Errors beside the normal distribution (QQ)",
        label="quantiles of the errors over quantiles of the normal distribution",
        x=numbers_known(residuals["expected"]),
        lines=(
            LineSpec("normal", "naive-2", numbers(residuals["expected"]), LineKind.DASHES, 1.5),
            LineSpec("errors", "candidate", numbers(residuals["observed"]), LineKind.POINTS),
        ),
        x_label="standard normal quantile",
        y_label="error, in standard deviations",
    )


def learning_curve_spec(history: Sequence[Mapping[str, Any]], *, best_epoch: int | None, loss: str) -> ChartSpec:
    """Training and validation loss by epoch; `loss` says which."""
    epochs = [float(row["epoch"]) for row in history]
    marks = (MarkSpec(float(best_epoch), "best epoch"),) if best_epoch is not None and best_epoch in epochs else ()
    return ChartSpec(
        id="learning-curve",
        title="Learning curve",
        label="training and validation loss by epoch",
        x=tuple(epochs),
        lines=(
            LineSpec("train", "naive-1", numbers([row["train_loss"] for row in history]), LineKind.DOTTED_LINE),
            LineSpec("validation", "candidate", numbers([row["validation_loss"] for row in history]), LineKind.DOTTED_LINE, 2.25),
        ),
        x_label="epoch",
        y_label=f"{loss}, scaled",
        marks=marks,
    )  # fmt: skip


def numbers_known(values: Sequence[float]) -> tuple[float, ...]:
    """Values none of which is missing."""
    return tuple(map(float, values))


def _calibrated(report: BacktestReport) -> dict[str, ModelReport]:
    """Champion and candidate with more than one quantile; the naive baselines have one forecast for all of them."""
    return {
        name: report.models[name] for name in _MAIN if name in report.models and len(report.models[name].levels) > 1
    }


def _shares_below(model: ModelReport, levels: Sequence[float]) -> tuple[float | None, ...]:
    found = {float(level): scores["share_below"] for level, scores in model.levels.items()}
    return numbers([found.get(level) for level in levels])


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _bin_name(low: float, high: float) -> str:
    if low == 0:
        return f"< {high:g}"
    return f"> {low:g}" if high == 1 else f"{low:g}–{high:g}"
