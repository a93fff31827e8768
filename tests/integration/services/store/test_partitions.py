"""What only PostgreSQL has: partitions by time."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from forecasting.store.forecasts import write_forecasts
from forecasting.store.partitions import (
    FORECAST_PARTS,
    OBSERVATION_PARTS,
    PartitionSpec,
    drop_partitions,
    ensure_partitions,
    partition_starts,
)
from forecasting.store.retention import prune
from serving.gateway.observed import ObservedHistory
from tests.unit.forecasting.store.stores import DAY, HOUR, NOON, batch
from tests.unit.forecasting.store.test_retention import write_values
from tests.unit.serving.test_observed import CUTOFF, post, served, told

pytestmark = pytest.mark.services
WEEK = 7 * DAY
THIS_WEEK = NOON // WEEK * WEEK


def starts(store, spec: PartitionSpec) -> list[int]:
    with store.reading() as connection:
        return partition_starts(connection, spec)


def test_forecasts_of_a_week_have_a_partition_and_the_next_one_is_there_before_it_is_needed(store):
    write_forecasts(store, [batch()])
    assert starts(store, FORECAST_PARTS) == [THIS_WEEK, THIS_WEEK + WEEK]
    write_forecasts(store, [batch(created_at=NOON + WEEK)])
    assert starts(store, FORECAST_PARTS) == [THIS_WEEK, THIS_WEEK + WEEK, THIS_WEEK + 2 * WEEK]


def test_observations_of_long_ago_and_before_1970_have_partitions_of_their_own(store):
    long_ago = -(NOON // HOUR) - 200 * 24
    write_values(store, [0, long_ago])
    first, second = starts(store, OBSERVATION_PARTS)
    assert first < 0 < second <= NOON < second + 91 * DAY


def test_pruning_drops_whole_partitions_and_only_those(store):
    write_forecasts(store, [batch(created_at=NOON + week * WEEK) for week in range(4)])
    report = prune(store, keep_forecasts_s=WEEK, keep_observations_s=None, now=NOON + 3 * WEEK)
    assert report.partitions == (f"forecasts_{THIS_WEEK}", f"forecasts_{THIS_WEEK + WEEK}")
    with store.reading() as connection:
        left = connection.execute(text("SELECT min(created_at) FROM forecasts")).scalar_one()
    assert left == NOON + 2 * WEEK


def test_writers_that_need_the_same_partition_make_it_once(store):
    def make(_turn: int) -> None:
        with store.writing() as connection:
            ensure_partitions(connection, FORECAST_PARTS, [NOON, NOON + WEEK])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(make, range(8)))
    assert starts(store, FORECAST_PARTS) == [THIS_WEEK, THIS_WEEK + WEEK]


def test_a_query_by_time_reads_the_partitions_of_that_time(store):
    write_forecasts(store, [batch(created_at=NOON + week * WEEK) for week in range(4)])
    with store.reading() as connection:
        rows = connection.execute(text(f"EXPLAIN SELECT * FROM forecasts WHERE created_at >= {NOON + 3 * WEEK}"))
        plan = "\n".join(row[0] for row in rows)
    assert f"forecasts_{THIS_WEEK + 3 * WEEK}" in plan
    assert f"forecasts_{THIS_WEEK}" not in plan


def test_who_prunes_while_another_one_does_waits_and_finds_nothing_left(store):
    write_forecasts(store, [batch(created_at=NOON + week * WEEK) for week in range(4)])
    waiting, pause, ends = "SELECT count(*) FROM pg_locks WHERE NOT granted", threading.Event(), time.monotonic() + 60
    with ThreadPoolExecutor(1) as thread:
        with store.writing() as first:
            dropped = drop_partitions(first, FORECAST_PARTS, NOON + 2 * WEEK)
            second = thread.submit(prune, store, keep_forecasts_s=WEEK, keep_observations_s=None, now=NOON + 3 * WEEK)
            while not first.execute(text(waiting)).scalar_one():
                assert time.monotonic() < ends, "the second one waits for nothing"
                pause.wait(0.01)
        assert second.result(60).partitions == ()
    assert dropped == [f"forecasts_{THIS_WEEK}", f"forecasts_{THIS_WEEK + WEEK}"]


def test_observations_are_looked_for_again_after_an_error_of_the_database(store, caplog):
    post(store, ("a", "Demand", 10, 1, CUTOFF + 1))
    with store.writing() as connection:
        connection.execute(text("ALTER TABLE observation_revisions RENAME TO elsewhere"))

    async def follow() -> tuple[object, object]:
        history, model = ObservedHistory(store, "tiny", look_s=0.01), served()
        without = await history.of(model)
        with store.writing() as connection:
            connection.execute(text("ALTER TABLE elsewhere RENAME TO observation_revisions"))
        history.start()
        async with asyncio.timeout(60):
            while (found := await history.of(model)) is None:
                await asyncio.sleep(0.01)
        await history.close()
        return without, told(found, "a")

    assert asyncio.run(follow()) == (None, {10: {"Demand": 1}})
    assert "observations are not read" in caplog.text
