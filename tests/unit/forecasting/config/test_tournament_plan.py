import pytest

from forecasting.config.compression import CompressionConfig
from forecasting.config.models import RidgeConfig, SegmentLstmConfig
from forecasting.config.tournament_plan import FULL, PROFILES, QUICK, plan_tournament
from forecasting.errors import ConfigError
from forecasting.variants import ALL_VARIANTS
from tests.unit.forecasting.config.test_root import read

MODEL = SegmentLstmConfig()


def names(**settings: object) -> list[str]:
    config = CompressionConfig(max_accuracy_loss=0.02, **settings)  # type: ignore[arg-type]
    return [spec.name for spec in plan_tournament(config, MODEL).variants]


def test_the_quick_profile_is_what_is_tried_unless_another_is_named() -> None:
    assert names() == [spec.name for spec in QUICK]
    assert names(profile="full") == [spec.name for spec in FULL]


def test_every_profile_begins_with_the_plain_float_conversion() -> None:
    assert {profile[0].name for profile in PROFILES.values()} == {"tflite_float32"}


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_every_variant_takes_part_or_is_named_with_the_reason(profile: str) -> None:
    plan = plan_tournament(CompressionConfig(max_accuracy_loss=0.02, profile=profile), MODEL)
    taking_part = {spec.name for spec in plan.variants}
    assert taking_part.isdisjoint(plan.left_out)
    assert taking_part | set(plan.left_out) == set(ALL_VARIANTS)


def test_profile_full_has_every_variant_once_and_quick_names_what_it_leaves_out() -> None:
    assert len(FULL) == len(set(FULL)) == len(ALL_VARIANTS)
    quick = plan_tournament(CompressionConfig(max_accuracy_loss=0.02), MODEL).left_out
    assert quick == dict.fromkeys(set(ALL_VARIANTS) - {spec.name for spec in QUICK}, "not in compression.profile quick")


def test_of_variants_by_name_all_others_are_named_with_the_reason() -> None:
    asked = ("tflite_int8", "tflite_float32")
    config = CompressionConfig(max_accuracy_loss=0.02, variants=asked)
    plan = plan_tournament(config, MODEL)
    assert set(plan.left_out) == set(ALL_VARIANTS) - set(asked)
    assert set(plan.left_out.values()) == {"not in compression.variants"}
    ridge = plan_tournament(CompressionConfig(max_accuracy_loss=0.02, variants=("tflite_float32",)), RidgeConfig())
    assert ridge.left_out["tflite_float16"] == "not in compression.variants"
    assert ridge.left_out["structured_tflite_float32"] != "not in compression.variants"


def test_variants_by_name_take_the_place_of_a_profile_in_the_order_in_which_they_are_named() -> None:
    asked = ["tflite_int8_weights", "tflite_float32"]
    assert names(variants=asked, profile="full") == asked


def test_an_unknown_variant_and_one_named_twice_are_refused_when_the_configuration_is_read() -> None:
    limit = {"max_accuracy_loss": 0.02}
    with pytest.raises(ConfigError, match=r"compression.variants: a variant must be one of .* found 'tflite_int7'"):
        read(compression={**limit, "variants": ["tflite_int7"]})
    with pytest.raises(ConfigError, match="each variant must be named once"):
        read(compression={**limit, "variants": ["tflite_float32", "tflite_float32"]})


def test_what_compression_may_cost_has_no_default_and_its_old_place_names_the_new_one() -> None:
    with pytest.raises(ConfigError, match=r"compression.max_accuracy_loss"):
        read(compression={})
    gates = {"max_mae": 1, "max_rmse": 1, "max_mae_increase_ratio": 0.02}
    document = read().model_dump(mode="json")
    with pytest.raises(ConfigError, match=r"max_mae_increase_ratio is compression.max_accuracy_loss now"):
        read(gates={**document["gates"], "compressed": gates})


@pytest.mark.parametrize(
    ("kind", "variant", "reason"),
    [
        ("ridge", "structured_tflite_int8_weights", "ridge has no hidden units that could be taken out"),
        ("ridge", "tflite_int8", "ridge has no layers of a network whose products could be in INT8"),
        ("ridge", "tflite_int8_aware", "ridge has no layers of a network whose products could be in INT8"),
    ],
)
def test_what_a_kind_cannot_be_made_into_is_refused_by_name_and_left_out_of_profiles(
    kind: str, variant: str, reason: str
) -> None:
    limit = {"max_accuracy_loss": 0.02}
    with pytest.raises(ConfigError, match=f"compression.variants names {variant}, which model.kind {kind} .*{reason}"):
        read(model={"kind": kind}, compression={**limit, "variants": [variant]})
    config = read(model={"kind": kind}, compression={**limit, "profile": "full"})
    plan = plan_tournament(config.compression, config.model)
    assert variant not in [spec.name for spec in plan.variants]
    assert plan.left_out.get(variant, reason) == reason


def test_each_profile_has_its_own_time_unless_it_is_set() -> None:
    assert CompressionConfig(max_accuracy_loss=0.02).budget_s == 60
    assert CompressionConfig(max_accuracy_loss=0.02, profile="full").budget_s == 300
    assert CompressionConfig(max_accuracy_loss=0.02, profile="full", time_budget_s=7).budget_s == 7
