"""Databases through SQLAlchemy, with SQLite."""

import sqlite3
from pathlib import Path

import pytest

from components.validation.parsing import parse_ids, parse_numbers
from components.validation.sources import find_source
from components.validation.times import parse_times
from forecasting.config import parse_config
from forecasting.config.loading import resolved_uri
from forecasting.config.table import DataConfig
from forecasting.errors import ConfigError, DataError
from forecasting.sources import source_address
from forecasting.sql_sources import shown_url
from tests.unit.validation.conftest import GATES
from tests.unit.validation.tables import open_source


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "sales.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE sales (time TEXT, store INTEGER, load REAL, note TEXT)")
        connection.executemany(
            "INSERT INTO sales VALUES (?, ?, ?, ?)",
            [
                (f"2024-01-{day:02d} 00:00:00", store, day + store / 10, "a:b")
                for store in (1, 2)
                for day in range(1, 4)
            ],
        )
    connection.close()
    return path


def data_config(uri: object, **fields: object) -> DataConfig:
    return DataConfig.model_validate(
        {
            "uri": str(uri),
            "time_column": "time",
            "time_zone": "UTC",
            "target": "load",
            "id_columns": ["store"],
            **fields,
        }
    )


@pytest.mark.parametrize("fields", [{"table": "sales"}, {"query": "SELECT * FROM sales WHERE note = 'a:b'"}])
def test_a_table_or_a_query_is_read(context, database, fields):
    data = data_config(f"sqlite:///{database}", **fields)
    source = open_source(data, context.home)
    ids = parse_ids(source, ("store",), single="one")
    assert ids.names == ("1", "2")
    assert parse_numbers(source, "load").tolist() == [1.1, 2.1, 3.1, 1.2, 2.2, 3.2]
    assert parse_times(source, data, ids.codes).seconds[:2].tolist() == [1704067200, 1704153600]
    assert source.unused_columns == ("note",)


def test_reading_leaves_the_file_as_it_was(context, database):
    before = database.read_bytes(), database.stat().st_mtime_ns
    open_source(data_config(f"sqlite:///{database}", table="sales"), context.home)
    assert (database.read_bytes(), database.stat().st_mtime_ns) == before


def test_more_rows_than_a_batch_come_in_batches_of_one_schema(context, tmp_path):
    with sqlite3.connect(tmp_path / "t.db") as connection:
        connection.execute("CREATE TABLE t (time TEXT, store TEXT, load REAL)")
        rows = [("2024-01-01", str(i), None if i < 30_000 else i) for i in range(50_000)]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    connection.close()
    source = find_source(data_config(f"sqlite:///{tmp_path / 't.db'}", table="t"), context.home)
    found = list(source.batches(("load", "store")))
    assert [batch.rows.num_rows for batch in found] == [20_000, 20_000, 10_000]
    assert len({batch.rows.schema for batch in found}) == 1
    assert found[2].rows["load"][0].as_py() == 40_000.0


def test_a_value_of_another_type_is_named_with_its_row(context, database):
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO sales VALUES ('2024-01-04', 2, 'many', '')")
    connection.close()
    with pytest.raises(DataError, match=r"column 'load' must hold values of one type, double; row 7 has 'many'"):
        open_source(data_config(f"sqlite:///{database}", table="sales"), context.home)


def test_a_missing_database_is_not_made(context, tmp_path):
    with pytest.raises(DataError, match=r"there is none at .*nowhere\.db"):
        open_source(data_config(f"sqlite:///{tmp_path / 'nowhere.db'}", table="t"), context.home)
    assert list(tmp_path.glob("*.db")) == []


def test_an_error_of_the_database_is_one_line(context, database):
    with pytest.raises(DataError, match=r"no such table: missing") as raised:
        open_source(data_config(f"sqlite:///{database}", table="missing"), context.home)
    assert "\n" not in str(raised.value)


def test_a_database_can_not_be_written(context, database):
    with pytest.raises(DataError, match=r"readonly"):
        open_source(data_config(f"sqlite:///{database}", query="DELETE FROM sales"), context.home)


def test_a_database_needs_a_query_and_a_file_has_none(context, database, tmp_path):
    with pytest.raises(ConfigError, match=r"data\.query or data\.table must be set"):
        open_source(data_config(f"sqlite:///{database}"), context.home)
    (tmp_path / "t.csv").write_text("time,load,store\n")
    with pytest.raises(ConfigError, match=r"data\.query needs a database"):
        open_source(data_config(tmp_path / "t.csv", query="SELECT 1"), context.home)


def test_a_driver_that_is_not_installed_is_named(context):
    with pytest.raises(ConfigError, match=r"whose driver is not installed"):
        open_source(data_config("mysql+pymysql://reader@localhost/sales", table="t"), context.home)


SECRET = "s3cr/et@1"


@pytest.mark.parametrize(
    "uri",
    ["postgresql+psycopg://reader:s3cret@localhost/sales", "postgresql+psycopg://reader:s3/cr@et@localhost/sales",
     "https://reader:s3cret@localhost/t.csv", "postgresql+psycopg://localhost/sales?user=reader&password=s3cret",
     "https://localhost/t.csv?token=s3cret"],
)  # fmt: skip
def test_a_password_in_a_configuration_is_refused_and_not_repeated(uri):
    with pytest.raises(ConfigError, match=r"data: an address must not hold a password") as raised:
        parse_config({"data": {"uri": uri}, "gates": GATES, "compression": {"max_accuracy_loss": 0.02}}, source="test")
    assert "s3" not in str(raised.value)


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql+psycopg://reader:${SALES_PASSWORD}@localhost:5432/sales",
        "${SALES_URL}",
        "https://localhost:80/a@b.csv",
    ],
)
def test_addresses_without_a_secret_are_taken(uri):
    assert (
        parse_config(
            {"data": {"uri": uri}, "gates": GATES, "compression": {"max_accuracy_loss": 0.02}}, source="test"
        ).data.uri
        == uri
    )


def test_a_password_of_the_environment_is_quoted_and_shown_nowhere(context, monkeypatch):
    monkeypatch.setenv("SALES_PASSWORD", SECRET)
    uri = "postgresql+psycopg://reader:${SALES_PASSWORD}@localhost:1/sales"
    address = source_address(uri, context.home)
    assert address.uri == "postgresql+psycopg://reader:s3cr%2Fet%401@localhost:1/sales"
    assert shown_url(address) == "postgresql+psycopg://reader:***@localhost:1/sales"
    assert SECRET not in repr(address)
    assert address.scrubbed(f"wrong password {SECRET}") == "wrong password ${SALES_PASSWORD}"


def test_a_server_that_is_not_there_is_one_line_without_the_password(context, monkeypatch):
    monkeypatch.setenv("SALES_URL", "postgresql+psycopg://reader:s3cret@127.0.0.1:1/sales")
    with pytest.raises(DataError, match=r"\$\{SALES_URL\} cannot be read: .*connection") as raised:
        open_source(data_config("${SALES_URL}", table="t"), context.home)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_variable_that_is_not_set_is_named(context, monkeypatch):
    monkeypatch.delenv("SALES_URL", raising=False)
    with pytest.raises(ConfigError, match=r"environment variable SALES_URL, which is not set"):
        open_source(data_config("${SALES_URL}", table="t"), context.home)


def test_the_path_of_a_database_starts_at_the_configuration():
    assert resolved_uri("sqlite:///sales.db", Path("/etc/almanac")) == "sqlite:////etc/almanac/sales.db"
    assert resolved_uri("sqlite:////sales.db", Path("/etc/almanac")) == "sqlite:////sales.db"


FAILS_ON_A_ROW = "SELECT time, store, abs(-9223372036854775807 - store) AS load FROM sales"
"""Overflows as soon as SQLite computes a row."""


@pytest.mark.parametrize("query", [FAILS_ON_A_ROW, f"  {FAILS_ON_A_ROW} ;\n", f"{FAILS_ON_A_ROW} -- all of them"])
def test_the_names_of_the_columns_cost_no_row_of_a_query(context, database, query):
    source = find_source(data_config(f"sqlite:///{database}", query=query), context.home)
    assert source.columns == ("time", "store", "load")
    with pytest.raises(DataError, match="integer overflow"):
        list(source.batches(source.columns))


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ("SELECT time, load FROM sales WHERE note = 'a:b' ORDER BY load LIMIT 3", ("time", "load")),
        ("WITH one AS (SELECT * FROM sales WHERE store = 1) SELECT time, load AS y FROM one", ("time", "y")),
        ("SELECT time, max(load) FROM sales GROUP BY time", ("time", "max(load)")),
    ],
)
def test_queries_of_every_form_have_their_columns(context, database, query, columns):
    assert find_source(data_config(f"sqlite:///{database}", query=query), context.home).columns == columns


def test_a_query_that_stands_in_no_parentheses_is_asked_as_it_is(context, database):
    source = find_source(data_config(f"sqlite:///{database}", query="PRAGMA table_info(sales)"), context.home)
    assert source.columns == ("cid", "name", "type", "notnull", "dflt_value", "pk")
