"""Accuracy of a backtest: over everything, by horizon step and by slice, for each model.

`metrics.json` is `BacktestReport` as JSON; a value that is not finite is null there.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting import metrics
from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.score import ForecastRecord
from forecasting.backtest.slices import Mask
from forecasting.errors import ArtifactError
from forecasting.schema import SplitSpec

NAIVE_PREFIX = "seasonal_naive_"
_STEP_METRICS = ("mae", "rmse", "bias", "coverage")


@dataclass(frozen=True)
class ModelReport:
    """Accuracy of one model.

    overall: mae, rmse, bias, pinball and interval_width in the target's unit; wape, smape, mase, wql
    and coverage (share of actuals between the outer quantiles) as ratios; n_points.
    by_step: mae, rmse, bias and coverage of each step of the horizon, the first step first.
    slices: mae, rmse, wape, bias, coverage and n_points of parts of the steps: cold_start, last_fold,
    monday … sunday and hour_00 … hour_23 in local time; slices without a point are left out.
    mean: whether the model forecasts the mean. Then rmse and bias are of the mean; all else is of the median.
    """

    overall: Mapping[str, float]
    by_step: Mapping[str, tuple[float, ...]]
    slices: Mapping[str, Mapping[str, float]]
    mean: bool = False


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


def season_scales(backtest: BacktestSpec, split: SplitSpec, *, season: int) -> npt.NDArray[np.float64]:
    """`metrics.mase_scale` of the train cut of each series `[n series]`, NaN for series that begin later."""
    n_train = [max(0, (split.train_end - series.start) // backtest.step_s) for series in backtest.series]
    return np.array(
        [metrics.mase_scale(series.values[:n, 0], season) for series, n in zip(backtest.series, n_train, strict=True)]
    )


def model_report(
    backtest: BacktestSpec, record: ForecastRecord, *, slices: Mapping[str, Mask], scales: npt.NDArray[np.float64]
) -> ModelReport:
    """Accuracy of one model over the steps that it could forecast.

    Args:
        backtest: Windows and actuals.
        record: What the model forecast.
        slices: Steps of each slice, bool `[W,H]`.
        scales: `season_scales`.
    """
    actual = np.where(record.available, backtest.actual, np.nan)
    by_step = [_scores(actual[:, h], record, (slice(None), h)) for h in range(backtest.horizon)]
    parts = {name: _scores(actual[mask], record, mask) for name, mask in slices.items()}
    return ModelReport(
        overall=_overall(actual, record, scales[backtest.rows][:, None]),
        by_step={name: tuple(scores[name] for scores in by_step) for name in _STEP_METRICS},
        slices={name: scores for name, scores in parts.items() if scores["n_points"]},
        mean=record.mean is not None,
    )


def _scores(actual: npt.NDArray[np.float64], record: ForecastRecord, part: Any) -> dict[str, float]:
    """Scores of the steps that `part` picks of `[W,H]`, whose actuals are given."""
    quantiles, point, expected = record.quantiles[part], record.point[part], record.expected[part]
    return {
        "mae": metrics.mae(actual, point),
        "rmse": metrics.rmse(actual, expected),
        "wape": metrics.wape(actual, point),
        "bias": metrics.bias(actual, expected),
        "coverage": metrics.coverage(actual, quantiles[..., 0], quantiles[..., -1]),
        "n_points": int(np.isfinite(actual).sum()),
    }


def _overall(
    actual: npt.NDArray[np.float64], record: ForecastRecord, scale: npt.NDArray[np.float64]
) -> dict[str, float]:
    quantiles = record.quantiles
    return _scores(actual, record, ...) | {
        "smape": metrics.smape(actual, record.point),
        "mase": metrics.mase(actual, record.point, scale),
        "pinball": metrics.pinball(actual, quantiles, record.levels),
        "wql": metrics.wql(actual, quantiles, record.levels),
        "interval_width": metrics.interval_width(actual, quantiles[..., 0], quantiles[..., -1]),
    }


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


def champion_ratio(backtest: BacktestSpec, candidate: ForecastRecord, champion: ForecastRecord) -> float:
    """MAE of the candidate over the champion's on the steps that both forecast; NaN where there are none."""
    actual = np.where(candidate.available & champion.available, backtest.actual, np.nan)
    error = metrics.mae(actual, champion.point)
    return metrics.mae(actual, candidate.point) / error if error > 0 else float("nan")


def _mae(report: ModelReport, part: str | None) -> float:
    if part is None:
        return report.overall["mae"]
    return report.slices[part]["mae"] if part in report.slices else float("nan")


def write_backtest_report(report: BacktestReport, path: Path) -> None:
    """Write `metrics.json`; values that are not finite become null."""
    path.write_text(json.dumps(_without_nan(asdict(report)), indent=1, allow_nan=False), encoding="utf-8")


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
    )


def _with_nan(values: Mapping[Any, Any]) -> dict[Any, float]:
    return {key: float("nan") if value is None else value for key, value in values.items()}


def _without_nan(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _without_nan(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_nan(item) for item in value]
        case _:
            return value
