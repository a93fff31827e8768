import numpy as np
import pytest
from sqlalchemy import Engine, event

from forecasting.store.address import store_address
from forecasting.store.forecasts import ForecastFlag, ForecastRole, write_forecasts
from forecasting.store.observations import ObservationRows, write_observations
from forecasting.store.opening import open_store
from forecasting.store.packing import GridSpec
from serving.gateway.live_errors import live_errors
from tests.unit.forecasting.store.stores import HOUR, NOON, batch


@pytest.fixture
def store(tmp_path):
    found = open_store(store_address(None, tmp_path / "serving.db"))
    rows = ObservationRows(
        model="load", series=("a",), names=("y",), series_at=np.zeros(2, np.int64), name_at=np.zeros(2, np.int64),
        time=NOON + HOUR * np.arange(2), number=np.array([10.0, 20.0]), known_at=np.full(2, NOON + 100),
    )  # fmt: skip
    write_observations(found, rows, GridSpec.of(HOUR, NOON), now=NOON)
    yield found
    found.close()


def _batch(point, **settings):
    one = {"series": ("a",), "origins": np.array([NOON]), "levels": (0.5,), "version": 1, "flags": None}
    return batch(**{**one, "answers": np.full((1, 3, 1), point, np.float32), **settings})


def test_both_are_compared_on_the_steps_of_the_requests_that_both_answered(store):
    shadow = {"role": ForecastRole.SHADOW, "version": 2}
    alone = _batch(900, request="r2")
    write_forecasts(store, [_batch(12), _batch(22, **shadow), alone, _batch(0, request="r3", **shadow)])
    found = live_errors(store, "load", "y", champion=1, candidate=2)
    assert (found.n_steps, found.champion_mae, found.candidate_mae) == (2, 5, 7)


def test_the_latest_forecasts_that_have_actuals_are_compared_and_not_the_earliest(store, monkeypatch):
    monkeypatch.setattr("serving.gateway.live_errors.AT_MOST", 1)
    for hours, point in ((-1, 900), (0, 12), (2, 500)):
        origins, request = np.array([NOON + hours * HOUR]), f"r{hours}"
        champion = _batch(point, request=request, origins=origins)
        shadow = _batch(point + 2, request=request, origins=origins, role=ForecastRole.SHADOW, version=2)
        write_forecasts(store, [champion, shadow])
    # Of hour 2 nothing is known yet, and hour 0 is enough.
    found = live_errors(store, "load", "y", champion=1, candidate=2)
    assert (found.n_steps, found.champion_mae, found.candidate_mae) == (2, 5, 5)


def test_of_the_champions_forecasts_only_those_to_the_shadowed_requests_are_read(store, monkeypatch):
    monkeypatch.setattr("serving.gateway.live_errors.REQUESTS_AT_ONCE", 2)
    shadow = {"role": ForecastRole.SHADOW, "version": 2}
    shadows = [_batch(22, request=f"r{number}", **shadow) for number in range(0, 15, 3)]
    write_forecasts(store, [*[_batch(12, request=f"r{number}") for number in range(15)], *shadows])
    named = []

    def note(_connection, _cursor, _statement, parameters, _context, _is_many):
        if "champion" in parameters:
            named.append([one for one in parameters if str(one).startswith("r")])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        found = live_errors(store, "load", "y", champion=1, candidate=2)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert (found.n_steps, found.champion_mae, found.candidate_mae) == (10, 5, 7)
    assert [len(some) for some in named] == [2, 2, 1]
    assert {one for some in named for one in some} == {"r0", "r3", "r6", "r9", "r12"}


def test_what_the_fallback_answered_is_not_compared(store):
    degraded = np.array([ForecastFlag.DEGRADED], np.int64)
    write_forecasts(store, [_batch(12, flags=degraded), _batch(16, role=ForecastRole.SHADOW, version=2)])
    assert live_errors(store, "load", "y", champion=1, candidate=2).n_steps == 0


def test_without_shadows_there_is_nothing(store):
    write_forecasts(store, [_batch(12)])
    assert live_errors(store, "load", "y", champion=1, candidate=2).n_steps == 0
