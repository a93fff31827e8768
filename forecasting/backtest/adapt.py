"""Ask a model about a table it was not trained on: the champion on the candidate's backtest."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from forecasting.backtest.arrays import forecast_array
from forecasting.backtest.origins import BacktestSpec, select_windows
from forecasting.backtest.score import ForecastRecord, score_predictors
from forecasting.errors import DataError
from forecasting.features.spec import FeatureSpec
from forecasting.predictors import Predictor
from forecasting.schema import Series, SeriesSpec


def adapt_series(series: Series, table: SeriesSpec, spec: FeatureSpec) -> Series | None:
    """A series with the columns of a model: picked by name, categories in the model's codes.

    Returns:
        None where a static column holds a category that the model never saw.

    Raises:
        DataError: The table lacks a column of the model, or has another target or step.
    """
    _check_table(table, spec)
    columns = [table.columns.index(name) for name in spec.value_columns]
    codes = []
    for name in spec.static:
        category = table.categories[name][series.static[table.static.index(name)]]
        if category not in spec.categories[name]:
            return None
        codes.append(spec.categories[name].index(category))
    # What was known at an origin is picked by name, whether the model was trained with vintages or not.
    return replace(series, values=series.values[:, columns], static=tuple(codes))


def score_champion(
    predictor: Predictor, spec: FeatureSpec, *, table: SeriesSpec, backtest: BacktestSpec, batch_size: int
) -> ForecastRecord:
    """Forecast a backtest with a model that has its own feature spec.

    Series with a category it never saw, and steps beyond its horizon, are not available.

    Args:
        predictor: The model.
        spec: Its own feature spec.
        table: Columns of the backtest's series.
        backtest: Windows asked for.
        batch_size: Windows forecast at once.

    Raises:
        DataError: The model cannot be asked about this table.
    """
    adapted = [adapt_series(series, table, spec) for series in backtest.series]
    served = np.array([series is not None for series in adapted])[backtest.rows]
    if not served.any():
        raise DataError("every series of the table has a category that the model never saw")
    series = tuple(backtest.series[i] if new is None else new for i, new in enumerate(adapted))
    part = replace(select_windows(backtest, served), series=series)
    found = score_predictors({"champion": predictor}, spec, backtest=part, batch_size=batch_size)["champion"]
    return _spread(found, served, horizon=backtest.horizon)


def _spread(found: ForecastRecord, served: npt.NDArray[np.bool_], *, horizon: int) -> ForecastRecord:
    """Put forecasts of some windows, of another horizon, in their place among all."""
    n_steps = min(horizon, found.quantiles.shape[1])
    quantiles = forecast_array((len(served), horizon, len(found.levels)), fill=np.nan)
    quantiles[served, :n_steps] = found.quantiles[:, :n_steps]
    available = np.zeros((len(served), horizon), dtype=np.bool_)
    available[served, :n_steps] = True
    mean = None
    if found.mean is not None:
        mean = forecast_array((len(served), horizon), fill=np.nan)
        mean[served, :n_steps] = found.mean[:, :n_steps]
    return ForecastRecord(found.levels, quantiles, available, mean)


def _check_table(table: SeriesSpec, spec: FeatureSpec) -> None:
    if table.target != spec.target:
        raise DataError(f"the model forecasts {spec.target!r}, the table's target is {table.target!r}")
    if table.step_s != spec.step_s:
        raise DataError(f"the model has steps of {spec.step_s} s, the table has steps of {table.step_s} s")
    lacking = [name for name in spec.value_columns if name not in table.columns]
    lacking += [name for name in spec.static if name not in table.static]
    if lacking:
        raise DataError(f"the table has no column {lacking[0]!r}, which the model reads")
    later = [name for name in spec.known if name not in table.known]
    if later:
        raise DataError(f"the model needs {later[0]!r} for the horizon, the table does not know it ahead")
