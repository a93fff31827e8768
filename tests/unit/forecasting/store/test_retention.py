import numpy as np

from forecasting.store.forecasts import ForecastQuery, read_forecasts, write_forecasts
from forecasting.store.history import HistoryQuery, read_history
from forecasting.store.observations import ObservationRows, write_observations
from forecasting.store.packing import BLOCK_STEPS, GridSpec
from forecasting.store.retention import KEEP_POSTS_S, prune
from forecasting.store.retrain_asking import AskingLimitsSpec, RequestSource, RetrainReasonSpec, ask_for_retraining
from forecasting.store.retrain_requests import (
    RequestState,
    claim_request,
    finish_request,
    retrain_requests,
)
from tests.unit.forecasting.store.stores import DAY, HOUR, NOON, batch

GRID = GridSpec(HOUR, 0)
LONG = 400 * DAY


def write_values(store, steps: list[int], known_at: int = 10, number: float = 1, **settings) -> None:
    n = len(steps)
    rows = ObservationRows(
        model="load", series=("a",), names=("y",), series_at=np.zeros(n, np.int64), name_at=np.zeros(n, np.int64),
        time=NOON + HOUR * np.array(steps), number=np.full(n, number), known_at=np.full(n, known_at),
    )  # fmt: skip
    write_observations(store, rows, GRID, now=NOON, **settings)


def values(store, start: int, n_steps: int, known_by: int | None = None) -> list[float]:
    query = HistoryQuery(model="load", series=("a",), names=("y",), grid=GRID, start=NOON + start * HOUR, n_steps=n_steps, known_by=known_by)  # fmt: skip
    return read_history(store, query).numbers[0, :, 0].tolist()


def prune_at(store, now: int, **settings):
    return prune(store, **{"keep_forecasts_s": None, "keep_observations_s": None, **settings}, now=now)


def test_forecasts_that_are_old_go_and_others_stay(store):
    write_forecasts(store, [batch(created_at=NOON), batch(created_at=NOON + 60 * DAY, request="r2")])
    report = prune_at(store, NOON + 100 * DAY, keep_forecasts_s=50 * DAY, at_once=1)
    assert {found.request for found in read_forecasts(store, ForecastQuery(model="load"))} == {"r2"}
    assert report.rows == {"forecasts": 2} or f"forecasts_{NOON // (7 * DAY) * 7 * DAY}" in report.partitions


def test_without_a_limit_all_stays(store):
    write_forecasts(store, [batch()])
    write_values(store, [0])
    report = prune_at(store, NOON + LONG)
    assert report.rows == {"observation_changes": 1}, "what changed is of no use by then, the values stay"
    assert report.partitions == ()
    assert len(read_forecasts(store, ForecastQuery(model="load"))) == 2


def test_observations_go_once_all_steps_of_their_block_are_old(store):
    long_ago = -100 * BLOCK_STEPS
    write_values(store, [long_ago, 0])
    write_values(store, [long_ago, 0], known_at=20, number=2)
    report = prune_at(store, NOON + 10 * DAY, keep_observations_s=9 * DAY)
    assert report.rows["superseded_observations"] == 2
    assert values(store, long_ago, 1) != [2]
    assert values(store, 0, 1) == [2]
    prune_at(store, NOON + LONG, keep_observations_s=9 * DAY)
    assert values(store, 0, 1) != [2]


def test_a_block_that_is_partly_old_stays_whole(store):
    write_values(store, [0])
    prune_at(store, NOON + 10 * DAY, keep_observations_s=10 * DAY - HOUR)
    assert values(store, 0, 1) == [1]


def test_idempotency_keys_and_changes_are_forgotten_after_a_week(store):
    write_values(store, [0], idempotency_key="k", digest="d")
    assert prune_at(store, NOON + KEEP_POSTS_S).rows == {}
    assert prune_at(store, NOON + KEEP_POSTS_S + 1).rows == {"observation_posts": 1, "observation_changes": 1}


def test_only_closed_requests_go(store):
    for key in ("a", "b"):
        asked = RetrainReasonSpec(model="load", source=RequestSource.HAND, reason="drift", dedup_key=key)
        ask_for_retraining(store, asked, AskingLimitsSpec(cooldown_s=0, max_per_day=9), now=NOON)
    held = claim_request(store, "w", now=NOON, lease_s=60)
    finish_request(store, held, RequestState.DONE, detail="", now=NOON)
    assert prune_at(store, NOON + LONG, keep_forecasts_s=DAY).rows == {"retrain_requests": 1}
    assert [found.dedup_key for found in retrain_requests(store)] == ["b"]
