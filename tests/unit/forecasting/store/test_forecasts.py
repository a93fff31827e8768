import numpy as np
import pytest

from forecasting.store.forecasts import ForecastFlag, ForecastQuery, ForecastRole, read_forecasts, write_forecasts
from forecasting.store.opening import Store
from tests.unit.forecasting.store.stores import HOUR, NOON, batch


def test_a_forecast_comes_back_as_it_was_written(store: Store):
    assert write_forecasts(store, [batch(latency_us=812)]) == 2
    first, second = read_forecasts(store, ForecastQuery(model="load"))
    assert (first.series, second.series) == ("a", "b")
    assert first.request == "r1"
    assert first.created_at == NOON + 60
    assert first.role == ForecastRole.CHAMPION
    assert first.version == 3
    assert first.levels == (0.1, 0.5)
    assert first.timestamps.tolist() == [NOON, NOON + HOUR, NOON + 2 * HOUR]
    assert first.quantiles.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert second.quantiles.tolist() == [[6, 7], [8, 9], [10, 11]]
    assert first.mean is None
    assert first.latency_us == 812
    assert first.flags == ForecastFlag.NONE
    assert first.problem == ""


def test_the_last_column_is_the_mean_where_there_is_one_more_than_levels(store):
    answers = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    write_forecasts(store, [batch(series=("a",), answers=answers)])
    (found,) = read_forecasts(store, ForecastQuery(model="load"))
    assert found.quantiles.tolist() == [[0, 1], [3, 4], [6, 7]]
    assert found.mean.tolist() == [2, 5, 8]


def test_a_forecast_that_there_was_not_says_why(store):
    shadow = batch(role=ForecastRole.SHADOW, answers=None, problems=("the server was down",) * 2)
    write_forecasts(store, [shadow])
    found = read_forecasts(store, ForecastQuery(model="load"))[0]
    assert found.quantiles is None
    assert found.mean is None
    assert found.problem == "the server was down"


def test_flags_are_kept_by_series(store):
    write_forecasts(store, [batch(flags=np.array([0, ForecastFlag.DEGRADED | ForecastFlag.STALE]))])
    found = read_forecasts(store, ForecastQuery(model="load"))
    assert [one.flags for one in found] == [ForecastFlag.NONE, ForecastFlag.DEGRADED | ForecastFlag.STALE]


def test_writing_again_changes_nothing(store):
    assert write_forecasts(store, [batch()]) == 2
    again = batch(answers=np.full((2, 3, 2), 9, np.float32), series=("a", "c"))
    assert write_forecasts(store, [again]) == 1
    found = read_forecasts(store, ForecastQuery(model="load"))
    assert [one.series for one in found] == ["a", "b", "c"]
    assert found[0].quantiles[0, 0] == 0


def test_champion_and_shadow_share_a_request(store):
    write_forecasts(store, [batch(), batch(role=ForecastRole.SHADOW, version=4)])
    found = read_forecasts(store, ForecastQuery(model="load", series=("a",)))
    assert [(one.request, one.role, one.version) for one in found] == [("r1", "champion", 3), ("r1", "shadow", 4)]


QUERIES = [
    ({"version": 3}, ["r1", "r2"]),
    ({"roles": (ForecastRole.CANDIDATE,)}, ["r3"]),
    ({"series": ("b",)}, []),
    ({"origin_from": NOON + HOUR}, ["r2", "r3"]),
    ({"origin_until": NOON + HOUR}, ["r1"]),
    ({"created_from": NOON + 120}, ["r3"]),
    ({"created_until": NOON + 120}, ["r1", "r2"]),
    ({"newest_first": True, "limit": 1}, ["r3"]),
    ({"limit": 2}, ["r1", "r2"]),
]


@pytest.mark.parametrize(("fields", "requests"), QUERIES)
def test_a_query_narrows_by_each_of_its_fields(store, fields, requests):
    one = {"series": ("a",), "answers": np.zeros((1, 3, 2), np.float32)}
    write_forecasts(
        store,
        [
            batch(**one),
            batch(**one, request="r2", origins=np.array([NOON + HOUR])),
            batch(**one, request="r3", origins=np.array([NOON + 2 * HOUR]), role=ForecastRole.CANDIDATE, version=4, created_at=NOON + 120),
            batch(**one, request="other", model="price"),
        ],
    )  # fmt: skip
    assert [found.request for found in read_forecasts(store, ForecastQuery(model="load", **fields))] == requests


def test_a_batch_that_cannot_be_written_leaves_nothing_of_itself(store):
    with pytest.raises(Exception, match=r"NOT NULL|null value"):
        write_forecasts(store, [batch(), batch(request=None)])
    assert read_forecasts(store, ForecastQuery(model="load")) == []
