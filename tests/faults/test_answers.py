"""Answers of a model that must not be passed on."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.answering.answered import (
    BEYOND_BOUNDS,
    CROSSED,
    NOT_FINITE,
    PartRecord,
    completed,
    count_invalid,
    join_parts,
    left_to_model,
)
from forecasting.answering.inputs import WindowFlags
from forecasting.answering.plan_forecasts import plan_forecasts
from forecasting.answering.request import ForecastRequest
from forecasting.answering.served_model import ServedModel
from forecasting.schema import Series
from tests.unit.serving.tiny_models import SPEC

START = 1_388_534_400


def joined(answer: np.ndarray, **bounds: float):
    """One series, of which the model says `answer` `[H,Q]`."""
    values = np.column_stack([np.full(10, 5.0), np.full(10, 20.0)])
    served = ServedModel("tiny", 1, START + 36_000, replace(SPEC, **bounds), {"a": Series("a", START, values)})
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


def test_an_answer_whose_quantiles_cross_is_left_to_the_fallback_and_counted():
    answer = ascending()
    answer[1, :2] = 1.0, 0.5
    found = joined(answer)
    assert found.plan.degraded == {0: CROSSED}
    assert count_invalid(found.plan.degraded.values()) == {"crossed": 1}
    assert np.isnan(found.answers).all()
    passed_on = completed(found, ForecastRequest(("a",))).answers
    assert (np.diff(passed_on, axis=2) >= 0).all()
    assert passed_on[0, 1, 0] != 1.0


def test_quantiles_that_cross_by_rounding_are_made_equal():
    answer = ascending() + 1.0
    answer[1, :2] = np.nextafter(np.float32(1.0), np.float32(2.0)), 1.0
    found = joined(answer)
    assert found.plan.degraded == {}
    assert found.answers[0, 1, 0] == found.answers[0, 1, 1] > 1.0


def test_quantiles_further_apart_than_float32_holds_cross_nonetheless():
    answer = ascending()
    answer[0, :2] = 3e38, -3e38
    assert joined(answer).plan.degraded == {0: CROSSED}


def test_a_missing_value_among_quantiles_that_cross_is_what_is_told():
    answer = ascending()
    answer[0, :2] = 1.0, 0.5
    answer[1, 0] = np.nan
    assert joined(answer).plan.degraded == {0: NOT_FINITE}


@pytest.mark.parametrize(("bounds", "number"), [({"lower_bound": 0.0}, -1e-3), ({"upper_bound": 10.0}, 10.001)])
def test_an_answer_beyond_the_bounds_of_the_target_is_left_to_the_fallback_and_counted(bounds, number):
    answer = ascending()
    answer[1, 0 if number < 0 else -1] = number
    assert joined(answer).plan.degraded == {}
    found = joined(answer, **bounds)
    assert found.plan.degraded == {0: BEYOND_BOUNDS}
    assert count_invalid(found.plan.degraded.values()) == {"beyond_bounds": 1}
    assert np.isnan(found.answers).all()


def test_an_answer_at_a_bound_as_float32_has_it_is_passed_on():
    answer = ascending()
    answer[:] = np.linspace(0.7, 9.8, answer.shape[1])
    assert joined(answer, lower_bound=0.7, upper_bound=9.8).plan.degraded == {}
