"""A rolling-origin backtest over folds: models that are refitted from fold to fold, and models that are not."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.backtest.adapt import score_champion
from forecasting.backtest.arrays import forecast_array
from forecasting.backtest.folds import FoldSpec, fold_origins, plan_folds, rolling_split
from forecasting.backtest.origins import BacktestSpec, plan_backtest, select_windows
from forecasting.backtest.paired import compare_pair
from forecasting.backtest.report import BacktestScores, naive_predictors, score_backtest
from forecasting.backtest.score import ForecastRecord, score_predictors
from forecasting.backtest.slices import fold_name
from forecasting.backtest.summary import NAIVE_PREFIX, BacktestReport, finite_document
from forecasting.config.sections import BacktestConfig
from forecasting.durations import duration_steps
from forecasting.errors import DataError
from forecasting.features.spec import FeatureSpec
from forecasting.formats import as_time
from forecasting.predictors import Predictor
from forecasting.schema import SeriesStore


@dataclass(frozen=True)
class RollingSpec:
    """What a rolling backtest asks for.

    store: the series; its split is that of the first fold. spec: what baselines read: columns of the table, horizon,
    quantiles. Models have specs of their own. folds: of `backtest`, in order of time.
    """

    store: SeriesStore
    spec: FeatureSpec
    folds: tuple[FoldSpec, ...]
    backtest: BacktestSpec
    settings: BacktestConfig


@dataclass(frozen=True)
class FittedModel:
    """A model that can be asked, and what it reads."""

    predictor: Predictor
    spec: FeatureSpec


@dataclass(frozen=True)
class RollingReport:
    """Accuracy of every model over all folds.

    folds: in order of time. backtest: every metric; the slices `fold_1` and so on are those of the folds. skill: 1 less the
    ratio of the MAE over that of the better seasonal naive, on the steps that both forecast; above 0 is better than it.
    notes: windows that were not scored, and why.
    """

    folds: tuple[FoldSpec, ...]
    backtest: BacktestReport
    skill: Mapping[str, float]
    notes: tuple[str, ...] = field(default=())


def open_rolling(
    store: SeriesStore, spec: FeatureSpec, *, settings: BacktestConfig, folds: tuple[FoldSpec, ...] = ()
) -> RollingSpec:
    """Plan the folds and windows of a table.

    Args:
        store: The table.
        spec: What it is read with.
        settings: Stride, and how folds are planned.
        folds: Folds that are planned already, in order of time; none: those of the settings.

    Raises:
        ConfigError: `fold_length` is no whole number of steps.
        DataError: A fold holds no horizon, begins before the table does, or none of them holds an actual.
    """
    step_s = store.spec.step_s
    length = settings.fold_length
    folds = folds or plan_folds(
        store.spec.split,
        n_folds=settings.folds,
        length_s=None if length is None else duration_steps(length, step_s) * step_s,
        refit_every=settings.refit_every,
    )
    _check_start(store, folds)
    planned = fold_origins(folds, step_s, horizon=spec.horizon, stride=settings.stride)
    backtest = plan_backtest(store, planned.origins, horizon=spec.horizon, folds=planned.folds)
    first = replace(store, spec=replace(store.spec, split=rolling_split(store.spec.split, folds)))
    return RollingSpec(first, spec, folds, backtest, settings)


def _check_start(store: SeriesStore, folds: Sequence[FoldSpec]) -> None:
    begins = min(series.start for series in store)
    if rolling_split(store.spec.split, folds).train_end <= begins:
        raise DataError(
            f"{len(folds)} folds must leave a train period before the first, which begins at {as_time(folds[0].start)}; "
            f"the table begins at {as_time(begins)}; ask for fewer folds, or shorten backtest.fold_length"
        )


def forecast_naives(rolling: RollingSpec) -> dict[str, ForecastRecord]:
    """Forecasts of the seasonal naive baselines, which know nothing but their history."""
    predictors = naive_predictors(rolling.spec.seasons, rolling.spec.quantiles)
    return score_predictors(predictors, rolling.spec, backtest=rolling.backtest, batch_size=rolling.settings.batch_size)


def forecast_refits(rolling: RollingSpec, load: Callable[[int], FittedModel]) -> ForecastRecord:
    """Forecasts of a model that is trained again for some folds; one of its fits is loaded at a time.

    Args:
        rolling: What is asked for.
        load: Gives the fit with a `FoldSpec.trained_at`.

    Raises:
        DataError: A fit cannot be asked about the table.
    """
    trained = np.array([fold.trained_at for fold in rolling.folds])[rolling.backtest.folds - 1]

    def parts() -> Iterable[tuple[npt.NDArray[np.bool_], ForecastRecord]]:
        for cutoff in np.unique(trained).tolist():
            chosen = trained == cutoff
            yield chosen, _ask(rolling, load(cutoff), chosen)

    return _joined(rolling.backtest, parts())


def forecast_version(rolling: RollingSpec, model: FittedModel, *, known_until: int) -> ForecastRecord:
    """Forecasts of a model that was trained at some time in the past, for origins of which it knew no value.

    Args:
        rolling: What is asked for.
        model: The model.
        known_until: End of what it was trained and calibrated on, UTC epoch seconds.

    Returns:
        A record that is not available at origins before that.

    Raises:
        DataError: There is no such origin, or the model cannot be asked about the table.
    """
    chosen = rolling.backtest.origins >= known_until
    if not chosen.any():
        raise DataError(
            f"a model that was trained on values up to {as_time(known_until)} must be scored on later ones, and the backtest "
            f"ends at {as_time(rolling.folds[-1].end)}; backtest a candidate, which is trained for its folds"
        )
    return _joined(rolling.backtest, [(chosen, _ask(rolling, model, chosen))])


def _ask(rolling: RollingSpec, model: FittedModel, chosen: npt.NDArray[np.bool_]) -> ForecastRecord:
    return score_champion(
        model.predictor, model.spec, table=rolling.store.spec, backtest=select_windows(rolling.backtest, chosen),
        batch_size=rolling.settings.batch_size,
    )  # fmt: skip


def _joined(backtest: BacktestSpec, parts: Iterable[tuple[npt.NDArray[np.bool_], ForecastRecord]]) -> ForecastRecord:
    """Forecasts of parts of the windows as one record; windows of no part are not available."""
    quantiles = mean = None
    available = np.zeros((backtest.n_windows, backtest.horizon), dtype=np.bool_)
    levels: tuple[float, ...] = ()
    for chosen, found in parts:
        if quantiles is None:
            levels = found.levels
            quantiles = forecast_array((*available.shape, len(levels)), fill=np.nan)
            mean = None if found.mean is None else forecast_array(available.shape, fill=np.nan)
        quantiles[chosen] = found.quantiles
        available[chosen] = found.available
        if mean is not None and found.mean is not None:
            mean[chosen] = found.mean
    if quantiles is None:
        raise ValueError("a record must be joined of at least one part")
    return ForecastRecord(levels, quantiles, available, mean)


def score_rolling(rolling: RollingSpec, forecasts: Mapping[str, ForecastRecord]) -> BacktestScores:
    """Accuracy of every model: `score_backtest` with the folds as slices."""
    names = tuple(fold_name(fold.number, len(rolling.folds)) for fold in rolling.folds)
    return score_backtest(
        rolling.store, rolling.spec, backtest=rolling.backtest, forecasts=forecasts, settings=rolling.settings,
        fold_names=names,
    )  # fmt: skip


def rolling_report(
    rolling: RollingSpec, forecasts: Mapping[str, ForecastRecord], *, scores: BacktestScores, notes: Sequence[str] = ()
) -> RollingReport:
    """What `almanac backtest` tells.

    Args:
        rolling: What was asked for.
        forecasts: By role or name, the seasonal naives among them.
        scores: Of them.
        notes: Windows that were not scored, and why.
    """
    naives = {name: record for name, record in forecasts.items() if name.startswith(NAIVE_PREFIX)}
    skill = {
        name: float(1 - np.max([compare_pair(rolling.backtest, record, naive).ratio for naive in naives.values()]))
        for name, record in forecasts.items()
    }
    return RollingReport(rolling.folds, scores.report, skill, tuple(notes))


def rolling_document(report: RollingReport) -> dict[str, Any]:
    """A report for JSON; values that are not finite become null."""
    document: dict[str, Any] = finite_document(asdict(report))
    return document
