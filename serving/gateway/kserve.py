"""KServe's time-series protocol (`/v1/timeseries/forecast`, `/v1/timeseries/models`) as a second face of the forecasts.

Its fields are those of `kserve.protocol.rest.timeseries.types`. An input whose name is a series of the model
goes before what is stored; others are forecast from the input alone. Of several columns the order is that of the model's
value columns (GET /v1/models/NAME: target, observed, known). Covariates of the horizon are those of the store.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.forecasts import ForecastsRecord
from forecasting.answering.given import Floats, GivenRows
from forecasting.answering.request import ForecastRequest
from forecasting.contracts.vocabulary import ModelRole, served_name
from forecasting.features.spec import FeatureSpec
from serving.gateway.documents import rows_json
from serving.gateway.forecast_request import history_numbers, parse_moment, parse_object, parse_quantiles

FREQUENCIES_S = {
    "second": 1, "S": 1, "minute": 60, "T": 60, "hour": 3_600, "H": 3_600, "day": 86_400, "D": 86_400,
    "week": 604_800, "W": 604_800,
}  # fmt: skip
"""Seconds of KServe's frequencies; those without a fixed length are none of a model with a step."""
_TYPES = ("univariate_time_series", "multivariate_time_series")


def frequency_of(step_s: int) -> str:
    """KServe's word for a step: the longest unit of which it is a whole number, as the protocol has no multiples."""
    units = ("week", "day", "hour", "minute", "second")
    return next(unit for unit in units if step_s % FREQUENCIES_S[unit] == 0)


def parse_kserve_request(body: bytes, model: str, spec: FeatureSpec) -> tuple[ForecastRequest, int]:
    """A request in KServe's form, and how many steps of the horizon are asked for.

    Raises:
        AnswerError: 400 for what does not fit, 404 for another model.
    """
    document = parse_object(body)
    candidate = served_name(model, ModelRole.CANDIDATE)
    if document.get("model") not in (model, candidate):
        raise AnswerError(404, f"'model' must be {model!r} or {candidate!r}, found {document.get('model')!r}")
    pin = ModelRole.CANDIDATE if document["model"] == candidate else None
    inputs, options = document.get("inputs"), document.get("options")
    if not isinstance(inputs, list) or not inputs or not all(isinstance(one, dict) for one in inputs):
        raise AnswerError(400, "'inputs' must be a list of at least one time series")
    if not isinstance(options, dict):
        raise AnswerError(400, "'options' must be an object with 'horizon'")
    horizon = options.get("horizon")
    if type(horizon) is not int or not 1 <= horizon <= spec.horizon:
        raise AnswerError(
            400, f"'options.horizon' must be a number of steps from 1 to {spec.horizon}, found {horizon!r}"
        )
    quantiles = parse_quantiles(options.get("quantiles"))
    return ForecastRequest(quantiles=quantiles, given=_rows(inputs, spec), model=pin), horizon


def kserve_answer(found: ForecastsRecord, request_id: str, n_steps: int, *, with_quantiles: bool) -> bytes:
    """The answer in KServe's form.

    Args:
        found: Forecasts of the inputs, in their order.
        request_id: Becomes the id of the answer and of its one output.
        n_steps: Steps that were asked for.
        with_quantiles: Whether quantiles were asked for.
    """
    columns = {name: rows_json(values[:, :n_steps]) for name, values in found.columns().items()}
    means = columns.get("mean", columns["point"])
    frequency = frequency_of(found.served.spec.step_s)
    starts = np.datetime_as_string(found.origins.astype("datetime64[s]"), timezone="UTC")
    content = [
        {
            "type": _TYPES[0],
            "name": one,
            "mean_forecast": orjson.Fragment(means[i]),
            "frequency": frequency,
            "start_timestamp": str(starts[i]),
            "quantiles": {name[1:]: orjson.Fragment(rows[i]) for name, rows in columns.items() if name.startswith("q")} if with_quantiles else None,
            "degraded": i in found.degraded,
            "imputed": bool(found.imputed[i]),
            "stale": bool(found.stale[i]),
        }
        for i, one in enumerate(found.ids)
    ]  # fmt: skip
    output = {
        "type": "time_series_forecast",
        "id": request_id,
        "status": "completed",
        "content": content,
        "error": None,
    }
    document = {
        "id": request_id, "created_at": int(time.time()), "status": "completed", "error": None,
        "model": served_name(found.served.name, found.role), "outputs": [output], "usage": None, "version": found.served.version,
    }  # fmt: skip
    return orjson.dumps(document)


def _rows(inputs: Sequence[Mapping[str, Any]], spec: FeatureSpec) -> GivenRows:
    names = [_name(one, i) for i, one in enumerate(inputs)]
    if len(set(names)) != len(names):
        raise AnswerError(400, "'inputs' must not name a series twice")
    parts = [_values(one, name, spec) for one, name in zip(inputs, names, strict=True)]
    starts = [parse_moment(one.get("start_timestamp"), f"'start_timestamp' of series {name!r}") for one, name in zip(inputs, names, strict=True)]  # fmt: skip
    lengths = [len(part) for part in parts]
    values = np.concatenate(parts)
    columns = {name: values[:, j] for j, name in enumerate(spec.value_columns)}
    series = np.repeat(np.arange(len(names)), lengths)
    steps = np.concatenate([np.arange(n_rows) for n_rows in lengths])
    return GivenRows(tuple(names), series, np.repeat(np.array(starts, dtype=np.int64), lengths), columns, steps=steps)


def _name(one: Mapping[str, Any], place: int) -> str:
    name = one.get("name")
    if not isinstance(name, str) or not name:
        raise AnswerError(400, f"input {place} must have a 'name', found {name!r}")
    frequency = one.get("frequency")
    if not isinstance(frequency, str) or frequency not in FREQUENCIES_S:
        raise AnswerError(400, f"'frequency' of series {name!r} must be one of {list(FREQUENCIES_S)}, found {frequency!r}", series=name)  # fmt: skip
    return name


def _values(one: Mapping[str, Any], name: str, spec: FeatureSpec) -> Floats:
    """Values of the model's columns `[n,V]`, NaN for those that are not given."""
    wanted = frequency_of(spec.step_s)
    if FREQUENCIES_S[one["frequency"]] != FREQUENCIES_S[wanted]:
        text = f"'frequency' of series {name!r} must be {wanted!r}, as the model has steps of {spec.step_s} s, found {one['frequency']!r}"
        raise AnswerError(400, text, series=name)
    kind, series = one.get("type"), one.get("series")
    if kind not in _TYPES or not isinstance(series, list) or not series:
        raise AnswerError(400, f"series {name!r} must have a 'type' among {list(_TYPES)} and a 'series' of values", series=name)  # fmt: skip
    width, what = len(spec.value_columns), f"'series' of {name!r}"
    values = np.full((len(series), width), np.nan)
    if kind == _TYPES[0]:
        values[:, 0] = history_numbers(series, what, series=name, column=spec.target)
        return values
    for i, row in enumerate(series):
        numbers = history_numbers(row, f"row {i} of {what}", series=name, column=spec.target)
        if len(numbers) != width:
            text = f"row {i} of {what} must have {width} values, {list(spec.value_columns)}, found {len(numbers)}"
            raise AnswerError(400, text, series=name, place=str(i))
        values[i] = numbers
    return values
