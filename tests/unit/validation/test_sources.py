"""Opening a table: what is missing or unreadable gets one line that says so."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.validation.examples import WRITERS, example_table
from components.validation.sources import needed_columns
from forecasting.config.table import DataConfig
from forecasting.errors import ConfigError, DataError
from forecasting.sources import EXAMPLE_FILES
from tests.unit.validation.tables import open_source


def data_config(uri: object, **fields: object) -> DataConfig:
    return DataConfig.model_validate({"uri": str(uri), "time_column": "time", "target": "load", **fields})


def test_a_missing_file_is_named(context, tmp_path):
    with pytest.raises(DataError, match=r"there is none at .*nowhere\.csv"):
        open_source(data_config(tmp_path / "nowhere.csv"), context.home)


def test_a_missing_column_is_named_with_the_nearest(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("time,Load,temp\n2024-01-01T00:00:00Z,1,2\n")
    with pytest.raises(DataError, match=r"must have the column 'load'.*it has time, Load, temp; the nearest is 'Load'"):
        open_source(data_config(path), context.home)


def test_a_column_that_occurs_twice_is_refused(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("time,load,load\n2024-01-01T00:00:00Z,1,2\n")
    with pytest.raises(DataError, match=r"it has 'load' 2 times"):
        open_source(data_config(path), context.home)


@pytest.mark.parametrize("text", ["", "time,load\n"])
def test_an_empty_table_is_refused_in_one_line(context, tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError) as raised:
        open_source(data_config(path), context.home)
    assert "\n" not in str(raised.value)


def test_a_line_with_too_few_fields_is_refused_in_one_line(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("time,load\n2024-01-01T00:00:00Z,1\n2024-01-01T01:00:00Z\n")
    with pytest.raises(DataError, match=r"cannot be read as CSV.*Expected 2 columns, got 1") as raised:
        open_source(data_config(path), context.home)
    assert "\n" not in str(raised.value)


def test_text_that_is_not_utf8_is_refused_in_one_line(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"time,load\n2024-01-01T00:00:00Z,\xff\xfe\n")
    with pytest.raises(DataError, match=r"cannot be read as CSV"):
        open_source(data_config(path), context.home)


def test_a_file_that_only_claims_to_be_parquet_is_refused(context, tmp_path):
    path = tmp_path / "t.parquet"
    path.write_text("time,load\n")
    with pytest.raises(DataError, match=r"cannot be read as Parquet"):
        open_source(data_config(path), context.home)


def test_a_file_of_another_kind_is_a_configuration_error(context, tmp_path):
    path = tmp_path / "t.xlsx"
    path.write_text("")
    with pytest.raises(ConfigError, match=r"must name a file that ends in one of .csv"):
        open_source(data_config(path), context.home)


def test_an_address_of_another_kind_is_a_configuration_error(context):
    with pytest.raises(ConfigError, match=r"s3://, whose package is not installed \(Install s3fs"):
        open_source(data_config("s3://bucket/table.parquet"), context.home)


def test_only_the_named_columns_are_read_and_the_others_are_told(context, tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"note": ["x"], "load": [1.0], "time": ["2024-01-01T00:00:00Z"], "wind": [2.0]}), path)
    source = open_source(data_config(path, observed=["wind"]), context.home)
    assert source.table.column_names == ["time", "load", "wind"]
    assert source.unused_columns == ("note",)


def test_a_file_address_is_a_path(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("time,load\n2024-01-01T00:00:00Z,1\n")
    assert open_source(data_config(f"file://{path}"), context.home).name == str(path)


def test_a_byte_order_mark_is_not_part_of_the_first_name(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbftime,load\n2024-01-01T00:00:00Z,1\n")
    assert open_source(data_config(path), context.home).table.column_names == ["time", "load"]


def test_a_column_with_two_uses_is_read_once():
    data = data_config("t.csv", observed=["out"], censored_by="out", id_columns=["store"], static=["store"])
    assert needed_columns(data) == ("store", "time", "load", "out")


def test_an_unknown_example_is_refused_with_the_names_of_those_there_are(context):
    with pytest.raises(
        ConfigError, match=r"the example 'weather'; there are electricity, electricity/weather_forecasts, retail"
    ):
        open_source(data_config("example://weather"), context.home)


def test_an_example_is_made_once(context):
    path = example_table("example://retail", context.home)
    before = path.stat().st_mtime_ns
    assert example_table("example://retail", context.home) == path
    assert path.stat().st_mtime_ns == before
    assert [found.name for found in context.home.examples.iterdir()] == ["retail.parquet"]


def test_every_example_has_a_file_and_a_way_to_write_it():
    assert sorted(WRITERS) == sorted(EXAMPLE_FILES)
