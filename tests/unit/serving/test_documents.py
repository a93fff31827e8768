"""The body of an answer, from arrays."""

from dataclasses import replace

import numpy as np

from forecasting.schema import Series
from serving.gateway.documents import forecast_document
from serving.gateway.plan import WindowSpec
from serving.gateway.served_model import ServedModel
from tests.unit.serving.tiny_models import SPEC

START = 1_388_534_400
WINDOW = WindowSpec(Series("a", START, np.zeros((6, 2))), START)
ANSWER = np.arange(12, dtype=np.float32).reshape(1, 3, 4)


def _forecast(spec, answers, levels=(0.1, 0.5, 0.9)):
    served = ServedModel("tiny", 1, START, spec, {})
    return forecast_document(served, [WINDOW], answers, skipped=[], levels=levels)["forecasts"][0]


def test_the_mean_stands_beside_the_point_whatever_levels_are_asked_for():
    forecast = _forecast(replace(SPEC, mean=True), ANSWER, levels=(0.9,))
    assert forecast["point"].tolist() == [1.0, 5.0, 9.0]
    assert forecast["mean"].tolist() == [3.0, 7.0, 11.0]
    assert {level: values.tolist() for level, values in forecast["quantiles"].items()} == {"0.9": [2.0, 6.0, 10.0]}


def test_a_model_without_a_mean_gives_no_such_key():
    forecast = _forecast(SPEC, ANSWER[:, :, :3])
    assert "mean" not in forecast
    assert list(forecast["quantiles"]) == ["0.1", "0.5", "0.9"]
