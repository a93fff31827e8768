"""Open the table that `almanac init` is asked about, with all of its columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from components.validation.sources import SourceTable, find_source
from components.validation.sources.table import collect
from forecasting.config import parse_config
from forecasting.config.loading import apply_overrides
from forecasting.config.table import DataConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.errors import ConfigError, DataError

PLACEHOLDER_GATES = {
    "model": {"max_mae": 1, "max_rmse": 1, "max_naive_ratio": 1, "max_champion_ratio": 1},
    "compressed": {"max_mae": 1, "max_rmse": 1},
    "serving": {"max_latency_ms": 1, "max_difference_ratio": 1},
}
"""Of drafts, which are never run."""
PLACEHOLDER_COMPRESSION = {"max_accuracy_loss": 1}


TIMING_KEYS = ("time_format", "time_parts")
"""Settings of `data` that say how times are written; they are guessed where nobody says them."""
READING_KEYS = ("csv", "query", "table", *TIMING_KEYS)
"""Settings of `data` that say how a table is read."""


def reading_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Settings of `data` from `--set`, such as `data.csv.delimiter=";"`.

    Raises:
        ConfigError: One is of another form, or says something else than how a table is read.
    """
    document: dict[str, Any] = {}
    apply_overrides(document, overrides)
    data = document.pop("data", {})
    if not isinstance(data, dict):
        raise ConfigError(
            "--set must have the form data.csv.KEY=VALUE, data.query=…, data.table=…, data.time_format=… or data.time_parts.PART=COLUMN"
        )
    others = [*document, *(f"data.{key}" for key in data if key not in READING_KEYS)]
    if others:
        raise ConfigError(
            f"--set of init says how the table is read: data.csv.…, data.query, data.table, data.time_format or data.time_parts.…; change {others[0]} in the file that it writes"
        )
    return data


def reading_settings(settings: Mapping[str, Any]) -> DataConfig:
    """Settings of `data` that say where a table is and how it is written, checked as in every configuration.

    Raises:
        ConfigError: A key is unknown or a value is wrong.
    """
    return parse_config(
        {"data": dict(settings), "compression": PLACEHOLDER_COMPRESSION, "gates": PLACEHOLDER_GATES},
        "the table's address",
    ).data


def open_whole(data: DataConfig, home: HomeLayout) -> SourceTable:
    """Read a table with all of its columns.

    Raises:
        ConfigError: The address is of no known kind, or an example cannot be made.
        DataError: The table cannot be read, has no rows, or a column has no name or that of another.
    """
    source = find_source(data, home)
    names = source.columns
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{source.name} must have each column once, and it has {twice[0]!r} {names.count(twice[0])} times; rename one"
        )
    # The first column of a table that pandas wrote with its index has no name.
    if any(not name.strip() for name in names[1:]):
        raise DataError(f"{source.name} must have a name for every column; it has {', '.join(map(repr, names))}")
    table = collect(source, names)
    if not table.table.num_rows:
        raise DataError(f"{source.name} must have rows, and it has none; it has the columns {', '.join(names)}")
    return table
