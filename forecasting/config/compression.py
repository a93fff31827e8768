"""Settings of the tournament of compressed variants."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from forecasting.config.section import Section
from forecasting.config.values import Distinct
from forecasting.errors import ConfigError
from forecasting.variants import ALL_VARIANTS, variant_spec

_BUDGETS_S = {"quick": 60.0, "full": 300.0}
"""Enough on a laptop for the default model; a full tournament takes about two minutes of CPU."""


class CompressionConfig(Section):
    """The tournament of smaller and faster variants (docs/compression.md)."""

    profile: Literal["quick", "full"] = Field(
        "quick",
        description="Which variants take part: those that are usually worth their time, or all 36, as far as the kind of model has "
        "them; `almanac run --profile full` for one run.",
    )
    variants: tuple[str, ...] | None = Field(
        None,
        description="Variants by name instead, as docs/compression.md lists them; the float SavedModel is always there. "
        "The report names all others.",
        json_schema_extra={"examples": [list(ALL_VARIANTS)]},
    )
    max_accuracy_loss: float = Field(
        ge=0, description="What compression may cost: increase of the MAE over the float model's, as a share of it."
    )
    time_budget_s: float | None = Field(
        None,
        gt=0,
        description="Seconds for the whole tournament; variants that do not fit are left out and named. None: 60 for quick, "
        "300 for full.",
    )
    finetune_steps: int = Field(
        150, ge=0, description="Training steps while weights are set to zero, and of fine-tuning for INT8."
    )
    structured_steps: int = Field(300, gt=0, description="Training steps after each round of structured pruning.")
    structured_rounds: int = Field(
        1,
        gt=0,
        description="Rounds of structured pruning at most: each takes three in ten of the units out, until max_accuracy_loss is spent on "
        "the validation period, or half of the time. With training.refit they are counted with the network of the first fit, which has "
        "not learnt from that period, and done again with that of the refit.",
    )
    shorten_context: bool = Field(
        False,
        description="Whether structured pruning may take the oldest segments of the context out, too: faster by a segment's step each, "
        "and fine-tuning does not always bring back what they were worth.",
    )
    n_parity_windows: int = Field(
        64, gt=0, description="Real windows on which every converted model is compared with the float model."
    )
    also_export: Annotated[tuple[Literal["onnx"], ...], Distinct] = Field(
        (),
        description="Other forms of the float model, put beside the served one; onnx (model.onnx) needs the extra almanac[onnx].",
    )

    @field_validator("variants")
    @classmethod
    def _check_variants(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            try:
                variant_spec(name)
            except ConfigError as error:
                raise ValueError(str(error)) from error
        if names is not None and len(set(names)) < len(names):
            raise ValueError(f"each variant must be named once, found {', '.join(names)}")
        return names

    @property
    def budget_s(self) -> float:
        """Seconds for the whole tournament."""
        return _BUDGETS_S[self.profile] if self.time_budget_s is None else self.time_budget_s
