import pytest

from forecasting.errors import ConfigError
from forecasting.variants import ALL_VARIANTS, Precision, Pruning, VariantSpec, variant_spec


def test_a_variant_is_named_by_its_pruning_and_its_precision() -> None:
    assert VariantSpec(Pruning.NONE, Precision.INT8_WEIGHTS).name == "tflite_int8_weights"
    assert VariantSpec(Pruning.STRUCTURED, Precision.INT8).name == "structured_tflite_int8"


@pytest.mark.parametrize("name", list(ALL_VARIANTS))
def test_a_name_is_read_back(name: str) -> None:
    assert variant_spec(name).name == name


def test_the_plain_conversions_come_first() -> None:
    assert list(ALL_VARIANTS)[: len(Precision)] == [f"tflite_{precision}" for precision in Precision]


def test_sparsity_is_what_the_name_says() -> None:
    assert [pruning.sparsity for pruning in Pruning] == [0.0, 0.0, 0.3, 0.5, 0.7, 0.5]


def test_an_unknown_variant_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"must be one of tflite_float32, .*found 'pruned_tflite_int4'"):
        variant_spec("pruned_tflite_int4")
