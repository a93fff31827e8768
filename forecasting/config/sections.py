"""The sections of the configuration: frozen pydantic models, every field with a comment and a default.

Thresholds (`gates.py` in this folder) are the one thing without defaults. Durations are pandas
offsets such as `28d` or `24h`; lengths in steps are integers.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from forecasting.config.derived import AnyDerived, RollingConfig
from forecasting.config.section import Section
from forecasting.config.source import CsvConfig, EventsConfig, ExcludedRangeConfig, VintagesConfig, check_no_password
from forecasting.config.training import TrainingConfig as TrainingConfig
from forecasting.config.values import Distinct, Duration, HolidayRegion, Lengths, ZoneName
from forecasting.durations import duration_s
from forecasting.scaling_methods import Method

Aggregation = Literal["mean", "sum", "min", "max", "last"]
CalendarColumn = Literal[
    "minute_of_hour", "hour_of_day", "day_of_week", "day_of_month", "day_of_year", "week_of_year", "month_of_year",
    "quarter_of_year", "year", "trend", "is_month_start", "is_month_end", "is_weekend", "is_holiday",
    "is_holiday_yesterday", "is_holiday_tomorrow", "is_day_off", "is_day_off_yesterday", "is_day_off_tomorrow",
    "is_bridge_day", "is_school_holiday", "day_length",
]  # fmt: skip


class DataConfig(Section):
    """Where the table is and what its columns mean."""

    uri: str = Field(
        "example://electricity",
        description="Table: a CSV or Parquet file, a folder of them or a pattern (`*`), relative to the configuration; an address that fsspec opens (s3://…); a database by its SQLAlchemy URL; or example://NAME. `${NAME}` stands for an environment variable.",
    )
    query: str | None = Field(None, description="Query that gives the table, where uri is a database.")
    table: str | None = Field(
        None, description="Table or view to read in the place of a query, with or without schema."
    )
    csv: CsvConfig = Field(default_factory=CsvConfig, description="How CSV files are written.")
    layout: Literal["long", "wide"] = Field(
        "long", description="One row a series and time (long), or one row a time and one column a series (wide)."
    )
    series_columns: Annotated[tuple[str, ...], Distinct] = Field(
        (),
        description="Columns of a wide table that are series, by name or pattern (`MT_*`); target is then the name of their values.",
    )
    time_column: str = Field("timestamp", description="Column of the time stamps.")
    time_zone: ZoneName | None = Field(
        None, description="Zone of time stamps that carry none (IANA name); none: such stamps are refused."
    )
    target: str = Field("target", description="Column to forecast.")
    id_columns: tuple[str, ...] = Field(
        (), description="Columns that together name a series; none: the table is one series."
    )
    known: tuple[str, ...] = Field((), description="Covariates known for the horizon too.")
    observed: tuple[str, ...] = Field((), description="Covariates known up to the origin only.")
    categorical: Annotated[tuple[str, ...], Distinct] = Field(
        (),
        description="Those of known and observed that are names, not numbers: each becomes a column COLUMN=VALUE of 0 and 1 for each value before the cutoff, at most 50.",
    )
    availability_lag: dict[str, Duration] = Field(
        default_factory=dict,
        description="How long after its time stamp an observed column is published; each step then has the value that was published by then.",
    )
    static: tuple[str, ...] = Field(
        (),
        description="Categorical columns with one value per series; an id column among them gives each series an embedding of its own.",
    )
    censored_by: str | None = Field(
        None, description="Column that is non-zero where the target is not the true demand (a stock-out)."
    )
    exclude_ranges: tuple[ExcludedRangeConfig, ...] = Field(
        (), description="Periods whose target counts neither in training nor in metrics."
    )
    events: EventsConfig | None = Field(None, description="Table of such periods; none: there is no such table.")
    vintages: VintagesConfig | None = Field(
        None, description="Table of known covariates with the time of their issue; none: there is no such table."
    )
    frequency: Duration = Field(
        "1h", description="Step of the series after resampling (pandas offset of fixed length)."
    )
    aggregation: dict[str, Aggregation] = Field(
        default_factory=dict, description="How a column is resampled; mean where not named."
    )

    @model_validator(mode="after")
    def _check_address(self) -> "DataConfig":
        check_no_password(self.uri)
        if self.query is not None and self.table is not None:
            raise ValueError("query and table must not both be set; remove one")
        return self

    @model_validator(mode="after")
    def _check_layout(self) -> "DataConfig":
        if self.layout == "long" and self.series_columns:
            raise ValueError("series_columns needs layout: wide")
        if self.layout == "wide" and (not self.series_columns or self.id_columns or self.static):
            raise ValueError("a wide table has series_columns, and neither id_columns nor static columns")
        return self

    @model_validator(mode="after")
    def _check_covariates(self) -> "DataConfig":
        for key, names, allowed in (
            ("categorical", self.categorical, (*self.known, *self.observed)),
            ("availability_lag", tuple(self.availability_lag), self.observed),
        ):
            if wrong := [name for name in names if name not in allowed]:
                section = "known and observed" if key == "categorical" else "observed"
                raise ValueError(
                    f"{key} names {wrong[0]!r}, which is none of {section} ({', '.join(allowed) or 'none'})"
                )
        if self.censored_by in self.categorical:
            raise ValueError(f"censored_by must be a column of numbers, and {self.censored_by!r} is categorical")
        return self

    @model_validator(mode="after")
    def _check_vintages(self) -> "DataConfig":
        if self.vintages is None:
            return self
        if wrong := [name for name in self.vintages.columns if name not in self.known]:
            raise ValueError(
                f"vintages.columns names {wrong[0]!r}, which is none of known ({', '.join(self.known) or 'none'})"
            )
        if named := [name for name in self.vintages.columns if name in (*self.categorical, self.censored_by)]:
            raise ValueError(
                f"vintages.columns must be covariates of numbers, and {named[0]!r} is categorical or censors"
            )
        if self.layout == "wide" and not self.vintages.shared:
            raise ValueError("vintages of a wide table must be of every series; set vintages.shared")
        return self


class ForecastConfig(Section):
    """What is forecast from what."""

    horizon: int = Field(24, gt=0, description="Steps ahead.")
    context: int = Field(
        336,
        gt=0,
        description="Past steps the model reads; a multiple of the segment. The default is two weeks of hours.",
    )
    segment: int = Field(
        24, gt=0, description="Steps in one segment of the recurrence, usually one season; the default suits hours."
    )
    quantiles: tuple[float, ...] = Field((0.1, 0.5, 0.9), description="Quantile levels, ascending, with 0.5.")
    mean: bool = Field(
        False, description="Also forecast the mean, which is best for RMSE and for sums over steps and series."
    )
    seasons: Lengths = Field(
        (24, 168),
        description="Season lengths in steps: the naive baselines and the model's lags. The default is the day and the week of hours.",
    )

    @field_validator("quantiles")
    @classmethod
    def _check_quantiles(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        if list(levels) != sorted(set(levels)) or not all(0 < level < 1 for level in levels):
            raise ValueError("quantiles must ascend strictly between 0 and 1")
        if 0.5 not in levels:
            raise ValueError("quantiles must contain 0.5, the point forecast")
        return levels

    @model_validator(mode="after")
    def _check_lengths(self) -> "ForecastConfig":
        if self.context % self.segment:
            raise ValueError(f"context ({self.context}) must be a multiple of segment ({self.segment})")
        if not self.seasons or max(self.seasons) > self.context:
            raise ValueError("seasons must name a season, and none longer than context")
        return self


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
    beam_runner: Literal["DirectRunner", "PortableRunner"] = Field(
        "DirectRunner", description="Apache Beam runner of build_features."
    )
    beam_options: tuple[str, ...] = Field((), description="Further Beam options, as on its command line.")
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
        return name

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


class SplitConfig(Section):
    """Cuts by time: train, then validation, then test; by shares, by lengths or by dates."""

    fractions: tuple[float, float, float] = Field(
        (0.7, 0.2, 0.1), description="Shares of train, validation and test, where neither lengths nor dates are given."
    )
    validation: Duration | None = Field(
        None, description="Length of the validation period (early stopping, calibration), before the test period."
    )
    test: Duration | None = Field(None, description="Length of the test period (backtest and gates), up to the cutoff.")
    train_until: str | None = Field(None, description="End of the train period (ISO 8601 with zone).")
    validation_until: str | None = Field(None, description="End of the validation period (ISO 8601 with zone).")
    embargo: bool = Field(
        True,
        description="Leave one horizon out at the start of validation and test, so that no forecast reaches across.",
    )

    @field_validator("fractions")
    @classmethod
    def _check_fractions(cls, shares: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
            raise ValueError(
                f"three shares above 0 must make 1, and {', '.join(f'{share:g}' for share in shares)} do not"
            )
        return shares

    @model_validator(mode="after")
    def _check_kind(self) -> "SplitConfig":
        lengths, dates = (self.validation, self.test), (self.train_until, self.validation_until)
        for names, values in (("validation and test", lengths), ("train_until and validation_until", dates)):
            if sum(value is not None for value in values) == 1:
                raise ValueError(f"{names} must be given together")
        given = [name for name, values in (("lengths", lengths), ("dates", dates)) if values[0] is not None]
        if len(given) == 2:
            raise ValueError("the split must be given by lengths or by dates, not both")
        return self


class BacktestConfig(Section):
    """The rolling-origin backtest over the test period."""

    stride: int = Field(24, gt=0, description="Steps between origins.")
    batch_size: int = Field(256, gt=0, description="Windows scored at once.")
    cold_start_below: Duration | None = Field(
        None, description="Series with less history than this at the origin form the slice cold_start; none: no slice."
    )
    horizon_buckets: int = Field(
        4, gt=0, description="Parts of nearly equal length into which the horizon is cut, each judged on its own."
    )


class CompressionConfig(Section):
    """The tournament of smaller and faster variants."""

    variants: tuple[Literal["tflite_float32", "tflite_int8", "pruned_tflite_int8"], ...] = Field(
        ("tflite_float32", "tflite_int8", "pruned_tflite_int8"), description="Variants built beside the float SavedModel.")  # fmt: skip
    sparsity: float = Field(0.5, ge=0, lt=1, description="Share of weights set to zero by magnitude pruning.")
    finetune_steps: int = Field(150, ge=0, description="Training steps while pruning.")
    time_budget_s: float = Field(
        60.0, gt=0, description="Seconds for the whole tournament; variants that do not fit are left out and named."
    )
    n_parity_windows: int = Field(
        64, gt=0, description="Real windows on which every converted model is compared with the float model."
    )


class ServingConfig(Section):
    """The model server and the candidate check."""

    bind_address: str = Field("127.0.0.1", description="Address the servers listen on.")
    grpc_port: int = Field(8500, ge=0, le=65535, description="TensorFlow Serving gRPC; 0: any free port.")
    rest_port: int = Field(8501, ge=0, le=65535, description="TensorFlow Serving REST; 0: any free port.")
    gateway_port: int = Field(8080, ge=0, le=65535, description="Gateway HTTP; 0: any free port.")
    n_warmup_records: int = Field(4, gt=0, description="Warm-up requests stored with a version.")
    prefer: Literal["accuracy", "size", "latency"] = Field(
        "latency", description="What decides between variants that pass the gate."
    )
    fallback: bool = Field(
        True,
        description="Answer with a seasonal naive forecast, marked `degraded`, for series in quarantine and while the "
        "model server cannot be reached; false: such requests are errors. A request can refuse it for itself.",
    )
    keep_versions: int = Field(
        5, gt=1, description="Versions kept in the repository, champion and previous always among them."
    )

    @model_validator(mode="after")
    def _check_ports(self) -> "ServingConfig":
        taken: dict[int, str] = {}
        for name in ("grpc_port", "rest_port", "gateway_port"):
            port = getattr(self, name)
            if port and port in taken:
                raise ValueError(f"{taken[port]} and {name} must differ, found {port} for both; 0 takes any free port")
            taken[port] = name
        return self


class TrackingConfig(Section):
    """MLflow."""

    uri: str | None = Field(None, description="Tracking URI; none: SQLite in ALMANAC_HOME.")
    experiment: str | None = Field(None, description="Experiment; none: the model's name.")
