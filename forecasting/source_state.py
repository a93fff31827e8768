"""What the content of a table is known by, for the key of the step that reads it."""

import json
from datetime import UTC, datetime
from pathlib import Path

from forecasting.config.table import DataConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.manifests import digest_file, digest_text
from forecasting.source_files import FileSet, find_files
from forecasting.sources import EXAMPLE_SCHEME, SourceKind, source_address, source_file
from forecasting.sql_sources import shown_url, sqlite_file


def source_state(data: DataConfig, home: HomeLayout, *, created: float | None) -> dict[str, str]:
    """What has to be equal for a table to be the same as that of an earlier run.

    Files are known by their digests. Files elsewhere are known by what their file system says of each:
    size, and checksum, version or time of writing. A server of SQL says nothing that changes with every
    row, so a table from there is read again in each run; steps behind it still see that it is equal.

    Args:
        data: The section of the configuration.
        home: Where examples are.
        created: When the run was begun, epoch seconds.

    Raises:
        ConfigError: The address is of no known kind.
        DataError: There is no table.
    """
    tables = {"source": (data.uri, data.query or data.table)}
    if data.events is not None:
        tables["events"] = (data.events.uri, data.events.query)
    if data.vintages is not None:
        tables["vintages"] = (data.vintages.uri, data.vintages.query or data.vintages.table)
    state: dict[str, str] = {}
    for name, (uri, query) in tables.items():
        state |= _state(name, uri, query, home=home, created=created)
    return state


def _state(name: str, uri: str, query: str | None, *, home: HomeLayout, created: float | None) -> dict[str, str]:
    if uri.startswith(EXAMPLE_SCHEME) and not source_file(uri, home).is_file():
        # The step makes it: from the code and the packages that are parts of the key anyway.
        return {name: uri}
    address = source_address(uri, home)
    if address.kind is SourceKind.SQL:
        database = sqlite_file(address)
        place = f"{shown_url(address)} {query}"
        return {name: f"{place} {_sqlite_digest(database)}"} if database else _read_again(name, place, created)
    files = find_files(address)
    if files.filesystem is None:
        return {name: _digest(files)}
    if any(len(mark) == 1 for mark in files.marks.values()):
        # Only a size, which a change may leave as it is.
        return _read_again(name, address.name, created)
    return {name: digest_text(json.dumps(files.marks, sort_keys=True))}


def _digest(files: FileSet) -> str:
    if len(files.paths) == 1:
        return digest_file(Path(files.paths[0]))
    digests = {name: digest_file(Path(path)) for name, path in zip(files.names, files.paths, strict=True)}
    return digest_text(json.dumps(digests, sort_keys=True))


def _read_again(name: str, place: str, created: float | None) -> dict[str, str]:
    begun = "now" if created is None else datetime.fromtimestamp(created, UTC).isoformat()
    return {name: place, f"{name} is read again in each run, as nothing tells whether it changed; this one": begun}


def _sqlite_digest(database: Path) -> str:
    """The file and, where there is one, the log of what is not in it yet."""
    log = database.with_name(f"{database.name}-wal")
    return digest_file(database) + (digest_file(log) if log.is_file() and log.stat().st_size else "")
