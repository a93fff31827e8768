"""The gateway on covariates by vintage: a forecast from an origin is made from what was known then."""

import dataclasses

import numpy as np
import pytest

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.inputs import model_inputs
from forecasting.answering.origins import possible_origins
from forecasting.answering.plan_forecasts import plan_forecasts
from forecasting.answering.request import ForecastRequest
from forecasting.answering.served_model import ServedModel
from forecasting.schema import Series
from forecasting.vintages import SeriesVintages
from tests.unit.serving import tiny_models

HOUR_S, START = 3_600, 1_388_534_400
N_HOURS, CUTOFF = 43, 40
SPEC = dataclasses.replace(tiny_models.SPEC, vintages=("Temperature",))


def hour(n: int) -> int:
    return START + n * HOUR_S


def served(*, every: int = 2, leads: int = 4) -> ServedModel:
    """40 known targets; every two hours four hours are issued, whose value is 100 · issue + hour."""
    issues = np.repeat(np.arange(0, CUTOFF + 1, every), leads)
    steps = issues + np.tile(np.arange(leads), len(issues) // leads)
    order = np.lexsort((issues, steps))
    vintages = SeriesVintages(
        ("Temperature",), hour(steps[order]), hour(issues[order]), (100.0 * issues + steps)[order, None]
    )
    clock = np.arange(N_HOURS, dtype=np.float64)
    standing = vintages.standing(hour(np.arange(N_HOURS)))[:, 0]
    standing[CUTOFF:] = vintages.known_at(np.asarray([hour(CUTOFF)]), 3, HOUR_S)[0, :, 0]
    values = np.column_stack([np.where(clock < CUTOFF, 10 + clock % 4, np.nan), standing])
    return ServedModel("tiny", 1, hour(CUTOFF), SPEC, {"a": Series("a", START, values, vintages=vintages)})


def future(model: ServedModel, request: ForecastRequest) -> list[float]:
    return model_inputs(plan_forecasts(model, request), 0, 1).future[0, :, 0].tolist()


def test_the_latest_forecast_uses_the_issue_at_the_cutoff():
    assert future(served(), ForecastRequest()) == [4040.0, 4041.0, 4042.0]


def test_an_origin_in_the_past_uses_what_was_known_then():
    assert future(served(), ForecastRequest(origin=hour(20))) == [2020.0, 2021.0, 2022.0]
    # At an odd hour the newest issue is an hour old; what stands at hours 22 and 23 was issued later.
    assert future(served(), ForecastRequest(origin=hour(21))) == [2021.0, 2022.0, 2023.0]


def test_known_values_of_a_request_go_before_those_that_were_issued():
    request = ForecastRequest(origin=hour(21), known={"a": {"Temperature": (1.0, 2.0, 3.0)}})
    assert future(served(), request) == [1.0, 2.0, 3.0]


def test_an_origin_whose_horizon_no_issue_covered_yet_is_refused_with_the_first_hour_that_lacks():
    model = served(leads=3)
    assert future(model, ForecastRequest(origin=hour(20))) == [2020.0, 2021.0, 2022.0]
    with pytest.raises(AnswerError, match="'Temperature' is missing at 2014-01-01T23:00:00Z"):
        plan_forecasts(model, ForecastRequest(origin=hour(21)))


def test_the_default_origin_is_the_last_whose_horizon_was_covered_when_it_came():
    model = served(leads=3)
    series = model.series["a"]
    vintages = series.vintages
    # Without the issue of the cutoff the last whole horizon was known at hour 38.
    kept = vintages.issued_at < hour(CUTOFF)
    fewer = SeriesVintages(("Temperature",), vintages.timestamp[kept], vintages.issued_at[kept], vintages.values[kept])
    found = possible_origins(dataclasses.replace(series, vintages=fewer), SPEC)
    assert (found.default, found.last) == (hour(38), hour(38))
    whole = possible_origins(series, SPEC)
    assert whole.default == hour(CUTOFF)


def test_an_origin_before_the_issue_that_covers_its_horizon_is_not_the_default():
    series = served(leads=3).series["a"]
    values = series.values.copy()
    values[37:, 0] = np.nan
    # The horizon of hour 37 ends at hour 39, which was first spoken of at hour 38.
    assert possible_origins(dataclasses.replace(series, values=values), SPEC).default == hour(36)
