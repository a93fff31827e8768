"""Which variant ships, and the sentence that says why."""

from components.evaluation.choose_variant import ScoredVariantRecord, choose_variant
from forecasting.tournament import VariantRecord, VariantStatus


def scored(name: str, *, mae: float, size: int, latency_ms: float, extreme: float = 0.01) -> ScoredVariantRecord:
    variant = VariantRecord(
        name, f"variants/{name}/model.tflite", VariantStatus.BUILT, size_bytes=size, latency_p50_ms=latency_ms,
        extreme_ratio=extreme, extreme_windows="scaled",
    )  # fmt: skip
    return ScoredVariantRecord(variant, mae)


FLOAT = scored("saved_model", mae=100.0, size=1_600, latency_ms=2.6)
LITE = scored("tflite_float32", mae=100.0, size=1_500, latency_ms=0.21)
INT8 = scored("tflite_int8", mae=100.5, size=460, latency_ms=0.14)
PRUNED = scored("pruned_tflite_int8", mae=101.5, size=455, latency_ms=0.138)


def test_fastest_variant_ships_where_latency_is_preferred() -> None:
    assert (
        choose_variant(
            [FLOAT, LITE, scored("tflite_int8", mae=101, size=460, latency_ms=0.1)], reference=FLOAT, prefer="latency"
        ).name
        == "tflite_int8"
    )


def test_latencies_within_a_tenth_are_equal_and_the_more_accurate_ships() -> None:
    assert choose_variant([FLOAT, LITE, INT8, PRUNED], reference=FLOAT, prefer="latency").name == "tflite_int8"


def test_of_variants_equal_in_speed_and_error_the_fastest_ships_and_the_others_are_named() -> None:
    """A hundredth of a percent on one backtest is no reason for a slower model."""
    slower = scored("tflite_int8_weights", mae=100.46, size=460, latency_ms=0.15)
    decision = choose_variant([FLOAT, slower, INT8, PRUNED], reference=FLOAT, prefer="latency")
    assert decision.name == "tflite_int8"
    assert decision.reason.endswith(
        "; best latency of the variants that passed, to 10% with tflite_int8_weights, pruned_tflite_int8, "
        "and among these by the error on the backtest"
    )


def test_what_ships_names_that_it_is_off_on_windows_that_no_table_has() -> None:
    far = scored("tflite_int8", mae=100.0, size=460, latency_ms=0.1, extreme=1.28)
    reason = choose_variant([FLOAT, far], reference=FLOAT, prefer="latency").reason
    assert reason.endswith("; off by up to 128% of the float network's forecast on made-up windows (scaled)")
    assert "made-up" not in choose_variant([FLOAT, INT8], reference=FLOAT, prefer="latency").reason


def test_smallest_variant_ships_where_size_is_preferred() -> None:
    smallest = scored("pruned_tflite_int8", mae=101.9, size=300, latency_ms=0.5)
    assert choose_variant([FLOAT, LITE, INT8, smallest], reference=FLOAT, prefer="size").name == "pruned_tflite_int8"


def test_most_accurate_variant_ships_where_accuracy_is_preferred() -> None:
    better = scored("tflite_int8", mae=99.9, size=460, latency_ms=0.14)
    assert choose_variant([FLOAT, LITE, better, PRUNED], reference=FLOAT, prefer="accuracy").name == "tflite_int8"


def test_float_model_ships_when_it_is_alone() -> None:
    decision = choose_variant([FLOAT], reference=FLOAT, prefer="latency")
    assert decision.name == "saved_model"
    assert decision.reason == "saved_model: no compressed variant passed its gate"


def test_reason_says_accuracy_size_and_speed_against_the_float_model() -> None:
    reason = choose_variant([FLOAT, INT8], reference=FLOAT, prefer="latency").reason
    assert reason == (
        "tflite_int8: MAE 100.5, 0.50 % above the float model's 100.0, 3.5 × smaller, 18.6 × faster; "
        "best latency of the variants that passed"
    )


def test_slower_variant_is_called_slower() -> None:
    slow = scored("tflite_int8", mae=99.0, size=460, latency_ms=5.2)
    assert "2.0 × slower" in choose_variant([FLOAT, slow], reference=FLOAT, prefer="size").reason


def test_variant_without_a_measured_latency_is_never_the_fastest() -> None:
    unmeasured = ScoredVariantRecord(VariantRecord("tflite_int8", "x", VariantStatus.BUILT), 90.0)
    assert choose_variant([FLOAT, unmeasured], reference=FLOAT, prefer="latency").name == "saved_model"
