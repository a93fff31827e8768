"""What was known when: by hand, against brute force, and through the file."""

import numpy as np
import pytest

from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.series_store import SeriesReader, read_series_store
from forecasting.vintages import NEVER, SeriesVintages, VintagesReader, VintagesWriter, no_vintages
from tests.unit.features.feature_specs import HOUR_S, START
from tests.unit.forecasting.series_stores import write_series_store
from tests.unit.forecasting.vintage_tables import issued_series, random_vintages

HAND = SeriesVintages(
    ("temperature",),
    timestamp=np.asarray([0, 3600, 3600, 3600, 7200]),
    issued_at=np.asarray([-50, -50, 1800, 3600, 3600]),
    values=np.asarray([[1.0], [2.0], [2.5], [2.6], [3.0]]),
)


@pytest.mark.parametrize(
    ("origin", "known"),
    [
        (0, [1.0, 2.0, np.nan]),
        (3600, [2.6, 3.0, np.nan]),
        (-3600, [np.nan, np.nan, np.nan]),
        (7200, [3.0, np.nan, np.nan]),
        (36_000, [np.nan, np.nan, np.nan]),
    ],
)
def test_the_value_of_a_step_is_the_one_issued_last_up_to_the_origin(origin, known):
    np.testing.assert_array_equal(HAND.known_at(np.asarray([origin]), 3, 3600)[0, :, 0], known)


def test_an_issue_at_the_origin_itself_is_known_and_one_a_second_later_is_not():
    late = SeriesVintages(("x",), np.asarray([10, 10]), np.asarray([5, 10]), np.asarray([[1.0], [2.0]]))
    assert late.known_at(np.asarray([10]), 1, 1).item() == 2.0
    later = SeriesVintages(("x",), np.asarray([10, 10]), np.asarray([5, 11]), np.asarray([[1.0], [2.0]]))
    assert later.known_at(np.asarray([10]), 1, 1).item() == 1.0


def test_the_past_is_what_stood_when_a_step_came():
    assert HAND.standing(np.asarray([0, 3600, 7200])).ravel().tolist() == [1.0, 2.6, 3.0]


def test_the_first_issue_of_a_step_is_told_and_never_for_a_step_without_one():
    assert HAND.first_issued(np.asarray([0, 3600, 7200, 10_800])).ravel().tolist() == [-50, -50, 3600, NEVER]


def test_a_column_that_an_issue_lacks_is_not_first_issued_by_it():
    two = SeriesVintages(("x", "y"), np.asarray([7, 7]), np.asarray([1, 2]), np.asarray([[1.0, np.nan], [1.0, 2.0]]))
    assert two.first_issued(np.asarray([7])).tolist() == [[1, 2]]


def test_where_nothing_was_issued_nothing_is_known():
    nothing = no_vintages(("x", "y"))
    assert np.isnan(nothing.known_at(np.asarray([0, 9]), 3, 1)).all()
    assert (nothing.first_issued(np.asarray([0, 9])) == NEVER).all()


@pytest.mark.parametrize("seed", range(6))
def test_what_was_known_equals_brute_force(seed):
    vintages = random_vintages(120, seed=seed)
    origins = START + HOUR_S * np.arange(-5, 130)
    known = vintages.known_at(origins, 24, HOUR_S)
    expected = np.full((len(origins), 24), np.nan)
    for b, origin in enumerate(origins.tolist()):
        for h in range(24):
            rows = np.flatnonzero((vintages.timestamp == origin + h * HOUR_S) & (vintages.issued_at <= origin))
            if len(rows):
                expected[b, h] = vintages.values[rows[np.argmax(vintages.issued_at[rows])], 0]
    assert np.isfinite(expected).sum() > 500
    np.testing.assert_array_equal(known[..., 0], expected)


def test_a_series_store_keeps_the_vintages_of_each_series(tmp_path):
    split = SplitSpec(START + 200 * HOUR_S, START + 300 * HOUR_S, START + 400 * HOUR_S)
    spec = SeriesSpec("load", ("wind",), ("temperature",), (), {}, HOUR_S, split, vintages=("temperature",))
    first, last = issued_series(seed=1), issued_series(seed=2)
    empty = Series("b", START, first.values, vintages=no_vintages(("temperature",)))
    series = (first, empty, Series("c", START, last.values, vintages=last.vintages))
    write_series_store(SeriesStore(spec, series), tmp_path)
    reader, store = SeriesReader(tmp_path), read_series_store(tmp_path)
    assert store.spec == spec
    for n, one in enumerate(series):
        for found in (reader.series(n), store.series[n]):
            assert found.vintages.columns == ("temperature",)
            for field in ("timestamp", "issued_at", "values"):
                np.testing.assert_array_equal(getattr(found.vintages, field), getattr(one.vintages, field))


def test_vintages_of_every_series_are_written_once(tmp_path):
    shared = SeriesVintages(("x",), np.asarray([7]), np.asarray([1]), np.asarray([[2.0]]), shared=True)
    writer = VintagesWriter(tmp_path / "v.parquet", ("x",))
    for name in ("a", "b", "c"):
        writer.append(name, shared)
    writer.close()
    reader = VintagesReader(tmp_path / "v.parquet")
    assert reader.vintages(0) is reader.vintages(2)
    assert reader.vintages(2).values.tolist() == [[2.0]]
    assert reader.vintages(2).shared


def test_vintages_that_fill_several_row_groups_are_read_back(tmp_path):
    n = 200_000
    writer = VintagesWriter(tmp_path / "v.parquet", ("x",))
    for k, name in enumerate(("a", "b", "c")):
        stamps = np.arange(n, dtype=np.int64) * 3600
        writer.append(name, SeriesVintages(("x",), stamps, stamps - 60, np.full((n, 1), float(k))))
    writer.close()
    reader = VintagesReader(tmp_path / "v.parquet")
    for k in range(3):
        found = reader.vintages(k)
        assert len(found) == n
        assert (found.values == k).all()
        assert (found.timestamp[0], found.timestamp[-1]) == (0, (n - 1) * 3600)


def test_a_store_without_vintages_has_no_file_of_them(tmp_path):
    split = SplitSpec(START + 200 * HOUR_S, START + 300 * HOUR_S, START + 400 * HOUR_S)
    spec = SeriesSpec("load", ("wind",), ("temperature",), (), {}, HOUR_S, split)
    write_series_store(SeriesStore(spec, (issued_series(),)), tmp_path)
    assert not (tmp_path / "vintages.parquet").exists()
    assert read_series_store(tmp_path).series[0].vintages is None
