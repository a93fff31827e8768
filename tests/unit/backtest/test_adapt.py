"""A champion on a table that it was not trained on."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.backtest.adapt import adapt_series, score_champion
from forecasting.backtest.report import open_backtest
from forecasting.config.sections import BacktestConfig
from forecasting.errors import DataError
from forecasting.windows import ModelInputs
from tests.unit.backtest.tables import KnownColumnPredictor, LastValuePredictor, daily_wave, hourly_spec, hourly_store

DEMAND = daily_wave(10)
STORE = hourly_store({"Demand": [DEMAND, DEMAND], "Promo": [DEMAND * 0, DEMAND * 0], "Copy": [DEMAND, DEMAND]})
SETTINGS = BacktestConfig(stride=24)
BACKTEST = open_backtest(STORE, hourly_spec(known=("Promo", "Copy")), settings=SETTINGS)


def test_columns_are_picked_by_name_when_the_table_has_gained_one() -> None:
    spec = hourly_spec(known=("Copy",))
    record = score_champion(KnownColumnPredictor(), spec, table=STORE.spec, backtest=BACKTEST, batch_size=64)
    assert record.point == pytest.approx(BACKTEST.actual, rel=1e-6)
    assert record.available.all()


def test_column_gone_from_the_table_is_named() -> None:
    spec = hourly_spec(known=("Copy", "Temperature"))
    with pytest.raises(DataError, match="no column 'Temperature', which the model reads"):
        score_champion(KnownColumnPredictor(), spec, table=STORE.spec, backtest=BACKTEST, batch_size=64)


def test_other_target_or_step_is_named() -> None:
    with pytest.raises(DataError, match="forecasts 'Sales', the table's target is 'Demand'"):
        adapt_series(STORE.series[0], STORE.spec, hourly_spec(target="Sales"))
    with pytest.raises(DataError, match="steps of 1800 s, the table has steps of 3600 s"):
        adapt_series(STORE.series[0], STORE.spec, hourly_spec(step_s=1_800))


def test_covariate_no_longer_known_ahead_is_named() -> None:
    table = replace(STORE.spec, observed=("Promo",), known=("Copy",))
    with pytest.raises(DataError, match="needs 'Promo' for the horizon"):
        adapt_series(STORE.series[0], table, hourly_spec(known=("Promo",)))


def test_shorter_horizon_is_available_for_its_own_steps_only() -> None:
    spec = hourly_spec(known=("Copy",), horizon=6)
    record = score_champion(KnownColumnPredictor(), spec, table=STORE.spec, backtest=BACKTEST, batch_size=64)
    assert record.available[:, :6].all()
    assert not record.available[:, 6:].any()
    assert record.point[:, :6] == pytest.approx(BACKTEST.actual[:, :6], rel=1e-6)


def test_mean_of_a_champion_of_a_shorter_horizon_stands_with_its_steps() -> None:
    class MeanPredictor(KnownColumnPredictor):
        def predict(self, inputs: ModelInputs) -> np.ndarray:
            quantiles = super().predict(inputs)
            return np.concatenate([quantiles, quantiles[:, :, 1:2] + 3.0], axis=2)

    spec = hourly_spec(known=("Copy",), horizon=6, mean=True)
    record = score_champion(MeanPredictor(), spec, table=STORE.spec, backtest=BACKTEST, batch_size=64)
    assert record.mean is not None
    assert record.mean[:, :6] == pytest.approx(BACKTEST.actual[:, :6] + 3.0, rel=1e-6)
    assert np.isnan(record.mean[:, 6:]).all()


def test_longer_horizon_is_cut() -> None:
    spec = hourly_spec(known=("Copy",), horizon=30)
    record = score_champion(LastValuePredictor(), spec, table=STORE.spec, backtest=BACKTEST, batch_size=64)
    assert record.point.shape == BACKTEST.actual.shape
    assert record.available.all()


def test_categories_are_recoded_and_series_of_an_unseen_one_are_not_available() -> None:
    store = hourly_store({"Demand": [DEMAND, DEMAND]}, static=("Region",), codes=((0,), (1,)))
    spec = hourly_spec(static=("Region",), categories={"Region": ("south", "west")})
    assert adapt_series(store.series[0], store.spec, spec) is None
    recoded = adapt_series(store.series[1], store.spec, spec)
    assert recoded is not None
    assert recoded.static == (0,)
    backtest = open_backtest(store, spec, settings=SETTINGS)
    record = score_champion(LastValuePredictor(), spec, table=store.spec, backtest=backtest, batch_size=64)
    assert record.available.all(axis=1).tolist() == [False] * 3 + [True] * 3
    assert np.isnan(record.quantiles[:3]).all()


def test_table_of_unseen_categories_only_cannot_be_scored() -> None:
    store = hourly_store({"Demand": [DEMAND]}, static=("Region",), codes=((0,),))
    spec = hourly_spec(static=("Region",), categories={"Region": ("east",)})
    backtest = open_backtest(store, spec, settings=SETTINGS)
    with pytest.raises(DataError, match="category that the model never saw"):
        score_champion(LastValuePredictor(), spec, table=store.spec, backtest=backtest, batch_size=64)
