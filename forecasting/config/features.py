"""Features and scaling, and the Beam job that computes them."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from forecasting.config.derived import AnyDerived, RollingConfig
from forecasting.config.section import Section
from forecasting.config.values import Distinct, Duration, HolidayRegion, ZoneName
from forecasting.durations import duration_s
from forecasting.scaling_methods import Method

CalendarColumn = Literal[
    "minute_of_hour", "hour_of_day", "day_of_week", "day_of_month", "day_of_year", "week_of_year", "month_of_year",
    "quarter_of_year", "year", "trend", "is_month_start", "is_month_end", "is_weekend", "is_holiday",
    "is_holiday_yesterday", "is_holiday_tomorrow", "is_day_off", "is_day_off_yesterday", "is_day_off_tomorrow",
    "is_bridge_day", "is_school_holiday", "day_length",
]  # fmt: skip


REQUIRED_BEAM_OPTIONS = {
    "PortableRunner": ("job_endpoint", "environment_type"),
    "DataflowRunner": ("project", "region", "temp_location", "sdk_container_image"),
}
"""Options without which a runner would start something else than what is meant: a job server of its own, a container, a project."""


class FourierConfig(Section):
    """Sine and cosine terms of one period."""

    period: Duration = Field("24h", description="Length of the period (pandas offset), counted in local time.")
    order: int = Field(2, gt=0, description="Number of sine and cosine pairs.")


class ScalingConfig(Section):
    """How value columns are scaled; fitted on the train cut, inverted in the exported graph."""

    method: Method = Field(
        "z_score",
        description="z_score (mean and standard deviation), min_max, robust (median and quartiles), log1p (z_score of log(1 + value)) or none.",
    )
    columns: dict[str, Method] = Field(default_factory=dict, description="Method of a column, where it is another one.")
    per_series: tuple[str, ...] = Field(
        (),
        description="Columns that each series scales by its own train cut; a series without one takes that over all.",
    )

    def method_of(self, column: str, target: str) -> Method:
        """Method of a column; a configuration may call the target `target`."""
        named = self.columns.get(column)
        return named or (self.columns.get("target", self.method) if column == target else self.method)

    def own(self, target: str) -> tuple[str, ...]:
        """Columns that each series scales by itself, by their names in the table."""
        return tuple(target if name == "target" else name for name in self.per_series)


class FeaturesConfig(Section):
    """Features: each is written once and runs in Beam and in the exported graph."""

    calendar_time_zone: ZoneName = Field(
        "UTC",
        description="Zone in which hours, days and holidays are counted (IANA name); UTC for steps of a day or more.",
    )
    calendar: Annotated[tuple[CalendarColumn, ...], Distinct] = Field(
        ("day_of_week", "is_day_off"), description="Calendar columns."
    )
    holidays: HolidayRegion | None = Field(
        None, description="Country, or country and region (AU-VIC), whose public holidays count; none: no holidays."
    )
    fourier: tuple[FourierConfig, ...] = Field((FourierConfig(),), description="Fourier terms.")
    derived: tuple[AnyDerived, ...] = Field((RollingConfig(),), description="Features of one column each.")
    scaling: ScalingConfig = Field(default_factory=ScalingConfig, description="How value columns are scaled.")
    target_scaling: Literal["train", "window"] = Field(
        "train",
        description="Scale of the target: as scaling says, or also from each window (many series of different size).",
    )
    fill_target: Literal["none", "seasonal"] = Field(
        "none",
        description="What the model reads where the target is missing: nothing, or the value of the shortest season before, "
        "or of up to seven such; it stays marked as missing and never counts in loss, metrics or actuals.",
    )
    lower_bound: float | None = Field(
        None,
        description="What the target can never go below, such as 0 for sales; forecasts stop there. None: no bound.",
    )
    upper_bound: float | None = Field(
        None, description="What the target can never exceed, such as a capacity; forecasts stop there. None: no bound."
    )
    whole_numbers: bool = Field(
        False,
        description="Whether the target is a count: every quantile of a forecast is then rounded to a whole number.",
    )
    beam_runner: Literal["DirectRunner", "PortableRunner", "DataflowRunner"] = Field(
        "DirectRunner",
        description="Apache Beam runner of build_features: this process, a job server (of Flink or Spark) or Dataflow; see beam.md.",
    )
    beam_options: tuple[str, ...] = Field(
        (), description="Further Beam options, as on its command line, each as --name=value."
    )
    beam_chunk_rows: int = Field(
        1 << 19, gt=0, description="Rows that a Beam worker reads, computes and writes at once; fewer need less memory."
    )

    @field_validator("beam_runner", mode="before")
    @classmethod
    def _check_runner(cls, name: object) -> object:
        if name == "DaskRunner":
            raise ValueError(
                "DaskRunner gives wrong results without an error (Beam 2.77 runs only the last of two sinks)"
            )
        if name in ("FlinkRunner", "SparkRunner"):
            raise ValueError(
                f"{name} fetches a job server of its own when it runs; start one, set beam_runner to PortableRunner and "
                "name it in beam_options (--job_endpoint=HOST:8099)"
            )
        return name

    @model_validator(mode="after")
    def _check_beam_options(self) -> "FeaturesConfig":
        if wrong := [option for option in self.beam_options if not option.startswith("--")]:
            raise ValueError(f"features.beam_options must each be --name=value or --name; found {wrong[0]!r}")
        given = dict(option[2:].partition("=")[::2] for option in self.beam_options)
        required = REQUIRED_BEAM_OPTIONS.get(self.beam_runner, ())
        if given.get("environment_type") in ("EXTERNAL", "PROCESS"):
            required = (*required, "environment_config")
        if missing := [name for name in required if not given.get(name)]:
            wanted = ", ".join(f"--{name}" for name in missing)
            raise ValueError(f"features.beam_options must have {wanted} for {self.beam_runner}")
        return self

    @model_validator(mode="after")
    def _check_bounds(self) -> "FeaturesConfig":
        low, high = self.lower_bound, self.upper_bound
        if low is not None and high is not None and low >= high:
            raise ValueError(f"features.lower_bound ({low:g}) must be below features.upper_bound ({high:g})")
        return self

    @model_validator(mode="after")
    def _check_periods_differ(self) -> "FeaturesConfig":
        periods = [duration_s(term.period) for term in self.fourier]
        if len(periods) != len(set(periods)):
            raise ValueError("fourier names a period twice")
        return self
