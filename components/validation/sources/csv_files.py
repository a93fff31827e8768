"""CSV files in the dialect that `data.csv` states."""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv
from typing_extensions import override

from components.validation.sources.parts import common_columns, short_name, with_partition
from components.validation.sources.table import NumberFormat, PartBatch, Source
from forecasting.config.source import CsvConfig
from forecasting.errors import DataError
from forecasting.source_files import FileSet
from forecasting.sources import reading

_BLOCK_BYTES = 1 << 22
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_ROW = re.compile(r"Row #(\d+): ")
"""How Arrow counts the line of an error: the names of the columns, where nothing is skipped, are 1."""
_OTHER_DELIMITERS = (";", "\t", "|", ",")


@dataclass(frozen=True, kw_only=True)
class CsvSource(Source):
    """Files of text: every column is text, so that what cannot be read is named with its row."""

    files: FileSet
    dialect: CsvConfig
    written: Mapping[str, Mapping[str, str]]
    """Names of the columns as each file writes them, with blanks around them perhaps, by path and name."""

    @classmethod
    def open(cls, files: FileSet, dialect: CsvConfig) -> "CsvSource":
        """Read the names of the columns.

        Raises:
            DataError: A file cannot be read in this dialect, or the files have different columns.
        """
        names = {path: _column_names(files, path, dialect) for path in files.paths}
        # Lines of comments are taken out before rows are counted.
        is_counted = dialect.comment is None
        return cls(
            name=files.address.name,
            short_name=short_name(files),
            columns=common_columns(files, lambda path: [name.strip() for name in names[path]]),
            parts=files.names,
            row_unit="line" if is_counted else "row",
            first_row=2 + dialect.skip_rows if is_counted else 1,
            numbers=NumberFormat(dialect.decimal, dialect.thousands),
            files=files,
            dialect=dialect,
            written={path: {name.strip(): name for name in found} for path, found in names.items()},
        )

    @override
    def batches(self, columns: tuple[str, ...]) -> Iterator[PartBatch]:
        with self.files.unchanged():
            yield from self._batches(columns)

    def _batches(self, columns: tuple[str, ...]) -> Iterator[PartBatch]:
        for part, path in enumerate(self.files.paths):
            partition = self.files.partition(path)
            inside = [name for name in columns if name not in partition]
            written = [self.written[path][name] for name in inside]
            # A name like NA stays a name: what is missing is decided where a column's role is known.
            convert = pyarrow.csv.ConvertOptions(
                include_columns=written, column_types=dict.fromkeys(written, pa.string()), strings_can_be_null=False
            )
            with _readable(self.files, path, self.dialect), _reader(self.files, path, self.dialect, convert) as reader:
                for rows in reader:
                    yield PartBatch(
                        part, with_partition(rows.rename_columns(inside) if inside else rows, columns, partition)
                    )

    @override
    def hint_for_missing(self) -> str:
        if len(self.columns) > 1 or not self.columns:
            return ""
        inside = [sign for sign in _OTHER_DELIMITERS if sign in self.columns[0] and sign != self.dialect.delimiter]
        if not inside:
            return ""
        return (
            f"; its first line is one field that holds {inside[0]!r}: data.csv.delimiter is {self.dialect.delimiter!r}"
        )


class _WithoutComments(io.RawIOBase):
    """A stream of lines without those that begin with a sign."""

    def __init__(self, stream: Any, comment: str) -> None:
        self._lines = stream
        self._comment = comment.encode()
        self._left = b""

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any) -> int:
        while not self._left:
            line = self._lines.readline()
            if not line:
                return 0
            if not line.startswith(self._comment):
                self._left = line
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _column_names(files: FileSet, path: str, dialect: CsvConfig) -> list[str]:
    with _readable(files, path, dialect), _reader(files, path, dialect, None) as reader:
        return list(reader.schema.names)


@contextmanager
def _reader(
    files: FileSet, path: str, dialect: CsvConfig, convert: pyarrow.csv.ConvertOptions | None, **options: bool
) -> Iterator[pyarrow.csv.CSVStreamingReader]:
    with files.open(path) as raw:
        stream = _uncompressed(raw, path)
        if dialect.comment is not None:
            text = io.BufferedReader(_WithoutComments(stream, dialect.comment), _BLOCK_BYTES)
            stream = pa.PythonFile(text, mode="r")
        read = pyarrow.csv.ReadOptions(
            encoding=dialect.encoding,
            skip_rows=dialect.skip_rows,
            block_size=_BLOCK_BYTES if convert else 1 << 20,
            **options,
        )
        parse = pyarrow.csv.ParseOptions(delimiter=dialect.delimiter, quote_char=dialect.quote or False)
        with pyarrow.csv.open_csv(stream, read_options=read, parse_options=parse, convert_options=convert) as reader:
            yield reader


def _uncompressed(raw: BinaryIO, path: str) -> Any:
    ending = next((end for end in _COMPRESSIONS if path.partition("?")[0].lower().endswith(end)), None)
    stream = pa.PythonFile(raw, mode="r")
    return stream if ending is None else pa.CompressedInputStream(stream, _COMPRESSIONS[ending])


@contextmanager
def _readable(files: FileSet, path: str, dialect: CsvConfig) -> Iterator[None]:
    """Turn what Arrow says of a file into a line that names the setting."""
    name = (
        files.address.name
        if len(files.paths) == 1
        else f"{files.address.name}: {path.removeprefix(files.base).lstrip('/')}"
    )
    with reading(files.address):
        try:
            yield
        except UnicodeError as error:
            raise DataError(
                f"{name} cannot be read as CSV in the encoding {dialect.encoding}: {_first_line(error)}; set data.csv.encoding"
            ) from error
        except pa.ArrowInvalid as error:
            said = _with_line(files, path, dialect, error)
            raise DataError(f"{name} cannot be read as CSV: {said}{_setting(error, dialect)}") from error


def _with_line(files: FileSet, path: str, dialect: CsvConfig, error: pa.ArrowInvalid) -> str:
    """What Arrow says, with the line where fields are too many or too few.

    It counts lines only where one thread reads, so the file is read once more, its names as if they were values: nothing but
    the number of fields can be wrong.
    """
    if not _is_of_fields(error):
        return _first_line(error)
    first = pyarrow.csv.ConvertOptions(include_columns=["f0"], column_types={"f0": pa.string()})
    try:
        with _reader(files, path, dialect, first, use_threads=False, autogenerate_column_names=True) as reader:
            for _ in reader:
                pass
    except (pa.ArrowInvalid, UnicodeError) as again:
        error = again if _ROW.search(str(again)) else error
    # Lines of comments are taken out before Arrow counts: then rows below the names are counted, as everywhere else.
    unit, before = ("line", 0) if dialect.comment is None else ("row", 1 + dialect.skip_rows)
    return _ROW.sub(lambda found: f"{unit} {int(found[1]) - before}: ", _first_line(error))


def _is_of_fields(error: pa.ArrowInvalid) -> bool:
    return "Expected" in str(error) and "columns" in str(error)


def _setting(error: pa.ArrowInvalid, dialect: CsvConfig) -> str:
    text = str(error)
    if "UTF8" in text or "UTF-8" in text or "\0" in text:
        return f"; data.csv.encoding is {dialect.encoding}"
    if _is_of_fields(error):
        return f"; data.csv.delimiter is {dialect.delimiter!r}, data.csv.quote {dialect.quote!r}"
    return ""


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
