import numpy as np
import pytest

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


def test_what_the_fallback_answered_is_not_compared(store):
    degraded = np.array([ForecastFlag.DEGRADED], np.int64)
    write_forecasts(store, [_batch(12, flags=degraded), _batch(16, role=ForecastRole.SHADOW, version=2)])
    assert live_errors(store, "load", "y", champion=1, candidate=2).n_steps == 0


def test_without_shadows_there_is_nothing(store):
    write_forecasts(store, [_batch(12)])
    assert live_errors(store, "load", "y", champion=1, candidate=2).n_steps == 0
