"""Scoring predictors over a backtest, and the tidy table."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from forecasting.backtest.naive import SeasonalNaivePredictor
from forecasting.backtest.origins import backtest_origins, plan_backtest
from forecasting.backtest.score import ForecastRecord, score_predictors, write_scores
from forecasting.errors import ArtifactError
from forecasting.predictors import Predictor
from forecasting.windows import ModelInputs
from tests.unit.backtest.tables import (
    HOUR_S,
    LEVELS,
    MONDAY,
    KnownColumnPredictor,
    LastValuePredictor,
    daily_wave,
    hourly_spec,
    hourly_store,
)

DEMAND = [daily_wave(level=100.0), daily_wave(level=500.0)]
STORE = hourly_store({"Demand": DEMAND, "Copy": DEMAND})
SPEC = hourly_spec(known=("Copy",))
BACKTEST = plan_backtest(STORE, backtest_origins(STORE.spec.split, HOUR_S, horizon=24, stride=24), horizon=24)


class OneStepPredictor(Predictor):
    """Answers one step too few."""

    def predict(self, inputs: ModelInputs) -> np.ndarray:
        return np.zeros((len(inputs), inputs.future.shape[1] - 1, 3), dtype=np.float32)


class MeanPredictor(KnownColumnPredictor):
    """Answers 7 as the mean, whatever its quantiles are."""

    def predict(self, inputs: ModelInputs) -> np.ndarray:
        quantiles = super().predict(inputs)
        return np.concatenate([quantiles, np.full((*quantiles.shape[:2], 1), 7.0, np.float32)], axis=2)


def test_forecast_of_a_window_reads_the_value_just_before_its_origin() -> None:
    record = score_predictors({"last": LastValuePredictor()}, SPEC, backtest=BACKTEST, batch_size=4)["last"]
    before = [DEMAND[0][7 * 24 - 1], DEMAND[0][8 * 24 - 1], DEMAND[0][9 * 24 - 1]]
    before += [DEMAND[1][7 * 24 - 1], DEMAND[1][8 * 24 - 1], DEMAND[1][9 * 24 - 1]]
    assert record.point[:, 0] == pytest.approx(before)
    assert record.point[:, 23] == pytest.approx(before)


@pytest.mark.parametrize("batch_size", [1, 2, 4, 5, 1_000])
def test_batch_size_changes_no_forecast(batch_size: int) -> None:
    predictors = {"copy": KnownColumnPredictor(half_width=2.0)}
    record = score_predictors(predictors, SPEC, backtest=BACKTEST, batch_size=batch_size)["copy"]
    assert record.point == pytest.approx(BACKTEST.actual, rel=1e-6)
    assert record.quantiles[:, :, 2] == pytest.approx(BACKTEST.actual + 2.0, rel=1e-6)


def test_answer_of_the_wrong_shape_is_refused_with_both_shapes() -> None:
    with pytest.raises(
        ArtifactError,
        match=r"short must answer quantiles \(and the mean, where it has one\) of shape \[6, 24, 3\], found \[6, 23, 3\]",
    ):
        score_predictors({"short": OneStepPredictor()}, SPEC, backtest=BACKTEST, batch_size=64)


def test_target_after_the_origin_changes_no_forecast() -> None:
    poisoned = [demand.copy() for demand in DEMAND]
    for demand in poisoned:
        demand[7 * 24 :] = 1e9
    store = hourly_store({"Demand": poisoned, "Copy": DEMAND})
    first_fold = np.array([STORE.spec.split.validation_end])
    before = plan_backtest(STORE, first_fold, horizon=24)
    after = plan_backtest(store, first_fold, horizon=24)
    predictors = {"last": LastValuePredictor(), "copy": KnownColumnPredictor()}
    for name, record in score_predictors(predictors, SPEC, backtest=before, batch_size=64).items():
        again = score_predictors(predictors, SPEC, backtest=after, batch_size=64)[name]
        np.testing.assert_array_equal(record.quantiles, again.quantiles)


def test_table_has_one_row_a_model_series_origin_and_step(tmp_path: Path) -> None:
    record = score_predictors({"copy": KnownColumnPredictor(half_width=1.0)}, SPEC, backtest=BACKTEST, batch_size=64)[
        "copy"
    ]
    write_scores(tmp_path / "scores.parquet", BACKTEST, forecasts={"candidate": record, "champion": record})
    table = pq.read_table(tmp_path / "scores.parquet").to_pylist()
    assert len(table) == 2 * 6 * 24
    row = table[6 * 24 + 3 * 24 + 1]
    assert row["model"] == "champion"
    assert (row["series"], row["fold"], row["step"]) == ("s1", 0, 2)
    assert int(row["origin"].timestamp()) == MONDAY + 7 * 24 * HOUR_S
    assert row["actual"] == pytest.approx(DEMAND[1][7 * 24 + 1])
    assert row["q0.9"] == pytest.approx(DEMAND[1][7 * 24 + 1] + 1.0)


def test_table_leaves_out_steps_a_model_could_not_forecast_and_nulls_levels_it_lacks(tmp_path: Path) -> None:
    full = score_predictors({"copy": KnownColumnPredictor()}, SPEC, backtest=BACKTEST, batch_size=64)["copy"]
    available = np.zeros((6, 24), dtype=bool)
    available[0, :2] = True
    partial = ForecastRecord((0.5,), full.quantiles[:, :, 1:2], available)
    write_scores(tmp_path / "scores.parquet", BACKTEST, forecasts={"candidate": full, "champion": partial})
    rows = [row for row in pq.read_table(tmp_path / "scores.parquet").to_pylist() if row["model"] == "champion"]
    assert [row["step"] for row in rows] == [1, 2]
    assert rows[0]["q0.5"] == pytest.approx(DEMAND[0][7 * 24])
    assert rows[0]["q0.9"] is None


def test_missing_actual_is_null_in_the_table(tmp_path: Path) -> None:
    demand = daily_wave()
    demand[7 * 24 + 3] = np.nan
    store = hourly_store({"Demand": [demand], "Copy": [daily_wave()]})
    backtest = plan_backtest(store, np.array([store.spec.split.validation_end]), horizon=24)
    record = score_predictors({"copy": KnownColumnPredictor()}, SPEC, backtest=backtest, batch_size=64)["copy"]
    write_scores(tmp_path / "scores.parquet", backtest, forecasts={"candidate": record})
    actual = pq.read_table(tmp_path / "scores.parquet")["actual"].to_pylist()
    assert actual[3] is None
    assert sum(value is None for value in actual) == 1


def test_levels_name_the_columns(tmp_path: Path) -> None:
    record = score_predictors({"copy": KnownColumnPredictor()}, SPEC, backtest=BACKTEST, batch_size=64)["copy"]
    write_scores(tmp_path / "scores.parquet", BACKTEST, forecasts={"candidate": record})
    names = pq.read_schema(tmp_path / "scores.parquet").names
    assert names == ["model", "series", "fold", "origin", "step", "actual", *(f"q{level}" for level in LEVELS), "mean"]


def test_last_column_of_a_model_with_a_mean_is_its_mean_and_naives_have_none(tmp_path: Path) -> None:
    spec = replace(SPEC, mean=True)
    predictors = {"candidate": MeanPredictor(), "naive": SeasonalNaivePredictor(24, LEVELS)}
    records = score_predictors(predictors, spec, backtest=BACKTEST, batch_size=4)
    assert records["candidate"].quantiles.shape == records["naive"].quantiles.shape == (6, 24, 3)
    assert records["candidate"].mean == pytest.approx(np.full((6, 24), 7.0))
    assert records["naive"].mean is None
    write_scores(tmp_path / "scores.parquet", BACKTEST, forecasts=records)
    rows = pq.read_table(tmp_path / "scores.parquet").to_pylist()
    assert [rows[0]["mean"], rows[-1]["mean"]] == [7.0, None]


def test_model_of_a_spec_with_a_mean_that_answers_none_is_refused() -> None:
    predictors = {"candidate": KnownColumnPredictor()}
    with pytest.raises(ArtifactError, match=r"of shape \[6, 24, 4\], found \[6, 24, 3\]"):
        score_predictors(predictors, replace(SPEC, mean=True), backtest=BACKTEST, batch_size=64)
