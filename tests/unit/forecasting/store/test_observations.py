from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from forecasting.errors import ConfigError, DataError
from forecasting.observed_history import NOT_OBSERVED
from forecasting.store.history import HistoryQuery, last_observed, read_cells, read_history
from forecasting.store.observations import ObservationRows, ObservationsReport, observation_revision, write_observations
from forecasting.store.packing import BLOCK_STEPS, GridSpec
from tests.unit.forecasting.store.stores import HOUR, NOON

GRID = GridSpec(HOUR, 0)
NAN = float("nan")
LATER = NOON + 1000 * HOUR


def rows(*values: tuple, model: str = "load") -> ObservationRows:
    """Rows (series, column, step, number, known_at); steps are hours after noon."""
    series, names = (tuple(dict.fromkeys(one[place] for one in values)) for place in (0, 1))
    return ObservationRows(
        model=model,
        series=series,
        names=names,
        series_at=np.array([series.index(one[0]) for one in values]),
        name_at=np.array([names.index(one[1]) for one in values]),
        time=NOON + HOUR * np.array([one[2] for one in values], np.int64),
        number=np.array([one[3] for one in values], float),
        known_at=np.array([one[4] for one in values], np.int64),
    )


def write(store, *values: tuple, **settings) -> ObservationsReport:
    return write_observations(store, rows(*values), GRID, now=LATER, **settings)


def read(store, series=("a",), names=("y",), start=0, n_steps=3, known_by=None, model="load"):
    query = HistoryQuery(model=model, series=series, names=names, grid=GRID, start=NOON + start * HOUR, n_steps=n_steps, known_by=known_by)  # fmt: skip
    return read_history(store, query)


def values_of(store, **query) -> list[float]:
    """Of the first series and column."""
    return read(store, **query).numbers[0, :, 0].tolist()


def test_values_come_back_by_series_step_and_column(store):
    report = write(store, ("a", "y", 0, 1, 10), ("b", "x", 1, 2, 11), ("b", "y", 2, 3, 12))
    assert report == ObservationsReport(new=3, restated=0, late=0, unchanged=0)
    found = read(store, series=("b", "nobody", "a"), names=("y", "x"))
    np.testing.assert_array_equal(found.numbers[0], [[NAN, NAN], [NAN, 2], [3, NAN]])
    np.testing.assert_array_equal(found.numbers[1], np.full((3, 2), NAN))
    np.testing.assert_array_equal(found.numbers[2], [[1, NAN], [NAN, NAN], [NAN, NAN]])
    assert found.known_at[0].tolist() == [[NOT_OBSERVED] * 2, [NOT_OBSERVED, 11], [12, NOT_OBSERVED]]


def test_models_grids_and_columns_are_apart(store):
    write(store, ("a", "y", 0, 1, 10))
    write_observations(store, rows(("a", "y", 0, 2, 10), model="price"), GRID, now=LATER)
    half_past = GridSpec(HOUR, 1800)
    shifted = rows(("a", "y", 0, 3, 10))
    shifted.time[:] += 1800
    write_observations(store, shifted, half_past, now=LATER)
    assert values_of(store, n_steps=1) == [1]
    assert values_of(store, n_steps=1, model="price") == [2]
    query = HistoryQuery(model="load", series=("a",), names=("y",), grid=half_past, start=NOON + 1800, n_steps=1)
    assert read_history(store, query).numbers.tolist() == [[[3]]]


def test_writing_the_same_again_changes_nothing(store):
    write(store, ("a", "y", 0, 1, 10), ("a", "y", 1, NAN, 10))
    report = write(store, ("a", "y", 0, 1, 99), ("a", "y", 1, NAN, 10))
    assert report == ObservationsReport(new=0, restated=0, late=0, unchanged=2)
    assert read(store).known_at[0, :2, 0].tolist() == [10, 10]


def test_a_restated_value_stands_and_the_one_before_it_is_kept(store):
    write(store, ("a", "y", 0, 1, 10))
    assert write(store, ("a", "y", 0, 2, 20)) == ObservationsReport(new=0, restated=1, late=0, unchanged=0)
    assert write(store, ("a", "y", 0, NAN, 30)).restated == 1
    assert values_of(store, known_by=19, n_steps=1) == [1]
    assert values_of(store, known_by=20, n_steps=1) == [2]
    assert values_of(store, known_by=9, n_steps=1) == pytest.approx([NAN], nan_ok=True)
    assert read(store, n_steps=1).known_at.tolist() == [[[30]]]
    assert values_of(store, n_steps=1) == pytest.approx([NAN], nan_ok=True)


def test_a_late_word_of_an_earlier_time_does_not_stand_and_is_kept(store):
    write(store, ("a", "y", 0, 2, 20))
    assert write(store, ("a", "y", 0, 1, 10)) == ObservationsReport(new=0, restated=0, late=1, unchanged=0)
    assert values_of(store, n_steps=1) == [2]
    assert values_of(store, known_by=15, n_steps=1) == [1]
    assert read(store, known_by=15, n_steps=1).known_at.tolist() == [[[10]]]


def test_of_two_values_of_one_known_at_the_one_written_last_stands(store):
    write(store, ("a", "y", 0, 1, 10))
    assert write(store, ("a", "y", 0, 2, 10)).restated == 1
    assert values_of(store, n_steps=1) == [2]
    assert values_of(store, known_by=10, n_steps=1) == [2]


def test_one_write_may_hold_the_whole_history_of_a_step(store):
    report = write(store, ("a", "y", 0, 3, 30), ("a", "y", 0, 1, 10), ("a", "y", 0, 2, 20))
    assert report == ObservationsReport(new=1, restated=2, late=0, unchanged=0)
    assert [values_of(store, known_by=time, n_steps=1)[0] for time in (10, 25, 30)] == [1, 2, 3]


def test_steps_of_many_blocks_come_back_in_their_order(store):
    steps = [0, BLOCK_STEPS - 1, BLOCK_STEPS, 3 * BLOCK_STEPS + 5, -BLOCK_STEPS]
    write(store, *(("a", "y", step, step, 10) for step in steps))
    found = values_of(store, start=-2 * BLOCK_STEPS + 3, n_steps=6 * BLOCK_STEPS)
    present = {place - 2 * BLOCK_STEPS + 3: number for place, number in enumerate(found) if number == number}
    assert present == {step: step for step in steps}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (("b", "y", 0.5, 1, 10), r"row 1 \(series 'b', column 'y', time \d+\) must lie on the grid of 3600 s"),
        (("b", "y", 0, float("inf"), 10), "row 1 .* must be finite"),
        (("b", "y", 0, 1, NOT_OBSERVED), "row 1 .* must be known at a time"),
        (("a", "y", 0, 2, 10), "rows 0 and 1 .* must say the same, or become known at different times"),
    ],
)
def test_a_row_that_cannot_be_written_is_named_and_nothing_is_written(store, bad, message):
    wrong = rows(("a", "y", 0, 1, 10), (*bad[:2], 0, *bad[3:]))
    wrong.time[1] = NOON + int(HOUR * bad[2])
    with pytest.raises(DataError, match=message):
        write_observations(store, wrong, GRID, now=LATER)
    assert values_of(store, n_steps=1) == pytest.approx([NAN], nan_ok=True)


def test_a_key_that_was_seen_writes_nothing_more(store):
    assert write(store, ("a", "y", 0, 1, 10), idempotency_key="k", digest="d1").new == 1
    write(store, ("a", "y", 0, 2, 20))
    again = write(store, ("a", "y", 0, 1, 30), idempotency_key="k", digest="d1")
    assert again == ObservationsReport(0, 0, 0, 0, repeated=True)
    assert values_of(store, n_steps=1) == [2]


def test_a_key_that_was_used_with_another_content_is_refused(store):
    write(store, ("a", "y", 0, 1, 10), idempotency_key="k", digest="d1")
    with pytest.raises(ConfigError, match="idempotency key 'k' must stand for one content"):
        write(store, ("a", "y", 0, 2, 20), idempotency_key="k", digest="d2")


def test_the_revision_counts_writes_that_changed_what_stands(store):
    assert observation_revision(store, "load") == 0
    write(store, ("a", "y", 0, 1, 10), ("a", "y", 1, 1, 10))
    write(store, ("a", "y", 0, 1, 10))
    write(store, ("a", "y", 0, 5, 9))
    assert observation_revision(store, "load") == 1
    write(store, ("a", "y", 0, 2, 20))
    assert observation_revision(store, "load") == 2
    assert observation_revision(store, "price") == 0


def test_cells_come_with_their_series_from_a_step_on(store):
    write(store, ("a", "y", 0, 1, 10), ("b", "x", 200, 2, 11), ("b", "y", 300, NAN, 12), ("c", "z", 0, 9, 10))
    write_observations(store, rows(("a", "y", 0, 5, 10), model="price"), GRID, now=LATER)
    found = read_cells(store, "load", ("x", "y"), GRID, since=NOON)
    told = {
        (found.series[s], found.names[c], (time - NOON) // HOUR, known_at): number
        for s, c, time, number, known_at in zip(found.series_at.tolist(), found.name_at.tolist(), found.time.tolist(), found.number.tolist(), found.known_at.tolist(), strict=True)
    }  # fmt: skip
    assert told == pytest.approx({("a", "y", 0, 10): 1, ("b", "x", 200, 11): 2, ("b", "y", 300, 12): NAN}, nan_ok=True)
    assert len(read_cells(store, "load", ("x", "y"), GRID, since=NOON + 201 * HOUR)) == 1
    only = read_cells(store, "load", ("x", "y"), GRID, since=NOON, series=("a", "nobody"))
    assert [only.series[s] for s in only.series_at] == ["a"]
    assert len(read_cells(store, "load", ("x", "y"), GridSpec(HOUR, 60), since=NOON)) == 0


def test_cells_of_an_earlier_time_are_what_was_known_then(store):
    write(store, ("a", "y", 0, 1, 10), ("a", "y", 1, 2, 10), ("a", "y", 300, 3, 10), ("b", "y", 0, 4, 10))
    write(store, ("a", "y", 0, 5, 20), ("a", "y", 300, NAN, 20), ("a", "y", 2, 6, 20), ("b", "y", 0, 7, 20))
    write(store, ("a", "y", 0, 8, 30), ("b", "y", 400, 9, 30))

    def told(known_by):
        found = read_cells(store, "load", ("y",), GRID, since=NOON, known_by=known_by)
        ids, steps = [found.series[at] for at in found.series_at], ((found.time - NOON) // HOUR).tolist()
        return dict(zip(zip(ids, steps, strict=True), found.number.tolist(), strict=True))

    def last(known_by):
        found = last_observed(store, "load", "y", before=NOON + 1000 * HOUR, known_by=known_by)
        return None if found is None else (found - NOON) // HOUR

    assert told(10) == {("a", 0): 1, ("a", 1): 2, ("a", 300): 3, ("b", 0): 4}
    assert told(20) == pytest.approx({("a", 0): 5, ("a", 1): 2, ("a", 300): NAN, ("a", 2): 6, ("b", 0): 7}, nan_ok=True)
    assert told(9) == {}
    assert [last(known_by) for known_by in (9, 10, 20, 30, None)] == [None, 300, 2, 400, 400]


def test_many_series_are_read_as_a_few_are(store):
    write(store, *((f"s{n}", "y", 0, n, 10) for n in range(600)), ("elsewhere", "y", 0, -1, 10))
    names = tuple(f"s{n}" for n in reversed(range(600)))
    assert read(store, series=names, n_steps=1).numbers[:, 0, 0].tolist() == list(reversed(range(600)))


def test_writers_of_one_block_lose_nothing_of_each_other(store):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda step: write(store, ("a", "y", step, step, 10), ("b", "y", step, step, 10)), range(40)))
    assert values_of(store, n_steps=40) == list(range(40))


def test_any_order_of_writes_ends_in_what_was_known_last(store):
    rng = np.random.default_rng(3)
    told: dict[int, dict[int, float]] = defaultdict(dict)
    for number in rng.permutation(60).tolist():
        step, known_at = number % 6, 10 + number // 6
        told[step][known_at] = float(number)
        write(store, ("a", "y", step, number, known_at))
    for known_by in (9, 12, 15, 19, None):
        wanted = [
            next((told[step][time] for time in sorted(told[step], reverse=True) if known_by is None or time <= known_by), NAN)
            for step in range(6)
        ]  # fmt: skip
        np.testing.assert_array_equal(values_of(store, n_steps=6, known_by=known_by), wanted)
