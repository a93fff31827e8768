"""A version as the gateway needs it: its feature spec and the history of its series."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forecasting.contracts.artifacts import EXPORTED_SPEC_FILE
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ArtifactError, ConfigError
from forecasting.features.spec import FeatureSpec, read_feature_spec
from forecasting.repository import ModelRepository
from forecasting.schema import Series, read_series_store
from forecasting.windows import ModelInputs, stack_inputs, window_inputs
from serving.gateway.answers import AnswerError


@dataclass(frozen=True)
class OriginRange:
    """Origins (epoch seconds, inclusive) at which a series can be forecast, and the one taken by default."""

    first: int
    last: int
    default: int


@dataclass(frozen=True)
class ServedModel:
    """One version, its spec and its series by id."""

    name: str
    version: int
    cutoff: int
    spec: FeatureSpec
    series: dict[str, Series]

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

    def origins(self, series: Series) -> OriginRange | None:
        """Where a series can be forecast: after its first step, as far as its known covariates cover the horizon.

        The default is the step after the last known target, or the last possible one before it. None
        where the covariates never cover a horizon.
        """
        step, horizon, n_known = self.spec.step_s, self.spec.horizon, len(self.spec.known)
        target = np.flatnonzero(np.isfinite(series.values[:, 0]))
        if not len(target):
            return None
        after_target = int(target[-1]) + 1
        last = series.n_steps
        if n_known:
            covered = np.isfinite(series.values[:, series.values.shape[1] - n_known :]).all(axis=1)
            runs = (
                np.convolve(covered, np.ones(horizon, dtype=int), mode="valid")
                if series.n_steps >= horizon
                else np.zeros(0)
            )
            starts = np.flatnonzero(runs == horizon)
            starts = starts[starts >= 1]
            if not len(starts):
                return None
            last = int(starts[-1])
            before = starts[starts <= after_target]
            default = int(before[-1]) if len(before) else last
        else:
            default = after_target
        return OriginRange(series.start + step, series.start + last * step, series.start + default * step)

    def inputs(self, series: Sequence[Series], origin: int | None) -> tuple[ModelInputs, list[int]]:
        """Model inputs of some series and the origin of each.

        Raises:
            AnswerError: 400: the origin lies off the grid or outside of what can be forecast.
        """
        parts, origins = [], []
        for one in series:
            chosen = self._origin(one, origin)
            window = window_inputs(one, self.spec, np.array([chosen]))
            n_known = len(self.spec.known)
            if not np.isfinite(window.future[..., :n_known]).all():
                raise AnswerError(
                    400, f"series {one.id!r}: a known covariate is missing in the horizon of {_iso(chosen)}"
                )
            parts.append(window)
            origins.append(chosen)
        return stack_inputs(parts), origins

    def _origin(self, series: Series, asked: int | None) -> int:
        possible = self.origins(series)
        if possible is None:
            raise AnswerError(
                400,
                f"series {series.id!r} cannot be forecast: it has no target, or covariates never cover {self.spec.horizon} steps",
            )
        if asked is None:
            return possible.default
        if (asked - series.start) % self.spec.step_s:
            raise AnswerError(
                400,
                f"'origin' must lie on the grid of {self.spec.step_s} s steps from {_iso(series.start)}, found {_iso(asked)}",
            )
        if not possible.first <= asked <= possible.last:
            raise AnswerError(
                400,
                f"'origin' of series {series.id!r} must be from {_iso(possible.first)} to {_iso(possible.last)}, found {_iso(asked)}",
            )
        return asked


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
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"version {version} of {name!r} or its series store {folder} cannot be read: {error}"
        ) from error
    if (store.spec.columns, store.spec.step_s) != (spec.value_columns, spec.step_s):
        raise ArtifactError(
            f"version {version} of {name!r} reads {spec.value_columns} each {spec.step_s} s, "
            f"the series store {folder} has {store.spec.columns} each {store.spec.step_s} s"
        )
    return ServedModel(name, version, store.spec.split.cutoff, spec, {series.id: series for series in store})


def roles_document(repository: ModelRepository, name: str) -> dict[str, int | None]:
    """Version in each role."""
    return {role.value: repository.role(name, role) for role in ModelRole}


def _iso(seconds: int) -> str:
    return str(np.datetime_as_string(np.datetime64(seconds, "s"), timezone="UTC"))
