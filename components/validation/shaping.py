"""From a table as it is written to rows of numbers: wide to long, categories to columns of 0 and 1.

Both change the table and the roles of its columns, so that whatever comes later sees one row a series
and time, and numbers.
"""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.validation.parsing import parse_ids, parse_times, text_column
from components.validation.reading import last_target
from components.validation.sources import SourceTable
from components.validation.wide import SERIES_ID, as_long
from forecasting.config.root import ValidateDataSettings
from forecasting.config.sections import DataConfig
from forecasting.errors import DataError

logger = logging.getLogger(__name__)

MAX_CATEGORIES = 50


def shape_source(
    source: SourceTable, settings: ValidateDataSettings, *, cutoff: int | None
) -> tuple[SourceTable, ValidateDataSettings]:
    """Bring a table into the long layout, and its categorical covariates into columns of 0 and 1.

    Args:
        source: The opened table.
        settings: Layout and roles.
        cutoff: UTC epoch seconds; categories are those of rows up to the last target before it.

    Returns:
        The table, and settings whose roles are those of its columns.

    Raises:
        DataError: A time cannot be read, there is no target before the cutoff, or a column has too many categories.
    """
    if settings.data.layout == "wide":
        seconds = parse_times(source, settings.data, np.zeros(source.table.num_rows, dtype=np.int64)).seconds
        source = as_long(source, settings.data, seconds)
        settings = _with_data(settings, layout="long", series_columns=(), id_columns=(SERIES_ID,))
    return expand_categories(source, settings, cutoff=cutoff) if settings.data.categorical else (source, settings)


def expand_categories(
    source: SourceTable, settings: ValidateDataSettings, *, cutoff: int | None
) -> tuple[SourceTable, ValidateDataSettings]:
    """Replace each categorical covariate by a column `COLUMN=VALUE` for each value up to the last target.

    A value that comes up later has 0 in every column; a missing one is missing in every column.
    """
    data = settings.data
    ids = parse_ids(source, data.id_columns, single=settings.name)
    times = parse_times(source, data, ids.codes)
    past = times.seconds <= last_target(source, times, data.target, cutoff)
    table, made = source.table, {}
    for name in data.categorical:
        columns = one_hot(source, name, past)
        made[name] = tuple(columns)
        table = table.drop_columns([name])
        for column, values in columns.items():
            table = table.append_column(column, pa.array(values, from_pandas=True))
    return replace(source, table=table), _with_data(settings, **_expanded_roles(data, made))


def one_hot(source: SourceTable, name: str, past: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[np.float64]]:
    """Columns of 0 and 1, NaN where the value is missing, `[rows]` each.

    Raises:
        DataError: Past rows have no value, or more than `MAX_CATEGORIES` different ones.
    """
    words = text_column(source, name).str.strip()
    missing = (words.isna() | (words == "")).to_numpy(dtype=np.bool_)
    categories = sorted(set(words[past & ~missing]))
    if not categories or len(categories) > MAX_CATEGORIES:
        found = f"it has {len(categories)}" if categories else "every one is missing"
        raise DataError(
            f"{source.name}: categorical column {name!r} must have 1 to {MAX_CATEGORIES} values, and {found}; leave it out of "
            "data.categorical, or group its values first"
        )
    later = sorted(set(words[~past & ~missing]) - set(categories))
    if later:
        logger.info("%s=%s and %d more came up after the last target; they are 0", name, later[0], len(later) - 1)
    return {
        f"{name}={category}": np.where(missing, np.nan, (words == category).to_numpy(dtype=np.float64, na_value=0.0))
        for category in categories
    }


def _expanded_roles(data: DataConfig, made: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    def expanded(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(column for name in names for column in made.get(name, (name,)))

    def spread(values: dict[str, Any]) -> dict[str, Any]:
        return {column: value for name, value in values.items() for column in made.get(name, (name,))}

    return {
        "known": expanded(data.known),
        "observed": expanded(data.observed),
        "aggregation": spread(dict(data.aggregation)),
        "availability_lag": spread(data.availability_lag),
        "categorical": (),
    }


def _with_data(settings: ValidateDataSettings, **update: Any) -> ValidateDataSettings:
    return settings.model_copy(update={"data": settings.data.model_copy(update=update)})
