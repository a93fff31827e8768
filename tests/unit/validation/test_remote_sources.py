"""Files that fsspec opens."""

import zipfile

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecasting.config.table import DataConfig
from forecasting.errors import ConfigError, DataError
from tests.unit.validation.tables import open_source


def data_config(uri: object, **fields: object) -> DataConfig:
    return DataConfig.model_validate({"uri": str(uri), "time_column": "time", "target": "load", **fields})


def test_a_partitioned_folder_elsewhere_is_read(context):
    memory = fsspec.filesystem("memory")
    for store in (1, 2):
        with memory.open(f"/lake/store={store}/part.parquet", "wb") as stream:
            pq.write_table(pa.table({"time": ["2024-01-01T00:00:00Z"], "load": [float(store)]}), stream)
    source = open_source(data_config("memory://lake", id_columns=["store"]), context.home)
    assert source.table.to_pydict()["store"] == ["1", "2"]
    assert source.table.to_pydict()["load"] == [1.0, 2.0]


def test_a_pattern_elsewhere_is_read(context):
    memory = fsspec.filesystem("memory")
    memory.pipe("/drop/a.csv", b"time,load\n2024-01-01T00:00:00Z,1\n")
    memory.pipe("/drop/b.csv", b"time,load\n2024-01-01T01:00:00Z,2\n")
    source = open_source(data_config("memory://drop/*.csv"), context.home)
    assert source.table["load"].to_pylist() == ["1", "2"]
    assert source.row_name(1) == "line 2 of b.csv"


def test_a_file_in_an_archive_is_read(context, tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("inner.csv", "time,load\n2024-01-01T00:00:00Z,1\n")
    source = open_source(data_config(f"zip://inner.csv::file://{tmp_path / 't.zip'}"), context.home)
    assert source.table["load"].to_pylist() == ["1"]


def test_a_missing_file_elsewhere_is_named(context):
    with pytest.raises(DataError, match=r"there is none at memory://nowhere/t\.csv"):
        open_source(data_config("memory://nowhere/t.csv"), context.home)


@pytest.mark.parametrize(
    ("uri", "said"), [("s3://lake/t.parquet", r"Install s3fs"), ("ftq://a/t.csv", r"does not know ftq://")]
)
def test_an_address_that_cannot_be_opened_says_what_is_missing(context, uri, said):
    with pytest.raises(ConfigError, match=said):
        open_source(data_config(uri), context.home)
