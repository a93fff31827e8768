"""Thresholds. What is good enough has no default; optional rules are off, and the leak alarm is on."""

from pydantic import Field

from forecasting.config.section import Section


class ModelGateConfig(Section):
    """Limits for the float model on the test period (gate evaluate_model)."""

    max_mae: float = Field(gt=0, description="Mean absolute error, unit of the target.")
    max_rmse: float = Field(gt=0, description="Root mean squared error, unit of the target.")
    max_naive_ratio: float = Field(
        gt=0, le=1, description="WAPE over that of the better seasonal naive on the same steps."
    )
    max_champion_ratio: float = Field(
        gt=0, description="MAE over the champion's on the same steps; holds for what ships too."
    )
    replace_unscorable_champion: bool = Field(
        False, description="Replace a champion that cannot be scored on this table, because a column it needs is gone."
    )
    min_naive_ratio: float = Field(
        0.02, ge=0, description="Below this ratio a model is too good to be true: the leak alarm."
    )
    max_cold_start_naive_ratio: float | None = Field(
        None, gt=0, description="As max_naive_ratio, for the slice cold_start; none: no rule."
    )
    min_coverage: float | None = Field(
        None, ge=0, le=1, description="Least share of actuals between the outer quantiles; none: no rule."
    )
    max_coverage: float | None = Field(
        None, ge=0, le=1, description="Largest share of actuals between the outer quantiles; none: no rule."
    )


class CompressedGateConfig(Section):
    """Limits for each compressed variant on the test period (gate evaluate_compressed)."""

    max_mae: float = Field(gt=0, description="Mean absolute error, unit of the target.")
    max_rmse: float = Field(gt=0, description="Root mean squared error, unit of the target.")
    max_mae_increase_ratio: float = Field(ge=0, description="Increase of MAE over the float model, as a share of it.")


class ServingGateConfig(Section):
    """Limits for the candidate in a real server (gate validate_serving)."""

    max_latency_ms: float = Field(
        gt=0, description="99th percentile of a single forecast over gRPC on loopback, milliseconds."
    )
    max_difference_ratio: float = Field(
        gt=0,
        description="Largest difference between gRPC, REST and in-process answers, as a share of the mean forecast.",
    )


class GatesConfig(Section):
    """All gates."""

    model: ModelGateConfig = Field(description="The float model on the test period.")
    compressed: CompressedGateConfig = Field(description="Compressed variants on the test period.")
    serving: ServingGateConfig = Field(description="The candidate in a real server.")
