"""The series that belong to a version, read whole or in parts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from forecasting.answering.series_block import make_block
from forecasting.answering.served_model import ServedModel
from forecasting.contracts.artifacts import EXPORTED_SPEC_FILE, QUARANTINE_DIR
from forecasting.errors import ArtifactError, ConfigError
from forecasting.features.spec import read_feature_spec
from forecasting.quarantine import quarantine_reasons
from forecasting.repository import ModelRepository
from forecasting.schema import Series
from forecasting.series_store import SeriesReader


class VersionSeries:
    """The feature spec of a version and its series, those in quarantine among them; no series is read before it is asked for.

    ids: of all series, sorted. n_steps, start `[S]`: of each.
    """

    def __init__(self, repository: ModelRepository, name: str, version: int, series_dir: Path | None = None) -> None:
        """Open what belongs to a version.

        Args:
            repository: Model repository.
            name: Model name.
            version: Published version.
            series_dir: Series store; none for the one kept with the version.

        Raises:
            ConfigError: The series store is missing.
            ArtifactError: The version or the store cannot be read, or they do not fit each other.
        """
        folder = series_dir or repository.require_series(name, version)
        if not folder.is_dir():
            raise ConfigError(f"--series-dir must name a series store, found no directory {folder}")
        self.name, self.version = name, version
        self._what = f"version {version} of {name!r} or its series store {folder}"
        try:
            self.spec = read_feature_spec(repository.version_dir(name, version) / EXPORTED_SPEC_FILE)
            self._store = SeriesReader(folder)
            self.quarantine = quarantine_reasons(folder)
            self._apart = SeriesReader(folder / QUARANTINE_DIR) if self.quarantine else None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{self._what} cannot be read: {error}") from error
        found = self._store.spec
        if (found.columns, found.step_s) != (self.spec.value_columns, self.spec.step_s):
            raise ArtifactError(
                f"version {version} of {name!r} reads {self.spec.value_columns} each {self.spec.step_s} s, "
                f"the series store {folder} has {found.columns} each {found.step_s} s"
            )
        indices = [self._store.index, *([self._apart.index] if self._apart else [])]
        ids = [one for index in indices for one in index.ids]
        order = sorted(range(len(ids)), key=ids.__getitem__)
        self.ids = tuple(ids[place] for place in order)
        self.n_steps: npt.NDArray[np.int64] = np.concatenate([index.n_steps for index in indices])[order]
        self.start: npt.NDArray[np.int64] = np.concatenate([index.start for index in indices])[order]
        # How many of the store come before each place; the others are in quarantine, in the same order.
        self._before = np.cumsum([0, *(place < len(self._store.index) for place in order)])

    @property
    def cutoff(self) -> int:
        """End of the history, UTC epoch seconds."""
        return self._store.spec.split.cutoff

    def part(self, first: int, end: int) -> ServedModel:
        """The version with some of its series alone, from one place of `ids` up to another.

        Raises:
            ArtifactError: The store cannot be read.
        """
        try:
            found = self._read(first, end)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{self._what} cannot be read: {error}") from error
        quarantine = {one.id: self.quarantine[one.id] for one in found if one.id in self.quarantine}
        block = make_block(found, self.spec, quarantine, cutoff=self.cutoff)
        # Views of the block's rows, so that the history is in memory once.
        rows = np.split(block.values, block.offset[1:])
        return ServedModel(
            name=self.name,
            version=self.version,
            cutoff=self.cutoff,
            spec=self.spec,
            series={one.id: replace(one, values=values) for one, values in zip(found, rows, strict=True)},
            quarantine=quarantine,
            arrays=block,
        )

    def _read(self, first: int, end: int) -> Sequence[Series]:
        low, high = int(self._before[first]), int(self._before[end])
        apart = [] if self._apart is None else list(self._apart.part(first - low, end - high))
        return sorted([*self._store.part(low, high), *apart], key=lambda one: one.id)


def load_served_model(repository: ModelRepository, name: str, version: int, series_dir: Path | None) -> ServedModel:
    """Read a version with all its series; see `VersionSeries` for arguments and errors."""
    found = VersionSeries(repository, name, version, series_dir)
    return found.part(0, len(found.ids))
