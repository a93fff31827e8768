"""The files behind an address that is no database: one file, a folder, or a pattern, here or elsewhere."""

import glob
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from forecasting.errors import AlmanacError, ConfigError, DataError, RetryableError
from forecasting.sources import SourceAddress, SourceKind, reading

CSV_ENDINGS = (".csv", ".csv.gz", ".csv.zst")
PARQUET_ENDINGS = (".parquet", ".pq")
_HIDDEN = (".", "_")
_WRITTEN_MARKS = (
    "ETag", "etag", "e_tag", "md5Hash", "md5", "Content-MD5", "content_md5", "Digest", "checksum", "CRC", "crc32c", "generation",
    "mtime", "LastModified", "last_modified", "Last-Modified", "updated", "modified", "created",
)  # fmt: skip
"""What file systems of fsspec call that by which a change of a file is seen."""


class FileFormat(StrEnum):
    """How files are written."""

    CSV = "CSV"
    PARQUET = "Parquet"


@dataclass(frozen=True)
class FileSet:
    """Files that are one table, in order of their names.

    base: folder from which names and partitions count. paths: below it, all of one format.
    marks: by path, what a change of the file is seen by. filesystem: of fsspec; none: the local one.
    """

    address: SourceAddress
    base: str
    paths: tuple[str, ...]
    format: FileFormat
    marks: Mapping[str, Mapping[str, str]]
    filesystem: Any = None

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each file below the base."""
        return tuple(path.removeprefix(self.base).lstrip("/") for path in self.paths)

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading."""
        if self.filesystem is None:
            return Path(path).open("rb")
        return cast(BinaryIO, self.filesystem.open(path, "rb"))

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Read the files within: all of them as they were when they were listed.

        Raises:
            RetryableError: A file was written, replaced, added or removed meanwhile; what was read is no table.
        """
        try:
            yield
        except (DataError, OSError) as error:
            # Half of one file and half of another can fail in any way.
            if changed := self._changed():
                raise self._refusal(changed) from error
            raise
        if changed := self._changed():
            raise self._refusal(changed)

    def _changed(self) -> tuple[str, ...]:
        """Names of the files that are not as they were listed."""
        if self.filesystem is not None:
            self.filesystem.invalidate_cache()
        try:
            now = find_files(self.address).marks
        except AlmanacError:
            return self.names
        paths = sorted({*self.marks, *now})
        return tuple(
            path.removeprefix(self.base).lstrip("/") for path in paths if now.get(path) != self.marks.get(path)
        )

    def _refusal(self, changed: tuple[str, ...]) -> RetryableError:
        more = f" and {len(changed) - 1:,} more" if len(changed) > 1 else ""
        which = "it" if len(self.paths) == 1 and changed == self.names else f"{changed[0]}{more}"
        return RetryableError(
            f"{self.address.name} must stay as it is while it is read, and {which} was written, replaced, added or removed; "
            "nothing of it is used, run again once it is whole"
        )

    def partition(self, path: str) -> dict[str, str | None]:
        """Columns and values that the folders of a file say: `year=2024/` is 2024 of the column year."""
        from urllib.parse import unquote

        folders = PurePosixPath(path.removeprefix(self.base).lstrip("/")).parts[:-1]
        pairs = (folder.partition("=") for folder in folders if "=" in folder)
        return {name: None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value) for name, _, value in pairs}


def find_files(address: SourceAddress) -> FileSet:
    """List the files of an address.

    Raises:
        ConfigError: The files are of no known format, or the package for the address is not installed.
        DataError: There are none, or they are of two formats.
    """
    base, paths, filesystem = _local(address) if address.kind is SourceKind.LOCAL else _remote(address)
    formats = {path: _format(path) for path in paths}
    odd = [path for path, found in formats.items() if found is None]
    known = ", ".join((*CSV_ENDINGS, *PARQUET_ENDINGS))
    if odd and len(paths) == 1:
        raise ConfigError(
            f"data.uri must name a file that ends in one of {known}; found {PurePosixPath(odd[0]).name!r}"
        )
    if odd:
        raise ConfigError(
            f"the files of {address.name} must end in one of {known}, and {odd[0].removeprefix(base).lstrip('/')!r} does not; "
            "name those that are the table by a pattern such as FOLDER/*.csv"
        )
    chosen = sorted({found for found in formats.values() if found is not None})
    if len(chosen) > 1:
        raise DataError(
            f"the files of {address.name} must be all CSV or all Parquet, and they are both; name one kind by a pattern such as "
            "FOLDER/*.parquet"
        )
    kept = tuple(sorted(paths))
    with reading(address):
        marks = {
            path: _local_mark(path) if filesystem is None else written_mark(filesystem.info(path)) for path in kept
        }
    return FileSet(address, base, kept, chosen[0], marks, filesystem)


def written_mark(found: Mapping[str, Any]) -> dict[str, str]:
    """What a file system of fsspec knows of a file's content: its size and, from most of them, more."""
    marks = {name: str(found[name]) for name in _WRITTEN_MARKS if found.get(name) is not None}
    return {**marks, "size": str(found.get("size"))}


def _local_mark(path: str) -> dict[str, str]:
    # No inode: network file systems may give a file another one at any time. A replaced file has another time of change.
    found = Path(path).stat()
    return {"size": str(found.st_size), "mtime": str(found.st_mtime_ns), "ctime": str(found.st_ctime_ns)}


def _format(path: str) -> FileFormat | None:
    name = path.partition("?")[0].lower()
    if name.endswith(CSV_ENDINGS):
        return FileFormat.CSV
    return FileFormat.PARQUET if name.endswith(PARQUET_ENDINGS) else None


def _local(address: SourceAddress) -> tuple[str, list[str], None]:
    path = Path(address.uri)
    if path.is_dir():
        return str(path), _not_hidden([str(p) for p in path.rglob("*") if p.is_file()], str(path), address), None
    if path.exists():
        return str(path.parent), [str(path)], None
    if glob.has_magic(address.uri):
        # Not Path.glob: it knows no pattern that begins at the root.
        found = [name for name in glob.glob(address.uri, recursive=True) if Path(name).is_file()]  # noqa: PTH207
        fixed = address.uri[: next(i for i, sign in enumerate(address.uri) if sign in "*?[")]
        base = fixed.rpartition("/")[0]
        return base, _not_hidden(found, base, address), None
    if _format(address.uri) is None:
        # What is wrong is the name, whether there is such a file or not.
        return str(path.parent), [str(path)], None
    raise DataError(
        f"data.uri must name an existing file, and there is none at {address.name}; a relative path starts at the configuration"
    )


def _remote(address: SourceAddress) -> tuple[str, list[str], Any]:
    filesystem, path = remote_filesystem(address)
    with reading(address):
        if "*" in path:
            fixed = path.partition("*")[0].rpartition("/")[0]
            found = [str(name) for name in filesystem.glob(path) if filesystem.isfile(name)]
            return fixed, _not_hidden(found, fixed, address), filesystem
        if _format(path) is not None and filesystem.isfile(path):
            return str(path).rpartition("/")[0], [str(path)], filesystem
        if filesystem.isdir(path):
            base = str(path).rstrip("/")
            return base, _not_hidden([str(name) for name in filesystem.find(path)], base, address), filesystem
        if filesystem.exists(path):
            return str(path).rpartition("/")[0], [str(path)], filesystem
    raise DataError(f"data.uri must name an existing file, and there is none at {address.name}")


def remote_filesystem(address: SourceAddress) -> tuple[Any, str]:
    """The file system of fsspec for an address, and the path in it.

    Raises:
        ConfigError: There is no such file system, or its package is not installed.
        DataError: It cannot be opened.
    """
    import fsspec

    scheme = address.uri.partition("://")[0]
    try:
        with reading(address, "be opened"):
            try:
                filesystem, path = fsspec.core.url_to_fs(address.uri)
            except ImportError as error:
                raise ConfigError(
                    f"data.uri names {scheme}://, whose package is not installed ({error}); add it to the environment of the run"
                ) from error
            except ValueError as error:
                if "not known" not in str(error).lower():
                    raise
                raise ConfigError(
                    f"data.uri must be a file, a database (postgresql+psycopg://…), example://NAME or an address that fsspec opens; "
                    f"it does not know {scheme}://"
                ) from error
    except TypeError as error:
        raise DataError(f"{address.name} cannot be opened: {address.scrubbed(str(error))}") from None
    return filesystem, str(path)


def _not_hidden(paths: list[str], base: str, address: SourceAddress) -> list[str]:
    """Files without those that a name marks as no part of the table, as in Spark and Hive."""
    kept = [
        path for path in paths
        if not any(part.startswith(_HIDDEN) for part in PurePosixPath(path.removeprefix(base).lstrip("/")).parts)
    ]  # fmt: skip
    if not kept:
        raise DataError(f"data.uri must name files, and {address.name} has none")
    return kept
