"""The champion as the monitor needs it: what it reads, its series, the latest targets of its table."""

from dataclasses import dataclass
from pathlib import Path

from forecasting.contracts.artifacts import EXPORTED_SPEC_FILE
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ArtifactError
from forecasting.features.spec import FeatureSpec, read_feature_spec
from forecasting.repository import ModelRepository
from forecasting.schema import Series
from forecasting.series_store import read_series_spec
from forecasting.series_tails import target_tails


@dataclass(frozen=True)
class WatchedModelSpec:
    """A champion, the version in each role, and where the series of the champion are; none where none were kept.

    train_end, cutoff: of these series, epoch seconds; 0 where there are none.
    """

    name: str
    version: int
    roles: dict[ModelRole, int]
    spec: FeatureSpec
    train_end: int
    cutoff: int
    series_dir: Path | None

    @property
    def season(self) -> int:
        """Steps of the longest season, whose naive forecast live errors are compared with."""
        return max(self.spec.seasons)


def watched_model(repository: ModelRepository, name: str) -> WatchedModelSpec | None:
    """The champion; none where there is none yet.

    Raises:
        ArtifactError: It cannot be read.
    """
    held = repository.roles(name)
    roles = {role: version for role in ModelRole if (version := held.of(role)) is not None}
    version = held.champion
    if version is None:
        return None
    series_dir = repository.series_dir(name, version)
    series_dir = series_dir if series_dir is not None and series_dir.is_dir() else None
    try:
        spec = read_feature_spec(repository.version_dir(name, version) / EXPORTED_SPEC_FILE)
        split = None if series_dir is None else read_series_spec(series_dir).split
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"version {version} of {name!r} cannot be read: {error}") from error
    train_end, cutoff = (0, 0) if split is None else (split.train_end, split.cutoff)
    return WatchedModelSpec(name, version, roles, spec, train_end, cutoff, series_dir)


class TableTargets:
    """The latest targets of the champion's table, read again when it is another one or more of it is wanted."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._of: tuple[int, Path | None] | None = None
        self._since = 0
        self._tails: dict[str, Series] = {}

    def tails(self, model: WatchedModelSpec, since: int) -> dict[str, Series]:
        """Targets from a time on by id, empty where no series were kept; what is older may be among them.

        Raises:
            ArtifactError: The series cannot be read.
        """
        key = (model.version, model.series_dir)
        if self._of != key or since < self._since:
            self._tails = {} if model.series_dir is None else target_tails(model.series_dir, since)
            self._of, self._since = key, since
        return self._tails
