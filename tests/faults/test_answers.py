"""Answers of a model that must not be passed on."""

import numpy as np
import pytest

from forecasting.answering.answered import NOT_FINITE, PartRecord, join_parts, left_to_model
from forecasting.answering.inputs import WindowFlags
from forecasting.answering.plan_forecasts import plan_forecasts
from forecasting.answering.request import ForecastRequest
from forecasting.answering.served_model import ServedModel
from forecasting.schema import Series
from tests.unit.serving.tiny_models import SPEC

START = 1_388_534_400


def joined(answer: np.ndarray):
    """One series, of which the model says `answer` `[H,Q]`."""
    values = np.column_stack([np.full(10, 5.0), np.full(10, 20.0)])
    served = ServedModel("tiny", 1, START + 36_000, SPEC, {"a": Series("a", START, values)})
    known = {"a": {"Temperature": tuple([1.0] * SPEC.horizon)}}
    plan = plan_forecasts(served, ForecastRequest(("a",), known=known))
    never = np.zeros(1, dtype=np.bool_)
    part = PartRecord(answer[None].astype(np.float32), WindowFlags(imputed=never, stale=never, cold=never))
    return join_parts(plan, left_to_model(plan), [part])


def ascending() -> np.ndarray:
    return np.tile(np.arange(len(SPEC.quantiles), dtype=np.float64), (SPEC.horizon, 1))


def test_an_answer_in_order_is_passed_on():
    assert joined(ascending()).plan.degraded == {}


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_no_number_is_left_to_the_fallback(number):
    answer = ascending()
    answer[1, 0] = number
    assert joined(answer).plan.degraded == {0: NOT_FINITE}
