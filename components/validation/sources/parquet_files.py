"""Parquet files: one, a folder of them, partitioned by the names of folders or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from typing_extensions import override

from components.validation.sources.parts import common_columns, short_name, with_partition
from components.validation.sources.table import PartBatch, Source
from forecasting.config.source import CsvConfig
from forecasting.errors import DataError
from forecasting.source_files import FileSet
from forecasting.sources import reading

_BATCH_ROWS = 1 << 17
_BATCH_CELLS = 1 << 21
"""Values of a batch: one of a table of hundreds of columns has fewer rows."""


@dataclass(frozen=True, kw_only=True)
class ParquetSource(Source):
    """Files of typed columns; where files have different types of numbers, the wider one counts."""

    files: FileSet
    schema: pa.Schema

    @classmethod
    def open(cls, files: FileSet, _dialect: CsvConfig) -> "ParquetSource":
        """Read the schema of each file.

        Raises:
            DataError: A file cannot be read, or the files have different columns.
        """
        schemas = {path: _schema(files, path) for path in files.paths}
        return cls(
            name=files.address.name,
            short_name=short_name(files),
            columns=common_columns(files, lambda path: schemas[path].names),
            parts=files.names,
            files=files,
            schema=_common_schema(files, schemas),
        )

    @override
    def batches(self, columns: tuple[str, ...]) -> Iterator[PartBatch]:
        with self.files.unchanged():
            yield from self._batches(columns)

    def _batches(self, columns: tuple[str, ...]) -> Iterator[PartBatch]:
        for part, path in enumerate(self.files.paths):
            partition = self.files.partition(path)
            inside = [name for name in columns if name not in partition]
            n_rows = max(1, min(_BATCH_ROWS, _BATCH_CELLS // max(1, len(inside))))
            schema = pa.schema([self.schema.field(name) for name in inside])
            with _readable(self.files, path), self.files.open(path) as stream, pq.ParquetFile(stream) as file:
                for rows in file.iter_batches(n_rows, columns=inside):
                    cast = rows.select(inside).cast(schema) if inside else rows
                    yield PartBatch(part, with_partition(cast, columns, partition))


def _schema(files: FileSet, path: str) -> pa.Schema:
    with _readable(files, path), files.open(path) as stream:
        return pq.read_schema(stream).remove_metadata()


def _common_schema(files: FileSet, schemas: dict[str, pa.Schema]) -> pa.Schema:
    first, *others = files.paths
    common = _plain(schemas[first])
    for path in others:
        try:
            common = pa.unify_schemas([common, _plain(schemas[path])], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            name = path.removeprefix(files.base).lstrip("/")
            raise DataError(
                f"the files of {files.address.name} must have columns of the same types; {name} differs from those before it: "
                f"{str(error).splitlines()[0]}"
            ) from error
    return common


def _plain(schema: pa.Schema) -> pa.Schema:
    """Dictionaries as what they hold: their codes differ from batch to batch."""
    fields = [
        pa.field(field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
        for field in schema
    ]
    return pa.schema(fields)


@contextmanager
def _readable(files: FileSet, path: str) -> Iterator[None]:
    name = (
        files.address.name
        if len(files.paths) == 1
        else f"{files.address.name}: {path.removeprefix(files.base).lstrip('/')}"
    )
    with reading(files.address):
        try:
            yield
        except pa.ArrowInvalid as error:
            raise DataError(f"{name} cannot be read as Parquet: {str(error).splitlines()[0]}") from error
