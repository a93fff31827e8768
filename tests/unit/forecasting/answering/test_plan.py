"""Windows of a request: known covariates with a mask of what was imputed."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.given import GivenRows
from forecasting.answering.inputs import model_inputs
from forecasting.answering.observed import ObservedRows
from forecasting.answering.plan_forecasts import plan_forecasts
from forecasting.answering.request import ForecastRequest
from forecasting.answering.series_with_rows import past_with_rows
from forecasting.answering.served_model import ServedModel
from forecasting.features.spec import ScalerSpec
from forecasting.schema import Series
from tests.unit.serving.tiny_models import SPEC

START = 1_388_534_400
KNOWN = ("Temperature", "Temperature_imputed")
MASKED = replace(SPEC, known=KNOWN, scaler=ScalerSpec(dict.fromkeys(KNOWN, 0.0), dict.fromkeys(KNOWN, 1.0)))


def _served():
    values = np.column_stack([np.full(10, 5.0), np.full(10, 20.0), np.zeros(10)])
    return ServedModel("tiny", 1, START + 36_000, MASKED, {"a": Series("a", START, values)})


def test_values_given_for_the_horizon_count_as_seen_and_not_as_imputed():
    request = ForecastRequest(("a",), known={"a": {"Temperature": (1.0, 2.0, 3.0)}})
    plan = plan_forecasts(_served(), request)
    assert plan.origins[0] == START + 36_000
    future = model_inputs(plan, 0, 1).future[0]
    assert future[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert future[:, 1].tolist() == [0.0, 0.0, 0.0]


def test_a_mask_that_is_given_is_taken():
    known = {"Temperature": (1.0, 2.0, 3.0), "Temperature_imputed": (0.0, 1.0, 0.0)}
    plan = plan_forecasts(_served(), ForecastRequest(("a",), known={"a": known}))
    assert model_inputs(plan, 0, 1).future[0, :, 1].tolist() == [0.0, 1.0, 0.0]


def _hours(*values):
    return {START + 3600 * hour: value for hour, value in values}


def test_values_by_time_fill_the_steps_of_their_times_and_leave_others_to_the_table():
    known = {"a": {"Temperature": _hours((5, 7.0), (6, 8.0), (7, 9.0), (99, 1.0))}}
    plan = plan_forecasts(_served(), ForecastRequest(("a",), origin=START + 6 * 3600, known=known))
    assert model_inputs(plan, 0, 1).future[0, :, 0].tolist() == [8.0, 9.0, 20.0]
    assert model_inputs(plan, 0, 1).future[0, :, 1].tolist() == [0.0, 0.0, 0.0]


def test_a_step_that_neither_the_request_nor_the_table_has_is_named():
    known = {"a": {"Temperature": _hours((10, 7.0), (12, 9.0))}}
    with pytest.raises(
        AnswerError, match="'Temperature' is missing at 2014-01-01T11:00:00Z, in the horizon of 2014-01-01T10"
    ):
        plan_forecasts(_served(), ForecastRequest(("a",), known=known))


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (START + 36_000 + 1800, "must have times on the grid of 3600 s steps, found 2014-01-01T10:30:00Z"),
        (
            START + 3600,
            "must have a time from 2014-01-01T10:00:00Z to 2014-01-01T12:00:00Z, the horizon, and none of 1 is",
        ),
    ],
)
def test_times_off_the_grid_and_columns_without_a_time_of_the_horizon_are_refused(time, message):
    with pytest.raises(AnswerError, match=message):
        plan_forecasts(_served(), ForecastRequest(("a",), known={"a": {"Temperature": {time: 1.0}}}))


def test_a_column_without_values_is_asked_for_by_its_own_name():
    with pytest.raises(AnswerError, match="the known covariate 'Temperature' is missing"):
        plan_forecasts(_served(), ForecastRequest(("a",), known={"a": {}}))


def _past(hours, targets, *, origin, n_steps=9):
    times = START + 3600 * np.array(hours)
    columns = {"Demand": np.array(targets, dtype=np.float64), "Temperature": np.full(len(hours), 1.0)}
    given = GivenRows(("a",), np.zeros(len(hours), np.int64), times, columns)
    series = _served().series["a"]
    return past_with_rows(series, given, slice(None), MASKED, before=START + 3600 * origin, n_steps=n_steps)


def test_rows_decades_apart_are_laid_out_as_far_as_they_are_read():
    past = _past([-500_000_000, 9, 500_000_000], [1.0, 7.0, 3.0], origin=500_000_001)
    assert past.start == START + 3600 * (500_000_001 - 9)
    np.testing.assert_array_equal(past.values[:, 0], [np.nan] * 8 + [3.0])
    past = _past([-500_000_000, 9, 500_000_000], [1.0, 7.0, 3.0], origin=12, n_steps=3)
    np.testing.assert_array_equal(past.values[:, 0], [5.0, 5.0, 7.0])
    assert past.start == START + 3600 * 7


def test_a_past_ends_with_the_last_target_before_the_origin():
    assert len(_past([3], [np.nan], origin=0).values) == 0
    np.testing.assert_array_equal(_past([-2], [4.0], origin=0).values[:, 0], [4.0])
    np.testing.assert_array_equal(_past([-2], [4.0], origin=2).values[:, 0], [4.0, np.nan, 5.0, 5.0])
    np.testing.assert_array_equal(_past([20], [np.nan], origin=30, n_steps=2).values[:, :2], [[5, 20], [5, 20]])


def _new_series(n_steps):
    columns = {"Demand": np.arange(n_steps, dtype=np.float64), "Temperature": np.full(n_steps, 3.0)}
    times = START + 3600 * np.arange(n_steps)
    return ObservedRows.of(GivenRows(("new",), np.zeros(n_steps, np.int64), times, columns))


def test_all_series_include_those_that_only_observations_know():
    columns = {"Demand": np.array([*range(8), *[np.nan] * 3]), "Temperature": np.full(11, 3.0)}
    rows = GivenRows(("new",), np.zeros(11, np.int64), START + 3600 * np.arange(11), columns)
    served = ServedModel("tiny", 1, START + 36_000, SPEC, {"a": Series("a", START, np.tile([5.0, 20.0], (10, 1)))})
    plan = plan_forecasts(served, ForecastRequest(), ObservedRows.of(rows))
    assert plan.ids[-1] == "new"
    assert plan.origins[-1] == START + 3600 * 8


def test_of_all_series_an_observed_one_without_the_static_columns_is_skipped_and_said():
    spec = replace(SPEC, static=("Zone",), categories={"Zone": ("n", "s")})
    served = ServedModel(
        "tiny", 1, START + 36_000, spec, {"a": Series("a", START, np.tile([5.0, 20.0], (10, 1)), (0,))}
    )
    plan = plan_forecasts(served, ForecastRequest(), _new_series(8))
    assert plan.ids == ("a",)
    assert [(one.series, "static column 'Zone' must be given" in one.reason) for one in plan.skipped] == [("new", True)]
    with pytest.raises(AnswerError, match="static column 'Zone' must be given"):
        plan_forecasts(served, ForecastRequest(("new",)), _new_series(8))
