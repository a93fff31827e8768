"""The table: where it is and what its columns mean."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from forecasting.config.section import Section
from forecasting.config.source import (
    CsvConfig,
    EventsConfig,
    ExcludedRangeConfig,
    TimePartsConfig,
    VintagesConfig,
    check_no_password,
)
from forecasting.config.values import Distinct, Duration, TimeForm, ZoneName

Aggregation = Literal["mean", "sum", "min", "max", "last"]


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
    time_format: TimeForm | None = Field(
        None,
        description="How times are written as text, in the signs of strptime: %d/%m/%Y %H:%M for 31/12/2024 17:30; none: ISO 8601.",
    )
    time_parts: TimePartsConfig | None = Field(
        None, description="Columns that together are the time, in the place of time_column; none: it is one column."
    )
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

    @property
    def time_columns(self) -> tuple[str, ...]:
        """The columns from which the time of a row is read."""
        return self.time_parts.columns if self.time_parts else (self.time_column,)

    @model_validator(mode="after")
    def _check_times(self) -> "DataConfig":
        if self.time_parts is None:
            return self
        if self.time_format is not None and self.time_parts.date is None:
            raise ValueError("time_format is of text; year, month and day of time_parts are numbers")
        if self.vintages is not None and self.vintages.time_column is None:
            raise ValueError("vintages needs time_column, as the time of this table is of several columns (time_parts)")
        return self

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
