"""The retail example: what a reader is told about it is true."""

from pathlib import Path

import numpy as np
import pytest

from components.validation.examples.retail import (
    CATEGORIES,
    N_DAYS,
    N_NEW_PRODUCTS,
    TEST_DAYS,
    RetailTable,
    make_retail,
    retail_rows,
)
from components.validation.validate_data import validate_data
from forecasting.config import load_config, step_settings
from forecasting.contracts.steps import StepName
from forecasting.series_store import read_series_store

CONFIG = Path("pipelines/configs/retail.yaml")
HORIZON = 28


@pytest.fixture(scope="module")
def retail() -> RetailTable:
    return make_retail()


def test_there_are_500_established_series_and_20_new_ones(retail: RetailTable):
    assert retail.sales.shape == (520, N_DAYS)
    new = retail.first_day[-N_NEW_PRODUCTS:]
    days_before_test = N_DAYS - TEST_DAYS - new
    assert days_before_test.min() >= 10
    assert days_before_test.max() <= 60
    assert np.count_nonzero(retail.first_day[:500] > 0) == 60
    assert retail.first_day[:500].max() < 730


def test_the_seed_decides_everything(retail: RetailTable):
    np.testing.assert_array_equal(make_retail().sales, retail.sales)
    assert not np.array_equal(make_retail(seed=1).sales, retail.sales, equal_nan=True)


def test_nothing_is_sold_where_a_store_is_closed_or_a_product_is_out_of_stock(retail: RetailTable):
    listed = ~np.isnan(retail.sales)
    assert np.all(retail.sales[listed & (~retail.open | retail.stock_out)] == 0)
    assert not np.any(retail.stock_out & ~retail.open)
    assert 0.005 < retail.stock_out.mean() < 0.03


def test_stores_are_closed_at_christmas_and_easter_and_some_on_sundays(retail: RetailTable):
    days = np.datetime64("2021-07-01") + np.arange(N_DAYS)
    closed = ~retail.open
    for day in ("2022-12-25", "2023-04-07", "2024-04-01", "2024-05-20"):
        assert closed[:, days == np.datetime64(day)].all()
    sunday = days == np.datetime64("2024-06-02")
    assert 0.2 < closed[:, sunday].mean() < 0.4


def test_promotions_raise_sales(retail: RetailTable):
    fast = np.nanmean(retail.sales, axis=1) > 10
    usable = retail.open & ~retail.stock_out & ~np.isnan(retail.sales) & fast[:, None]
    assert retail.sales[usable & (retail.promo > 0)].mean() > 1.3 * retail.sales[usable & (retail.promo == 0)].mean()


def test_toys_start_with_a_rush_and_household_goods_are_found_slowly(retail: RetailTable):
    ratios = {}
    for name in ("toys", "household"):
        chosen = np.flatnonzero(
            (retail.category == CATEGORIES.index(name)) & (retail.first_day[:520] > 0) & (retail.first_day < 700)
        )
        first = np.concatenate(
            [
                retail.expected[i, retail.first_day[i] : retail.first_day[i] + 14] / retail.expected[i].mean()
                for i in chosen
            ]
        )
        later = np.concatenate(
            [retail.expected[i, retail.first_day[i] + 180 :] / retail.expected[i].mean() for i in chosen]
        )
        ratios[name] = first.mean() / later.mean()
    assert ratios["toys"] > 1.3
    assert ratios["household"] < 0.7


@pytest.mark.parametrize("part", [slice(0, 500), slice(500, 520)])
def test_the_seasonal_naive_is_beatable_but_not_hopeless(retail: RetailTable, part: slice):
    sales = np.where(retail.stock_out, np.nan, retail.sales)[part]
    steps = np.arange(N_DAYS - TEST_DAYS, N_DAYS - HORIZON + 1, 7)[:, None] + np.arange(HORIZON)
    last_week = steps - 7 * (np.arange(HORIZON) // 7 + 1)
    actual, naive, best = sales[:, steps], sales[:, last_week], retail.expected[part][:, steps]
    known = ~np.isnan(actual) & ~np.isnan(naive)
    naive_wape = np.abs(actual - naive)[known].sum() / actual[known].sum()
    best_wape = np.abs(actual - best)[known].sum() / actual[known].sum()
    assert 0.3 < naive_wape < 0.6
    assert 0.4 * naive_wape < best_wape < 0.7 * naive_wape


def test_slow_movers_sell_nothing_on_most_days(retail: RetailTable):
    slow = np.nanmean(retail.sales, axis=1) < 1
    assert slow.sum() > 20
    assert np.nanmean(retail.sales[slow] == 0) > 0.5


def test_rows_begin_on_the_day_of_listing_and_count_from_it(retail: RetailTable):
    frame = retail_rows(retail).to_pandas()
    assert len(frame) == np.count_nonzero(~np.isnan(retail.sales))
    new = frame[frame["Product"] == "product-070"]
    assert new["DaysSinceLaunch"].tolist() == list(range(len(new)))
    established = frame[(frame["Product"] == "product-001") & (frame["Store"] == "store-01")]
    assert established["DaysSinceLaunch"].unique().tolist() == [365]
    assert frame["Date"].max().isoformat() == "2024-06-30"


def test_the_example_configuration_accepts_its_table(context, tmp_path):
    config = load_config(CONFIG)
    outcome = validate_data(step_settings(config, StepName.VALIDATE_DATA), {}, tmp_path, context)
    assert outcome.passed, outcome.summary
    store = read_series_store(tmp_path)
    assert len(store.series) == 520
    assert store.spec.columns == ("Sales", "StockOut", "Promo", "Open", "DaysSinceLaunch")
    assert store.spec.static == ("Category", "PriceClass")
    assert store.spec.split.cutoff == 1_719_792_000  # 2024-07-01
