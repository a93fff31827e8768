import numpy as np

from forecasting.store.observation_changes import ChangedSpansRecord, changed_series
from forecasting.store.observations import ObservationRows, write_observations
from forecasting.store.packing import GridSpec
from tests.unit.forecasting.store.stores import DAY, HOUR, NOON


def _write(store, values, name="y", known_at=NOON, phase_s=0):
    """values: number by series and step."""
    series = tuple(sorted({one for one, _ in values}))
    rows = ObservationRows(
        model="load", series=series, names=(name,), series_at=np.array([series.index(one) for one, _ in values]),
        name_at=np.zeros(len(values), np.int64), time=NOON + phase_s + HOUR * np.array([step for _, step in values]),
        number=np.array(list(values.values()), float), known_at=np.full(len(values), known_at),
    )  # fmt: skip
    write_observations(store, rows, GridSpec.of(HOUR, NOON + phase_s), now=NOON)


def test_what_changed_is_told_by_series_from_its_first_to_its_last_step(store):
    _write(store, {("a", 0): 1, ("a", 5): 2, ("b", 3): 4})
    _write(store, {("a", 0): 1, ("b", 200): 4, ("b", 201): 5})
    _write(store, {("a", 9): 1}, name="load")
    assert changed_series(store, "load", "y", since=0).spans == {
        "a": (NOON, NOON + 5 * HOUR), "b": (NOON + 3 * HOUR, NOON + 201 * HOUR),
    }  # fmt: skip
    found = changed_series(store, "load", "y", since=1)
    assert (found.revision, found.spans) == (3, {"b": (NOON + 200 * HOUR, NOON + 201 * HOUR)})
    assert changed_series(store, "load", "y", since=3).spans == {}
    assert changed_series(store, "load", "y", since=None).spans is None


def test_a_repetition_changes_nothing_and_a_withdrawal_does(store):
    _write(store, {("a", 0): 1})
    _write(store, {("a", 0): 1}, known_at=NOON + DAY)
    assert changed_series(store, "load", "y", since=1).spans == {}
    _write(store, {("a", 0): np.nan}, known_at=NOON + DAY)
    assert changed_series(store, "load", "y", since=1).spans == {"a": (NOON, NOON)}


def test_of_a_revision_that_is_not_kept_nothing_is_known(store):
    _write(store, {("a", 0): 1})
    _write(store, {("a", 1): 1})
    with store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM observation_changes WHERE revision = 1")
    assert changed_series(store, "load", "y", since=0).spans is None
    assert changed_series(store, "load", "y", since=1).spans == {"a": (NOON + HOUR, NOON + HOUR)}


def test_a_series_on_two_grids_has_one_span(store):
    _write(store, {("a", 0): 1})
    _write(store, {("a", 2): 1}, phase_s=600)
    assert changed_series(store, "load", "y", since=0).spans == {"a": (NOON, NOON + 2 * HOUR + 600)}


def test_spans_of_one_column_become_one():
    parts = [
        ChangedSpansRecord.of(*(np.array(one) for one in (k, f, t)))
        for k, f, t in (([3, 1], [5, 7], [6, 8]), ([3], [2], [4]))
    ]
    found = ChangedSpansRecord.together(parts)
    assert [one.tolist() for one in (found.keys, found.first, found.last)] == [[1, 3], [7, 2], [8, 6]]
    assert len(ChangedSpansRecord.together([]).keys) == 0
