"""Summaries of a backtest: overall, by step, by slice, and the ratios the gate judges."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecasting.backtest.report import naive_predictors, open_backtest, score_backtest
from forecasting.backtest.score import ForecastRecord, score_predictors, write_scores
from forecasting.backtest.slices import backtest_slices, bucket_names, local_seconds
from forecasting.backtest.summary import (
    BacktestReport,
    better_naive,
    naive_ratio,
    read_backtest_report,
    score_model,
    season_scales,
    write_backtest_report,
    write_series_scores,
)
from forecasting.config.sections import BacktestConfig
from forecasting.errors import ArtifactError
from forecasting.features.spec import CalendarSpec
from tests.unit.backtest.tables import (
    DAY_S,
    HOUR_S,
    MONDAY,
    NO_CALENDAR,
    KnownColumnPredictor,
    daily_wave,
    hourly_spec,
    hourly_store,
)

SETTINGS = BacktestConfig(stride=24, cold_start_below="4d")
SPEC = hourly_spec(known=("Copy",))


def report_of(offset: float = 0.25) -> BacktestReport:
    """Two series that rise by 1 a day; the second one begins two days before the test period."""
    demand = [daily_wave(10), daily_wave(5, level=50.0)]
    store = hourly_store({"Demand": demand, "Copy": demand}, starts=(MONDAY, MONDAY + 5 * DAY_S))
    backtest = open_backtest(store, SPEC, settings=SETTINGS)
    predictors = {"candidate": KnownColumnPredictor(offset=offset, half_width=1.0)} | naive_predictors(
        (24, 48), SPEC.quantiles
    )
    forecasts = score_predictors(predictors, SPEC, backtest=backtest, batch_size=64)
    return score_backtest(store, SPEC, backtest=backtest, forecasts=forecasts, settings=SETTINGS).report


def test_report_counts_what_was_scored() -> None:
    report = report_of()
    assert (report.n_origins, report.n_series, report.n_points, report.unit) == (3, 2, 144, "Demand")
    assert report.interval == pytest.approx(0.8)


def test_errors_of_a_constant_offset_are_the_offset() -> None:
    overall = report_of(0.25).models["candidate"].overall
    assert overall["mae"] == pytest.approx(0.25, rel=1e-4)
    assert overall["rmse"] == pytest.approx(0.25, rel=1e-4)
    assert overall["bias"] == pytest.approx(0.25, rel=1e-4)
    assert overall["coverage"] == 1.0
    assert overall["interval_width"] == pytest.approx(2.0, rel=1e-4)
    assert overall["n_points"] == 144


def test_squared_errors_and_bias_are_of_the_mean_and_all_else_of_the_median() -> None:
    demand = daily_wave(10)
    store = hourly_store({"Demand": [demand], "Copy": [demand]})
    backtest = open_backtest(store, SPEC, settings=SETTINGS)
    actual = backtest.actual.astype(np.float32)
    # The median is 1 too high everywhere; the mean is 2 too low in the first hour of the day and 4 too high in the other 23.
    mean = actual + np.r_[-2.0, np.full(23, 4.0)].astype(np.float32)
    quantiles = np.stack([actual - 1, actual + 1, actual + 3], axis=2)
    record = ForecastRecord((0.1, 0.5, 0.9), quantiles, np.ones(actual.shape, dtype=bool), mean)
    report = score_backtest(store, SPEC, backtest=backtest, forecasts={"candidate": record}, settings=SETTINGS).report
    scores = report.models["candidate"]
    assert scores.mean
    assert scores.overall["mae"] == pytest.approx(1.0, rel=1e-4)
    assert scores.overall["bias"] == pytest.approx((-2 + 23 * 4) / 24, rel=1e-4)
    assert scores.overall["rmse"] == pytest.approx(((4 + 23 * 16) / 24) ** 0.5, rel=1e-4)
    assert scores.overall["coverage"] == 1.0
    assert scores.by_step["bias"] == pytest.approx([-2.0, *[4.0] * 23], rel=1e-3)
    assert scores.by_step["mae"] == pytest.approx([1.0] * 24, rel=1e-3)
    assert scores.slices["hour_00"]["rmse"] == pytest.approx(2.0, rel=1e-3)


def test_daily_naive_is_off_by_the_daily_rise_and_beats_the_two_day_naive() -> None:
    models = report_of().models
    assert models["seasonal_naive_24"].overall["mae"] == pytest.approx(1.0, rel=1e-4)
    assert models["seasonal_naive_48"].overall["mae"] == pytest.approx(2.0, rel=1e-4)
    assert better_naive(models) == "seasonal_naive_24"
    assert naive_ratio(models, "candidate") == pytest.approx(0.25, rel=1e-3)


def test_naive_in_sample_scale_makes_the_daily_naive_a_mase_of_one() -> None:
    # Only the first series has a train cut of more than a day; its scale is its rise of 1 a day.
    assert report_of().models["seasonal_naive_24"].overall["mase"] == pytest.approx(1.0, rel=1e-4)


def test_errors_by_step_have_one_value_a_step_of_the_horizon() -> None:
    model = report_of().models["candidate"]
    by_step = model.by_step
    assert sorted(by_step) == sorted(name for name in model.overall if name != "n_points")
    assert by_step["mae"] == pytest.approx([0.25] * 24, rel=1e-3)


def test_cold_start_slice_holds_the_windows_with_little_history() -> None:
    # The second series has 48, 72 and 96 hours of history at the three origins; below 4 days are two of them.
    report = report_of()
    assert report.models["candidate"].slices["cold_start"]["n_points"] == 48
    assert naive_ratio(report.models, "candidate", part="cold_start") == pytest.approx(0.25, rel=1e-3)


def test_series_younger_than_the_context_are_cold_where_nothing_else_is_said() -> None:
    demand = [daily_wave(10), daily_wave(4, level=50.0)]
    store = hourly_store({"Demand": demand, "Copy": demand}, starts=(MONDAY, MONDAY + 6 * DAY_S))
    settings = BacktestConfig(stride=24)
    backtest = open_backtest(store, SPEC, settings=settings)
    forecasts = score_predictors({"candidate": KnownColumnPredictor()}, SPEC, backtest=backtest, batch_size=8)
    scores = score_backtest(store, SPEC, backtest=backtest, forecasts=forecasts, settings=settings)
    # The context has two days, and the second series one at the first of three origins.
    assert scores.report.models["candidate"].slices["cold_start"]["n_points"] == 24


def test_last_fold_and_weekday_slices_hold_their_steps() -> None:
    slices = report_of().models["candidate"].slices
    assert slices["last_fold"]["n_points"] == 48
    # 1970-01-05 is a Monday; the three test days are the next Monday, Tuesday, Wednesday.
    assert [name for name in slices if name.endswith("day")] == ["monday", "tuesday", "wednesday"]
    assert slices["hour_05"]["n_points"] == 6


def test_ratio_of_an_empty_slice_cannot_be_measured() -> None:
    report = report_of()
    assert math.isnan(naive_ratio(report.models, "candidate", part="no_such_slice"))


def test_hours_and_weekdays_are_local() -> None:
    calendar = CalendarSpec((), (), transitions=(MONDAY + DAY_S,), offsets_s=(10 * HOUR_S, 11 * HOUR_S), holidays=())
    found = local_seconds(np.array([MONDAY, MONDAY + DAY_S - 1, MONDAY + DAY_S]), calendar)
    assert (found - np.array([MONDAY, MONDAY + DAY_S - 1, MONDAY + DAY_S])).tolist() == [36_000, 36_000, 39_600]


def test_every_step_is_in_exactly_one_weekday_hour_bucket_and_quarter() -> None:
    store = hourly_store({"Demand": [daily_wave(10)]})
    backtest = open_backtest(store, hourly_spec(), settings=SETTINGS)
    slices = backtest_slices(backtest, NO_CALENDAR, cold_start_steps=48, n_buckets=4)
    names = [name for part in slices for name in part.names]
    assert "holiday" not in names
    whole = {part.names[0]: part.codes(0, backtest.n_windows) for part in slices}
    for first in ("monday", "hour_00", "steps_01_06", "months_12_02"):
        assert (whole[first] >= 0).all()
    assert whole["hour_00"][0].tolist() == list(range(24))
    assert whole["steps_01_06"][1].tolist() == [0] * 6 + [1] * 6 + [2] * 6 + [3] * 6
    # All of it lies in January 1970: December to February.
    assert (whole["months_12_02"] == 0).all()


@pytest.mark.parametrize(
    ("day", "name"),
    [
        (datetime(2020, 2, 29, tzinfo=UTC), "months_12_02"),
        (datetime(2020, 3, 1, tzinfo=UTC), "months_03_05"),
        (datetime(2020, 5, 31, tzinfo=UTC), "months_03_05"),
        (datetime(2020, 8, 31, tzinfo=UTC), "months_06_08"),
        (datetime(2020, 9, 1, tzinfo=UTC), "months_09_11"),
        (datetime(2020, 12, 1, tzinfo=UTC), "months_12_02"),
    ],
)
def test_months_are_parted_where_the_meteorological_seasons_begin_in_local_time(day: datetime, name: str) -> None:
    # The zone is two hours ahead of UTC: its day begins at 22:00 of the day before.
    calendar = CalendarSpec((), (), transitions=(), offsets_s=(2 * HOUR_S,), holidays=())
    backtest = open_backtest(hourly_store({"Demand": [daily_wave(10)]}), hourly_spec(), settings=SETTINGS)
    one_day = replace(backtest, origins=np.full(backtest.n_windows, int(day.timestamp()) - 2 * HOUR_S))
    slices = backtest_slices(one_day, calendar, cold_start_steps=48, n_buckets=1)
    months = next(part for part in slices if part.names[0] == "months_12_02")
    assert {months.names[code] for code in months.codes(0, 1).ravel()} == {name}


@pytest.mark.parametrize(("horizon", "n_buckets", "names"), [
    (24, 4, ("steps_01_06", "steps_07_12", "steps_13_18", "steps_19_24")), (3, 4, ("steps_1_1", "steps_2_2", "steps_3_3")),
    (7, 2, ("steps_1_4", "steps_5_7")), (28, 1, ("steps_01_28",)),
])  # fmt: skip
def test_buckets_part_the_whole_horizon_and_are_named_by_their_steps(
    horizon: int, n_buckets: int, names: tuple[str, ...]
) -> None:
    assert bucket_names(horizon, n_buckets) == names


def test_holidays_and_the_last_quarter_of_the_origins_are_slices() -> None:
    demand = daily_wave(20)
    store = hourly_store({"Demand": [demand]}, n_test_days=8, n_days=20)
    backtest = open_backtest(store, hourly_spec(), settings=SETTINGS)
    first_test_day = (MONDAY + 12 * DAY_S) // DAY_S
    calendar = CalendarSpec((), (), transitions=(), offsets_s=(0,), holidays=(first_test_day + 2,))
    slices = {
        part.names[0]: part.codes(0, 8)
        for part in backtest_slices(backtest, calendar, cold_start_steps=48, n_buckets=1)
    }
    assert (slices["holiday"] == 0).all(axis=1).tolist() == [False, False, True, False, False, False, False, False]
    assert (slices["recent_folds"] == 0).all(axis=1).tolist() == [False] * 6 + [True] * 2
    assert (slices["last_fold"] == 0).all(axis=1).tolist() == [False] * 7 + [True]


@pytest.mark.parametrize("block_points", [1, 60, 100])
def test_looking_at_fewer_steps_at_once_changes_no_metric(block_points: int) -> None:
    demand = [daily_wave(10), daily_wave(5, level=50.0)]
    store = hourly_store({"Demand": demand, "Copy": demand}, starts=(MONDAY, MONDAY + 5 * DAY_S))
    backtest = open_backtest(store, SPEC, settings=SETTINGS)
    record = score_predictors({"one": KnownColumnPredictor(offset=0.25)}, SPEC, backtest=backtest, batch_size=64)["one"]
    slices = backtest_slices(backtest, NO_CALENDAR, cold_start_steps=96, n_buckets=4)
    scales = season_scales(backtest, store.spec.split, season=24)
    whole, _ = score_model(backtest, record, slices=slices, scales=scales)
    parts, _ = score_model(backtest, record, slices=slices, scales=scales, block_points=block_points)
    assert parts.overall == pytest.approx(whole.overall, nan_ok=True)
    assert parts.by_step["wql"] == pytest.approx(whole.by_step["wql"])
    assert list(parts.slices) == list(whole.slices)
    for part, scores in whole.slices.items():
        assert parts.slices[part] == pytest.approx(scores, nan_ok=True)


def test_summaries_equal_those_that_pandas_makes_of_the_tidy_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    demand = [daily_wave(10), daily_wave(10, level=300.0)]
    demand[1][200:203] = np.nan
    store = hourly_store({"Demand": demand, "Copy": [np.nan_to_num(one) for one in demand]})
    backtest = open_backtest(store, SPEC, settings=SETTINGS)
    quantiles = np.sort(rng.normal(200, 80, size=(*backtest.actual.shape, 3)), axis=2).astype(np.float32)
    record = ForecastRecord((0.1, 0.5, 0.9), quantiles, np.ones(backtest.actual.shape, dtype=bool))
    found = score_backtest(store, SPEC, backtest=backtest, forecasts={"candidate": record}, settings=SETTINGS)
    write_scores(tmp_path / "scores.parquet", backtest, forecasts={"candidate": record})
    write_series_scores(tmp_path / "series.parquet", backtest, scores=found.series)
    table = pd.read_parquet(tmp_path / "scores.parquet").dropna(subset=["actual"])
    table["error"] = (table["actual"] - table["q0.5"]).abs()
    table["inside"] = (table["q0.1"] <= table["actual"]) & (table["actual"] <= table["q0.9"])
    table["hour"] = (table["origin"] + pd.to_timedelta(table["step"] - 1, unit="h")).dt.hour
    model = found.report.models["candidate"]
    assert model.by_step["mae"] == pytest.approx(table.groupby("step")["error"].mean().tolist())
    assert model.by_step["coverage"] == pytest.approx(table.groupby("step")["inside"].mean().tolist())
    by_hour = table.groupby("hour")["error"].mean()
    assert [model.slices[f"hour_{hour:02d}"]["mae"] for hour in range(24)] == pytest.approx(by_hour.tolist())
    series = pd.read_parquet(tmp_path / "series.parquet").set_index("series")
    assert series["mae"].tolist() == pytest.approx(table.groupby("series", observed=True)["error"].mean().tolist())
    assert series["n_points"].tolist() == [72, 69]
    assert model.intervals["0.8"]["coverage"] == pytest.approx(table["inside"].mean())
    assert model.levels["0.1"]["share_below"] == pytest.approx((table["actual"] <= table["q0.1"]).mean())


def test_report_survives_json_with_nan_as_null(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    report = report_of()
    report.models["candidate"].overall["wape"] = math.nan  # type: ignore[index]
    write_backtest_report(report, path)
    assert json.loads(path.read_text())["models"]["candidate"]["overall"]["wape"] is None
    found = read_backtest_report(path)
    assert math.isnan(found.models["candidate"].overall["wape"])
    naive = found.models["seasonal_naive_24"]
    expected = report.models["seasonal_naive_24"]
    assert naive.overall == expected.overall
    assert naive.by_step["mae"] == expected.by_step["mae"]
    # No step comes before the first.
    assert math.isnan(naive.by_step["trend_agreement"][0])
    assert naive.intervals["0.8"] == report.models["seasonal_naive_24"].intervals["0.8"]
    assert found.n_points == report.n_points


def test_file_that_is_no_report_is_an_artifact_error_naming_it(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("[]")
    with pytest.raises(ArtifactError, match=r"metrics\.json must hold the metrics"):
        read_backtest_report(path)
