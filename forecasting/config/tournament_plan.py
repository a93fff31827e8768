"""Which variants take part in a tournament: by profile or by name, as far as the kind of model allows."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from forecasting.config.compression import CompressionConfig
from forecasting.config.models import KindConfig
from forecasting.config.widths import supports_integers, supports_structured
from forecasting.errors import ConfigError
from forecasting.variants import ALL_VARIANTS, Precision, Pruning, VariantSpec, variant_spec

QUICK = (
    VariantSpec(Pruning.NONE, Precision.FLOAT32),
    VariantSpec(Pruning.NONE, Precision.INT8_WEIGHTS),
    VariantSpec(Pruning.STRUCTURED, Precision.INT8_WEIGHTS),
)
"""Worth their time for most models, the most useful first."""

_ZEROS = (Pruning.MAGNITUDE_50, Pruning.STRUCTURED_MAGNITUDE_50, Pruning.MAGNITUDE_30, Pruning.MAGNITUDE_70)
_OFTEN = (Precision.FLOAT32, Precision.INT8_WEIGHTS, Precision.INT8, Precision.FLOAT16)
_RARELY = (Precision.INT8_MIXED, Precision.INT8_AWARE)
"""What zeros pay in, and what they change nothing of: what rounding loses."""

FULL = (
    *QUICK,
    VariantSpec(Pruning.NONE, Precision.FLOAT16),
    VariantSpec(Pruning.NONE, Precision.INT8),
    VariantSpec(Pruning.STRUCTURED, Precision.FLOAT32),
    VariantSpec(Pruning.STRUCTURED, Precision.FLOAT16),
    VariantSpec(Pruning.STRUCTURED, Precision.INT8),
    VariantSpec(Pruning.NONE, Precision.INT8_MIXED),
    VariantSpec(Pruning.STRUCTURED, Precision.INT8_MIXED),
    VariantSpec(Pruning.NONE, Precision.INT8_AWARE),
    VariantSpec(Pruning.STRUCTURED, Precision.INT8_AWARE),
    *(VariantSpec(pruning, precision) for pruning in _ZEROS for precision in _OFTEN),
    *(VariantSpec(pruning, precision) for precision in _RARELY for pruning in _ZEROS),
)
"""All there are, in the order in which they are worth trying."""

PROFILES: Mapping[str, tuple[VariantSpec, ...]] = {"quick": QUICK, "full": FULL}


@dataclass(frozen=True)
class PlanSpec:
    """The variants to be built, in order. left_out: all other variants, with the reason."""

    variants: tuple[VariantSpec, ...]
    left_out: Mapping[str, str]


def plan_tournament(compression: CompressionConfig, model: KindConfig) -> PlanSpec:
    """The variants of a tournament.

    Raises:
        ConfigError: A variant that was asked for by name cannot be made of this kind of model.
    """
    if compression.variants is not None:
        asked = tuple(variant_spec(name) for name in compression.variants)
        for spec in asked:
            if reason := unsupported_reason(spec, model):
                raise ConfigError(
                    f"compression.variants names {spec.name}, which model.kind {model.kind} cannot be made into: {reason}"
                )
        return PlanSpec(asked, _left_out(asked, model, "not in compression.variants"))
    profile = PROFILES[compression.profile]
    left_out = _left_out(profile, model, f"not in compression.profile {compression.profile}")
    return PlanSpec(tuple(spec for spec in profile if spec.name not in left_out), left_out)


def _left_out(wanted: Collection[VariantSpec], model: KindConfig, why: str) -> dict[str, str]:
    """Why each variant takes no part: what the kind of model cannot be made into first, then what is not wanted."""
    every = ALL_VARIANTS.values()
    refused = {spec.name: reason for spec in every if (reason := unsupported_reason(spec, model))}
    others = {spec.name: why for spec in every if spec not in wanted and spec.name not in refused}
    return {**refused, **others}


def unsupported_reason(spec: VariantSpec, model: KindConfig) -> str:
    """Why a variant cannot be made of a kind of model, its members included; empty where it can."""
    if spec.pruning.is_structured and (reason := supports_structured(model)) is not None:
        return reason
    if spec.precision.needs_calibration and (reason := supports_integers(model)) is not None:
        return reason
    return ""
