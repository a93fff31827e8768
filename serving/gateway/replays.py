"""What would have been forecast from earlier origins: for people who want to see how good forecasts are."""

from collections.abc import Mapping
from typing import Any

import orjson

from forecasting.answering.origins import next_origin, possible_origins
from forecasting.answering.request import ForecastRequest
from forecasting.contracts.vocabulary import ModelRole
from forecasting.features.spec import FeatureSpec
from forecasting.schema import Series
from serving.gateway.documents import forecasts_json
from serving.gateway.forecaster import Forecaster
from serving.gateway.past import step_count

MOST_ORIGINS = 60
DEFAULT_ORIGINS = 14

REPLAY_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "count",
        "in": "query",
        "description": "How many origins at most; the last one is a horizon before the end of the targets.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST_ORIGINS, "default": DEFAULT_ORIGINS},
    }
]


def replay_origins(series: Series, spec: FeatureSpec, count: int) -> list[int]:
    """Origins a horizon apart, ascending, whose horizons have passed and before which the model's whole history lies.

    Args:
        series: With what was observed of it.
        spec: Of the model.
        count: How many at most.

    Returns:
        UTC epoch seconds.
    """
    following, possible = next_origin(series, spec), possible_origins(series, spec)
    if following is None or possible is None:
        return []
    reach = spec.horizon * spec.step_s
    earliest = series.start + spec.history_length * spec.step_s
    origins = (following - back * reach for back in range(count, 0, -1))
    return [origin for origin in origins if max(earliest, possible.first) <= origin <= possible.last]


async def replay(
    forecaster: Forecaster, series: Series, spec: FeatureSpec, query: Mapping[str, str], request_id: str
) -> bytes:
    """Forecasts from earlier origins in the form of any answer; where none is possible the list is empty.

    Nothing is read that was observed and became known after the first step of each: what is left out are late values and restatements.
    What the version's own table has was known by its cutoff, and is read as it is there.

    Args:
        forecaster: Who forecasts.
        series: With what was observed of it.
        spec: Of the model.
        query: `count`.
        request_id: Sent on to the model server.

    Raises:
        AnswerError: 400: `count` must be changed. 502, 503: there is no answer.
    """
    count = step_count(query, "count", default=DEFAULT_ORIGINS, most=MOST_ORIGINS)
    documents = []
    for origin in replay_origins(series, spec, count):
        # The last value before an origin becomes known a little after it.
        asked = ForecastRequest(series=(series.id,), origin=origin, known_by=origin + spec.step_s - 1)
        found = await forecaster.forecast(asked, request_id)
        documents.append(orjson.loads(forecasts_json(found)))
    if not documents:
        served = await forecaster.current()
        head = {"model": served.name, "version": served.version, "role": ModelRole.CHAMPION.value}
        return orjson.dumps({**head, "target": spec.target, "step_s": spec.step_s, "forecasts": [], "skipped": []})
    return orjson.dumps({**documents[-1], "forecasts": [one for found in documents for one in found["forecasts"]]})
