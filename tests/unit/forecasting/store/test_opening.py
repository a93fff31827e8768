import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pkgutil import iter_modules

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from forecasting.errors import ArtifactError, ConfigError, RetryableError
from forecasting.store import migrations
from forecasting.store.address import store_address
from forecasting.store.forecasts import ForecastQuery, read_forecasts, write_forecasts
from forecasting.store.migrations import versions
from forecasting.store.opening import HEAD, VERSION_TABLE, migrate, open_store, store_version
from forecasting.store.tables import METADATA
from tests.unit.forecasting.store.stores import batch


def test_a_new_store_has_the_tables_of_the_newest_version(store):
    assert store_version(store) == HEAD
    with store.reading() as connection:
        assert set(METADATA.tables) | {VERSION_TABLE} <= set(inspect(connection).get_table_names())


def test_the_newest_version_is_the_last_migration():
    found = [import_module(f"{versions.__name__}.{one.name}").revision for one in iter_modules(versions.__path__)]
    assert max(found) == HEAD
    assert migrations.__path__


def test_the_migrations_make_what_the_code_reads(store):
    with store.reading() as connection:
        settings = {"version_table": VERSION_TABLE, "include_object": lambda _o, name, *_: "_m" not in name}
        context = MigrationContext.configure(connection, opts=settings)
        assert compare_metadata(context, METADATA) == []


def test_opening_again_keeps_what_is_there(address, store):
    write_forecasts(store, [batch()])
    with open_store(address) as again:
        assert len(read_forecasts(again, ForecastQuery(model="load"))) == 2


def test_many_may_open_a_new_store_at_once(address):
    with ThreadPoolExecutor(4) as threads:
        stores = list(threads.map(lambda _: open_store(address), range(4)))
    assert [store_version(one) for one in stores] == [HEAD] * 4
    for one in stores:
        one.close()


def test_a_store_of_a_newer_version_is_refused_and_left_alone(address, store):
    with store.writing() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0999'"))
    with pytest.raises(ConfigError, match=f"must be of version {HEAD} at most and is of version 0999"):
        open_store(address)
    assert store_version(store) == "0999"


def test_the_tables_can_be_taken_down_and_made_again(store):
    write_forecasts(store, [batch()])
    migrate(store, "base")
    with store.reading() as connection:
        assert not set(METADATA.tables) & set(inspect(connection).get_table_names())
    migrate(store, HEAD)
    assert read_forecasts(store, ForecastQuery(model="load")) == []


def test_a_store_goes_back_a_version_and_forward_again_with_what_is_in_it(store):
    write_forecasts(store, [batch()])
    migrate(store, "0001")
    assert store_version(store) == "0001"
    with store.reading() as connection:
        assert not inspect(connection).has_table("observation_revisions")
    with open_store(store.address) as again:
        assert store_version(again) == HEAD
        assert len(read_forecasts(again, ForecastQuery(model="load"))) == 2


def test_a_version_that_there_is_not_is_refused(store):
    with pytest.raises(ConfigError, match="must be among 0001, 0002, 0003, 0004 or base, found '0998'"):
        migrate(store, "0998")


def test_a_write_that_fails_leaves_nothing(store):
    def fail() -> None:
        with store.writing() as connection:
            connection.execute(text("INSERT INTO observation_posts VALUES ('k', 'd', 1, 1)"))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with store.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM observation_posts")).scalar_one() == 0


def test_a_reader_does_not_wait_for_a_writer(store):
    with store.writing() as writer, ThreadPoolExecutor(1) as threads:
        writer.execute(text("INSERT INTO observation_posts VALUES ('k', 'd', 1, 1)"))
        assert threads.submit(store_version, store).result(timeout=10) == HEAD


def test_threads_of_one_process_write_in_turn(store):
    def add(number: int) -> None:
        with store.writing() as connection:
            connection.execute(text(f"INSERT INTO observation_posts VALUES ('{number}', 'd', 1, 1)"))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(40)))
    with store.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM observation_posts")).scalar_one() == 40


def test_a_file_that_another_process_writes_for_long_is_retryable(tmp_path):
    address = store_address(None, tmp_path / "serving.db")
    begun, end = threading.Event(), threading.Event()

    def hold() -> None:
        with open_store(address) as other, other.writing():
            begun.set()
            end.wait(30)

    with ThreadPoolExecutor(1) as threads, open_store(address, busy_s=0.05) as store:
        holding = threads.submit(hold)
        begun.wait(30)
        with pytest.raises(RetryableError, match=r"serving.db cannot be used now: database is locked"):
            write_forecasts(store, [batch()])
        end.set()
        holding.result()
        assert write_forecasts(store, [batch()]) == 2


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "serving.db"
    path.write_bytes(b"no database at all, and longer than a header of one would be" * 20)
    with pytest.raises(ArtifactError, match=r"serving.db is damaged: file is not a database; restore a backup"):
        open_store(store_address(None, path))
