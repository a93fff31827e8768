"""CSV files in other dialects: by setting, never by guess."""

import gzip

import numpy as np
import pyarrow as pa
import pytest

from components.validation.parsing import parse_numbers
from components.validation.sources import find_source
from forecasting.config.source import CsvConfig
from forecasting.config.table import DataConfig
from forecasting.errors import DataError
from tests.unit.validation.tables import open_source

GERMAN = "time;load\n2024-01-01T00:00:00Z;12,5\n2024-01-01T01:00:00Z;-3\n"


def data_config(uri: object, **csv: object) -> DataConfig:
    return DataConfig.model_validate({"uri": str(uri), "time_column": "time", "target": "load", "csv": csv})


def loads(uri: object, home: object, **csv: object) -> list[float]:
    return parse_numbers(open_source(data_config(uri, **csv), home), "load").tolist()


def test_a_decimal_comma_is_read_by_setting(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(GERMAN)
    assert loads(path, context.home, delimiter=";", decimal=",") == [12.5, -3.0]


def test_a_point_where_the_decimal_sign_is_a_comma_is_refused_with_row_and_value(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("time;load\n2024-01-01T00:00:00Z;12,5\n2024-01-01T01:00:00Z;1.250\n")
    with pytest.raises(
        DataError, match=r"line 3 has '1\.250'; data\.csv\.decimal is ',' and data\.csv\.thousands None"
    ):
        loads(path, context.home, delimiter=";", decimal=",")


def test_a_comma_is_not_taken_for_a_decimal_sign_unasked(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(GERMAN)
    with pytest.raises(DataError, match=r"line 2 has '12,5'; data\.csv\.decimal is '\.'"):
        loads(path, context.home, delimiter=";")


def test_signs_of_thousands_stand_between_groups_of_three(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("time;load\n2024-01-01T00:00:00Z;1.234.567,25\n2024-01-01T01:00:00Z;999\n2024-01-01T02:00:00Z;\n")
    found = loads(path, context.home, delimiter=";", decimal=",", thousands=".")
    np.testing.assert_array_equal(found, [1234567.25, 999.0, np.nan])


def test_a_decimal_point_is_no_sign_of_thousands(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("time;load\n2024-01-01T00:00:00Z;1.23\n")
    with pytest.raises(DataError, match=r"line 2 has '1\.23'"):
        loads(path, context.home, delimiter=";", decimal=",", thousands=".")


def test_the_setting_of_the_delimiter_is_named_where_a_file_has_another(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(GERMAN.replace(",", "."))
    with pytest.raises(DataError, match=r"one field that holds ';': data\.csv\.delimiter is ','") as raised:
        loads(path, context.home)
    assert "\n" not in str(raised.value)


def test_the_settings_are_named_where_lines_have_another_number_of_fields(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(GERMAN)
    with pytest.raises(DataError, match=r"Expected 1 columns, got 2.*; data\.csv\.delimiter is ','"):
        loads(path, context.home)


@pytest.mark.parametrize(("ragged", "found"), [("x", 1), ("x,1,2", 3)])
@pytest.mark.parametrize("n_rows", [0, 3, 1_000_000])
def test_a_line_with_another_number_of_fields_is_named_wherever_it_is(context, tmp_path, n_rows, ragged, found):
    path = tmp_path / "t.csv"
    path.write_text("time,load\n" + "2024-01-01T00:00:00Z,1\n" * n_rows + f"{ragged}\nx,1\n")
    with pytest.raises(DataError, match=rf"line {n_rows + 2}: Expected 2 columns, got {found}: x"):
        loads(path, context.home)


def test_the_line_of_too_few_fields_is_counted_from_the_top_of_the_file_by_whatever_type_stands_before_it(
    context, tmp_path
):
    path = tmp_path / "t.csv"
    path.write_text('made by hand\n"time",load\n1,2\none,two\n2024\n')
    with pytest.raises(DataError, match=r"line 5: Expected 2 columns, got 1: 2024"):
        loads(path, context.home, skip_rows=1)


def test_the_row_of_too_few_fields_is_counted_without_comments_where_there_are_any(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("# made by hand\ntime,load\n1,2\n# more\n2024\n")
    with pytest.raises(DataError, match=r"row 2: Expected 2 columns, got 1: 2024"):
        loads(path, context.home, comment="#")


def test_text_in_another_encoding_is_read_by_setting(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("time,load,town\n2024-01-01T00:00:00Z,1,Köln\n".encode("cp1252"))
    data = DataConfig.model_validate(
        {"uri": str(path), "time_column": "time", "target": "load", "static": ["town"], "csv": {"encoding": "cp1252"}}
    )
    assert open_source(data, context.home).table["town"].to_pylist() == ["Köln"]


@pytest.mark.parametrize(("written", "stated"), [("cp1252", "utf-8"), ("utf-16", "utf-8"), ("cp1252", "ascii")])
def test_the_setting_of_the_encoding_is_named_where_a_file_has_another(context, tmp_path, written, stated):
    path = tmp_path / "t.csv"
    path.write_bytes("time,load,town\n2024-01-01T00:00:00Z,1,Köln\n".encode(written))
    data = DataConfig.model_validate(
        {"uri": str(path), "time_column": "time", "target": "load", "static": ["town"], "csv": {"encoding": stated}}
    )
    with pytest.raises(DataError, match=r"data\.csv\.encoding") as raised:
        open_source(data, context.home)
    assert "\n" not in str(raised.value)


def test_lines_before_the_names_are_skipped_and_rows_keep_their_line(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("Export of 2024\nin MWh\ntime,load\n2024-01-01T00:00:00Z,1\n2024-01-01T01:00:00Z,x\n")
    with pytest.raises(DataError, match=r"line 5 has 'x'"):
        loads(path, context.home, skip_rows=2)


def test_lines_of_comments_are_left_out_and_rows_are_counted(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("# made by hand\ntime,load\n2024-01-01T00:00:00Z,1\n# a gap\n2024-01-01T01:00:00Z,x\n")
    with pytest.raises(DataError, match=r"row 2 has 'x'"):
        loads(path, context.home, comment="#")


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_compressed_files_are_read_by_their_ending(context, tmp_path, ending):
    text = b"time,load\n2024-01-01T00:00:00Z,1\n2024-01-01T01:00:00Z,2\n"
    packed = gzip.compress(text) if ending == ".gz" else pa.Codec("zstd").compress(text, asbytes=True)
    path = tmp_path / f"t.csv{ending}"
    path.write_bytes(packed)
    assert loads(path, context.home) == [1.0, 2.0]


def test_a_file_that_only_claims_to_be_compressed_is_refused_in_one_line(context, tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_text("time,load\n2024-01-01T00:00:00Z,1\n")
    with pytest.raises(DataError, match=r"t\.csv\.gz cannot be read") as raised:
        loads(path, context.home)
    assert "\n" not in str(raised.value)


def test_batches_of_a_large_file_have_one_schema_and_all_rows(context, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("time,load\n" + "2024-01-01T00:00:00Z,1\n" * 400_000)
    found = list(find_source(data_config(path), context.home).batches(("load",)))
    assert len(found) > 1
    assert sum(batch.rows.num_rows for batch in found) == 400_000
    assert {batch.rows.schema for batch in found} == {pa.schema([("load", pa.string())])}


def test_files_of_a_pattern_are_one_table_and_rows_are_found_in_them(context, tmp_path):
    (tmp_path / "a.csv").write_text("time,load\n2024-01-01T00:00:00Z,1\n2024-01-01T01:00:00Z,2\n")
    (tmp_path / "b.csv").write_text("load,time\n3,2024-01-01T02:00:00Z\nx,2024-01-01T03:00:00Z\n")
    with pytest.raises(DataError, match=r"\*\.csv: column 'load' .* line 3 of b\.csv has 'x'"):
        loads(tmp_path / "*.csv", context.home)


def test_the_file_that_has_other_columns_is_named(context, tmp_path):
    (tmp_path / "a.csv").write_text("time,load\n")
    (tmp_path / "b.csv").write_text("time,Load,wind\n")
    with pytest.raises(DataError, match=r"b\.csv differs from a\.csv: it lacks load and has Load, wind too"):
        loads(tmp_path / "*.csv", context.home)


@pytest.mark.parametrize(
    ("csv", "said"),
    [({"decimal": ",", "thousands": ","}, "two signs"), ({"delimiter": ";;"}, "one ASCII character"),
     ({"encoding": "klingon"}, "no encoding has this name"), ({"comment": "#", "encoding": "utf-16"}, "keeps ASCII"),
     ({"delimiter": '"'}, "another character")],
)  # fmt: skip
def test_a_dialect_that_cannot_be_is_refused(csv, said):
    with pytest.raises(ValueError, match=said):
        CsvConfig.model_validate(csv)
