"""A version as the gateway needs it: its feature spec and the history of its series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forecasting.contracts.artifacts import EXPORTED_SPEC_FILE
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ArtifactError, ConfigError
from forecasting.features.spec import FeatureSpec, read_feature_spec
from forecasting.quarantine import read_quarantine
from forecasting.repository import ModelRepository
from forecasting.schema import Series
from forecasting.series_store import read_series_store
from serving.gateway.answers import AnswerError


@dataclass(frozen=True)
class ServedModel:
    """One version, its spec and its series by id.

    quarantine: why a series, one of `series`, was left out of training, by id; the model is never asked for it.
    """

    name: str
    version: int
    cutoff: int
    spec: FeatureSpec
    series: dict[str, Series]
    quarantine: Mapping[str, str] = field(default_factory=dict)

    def pick(self, ids: Sequence[str] | None) -> list[Series]:
        """Series by id, all in order of id where none is named.

        Raises:
            AnswerError: 404 naming the first unknown id.
        """
        if ids is None:
            return list(self.series.values())
        for series_id in ids:
            if series_id not in self.series:
                raise AnswerError(404, f"there is no series {series_id!r}; the model knows {len(self.series)} series")
        return [self.series[series_id] for series_id in ids]


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
    series = {one.id: one for one in (*store, *(record.series for record in apart))}
    return ServedModel(
        name=name,
        version=version,
        cutoff=store.spec.split.cutoff,
        spec=spec,
        series=dict(sorted(series.items())),
        quarantine={record.series.id: record.reason for record in apart},
    )


def roles_document(repository: ModelRepository, name: str) -> dict[str, int | None]:
    """Version in each role."""
    return {role.value: repository.role(name, role) for role in ModelRole}
