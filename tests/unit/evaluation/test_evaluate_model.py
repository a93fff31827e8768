"""The gate of the float model, with predictors simple enough to know the answer."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.evaluation.champion import Champion, load_champion
from components.evaluation.evaluate_model import ChampionSource, judge_candidate
from forecasting.backtest.naive import SeasonalNaivePredictor
from forecasting.backtest.report import open_backtest
from forecasting.backtest.score import ForecastRecord, write_scores
from forecasting.backtest.stored import ScoresSource
from forecasting.backtest.summary import read_backtest_report
from forecasting.config.gates import CompressedGateConfig, GatesConfig, ModelGateConfig, ServingGateConfig
from forecasting.config.root import EvaluateModelSettings
from forecasting.config.sections import BacktestConfig, ForecastConfig
from forecasting.errors import ArtifactError
from forecasting.features.spec import write_feature_spec
from forecasting.gates import read_decision
from forecasting.predictors import Predictor
from forecasting.steps import StepOutcome
from tests.unit.backtest.tables import DAY_S, MONDAY, KnownColumnPredictor, daily_wave, hourly_spec, hourly_store

SPEC = hourly_spec(known=("Copy",))
MODEL_LIMITS = ModelGateConfig(max_mae=0.5, max_rmse=0.6, max_naive_ratio=0.6, max_champion_ratio=1.02)


def settings_of(
    limits: ModelGateConfig = MODEL_LIMITS, *, cold_start_below: str | None = None
) -> EvaluateModelSettings:
    return EvaluateModelSettings(
        name="demand",
        forecast=ForecastConfig(horizon=24, context=48, segment=24, seasons=(24, 48)),
        backtest=BacktestConfig(stride=24, batch_size=2, cold_start_below=cold_start_below),
        gates=GatesConfig(
            model=limits,
            compressed=CompressedGateConfig(max_mae=1, max_rmse=1),
            serving=ServingGateConfig(max_latency_ms=50, max_difference_ratio=1e-3),
        ),
    )


def judge(
    output: Path,
    candidate: Predictor,
    *,
    champion: ChampionSource | None = None,
    settings: EvaluateModelSettings | None = None,
) -> StepOutcome:
    """The table rises by 1 a day, so the daily naive has an MAE of 1."""
    demand = daily_wave(10)
    store = hourly_store({"Demand": [demand], "Copy": [demand]})
    return judge_candidate(
        settings or settings_of(), store, spec=SPEC, candidate=candidate, champion=champion, output=output
    )


def champion_off_by(offset: float) -> ChampionSource:
    return ChampionSource(3, Champion(3, KnownColumnPredictor(offset=offset), SPEC))


def failed_rules(output: Path) -> list[str]:
    return [rule.rule for rule in read_decision(output / "decision.json").rules if not rule.passed]


def test_model_within_every_limit_passes_and_says_its_numbers(tmp_path: Path) -> None:
    outcome = judge(tmp_path, KnownColumnPredictor(offset=0.25, half_width=1.0))
    assert outcome.passed
    assert outcome.summary == "MAE 0.2500 (naive 1.0000, limit 0.5)"
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["better_naive"] == "seasonal_naive_24"
    assert report["champion_version"] is None


def test_model_that_misses_a_limit_is_refused_and_says_which(tmp_path: Path) -> None:
    outcome = judge(tmp_path, KnownColumnPredictor(offset=0.55))
    assert not outcome.passed
    assert failed_rules(tmp_path) == ["max_mae"]
    assert outcome.summary == "MAE 0.5500 (naive 1.0000, limit 0.5); max_mae fails: 0.5500, must be <= 0.5"


def test_model_that_knows_the_answer_trips_the_leak_alarm(tmp_path: Path) -> None:
    outcome = judge(tmp_path, KnownColumnPredictor(offset=0.001))
    assert not outcome.passed
    assert failed_rules(tmp_path) == ["min_naive_ratio"]
    assert "too good to be true" in outcome.summary


def test_model_that_answers_nan_is_refused_before_its_accuracy_is_judged(tmp_path: Path) -> None:
    outcome = judge(tmp_path, KnownColumnPredictor(offset=float("nan")))
    assert not outcome.passed
    assert failed_rules(tmp_path) == ["max_missing_ratio"]
    assert "max_mae" not in [rule.rule for rule in read_decision(tmp_path / "decision.json").rules]


def test_model_in_another_unit_is_refused_as_far_outside_of_the_history(tmp_path: Path) -> None:
    outcome = judge(tmp_path, KnownColumnPredictor(offset=1e6))
    assert failed_rules(tmp_path) == ["max_range_ratio"]
    assert "is the unit right?" in outcome.summary


def test_what_outliers_in_the_history_do_is_measured_of_every_model(tmp_path: Path) -> None:
    judge(tmp_path, KnownColumnPredictor(offset=0.2), champion=champion_off_by(0.4))
    models = read_backtest_report(tmp_path / "metrics.json").models
    # Candidate and champion read no history here; a naive repeats its outliers.
    assert (models["candidate"].outlier_ratio, models["champion"].outlier_ratio) == (1.0, 1.0)
    assert models["seasonal_naive_24"].outlier_ratio > 1.05


def test_a_model_that_outliers_throw_off_is_refused_where_a_limit_says_so(tmp_path: Path) -> None:
    limits = MODEL_LIMITS.model_copy(update={"max_mae": 40.0, "max_rmse": 40.0, "max_naive_ratio": 1.0})
    settings = settings_of(limits.model_copy(update={"max_outlier_ratio": 1.01}))
    judge(tmp_path, SeasonalNaivePredictor(24, SPEC.quantiles), settings=settings)
    assert failed_rules(tmp_path) == ["max_outlier_ratio", "beats_naive"]


def test_outliers_are_not_measured_where_the_configuration_says_so(tmp_path: Path) -> None:
    found = settings_of()
    settings = found.model_copy(update={"backtest": found.backtest.model_copy(update={"outliers": None})})
    judge(tmp_path, KnownColumnPredictor(offset=0.2), settings=settings)
    assert json.loads((tmp_path / "metrics.json").read_text())["models"]["candidate"]["outlier_ratio"] is None


def test_candidate_worse_than_the_champion_is_refused_though_it_beats_the_naive(tmp_path: Path) -> None:
    outcome = judge(tmp_path, KnownColumnPredictor(offset=0.4), champion=champion_off_by(0.2))
    assert not outcome.passed
    assert failed_rules(tmp_path) == ["max_champion_ratio"]
    assert outcome.summary.startswith("MAE 0.4000 (naive 1.0000, champion 0.2000, limit 0.5)")
    assert read_backtest_report(tmp_path / "metrics.json").ratios["champion_ratio"] == pytest.approx(2.0, rel=1e-3)


def test_candidate_better_than_the_champion_passes(tmp_path: Path) -> None:
    assert judge(tmp_path, KnownColumnPredictor(offset=0.2), champion=champion_off_by(0.4)).passed


def test_champion_that_cannot_read_the_table_leaves_the_verdict_to_a_person_and_no_crash(tmp_path: Path) -> None:
    spec = hourly_spec(known=("Copy", "Temperature"))
    champion = ChampionSource(3, Champion(3, KnownColumnPredictor(), spec))
    outcome = judge(tmp_path, KnownColumnPredictor(offset=0.2), champion=champion)
    assert outcome.passed
    assert "waits for approval: the champion could be compared at 0 of 3 origins" in outcome.summary
    assert "champion version 3 cannot be scored: the table has no column 'Temperature'" in outcome.summary
    assert "champion" not in read_backtest_report(tmp_path / "metrics.json").models


def test_champion_that_cannot_be_loaded_leaves_the_verdict_to_a_person(tmp_path: Path) -> None:
    champion = ChampionSource(4, None, "model.tflite is gone")
    judge(tmp_path, KnownColumnPredictor(offset=0.2), champion=champion)
    decision = read_decision(tmp_path / "decision.json")
    assert decision.passed
    assert decision.approval.endswith("champion version 4 cannot be scored: model.tflite is gone")


def stored_champion(folder: Path, offset: float, *, n_folds: int) -> ChampionSource:
    """A champion whose model is gone, and which forecast the first folds of this test period in its own run."""
    demand = daily_wave(10)
    store = hourly_store({"Demand": [demand], "Copy": [demand]})
    backtest = open_backtest(store, SPEC, settings=BacktestConfig(stride=24))
    quantiles = (backtest.actual[:, :, None] + np.array([-1.0, 0.0, 1.0]) + offset).astype(np.float32)
    available = np.broadcast_to((backtest.folds < n_folds)[:, None], backtest.actual.shape)
    record = ForecastRecord((0.1, 0.5, 0.9), quantiles, available)
    write_scores(folder / "then.parquet", backtest, forecasts={"tflite_int8": record})
    return ChampionSource(4, None, "model.tflite is gone", scores=ScoresSource(folder / "then.parquet", "tflite_int8"))


def test_champion_that_is_gone_is_judged_by_what_its_own_run_kept_of_it_and_a_person_decides(tmp_path: Path) -> None:
    champion = stored_champion(tmp_path, 0.2, n_folds=2)
    outcome = judge(tmp_path, KnownColumnPredictor(offset=0.202), champion=champion)
    assert outcome.passed
    assert "the champion could be compared at 2 of 3 origins" in outcome.summary
    report = read_backtest_report(tmp_path / "metrics.json")
    assert report.ratios["champion_ratio"] == pytest.approx(1.01, rel=1e-3)
    # Its errors are of other steps than those of the candidate, so that no table of metrics has them side by side.
    assert "champion" not in report.models
    compared = json.loads((tmp_path / "diagnostics.json").read_text())["comparison"]
    assert (compared["n_origins"], compared["n_points"], compared["better_share"]) == (2, 48, 0.0)
    assert compared["champion"] == pytest.approx(0.2, rel=1e-3)


def test_without_a_champion_there_is_nothing_to_compare_with_and_columns_have_their_importance(tmp_path: Path) -> None:
    judge(tmp_path, KnownColumnPredictor(offset=0.2), champion=None)
    diagnostics = json.loads((tmp_path / "diagnostics.json").read_text())
    assert diagnostics["comparison"] is None
    assert [column["name"] for column in diagnostics["importance"]["columns"]] == ["Copy", "Demand"]


def test_candidate_worse_than_what_the_champion_forecast_then_is_refused(tmp_path: Path) -> None:
    champion = stored_champion(tmp_path, 0.1, n_folds=3)
    assert not judge(tmp_path, KnownColumnPredictor(offset=0.2), champion=champion).passed
    assert failed_rules(tmp_path) == ["max_champion_ratio"]


def test_champion_whose_kept_forecasts_are_enough_origins_needs_no_person(tmp_path: Path) -> None:
    limits = settings_of()
    enough = limits.model_copy(update={"gates": limits.gates.model_copy(update={"min_common_origins": 2})})
    judge(
        tmp_path, KnownColumnPredictor(offset=0.2), champion=stored_champion(tmp_path, 0.2, n_folds=2), settings=enough
    )
    decision = read_decision(tmp_path / "decision.json")
    assert (decision.passed, decision.approval) == (True, "")


def test_accuracy_limits_hold_also_where_the_champion_cannot_be_scored(tmp_path: Path) -> None:
    champion = ChampionSource(4, None, "model.tflite is gone")
    assert not judge(tmp_path, KnownColumnPredictor(offset=0.55), champion=champion).passed
    assert failed_rules(tmp_path) == ["max_mae"]


def test_run_for_an_earlier_cutoff_than_the_champions_is_refused_and_says_how_it_may_be_promoted(
    tmp_path: Path,
) -> None:
    later = replace(champion_off_by(0.4), cutoff=MONDAY + 12 * DAY_S)
    outcome = judge(tmp_path, KnownColumnPredictor(offset=0.2), champion=later)
    assert failed_rules(tmp_path) == ["max_cutoff_lag_days"]
    assert "almanac run --promote" in outcome.summary


def test_new_series_are_judged_on_their_own(tmp_path: Path) -> None:
    limits = MODEL_LIMITS.model_copy(update={"max_cold_start_naive_ratio": 0.9})
    demand = [daily_wave(10), daily_wave(4, slope=0.1)]
    store = hourly_store({"Demand": demand, "Copy": demand}, starts=(MONDAY, MONDAY + 6 * DAY_S))
    outcome = judge_candidate(
        settings_of(limits, cold_start_below="4d"),
        store,
        spec=SPEC,
        candidate=KnownColumnPredictor(offset=0.2),
        champion=None,
        output=tmp_path,
    )
    assert not outcome.passed
    assert failed_rules(tmp_path) == ["max_cold_start_naive_ratio"]


def test_scores_of_all_models_are_over_the_same_steps(tmp_path: Path) -> None:
    judge(tmp_path, KnownColumnPredictor(offset=0.2), champion=champion_off_by(0.4))
    table = pq.read_table(tmp_path / "scores.parquet").to_pandas()
    steps = {
        name: set(zip(rows["origin"], rows["step"], strict=True))
        for name, rows in table.groupby("model", observed=True)
    }
    assert sorted(steps) == ["candidate", "champion", "seasonal_naive_24", "seasonal_naive_48"]
    assert len(steps["candidate"]) == 72
    assert len({frozenset(found) for found in steps.values()}) == 1


def test_version_without_a_feature_spec_is_no_champion(tmp_path: Path) -> None:
    version = tmp_path / "7"
    version.mkdir()
    with pytest.raises(ArtifactError, match=r"almanac_feature_spec\.json must hold the champion's feature spec"):
        load_champion(version)


def test_version_whose_model_is_no_model_is_no_champion(tmp_path: Path) -> None:
    version = tmp_path / "7"
    write_feature_spec(replace(SPEC), version / "assets.extra/almanac_feature_spec.json")
    (version / "model.tflite").write_bytes(b"not a model")
    with pytest.raises(ArtifactError, match=r"model\.tflite must be a TensorFlow Lite model"):
        load_champion(version)
