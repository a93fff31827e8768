"""What a table is known by: equal where it is equal, different where it may differ."""

import sqlite3
import zipfile
from pathlib import Path

import fsspec
import pytest

from forecasting.config.table import DataConfig
from forecasting.contracts.layout import HomeLayout, home_layout
from forecasting.source_state import source_state


@pytest.fixture
def home(tmp_path: Path) -> HomeLayout:
    return home_layout(tmp_path / "home")


def state(uri: object, home: HomeLayout, created: float = 0.0, **fields: object) -> dict[str, str]:
    return source_state(DataConfig.model_validate({"uri": str(uri), **fields}), home, created=created)


@pytest.mark.parametrize("uri", ["t", "t/*.csv"])
def test_a_folder_is_known_by_the_content_and_the_names_of_its_files(home, tmp_path, uri):
    folder = tmp_path / "t"
    folder.mkdir()
    (folder / "a.csv").write_text("x\n1\n")
    (folder / "b.csv").write_text("x\n2\n")
    first = state(tmp_path / uri, home)
    assert state(tmp_path / uri, home, created=99.0) == first
    (folder / "b.csv").write_text("x\n3\n")
    second = state(tmp_path / uri, home)
    (folder / "b.csv").rename(folder / "c.csv")
    third = state(tmp_path / uri, home)
    (folder / "d.csv").write_text("x\n4\n")
    assert len({str(found) for found in (first, second, third, state(tmp_path / uri, home))}) == 4


def test_a_database_file_is_known_by_its_content_with_what_is_still_in_its_log(home, tmp_path):
    path = tmp_path / "t.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    first = state(f"sqlite:///{path}", home, table="t")
    assert state(f"sqlite:///{path}", home, created=99.0, table="t") == first
    assert state(f"sqlite:///{path}", home, query="SELECT 1") != first
    connection.execute("INSERT INTO t VALUES (1)")
    connection.commit()
    assert state(f"sqlite:///{path}", home, table="t") != first
    connection.close()


def test_a_server_is_read_again_in_each_run_and_its_key_holds_no_password(home, monkeypatch):
    monkeypatch.setenv("SALES_PASSWORD", "s3cret")
    uri = "postgresql+psycopg://reader:${SALES_PASSWORD}@localhost/sales"
    first = state(uri, home, created=1.0, table="t")
    assert state(uri, home, created=1.0, table="t") == first
    assert state(uri, home, created=1.5, table="t") != first
    assert "read again in each run" in str(first)
    assert "s3cret" not in str(first)


def test_a_file_elsewhere_is_known_by_what_its_file_system_says(home):
    memory = fsspec.filesystem("memory")
    memory.pipe("/known/t.csv", b"x\n1\n")
    first = state("memory://known/t.csv", home)
    assert state("memory://known/t.csv", home, created=99.0) == first
    memory.pipe("/known/t.csv", b"x\n2\n")
    assert state("memory://known/t.csv", home) != first


def test_a_file_in_an_archive_is_known_by_its_checksum(home, tmp_path):
    found = []
    for text in ("x\n1\n", "x\n2\n"):
        with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo("inner.csv"), text)
        found.append(state(f"zip://inner.csv::file://{tmp_path / 't.zip'}", home))
    assert found[0] != found[1]


def test_a_table_of_vintages_is_part_of_what_a_table_is_known_by(home, tmp_path):
    main, issued = tmp_path / "t.csv", tmp_path / "v.csv"
    main.write_text("x\n1\n")
    issued.write_text("x\n1\n")
    vintages = {"known": ["x"], "vintages": {"uri": str(issued), "columns": ["x"]}}
    first = state(main, home, **vintages)
    assert state(main, home, **vintages) == first
    issued.write_text("x\n2\n")
    assert state(main, home, **vintages) != first
