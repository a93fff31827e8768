"""Categorical covariates: each becomes a column of 0 and 1 for every value up to the last target.

A value that comes up later has 0 in every column; a missing one is missing in every column.
"""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.config.root import ValidateDataSettings
from forecasting.config.table import DataConfig
from forecasting.errors import DataError

logger = logging.getLogger(__name__)

MAX_CATEGORIES = 50


def past_categories(
    source: str, words: Mapping[str, tuple[str, ...]], begins: Mapping[str, npt.NDArray[np.int64]], last: int
) -> dict[str, tuple[str, ...]]:
    """Values of each categorical column up to the last target, in order.

    Args:
        source: Name of the source.
        words: Values of each column by their codes.
        begins: Time at which each of them comes up first `[n]`, for each column in question.
        last: Time of the last target.

    Raises:
        DataError: Past rows have no value, or more than `MAX_CATEGORIES` different ones.
    """
    found = {}
    for name, times in begins.items():
        past = sorted(word for word, time in zip(words[name], times.tolist(), strict=True) if time <= last)
        if not past or len(past) > MAX_CATEGORIES:
            said = f"it has {len(past)}" if past else "every one is missing"
            raise DataError(
                f"{source}: categorical column {name!r} must have 1 to {MAX_CATEGORIES} values, and {said}; leave it out of "
                "data.categorical, or group its values first"
            )
        later = sorted(set(words[name]) - set(past))
        if later:
            logger.info("%s=%s and %d more came up after the last target; they are 0", name, later[0], len(later) - 1)
        found[name] = tuple(past)
    return found


def one_hot(
    name: str, codes: npt.NDArray[np.int64], words: tuple[str, ...], categories: tuple[str, ...]
) -> dict[str, npt.NDArray[np.float64]]:
    """Columns of 0 and 1, NaN where the value is missing, `[rows]` each.

    Args:
        name: Of the column.
        codes: Code of the value of every row `[rows]`, -1 where it is missing.
        words: Values by their codes.
        categories: Those that become columns.
    """
    places = {word: code for code, word in enumerate(words)}
    return {
        f"{name}={category}": np.where(codes < 0, np.nan, (codes == places[category]).astype(np.float64))
        for category in categories
    }


def expanded_settings(
    settings: ValidateDataSettings, categories: Mapping[str, tuple[str, ...]]
) -> ValidateDataSettings:
    """Settings whose roles are those of the columns that the rows will have."""
    if not categories:
        return settings
    made = {name: tuple(f"{name}={category}" for category in found) for name, found in categories.items()}
    data = settings.data
    return settings.model_copy(update={"data": data.model_copy(update=_expanded_roles(data, made))})


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
