import sqlite3

import pytest

from forecasting.errors import ArtifactError, ConfigError
from forecasting.store.backup import back_up, restore
from forecasting.store.forecasts import ForecastQuery, read_forecasts, write_forecasts
from forecasting.store.opening import HEAD, migrate, open_store, store_version
from tests.unit.forecasting.store.stores import DAY, NOON, batch


def requests_of(store) -> list[str]:
    return sorted({found.request for found in read_forecasts(store, ForecastQuery(model="load"))})


def test_a_backup_brings_back_what_was_there(store, address, tmp_path):
    write_forecasts(store, [batch()])
    assert back_up(store, tmp_path / "backup") == (tmp_path / "backup").stat().st_size
    write_forecasts(store, [batch(request="r2"), batch(request="r3", created_at=NOON + 40 * DAY)])
    restore(address, tmp_path / "backup", force=True)
    assert requests_of(store) == ["r1"]
    assert store_version(store) == HEAD
    write_forecasts(store, [batch(request="r4", created_at=NOON + 40 * DAY)])
    assert requests_of(store) == ["r1", "r4"]


def test_a_backup_fills_a_database_that_has_no_store(store, new_address, tmp_path):
    write_forecasts(store, [batch()])
    back_up(store, tmp_path / "backup")
    restore(new_address, tmp_path / "backup")
    with open_store(new_address) as found:
        assert requests_of(found) == ["r1"]


def test_a_store_that_is_there_is_not_replaced_unasked(store, address, tmp_path):
    write_forecasts(store, [batch()])
    back_up(store, tmp_path / "backup")
    with pytest.raises(ConfigError, match=r"there is a store already, .*; add --force to replace it"):
        restore(address, tmp_path / "backup")


def test_a_backup_is_not_written_over_another_unasked(store, tmp_path):
    (tmp_path / "backup").write_text("mine")
    with pytest.raises(ConfigError, match="must not write over a file that exists"):
        back_up(store, tmp_path / "backup")
    assert (tmp_path / "backup").read_text() == "mine"
    back_up(store, tmp_path / "backup", force=True)
    assert (tmp_path / "backup").read_bytes()[:4] != b"mine"
    assert not list(tmp_path.glob(".backup*"))


def test_only_a_file_that_is_a_backup_is_restored(address, tmp_path):
    with pytest.raises(ConfigError, match="must be a file, found none"):
        restore(address, tmp_path / "nothing")
    (tmp_path / "notes").write_text("no backup")
    with pytest.raises(ArtifactError, match=r"notes must be a .* for the store .*, and is not"):
        restore(address, tmp_path / "notes")


def test_an_old_backup_is_brought_up_to_date(store, address, tmp_path):
    migrate(store, "base")
    back_up(store, tmp_path / "backup")
    restore(address, tmp_path / "backup", force=True)
    assert store_version(store) == HEAD


class TestFile:
    """What is so of SQLite alone."""

    def test_another_database_is_no_backup(self, new_file, tmp_path):
        with sqlite3.connect(tmp_path / "other.db") as other:
            other.execute("CREATE TABLE t (x)")
        with pytest.raises(ArtifactError, match="must be of a store, and is another SQLite database"):
            restore(new_file, tmp_path / "other.db")
        assert not new_file.file.exists()

    def test_a_damaged_backup_leaves_the_store_alone(self, new_file, tmp_path):
        with open_store(new_file) as store:
            write_forecasts(store, [batch(request=f"r{n}") for n in range(50)])
            back_up(store, tmp_path / "backup")
            damaged = bytearray((tmp_path / "backup").read_bytes())
            damaged[4096:-4096] = b"x" * (len(damaged) - 2 * 4096)
            (tmp_path / "backup").write_bytes(damaged)
            with pytest.raises(ArtifactError, match="is damaged"):
                restore(new_file, tmp_path / "backup", force=True)
            assert len(requests_of(store)) == 50
