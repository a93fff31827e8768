"""Gates: rules, margins, decisions, and their JSON."""

import json
import math
from pathlib import Path

import pytest

from forecasting.config.gates import CompressedGateConfig, ModelGateConfig, ServingGateConfig
from forecasting.errors import ArtifactError
from forecasting.gates import (
    ChampionLimit,
    Direction,
    GateRule,
    ModelGateReport,
    compressed_rules,
    decide,
    model_rules,
    read_decision,
    serving_rules,
    write_decision,
)

LIMITS = ModelGateConfig(max_mae=100.0, max_rmse=150.0, max_naive_ratio=0.6, max_champion_ratio=1.02)
GOOD = ModelGateReport(mae=90.0, rmse=120.0, naive_ratio=0.5, coverage=0.8)


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


def test_first_model_is_judged_by_its_errors_and_against_the_naive() -> None:
    rules = [result.rule for result in decide(model_rules(GOOD, LIMITS)).rules]
    assert rules == ["max_mae", "max_rmse", "max_naive_ratio", "min_naive_ratio"]


def test_model_worse_than_the_champion_by_more_than_the_limit_is_refused() -> None:
    report = ModelGateReport(mae=90.0, rmse=120.0, naive_ratio=0.5, coverage=0.8, champion_ratio=1.03)
    decision = decide(model_rules(report, LIMITS))
    assert [result.rule for result in decision.rules if not result.passed] == ["max_champion_ratio"]


def test_champion_that_cannot_be_scored_refuses_with_its_reason() -> None:
    report = ModelGateReport(
        mae=90.0,
        rmse=120.0,
        naive_ratio=0.5,
        coverage=0.8,
        champion_ratio=math.nan,
        champion_problem="no column 'Promo'",
    )
    decision = decide(model_rules(report, LIMITS))
    assert not decision.passed
    assert decision.reason == (
        "max_champion_ratio fails: could not be measured, must be <= 1.02 (no column 'Promo'; "
        "gates.model.replace_unscorable_champion: true replaces it)"
    )


def test_model_far_too_good_trips_the_leak_alarm() -> None:
    report = ModelGateReport(mae=0.1, rmse=0.2, naive_ratio=0.001, coverage=0.8)
    decision = decide(model_rules(report, LIMITS))
    assert [result.rule for result in decision.rules if not result.passed] == ["min_naive_ratio"]
    assert "too good to be true" in decision.reason


def test_optional_limits_make_rules_only_where_they_are_set() -> None:
    limits = ModelGateConfig(
        max_mae=100,
        max_rmse=150,
        max_naive_ratio=0.6,
        max_champion_ratio=1.02,
        max_cold_start_naive_ratio=0.9,
        min_coverage=0.7,
        max_coverage=0.9,
    )
    report = ModelGateReport(mae=90.0, rmse=120.0, naive_ratio=0.5, coverage=0.95, cold_start_naive_ratio=0.95)
    failed = [result.rule for result in decide(model_rules(report, limits)).rules if not result.passed]
    assert failed == ["max_cold_start_naive_ratio", "max_coverage"]


def test_empty_cold_start_slice_refuses_and_says_so() -> None:
    limits = ModelGateConfig(
        max_mae=100, max_rmse=150, max_naive_ratio=0.6, max_champion_ratio=1.02, max_cold_start_naive_ratio=0.9
    )
    decision = decide(model_rules(GOOD, limits))
    assert not decision.passed
    assert "the slice cold_start is empty" in decision.reason


def test_variant_is_refused_by_its_increase_over_the_float_model() -> None:
    limits = CompressedGateConfig(max_mae=200, max_rmse=300, max_mae_increase_ratio=0.02)
    results = [rule.judge() for rule in compressed_rules("tflite_int8", limits, mae=103.0, rmse=150.0, float_mae=100.0)]
    assert [(result.rule, result.passed, result.role) for result in results] == [
        ("max_mae", True, "tflite_int8"),
        ("max_rmse", True, "tflite_int8"),
        ("max_mae_increase_ratio", False, "tflite_int8"),
    ]
    assert results[2].value == pytest.approx(0.03)


def test_serving_is_judged_by_latency_and_difference() -> None:
    limits = ServingGateConfig(max_latency_ms=50, max_difference_ratio=1e-3)
    decision = decide(serving_rules(limits, latency_ms=51.0, difference_ratio=1e-6))
    assert [(result.rule, result.passed) for result in decision.rules] == [
        ("max_latency_ms", False),
        ("max_difference_ratio", True),
    ]


def test_decision_survives_json_and_nan_is_written_as_null(tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    decision = decide([GateRule("max_mae", math.nan, 2.0, reason="no champion"), GateRule("max_rmse", 1.0, 2.0)])
    write_decision(decision, path)
    document = json.loads(path.read_text())
    assert document["rules"][0]["value"] is None
    assert document["variant"] is None
    found = read_decision(path)
    assert math.isnan(found.rules[0].value)
    assert found.rules[1] == decision.rules[1]
    assert (found.passed, found.reason) == (decision.passed, decision.reason)


def test_file_that_is_no_decision_is_an_artifact_error_naming_it(tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    path.write_text('{"passed": true}')
    with pytest.raises(ArtifactError, match=r"decision\.json must hold the decision of a gate"):
        read_decision(path)


def test_an_unscorable_champion_may_be_replaced_when_the_settings_say_so() -> None:
    report = ModelGateReport(90.0, 120.0, 0.5, 0.8, champion_ratio=math.nan, champion_problem="no column 'Promo'")
    limits = LIMITS.model_copy(update={"replace_unscorable_champion": True})
    assert decide(model_rules(report, limits)).passed


def test_a_run_for_an_earlier_cutoff_does_not_replace_the_champion() -> None:
    report = ModelGateReport(90.0, 120.0, 0.5, 0.8, champion_ratio=0.9, cutoff_lag_days=31.0)
    decision = decide(model_rules(report, LIMITS))
    assert decision.reason.startswith("max_cutoff_lag_days fails: 31.00, must be <= 0 (the champion knows later values")


def test_what_ships_is_compared_with_the_champion_too() -> None:
    limits = CompressedGateConfig(max_mae=200.0, max_rmse=300.0, max_mae_increase_ratio=0.05)
    rules = compressed_rules(
        "tflite_int8", limits, mae=102.0, rmse=120.0, float_mae=100.0, champion=ChampionLimit(1.01, max_ratio=1.02)
    )
    failed = [rule.judge() for rule in rules if not rule.judge().passed]
    assert [(result.rule, round(result.value, 4)) for result in failed] == [("max_champion_ratio", 1.0302)]
