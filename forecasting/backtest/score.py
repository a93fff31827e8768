"""Run predictors over a backtest in batches, and write what they forecast as one tidy table."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from forecasting.backtest.arrays import forecast_array
from forecasting.backtest.naive import SeasonalNaivePredictor
from forecasting.backtest.origins import BacktestSpec
from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.errors import ArtifactError
from forecasting.features.spec import FeatureSpec
from forecasting.predictors import Predictor
from forecasting.windows import ModelInputs, stack_inputs, window_inputs

logger = logging.getLogger(__name__)

_PROGRESS_EVERY_S = 10.0
_WINDOWS_PER_ROW_GROUP = 4_096


@dataclass(frozen=True)
class ForecastRecord:
    """What one model forecast for a backtest.

    levels: its quantile levels, ascending. quantiles: float32 `[W,H,Q]`, unit of the target.
    available: bool `[W,H]`; false where the model has no forecast to give (another horizon, a
    category it never saw), which is not the same as a forecast that is NaN. mean: float32 `[W,H]`;
    none where the model does not forecast it, as no naive does.
    """

    levels: tuple[float, ...]
    quantiles: npt.NDArray[np.float32]
    available: npt.NDArray[np.bool_]
    mean: npt.NDArray[np.float32] | None = None

    @property
    def point_index(self) -> int:
        """Position of the point forecast, the 0.5 quantile, along Q."""
        return self.levels.index(POINT_QUANTILE)

    @property
    def point(self) -> npt.NDArray[np.float32]:
        """The point forecast `[W,H]`."""
        return self.quantiles[:, :, self.point_index]

    @property
    def expected(self) -> npt.NDArray[np.float32]:
        """What squared errors and sums are judged by `[W,H]`: the mean, or the point forecast where there is none."""
        return self.point if self.mean is None else self.mean


def score_predictors(
    predictors: Mapping[str, Predictor],
    spec: FeatureSpec,
    *,
    backtest: BacktestSpec,
    batch_size: int,
    failures: dict[str, str] | None = None,
) -> dict[str, ForecastRecord]:
    """Forecast every window with every predictor; each window is made once and shared.

    Inputs exist for one batch at a time; only the answers, float32 `[W,H,A]` a model, are kept, large ones in a file.

    Args:
        predictors: By name. All read windows of `spec` and answer its quantile levels, and models its mean where it has
            one.
        spec: Feature spec; its columns are those of the backtest's series.
        backtest: Windows asked for.
        batch_size: Windows forecast at once.
        failures: Where given, receives why a predictor failed, by name: it has no record then, and the others go on.

    Raises:
        ArtifactError: A predictor fails or its answer is not `[B,H,A]`, and there is no `failures`.
    """
    shapes = {name: (spec.horizon, _n_columns(predictor, spec)) for name, predictor in predictors.items()}
    answers = {name: forecast_array((backtest.n_windows, *shape)) for name, shape in shapes.items()}
    started = reported = time.monotonic()
    for first in range(0, backtest.n_windows, batch_size):
        end = min(first + batch_size, backtest.n_windows)
        inputs = block_inputs(backtest, spec, first=first, end=end)
        for name in list(answers):
            try:
                found = predictors[name].predict(inputs)
                answers[name][first:end] = _checked(found, (end - first, *shapes[name]), name)
            except ArtifactError as error:
                if failures is None:
                    raise
                failures[name] = str(error)
                del answers[name]
        if time.monotonic() - reported > _PROGRESS_EVERY_S:
            reported = time.monotonic()
            logger.info("scored %d of %d windows in %.0f s", end, backtest.n_windows, reported - started)
    logger.info(
        "scored %d windows with %s in %.1f s", backtest.n_windows, ", ".join(answers), time.monotonic() - started
    )
    return {name: _record(answer, spec.quantiles) for name, answer in answers.items()}


def _n_columns(predictor: Predictor, spec: FeatureSpec) -> int:
    """Columns that a predictor must answer; the naive baselines have no mean."""
    return len(spec.quantiles) if isinstance(predictor, SeasonalNaivePredictor) else spec.signature.n_columns


def _record(answer: npt.NDArray[np.float32], levels: tuple[float, ...]) -> ForecastRecord:
    """An answer `[W,H,A]` that is available everywhere, split into quantiles and mean."""
    n_levels = len(levels)
    mean = answer[:, :, n_levels] if answer.shape[2] > n_levels else None
    return ForecastRecord(levels, answer[:, :, :n_levels], np.ones(answer.shape[:2], dtype=np.bool_), mean)


def block_inputs(backtest: BacktestSpec, spec: FeatureSpec, *, first: int, end: int) -> ModelInputs:
    """Model inputs of the windows `first` to `end` (exclusive), in their order."""
    rows = backtest.rows[first:end]
    bounds = np.flatnonzero(np.diff(rows)) + 1
    parts = [
        window_inputs(backtest.series[rows[a]], spec, backtest.origins[first + a : first + b])
        for a, b in zip(np.r_[0, bounds], np.r_[bounds, len(rows)], strict=True)
    ]
    return parts[0] if len(parts) == 1 else stack_inputs(parts)


def _checked(answer: npt.NDArray[np.float32], shape: tuple[int, ...], name: str) -> npt.NDArray[np.float32]:
    if answer.shape != shape:
        raise ArtifactError(
            f"{name} must answer quantiles (and the mean, where it has one) of shape {list(shape)}, found {list(answer.shape)}; train it again"
        )
    return answer


MEAN_COLUMN = "mean"
"""Column of the mean in the table of scores."""


def quantile_column(level: float) -> str:
    """Column of a quantile level in the table of scores, such as `q0.5`."""
    return f"q{level:g}"


def write_scores(path: Path, backtest: BacktestSpec, *, forecasts: Mapping[str, ForecastRecord]) -> None:
    """Write the tidy table: one row a model, series, origin and step.

    Columns: model, series (dictionaries), fold (number of the origin), origin (first forecast step,
    UTC), step (1 is the origin itself), actual (null where missing), one column a quantile level
    and mean (null where a model does not have it). Written in groups of rows, so that it needs no
    second copy of all forecasts.
    """
    levels = sorted({level for record in forecasts.values() for level in record.levels})
    schema = pa.schema(
        [
            ("model", pa.dictionary(pa.int32(), pa.string())),
            ("series", pa.dictionary(pa.int32(), pa.string())),
            ("fold", pa.int32()),
            ("origin", pa.timestamp("s", tz="UTC")),
            ("step", pa.int32()),
            ("actual", pa.float64()),
            *((quantile_column(level), pa.float32()) for level in levels),
            (MEAN_COLUMN, pa.float32()),
        ]
    )
    with pq.ParquetWriter(path, schema) as writer:
        for name, record in forecasts.items():
            for first in range(0, backtest.n_windows, _WINDOWS_PER_ROW_GROUP):
                chosen = slice(first, min(first + _WINDOWS_PER_ROW_GROUP, backtest.n_windows))
                writer.write_table(
                    _score_rows(backtest, record, name=name, levels=levels, chosen=chosen, schema=schema)
                )


def _score_rows(
    backtest: BacktestSpec, record: ForecastRecord, *, name: str, levels: list[float], chosen: slice, schema: pa.Schema
) -> pa.Table:
    window, step = np.nonzero(record.available[chosen])
    absolute = window + (chosen.start or 0)
    ids = pa.array([series.id for series in backtest.series])
    columns = [
        pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(window), dtype=np.int32)), pa.array([name])),
        pa.DictionaryArray.from_arrays(pa.array(backtest.rows[absolute].astype(np.int32)), ids),
        pa.array(backtest.folds[absolute].astype(np.int32)),
        pa.array(backtest.origins[absolute]).cast(pa.timestamp("s", tz="UTC")),
        pa.array((step + 1).astype(np.int32)),
        pa.array(backtest.actual[absolute, step], from_pandas=True),
    ]
    for level in levels:
        if level in record.levels:
            columns.append(pa.array(record.quantiles[absolute, step, record.levels.index(level)]))
        else:
            columns.append(pa.nulls(len(window), pa.float32()))
    no_mean = pa.nulls(len(window), pa.float32())
    columns.append(no_mean if record.mean is None else pa.array(record.mean[absolute, step]))
    return pa.Table.from_arrays(columns, schema=schema)
