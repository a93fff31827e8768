"""The time of one row of a file whose times are written as those of the table of a configuration."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from forecasting.config.source import TimePartsConfig
from forecasting.config.table import DataConfig
from forecasting.errors import ConfigError
from forecasting.localities import time_zone


def table_time(row: Mapping[str, Any], data: DataConfig, where: str) -> datetime:
    """The time of a row that has the columns `data.time_columns`, with a zone.

    Raises:
        ConfigError: It cannot be read, or the clock of `data.time_zone` shows it twice or never.
    """
    parts = data.time_parts
    cells = [row[name] for name in data.time_columns]
    try:
        if parts is None:
            moment = _moment(cells[0], data.time_format)
        elif parts.date is not None and parts.time is not None:
            moment = _moment(f"{_text(row[parts.date])} {_text(row[parts.time])}", data.time_format)
        else:
            moment = _day(row, parts, data.time_format) + timedelta(hours=_whole(row, parts.hour, 23), minutes=_whole(row, parts.minute, 59))  # fmt: skip
    except (TypeError, ValueError) as error:
        form = f"of the form {data.time_format}" if data.time_format else "in ISO 8601"
        if parts is not None and parts.date is None:
            form = "whole numbers of a calendar and a clock"
        raise ConfigError(
            f"{where}: {', '.join(data.time_columns)} must be a time {form}, as in the table of the configuration; "
            f"found {' '.join(map(str, cells))!r}"
        ) from error
    return moment if moment.tzinfo else _on_clock(moment, data, where)


def _moment(cell: Any, form: str | None) -> datetime:
    if isinstance(cell, datetime):
        return cell
    if isinstance(cell, date):
        return datetime.combine(cell, time())
    text = _text(cell)
    return datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)  # noqa: DTZ007 - on the clock below


def _text(cell: Any) -> str:
    return str(cell).strip()


def _day(row: Mapping[str, Any], parts: TimePartsConfig, form: str | None) -> datetime:
    if parts.date is None:
        year, month, day_of_month = (_number(row[name]) for name in parts.columns[:3])
        return datetime(year, month, day_of_month)  # noqa: DTZ001
    day = _moment(row[parts.date], form)
    if day.tzinfo or day.time() != time():
        raise ValueError("a date alone is needed")
    return day


def _whole(row: Mapping[str, Any], name: str | None, most: int) -> int:
    number = 0 if name is None else _number(row[name])
    if not 0 <= number <= most:
        raise ValueError(f"{number} is not from 0 to {most}")
    return number


def _number(cell: Any) -> int:
    number = float(cell)
    if not number.is_integer():
        raise ValueError(f"{cell} is not whole")
    return int(number)


def _on_clock(moment: datetime, data: DataConfig, where: str) -> datetime:
    if data.time_zone is None:
        raise ConfigError(f"{where}: {', '.join(data.time_columns)} must carry a time zone, or data.time_zone must be set; found {moment}")  # fmt: skip
    local = moment.replace(tzinfo=time_zone(data.time_zone))
    if local.utcoffset() != local.replace(fold=1).utcoffset():
        raise ConfigError(
            f"{where}: the clock of {data.time_zone} shows {moment} twice or never; write this time as timestamp, in ISO 8601 with a zone"
        )
    return local.astimezone(UTC)
