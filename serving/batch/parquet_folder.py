"""Batches as files of a folder."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from forecasting.errors import ConfigError
from forecasting.manifests import sync_directory
from serving.batch.batch_table import BatchSpec


class ParquetFolder:
    """One Parquet file a batch, with cutoff and version in its name; a reader sees all of it or none."""

    def __init__(self, folder: Path) -> None:
        """Write into a folder, which is made where its parent exists.

        Raises:
            ConfigError: It cannot be a folder.
        """
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"batches must go to a folder that can be made, found {folder}: {error.strerror}"
            ) from error
        self._folder = folder

    def shown(self, spec: BatchSpec) -> str:
        """Path of its file."""
        return str(self._path(spec))

    def has(self, spec: BatchSpec) -> bool:
        """See `BatchPlace.has`."""
        return self._path(spec).is_file()

    def write(self, spec: BatchSpec, rows: pa.Table) -> bool:
        """See `BatchPlace.write`.

        Raises:
            ConfigError: The file cannot be written.
        """
        path = self._path(spec)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as stream:
                pq.write_table(rows, stream)
                stream.flush()
                os.fsync(stream.fileno())
            if self.has(spec):
                return False
            temporary.replace(path)
            sync_directory(self._folder)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def _path(self, spec: BatchSpec) -> Path:
        return self._folder / f"{spec.model}-{spec.moment:%Y%m%dT%H%M%SZ}-v{spec.version}.parquet"
