"""diagnostics.json: the champion on the same steps, and what is left out."""

import json
from pathlib import Path

import numpy as np
import pytest

from forecasting.backtest.diagnostics import compare_with_champion, diagnose_candidate, write_diagnostics
from forecasting.backtest.report import open_backtest
from forecasting.backtest.score import ForecastRecord
from forecasting.config.sections import BacktestConfig
from tests.unit.backtest.tables import LastValuePredictor, daily_wave, hourly_spec, hourly_store

STORE = hourly_store({"Demand": [daily_wave(10), daily_wave(10, level=300.0), daily_wave(10, level=500.0)]})
BACKTEST = open_backtest(STORE, hourly_spec(), settings=BacktestConfig())
ACTUAL = BACKTEST.actual


def record_of(values: np.ndarray, available: np.ndarray | None = None) -> ForecastRecord:
    everywhere = np.ones(values.shape, dtype=bool) if available is None else available
    return ForecastRecord((0.5,), values[:, :, None], everywhere)


def test_both_models_are_compared_step_by_step_and_series_by_series() -> None:
    candidate = ACTUAL + np.arange(24)
    champion = ACTUAL + np.array([20.0, 11.5, 1.0])[BACKTEST.rows][:, None]
    found = compare_with_champion(BACKTEST, record_of(candidate), record_of(champion))
    assert found is not None
    assert found.candidate_by_step == pytest.approx(tuple(range(24)))
    assert found.champion_by_step == pytest.approx((32.5 / 3,) * 24)
    assert (found.candidate, found.champion) == pytest.approx((11.5, 32.5 / 3))
    assert (found.better_share, found.worse_share) == pytest.approx((1 / 3, 1 / 3))
    assert (found.n_points, found.n_origins, found.n_series) == (216, 3, 3)


def test_steps_that_the_champion_cannot_forecast_are_not_compared() -> None:
    early = np.zeros(ACTUAL.shape, dtype=bool)
    early[:, :6] = True
    found = compare_with_champion(BACKTEST, record_of(ACTUAL + 1.0), record_of(ACTUAL + 2.0, early))
    assert found is not None
    assert found.n_points == 54
    assert np.isnan(found.champion_by_step[6:]).all()
    assert np.isnan(found.candidate_by_step[6:]).all()


def test_nothing_in_common_makes_no_comparison() -> None:
    nowhere = np.zeros(ACTUAL.shape, dtype=bool)
    assert compare_with_champion(BACKTEST, record_of(ACTUAL), record_of(ACTUAL, nowhere)) is None


def test_what_is_not_measured_is_null_in_the_file(tmp_path: Path) -> None:
    found = diagnose_candidate(
        BACKTEST,
        hourly_spec(),
        candidate=LastValuePredictor(),
        record=record_of(ACTUAL),
        champion=None,
        settings=BacktestConfig(importance_forecasts=0),
    )
    write_diagnostics(found, tmp_path / "diagnostics.json")
    document = json.loads((tmp_path / "diagnostics.json").read_text())
    assert [document[part] for part in ("residuals", "importance", "comparison")] == [None, None, None]
    assert [example["kind"] for example in document["examples"]] == ["typical", "worst"]


def test_numbers_that_are_not_finite_are_null_in_the_file(tmp_path: Path) -> None:
    early = np.zeros(ACTUAL.shape, dtype=bool)
    early[:, :6] = True
    found = diagnose_candidate(
        BACKTEST,
        hourly_spec(),
        candidate=LastValuePredictor(),
        record=record_of(ACTUAL + np.random.default_rng(1).normal(size=ACTUAL.shape)),
        champion=record_of(ACTUAL, early),
        settings=BacktestConfig(),
    )
    write_diagnostics(found, tmp_path / "diagnostics.json")
    document = json.loads((tmp_path / "diagnostics.json").read_text())
    assert document["comparison"]["champion_by_step"] == [0.0] * 6 + [None] * 18
    assert len(document["residuals"]["autocorrelation"]) == 48
    assert document["importance"]["n_windows"] == 9
