"""Names of the compressed variants: how a network was pruned, and in what precision it was converted."""

from dataclasses import dataclass
from enum import StrEnum

from forecasting.errors import ConfigError

_CONVERTED = "tflite"


class Precision(StrEnum):
    """What a TensorFlow Lite file computes in; inputs and output are float32 in all of them."""

    FLOAT32 = "float32"
    """Weights and arithmetic as trained."""
    FLOAT16 = "float16"
    """Weights in half the bytes, arithmetic in float32."""
    INT8_WEIGHTS = "int8_weights"
    """Weights in INT8, activations quantised while it runs: dynamic range."""
    INT8 = "int8"
    """Weights and activations of the network in INT8, with ranges from calibration windows."""
    INT8_MIXED = "int8_mixed"
    """As INT8, with those layers left in float that lose most."""
    INT8_AWARE = "int8_aware"
    """As INT8, after fine-tuning a network that rounds as the converted one will."""

    @property
    def is_quantised(self) -> bool:
        """Whether the conversion may change forecasts by more than rounding."""
        return self not in (Precision.FLOAT32, Precision.FLOAT16)

    @property
    def needs_calibration(self) -> bool:
        """Whether ranges of the activations come from windows."""
        return self in (Precision.INT8, Precision.INT8_MIXED, Precision.INT8_AWARE)


class Pruning(StrEnum):
    """What was taken out of a network before it was converted."""

    NONE = ""
    STRUCTURED = "structured"
    """Whole units, so that the network is narrower."""
    MAGNITUDE_30 = "magnitude_30"
    MAGNITUDE_50 = "magnitude_50"
    MAGNITUDE_70 = "magnitude_70"
    """The smallest of the weights set to zero: 30, 50, 70 in a hundred."""
    STRUCTURED_MAGNITUDE_50 = "structured_magnitude_50"
    """Whole units, then half of the weights that remain."""

    @property
    def is_structured(self) -> bool:
        """Whether units are taken out."""
        return self in (Pruning.STRUCTURED, Pruning.STRUCTURED_MAGNITUDE_50)

    @property
    def sparsity(self) -> float:
        """Share of weights set to zero."""
        last = self.value.rpartition("_")[2]
        return int(last) / 100 if last.isdigit() else 0.0


@dataclass(frozen=True)
class VariantSpec:
    """One candidate of the tournament, such as `structured_tflite_int8_weights`."""

    pruning: Pruning
    precision: Precision

    @property
    def name(self) -> str:
        """`[<pruning>_]tflite_<precision>`."""
        return "_".join(part for part in (self.pruning.value, _CONVERTED, self.precision.value) if part)


def variant_spec(name: str) -> VariantSpec:
    """The variant of a name.

    Raises:
        ConfigError: There is no such variant.
    """
    found = ALL_VARIANTS.get(name)
    if found is None:
        raise ConfigError(f"a variant must be one of {', '.join(ALL_VARIANTS)}; found {name!r}")
    return found


ALL_VARIANTS = {
    spec.name: spec for spec in (VariantSpec(pruning, precision) for pruning in Pruning for precision in Precision)
}
"""Every combination by its name, the plain conversions first."""
