"""The body of an answer, from arrays."""

from dataclasses import replace

import numpy as np
import orjson

from forecasting.answering.fallback import FallbackCause
from forecasting.answering.forecasts import ForecastsRecord
from forecasting.answering.plan import DegradedSpec, SkippedRecord
from forecasting.answering.served_model import ServedModel
from serving.gateway.documents import forecasts_json
from tests.unit.serving.tiny_models import SPEC

START = 1_388_534_400
ANSWERS = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
NO = np.zeros(2, np.bool_)


def _record(spec, answers, levels=(0.1, 0.5, 0.9)):
    served = ServedModel("tiny", 1, START, spec, {})
    origins = np.array([START, START + 3600])
    return ForecastsRecord(served, ("a", 'b"]'), origins, answers, levels, {}, {}, NO, NO, ())


def _document(record):
    return orjson.loads(forecasts_json(record))


def test_the_mean_stands_beside_the_point_whatever_levels_are_asked_for():
    forecast = _document(_record(replace(SPEC, mean=True), ANSWERS, levels=(0.9,)))["forecasts"][0]
    assert forecast["point"] == [1.0, 5.0, 9.0]
    assert forecast["mean"] == [3.0, 7.0, 11.0]
    assert forecast["quantiles"] == {"0.9": [2.0, 6.0, 10.0]}


def test_a_model_without_a_mean_gives_no_such_key():
    forecast = _document(_record(SPEC, ANSWERS[:, :, :3]))["forecasts"][0]
    assert "mean" not in forecast
    assert list(forecast["quantiles"]) == ["0.1", "0.5", "0.9"]


def test_each_series_has_its_own_values_times_and_flags():
    record = _record(SPEC, ANSWERS[:, :, :3])
    record = replace(
        record,
        degraded={1: DegradedSpec(FallbackCause.COLD, 'no "past"')},
        limited_by={0: "covariates end"},
        imputed=np.array([True, False]),
        stale=np.array([False, True]),
        skipped=(SkippedRecord("c", "why"),),
    )
    document = _document(record)
    assert document["skipped"] == [{"series": "c", "reason": "why"}]
    first, second = document["forecasts"]
    assert first == {
        "series": "a", "origin": "2014-01-01T00:00:00Z", "limited_by": "covariates end", "degraded": False, "reason": None,
        "imputed": True, "stale": False,
        "timestamps": ["2014-01-01T00:00:00Z", "2014-01-01T01:00:00Z", "2014-01-01T02:00:00Z"],
        "point": [1.0, 5.0, 9.0], "quantiles": {"0.1": [0.0, 4.0, 8.0], "0.5": [1.0, 5.0, 9.0], "0.9": [2.0, 6.0, 10.0]},
    }  # fmt: skip
    assert (second["series"], second["origin"]) == ('b"]', "2014-01-01T01:00:00Z")
    assert (second["degraded"], second["reason"], second["stale"]) == (True, 'no "past"', True)
    assert second["point"] == [13.0, 17.0, 21.0]
