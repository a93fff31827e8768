"""Windows of many series at once, held to those that are cut series by series."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.inputs import model_inputs, window_flags
from forecasting.answering.plan_forecasts import plan_forecasts
from forecasting.answering.request import ForecastRequest
from forecasting.answering.series_with_rows import with_rows
from forecasting.answering.served_model import ServedModel
from forecasting.features.spec import CalendarSpec, ScalerSpec
from forecasting.schema import Series
from forecasting.windows import stack_inputs, window_inputs
from serving.gateway.forecast_request import parse_forecast_request
from tests.unit.serving.tiny_models import SPEC

HOUR_S, START = 3600, 1_388_534_400
COLUMNS = ("Load", "Wind", "Temperature")
WIDE = replace(
    SPEC, target="Load", observed=("Wind",), known=("Temperature",), static=("Zone",), categories={"Zone": ("n", "s")},
    calendar=CalendarSpec(("day_of_week", "hour_of_day"), (), (), (0,), ()),
    scaler=ScalerSpec(dict.fromkeys(COLUMNS, 0.0), dict.fromkeys(COLUMNS, 1.0), own={"Load": {"b": (3.0, 2.0)}}),
)  # fmt: skip


def _values(n_steps, seed, *, ahead=3):
    values = np.random.default_rng(seed).normal(size=(n_steps + ahead, 3))
    values[n_steps:, :2] = np.nan
    return values


def _served():
    """Three series of other lengths and starts; the window of the short one begins before its first row."""
    series = {
        "a": Series("a", START, _values(30, 1), (0,)),
        "b": Series("b", START + 5 * HOUR_S, _values(4, 2), (1,)),
        "c": Series("c", START - 7 * HOUR_S, _values(50, 3), (0,)),
    }
    series["a"].values[[2, 25, 29], 0] = np.nan
    return ServedModel("tiny", 1, START + 40 * HOUR_S, WIDE, series)


def _hour(n):
    return START + n * HOUR_S


def _whole(served, plan, i):
    """A series with all that is given of it."""
    new = Series(plan.ids[i], int(plan.start[i]), np.empty((0, len(served.spec.value_columns))))
    found, rows = served.series.get(plan.ids[i], new), np.flatnonzero(plan.given_of == i)
    return with_rows(found, plan.given, rows, served.spec) if len(rows) else found


def _one_by_one(served, plan):
    cut = [window_inputs(_whole(served, plan, i), served.spec, plan.origins[i : i + 1]) for i in range(len(plan))]
    return stack_inputs(cut)


def _assert_equal(found, wanted):
    np.testing.assert_array_equal(found.history, wanted.history)
    np.testing.assert_array_equal(found.future, wanted.future)
    np.testing.assert_array_equal(found.static, wanted.static)


@pytest.mark.parametrize("request_", [ForecastRequest(), ForecastRequest(origin=_hour(7)), ForecastRequest(("c", "a"))])
def test_windows_cut_at_once_are_those_cut_one_by_one(request_):
    served = _served()
    plan = plan_forecasts(served, request_)
    assert len(plan) >= 2
    _assert_equal(model_inputs(plan, 0, len(plan)), _one_by_one(served, plan))
    _assert_equal(model_inputs(plan, 1, 2), _one_by_one(served, plan)[1:2])


def test_history_of_a_request_goes_before_that_of_the_store_step_by_step():
    body = b"""{"series": ["a", "b"], "origin": "2014-01-01T08:00:00Z", "history": {
        "b": {"start": "2014-01-01T06:00:00Z", "values": {"Load": [70, null], "Wind": [1, 2]}},
        "a": {"timestamps": ["2014-01-01T07:00:00Z", "2014-01-01T05:00:00Z", "2014-01-01T08:00:00Z"],
              "values": {"Load": [107, 105, 108], "Temperature": [0.5, 0.25, 0.75]}}}}"""
    served = _served()
    plan = plan_forecasts(served, parse_forecast_request(body))
    found = model_inputs(plan, 0, 2)
    plain = model_inputs(plan_forecasts(served, ForecastRequest(("a", "b"), origin=_hour(8))), 0, 2)
    # The six steps are hours 2 to 7.
    assert found.history[0, [3, 5], 0].tolist() == [105, 107]
    assert found.history[0, [3, 5], 2].tolist() == [0.25, 0.5]
    assert found.history[1, 4:, 1].tolist() == [1, 2]
    assert found.history[1, 4, 0] == 70
    assert found.history[1, 5, 0] == plain.history[1, 5, 0]
    np.testing.assert_array_equal(found.history[0, [0, 1, 2, 4]], plain.history[0, [0, 1, 2, 4]])
    # The target given for the origin itself is not read; the covariate is, as it is known.
    assert found.future[0, 0, 0] == 0.75
    np.testing.assert_array_equal(found.future[0, 1:], plain.future[0, 1:])
    _assert_equal(found, _one_by_one(served, plan))


def test_history_that_goes_on_after_the_stores_moves_the_origin():
    body = (
        b'{"history": {"a": {"start": "2014-01-02T06:00:00Z", "values": {"Load": [1, 2, 3]}}},'
        b' "known": {"a": {"Temperature": [7, 8, 9]}}}'
    )
    plan = plan_forecasts(_served(), parse_forecast_request(body))
    assert (plan.ids, plan.origins.tolist()) == (("a",), [_hour(33)])
    inputs = model_inputs(plan, 0, 1)
    assert inputs.history[0, -3:, 0].tolist() == [1, 2, 3]
    assert inputs.future[0, :, 0].tolist() == [7, 8, 9]


NEW = b"""{"history": {"new": {"start": "2014-03-01T00:30:00Z", "values": {"Load": [1, 2], "Wind": [3, 4]}}},
    "static": {"new": {"Zone": "s"}}, "known": {"new": {"Temperature": [7, 8, 9]}}}"""


def test_a_series_that_the_store_does_not_have_is_forecast_from_the_request_alone():
    served = _served()
    plan = plan_forecasts(served, parse_forecast_request(NEW))
    assert plan.origins.tolist() == [START + 59 * 86_400 + 9_000]
    found = model_inputs(plan, 0, 1)
    assert found.history[0, -2:, :2].tolist() == [[1, 3], [2, 4]]
    assert np.isnan(found.history[0, :-2, :3]).all()
    # Category code, then location and scale over all series.
    assert found.static.tolist() == [[1, 0, 1]]


def test_a_null_is_what_is_not_there():
    both = NEW.replace(b'"start"', b'"timestamps": null, "start"')
    found = plan_forecasts(_served(), parse_forecast_request(both))
    assert found.origins.tolist() == plan_forecasts(_served(), parse_forecast_request(NEW)).origins.tolist()


@pytest.mark.parametrize(
    ("old", "new", "message", "about"),
    [
        (b'"Zone": "s"', b'"Zone": "x"', "'static' of series 'new', column 'Zone', must be one of ['n', 's'], found 'x'", ("new", "Zone", None)),
        (b'{"Zone": "s"}', b"{}", "series 'new' is new: its static column 'Zone' must be given", ("new", "Zone", None)),
        (b'"Wind": [3, 4]', b'"Gust": [3, 4]', "'history' must have columns among ['Load', 'Wind', 'Temperature'], found 'Gust'", ("new", "Gust", None)),
        (b"[3, 4]", b"[3]", "'history' of series 'new', column 'Wind', must have at least one value and as many as 'Load', 2, found 1", ("new", "Wind", None)),
        (b"[3, 4]", b"[3, 1e39]", "must have finite numbers, found 1e+39 at 2014-03-01T01:30:00Z", ("new", "Wind", "2014-03-01T01:30:00Z")),
        (b"[3, 4]", b'[3, "4"]', "must be a list of numbers, null where nothing is given, found '4' at place 1", ("new", "Wind", "1")),
        (b"[3, 4]", b"[3, true]", "found True at place 1", ("new", "Wind", "1")),
        (b'"start": "2014-03-01T00:30:00Z"', b'"timestamps": ["2014-03-01T00:30:00Z", "2014-03-01T01:00:00Z"]', "must have times on the grid of 3600 s steps, found 2014-03-01T01:00:00Z", ("new", None, "2014-03-01T01:00:00Z")),
        (b'"start": "2014-03-01T00:30:00Z"', b'"timestamps": ["2014-03-01T00:30:00Z", "2014-03-01T01:30:00+01:00"]', "must name each time once, found 2014-03-01T00:30:00Z twice", ("new", None, "2014-03-01T00:30:00Z")),
        (b'"start": "2014-03-01T00:30:00Z",', b"", "must have 'values', an object of columns, and either 'start' or 'timestamps', found ['values']", ("new", None, None)),
        (b'"start": "2014-03-01T00:30:00Z"', b'"timestamps": null', "either 'start' or 'timestamps', found ['values']", ("new", None, None)),
        (b"[7, 8, 9]", b"[7, 8]", "'known' of series 'new', column 'Temperature', must have 3 values", ("new", "Temperature", None)),
        (b'"Load": [1, 2]', b'"Load": [null, null]', "series 'new' cannot be forecast: it has no target", ("new", None, None)),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_by_series_column_and_place(old, new, message, about):
    assert old in NEW
    with pytest.raises(AnswerError) as found:
        plan_forecasts(_served(), parse_forecast_request(NEW.replace(old, new)))
    assert message in str(found.value)
    assert found.value.code == 400
    assert (found.value.series, found.value.column, found.value.place) == about


def test_a_cutoff_is_the_first_step_at_or_after_it():
    plan = plan_forecasts(_served(), ForecastRequest(("a", "c"), cutoff=_hour(7) - 1))
    assert plan.origins.tolist() == [_hour(7), _hour(7)]
    assert plan_forecasts(_served(), ForecastRequest(("a",), cutoff=_hour(7))).origins.tolist() == [_hour(7)]


def _flags(targets, origin):
    values = np.column_stack([targets, np.zeros((len(targets), 2))])
    served = ServedModel("tiny", 1, START, WIDE, {"a": Series("a", START, values, (0,))})
    plan = plan_forecasts(served, ForecastRequest(("a",), origin=_hour(origin)))
    flags = window_flags(plan, model_inputs(plan, 0, 1))
    return bool(flags.imputed[0]), bool(flags.stale[0]), bool(flags.cold[0])


def test_flags_say_what_the_history_is_like():
    whole = np.arange(20.0)
    assert _flags(whole, 10) == (False, False, False)
    gap = np.where(np.arange(20) == 7, np.nan, whole)
    assert _flags(gap, 10) == (True, False, False)
    assert _flags(gap, 16) == (False, False, False)
    # Three steps, a horizon, lie between the newest target and the origin; then four.
    assert _flags(np.where(np.arange(20) > 6, np.nan, whole), 10) == (True, False, False)
    assert _flags(np.where(np.arange(20) > 5, np.nan, whole), 10) == (True, True, False)
    assert _flags(np.where(np.arange(20) > 3, np.nan, whole), 10) == (True, True, True)
