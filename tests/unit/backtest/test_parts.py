"""Every metric of every part of a backtest (step, series, slice) against scikit-learn and pandas on the tidy table."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from forecasting.backtest.report import BacktestScores
from forecasting.backtest.rolling import open_rolling, score_rolling
from forecasting.backtest.score import ForecastRecord, write_scores
from forecasting.backtest.summary import write_series_scores
from forecasting.config.sections import BacktestConfig
from forecasting.metrics.registry import documented_metrics
from tests.unit.backtest.tables import DAY_S, HOUR_S, MONDAY, NO_CALENDAR, daily_wave, hourly_spec, hourly_store

LEVELS = (0.1, 0.5, 0.9)
SETTINGS = BacktestConfig(stride=12, folds=2, fold_length="8d", cold_start_below="12d", horizon_buckets=3)
N_DAYS, LATE = 40, 22
HOLIDAYS = tuple(MONDAY // DAY_S + day for day in (25, 33))
SPEC = hourly_spec(calendar=replace(NO_CALENDAR, offsets_s=(2 * HOUR_S,), holidays=HOLIDAYS))
NAMES = sorted({metric.name for metric in documented_metrics()} - {"share_below", "level_pinball"})


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[BacktestScores, pd.DataFrame, pd.DataFrame]:
    """Scores of random forecasts of two series, one of them new, with gaps; the tidy table; the table by series."""
    folder: Path = tmp_path_factory.mktemp("parts")
    rng = np.random.default_rng(8)
    first = daily_wave(N_DAYS) + rng.normal(0, 8, 24 * N_DAYS)
    second = daily_wave(N_DAYS - LATE, level=40.0) + rng.normal(0, 8, 24 * (N_DAYS - LATE))
    first[700:720] = np.nan
    second[300] = 0.0
    store = hourly_store({"Demand": [first, second]}, starts=(MONDAY, MONDAY + LATE * DAY_S), n_days=N_DAYS, n_test_days=8)  # fmt: skip
    plan = open_rolling(store, SPEC, settings=SETTINGS)
    shape = plan.backtest.actual.shape
    centre = np.nan_to_num(plan.backtest.actual, nan=90.0) + rng.normal(0, 15, shape)
    quantiles = np.sort(centre[..., None] + rng.normal(0, 15, (*shape, 3)), axis=2).astype(np.float32)
    mean = (centre + rng.normal(2, 5, shape)).astype(np.float32)
    record = ForecastRecord(LEVELS, quantiles, np.ones(shape, dtype=np.bool_), mean)
    scores = score_rolling(plan, {"candidate": record})
    write_scores(folder / "scores.parquet", plan.backtest, forecasts={"candidate": record})
    write_series_scores(folder / "series.parquet", plan.backtest, scores=scores.series)
    table = pd.read_parquet(folder / "scores.parquet").astype({"series": str})
    columns = ["q0.1", "q0.5", "q0.9", "mean"]
    table[columns] = table[columns].astype(np.float64)
    split = plan.store.spec.split
    return scores, _prepared(table, {"s0": first, "s1": second}, split.train_end), pd.read_parquet(folder / "series.parquet")  # fmt: skip


def _prepared(table: pd.DataFrame, targets: dict[str, np.ndarray], train_end: int) -> pd.DataFrame:
    """Columns that a plain look at the table needs: scales of the series, changes, local time, history in hours."""
    starts = {"s0": MONDAY, "s1": MONDAY + LATE * DAY_S}
    past = {name: pd.Series(values[: max(0, (train_end - starts[name]) // HOUR_S)]) for name, values in targets.items()}
    differences = {name: values.diff(24).abs() for name, values in past.items()}
    table["scale"] = table["series"].map({name: found.mean() for name, found in differences.items()})
    table["square"] = table["series"].map({name: (found**2).mean() for name, found in differences.items()})
    forecast = table.sort_values("step").groupby(["series", "origin"])
    table["moved"] = forecast["actual"].diff()
    table["said"] = forecast["q0.5"].diff()
    local = table["origin"] + pd.to_timedelta(table["step"] - 1 + 2, unit="h")
    table["local"] = local.dt.tz_localize(None)
    begun = table["series"].map({name: pd.Timestamp(start, unit="s", tz="UTC") for name, start in starts.items()})
    table["history"] = (table["origin"] - begun) / pd.Timedelta(hours=1)
    return table.dropna(subset=["actual"])


def independent(rows: pd.DataFrame) -> dict[str, float]:
    """Every metric of some rows, by other people's code where there is any."""
    y, f, mean = rows["actual"], rows["q0.5"], rows["mean"]
    error, low, high = (y - f).abs(), rows["q0.1"], rows["q0.9"]
    losses = [reference.mean_pinball_loss(y, rows[f"q{level:g}"], alpha=level) for level in LEVELS]
    nonzero, scaled, turning = y != 0, rows["scale"].notna(), rows["moved"].notna() & (rows["moved"] != 0)
    outside = (low - y).clip(lower=0) + (y - high).clip(lower=0)
    right = np.sign(rows["moved"]) == np.sign(rows["said"])
    return {
        "mae": reference.mean_absolute_error(y, f),
        "rmse": reference.root_mean_squared_error(y, mean),
        "r2": reference.r2_score(y, mean) if len(rows) > 1 else math.nan,
        "bias": float((mean - y).mean()),
        "mape": reference.mean_absolute_percentage_error(y[nonzero], f[nonzero]),
        "smape": float((2 * error / (y.abs() + f.abs())).mean()),
        "wape": float(error.sum() / y.abs().sum()),
        "mase": float((error / rows["scale"])[scaled].mean()),
        "rmsse": float(np.sqrt((((y - mean) ** 2) / rows["square"])[scaled].mean())),
        "trend_agreement": float(right[turning].mean()) if turning.any() else math.nan,
        "pinball": float(np.mean(losses)),
        "wql": float(2 * np.mean(losses) * len(rows) / y.abs().sum()),
        # Each level stands for the levels nearest to it: up to 0.3, up to 0.7, and the rest.
        "crps": float(2 * np.dot([0.3, 0.4, 0.3], losses)),
        "coverage": float(((low <= y) & (y <= high)).mean()),
        "interval_width": float((high - low).mean()),
        "winkler": float((high - low + 2 / 0.2 * outside).mean()),
    }


Scored = tuple[BacktestScores, pd.DataFrame, pd.DataFrame]


def test_every_documented_metric_has_an_independent_value(scored: Scored) -> None:
    assert sorted(independent(scored[1])) == NAMES
    overall = scored[0].report.models["candidate"].overall
    assert {name: overall[name] for name in NAMES} == pytest.approx(independent(scored[1]), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_metric_by_horizon_step_equals_the_independent_one(scored: Scored, name: str) -> None:
    scores, table, _ = scored
    found = scores.report.models["candidate"].by_step[name]
    expected = [independent(rows)[name] for _, rows in table.groupby("step")]
    assert list(found) == pytest.approx(expected, rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("name", NAMES)
def test_metric_by_series_equals_the_independent_one(scored: Scored, name: str) -> None:
    _, table, by_series = scored
    expected = {series: independent(rows)[name] for series, rows in table.groupby("series")}
    assert dict(zip(by_series["series"], by_series[name], strict=True)) == pytest.approx(
        expected, rel=1e-6, nan_ok=True
    )


def parts(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of every slice, by its name."""
    local = table["local"]
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    found = {f"hour_{hour:02d}": table[local.dt.hour == hour] for hour in range(24)}
    found |= {day: table[local.dt.weekday == i] for i, day in enumerate(days)}
    holidays = [(pd.Timestamp(day * DAY_S, unit="s")).date() for day in HOLIDAYS]
    found |= {
        "holiday": table[local.dt.date.isin(holidays)],
        "months_12_02": table[local.dt.month.isin([12, 1, 2])],
        "cold_start": table[table["history"] < 12 * 24],
        "last_fold": table[table["fold"] == 2],
        "recent_folds": table[table["fold"] == 2],
        "fold_1": table[table["fold"] == 1],
        "fold_2": table[table["fold"] == 2],
    }
    found |= {f"steps_{low:02d}_{low + 7:02d}": table[table["step"].between(low, low + 7)] for low in (1, 9, 17)}
    return found


def test_every_metric_of_every_slice_equals_the_independent_one(scored: Scored) -> None:
    scores, table, _ = scored
    slices = scores.report.models["candidate"].slices
    expected = parts(table)
    assert sorted(slices) == sorted(expected)
    for name, rows in expected.items():
        values = {metric: slices[name][metric] for metric in NAMES}
        assert values == pytest.approx(independent(rows), rel=1e-6, nan_ok=True), name
        assert slices[name]["n_points"] == len(rows) > 0
