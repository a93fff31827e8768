"""Gates: rules, margins, decisions, and their JSON."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from forecasting.backtest.sanity import SanityReport
from forecasting.config.gates import (
    CompressedGateConfig,
    CoverageBandConfig,
    ExceedanceGateConfig,
    GatesConfig,
    ModelGateConfig,
    ServingGateConfig,
    SliceGateConfig,
)
from forecasting.errors import ArtifactError
from forecasting.gates import (
    ChampionGateReport,
    ChampionLimit,
    Direction,
    GateDecision,
    GateRule,
    ModelGateReport,
    PartReport,
    SliceGateReport,
    VariantGateReport,
    compressed_rules,
    decide,
    judge_model,
    read_decision,
    serving_rules,
    write_decision,
)
from forecasting.metrics import ExceedanceReport

LIMITS = ModelGateConfig(max_mae=100.0, max_rmse=150.0, max_naive_ratio=0.6, max_champion_ratio=1.02)
SANE = SanityReport(missing_ratio=0.0, nonfinite_ratio=0.0, crossed_ratio=0.0, range_ratio=0.2)
GOOD = ModelGateReport(mae=90.0, rmse=120.0, naive_ratio=0.5, coverage=0.8, sanity=SANE, n_origins=55)
CHAMPION = ChampionGateReport(ratio=0.9, p_value=0.01, n_common_origins=55)


def judge(report: ModelGateReport, limits: ModelGateConfig = LIMITS, **sections: object) -> GateDecision:
    """The verdict by limits of the model and, by name, other sections of the gates."""
    gates = GatesConfig(
        model=limits,
        compressed=CompressedGateConfig(max_mae=1, max_rmse=1),
        serving=ServingGateConfig(max_latency_ms=50, max_difference_ratio=1e-3),
        **sections,  # type: ignore[arg-type]
    )
    return judge_model(report, gates)


def limits_with(**changes: object) -> ModelGateConfig:
    """LIMITS and more."""
    return ModelGateConfig(**{**LIMITS.model_dump(), **changes})


def failed(decision: GateDecision) -> list[str]:
    return [result.rule for result in decision.rules if not result.passed]


def test_value_at_its_limit_passes_with_no_margin() -> None:
    result = GateRule("max_mae", 100.0, 100.0).judge()
    assert result.passed
    assert result.margin == 0.0


def test_margin_is_the_distance_to_the_limit_as_a_share_of_it() -> None:
    assert GateRule("max_mae", 75.0, 100.0).judge().margin == pytest.approx(0.25)
    assert GateRule("max_mae", 110.0, 100.0).judge().margin == pytest.approx(-0.1)
    assert GateRule("min_coverage", 0.9, 0.75, Direction.AT_LEAST).judge().margin == pytest.approx(0.2)


def test_margin_of_a_limit_of_zero_is_the_distance_itself() -> None:
    assert GateRule("min_naive_ratio", 0.5, 0.0, Direction.AT_LEAST).judge().margin == pytest.approx(0.5)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("direction", list(Direction))
def test_value_that_is_not_finite_never_passes(value: float, direction: Direction) -> None:
    assert not GateRule("max_mae", value, 100.0, direction).judge().passed


def test_decision_passes_only_when_every_rule_does() -> None:
    passing = GateRule("max_mae", 1.0, 2.0)
    failing = GateRule("max_rmse", 3.0, 2.0)
    assert decide([passing, passing]).passed
    decision = decide([passing, failing])
    assert not decision.passed
    assert decision.reason == "max_rmse fails: 3.00, must be <= 2"


def test_gate_without_rules_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one rule"):
        decide([])


def test_first_model_is_judged_by_sanity_its_errors_and_against_the_naive() -> None:
    assert [result.rule for result in judge(GOOD).rules] == [
        "max_missing_ratio", "max_nonfinite_ratio", "max_crossed_ratio", "max_range_ratio",
        "max_mae", "max_rmse", "max_naive_ratio", "min_naive_ratio", "beats_naive",
    ]  # fmt: skip
    assert judge(GOOD).passed


def test_first_model_as_good_as_the_naive_does_not_beat_it() -> None:
    equal = replace(GOOD, naive_ratio=1.0)
    assert failed(judge(equal, limits_with(max_naive_ratio=1.0))) == ["beats_naive"]
    assert judge(replace(equal, champion=CHAMPION), limits_with(max_naive_ratio=1.0)).passed


def test_a_value_below_is_strictly_below() -> None:
    assert not GateRule("beats_naive", 1.0, 1.0, Direction.BELOW).judge().passed
    assert GateRule("beats_naive", 0.999, 1.0, Direction.BELOW).judge().passed


@pytest.mark.parametrize(("change", "rule"), [
    ({"missing_ratio": 0.01}, "max_missing_ratio"), ({"nonfinite_ratio": 0.01}, "max_nonfinite_ratio"),
    ({"crossed_ratio": 0.01}, "max_crossed_ratio"), ({"range_ratio": 11.0}, "max_range_ratio"),
])  # fmt: skip
def test_forecasts_that_are_not_sane_are_refused_before_accuracy_is_looked_at(
    change: dict[str, float], rule: str
) -> None:
    decision = judge(replace(GOOD, sanity=replace(SANE, **change)))
    assert failed(decision) == [rule]
    assert len(decision.rules) == 4
    assert decision.notes == ("accuracy was not judged: the forecasts are not sane",)


def test_model_worse_than_the_champion_by_more_than_the_limit_is_refused() -> None:
    report = replace(GOOD, champion=replace(CHAMPION, ratio=1.03))
    assert failed(judge(report)) == ["max_champion_ratio"]


def test_improvement_over_the_champion_can_be_required_and_must_then_be_no_luck() -> None:
    limits = limits_with(min_champion_improvement=0.05, max_champion_p_value=0.05)
    assert judge(replace(GOOD, champion=CHAMPION), limits).passed
    assert failed(judge(replace(GOOD, champion=replace(CHAMPION, ratio=0.96)), limits)) == ["min_champion_improvement"]
    assert failed(judge(replace(GOOD, champion=replace(CHAMPION, p_value=0.2)), limits)) == ["max_champion_p_value"]


def test_test_that_has_too_few_origins_does_not_pass_and_says_so() -> None:
    report = replace(GOOD, champion=replace(CHAMPION, p_value=math.nan))
    decision = judge(report, limits_with(max_champion_p_value=0.05))
    assert failed(decision) == ["max_champion_p_value"]
    assert "too few origins for a test" in decision.reason


def test_model_far_better_than_the_champion_trips_the_leak_alarm() -> None:
    decision = judge(replace(GOOD, champion=replace(CHAMPION, ratio=0.2)), limits_with(min_champion_ratio=0.5))
    assert failed(decision) == ["min_champion_ratio"]
    assert "too good to be true" in decision.reason


def test_model_far_too_good_trips_the_leak_alarm() -> None:
    decision = judge(replace(GOOD, naive_ratio=0.001))
    assert failed(decision) == ["min_naive_ratio"]
    assert "too good to be true" in decision.reason


def test_improvement_over_the_naive_must_be_no_luck_where_that_is_asked() -> None:
    assert failed(judge(replace(GOOD, naive_p_value=0.3), limits_with(max_naive_p_value=0.05))) == ["max_naive_p_value"]


def test_champion_that_cannot_be_scored_asks_for_a_person_with_its_reason() -> None:
    report = replace(GOOD, champion=ChampionGateReport(math.nan, math.nan, 0, "no column 'Promo'"))
    decision = judge(report)
    assert decision.passed
    assert decision.approval == (
        "the champion could be compared at 0 of 55 origins, and gates.min_common_origins asks for 10: no column 'Promo'"
    )
    assert decision.notes == ("rules against the champion were not judged: no column 'Promo'",)
    assert "max_champion_ratio" not in [result.rule for result in decision.rules]


@pytest.mark.parametrize(
    ("n_common", "n_origins", "asks"), [(9, 55, True), (10, 55, False), (5, 5, False), (4, 5, True)]
)
def test_person_approves_where_fewer_origins_are_common_than_asked_for_and_some_are_not(
    n_common: int, n_origins: int, asks: bool
) -> None:
    report = replace(GOOD, n_origins=n_origins, champion=replace(CHAMPION, n_common_origins=n_common))
    assert bool(judge(report).approval) is asks


def test_optional_limits_make_rules_only_where_they_are_set() -> None:
    limits = limits_with(
        max_cold_start_naive_ratio=0.9, min_coverage=0.7, max_coverage=0.9, max_mase=1.0, max_wape=0.1, max_abs_bias=5.0,
        coverage_bands=(CoverageBandConfig(interval=0.5, min=0.4, max=0.6),),
    )  # fmt: skip
    report = replace(
        GOOD, coverage=0.95, cold_start_naive_ratio=0.95, mase=1.2, wape=0.2, bias=-6.0, coverages={0.5: 0.3, 0.8: 0.8}
    )
    assert failed(judge(report, limits)) == [
        "max_mase", "max_wape", "max_abs_bias", "max_coverage", "coverage_bands 0.5 min", "max_cold_start_naive_ratio",
    ]  # fmt: skip


def test_empty_cold_start_slice_refuses_and_says_so() -> None:
    decision = judge(GOOD, limits_with(max_cold_start_naive_ratio=0.9))
    assert not decision.passed
    assert "the slice cold_start is empty" in decision.reason


SLICES = SliceGateConfig(
    min_points=50, max_worst_series_naive_ratio=1.2, max_worse_series_share=0.1, max_bucket_naive_ratio=0.8,
    max_holiday_naive_ratio=1.0,
)  # fmt: skip


def test_slices_are_judged_and_the_failing_one_is_named() -> None:
    parts = SliceGateReport(
        PartReport("north", 1.3, 240), PartReport("steps_19_24", 0.85, 330), PartReport("holiday", 1.1, 72)
    )
    report = replace(GOOD, slices=parts, champion=replace(CHAMPION, worse_series_share=0.2))
    decision = judge(report, slices=SLICES)
    assert failed(decision) == [
        "max_worst_series_naive_ratio", "max_bucket_naive_ratio", "max_holiday_naive_ratio", "max_worse_series_share",
    ]  # fmt: skip
    assert "series north, 240 steps" in decision.reason
    assert "horizon bucket steps_19_24, 330 steps" in decision.reason


def test_slices_with_too_few_steps_are_not_judged_and_named() -> None:
    decision = judge(replace(GOOD, champion=CHAMPION), slices=SLICES)
    assert decision.passed
    assert len(decision.notes) == 4
    assert decision.notes[0] == "max_worst_series_naive_ratio was not judged: no series has 50 steps with an actual"


def test_exceedance_is_judged_by_the_scores_that_have_limits() -> None:
    scores = ExceedanceReport(9_000.0, 1_320, 60, 0.95, 0.7, 0.4, 0.5, 0.9, 0.03, 0.04)
    limits = ExceedanceGateConfig(threshold=9_000, min_events=20, min_recall=0.6, min_auc=0.8, max_brier=0.05)
    decision = judge(replace(GOOD, exceedance=scores), exceedance=limits)
    assert failed(decision) == ["exceedance.min_recall"]
    assert [rule.rule for rule in decision.rules if rule.rule.startswith("exceedance")] == [
        "exceedance.min_recall", "exceedance.min_auc", "exceedance.max_brier",
    ]  # fmt: skip


def test_exceedance_with_too_few_events_is_not_judged_and_says_so() -> None:
    scores = ExceedanceReport(9_000.0, 1_320, 3, 0.99, 0.0, 0.0, 0.0, 0.9, 0.01, 0.01)
    decision = judge(
        replace(GOOD, exceedance=scores),
        exceedance=ExceedanceGateConfig(threshold=9_000, min_events=20, min_recall=0.6),
    )
    assert decision.passed
    assert "3 steps exceed 9000, and gates.exceedance.min_events is 20" in decision.notes[0]


def test_variant_that_is_off_by_more_than_the_forecast_on_made_up_windows_is_refused_unless_that_is_allowed() -> None:
    report = VariantGateReport(100.0, 150.0, 100.0, extreme_ratio=1.28, extreme_windows="scaled")
    limits = CompressedGateConfig(max_mae=200, max_rmse=300)
    *_, rule = compressed_rules("tflite_int8", limits, report=report, max_accuracy_loss=0.02)
    assert rule.judge().sentence() == "max_extreme_ratio fails: 1.28, must be <= 1 (on made-up windows: scaled)"
    free = limits.model_copy(update={"max_extreme_ratio": None})
    names = [rule.rule for rule in compressed_rules("tflite_int8", free, report=report, max_accuracy_loss=0.02)]
    assert "max_extreme_ratio" not in names


def test_variant_is_refused_by_its_increase_over_the_float_model() -> None:
    limits = CompressedGateConfig(max_mae=200, max_rmse=300, max_extreme_ratio=None)
    results = [
        rule.judge()
        for rule in compressed_rules(
            "tflite_int8", limits, report=VariantGateReport(103.0, 150.0, 100.0), max_accuracy_loss=0.02
        )
    ]
    assert [(result.rule, result.passed, result.role) for result in results] == [
        ("max_mae", True, "tflite_int8"),
        ("max_rmse", True, "tflite_int8"),
        ("max_accuracy_loss", False, "tflite_int8"),
    ]
    assert results[2].value == pytest.approx(0.03)


def test_serving_is_judged_by_latency_and_difference() -> None:
    limits = ServingGateConfig(max_latency_ms=50, max_difference_ratio=1e-3)
    decision = decide(serving_rules(limits, latency_ms=51.0, difference_ratio=1e-6))
    assert [(result.rule, result.passed) for result in decision.rules] == [
        ("max_latency_ms", False),
        ("max_difference_ratio", True),
    ]


def test_size_and_load_time_are_judged_where_they_have_limits() -> None:
    limits = ServingGateConfig(max_latency_ms=50, max_difference_ratio=1e-3, max_size_bytes=1_000, max_load_s=2.0)
    rules = serving_rules(limits, latency_ms=5.0, difference_ratio=1e-6, size_bytes=2_000, load_s=3.0)
    assert failed(decide(rules)) == ["max_size_bytes", "max_load_s"]


def test_decision_survives_json_and_nan_is_written_as_null(tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    rules = [GateRule("max_mae", math.nan, 2.0, reason="no champion"), GateRule("max_rmse", 1.0, 2.0)]
    decision = decide(rules, approval="a person", notes=["one was not judged"])
    write_decision(decision, path)
    document = json.loads(path.read_text())
    assert document["rules"][0]["value"] is None
    assert document["variant"] is None
    found = read_decision(path)
    assert math.isnan(found.rules[0].value)
    assert found.rules[1] == decision.rules[1]
    assert (found.passed, found.reason) == (decision.passed, decision.reason)
    assert (found.approval, found.notes) == ("a person", ("one was not judged",))


def test_file_that_is_no_decision_is_an_artifact_error_naming_it(tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    path.write_text('{"passed": true}')
    with pytest.raises(ArtifactError, match=r"decision\.json must hold the decision of a gate"):
        read_decision(path)


def test_an_unscorable_champion_may_be_replaced_without_a_person_when_the_settings_say_so() -> None:
    report = replace(GOOD, champion=ChampionGateReport(math.nan, math.nan, 0, "no column 'Promo'"))
    decision = judge(report, limits_with(replace_unscorable_champion=True))
    assert (decision.passed, decision.approval) == (True, "")


def test_a_run_for_an_earlier_cutoff_does_not_replace_the_champion_unless_it_is_told_to() -> None:
    report = replace(GOOD, champion=replace(CHAMPION, cutoff_lag_days=31.0))
    decision = judge(report)
    assert decision.reason.startswith("max_cutoff_lag_days fails: 31.00, must be <= 0 (the champion knows later values")
    assert judge(report, limits_with(allow_older_cutoff=True)).passed


def test_what_ships_is_compared_with_the_champion_too() -> None:
    limits = CompressedGateConfig(max_mae=200.0, max_rmse=300.0, max_extreme_ratio=None)
    rules = compressed_rules(
        "tflite_int8",
        limits,
        report=VariantGateReport(102.0, 120.0, 100.0),
        max_accuracy_loss=0.05,
        champion=ChampionLimit(1.01, max_ratio=1.02),
    )
    failed = [rule.judge() for rule in rules if not rule.judge().passed]
    assert [(result.rule, round(result.value, 4)) for result in failed] == [("max_champion_ratio", 1.0302)]


def test_what_ships_must_improve_on_the_champion_where_that_is_asked() -> None:
    limits = CompressedGateConfig(max_mae=200.0, max_rmse=300.0, max_extreme_ratio=None)
    rules = compressed_rules(
        "tflite_int8", limits, report=VariantGateReport(102.0, 120.0, 100.0), max_accuracy_loss=0.05,
        champion=ChampionLimit(0.95, max_ratio=1.0, min_improvement=0.04),
    )  # fmt: skip
    assert [(rule.rule, round(rule.value, 3)) for rule in rules if not rule.judge().passed] == [
        ("min_champion_improvement", 0.031)
    ]


def test_coverage_and_the_worst_series_of_a_variant_are_judged_where_they_have_limits() -> None:
    limits = CompressedGateConfig(max_mae=200, max_rmse=300, max_coverage_change=0.01, max_worst_series_loss=0.05)
    report = VariantGateReport(
        100.0, 150.0, 100.0, coverage=0.78, float_coverage=0.8, worst_series_loss=0.06, extreme_ratio=0.1
    )
    rules = compressed_rules("tflite_int8", limits, report=report, max_accuracy_loss=0.02)
    failed = {rule.rule: round(rule.value, 4) for rule in rules if not rule.judge().passed}
    assert failed == {"max_coverage_change": 0.02, "max_worst_series_loss": 0.06}
    unmeasured = compressed_rules(
        "tflite_int8", limits, report=VariantGateReport(100.0, 150.0, 100.0), max_accuracy_loss=0.02
    )
    assert [rule.rule for rule in unmeasured if not rule.judge().passed] == [
        "max_coverage_change", "max_worst_series_loss", "max_extreme_ratio",
    ]  # fmt: skip
