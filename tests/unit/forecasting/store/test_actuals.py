import numpy as np
import pytest

from forecasting.schema import Series
from forecasting.store.actuals import join_actuals
from forecasting.store.forecasts import ForecastQuery, ForecastRole, read_forecasts, write_forecasts
from forecasting.store.observations import ObservationRows, write_observations
from forecasting.store.packing import GridSpec
from tests.unit.forecasting.store.stores import HOUR, NOON, batch

NAN = float("nan")


def observe(store, series: str, numbers: list[float], known_at: int = NOON + 100, start: int = NOON) -> None:
    n = len(numbers)
    rows = ObservationRows(
        model="load", series=(series,), names=("y",), series_at=np.zeros(n, np.int64), name_at=np.zeros(n, np.int64),
        time=start + HOUR * np.arange(n), number=np.array(numbers), known_at=np.full(n, known_at),
    )  # fmt: skip
    write_observations(store, rows, GridSpec.of(HOUR, start), now=NOON)


def joined(store, **settings):
    forecasts = read_forecasts(store, ForecastQuery(model="load"))
    return forecasts, join_actuals(store, forecasts, "y", **settings)


def test_each_step_that_came_is_joined_with_what_was_forecast_of_it(store):
    write_forecasts(store, [batch()])
    observe(store, "a", [10, 11])
    observe(store, "b", [20], start=NOON + 2 * HOUR)
    forecasts, (found,) = joined(store)
    assert [forecasts[place].series for place in found.forecast_at] == ["a", "a", "b"]
    assert found.step.tolist() == [0, 1, 2]
    assert found.time.tolist() == [NOON, NOON + HOUR, NOON + 2 * HOUR]
    assert found.actual.tolist() == [10, 11, 20]
    assert found.quantiles.tolist() == [[0, 1], [2, 3], [10, 11]]
    assert found.level(0.5).tolist() == [1, 3, 11]
    assert np.isnan(found.mean).all()


def test_forecasts_of_several_origins_and_models_meet_the_same_actuals(store):
    one = {"series": ("a",), "answers": np.zeros((1, 3, 2), np.float32)}
    later = batch(**one, request="r2", origins=np.array([NOON + HOUR]), role=ForecastRole.SHADOW, version=4)
    write_forecasts(store, [batch(**one), later])
    observe(store, "a", [10, 11, 12, 13])
    forecasts, (found,) = joined(store)
    told = {(forecasts[place].request, int(step)): number for place, step, number in zip(found.forecast_at, found.step, found.actual.tolist(), strict=True)}  # fmt: skip
    assert told == {("r1", 0): 10, ("r1", 1): 11, ("r1", 2): 12, ("r2", 0): 11, ("r2", 1): 12, ("r2", 2): 13}


def test_forecasts_of_other_levels_are_apart(store):
    answers = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    write_forecasts(store, [batch(series=("a",), answers=answers), batch(request="r2", levels=(0.5,), answers=np.zeros((2, 3, 1), np.float32))])  # fmt: skip
    observe(store, "a", [10])
    _, found = joined(store)
    assert {one.levels: len(one) for one in found} == {(0.1, 0.5): 1, (0.5,): 1}
    (with_mean,) = [one for one in found if len(one.levels) == 2]
    assert with_mean.mean.tolist() == [2]


def test_a_forecast_without_an_answer_has_no_rows(store):
    write_forecasts(store, [batch(answers=None)])
    observe(store, "a", [10])
    assert joined(store)[1] == []


def test_an_actual_is_the_one_that_was_known_by_a_time(store):
    write_forecasts(store, [batch()])
    observe(store, "a", [10], known_at=100)
    observe(store, "a", [99], known_at=200)
    assert joined(store)[1][0].actual.tolist() == [99]
    assert joined(store, known_by=150)[1][0].actual.tolist() == [10]
    assert len(joined(store, known_by=50)[1][0]) == 0


def test_the_table_of_a_version_has_actuals_up_to_its_cutoff(store):
    write_forecasts(store, [batch()])
    cutoff = NOON + 2 * HOUR
    table = {"a": Series("a", NOON - HOUR, np.array([[1.0, 0], [2, 0], [3, 0], [4, 0]]))}
    assert joined(store, tables=table, cutoff=cutoff)[1][0].actual.tolist() == [2, 3]
    observe(store, "a", [50, 51], known_at=cutoff - 1)
    assert joined(store, tables=table, cutoff=cutoff)[1][0].actual.tolist() == [2, 3]
    observe(store, "a", [60], known_at=cutoff + 1)
    assert joined(store, tables=table, cutoff=cutoff)[1][0].actual.tolist() == [60, 3]


def test_a_series_of_another_grid_lends_no_actuals(store):
    write_forecasts(store, [batch()])
    table = {"a": Series("a", NOON + 60, np.array([[1.0], [2], [3]]))}
    assert len(joined(store, tables=table, cutoff=NOON + 9 * HOUR)[1][0]) == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_many_forecasts_join_as_they_do_one_by_one(store, seed):
    rng = np.random.default_rng(seed)
    for number in range(20):
        origin = NOON + HOUR * int(rng.integers(0, 30))
        write_forecasts(store, [batch(request=f"r{number}", origins=np.full(2, origin))])
    for series in ("a", "b"):
        observe(store, series, np.where(rng.random(30) < 0.3, NAN, rng.random(30)).tolist())
    forecasts, (together,) = joined(store)
    apart = [join_actuals(store, [one], "y")[0] for one in forecasts]
    np.testing.assert_array_equal(together.actual, np.concatenate([one.actual for one in apart]))
    np.testing.assert_array_equal(together.time, np.concatenate([one.time for one in apart]))
    np.testing.assert_array_equal(together.quantiles, np.concatenate([one.quantiles for one in apart]))
