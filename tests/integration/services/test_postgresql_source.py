"""A table of a real PostgreSQL server, with password, through validate_data."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sql

from components.validation.parsing import parse_numbers
from components.validation.sources import find_source
from components.validation.validate_data import validate_data
from forecasting.config.table import DataConfig
from forecasting.contracts.layout import home_layout
from forecasting.errors import DataError
from forecasting.series_store import read_series_store
from forecasting.steps import StepContext
from tests.integration.services.postgresql import PASSWORD, USER, postgresql
from tests.unit.validation.conftest import make_settings  # noqa: F401
from tests.unit.validation.tables import open_source

pytestmark = pytest.mark.services

URI = "postgresql+psycopg://almanac:${{ALMANAC_TEST_PASSWORD}}@{address}/postgres"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server with a table of 60,000 rows: two meters, hourly, one missing value."""
    # Not pytest's own folder, which the account of the server cannot reach.
    with tempfile.TemporaryDirectory() as folder, postgresql(Path(folder)) as found:
        engine = sql.create_engine(f"postgresql+psycopg://{USER}:{quote(PASSWORD, safe='')}@{found}/postgres")
        with engine.begin() as connection:
            connection.execute(sql.text("CREATE SEQUENCE counter"))
            connection.execute(
                sql.text("CREATE TABLE readings (time timestamptz, meter text, load numeric, open boolean)")
            )
            connection.execute(
                sql.text(
                    "INSERT INTO readings SELECT timestamptz '2020-01-01 00:00+00' + i * interval '1 hour', m, "
                    "CASE WHEN i = 5 THEN NULL ELSE 100 + i % 24 + random() END, i % 2 = 0 "
                    "FROM generate_series(0, 29999) i, unnest(ARRAY['a', 'b']) m"
                )
            )
        engine.dispose()
        yield found


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALMANAC_TEST_PASSWORD", PASSWORD)


def data_config(address: str, **fields: object) -> DataConfig:
    columns = {"time_column": "time", "target": "load", "id_columns": ["meter"]}
    return DataConfig.model_validate({"uri": URI.format(address=address), **columns, **fields})


def test_rows_come_in_batches_of_one_schema(address, tmp_path):
    source = find_source(data_config(address, table="public.readings"), home_layout(tmp_path))
    found = list(source.batches(("time", "meter", "load", "open")))
    assert [batch.rows.num_rows for batch in found] == [20_000, 20_000, 20_000]
    assert {str(batch.rows.schema.field("time").type) for batch in found} == {"timestamp[us, tz=UTC]"}


def test_missing_values_and_truth_are_numbers(address, tmp_path):
    data = data_config(address, query="SELECT * FROM readings WHERE meter = 'a' ORDER BY time LIMIT 6", known=["open"])
    source = open_source(data, home_layout(tmp_path))
    assert [value != value for value in parse_numbers(source, "load")] == [False] * 5 + [True]
    assert parse_numbers(source, "open").tolist() == [1, 0, 1, 0, 1, 0]


def test_a_table_of_the_server_becomes_a_series_store_without_the_password(address, tmp_path, make_settings, caplog):  # noqa: F811
    settings = make_settings(
        URI.format(address=address),
        data={"table": "readings", "id_columns": ["meter"]},
        validation={"data_docs": False},
    )
    (tmp_path / "out").mkdir()
    home = home_layout(tmp_path / "home")
    caplog.set_level("DEBUG")
    outcome = validate_data(settings, {}, tmp_path / "out", StepContext(home, home.run("run")))
    assert outcome.passed, outcome.summary
    assert [series.id for series in read_series_store(tmp_path / "out")] == ["a", "b"]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["source"] == "readings"
    written = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    for secret in (PASSWORD, quote(PASSWORD, safe="")):
        assert not any(secret.encode() in content for content in written)
        assert secret not in caplog.text + settings.model_dump_json() + outcome.summary


def test_the_server_refuses_what_would_change_it(address, tmp_path):
    data = data_config(address, query="SELECT *, nextval('counter') AS number FROM readings")
    with pytest.raises(DataError, match="read-only transaction"):
        open_source(data, home_layout(tmp_path))


def test_a_wrong_password_is_one_line_without_it(address, tmp_path, monkeypatch):
    monkeypatch.setenv("ALMANAC_TEST_PASSWORD", "wr0ng")
    with pytest.raises(DataError, match="password authentication failed") as raised:
        open_source(data_config(address, table="readings"), home_layout(tmp_path))
    assert "wr0ng" not in str(raised.value)
