"""Tables with one column a series: which columns these are, and the same table with one row a series and time."""

import difflib
import fnmatch
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.validation.sources.table import SourceTable
from components.validation.words import MISSING_WORDS
from forecasting.config.sections import DataConfig
from forecasting.errors import DataError

SERIES_ID = "series column"
"""Name of the id column of a wide table that became long."""


def shared_columns(data: DataConfig) -> tuple[str, ...]:
    """Columns of a wide table that are the same for every series."""
    censor = (data.censored_by,) if data.censored_by else ()
    return tuple(dict.fromkeys((data.time_column, *data.observed, *data.known, *censor)))


def series_columns(found: tuple[str, ...], data: DataConfig, *, name: str) -> tuple[str, ...]:
    """Columns that are series, in their order in the table.

    Raises:
        DataError: A name or pattern is of no column.
    """
    free = [column for column in found if column not in shared_columns(data)]
    chosen: set[str] = set()
    for pattern in data.series_columns:
        matching = {column for column in free if column == pattern or fnmatch.fnmatchcase(column, pattern)}
        if not matching:
            nearest = difflib.get_close_matches(pattern, free, n=1, cutoff=0.0)
            hint = f"; the nearest is {nearest[0]!r}" if nearest else ""
            raise DataError(
                f"{name} must have a column {pattern!r} as data.series_columns names it, and it has none{hint}"
            )
        chosen |= matching
    return tuple(column for column in free if column in chosen)


def as_long(source: SourceTable, data: DataConfig, seconds: npt.NDArray[np.int64]) -> SourceTable:
    """One row a series and time; rows of a series before its first value are left out.

    Args:
        source: A wide table, whole.
        data: Roles of its columns.
        seconds: Time of each row, UTC epoch seconds `[rows]`.

    Returns:
        A table with the shared columns, the column `SERIES_ID` and the target.
    """
    table, shared = source.table, shared_columns(data)
    names = [column for column in table.column_names if column not in shared]
    n_rows = table.num_rows
    kept = np.concatenate([seconds >= _first(table[name], seconds) for name in names])
    columns = {column: pa.chunked_array(table[column].chunks * len(names), table[column].type) for column in shared}
    codes = pa.array(np.repeat(np.arange(len(names), dtype=np.int32), n_rows))
    columns[SERIES_ID] = pa.chunked_array([pa.DictionaryArray.from_arrays(codes, pa.array(names))])
    columns[data.target] = _joined([table[name] for name in names])
    places = replace(source.places, columns=tuple(names), ends=source.places.ends or (n_rows,))
    return replace(source, table=pa.table(columns), places=places, rows=None).where(kept)


def _first(values: pa.ChunkedArray, seconds: npt.NDArray[np.int64]) -> int:
    """Time of the first value; the first time where there is none, so that the series is seen and told of."""
    missing = pc.is_null(values, nan_is_null=pa.types.is_floating(values.type))
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        words = pc.utf8_lower(pc.utf8_trim_whitespace(values))
        missing = pc.or_(missing, pc.fill_null(pc.is_in(words, pa.array(MISSING_WORDS, values.type)), True))
    filled = ~missing.to_numpy()
    return int(seconds[filled].min() if filled.any() else seconds.min())


def _joined(columns: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    is_text = any(pa.types.is_string(column.type) or pa.types.is_large_string(column.type) for column in columns)
    kind = pa.string() if is_text else pa.float64()
    return pa.chunked_array([chunk for column in columns for chunk in column.cast(kind, safe=False).chunks], kind)
