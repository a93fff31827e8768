import numpy as np
import pytest

from forecasting.store.address import store_address
from forecasting.store.forecasts import ForecastRole, write_forecasts
from forecasting.store.given_out import forecasts_given_out
from forecasting.store.opening import open_store
from tests.unit.forecasting.store.stores import HOUR, NOON, batch


@pytest.fixture
def store(tmp_path):
    with open_store(store_address(None, tmp_path / "serving.db")) as found:
        yield found


def _made(origin, created_at, request, **fields):
    """A forecast of three hours of `a`; both times in hours after noon."""
    return batch(
        series=("a",), origins=np.array([NOON + origin * HOUR]), created_at=NOON + created_at * HOUR, request=request,
        **fields,
    )  # fmt: skip


def _read(store, count=9, apart=1):
    return [
        ((one.origin - NOON) // HOUR, one.request)
        for one in forecasts_given_out(store, "load", "a", count=count, apart_s=apart * HOUR)
    ]


def test_of_an_origin_the_first_forecast_is_read(store):
    write_forecasts(store, [_made(0, 2, "later"), _made(0, 1, "first"), _made(1, 2, "next")])
    assert _read(store) == [(0, "first"), (1, "next")]


def test_the_latest_origins_are_read_so_far_apart_that_no_forecasts_overlap(store):
    write_forecasts(store, [_made(origin, origin, f"r{origin}") for origin in range(9)])
    assert _read(store, count=2, apart=3) == [(5, "r5"), (8, "r8")]
    assert _read(store, count=3) == [(6, "r6"), (7, "r7"), (8, "r8")]


def test_what_was_asked_for_after_its_time_is_read_only_where_there_is_nothing_else(store):
    write_forecasts(store, [_made(0, 3, "hindsight")])
    assert _read(store) == [(0, "hindsight")]
    write_forecasts(store, [_made(1, 3, "timely")])
    assert _read(store) == [(1, "timely")]


def test_neither_shadows_nor_other_series_nor_other_models_nor_failures_are_read(store):
    write_forecasts(
        store,
        [
            _made(0, 0, "shadow", role=ForecastRole.SHADOW),
            _made(0, 0, "model", model="other"),
            _made(0, 0, "failed", answers=None),
            batch(series=("b",), request="series"),
            _made(0, 0, "mine", role=ForecastRole.CANDIDATE),
        ],
    )
    assert _read(store) == [(0, "mine")]


def test_a_series_that_nobody_asked_for_has_none(store):
    assert _read(store) == []
