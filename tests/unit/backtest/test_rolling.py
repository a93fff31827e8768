"""Rolling-origin backtests over folds: who is asked what, and what is made of the answers."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from forecasting.backtest.rolling import (
    FittedModel,
    RollingSpec,
    forecast_naives,
    forecast_refits,
    forecast_version,
    open_rolling,
    rolling_document,
    rolling_report,
    score_rolling,
)
from forecasting.backtest.score import write_scores
from forecasting.config.sections import BacktestConfig
from forecasting.errors import DataError
from tests.unit.backtest.tables import DAY_S, MONDAY, LastValuePredictor, daily_wave, hourly_spec, hourly_store

CUTOFF = MONDAY + 20 * DAY_S


def rolling(folds: int = 3, refit_every: int | None = 1, **settings: object) -> RollingSpec:
    """Two series of 20 days, test periods of 2 days."""
    store = hourly_store({"Demand": [daily_wave(20), daily_wave(20, level=300.0)]}, n_test_days=2, n_days=20)
    config = BacktestConfig(folds=folds, refit_every=refit_every, **settings)  # type: ignore[arg-type]
    return open_rolling(store, hourly_spec(), settings=config)


def shifted(shift: float) -> FittedModel:
    return FittedModel(LastValuePredictor(shift=shift), hourly_spec())


def test_every_window_is_asked_of_the_fit_of_its_fold() -> None:
    plan = rolling(folds=3, refit_every=2)
    loaded: list[int] = []

    def load(cutoff: int) -> FittedModel:
        loaded.append(cutoff)
        return shifted((cutoff - CUTOFF) / DAY_S)

    record = forecast_refits(plan, load)
    last = np.array([plan.backtest.series[row].values[(o - MONDAY) // 3600 - 1, 0] for row, o in zip(plan.backtest.rows, plan.backtest.origins, strict=True)])  # fmt: skip
    days_before_the_end = np.rint(record.point[:, 0] - last)
    assert loaded == [CUTOFF - 6 * DAY_S, CUTOFF - 2 * DAY_S]
    assert [set(days_before_the_end[plan.backtest.folds == fold].tolist()) for fold in (1, 2, 3)] == [{-6}, {-6}, {-2}]
    assert record.available.all()


def test_a_version_is_not_scored_at_origins_whose_past_it_was_trained_on_beyond() -> None:
    plan = rolling()
    record = forecast_version(plan, shifted(0.0), known_until=CUTOFF - 3 * DAY_S)
    early = plan.backtest.origins < CUTOFF - 3 * DAY_S
    assert not record.available[early].any()
    assert record.available[~early].all()
    assert np.isnan(record.quantiles[early]).all()


def test_a_version_that_knows_the_whole_backtest_is_refused() -> None:
    with pytest.raises(DataError, match="must be scored on later ones, and the backtest ends at 1970-01-25 00:00 UTC"):
        forecast_version(rolling(), shifted(0.0), known_until=CUTOFF)


def test_folds_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(DataError, match="10 folds must leave a train period before the first"):
        rolling(folds=10)


def test_metrics_of_a_fold_are_those_of_its_windows() -> None:
    plan = rolling()
    record = forecast_refits(plan, lambda _: shifted(5.0))
    slices = score_rolling(plan, {"candidate": record}).report.models["candidate"].slices
    errors = np.abs(plan.backtest.actual - record.point)
    for fold in (1, 2, 3):
        assert slices[f"fold_{fold}"]["mae"] == pytest.approx(errors[plan.backtest.folds == fold].mean())
    assert slices["last_fold"] == slices["fold_3"]


def test_skill_is_against_the_better_naive_on_the_steps_that_the_model_forecast() -> None:
    plan = rolling()
    naives = forecast_naives(plan)
    record = forecast_version(plan, shifted(0.0), known_until=CUTOFF - 2 * DAY_S)
    forecasts = {"champion": record, **naives}
    report = rolling_report(plan, forecasts, scores=score_rolling(plan, forecasts))
    late = plan.backtest.folds == 3
    error = np.abs(plan.backtest.actual[late] - record.point[late]).mean()
    # The daily naive is off by the rise of a day, the two-day naive by twice that.
    assert report.skill["champion"] == pytest.approx(1 - error / 1.0, rel=1e-5)
    assert report.skill["seasonal_naive_24"] == pytest.approx(0.0, abs=1e-6)
    assert report.skill["seasonal_naive_48"] == pytest.approx(-1.0, rel=1e-5)


def test_errors_are_scaled_by_what_lies_before_the_first_fold() -> None:
    store = hourly_store({"Demand": [daily_wave(20)]}, n_test_days=2, n_days=20)
    values = store.series[0].values
    # The train cut of the first fold ends with day 13.
    values[24 * 13 :, 0] += np.arange(len(values) - 24 * 13) ** 2
    plan = open_rolling(store, hourly_spec(), settings=BacktestConfig(folds=3))
    record = forecast_refits(plan, lambda _: shifted(0.0))
    overall = score_rolling(plan, {"candidate": record}).report.models["candidate"].overall
    assert overall["mase"] == pytest.approx(overall["mae"] / 1.0)


def test_the_table_tells_fold_series_origin_step_actual_and_quantiles(tmp_path: Path) -> None:
    plan = rolling()
    write_scores(tmp_path / "scores.parquet", plan.backtest, forecasts=forecast_naives(plan))
    table = pq.read_table(tmp_path / "scores.parquet")
    assert {"model", "fold", "series", "origin", "step", "actual", "q0.1", "q0.5", "q0.9"} <= set(table.column_names)
    rows = table.select(["fold", "origin"]).to_pylist()
    days = {(row["fold"], row["origin"].day) for row in rows}
    assert days == {(1, 19), (1, 20), (2, 21), (2, 22), (3, 23), (3, 24)}


def test_the_document_says_of_each_fold_what_its_model_was_trained_before() -> None:
    plan = rolling(folds=2, refit_every=1)
    forecasts = forecast_naives(plan)
    document = rolling_document(rolling_report(plan, forecasts, scores=score_rolling(plan, forecasts), notes=["x"]))
    assert document["folds"][1] == {
        "number": 2, "start": CUTOFF - 2 * DAY_S, "end": CUTOFF, "trained_at": CUTOFF - 2 * DAY_S,
    }  # fmt: skip
    assert document["notes"] == ["x"]
    assert document["backtest"]["models"]["seasonal_naive_24"]["slices"]["fold_1"]["mae"] == pytest.approx(1.0)
