"""Versions of the model in memory."""

import asyncio
import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from forecasting.answering.served_model import ServedModel
from forecasting.repository import ModelRepository
from forecasting.roles import RolesRecord

logger = logging.getLogger(__name__)
T = TypeVar("T")


class FileWatch(Generic[T]):
    """What is read of a file, read again when the file changes: a look at it costs a tenth of reading it."""

    def __init__(self, path: Path, read: Callable[[], T]) -> None:
        """Nothing is read yet."""
        self._path, self._read = path, read
        self._found: tuple[tuple[int, int, int] | None, T] | None = None

    def get(self) -> T:
        """What the file says now; what `read` raises is raised each time."""
        stamp = self._stamp()
        if self._found is None or self._found[0] != stamp:
            # Looked at before it is read: a change in between is seen the next time.
            self._found = (stamp, self._read())
        return self._found[1]

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


class RolesWatch:
    """The version in each role, and the series kept with each version."""

    def __init__(self, repository: ModelRepository, name: str) -> None:
        """Look at a model of a repository."""
        self._repository, self._name = repository, name
        self._roles = FileWatch(repository.roles_file(name), functools.partial(repository.roles, name))
        self._series: dict[int, FileWatch[Path | None]] = {}

    def roles(self) -> RolesRecord:
        """The roles now.

        Raises:
            ArtifactError: The roles are damaged.
        """
        return self._roles.get()

    def series_dir(self, version: int) -> Path | None:
        """The series store kept with a version, or none."""
        if version not in self._series:
            read = functools.partial(self._repository.series_dir, self._name, version)
            self._series[version] = FileWatch(self._repository.record_file(self._name, version), read)
        return self._series[version].get()


class ModelLoader:
    """Reads a version at most once and keeps the latest three, so that champion, candidate and a rollback cost no reading.

    A version whose series were replaced, as a run does that finds its model champion already, is read again.
    """

    def __init__(self, load: Callable[[int], ServedModel], versions: RolesWatch) -> None:
        """Load with a function from version to `ServedModel`; the other says which series a version has now."""
        self._load, self.versions = load, versions
        self._loaded: dict[tuple[int, Path | None], ServedModel] = {}
        self._busy = asyncio.Lock()

    async def load(self, version: int) -> ServedModel:
        """A version, from memory or from disk."""
        key = (version, self.versions.series_dir(version))
        if key in self._loaded:
            return self._loaded[key]
        async with self._busy:
            if key not in self._loaded:
                found = await asyncio.get_running_loop().run_in_executor(None, self._load, version)
                self._loaded = {**dict(list(self._loaded.items())[-2:]), key: found}
                logger.info("serving %s version %d with %d series", found.name, version, len(found.series))
            return self._loaded[key]
