"""Parts of the `data` section: the dialect of a CSV file, periods whose target does not count, covariates by vintage."""

import codecs
import re
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from forecasting.config.section import Section
from forecasting.config.values import Distinct

_LITERAL_PASSWORD = re.compile(r"://[^:@/]*:(?!\$\{\w+\}@)[^@/]+@")
_LITERAL_SECRET = re.compile(
    r"(?:[?&;]|%3B)[^=&;?]*(?:password|passwd|pwd|token|secret|signature|access_?key)[^=&;]*(?:=|%3D)(?!\$\{)[^&;]",
    re.I,
)
_SQL_PASSWORD = re.compile(r"^(?:sqlite|postgres|mysql|mariadb|mssql|oracle)[^:]*://[^:@/]*:(?!\$\{\w+\}@)[^@]+@")


def _as_text(value: object) -> object:
    """YAML reads an unquoted time as one."""
    return value.isoformat() if isinstance(value, date | datetime) else value


def _one_character(text: str | None) -> str | None:
    if text is not None and (len(text) != 1 or ord(text) > 127 or text in "\r\n"):
        raise ValueError("must be one ASCII character")
    return text


Moment = Annotated[str, BeforeValidator(_as_text)]
"""A time in ISO 8601; without a zone it is on the clock of `data.time_zone`."""


def check_no_password(uri: str) -> None:
    """Refuse an address that holds a secret: configurations are copied into runs, pipelines and reports.

    Raises:
        ValueError: It does; the message does not repeat it.
    """
    if any(pattern.search(uri) for pattern in (_LITERAL_PASSWORD, _LITERAL_SECRET, _SQL_PASSWORD)):
        raise ValueError(
            "an address must not hold a password, as configurations are copied into runs and pipelines; write a name in its "
            "place, such as ${DATABASE_PASSWORD}, and set the environment variable of this name"
        )


class CsvConfig(Section):
    """How CSV files are written; what is not said here is not guessed."""

    delimiter: str = Field(",", description="Character between fields; \\t in double quotes is the tabulator.")
    quote: str | None = Field('"', description="Character around fields that hold a delimiter; none: no quoting.")
    encoding: str = Field("utf-8", description="Encoding of the text, such as utf-8, cp1252 or utf-16.")
    decimal: Literal[".", ","] = Field(".", description="Decimal sign of numbers.")
    thousands: Literal[".", ",", " ", "'", "_"] | None = Field(
        None, description="Sign between groups of three digits; none: there are no such signs."
    )
    skip_rows: int = Field(0, ge=0, description="Lines before the line of column names.")
    comment: str | None = Field(None, description="Character that makes a line a comment where it begins with it.")

    @field_validator("delimiter", "quote", "comment")
    @classmethod
    def _check_character(cls, text: str | None) -> str | None:
        return _one_character(text)

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, name: str) -> str:
        try:
            codecs.lookup(name)
        except LookupError as error:
            raise ValueError(
                "no encoding has this name; known are for example utf-8, cp1252, latin-1, utf-16"
            ) from error
        return name

    @model_validator(mode="after")
    def _check_signs(self) -> "CsvConfig":
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands must be two signs, and both are {self.decimal!r}")
        if self.delimiter in (self.quote, self.comment):
            raise ValueError(
                f"delimiter must be another character than quote and comment, and it is {self.delimiter!r}"
            )
        if self.comment is not None and self.comment.encode(self.encoding) != self.comment.encode("ascii"):
            raise ValueError(f"comment needs an encoding that keeps ASCII, and {self.encoding} does not")
        return self


class TimePartsConfig(Section):
    """Columns that together are the time of a row: a date and a time of day or an hour, or year, month and day apart."""

    date: str | None = Field(None, description="Column of dates, in ISO 8601 or as data.time_format says.")
    time: str | None = Field(
        None,
        description="Column of times of the day as text, such as 17:30; data.time_format is then of date and time with a blank between.",
    )
    year: str | None = Field(None, description="Column of the year, in the place of date.")
    month: str | None = Field(None, description="Column of the month, 1 to 12.")
    day: str | None = Field(None, description="Column of the day of the month.")
    hour: str | None = Field(None, description="Column of the hour, 0 to 23; none: midnight.")
    minute: str | None = Field(None, description="Column of the minute, 0 to 59; none: the full hour.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that there are."""
        found = (self.date, self.time, self.year, self.month, self.day, self.hour, self.minute)
        return tuple(name for name in found if name is not None)

    @model_validator(mode="after")
    def _check_parts(self) -> "TimePartsConfig":
        day = (self.year, self.month, self.day)
        if (self.date is None) == (None in day) or (self.date is not None and any(day)):
            raise ValueError("time_parts must have date, or year, month and day")
        if self.date is not None and self.time is None and self.hour is None:
            raise ValueError("time_parts with a date must have hour or time; a date alone is time_column")
        if self.time is not None and (self.date is None or self.hour is not None):
            raise ValueError("time of time_parts needs date, and no hour beside it")
        if self.minute is not None and self.hour is None:
            raise ValueError("minute of time_parts needs hour")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("time_parts must name each column once")
        return self


class ExcludedRangeConfig(Section):
    """A period whose target counts neither in training nor in metrics."""

    start: Moment = Field(description="First time that is excluded (ISO 8601).")
    end: Moment = Field(description="First time that counts again (ISO 8601).")
    series: str | None = Field(
        None, description="Id of the series, several id columns joined by /; none: every series."
    )
    reason: str = Field("", description="What happened, for reports.")


class EventsConfig(Section):
    """A table, with times in ISO 8601, of periods (outages, promotions, closures) whose target counts nowhere."""

    uri: str = Field(description="Address of the table, as data.uri.")
    query: str | None = Field(None, description="Query, where the address is a database.")
    kind_column: str | None = Field(None, description="Column that says what happened, for reports.")
    start_column: str = Field("start", description="Column of the first time that is excluded.")
    end_column: str = Field("end", description="Column of the first time that counts again.")
    series_column: str | None = Field(
        None, description="Column of the series' id; empty there: every series. None: every event is of every series."
    )
    kinds: tuple[str, ...] = Field((), description="Kinds that count; none: all.")

    @model_validator(mode="after")
    def _check_settings(self) -> "EventsConfig":
        check_no_password(self.uri)
        if self.kinds and self.kind_column is None:
            raise ValueError("kinds needs kind_column")
        return self


class VintagesConfig(Section):
    """A table, with times in ISO 8601, of known covariates by vintage, such as weather forecasts: what was issued when.

    A forecast uses of it what was issued up to its first step, in backtests, training and serving alike.
    """

    uri: str = Field(description="Address of the table, as data.uri; it has a row a series, time and issue.")
    query: str | None = Field(None, description="Query, where the address is a database.")
    table: str | None = Field(None, description="Table or view, in the place of a query.")
    time_column: str | None = Field(
        None, description="Column of the time that a row speaks of; none: as data.time_column."
    )
    issued_column: str = Field("issued_at", description="Column of the time from which a row could be used.")
    columns: Annotated[tuple[str, ...], Distinct, Field(min_length=1)] = Field(
        description="Columns to take from there, names among data.known; they are not read from the table of data.uri."
    )
    shared: bool = Field(
        False, description="Whether its rows are of every series; else it has the columns of data.id_columns."
    )

    @model_validator(mode="after")
    def _check_address(self) -> "VintagesConfig":
        check_no_password(self.uri)
        if self.query is not None and self.table is not None:
            raise ValueError("query and table must not both be set; remove one")
        return self
