"""Accuracy of a backtest: over everything, by horizon step, by series and by slice, for each model.

`metrics.json` is `BacktestReport` as JSON; a value that is not finite is null there.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from forecasting import metrics
from forecasting.backtest.grouped import BLOCK_POINTS, BlockTerms, GroupedSums, range_block, window_ranges
from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.score import ForecastRecord
from forecasting.backtest.slices import SliceSpec
from forecasting.errors import ArtifactError
from forecasting.metrics.block import Doubles, ScoreBlock
from forecasting.metrics.registry import (
    POINT_METRICS,
    QUANTILE_METRICS,
    interval_metrics,
    intervals,
    level_metrics,
)
from forecasting.schema import SplitSpec

NAIVE_PREFIX = "seasonal_naive_"
SERIES_SCORES_FILE = "series_scores.parquet"


@dataclass(frozen=True)
class ModelReport:
    """Accuracy of one model; every metric is one of `forecasting.metrics.registry`.

    overall: all metrics by name (docs/metrics.md), coverage, interval_width and winkler of the outer
    interval, n_points. by_step: the same metrics of each step of the
    horizon, the first step first. slices: the same and n_points of parts of the steps (see
    `forecasting.backtest.slices`); slices without a point are left out. intervals: coverage,
    interval_width and winkler by nominal share, such as "0.8". levels: share_below and level_pinball by
    level. mean: whether the model forecasts the mean. Then rmse, rmsse, r2 and bias are of the mean; all else is
    of the median.
    """

    overall: Mapping[str, float]
    by_step: Mapping[str, tuple[float, ...]]
    slices: Mapping[str, Mapping[str, float]]
    mean: bool = False
    intervals: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    levels: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    outlier_ratio: float = float("nan")


@dataclass(frozen=True)
class BacktestReport:
    """Accuracy of every model on one backtest.

    models: candidate, champion where there is one, seasonal_naive_<season>; or variants by name.
    unit: the target column, in whose unit errors are. interval: nominal share between the outer
    quantiles. ratios: comparisons on identical steps, such as naive_ratio.
    """

    models: Mapping[str, ModelReport]
    n_origins: int
    n_series: int
    n_points: int
    unit: str
    interval: float
    ratios: Mapping[str, float]


@dataclass(frozen=True)
class SeriesScoresReport:
    """Accuracy of one model on each series of a backtest.

    n_points: scored steps `[n series]`. scores: the metrics of `ModelReport.overall` `[n series]`, NaN for series without a
    point.
    """

    n_points: npt.NDArray[np.int64]
    scores: Mapping[str, Doubles]


@dataclass(frozen=True)
class SeriesScales:
    """What errors of each series are scaled by: `metrics.mase_scale` and `metrics.rmsse_scale` of its train cut `[n series]`."""

    absolute: Doubles
    squared: Doubles


def season_scales(backtest: BacktestSpec, split: SplitSpec, *, season: int) -> SeriesScales:
    """Scales of all series; NaN for series that begin after the train cut."""
    n_train = [max(0, (split.train_end - series.start) // backtest.step_s) for series in backtest.series]
    trained = [series.values[:n, 0] for series, n in zip(backtest.series, n_train, strict=True)]
    return SeriesScales(
        np.array([metrics.mase_scale(values, season) for values in trained]),
        np.array([metrics.rmsse_scale(values, season) for values in trained]),
    )


def score_model(
    backtest: BacktestSpec,
    record: ForecastRecord,
    *,
    slices: Sequence[SliceSpec],
    scales: SeriesScales,
    block_points: int = BLOCK_POINTS,
) -> tuple[ModelReport, SeriesScoresReport]:
    """Accuracy of one model over the steps that it could forecast.

    Works through the windows in blocks; besides the forecasts it keeps sums only.

    Args:
        backtest: Windows and actuals.
        record: What the model forecast.
        slices: How the steps are parted.
        scales: `season_scales`.
        block_points: Steps looked at at once; changes no value but rounding.
    """
    sums = _ModelSums(backtest, record.levels, slices)
    anchor = _anchor(backtest)
    for first, end in window_ranges(backtest, block_points=block_points):
        block, known = range_block(
            backtest, record, first=first, end=end, scales=scales.absolute, squared_scales=scales.squared, anchor=anchor
        )
        sums.add(block, known, first=first, end=end)
    return sums.report(mean=record.mean is not None), sums.series_report()


class _ModelSums:
    """Everything that is summed of one model: over all steps, by interval, level, step, series and slice."""

    def __init__(self, backtest: BacktestSpec, levels: tuple[float, ...], slices: Sequence[SliceSpec]) -> None:
        outer = levels[0], levels[-1]
        every = (*POINT_METRICS, *QUANTILE_METRICS, *interval_metrics(*outer))
        self._backtest, self._slices = backtest, slices
        self._total = GroupedSums(every, 1)
        self._intervals = {
            f"{high - low:g}": GroupedSums(interval_metrics(low, high), 1) for low, high in intervals(levels)
        }
        self._levels = {f"{level:g}": GroupedSums(level_metrics(level), 1) for level in levels}
        self._by_step = GroupedSums(every, backtest.horizon)
        self._by_series = GroupedSums(every, len(backtest.series))
        self._by_slice = [GroupedSums(every, len(part.names)) for part in slices]

    def add(self, block: ScoreBlock, known: npt.NDArray[np.bool_], *, first: int, end: int) -> None:
        """Add the windows `first` to `end` (exclusive), of whose steps the block has the known ones, bool `[w,H]`."""
        terms = BlockTerms(block)
        for sums in (self._total, *self._intervals.values(), *self._levels.values()):
            sums.add_all(terms, block.n_points)
        self._by_step.add(terms, np.broadcast_to(np.arange(self._backtest.horizon), known.shape)[known])
        self._by_series.add(terms, np.broadcast_to(self._backtest.rows[first:end, None], known.shape)[known])
        for part, sums in zip(self._slices, self._by_slice, strict=True):
            sums.add(terms, part.codes(first, end)[known])

    def report(self, *, mean: bool) -> ModelReport:
        """Metrics of what was added."""
        parts = zip(self._slices, self._by_slice, strict=True)
        return ModelReport(
            overall=_only(self._total) | {"n_points": int(self._total.counts[0])},
            by_step={name: tuple(values.tolist()) for name, values in self._by_step.values().items()},
            slices={name: scores for part, sums in parts for name, scores in _parts(part, sums)},
            mean=mean,
            intervals={share: _only(sums) for share, sums in self._intervals.items()},
            levels={level: _only(sums) for level, sums in self._levels.items()},
        )

    def series_report(self) -> SeriesScoresReport:
        """Metrics of each series."""
        return SeriesScoresReport(self._by_series.counts, self._by_series.values())


def _anchor(backtest: BacktestSpec) -> float:
    first = backtest.actual[0]
    return float(first[np.isfinite(first)][0])


def _only(sums: GroupedSums) -> dict[str, float]:
    return {name: float(values[0]) for name, values in sums.values().items()}


def _parts(part: SliceSpec, sums: GroupedSums) -> list[tuple[str, dict[str, float]]]:
    values = sums.values()
    return [
        (name, {metric: float(found[i]) for metric, found in values.items()} | {"n_points": int(sums.counts[i])})
        for i, name in enumerate(part.names)
        if sums.counts[i]
    ]


def write_series_scores(path: Path, backtest: BacktestSpec, *, scores: Mapping[str, SeriesScoresReport]) -> None:
    """Write `series_scores.parquet`: model, series, n_points and the metrics; series without a point are left out."""
    ids = np.array([series.id for series in backtest.series], dtype=object)
    tables = []
    for name, found in scores.items():
        kept = np.flatnonzero(found.n_points)
        columns: dict[str, Any] = {
            "model": pa.array([name] * len(kept), pa.string()),
            "series": pa.array(ids[kept], pa.string()),
            "n_points": pa.array(found.n_points[kept], pa.int64()),
        }
        columns |= {metric: pa.array(values[kept], pa.float64()) for metric, values in found.scores.items()}
        tables.append(pa.table(columns))
    if tables:
        pq.write_table(pa.concat_tables(tables), path)


def read_series_mae(path: Path, model: str) -> dict[str, float]:
    """MAE of one model by series id, from `series_scores.parquet`.

    Raises:
        ArtifactError: The file is missing or no such table.
    """
    try:
        table = pq.read_table(path, columns=["model", "series", "mae"])
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(f"{path} must hold the scores of each series: {error}; run the step again") from error
    names, series, mae = (table.column(name).to_pylist() for name in ("model", "series", "mae"))
    return {one: float(value) for name, one, value in zip(names, series, mae, strict=True) if name == model}


def naive_ratio(models: Mapping[str, ModelReport], name: str, *, part: str | None = None) -> float:
    """WAPE of a model over that of the better seasonal naive, on the same steps.

    On the same steps the ratio of WAPEs is the ratio of MAEs, which also exists where all actuals are 0.

    Args:
        models: Reports of one backtest, the naive baselines among them.
        name: Whose ratio.
        part: A slice; none: all steps.

    Returns:
        NaN where it cannot be measured, for example where the slice is empty.
    """
    errors = {model: _mae(report, part) for model, report in models.items()}
    naive = [error for model, error in errors.items() if model.startswith(NAIVE_PREFIX) and math.isfinite(error)]
    return errors[name] / min(naive) if naive and min(naive) > 0 else float("nan")


def better_naive(models: Mapping[str, ModelReport]) -> str:
    """Name of the seasonal naive with the lower MAE.

    Raises:
        KeyError: There is none among the models.
    """
    names = [name for name in models if name.startswith(NAIVE_PREFIX)]
    if not names:
        raise KeyError("no seasonal naive was scored")
    return min(names, key=lambda name: models[name].overall["mae"])


def _mae(report: ModelReport, part: str | None) -> float:
    if part is None:
        return report.overall["mae"]
    return report.slices[part]["mae"] if part in report.slices else float("nan")


def write_backtest_report(report: BacktestReport, path: Path) -> None:
    """Write `metrics.json`; values that are not finite become null."""
    path.write_text(json.dumps(finite_document(asdict(report)), indent=1, allow_nan=False), encoding="utf-8")


def read_backtest_report(path: Path) -> BacktestReport:
    """Read `metrics.json`; null becomes NaN.

    Raises:
        ArtifactError: The file is missing or no such report.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        models = {name: _model(model) for name, model in document["models"].items()}
        return BacktestReport(**{**document, "models": models, "ratios": _with_nan(document["ratios"])})
    except (OSError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path} must hold the metrics of a backtest: {error}; run the step again") from error


def _model(document: Any) -> ModelReport:
    return ModelReport(
        overall=_with_nan(document["overall"]),
        by_step={
            name: tuple(_with_nan(dict(enumerate(values))).values()) for name, values in document["by_step"].items()
        },
        slices={name: _with_nan(scores) for name, scores in document["slices"].items()},
        mean=document.get("mean", False),
        intervals={name: _with_nan(scores) for name, scores in document.get("intervals", {}).items()},
        levels={name: _with_nan(scores) for name, scores in document.get("levels", {}).items()},
        **_with_nan({"outlier_ratio": document.get("outlier_ratio")}),
    )


def _with_nan(values: Mapping[Any, Any]) -> dict[Any, float]:
    return {key: float("nan") if value is None else value for key, value in values.items()}


def finite_document(value: Any) -> Any:
    """A document for JSON: numbers that are not finite become null."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: finite_document(item) for key, item in value.items()}
        case list() | tuple():
            return [finite_document(item) for item in value]
        case _:
            return value
