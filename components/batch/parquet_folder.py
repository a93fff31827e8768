"""Batches as files of a folder."""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from components.batch.batch_table import BatchSpec
from forecasting.errors import ConfigError
from forecasting.manifests import sync_directory


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

    @contextmanager
    def draft(self, spec: BatchSpec) -> Iterator[Path]:
        """See `BatchPlace.draft`; drafts that killed processes have left are taken away.

        Raises:
            ConfigError: The folder cannot be written.
        """
        try:
            self._clear(spec)
            path, descriptor = self._locked_draft(spec)
        except OSError as error:
            raise ConfigError(
                f"{self._folder} must be a folder that can be written: {error.strerror or error}"
            ) from error
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def write(self, spec: BatchSpec, draft: Path) -> bool:
        """See `BatchPlace.write`.

        Raises:
            ConfigError: The file cannot be written.
        """
        path = self._path(spec)
        try:
            with draft.open("rb") as stream:
                os.fsync(stream.fileno())
            # A link, for it fails where the name is taken, and a rename does not.
            os.link(draft, path)
            sync_directory(self._folder)
        except FileExistsError:
            return False
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error
        return True

    def _locked_draft(self, spec: BatchSpec) -> tuple[Path, int]:
        while True:
            # Not by number of process: containers that share a folder have the same ones.
            path = self._path(spec).with_name(f".{self._path(spec).name}.{uuid.uuid4().hex}.tmp")
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Another process may have taken it for one that was left, before it was locked.
            if os.fstat(descriptor).st_nlink:
                return path, descriptor
            os.close(descriptor)

    def _clear(self, spec: BatchSpec) -> None:
        """Remove drafts of this batch whose process is gone: the lock of a living one is held."""
        for left in self._folder.glob(f".{self._path(spec).name}.*.tmp"):
            with suppress(FileNotFoundError), left.open("rb") as stream, suppress(BlockingIOError):
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()

    def _path(self, spec: BatchSpec) -> Path:
        return self._folder / f"{spec.model}-{spec.moment:%Y%m%dT%H%M%SZ}-v{spec.version}.parquet"
