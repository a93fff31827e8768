"""Requests and answers between messages and arrays."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.forecasts import ForecastsRecord
from forecasting.answering.given import Floats, GivenRows, SeriesRowsSpec, joined_rows
from forecasting.answering.request import ForecastRequest, KnownValues
from serving.gateway.forecast_request import parse_quantiles, parse_series
from serving.gateway.routing import parse_pin
from serving.gateway.rpc.messages import ForecastResponse

PIECE = 1_000
"""Series of one message of a stream."""


def request_of(message: Any) -> ForecastRequest:
    """What a message asks for.

    Raises:
        AnswerError: 400, saying what is wrong and where.
    """
    if message.HasField("origin") and message.HasField("cutoff"):
        raise AnswerError(400, "'origin' and 'cutoff' must not both be given")
    names = [one.series for one in message.inputs]
    if len(set(names)) != len(names):
        raise AnswerError(400, "'inputs' must not name a series twice")
    return ForecastRequest(
        series=parse_series(list(message.series) or None),
        origin=message.origin if message.HasField("origin") else None,
        cutoff=message.cutoff if message.HasField("cutoff") else None,
        quantiles=parse_quantiles(list(message.quantiles) or None),
        fallback=message.fallback if message.HasField("fallback") else True,
        known={one.series: _known(one) for one in message.inputs if one.known},
        given=_given(message.inputs),
        model=parse_pin(message.model) if message.HasField("model") else None,
    )


def answers_of(found: ForecastsRecord, number: int, *, piece: int = PIECE) -> Iterator[Any]:
    """Messages of an answer, each with some of its series; what was skipped is in the last.

    Args:
        found: Forecasts.
        number: Of the request that they answer.
        piece: Series of one message.
    """
    columns = {name: np.ascontiguousarray(values) for name, values in found.columns().items()}
    levels = [values for name, values in columns.items() if name.startswith("q")]
    stacked = np.stack(levels, axis=1).reshape(len(found), -1)
    for first in range(0, len(found), piece):
        end = min(first + piece, len(found))
        message = _head(found, number)
        for place in range(first, end):
            why = found.degraded.get(place)
            one = message.forecasts.add(
                series=found.ids[place], origin=int(found.origins[place]), degraded=why is not None,
                reason="" if why is None else why.reason, imputed=bool(found.imputed[place]),
                stale=bool(found.stale[place]), limited_by=found.limited_by.get(place, ""),
            )  # fmt: skip
            one.point.extend(columns["point"][place].tolist())
            one.quantile_values.extend(stacked[place].tolist())
            if "mean" in columns:
                one.mean.extend(columns["mean"][place].tolist())
        if end == len(found):
            message.is_last = True
            for skipped in found.skipped:
                message.skipped.add(series=skipped.series, reason=skipped.reason)
        yield message


def _head(found: ForecastsRecord, number: int) -> Any:
    served = found.served
    return ForecastResponse(
        model=served.name, version=served.version, target=served.spec.target, step_s=served.spec.step_s,
        quantiles=found.levels, request_number=number, role=found.role.value,
    )  # fmt: skip


def _known(one: Any) -> KnownValues:
    found: Mapping[str, tuple[float, ...]] = {name: tuple(column.values) for name, column in one.known.items()}
    for name, values in found.items():
        if not np.isfinite(values).all():
            place = str(int(np.argmin(np.isfinite(values))))
            text = f"'known' of series {one.series!r}, column {name!r}, must be finite numbers"
            raise AnswerError(400, text, series=one.series, column=name, place=place)
    return found


def _given(inputs: Any) -> GivenRows | None:
    parts = {one.series: _rows(one) for one in inputs if one.history}
    static = {one.series: dict(one.static) for one in inputs if one.static}
    for series_id in static.keys() - parts.keys():
        raise AnswerError(400, f"'static' names series {series_id!r}, which has no 'history'", series=series_id)
    return joined_rows(parts, static) if parts else None


def _rows(one: Any) -> SeriesRowsSpec:
    columns: dict[str, Floats] = {name: np.array(column.values) for name, column in one.history.items()}
    what = f"'history' of series {one.series!r}"
    if one.HasField("start") == bool(one.timestamps):
        raise AnswerError(400, f"{what} must have either 'start' or 'timestamps'", series=one.series)
    n_rows = len(one.timestamps) or max(len(column) for column in columns.values())
    for name, column in columns.items():
        if len(column) != n_rows or not n_rows:
            text = f"{what}, column {name!r}, must have {n_rows} values, as others have, found {len(column)}"
            raise AnswerError(400, text, series=one.series, column=name)
    if one.timestamps:
        return SeriesRowsSpec(np.array(one.timestamps, dtype=np.int64), np.zeros(n_rows, dtype=np.int64), columns)
    return SeriesRowsSpec(np.full(n_rows, one.start), np.arange(n_rows), columns)
