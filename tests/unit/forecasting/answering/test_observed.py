"""What was observed, as rows over a version."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.answering.observed import read_observed_by, rows_over
from forecasting.answering.plan_forecasts import plan_forecasts
from forecasting.answering.request import ForecastRequest
from forecasting.answering.served_model import ServedModel
from forecasting.features.spec import ScalerSpec
from forecasting.schema import Series
from forecasting.store.address import store_address
from forecasting.store.opening import open_store
from tests.unit.forecasting.answering.observed_rows import CUTOFF, HOUR, NAN, START, cells, post, served, told
from tests.unit.serving.tiny_models import SPEC


def test_rows_are_where_an_observation_changes_what_the_version_knows():
    rows = rows_over(
        served(),
        cells(
            ("b", "Demand", 12, 70, CUTOFF + 1),
            ("a", "Demand", 3, 33, 5),
            ("a", "Demand", 4, 44, 5),
            ("a", "Demand", 5, 55, CUTOFF + 1),
            ("a", "Demand", 6, 6, CUTOFF + 1),
            ("a", "Demand", 7, NAN, CUTOFF + 1),
            ("a", "Temperature", 5, 25, CUTOFF + 1),
        ),
    )
    assert told(rows, "a") == {3: {"Demand": 33}, 5: {"Demand": 55, "Temperature": 25}}
    assert told(rows, "b") == {12: {"Demand": 70}}


def test_a_value_that_was_seen_clears_the_mask_of_its_step():
    known = ("Temperature", "Temperature_imputed")
    masked = replace(SPEC, known=known, scaler=ScalerSpec(dict.fromkeys(known, 0.0), dict.fromkeys(known, 1.0)))
    rows = rows_over(
        served(masked, extra=1), cells(("a", "Temperature", 5, 25, CUTOFF + 1), ("a", "Demand", 6, 1, CUTOFF + 1))
    )
    assert told(rows, "a") == {5: {"Temperature": 25, "Temperature_imputed": 0}, 6: {"Demand": 1}}


def test_rows_of_some_series_are_taken_and_replaced():
    late = CUTOFF + 1
    rows = rows_over(
        served(), cells(("a", "Demand", 1, 9, late), ("b", "Demand", 2, 8, late), ("c", "Demand", 3, 7, late))
    )
    assert rows.take(("x",)) is None
    taken = rows.take(("c", "x", "a"))
    assert [taken.ids[i] for i in taken.series] == ["c", "a"]
    assert taken.columns["Demand"].tolist() == [7, 9]
    changed = rows.replaced(
        ("b", "c"), rows_over(served(), cells(("b", "Temperature", 5, 1, late), ("b", "Demand", 4, 2, late)))
    )
    assert told(changed, "b") == {4: {"Demand": 2}, 5: {"Temperature": 1}}
    assert told(changed, "a") == {1: {"Demand": 9}}
    assert "c" not in changed.places


@pytest.fixture
def store(tmp_path):
    with open_store(store_address(None, tmp_path / "serving.db")) as found:
        yield found


def test_what_became_known_later_is_not_there_as_of_a_time(store):
    first, second = CUTOFF + 5 * HOUR, CUTOFF + 9 * HOUR
    post(store, ("a", "Demand", 10, 1, first), ("b", "Demand", 10, 7, first))
    post(store, ("a", "Demand", 10, 2, second), ("a", "Demand", 11, 3, second), ("a", "Demand", 4, NAN, second))
    before = read_observed_by(store, "tiny", served(), ("a",), first)
    assert told(before, "a") == {10: {"Demand": 1}}
    assert list(before.places) == ["a"]
    after = read_observed_by(store, "tiny", served(), ("a",), second)
    assert told(after, "a") == {10: {"Demand": 2}, 11: {"Demand": 3}}
    assert read_observed_by(store, "tiny", served(), ("a",), CUTOFF - 100 * HOUR).places == {}


def test_the_origin_is_the_latest_whose_horizon_the_covariates_cover():
    values = np.column_stack([[*range(10), *[NAN] * 5], np.full(15, 20.0)])
    model = ServedModel("tiny", 1, CUTOFF, SPEC, {"a": Series("a", START, values)})
    late = CUTOFF + 1

    def origin(*observed: tuple) -> int:
        plan = plan_forecasts(model, ForecastRequest(), rows_over(model, cells(*observed)))
        return (int(plan.origins[0]) - START) // HOUR

    assert origin(("a", "Demand", 10, 1, late)) == 11
    assert origin(("a", "Demand", 11, 1, late)) == 12
    assert origin(("a", "Demand", 12, 1, late)) == 12
    assert origin(("a", "Demand", 13, 1, late)) == 12
    assert origin(("a", "Demand", 12, 1, late), ("a", "Temperature", 15, 1, late)) == 13
    assert origin(("a", "Temperature", 11, 1, late)) == 10
