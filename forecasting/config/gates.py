"""Thresholds. What is good enough has no default; optional rules are off, sanity and the leak alarm are on."""

from typing import Any

from pydantic import Field, model_validator

from forecasting.config.section import Section


class CoverageBandConfig(Section):
    """Between which shares the coverage of one interval must lie."""

    interval: float = Field(
        gt=0, lt=1, description="Nominal share of the interval: 0.8 lies between the quantiles 0.1 and 0.9."
    )
    min: float = Field(ge=0, le=1, description="Least share of actuals inside.")
    max: float = Field(ge=0, le=1, description="Largest share of actuals inside.")

    @model_validator(mode="after")
    def _check_band(self) -> "CoverageBandConfig":
        if self.min >= self.max:
            raise ValueError(f"min ({self.min:g}) must be below max ({self.max:g})")
        return self


class ModelGateConfig(Section):
    """Limits for the float model on the test period (gate evaluate_model)."""

    max_mae: float = Field(gt=0, description="Mean absolute error, unit of the target.")
    max_rmse: float = Field(gt=0, description="Root mean squared error, unit of the target.")
    max_mase: float | None = Field(
        None,
        gt=0,
        description="Mean absolute error over that of the seasonal naive in the train cut; none: no rule.",
    )
    max_wape: float | None = Field(
        None, gt=0, description="Sum of absolute errors over the sum of absolute actuals; none: no rule."
    )
    max_abs_bias: float | None = Field(
        None,
        gt=0,
        description="Mean error, forecast less actual, either way, unit of the target; none: no rule.",
    )
    max_naive_ratio: float = Field(
        gt=0, le=1, description="WAPE over that of the better seasonal naive on the same steps."
    )
    max_naive_p_value: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Significance of being better than the better seasonal naive, such as 0.05; none: no rule.",
    )
    max_champion_ratio: float = Field(
        gt=0, description="MAE over the champion's on the same steps; holds for what ships too."
    )
    min_champion_improvement: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of the champion's MAE by which the model, and what ships, must be better, such as 0.01; none: no rule.",
    )
    max_champion_p_value: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Significance of being better than the champion, such as 0.05 (docs/gates.md); none: no rule.",
    )
    min_champion_ratio: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Below this ratio to the champion a model is too good to be true, as min_naive_ratio; none: no rule.",
    )
    replace_unscorable_champion: bool = Field(
        False,
        description="Replace a champion that cannot be scored on this table, because a column it needs is gone, without asking a person.",
    )
    allow_older_cutoff: bool = Field(
        False, description="Let a run replace a champion of a later cutoff; `almanac run --promote` sets it."
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
    max_outlier_ratio: float | None = Field(
        None,
        gt=0,
        description="MAE after some of the history became outliers (backtest.outliers) over that before; none: no rule.",
    )
    coverage_bands: tuple[CoverageBandConfig, ...] = Field(
        (), description="Limits for the coverage of other intervals."
    )

    @model_validator(mode="after")
    def _check_limits(self) -> "ModelGateConfig":
        pairs = (
            ("min_coverage", "max_coverage"),
            ("min_naive_ratio", "max_naive_ratio"),
            ("min_champion_ratio", "max_champion_ratio"),
        )
        for low, high in pairs:
            least, most = getattr(self, low), getattr(self, high)
            if least is not None and most is not None and least >= most:
                raise ValueError(f"{low} ({least:g}) must be below {high} ({most:g}), or nothing can pass")
        floor, improvement = self.min_champion_ratio, self.min_champion_improvement
        if floor is not None and improvement is not None and floor >= 1 - improvement:
            raise ValueError(
                f"min_champion_ratio ({floor:g}) must be below 1 - min_champion_improvement ({1 - improvement:g}), or nothing can pass"
            )
        return self


class SliceGateConfig(Section):
    """Limits for parts of the test period; a part with fewer steps than min_points is not judged, and named."""

    min_points: int = Field(gt=0, description="Steps with an actual that a part must have to be judged.")
    max_worst_series_naive_ratio: float | None = Field(
        None,
        gt=0,
        description="MAE over the better seasonal naive's, for the series where it is largest; none: no rule.",
    )
    max_worse_series_share: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Share of series whose MAE exceeds max_champion_ratio times the champion's; none: no rule.",
    )
    max_bucket_naive_ratio: float | None = Field(
        None,
        gt=0,
        description="MAE over the better seasonal naive's, for the horizon bucket where it is largest; none: no rule.",
    )
    max_holiday_naive_ratio: float | None = Field(
        None, gt=0, description="MAE over the better seasonal naive's on public holidays; none: no rule."
    )

    @model_validator(mode="after")
    def _check_rules(self) -> "SliceGateConfig":
        rules = [name for name in type(self).model_fields if name.startswith("max_")]
        if all(getattr(self, name) is None for name in rules):
            raise ValueError(f"at least one of {', '.join(rules)} must be set, or no part is judged")
        return self


class ExceedanceGateConfig(Section):
    """Limits for the forecast of exceeding a threshold, read off the quantiles."""

    threshold: float = Field(description="The event is an actual above it, unit of the target.")
    min_events: int = Field(gt=0, description="Events that the test period must have for the rules to be judged.")
    min_accuracy: float | None = Field(None, gt=0, le=1, description="Share of right decisions; none: no rule.")
    min_precision: float | None = Field(None, gt=0, le=1, description="Share of forecast events that came.")
    min_recall: float | None = Field(None, gt=0, le=1, description="Share of events that were forecast.")
    min_f1: float | None = Field(None, gt=0, le=1, description="Harmonic mean of precision and recall.")
    min_auc: float | None = Field(None, gt=0, le=1, description="Area under the ROC curve; 0.5 is no skill.")
    max_brier: float | None = Field(None, gt=0, le=1, description="Mean squared error of the probability.")

    @model_validator(mode="after")
    def _check_rules(self) -> "ExceedanceGateConfig":
        rules = [name for name in type(self).model_fields if name.startswith(("min_", "max_")) and name != "min_events"]
        if all(getattr(self, name) is None for name in rules):
            raise ValueError(f"at least one of {', '.join(rules)} must be set")
        return self


class SanityGateConfig(Section):
    """What is judged before accuracy; where it fails, accuracy is not looked at."""

    max_missing_ratio: float = Field(0.0, ge=0, lt=1, description="Share of asked steps for which every number is NaN.")
    max_nonfinite_ratio: float = Field(
        0.0, ge=0, lt=1, description="Share of the numbers of the other steps that are NaN or infinite."
    )
    max_crossed_ratio: float = Field(0.0, ge=0, lt=1, description="Share of steps whose quantiles do not ascend.")
    max_range_ratio: float = Field(
        10.0,
        gt=0,
        description="Distance of a forecast beyond the smallest and largest value its series had before the test period, "
        "in units of the range between them (of a tenth of that of all series, where it is smaller).",
    )


class CompressedGateConfig(Section):
    """Limits for each compressed variant on the test period (gate evaluate_compressed)."""

    max_mae: float = Field(gt=0, description="Mean absolute error, unit of the target.")
    max_rmse: float = Field(gt=0, description="Root mean squared error, unit of the target.")
    max_coverage_change: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Change of the coverage of the outer interval from the float model's, either way: 0.01 is a point; none: no rule.",
    )
    max_worst_series_loss: float | None = Field(
        None,
        ge=0,
        description="Increase of the MAE over the float model's, as a share of it, for the series where it is largest; none: no rule.",
    )
    max_extreme_ratio: float | None = Field(
        1.0,
        gt=0,
        description="Mean difference from the float network, as a share of its forecast, in the worst of the made-up windows (random, "
        "zeros, constants, nothing known of the past, a history a hundred times as large); none: no rule, and what ships names it.",
    )
    min_series_points: int = Field(
        24, gt=0, description="Steps with an actual that a series must have for max_worst_series_loss to look at it."
    )

    @model_validator(mode="before")
    @classmethod
    def _check_moved(cls, section: Any) -> Any:
        if isinstance(section, dict) and "max_mae_increase_ratio" in section:
            raise ValueError("max_mae_increase_ratio is compression.max_accuracy_loss now; move it there")
        return section


class ServingGateConfig(Section):
    """Limits for the candidate in a real server (gate validate_serving)."""

    max_latency_ms: float = Field(
        gt=0, description="99th percentile of a single forecast over gRPC on loopback, milliseconds."
    )
    max_difference_ratio: float = Field(
        gt=0,
        description="Largest difference between gRPC, REST and in-process answers, as a share of the mean forecast.",
    )
    max_size_bytes: int | None = Field(None, gt=0, description="Size of the version directory; none: no rule.")
    max_load_s: float | None = Field(
        None, gt=0, description="Seconds from the start of the server to AVAILABLE, warm-up included; none: no rule."
    )


class GatesConfig(Section):
    """All gates."""

    model: ModelGateConfig = Field(description="The float model on the test period.")
    compressed: CompressedGateConfig = Field(description="Compressed variants on the test period.")
    serving: ServingGateConfig = Field(description="The candidate in a real server.")
    slices: SliceGateConfig | None = Field(None, description="Parts of the test period; none: no rules.")
    exceedance: ExceedanceGateConfig | None = Field(None, description="Exceeding a threshold; none: no rules.")
    sanity: SanityGateConfig = Field(default_factory=SanityGateConfig, description="What is judged before accuracy.")
    min_common_origins: int = Field(
        10,
        gt=0,
        description="Where the champion cannot be scored at every origin: origins that both must have, below which a person approves.",
    )
