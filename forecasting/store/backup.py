"""Copy a store that is in use to a file, and bring it back."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from forecasting.errors import ArtifactError, ConfigError, RemoteError
from forecasting.store.address import StoreAddress
from forecasting.store.opening import VERSION_TABLE, Store, open_store, store_engine, store_version
from forecasting.store.tables import METADATA

_PAGES_AT_ONCE = 4_096
_TOOLS_S = 6 * 3600


def back_up(store: Store, out: Path, *, force: bool = False) -> int:
    """Write all of a store, as it is at one moment, to a file: an SQLite database, or what pg_dump writes.

    The file is complete or not there. Others may read and write the store meanwhile.

    Args:
        store: What to copy.
        out: The file.
        force: Write over a file that exists.

    Returns:
        Its size in bytes.

    Raises:
        ConfigError: The file exists, or pg_dump is not installed.
        RemoteError: pg_dump failed.
    """
    if out.exists() and not force:
        raise ConfigError(
            f"a backup must not write over a file that exists, and {out} does; name another, or add --force"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with _replaced(out) as part:
        if store.address.file is not None:
            _copy(store.address.file, part)
        else:
            tables = [f"--table={name}*" for name in METADATA.tables] + [f"--table={VERSION_TABLE}"]
            _run("pg_dump", store.address, ["--format=custom", "--no-owner", f"--file={part}", *tables])
    return out.stat().st_size


def restore(address: StoreAddress, backup: Path, *, force: bool = False) -> None:
    """Fill a database with a backup, in one transaction, and bring its tables up to date.

    Args:
        address: The database.
        backup: Written by `back_up` from the same kind of database.
        force: Replace a store that is there.

    Raises:
        ConfigError: There is a store already, or the backup is of a newer version, or there is no such file.
        ArtifactError: The file is no backup of a store, or is damaged.
        RemoteError: pg_restore or psql failed; the database is as it was.
    """
    if not backup.is_file():
        raise ConfigError(f"a backup must be a file, found none at {backup}")
    kind = "SQLite database" if address.file is not None else "pg_dump archive"
    with backup.open("rb") as stream:
        start = stream.read(16)
    if not start.startswith(b"SQLite format 3\0" if address.file is not None else b"PGDMP"):
        raise ArtifactError(f"the backup {backup} must be a {kind} for the store {address.shown}, and is not")
    if _is_there(address) and not force:
        raise ConfigError(f"there is a store already, {address.shown}; add --force to replace it by {backup}")
    if address.file is not None:
        _check(backup)
        address.file.parent.mkdir(parents=True, exist_ok=True)
        _copy(backup, address.file)
    else:
        _restore_archive(address, backup)
    open_store(address).close()


def _restore_archive(address: StoreAddress, backup: Path) -> None:
    """Replace the tables in one transaction: pg_restore itself cannot drop what is in partitions."""
    drop = f"DROP TABLE IF EXISTS {', '.join((*METADATA.tables, VERSION_TABLE))}"
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "restore.sql"
        _run("pg_restore", address, ["--no-owner", f"--file={script}", str(backup)], connects=False)
        options = ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", f"--command={drop}"]
        _run("psql", address, [*options, f"--file={script}"])


def _is_there(address: StoreAddress) -> bool:
    if address.file is not None:
        return address.file.exists()
    with Store(store_engine(address), address) as store:
        return store_version(store) is not None


def _check(backup: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{backup.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            tables = connection.execute("SELECT name FROM sqlite_master WHERE name = ?", (VERSION_TABLE,)).fetchall()
    except sqlite3.DatabaseError as error:
        raise ArtifactError(f"the backup {backup} is damaged: {error}") from error
    if found != "ok":
        raise ArtifactError(f"the backup {backup} is damaged: {found}")
    if not tables:
        raise ArtifactError(f"the backup {backup} must be of a store, and is another SQLite database")


def _copy(source: Path, target: Path) -> None:
    """SQLite's own way, which sees one moment of a database in use and replaces another at once."""
    with closing(sqlite3.connect(source)) as reader, closing(sqlite3.connect(target, timeout=30)) as writer:
        reader.backup(writer, pages=_PAGES_AT_ONCE, sleep=0.01)


@contextmanager
def _replaced(out: Path) -> Iterator[Path]:
    """A new file beside `out` that takes its place when the block ends without an error."""
    handle, name = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        part.replace(out)
        folder = os.open(out.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    finally:
        part.unlink(missing_ok=True)


def _run(tool: str, address: StoreAddress, options: Sequence[str], *, connects: bool = True) -> None:
    path = shutil.which(tool)
    if path is None:
        raise ConfigError(f"{tool} must be on PATH to copy the store {address.shown}; install the client of PostgreSQL")
    # The password goes by the environment: every user of the machine can read a command line.
    url = address.url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    environment = {**os.environ, **({"PGPASSWORD": str(address.url.password)} if address.url.password else {})}
    done = subprocess.run(
        [path, *([f"--dbname={url}", "--no-password"] if connects else []), *options],
        env=environment, capture_output=True, text=True, check=False, timeout=_TOOLS_S,
    )  # fmt: skip
    if done.returncode:
        said = address.scrubbed(done.stderr).strip().splitlines() or ["nothing"]
        raise RemoteError(f"{tool} of the store {address.shown} failed with code {done.returncode}: {said[0]}")
