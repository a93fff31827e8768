"""A version as the gateway needs it: its feature spec and the history of its series."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from forecasting.contracts.artifacts import EXPORTED_SPEC_FILE
from forecasting.contracts.signature import SignatureSpec
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ArtifactError, ConfigError
from forecasting.features.calendar import calendar_columns
from forecasting.features.spec import FeatureSpec, read_feature_spec
from forecasting.quarantine import read_quarantine
from forecasting.repository import ModelRepository
from forecasting.schema import Series
from forecasting.series_store import read_series_store
from serving.gateway.series_block import SeriesBlock, make_block

KEPT_ORIGINS = 64
T = TypeVar("T")


@dataclass(frozen=True)
class ServedModel:
    """One version, its spec and its series by id.

    quarantine: why a series, one of `series`, was left out of training, by id; the model is never asked for it.
    arrays: all of `series` as arrays; made of them where not given.
    """

    name: str
    version: int
    cutoff: int
    spec: FeatureSpec
    series: dict[str, Series]
    quarantine: Mapping[str, str] = field(default_factory=dict)
    arrays: SeriesBlock | None = None

    @cached_property
    def block(self) -> SeriesBlock:
        """All series as arrays."""
        if self.arrays is not None:
            return self.arrays
        return make_block(tuple(self.series.values()), self.spec, self.quarantine, cutoff=self.cutoff)

    @cached_property
    def signature(self) -> SignatureSpec:
        """Shapes of what the model takes and gives."""
        return self.spec.signature

    def calendar(self, origin: int) -> npt.NDArray[np.float32]:
        """Calendar columns of the history before an origin and of the horizon from it on `[L+H,n]`; the latest are kept."""

        def make() -> npt.NDArray[np.float32]:
            steps = np.arange(-self.spec.history_length, self.spec.horizon, dtype=np.int64)
            found: npt.NDArray[np.float32] = calendar_columns(origin + self.spec.step_s * steps, self.spec.calendar)
            return found

        return self._calendars.get(origin, make)

    @cached_property
    def _calendars(self) -> "KeptByOrigin[npt.NDArray[np.float32]]":
        return KeptByOrigin()

    @cached_property
    def written_times(self) -> "KeptByOrigin[tuple[bytes, bytes]]":
        """First step and steps from an origin, as an answer has them."""
        return KeptByOrigin()


class KeptByOrigin(Generic[T]):
    """What was made for the latest origins: nearly all requests are for one of them."""

    def __init__(self) -> None:
        """Nothing is kept yet."""
        self._found: dict[int, T] = {}

    def get(self, origin: int, make: Callable[[], T]) -> T:
        """What was made for an origin, or is made now."""
        found = self._found.get(origin)
        if found is None:
            found = make()
            # Several threads may make the same; whichever stays is as good.
            while len(self._found) >= KEPT_ORIGINS and (first := next(iter(list(self._found)), None)) is not None:
                self._found.pop(first, None)
            self._found[origin] = found
        return found


def load_served_model(repository: ModelRepository, name: str, version: int, series_dir: Path | None) -> ServedModel:
    """Read what belongs to a version.

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
    try:
        spec = read_feature_spec(repository.version_dir(name, version) / EXPORTED_SPEC_FILE)
        store = read_series_store(folder)
        apart = read_quarantine(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"version {version} of {name!r} or its series store {folder} cannot be read: {error}"
        ) from error
    if (store.spec.columns, store.spec.step_s) != (spec.value_columns, spec.step_s):
        raise ArtifactError(
            f"version {version} of {name!r} reads {spec.value_columns} each {spec.step_s} s, "
            f"the series store {folder} has {store.spec.columns} each {store.spec.step_s} s"
        )
    found = sorted((*store, *(record.series for record in apart)), key=lambda one: one.id)
    quarantine = {record.series.id: record.reason for record in apart}
    block = make_block(found, spec, quarantine, cutoff=store.spec.split.cutoff)
    # Views of the block's rows, so that the history is in memory once.
    rows = np.split(block.values, block.offset[1:])
    return ServedModel(
        name=name,
        version=version,
        cutoff=store.spec.split.cutoff,
        spec=spec,
        series={one.id: replace(one, values=values) for one, values in zip(found, rows, strict=True)},
        quarantine=quarantine,
        arrays=block,
    )


def roles_document(repository: ModelRepository, name: str) -> dict[str, int | None]:
    """Version in each role."""
    return {role.value: repository.role(name, role) for role in ModelRole}
