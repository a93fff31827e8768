"""Times in other forms than ISO 8601, and times of several columns."""

from datetime import UTC, date, datetime, time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.validation.sources import SourceTable
from components.validation.sources.table import RowPlaces
from components.validation.times import parse_times
from components.validation.validate_data import validate_data
from forecasting.config.table import DataConfig
from forecasting.errors import ConfigError, DataError
from forecasting.series_store import read_series_store
from tests.unit.validation.tables import hourly_lines, write_table

EVENING = 1_556_731_800  # 2019-05-01 17:30 UTC
MAY = 1_556_668_800  # 2019-05-01 00:00 UTC


def seconds(settings: dict[str, object], **columns: object) -> list[int]:
    data = DataConfig.model_validate({"time_column": "time", "time_zone": "UTC", **settings})
    source = SourceTable("t.csv", pa.table(columns), places=RowPlaces("line", 2))
    return parse_times(source, data, np.zeros(source.table.num_rows, dtype=np.int64)).seconds.tolist()


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%d/%m/%Y %H:%M", "01/05/2019 17:30"),
        ("%d/%m/%y %H:%M", "1/5/19 17:30"),
        ("%m/%d/%Y %I:%M %p", " 5/1/2019 5:30 PM "),
        ("%d.%m.%Y %H:%M:%S", "01.05.2019 17:30:00"),
        ("%d %b %Y %H:%M", "1 May 2019 17:30"),
        ("%d/%m/%Y %H:%M %z", "01/05/2019 19:30 +0200"),
        ("%Y%j%H%M", "20191211730"),
    ],
)
def test_a_time_is_read_in_the_form_that_is_stated(form: str, text: str):
    assert seconds({"time_format": form}, time=[text]) == [EVENING]


def test_whole_numbers_of_a_typed_column_may_have_a_form():
    assert seconds({"time_format": "%Y%m%d"}, time=pa.array([20190501])) == [MAY]


def test_a_form_decides_what_comes_first_and_the_first_row_that_does_not_fit_is_named():
    assert seconds({"time_format": "%d/%m/%Y"}, time=["01/05/2019"]) == [MAY]
    message = (
        r"t.csv: column 'time' must hold times of the form %m/%d/%Y \(data.time_format\), such as 01/31/2014; "
        r"line 3 has '13/05/2019' \(2 such rows\)"
    )
    with pytest.raises(DataError, match=message):
        seconds({"time_format": "%m/%d/%Y"}, time=["12/05/2019", "13/05/2019", "14/05/2019"])


def test_without_a_form_times_are_in_iso_8601_and_the_setting_is_named():
    with pytest.raises(
        DataError, match=r"line 2 has '31/05/2019'; where all are of another form, name it by data.time_format"
    ):
        seconds({}, time=["31/05/2019"])


def test_a_form_of_typed_times_is_refused():
    with pytest.raises(DataError, match=r"data.time_format is of times that are text, and column 'time' holds date32"):
        seconds({"time_format": "%d/%m/%Y"}, time=[date(2019, 5, 1)])


@pytest.mark.parametrize(
    ("parts", "columns"),
    [
        ({"date": "d", "hour": "h"}, {"d": [" 2019-05-01 "], "h": [" 17"]}),
        ({"date": "d", "hour": "h"}, {"d": [date(2019, 5, 1)], "h": [17.0]}),
        ({"year": "y", "month": "m", "day": "d", "hour": "h"}, {"y": ["2019"], "m": ["5"], "d": ["1"], "h": ["17"]}),
        ({"year": "y", "month": "m", "day": "d", "hour": "h"}, {"y": [2019], "m": [5], "d": [1], "h": [17]}),
    ],
)  # fmt: skip
def test_a_date_and_an_hour_are_a_time(parts: dict[str, str], columns: dict[str, list[object]]):
    assert seconds({"time_parts": parts}, **columns) == [EVENING - 1_800]


def test_minutes_and_days_without_an_hour_are_times_too():
    columns = {"y": [2019], "m": [5], "d": [1], "h": [17], "n": [30]}
    day = {"year": "y", "month": "m", "day": "d"}
    assert seconds({"time_parts": {**day, "hour": "h", "minute": "n"}}, **columns) == [EVENING]
    assert seconds({"time_parts": day}, **columns) == [MAY]


def test_a_date_and_a_time_of_the_day_are_read_together():
    parts = {"date": "d", "time": "t"}
    assert seconds({"time_parts": parts}, d=["2019-05-01"], t=["17:30"]) == [EVENING]
    assert seconds({"time_parts": parts}, d=[date(2019, 5, 1)], t=[time(17, 30)]) == [EVENING]
    stated = {"time_parts": parts, "time_format": "%d/%m/%Y %H.%M.%S"}
    assert seconds(stated, d=["01/05/2019"], t=["17.30.00"]) == [EVENING]
    with pytest.raises(
        DataError, match=r"columns 'd', 't' must hold times of the form .* line 3 has '01/05/2019 25.00.00'"
    ):
        seconds(stated, d=["01/05/2019"] * 2, t=["17.30.00", "25.00.00"])


def test_a_date_beside_an_hour_may_have_a_form():
    settings = {"time_parts": {"date": "d", "hour": "h"}, "time_format": "%d/%m/%Y"}
    assert seconds(settings, d=["01/05/2019"], h=["17"]) == [EVENING - 1_800]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"d": ["2019-05-01"], "h": ["24"]}, r"column 'h' must hold whole numbers from 0 to 23, .* line 2 has '24'"),
        ({"d": ["2019-05-01"], "h": ["1.5"]}, r"column 'h' must hold whole numbers .* line 2 has '1.5'"),
        ({"d": ["2019-05-01"], "h": [""]}, r"column 'h' must hold whole numbers .* line 2 has ''"),
        (
            {"d": ["2019-05-01T05:00"], "h": ["1"]},
            r"column 'd' must hold dates alone, .* line 2 has '2019-05-01T05:00'",
        ),
        ({"d": ["2019-05-01T00:00Z"], "h": ["1"]}, r"column 'd' must hold dates alone"),
        ({"d": pa.array([None], pa.string()), "h": ["1"]}, r"column 'd' must hold ISO 8601 times .* line 2 has None"),
    ],
)
def test_a_part_that_does_not_fit_is_named_with_its_row(columns: dict[str, object], message: str):
    with pytest.raises(DataError, match=message):
        seconds({"time_parts": {"date": "d", "hour": "h"}}, **columns)


def test_a_day_that_no_calendar_has_is_named_with_its_row():
    with pytest.raises(DataError, match=r"columns 'y', 'm', 'd' must be a day of the calendar; line 3 has '2019 2 29'"):
        seconds({"time_parts": {"year": "y", "month": "m", "day": "d"}}, y=[2020, 2019], m=[2, 2], d=[29, 29])


def test_the_hour_that_a_clock_shows_twice_is_read_in_the_order_of_rows():
    settings = {"time_parts": {"date": "d", "hour": "h"}, "time_zone": "Europe/Berlin"}
    found = seconds(settings, d=["2023-10-29"] * 4, h=["1", "2", "2", "3"])
    assert np.diff(found).tolist() == [3_600, 3_600, 3_600]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"time_format": "%d/%m"}, r"must tell year, month and day, such as %d/%m/%Y, found '%d/%m'"),
        ({"time_format": "%d/%m/%Y %Q"}, r"must be a form of strptime such as %d/%m/%Y %H:%M, found '%d/%m/%Y %Q'"),
        ({"time_parts": {"hour": "h"}}, r"time_parts must have date, or year, month and day"),
        ({"time_parts": {"date": "d", "year": "y", "hour": "h"}}, r"time_parts must have date, or year, month and day"),
        ({"time_parts": {"year": "y", "month": "m"}}, r"time_parts must have date, or year, month and day"),
        ({"time_parts": {"date": "d"}}, r"a date alone is time_column"),
        ({"time_parts": {"date": "d", "time": "t", "hour": "h"}}, r"needs date, and no hour beside it"),
        ({"time_parts": {"date": "d", "time": "t", "minute": "n"}}, r"minute of time_parts needs hour"),
        ({"time_parts": {"date": "d", "hour": "d"}}, r"must name each column once"),
        ({"time_parts": {"year": "y", "month": "m", "day": "d"}, "time_format": "%d/%m/%Y"}, r"time_format is of text"),
        (
            {
                "time_parts": {"date": "d", "hour": "h"},
                "known": ["wind"],
                "vintages": {"uri": "w.csv", "columns": ["wind"], "shared": True},
            },
            r"vintages needs time_column",
        ),
    ],
)
def test_settings_of_times_that_contradict_each_other_are_refused(make_settings, data, message):
    with pytest.raises(ConfigError, match=message):
        make_settings(data=data)


def stored(make_settings, context, uri: str, name: str, **data: object):
    output = Path(uri).parent / name
    output.mkdir()
    outcome = validate_data(make_settings(uri, data={"time_zone": "UTC", **data}), {}, output, context)
    assert outcome.passed, outcome.summary
    return read_series_store(output)


def test_a_long_and_a_wide_table_of_several_columns_of_time_make_the_same_store_as_one_of_iso_times(
    make_settings, context, tmp_path
):
    lines = [line.split(",") for line in hourly_lines(400)]
    iso = stored(make_settings, context, write_table(tmp_path / "iso.csv", [",".join(line) for line in lines]), "iso")
    moments = [datetime.fromisoformat(line[0]) for line in lines]
    split = [f"{m:%d/%m/%Y}, {m.hour} ,{load},{degrees}" for m, (_, load, degrees) in zip(moments, lines, strict=True)]
    parts = {"time_format": "%d/%m/%Y", "time_parts": {"date": "day", "hour": "hr"}}
    long = stored(
        make_settings, context, write_table(tmp_path / "long.csv", split, " day , hr,load ,degrees"), "long", **parts
    )
    wide = stored(
        make_settings, context, write_table(tmp_path / "wide.csv", split, "day,hr,load_1,load_2"), "wide",
        layout="wide", series_columns=["load_*"], **parts,
    )  # fmt: skip
    (want,), (found,) = iso.series, long.series
    assert (found.start, want.start) == (int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()),) * 2
    np.testing.assert_array_equal(found.values, want.values)
    assert [series.id for series in wide.series] == ["load_1", "load_2"]
    np.testing.assert_array_equal(wide.series[0].values, want.values)


def test_a_row_of_a_later_batch_that_has_no_time_is_named(make_settings, context, tmp_path):
    rows = [f"2024-01-01,{i % 24},1" for i in range(300_000)]
    rows[250_000] = "2024-01-01,x,1"
    settings = make_settings(
        write_table(tmp_path / "t.csv", rows, "day,hr,load"), data={"time_zone": "UTC", "time_parts": {"date": "day", "hour": "hr"}}
    )  # fmt: skip
    with pytest.raises(DataError, match=r"column 'hr' must hold finite numbers; line 250002 has 'x'"):
        validate_data(settings, {}, tmp_path, context)


def test_events_are_in_iso_8601_whatever_the_form_of_the_table(make_settings, context, tmp_path):
    lines = [
        f"{datetime.fromisoformat(line.split(',')[0]):%d/%m/%Y %H:%M},{line.split(',')[1]}"
        for line in hourly_lines(400)
    ]
    events = write_table(tmp_path / "events.csv", ["2024-01-05,2024-01-06"], "start,end")
    store = stored(
        make_settings, context, write_table(tmp_path / "t.csv", lines, "time,load"), "out",
        time_format="%d/%m/%Y %H:%M", events={"uri": events},
    )  # fmt: skip
    assert np.isnan(store.series[0].values[:, 0]).sum() == 24


def test_blanks_around_the_names_of_columns_do_not_count(make_settings, context, tmp_path):
    lines = [line.replace(",", " , ") for line in hourly_lines(400)]
    store = stored(make_settings, context, write_table(tmp_path / "t.csv", lines, " time, load ,temperature "), "out")
    assert store.series[0].values[0, 0] == 100.0
