"""Results of one suite on the parts of a table as the result on the whole of it.

Counts of rows add up exactly, so that the verdict on the whole follows from them; of unexpected rows those that come
first in the source are shown.
"""

from collections import Counter
from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np

N_SHOWN = 5
"""Unexpected values that a result shows."""
_COUNTS = ("element_count", "unexpected_count", "missing_count")


def merged_results(parts: Sequence[Sequence[Any]]) -> list[Any]:
    """One result an expectation.

    Args:
        parts: Results of Great Expectations on each part, in the order of the expectations; the index of the rows of
            each part is their place in the source.
    """
    return [merged_result(found) for found in zip(*parts, strict=True)]


def merged_result(parts: Sequence[Any]) -> Any:
    """The result of an expectation on a table from its results on all parts; where it failed to run, that of this part."""
    for found in parts:
        if any(entry.get("exception_message") for entry in _entries(found.exception_info)):
            return found
    whole = copy(parts[0])
    values = dict(whole.result)
    counts = {name: sum(found.result[name] for found in parts) for name in _COUNTS if name in values}
    if not counts:
        whole.success = all(found.success for found in parts)
        observed = [found.result["observed_value"] for found in parts if "observed_value" in found.result]
        if observed and isinstance(observed[0], int):
            values["observed_value"] = sum(observed)
        whole.result = values
        return whole
    values |= counts | _ratios(counts)
    values |= _shown(parts)
    whole.result = values
    n_judged = counts["element_count"] - counts.get("missing_count", 0)
    mostly = whole.expectation_config.kwargs.get("mostly", 1.0)
    whole.success = n_judged == 0 or (n_judged - counts["unexpected_count"]) / n_judged >= mostly
    return whole


def _ratios(counts: dict[str, int]) -> dict[str, float | None]:
    """Percentages as Great Expectations has them."""
    n_rows, n_unexpected = counts["element_count"], counts["unexpected_count"]
    if not n_rows:
        return {}
    if "missing_count" not in counts:
        return {"unexpected_percent": n_unexpected / n_rows * 100}
    n_there = n_rows - counts["missing_count"]
    of_there = n_unexpected / n_there * 100 if n_there else None
    return {
        "unexpected_percent": of_there,
        "unexpected_percent_nonmissing": of_there,
        "unexpected_percent_total": n_unexpected / n_rows * 100,
        "missing_percent": counts["missing_count"] / n_rows * 100,
    }


def _shown(parts: Sequence[Any]) -> dict[str, Any]:
    """The first unexpected rows of the source and their values."""
    pairs: list[tuple[Any, Any]] = []
    for found in parts:
        rows = found.result.get("partial_unexpected_index_list") or []
        pairs += zip(rows, found.result.get("partial_unexpected_list") or [None] * len(rows), strict=True)
    pairs = sorted(pairs, key=lambda pair: pair[0])[:N_SHOWN]
    # One object for all missing values, which are not equal to each other.
    values = [np.nan if value != value else value for _, value in pairs]
    counted = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    return {
        "partial_unexpected_list": values,
        "partial_unexpected_index_list": [row for row, _ in pairs],
        "partial_unexpected_counts": [{"value": value, "count": count} for value, count in counted],
    }


def _entries(info: dict[str, Any] | None) -> list[dict[str, Any]]:
    found = info or {}
    return [entry for entry in (found, *found.values()) if isinstance(entry, dict)]
