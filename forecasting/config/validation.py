"""The section `validation`: what a table must satisfy, and what is done where it does not."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from forecasting.config.rules import RULES, RuleSeverity, check_severities
from forecasting.config.section import Section
from forecasting.config.values import Duration, Range

DuplicatePolicy = Literal["refuse", "first", "last", "mean"]
ImputationMethod = Literal["none", "previous", "seasonal", "interpolate"]
Severities = Annotated[dict[str, RuleSeverity], AfterValidator(check_severities)]


class ImputationConfig(Section):
    """How short gaps of covariates are filled; a filled value is marked for the model. Targets are never filled."""

    known: ImputationMethod = Field(
        "none", description="For known covariates: the value before, that of a season ago, or the line between two."
    )
    observed: Literal["none", "previous", "seasonal"] = Field(
        "none", description="For observed covariates, which must not be filled from what comes later (interpolate)."
    )
    max_gap: int = Field(3, gt=0, description="Steps of a gap that are filled at most.")

    @field_validator("observed", mode="before")
    @classmethod
    def _check_observed(cls, method: object) -> object:
        if method == "interpolate":
            raise ValueError(
                "interpolate looks at the value after the gap, which nobody has at the time of a forecast; "
                "previous and seasonal look back only, and interpolate is for known covariates"
            )
        return method


class LearnedConfig(Section):
    """What may differ from the champion's training; nothing is compared where there is no champion or nothing new."""

    period: Duration = Field("28d", description="Last part of the table that is compared.")
    range_margin: float = Field(0.1, ge=0, description="Share of the range learned that is added on both sides.")
    max_outside_ratio: float = Field(0.01, ge=0, le=1, description="Largest share of values outside that range.")
    max_missing_increase: float = Field(
        0.05, ge=0, le=1, description="Largest increase of the share of missing values."
    )
    max_rows_change: float = Field(0.2, ge=0, description="Largest relative change of the rows in a period.")
    max_psi: float = Field(0.35, gt=0, description="Largest population stability index against the same season.")
    max_ks: float = Field(0.3, gt=0, le=1, description="Largest Kolmogorov-Smirnov statistic against the same season.")


class ValidationConfig(Section):
    """What a table must satisfy before it is used."""

    severity: Severities = Field(
        default_factory=dict,
        description="What a broken rule means, by its name: fail, quarantine (of the series) or warn; its own severity where not named.",
    )
    part_rows: int = Field(
        1_000_000,
        ge=1,
        description="Rows that are checked at once; fewer need less memory. A series is always checked as a whole. The result is the same.",
    )
    max_quarantined_ratio: float = Field(
        0.2, ge=0, le=1, description="Largest share of series in quarantine; more refuse the table."
    )
    duplicates: DuplicatePolicy = Field(
        "refuse",
        description="What is done with rows of one series and time whose values differ; equal ones are dropped and counted.",
    )
    max_missing_ratio: float = Field(0.1, ge=0, le=1, description="Largest share of missing target steps in a series.")
    max_gap: Duration | None = Field(
        None, description="Longest run of steps without any value in a series; none: every gap is named."
    )
    max_gap_ratio: float = Field(
        0.1, ge=0, le=1, description="Largest share of the steps of a series without any value."
    )
    min_history: Duration | None = Field(None, description="Shortest history of a series; none: any.")
    max_age: Duration | None = Field(
        None,
        description="Largest age of the last target at the cutoff, or when the run begins where it has no cutoff; none: any.",
    )
    max_series_age: Duration | None = Field(
        None, description="Largest distance from the last target of a series to the cutoff; none: any."
    )
    max_level_shift: float = Field(
        12.0,
        gt=0,
        description="Largest jump of a series' level, in usual changes from season to season.",
    )
    temperatures: tuple[str, ...] = Field(
        (), description="Columns of temperatures, in which a change between Celsius and Fahrenheit is looked for."
    )
    imputation: ImputationConfig = Field(
        default_factory=ImputationConfig, description="How short gaps of covariates are filled."
    )
    learned: LearnedConfig = Field(
        default_factory=LearnedConfig, description="What may differ from the champion's training."
    )
    ranges: dict[str, Range] = Field(
        default_factory=dict, description="Smallest and largest plausible value of a column."
    )
    max_out_of_range_ratio: float = Field(0.0, ge=0, le=1, description="Largest share of values outside their range.")
    max_leak_correlation: float = Field(
        0.98,
        gt=0,
        le=1,
        description="A known covariate whose changes correlate more with the target's, at any shift within the horizon, raises the leak alarm.",
    )
    data_docs: bool = Field(True, description="Write the Great Expectations Data Docs.")

    def severity_of(self, rule: str) -> RuleSeverity:
        """What a rule means when it is broken.

        Raises:
            KeyError: There is no such rule.
        """
        return self.severity.get(rule, RULES[rule].severity)
