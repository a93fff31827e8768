"""Parquet: folders, partitions and patterns."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.validation.parsing import parse_ids, parse_numbers
from components.validation.sources import find_source
from forecasting.config.table import DataConfig
from forecasting.errors import ConfigError, DataError
from tests.unit.validation.tables import open_source

STAMP = "2024-01-01T00:00:00Z"


def write(path: Path, **columns: list[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"time": [STAMP], **columns}), path)


def data_config(uri: object, **fields: object) -> DataConfig:
    return DataConfig.model_validate({"uri": str(uri), "time_column": "time", "target": "load", **fields})


def test_columns_that_folders_say_are_columns_of_the_table(context, tmp_path):
    write(tmp_path / "table" / "store=S%201" / "part-0.parquet", load=[1.0])
    write(tmp_path / "table" / "store=S%202" / "part-0.parquet", load=[2.0])
    source = open_source(data_config(tmp_path / "table", id_columns=["store"]), context.home)
    assert parse_ids(source, ("store",), single="one").names == ("S 1", "S 2")
    assert source.row_name(1) == "row 1 of store=S%202/part-0.parquet"


def test_partitions_above_the_folder_are_no_columns(context, tmp_path):
    write(tmp_path / "year=2024" / "t.parquet", load=[1.0])
    assert find_source(data_config(tmp_path / "year=2024"), context.home).columns == ("time", "load")


def test_files_that_are_no_part_of_a_table_are_passed_over(context, tmp_path):
    write(tmp_path / "t" / "a.parquet", load=[1.0])
    (tmp_path / "t" / "_SUCCESS").write_text("")
    (tmp_path / "t" / ".a.parquet.crc").write_text("")
    assert open_source(data_config(tmp_path / "t"), context.home).table.num_rows == 1


def test_a_folder_with_a_file_of_another_kind_is_refused_by_its_name(context, tmp_path):
    write(tmp_path / "t" / "a.parquet", load=[1.0])
    (tmp_path / "t" / "notes.txt").write_text("")
    with pytest.raises(ConfigError, match=r"'notes\.txt' does not; name those that are the table by a pattern"):
        open_source(data_config(tmp_path / "t"), context.home)


def test_a_folder_of_two_kinds_is_refused(context, tmp_path):
    write(tmp_path / "t" / "a.parquet", load=[1.0])
    (tmp_path / "t" / "b.csv").write_text("time,load\n")
    with pytest.raises(DataError, match=r"must be all CSV or all Parquet, and they are both"):
        open_source(data_config(tmp_path / "t"), context.home)


@pytest.mark.parametrize("name", ["empty", "*.parquet"])
def test_no_files_are_an_error(context, tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"data\.uri must name files, and .* has none"):
        open_source(data_config(tmp_path / name), context.home)


def test_the_wider_type_of_numbers_counts(context, tmp_path):
    write(tmp_path / "a.parquet", load=[1])
    write(tmp_path / "b.parquet", load=[2.5])
    source = open_source(data_config(tmp_path / "*.parquet"), context.home)
    assert parse_numbers(source, "load").tolist() == [1.0, 2.5]


def test_a_file_with_another_type_is_named(context, tmp_path):
    write(tmp_path / "a.parquet", load=[1])
    write(tmp_path / "b.parquet", load=["x"])
    with pytest.raises(DataError, match=r"columns of the same types; b\.parquet differs"):
        open_source(data_config(tmp_path / "*.parquet"), context.home)


def test_a_file_with_another_partition_is_named(context, tmp_path):
    write(tmp_path / "t" / "store=1" / "a.parquet", load=[1.0])
    write(tmp_path / "t" / "shop=1" / "a.parquet", load=[1.0])
    with pytest.raises(DataError, match=r"the same partitions; store=1/a\.parquet differs from shop=1/a\.parquet"):
        open_source(data_config(tmp_path / "t"), context.home)
