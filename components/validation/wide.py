"""Tables with one column a series: which columns these are."""

import difflib
import fnmatch

from forecasting.config.table import DataConfig
from forecasting.errors import DataError


def shared_columns(data: DataConfig) -> tuple[str, ...]:
    """Columns of a wide table that are the same for every series."""
    censor = (data.censored_by,) if data.censored_by else ()
    return tuple(dict.fromkeys((*data.time_columns, *data.observed, *data.known, *censor)))


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
