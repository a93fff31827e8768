"""Tables that are written, replaced or removed while they are read."""

import itertools
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.validation.sources import Source, find_source
from components.validation.validate_data import validate_data
from forecasting.config.table import DataConfig
from forecasting.errors import RetryableError
from tests.unit.validation.tables import hourly_lines, write_table

N_ROWS = 600_000
"""More than a batch of any reader holds."""
COLUMNS = ("time", "load")
REFUSED = r"must stay as it is while it is read, and .* was written, replaced, added or removed; nothing of it is used"


def write_csv(path: Path, first: int) -> None:
    lines = (f"{number},{first}" for number in range(N_ROWS))
    path.write_text("\n".join(["time,load", *lines]) + "\n")


def write_parquet(path: Path, first: int) -> None:
    pq.write_table(pa.table({"time": list(range(N_ROWS)), "load": [float(first)] * N_ROWS}), path)


def replace(path: Path, write: Callable[[Path, int], None]) -> None:
    write(path.with_name(".new"), 2)
    path.with_name(".new").replace(path)


def rewrite_in_place(path: Path, write: Callable[[Path, int], None]) -> None:
    write(path, 2)


def append(path: Path, _write: Callable[[Path, int], None]) -> None:
    with path.open("ab") as stream:
        stream.write(b"1,2\n")


def cut_off(path: Path, _write: Callable[[Path, int], None]) -> None:
    os.truncate(path, path.stat().st_size // 2)


def remove(path: Path, _write: Callable[[Path, int], None]) -> None:
    path.unlink()


def opened(uri: object, home, **fields: object) -> Source:
    data = DataConfig.model_validate({"uri": str(uri), "time_column": "time", "target": "load", **fields})
    return find_source(data, home)


def read_with(source: Source, change: Callable[[], None]) -> int:
    """Rows of a source that changes once its first batch was read."""
    batches = source.batches(COLUMNS)
    n_rows = next(batches).rows.num_rows
    assert n_rows < N_ROWS
    change()
    return n_rows + sum(batch.rows.num_rows for batch in batches)


@pytest.mark.parametrize("change", [replace, rewrite_in_place, append, cut_off, remove])
@pytest.mark.parametrize(("name", "write"), [("t.csv", write_csv), ("t.parquet", write_parquet)])
def test_a_file_that_changes_while_it_is_read_is_to_be_read_again(context, tmp_path, name, write, change):
    write(tmp_path / name, 1)
    source = opened(tmp_path / name, context.home)
    with pytest.raises(RetryableError, match=REFUSED):
        read_with(source, lambda: change(tmp_path / name, write))


def test_a_file_that_stays_is_read(context, tmp_path):
    write_csv(tmp_path / "t.csv", 1)
    assert read_with(opened(tmp_path / "t.csv", context.home), lambda: None) == N_ROWS


@pytest.mark.parametrize(("change", "name"), [(write_csv, "c.csv"), (replace, "b.csv"), (remove, "a.csv")])
def test_a_folder_whose_files_change_while_they_are_read_is_to_be_read_again(context, tmp_path, change, name):
    folder = tmp_path / "table"
    folder.mkdir()
    for number, part in enumerate(("a.csv", "b.csv")):
        write_csv(folder / part, number)
    source = opened(folder, context.home)
    with pytest.raises(RetryableError, match=name):
        read_with(source, lambda: change(folder / name, *((2,) if change is write_csv else (write_csv,))))


def test_a_file_elsewhere_that_is_replaced_while_it_is_read_is_to_be_read_again(context, tmp_path):
    write_csv(tmp_path / "t.csv", 1)
    memory, content = fsspec.filesystem("memory"), (tmp_path / "t.csv").read_bytes()
    memory.pipe("/changing/t.csv", content)
    source = opened("memory://changing/t.csv", context.home)
    with pytest.raises(RetryableError, match=REFUSED):
        read_with(source, lambda: memory.pipe("/changing/t.csv", content))


def test_a_database_that_is_written_while_it_is_read_gives_what_it_held_at_the_beginning(context, tmp_path):
    path = tmp_path / "t.db"
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE t (time INTEGER, load REAL)")
    writer.executemany("INSERT INTO t VALUES (?, 1)", ((number,) for number in range(100_000)))
    writer.commit()

    def change() -> None:
        writer.execute("UPDATE t SET load = 2")
        writer.execute("INSERT INTO t SELECT time + 100000, 2 FROM t")
        writer.commit()

    batches = opened(f"sqlite:///{path}", context.home, table="t").batches(COLUMNS)
    first = next(batches).rows
    change()
    tables = [first, *(batch.rows for batch in batches)]
    writer.close()
    loads = pa.Table.from_batches(tables)["load"]
    assert (len(loads), loads.unique().to_pylist()) == (100_000, [1.0])


@contextmanager
def replaced_again_and_again(path: Path, texts: tuple[str, str]) -> Iterator[None]:
    """Another file under the name, many times a second, until the end."""
    ended = threading.Event()

    def work() -> None:
        for text in itertools.cycle(texts):
            if ended.wait(0.001):
                return
            path.with_name(".new").write_text(text)
            path.with_name(".new").replace(path)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_step_whose_table_is_replaced_meanwhile_ends_without_a_store(make_settings, context, tmp_path):
    lines = hourly_lines(20_000)
    uri = write_table(tmp_path / "t.csv", lines)
    other = Path(write_table(tmp_path / "other.csv", [f"{line}5" for line in lines])).read_text()
    (tmp_path / "out").mkdir()
    with (
        replaced_again_and_again(tmp_path / "t.csv", (Path(uri).read_text(), other)),
        pytest.raises(RetryableError, match=REFUSED),
    ):
        validate_data(make_settings(uri), {}, tmp_path / "out", context)
    assert list((tmp_path / "out").iterdir()) == []
