"""Numbers, times and names as people write them."""

from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from components.validation.parsing import parse_ids, parse_numbers
from components.validation.sources import SourceTable
from components.validation.sources.table import RowPlaces
from components.validation.times import parse_times
from forecasting.config.table import DataConfig
from forecasting.errors import DataError


def source_of(*, is_csv: bool = True, **columns: object) -> SourceTable:
    return SourceTable("t.csv", pa.table(columns), places=RowPlaces("line", 2) if is_csv else RowPlaces())


def seconds(source: SourceTable, time_zone: str | None = None, codes: list[int] | None = None) -> list[int]:
    data = DataConfig(time_column="time", time_zone=time_zone)
    series = np.array(codes or [0] * source.table.num_rows)
    return parse_times(source, data, series).seconds.tolist()


def test_words_for_true_false_and_missing_become_numbers():
    words = ["TRUE", "False", "true", "yes", "NO", "1.5", " 2 ", "", "NA", "n/a", "NaN", "null", "-3e2"]
    found = parse_numbers(source_of(x=words), "x")
    nan = float("nan")
    np.testing.assert_array_equal(found, [1, 0, 1, 1, 0, 1.5, 2, nan, nan, nan, nan, nan, -300])


@pytest.mark.parametrize(
    "values",
    [pa.array([1, None, 3], pa.int32()), pa.array([1.0, None, 3.0], pa.float32()), pa.array([Decimal("1.0"), None, Decimal("3.0")]),
     pa.array(["1", None, "3"]), pa.array(["1", "", "3"]).dictionary_encode()],
)  # fmt: skip
def test_typed_columns_become_float64_with_nan_for_missing(values):
    found = parse_numbers(source_of(x=values), "x")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [1, np.nan, 3])


def test_boolean_columns_become_zero_and_one():
    np.testing.assert_array_equal(parse_numbers(source_of(x=[True, False, None]), "x"), [1, 0, np.nan])


def test_a_number_that_cannot_be_read_is_named_with_its_line_and_value():
    with pytest.raises(
        DataError, match=r"t.csv: column 'x' must hold finite numbers; line 3 has '1,5' \(2 such rows\)"
    ):
        parse_numbers(source_of(x=["1", "1,5", "2", "2,5"]), "x")


def test_an_infinite_number_is_refused():
    with pytest.raises(DataError, match=r"row 2 has inf"):
        parse_numbers(source_of(is_csv=False, x=[1.0, float("inf")]), "x")


def test_a_column_of_dates_is_no_column_of_numbers():
    with pytest.raises(DataError, match=r"must hold numbers; it holds date32"):
        parse_numbers(source_of(x=[date(2024, 1, 1)]), "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-01T00:00:00Z", 1_704_067_200),
        ("2024-01-01 00:00:00+00:00", 1_704_067_200),
        ("2024-01-01T11:00+11:00", 1_704_067_200),
        ("2024-01-01T00:00:00.000Z", 1_704_067_200),
        ("2023-12-31T19:00:00-0500", 1_704_067_200),
        ("20240101T000000Z", 1_704_067_200),
        ("20240101T110000+1100", 1_704_067_200),
        ("2024-01-01T00Z", 1_704_067_200),
        ("2024-01-01T02+02", 1_704_067_200),
        ("2023-12-31 19:00-05", 1_704_067_200),
    ],
)
def test_zoned_times_become_utc_seconds(text, expected):
    assert seconds(source_of(time=[text])) == [expected]


@pytest.mark.parametrize("text", ["20240101T110000", "2024-01-01T11", "2024-01-01 11:00", "2024-01-01T11:00:00.000"])
def test_a_time_without_a_zone_is_none_however_it_is_written(text):
    assert seconds(source_of(time=[text]), "Australia/Melbourne") == [1_704_067_200]


@pytest.mark.parametrize("text", ["2024-01-01", "20240101"])
def test_the_dashes_of_a_date_are_no_zone(text):
    assert seconds(source_of(time=[text]), "Australia/Melbourne") == [1_704_067_200 - 11 * 3600]


def test_times_without_a_zone_need_the_setting():
    with pytest.raises(DataError, match=r"has times without a zone, such as 2024-01-01 05:00:00; set data.time_zone"):
        seconds(source_of(time=["2024-01-01T05:00:00"]))


def test_times_without_a_zone_are_read_on_the_clock_of_the_setting():
    assert seconds(source_of(time=["2024-01-01T11:00:00"]), "Australia/Melbourne") == [1_704_067_200]
    assert seconds(source_of(time=["2024-01-01"]), "UTC") == [1_704_067_200]


def test_the_hour_that_a_clock_repeats_is_told_apart_by_order_in_each_series():
    times = ["2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 02:00", "2024-10-27 03:00", "2024-10-27 02:00"]
    found = seconds(source_of(time=times), "Europe/Berlin", codes=[0, 0, 0, 0, 1])
    assert np.diff(found[:4]).tolist() == [3600, 3600, 3600]
    assert found[4] == found[1]


def test_a_time_that_the_clock_skips_is_refused():
    with pytest.raises(DataError, match=r"2024-03-31 02:30:00 in line 3, which the clock of Europe/Berlin skips"):
        seconds(source_of(time=["2024-03-31 01:30", "2024-03-31 02:30"]), "Europe/Berlin")


def test_a_time_that_cannot_be_read_is_named_with_its_line_and_value():
    with pytest.raises(DataError, match=r"column 'time' must hold ISO 8601 times.*; line 4 has '31/01/2024 13:00'"):
        seconds(source_of(time=["2024-01-31T11:00:00Z", "2024-01-31T12:00:00Z", "31/01/2024 13:00"]))


def test_zoned_and_naive_times_do_not_mix():
    with pytest.raises(DataError, match=r"in every row or in none; line 3 has '2024-01-31T12:00:00'"):
        seconds(source_of(time=["2024-01-31T11:00:00Z", "2024-01-31T12:00:00"]), "UTC")


def test_a_missing_time_is_refused():
    with pytest.raises(DataError, match=r"line 3 has ''"):
        seconds(source_of(time=["2024-01-31T11:00:00Z", ""]))
    with pytest.raises(DataError, match=r"row 2 has none"):
        seconds(source_of(is_csv=False, time=[datetime(2024, 1, 31), None]), "UTC")  # noqa: DTZ001


def test_typed_times_keep_their_zone():
    zoned = pa.array([1_704_067_200_000], pa.timestamp("ms", tz="Australia/Melbourne"))
    naive = pa.array([1_704_067_200], pa.timestamp("s"))
    assert seconds(source_of(time=zoned)) == [1_704_067_200]
    assert seconds(source_of(time=naive), "Australia/Melbourne") == [1_704_067_200 - 11 * 3600]


def test_numbers_are_no_times():
    with pytest.raises(DataError, match=r"must hold times .* it holds int64"):
        seconds(source_of(time=[1_704_067_200]))


def test_series_are_named_by_all_id_columns_in_order_of_name():
    found = parse_ids(source_of(a=["x", "b", "x"], b=["1", "2", "2"]), ("a", "b"), single="load")
    assert found.names == ("b/2", "x/1", "x/2")
    assert found.codes.tolist() == [1, 0, 2]


def test_an_id_may_be_a_number_or_the_word_na():
    assert parse_ids(source_of(a=["NA", "DE"]), ("a",), single="load").names == ("DE", "NA")
    assert parse_ids(source_of(a=[7, 12]), ("a",), single="load").names == ("12", "7")


def test_ids_that_join_to_one_name_are_refused():
    with pytest.raises(DataError, match=r"a value contains '/'"):
        parse_ids(source_of(a=["x/y", "x"], b=["z", "y/z"]), ("a", "b"), single="load")


def test_a_missing_id_is_refused():
    with pytest.raises(DataError, match=r"id column 'a' must have a value in every row; line 3 has none"):
        parse_ids(source_of(a=["x", ""]), ("a",), single="load")
