import numpy as np
import pytest

from forecasting.errors import RetryableError
from forecasting.store.forecasts import ForecastQuery, read_forecasts, write_forecasts
from forecasting.store.forecasts_to_score import forecasts_to_score
from forecasting.store.live_scores import (
    MonitorLease,
    MonitorMarkRecord,
    ScoredForecastRecord,
    SumKey,
    claim_lease,
    read_mark,
    read_sums,
    release_lease,
    unpack_scored,
    write_mark,
    write_scores,
)
from forecasting.store.opening import migrate
from tests.unit.forecasting.store.stores import DAY, HOUR, NOON, batch

MINE, OTHER = MonitorLease("load", "first", 60), MonitorLease("load", "second", 60)
POINTS = SumKey(3, "champion", "h1", "forecast_scored_points")
ERROR = SumKey(3, "champion", "h1", "forecast_absolute_error")


def _scored(values, series="a"):
    return ScoredForecastRecord(NOON + 60, "r1", "champion", series, np.array(values, np.float64))


def test_a_second_monitor_waits_until_the_lease_of_the_first_ends(store):
    assert claim_lease(store, MINE, now=NOON) is None
    assert claim_lease(store, OTHER, now=NOON + 59) == "first"
    assert claim_lease(store, OTHER, now=NOON + 60) is None
    assert claim_lease(store, MINE, now=NOON + 61) == "second"


def test_a_lease_is_renewed_by_its_owner_and_free_once_it_is_given_back(store):
    claim_lease(store, MINE, now=NOON)
    assert claim_lease(store, MINE, now=NOON + 50) is None
    assert claim_lease(store, OTHER, now=NOON + 100) == "first"
    release_lease(store, OTHER)
    assert claim_lease(store, OTHER, now=NOON + 101) == "first"
    release_lease(store, MINE)
    assert claim_lease(store, OTHER, now=NOON + 102) is None


def test_models_have_a_lease_each(store):
    claim_lease(store, MINE, now=NOON)
    assert claim_lease(store, MonitorLease("sales", "second", 60), now=NOON) is None


def test_who_lost_the_lease_writes_nothing(store):
    write_forecasts(store, [batch()])
    claim_lease(store, MINE, now=NOON)
    claim_lease(store, OTHER, now=NOON + 60)
    with pytest.raises(RetryableError, match="another monitor scores 'load'"):
        write_scores(store, MINE, [_scored([[1, 2, 3], [1, 2, 3]])], {POINTS: 3.0}, now=NOON + 61)
    assert read_sums(store, "load") == {}
    assert [row.scored for row in _rows(store)] == [None, None]


def test_scores_are_added_and_noted_beside_their_forecasts(store):
    write_forecasts(store, [batch()])
    claim_lease(store, MINE, now=NOON)
    write_scores(store, MINE, [_scored([[1, np.nan, 3], [4, 5, 6]])], {POINTS: 2.0, ERROR: 1.5}, now=NOON)
    write_scores(store, MINE, [], {POINTS: 1.0}, now=NOON + 5)
    sums = read_sums(store, "load")
    assert (sums[POINTS].total, sums[POINTS].updated_at) == (3.0, NOON + 5)
    assert (sums[ERROR].total, sums[ERROR].updated_at) == (1.5, NOON)
    rows = _rows(store)
    found = unpack_scored([row.scored for row in rows], 3)
    np.testing.assert_array_equal(found[[row.series for row in rows].index("a")], [[1, np.nan, 3], [4, 5, 6]])
    assert np.isnan(found[[row.series for row in rows].index("b")]).all()
    assert len(read_forecasts(store, ForecastQuery(model="load"))) == 2


def test_a_sum_that_falls_keeps_its_peak_until_it_has_passed_it(store):
    claim_lease(store, MINE, now=NOON)
    for added in (5.0, -2.0, 1.0):
        write_scores(store, MINE, [], {ERROR: added}, now=NOON)
    assert (read_sums(store, "load")[ERROR].total, read_sums(store, "load")[ERROR].peak) == (4.0, 5.0)
    write_scores(store, MINE, [], {ERROR: 2.5}, now=NOON)
    assert (read_sums(store, "load")[ERROR].total, read_sums(store, "load")[ERROR].peak) == (6.5, 6.5)


def test_forecasts_come_by_origin_in_parts_and_without_those_that_have_no_answer(store):
    later = batch(request="r2", origins=np.array([NOON + DAY, NOON + DAY]), created_at=NOON + DAY)
    empty = batch(request="r3", answers=None, problems=("no past", "no past"))
    write_forecasts(store, [later, batch(), empty])
    parts = list(forecasts_to_score(store, "load", origin_from=None, origin_until=NOON + DAY, at_once=3))
    assert [[row.origin for row in part] for part in parts] == [[NOON, NOON, NOON + DAY], [NOON + DAY]]
    assert _rows(store, origin_from=NOON + 1, origin_until=NOON + DAY)[0].request == "r2"
    assert _rows(store, origin_from=NOON + 1, origin_until=NOON + HOUR) == []


def test_a_store_of_the_version_before_is_brought_up_with_its_forecasts(address, store):
    migrate(store, "0002")
    write_forecasts(store, [batch()])
    migrate(store, "0003")
    assert [row.scored for row in _rows(store)] == [None, None]


def test_a_store_without_marks_is_brought_up_with_its_scores(address, store):
    migrate(store, "0003")
    write_forecasts(store, [batch()])
    claim_lease(store, MINE, now=NOON)
    write_scores(store, MINE, [_scored([[1, 2, 3], [1, 2, 3]])], {POINTS: 3.0}, now=NOON)
    migrate(store, "0004")
    assert read_mark(store, "load") is None
    assert sorted(row.scored is None for row in _rows(store)) == [False, True]


def test_a_mark_is_written_by_whoever_has_the_lease_and_by_nobody_else(store):
    claim_lease(store, MINE, now=NOON)
    write_mark(store, MINE, MonitorMarkRecord(3, "1/a", NOON, 60), now=NOON)
    write_mark(store, MINE, MonitorMarkRecord(4, "1/a", NOON, 60), now=NOON)
    with pytest.raises(RetryableError, match="another monitor scores 'load'"):
        write_mark(store, OTHER, MonitorMarkRecord(9, "1/a", NOON, 60), now=NOON)
    assert read_mark(store, "load") == MonitorMarkRecord(4, "1/a", NOON, 60)


def _rows(store, origin_from=None, origin_until=NOON + DAY):
    parts = forecasts_to_score(store, "load", origin_from=origin_from, origin_until=origin_until, at_once=100)
    return [row for part in parts for row in part]
