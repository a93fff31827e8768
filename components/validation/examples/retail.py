"""Daily sales of 520 products in stores over three years, made from a seed.

500 series are established: 50 products in 10 stores, 60 of them listed at some day in the first two
years. 20 more are new products, each listed in one store 10 to 60 days before the last eight weeks.
A listing changes the level for weeks, in a way that category and price class decide: novelties sell
best in their first days, other goods need months to be found. Those launches are what a model can
learn from the 60 and apply to the 20.

    expected sales = level × weekday × season × slow drift × promotion × launch × open
    sales          = negative binomial around it; none on days out of stock

Every factor but the drift and the noise follows from columns of the table and the calendar. The
numbers are invented; nothing is taken from a real shop.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

Floats = npt.NDArray[np.float64]

FIRST_DAY = np.datetime64("2021-07-01")
N_DAYS = 1096
N_STORES = 10
N_PRODUCTS = 50
N_LATE_LISTINGS = 60
N_NEW_PRODUCTS = 20
TEST_DAYS = 56
"""New products are listed 10 to 60 days before this many last days."""
SETTLED_DAYS = 365
"""Cap of DaysSinceLaunch; also its value for series older than the table."""
CATEGORIES = ("bakery", "dairy", "drinks", "household", "toys")
PRICE_CLASSES = ("economy", "standard", "premium")

_WEEKDAYS = np.array(
    [
        [0.95, 0.85, 0.90, 1.00, 1.15, 1.45, 0.70],
        [1.00, 0.90, 0.92, 1.02, 1.20, 1.30, 0.66],
        [0.75, 0.75, 0.85, 1.00, 1.45, 1.55, 0.65],
        [1.05, 0.95, 0.95, 1.00, 1.05, 1.25, 0.75],
        [0.70, 0.70, 0.90, 0.85, 1.10, 1.80, 0.95],
    ]
)
"""Category by weekday, Monday first; every row has the mean 1."""
_SUMMER = np.array([-0.05, 0.05, 0.35, -0.05, -0.15])
"""Amplitude of the year's wave by category; it peaks in July."""
_CHRISTMAS = np.array([0.35, 0.15, 0.30, 0.10, 1.30])
"""Rise at its height, three days before Christmas, by category."""
_PROMOTION = np.array([[1.6, 2.0, 2.8, 3.2, 2.2]]).T + np.array([[0.5, 0.0, -0.5]])
"""Elasticity by category and price class: a discount of d multiplies sales by exp(elasticity × d)."""
_DISCOUNTS = np.array([0.1, 0.2, 0.3])
_NOVELTY = np.array([[0.9, 1.2, 1.6], [0.0, 0.4, 0.8], [0.8, 1.2, 1.8], [0.0, 0.0, 0.4], [1.6, 2.2, 3.0]])
"""Extra sales on the first day by category and price class, as a share; they fade within weeks."""
_FADING_DAYS = np.array([18.0, 24.0, 30.0])
_DISCOVERY_DAYS = np.array(
    [[30.0, 22.0, 15.0], [60.0, 45.0, 30.0], [36.0, 28.0, 18.0], [80.0, 65.0, 45.0], [28.0, 20.0, 14.0]]
)
"""Days after which about two thirds of the customers have found a product."""
_UNKNOWN_LEVEL = 0.15
"""Share of its later level at which a product starts."""
_EASTER_SUNDAYS = (np.datetime64("2022-04-17"), np.datetime64("2023-04-09"), np.datetime64("2024-03-31"))
_CLOSED_DAYS = ("01-01", "05-01", "12-25", "12-26")
_CLOSED_AFTER_EASTER = (-2, 1, 39, 50)


@dataclass(frozen=True)
class RetailTable:
    """Arrays of the table, series by day `[520, 1096]`, and what each series is `[520]`.

    sales is NaN before a series is listed; expected is the mean from which sales were drawn.
    """

    store: npt.NDArray[np.int64]
    product: npt.NDArray[np.int64]
    category: npt.NDArray[np.int64]
    price_class: npt.NDArray[np.int64]
    first_day: npt.NDArray[np.int64]
    sales: Floats
    expected: Floats
    promo: Floats
    open: npt.NDArray[np.bool_]
    stock_out: npt.NDArray[np.bool_]


def write_retail(path: Path) -> None:
    """Write the table as Parquet: a row a store, product and day, from the day of listing on."""
    pq.write_table(retail_rows(make_retail()), path)


def make_retail(seed: int = 20240630) -> RetailTable:
    """Draw the table; the same seed gives the same table."""
    rng = np.random.default_rng(seed)
    store, product, category, price_class = _assortment(rng)
    first_day = _listing_days(rng)
    days = np.arange(N_DAYS)
    is_open = _open_days(store)
    promo = _promotions(rng, product, is_open)
    age = days - first_day[:, None]
    launched = first_day > 0
    launch = np.where(launched[:, None], _launch(np.maximum(age, 0), category, price_class), 1.0)
    level = _level(rng, store, product, price_class)
    lift = np.exp(_PROMOTION[category, price_class][:, None] * promo)
    expected = level[:, None] * _calendar(rng, store, category) * _drift(rng, len(store)) * lift * launch * is_open
    sales, stock_out = _draw(rng, expected, is_open)
    return RetailTable(
        store=store, product=product, category=category, price_class=price_class, first_day=first_day,
        sales=np.where(age >= 0, sales, np.nan), expected=expected, promo=promo, open=is_open, stock_out=stock_out & (age >= 0),
    )  # fmt: skip


def retail_rows(table: RetailTable) -> pa.Table:
    """The table in long form.

    Columns: Date, Store, Product, Category, PriceClass, Sales (pieces), Promo (discount as a share,
    known ahead), Open (0 or 1, known ahead), DaysSinceLaunch (at most 365, known ahead), StockOut
    (1 where sales are not demand; known only afterwards).
    """
    series, day = np.nonzero(~np.isnan(table.sales))
    age = np.where(table.first_day[series] > 0, np.minimum(day - table.first_day[series], SETTLED_DAYS), SETTLED_DAYS)
    return pa.table(
        {
            "Date": pa.array((FIRST_DAY + day).astype("datetime64[D]")),
            "Store": _names("store", table.store[series], 2),
            "Product": _names("product", table.product[series], 3),
            "Category": pa.DictionaryArray.from_arrays(
                pa.array(table.category[series], pa.int32()), pa.array(CATEGORIES)
            ),
            "PriceClass": pa.DictionaryArray.from_arrays(
                pa.array(table.price_class[series], pa.int32()), pa.array(PRICE_CLASSES)
            ),
            "Sales": pa.array(table.sales[series, day].astype(np.int32)),
            "Promo": pa.array(table.promo[series, day]),
            "Open": pa.array(table.open[series, day].astype(np.int8)),
            "DaysSinceLaunch": pa.array(age.astype(np.int16)),
            "StockOut": pa.array(table.stock_out[series, day].astype(np.int8)),
        }
    )


def _names(word: str, numbers: npt.NDArray[np.int64], n_digits: int) -> pa.DictionaryArray:
    names = [f"{word}-{number:0{n_digits}d}" for number in range(1, int(numbers.max()) + 2)]
    return pa.DictionaryArray.from_arrays(pa.array(numbers, pa.int32()), pa.array(names))


def _assortment(rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], ...]:
    """Store, product, category and price class of every series: the established ones, then the new."""
    category = np.arange(N_PRODUCTS + N_NEW_PRODUCTS) % len(CATEGORIES)
    price_class = np.arange(N_PRODUCTS + N_NEW_PRODUCTS) // len(CATEGORIES) % len(PRICE_CLASSES)
    store, product = np.divmod(np.arange(N_STORES * N_PRODUCTS), N_PRODUCTS)
    store = np.r_[store, rng.integers(0, N_STORES, N_NEW_PRODUCTS)]
    product = np.r_[product, N_PRODUCTS + np.arange(N_NEW_PRODUCTS)]
    return store, product, category[product], price_class[product]


def _listing_days(rng: np.random.Generator) -> npt.NDArray[np.int64]:
    first_day = np.zeros(N_STORES * N_PRODUCTS, dtype=np.int64)
    late = rng.choice(len(first_day), N_LATE_LISTINGS, replace=False)
    first_day[late] = rng.integers(30, 2 * 365, N_LATE_LISTINGS)
    new = N_DAYS - TEST_DAYS - rng.integers(10, 61, N_NEW_PRODUCTS)
    return np.r_[first_day, new]


def _open_days(store: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Closed on public holidays, and every third store on Sundays."""
    days = FIRST_DAY + np.arange(N_DAYS)
    month_day = np.array([str(day)[5:] for day in days])
    easter = [sunday + after for sunday in _EASTER_SUNDAYS for after in _CLOSED_AFTER_EASTER]
    holiday = np.isin(month_day, _CLOSED_DAYS) | np.isin(days, easter)
    closed_sundays = (store % 3 == 2)[:, None] & (_weekday(days) == 6)
    return ~(holiday | closed_sundays)


def _weekday(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    return (days.astype("datetime64[D]").astype(np.int64) + 3) % 7


def _promotions(rng: np.random.Generator, product: npt.NDArray[np.int64], is_open: npt.NDArray[np.bool_]) -> Floats:
    """Discounts of a product are the same in all stores: weeks from Thursday to Wednesday, about one in seven."""
    weeks = (np.arange(N_DAYS) + (_weekday(FIRST_DAY + np.arange(1))[0] - 3)) // 7
    n_products, n_weeks = int(product.max()) + 1, int(weeks.max()) + 1
    on = rng.random((n_products, n_weeks)) < 0.15
    depth = rng.choice(_DISCOUNTS, (n_products, n_weeks), p=[0.4, 0.4, 0.2])
    return np.where(is_open, (on * depth)[product][:, weeks], 0.0)


def _level(
    rng: np.random.Generator,
    store: npt.NDArray[np.int64],
    product: npt.NDArray[np.int64],
    price_class: npt.NDArray[np.int64],
) -> Floats:
    """Pieces on a usual day: from less than one for slow movers to about a hundred."""
    popularity = rng.lognormal(2.6, 0.9, int(product.max()) + 1)
    slow = rng.random(len(popularity)) < 0.15
    popularity[slow] = rng.uniform(0.4, 1.5, int(slow.sum()))
    size = rng.lognormal(0.0, 0.35, N_STORES)
    taste = rng.lognormal(0.0, 0.2, len(store))
    return np.clip(popularity[product] * size[store] * taste * np.array([1.3, 1.0, 0.7])[price_class], 0.3, 120.0)


def _calendar(rng: np.random.Generator, store: npt.NDArray[np.int64], category: npt.NDArray[np.int64]) -> Floats:
    """Weekday, season and the weeks before Christmas."""
    days = FIRST_DAY + np.arange(N_DAYS)
    of_year = (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)
    weekday = _WEEKDAYS[category] * rng.lognormal(0.0, 0.08, (N_STORES, 7))[store]
    season = 1.0 + _SUMMER[category][:, None] * np.cos(2 * np.pi * (of_year - 196) / 365.25)
    before_christmas = np.clip(1 - np.abs(of_year - 355) / 24, 0, None)
    return weekday[:, _weekday(days)] * season * (1.0 + _CHRISTMAS[category][:, None] * before_christmas)


def _drift(rng: np.random.Generator, n_series: int) -> Floats:
    """A trend of up to a sixth a year and a slow wandering that no column tells."""
    trend = rng.uniform(-0.15, 0.15, n_series)[:, None] * (np.arange(N_DAYS) - N_DAYS / 2) / 365
    shocks = rng.normal(0.0, 0.015, (n_series, N_DAYS))
    wander = np.empty_like(shocks)
    wander[:, 0] = shocks[:, 0] * 5
    for day in range(1, N_DAYS):
        wander[:, day] = 0.985 * wander[:, day - 1] + shocks[:, day]
    return np.exp(trend + wander)


def _launch(age: npt.NDArray[np.int64], category: npt.NDArray[np.int64], price_class: npt.NDArray[np.int64]) -> Floats:
    """Factor on the level `age` days after listing `[N, T]`: discovery, and novelty on top of it."""
    found = 1.0 - (1.0 - _UNKNOWN_LEVEL) * np.exp(-age / _DISCOVERY_DAYS[category, price_class][:, None])
    novelty = _NOVELTY[category, price_class][:, None] * np.exp(-age / _FADING_DAYS[price_class][:, None])
    return found + novelty


def _draw(
    rng: np.random.Generator, expected: Floats, is_open: npt.NDArray[np.bool_]
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Sales and the days out of stock: episodes of about four days."""
    n_series = len(expected)
    dispersion = rng.uniform(6.0, 30.0, n_series)[:, None]
    sales = rng.poisson(rng.gamma(dispersion, 1.0, expected.shape) / dispersion * expected).astype(np.float64)
    slow = expected.mean(axis=1) < 2.0
    sales[(rng.random(expected.shape) < 0.2) & slow[:, None]] = 0.0
    begins = rng.random(expected.shape) < 0.004
    stays = rng.random(expected.shape) < 0.75
    out = np.zeros(expected.shape, dtype=np.bool_)
    for day in range(1, N_DAYS):
        out[:, day] = begins[:, day] | (out[:, day - 1] & stays[:, day])
    out &= is_open
    sales[out | ~is_open] = 0.0
    return sales, out
