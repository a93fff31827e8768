"""What is known of a series: the values that the gateway would forecast it from."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.iso_time import iso_time
from forecasting.features.spec import FeatureSpec
from forecasting.schema import Series
from serving.gateway.forecast_request import parse_moment

MOST_STEPS = 100_000
"""Of one answer."""

HISTORY_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "steps",
        "in": "query",
        "description": "How many steps at most; left out: as many as the model reads.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST_STEPS},
    },
    {
        "name": "until",
        "in": "query",
        "description": "The step after the last one, ISO 8601 with a zone; left out: the step after the last target.",
        "schema": {"type": "string", "format": "date-time"},
        "example": "2026-01-31T00:00:00Z",
    },
]


def history_document(series: Series, spec: FeatureSpec, query: Mapping[str, str]) -> dict[str, Any]:
    """Values of a series, in the form in which a forecast request gives history.

    Args:
        series: With what was observed of it.
        spec: Of the model.
        query: `steps` and `until`, as text; others are refused.

    Raises:
        AnswerError: 400: a parameter must be changed.
    """
    if unknown := sorted(set(query) - {"steps", "until"}):
        raise AnswerError(400, f"the query may have 'steps' and 'until', found {unknown[0]!r}")
    n_steps = step_count(query, "steps", default=spec.history_length, most=MOST_STEPS)
    until = _until(query.get("until"), series, spec.step_s)
    end = int(np.clip((until - series.start) // spec.step_s, 0, series.n_steps))
    first = max(0, end - n_steps)
    columns = {name: series.values[first:end, i] for i, name in enumerate(spec.value_columns)}
    return {
        "series": series.id,
        "step_s": spec.step_s,
        "target": spec.target,
        "start": iso_time(series.start + first * spec.step_s),
        "end": iso_time(series.start + end * spec.step_s),
        "values": {
            name: [None if np.isnan(one) else one for one in values.tolist()] for name, values in columns.items()
        },
    }


def step_count(query: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    """A whole number of a query, from 1 on.

    Raises:
        AnswerError: 400: it is none, or too large.
    """
    text = query.get(name)
    if text is None:
        return default
    # int() would take digits of other scripts and underscores too.
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise AnswerError(400, f"{name!r} must be a whole number from 1 to {most}, found {text[:40]!r}")
    return int(text)


def _until(text: str | None, series: Series, step_s: int) -> int:
    if text is not None:
        return parse_moment(text, "'until'")
    known = np.flatnonzero(np.isfinite(series.values[:, 0]))
    return series.start + (int(known[-1]) + 1 if len(known) else series.n_steps) * step_s
