"""The MLflow side of a deployment: a run, a registered version, and the aliases `champion` and `previous`.

The model repository is the truth about roles; MLflow follows it. A version is registered before its
promotion and the aliases are set after it. A crash between promotion and aliases leaves aliases
that point to the old champion: `point_aliases` derives both from the repository's roles, so the
next deployment, also one that finds nothing to deploy, repairs them. A rollback sets them at once.
"""

import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecasting.config.sections import TrackingConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import RemoteError
from forecasting.repository import ModelRepository

VERSION_TAG = "repository_version"
"""Tag of a registered version: its number in the model repository."""
DIGEST_TAG = "repository_digest"
"""Tag of a registered version: digest of its files. A number alone is no proof: a home that was deleted begins at 1 again."""
ARTIFACTS_DIR = "mlartifacts"
_RUN_VARIABLE = "MLFLOW_RUN_ID"
_MAX_POINTS = 1_000
"""Metrics that MLflow takes in one request."""


@dataclass(frozen=True)
class RegistrationRecord:
    """Where MLflow keeps a deployment."""

    tracking_uri: str
    experiment: str
    run_id: str
    model_version: str


@dataclass(frozen=True)
class VersionSpec:
    """A version of the model repository: its number and the digest of its files."""

    number: int
    digest: str

    @property
    def tags(self) -> dict[str, str]:
        """How MLflow knows it."""
        return {VERSION_TAG: str(self.number), DIGEST_TAG: self.digest}


def held_versions(repository: ModelRepository, model: str) -> dict[ModelRole, VersionSpec]:
    """The version in each role that MLflow has an alias for and the repository has filled."""
    roles = repository.roles(model)
    return {
        role: VersionSpec(version, str(repository.record(model, version).get("digest", "")))
        for role in (ModelRole.CHAMPION, ModelRole.PREVIOUS)
        if (version := roles.of(role)) is not None
    }


@contextmanager
def _remote_errors(what: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        raise RemoteError(f"MLflow could not {what}: {error}") from error


class Registry:
    """MLflow for one model, without its global state."""

    def __init__(self, model: str, tracking: TrackingConfig, home: HomeLayout) -> None:
        """Open the tracking store; the SQLite file is made where there is none.

        Raises:
            RemoteError: It cannot be opened.
        """
        # Read when MLflow is imported or used: no unpickling of models, no calls home.
        os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.tracking import MlflowClient

        self._model = model
        self._uri = tracking.uri or f"sqlite:///{home.tracking_database}"
        self._experiment = tracking.experiment or model
        self._artifacts = None if tracking.uri else (home.root / ARTIFACTS_DIR).as_uri()
        home.root.mkdir(parents=True, exist_ok=True)
        with _remote_errors(f"open {self._uri}"):
            self._client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    def register(
        self,
        version: VersionSpec,
        version_dir: Path,
        *,
        metrics: Mapping[str, float],
        curves: Mapping[int, Mapping[str, float]],
        parameters: Mapping[str, Any],
        files: Mapping[str, Path],
    ) -> RegistrationRecord:
        """Log a run and register its version; a version that is registered already is found again.

        Args:
            version: The version.
            version_dir: Its directory, the source of the registered version.
            metrics: By name; values that are not finite are left out.
            curves: By epoch, then by name; values that are not finite are left out.
            parameters: By name.
            files: Plain files to keep with the run, by the folder they go into.

        Raises:
            RemoteError: MLflow answers with an error.
        """
        with _remote_errors(f"register version {version.number} of {self._model!r}"):
            found = self._find(version)
            if found is not None:
                return RegistrationRecord(self._uri, self._experiment, found.run_id or "", str(found.version))
            run_id = self._log_run(version.number, metrics, parameters, files)
            self._log_curves(run_id, curves)
            self._require_model()
            made = self._client.create_model_version(
                self._model, source=version_dir.resolve().as_uri(), run_id=run_id, tags=version.tags
            )
        return RegistrationRecord(self._uri, self._experiment, run_id, str(made.version))

    def point_aliases(self, held: Mapping[ModelRole, VersionSpec]) -> None:
        """Make the aliases `champion` and `previous` say what the repository says.

        Args:
            held: The version in each role that the repository has filled.

        Raises:
            RemoteError: MLflow answers with an error.
        """
        with _remote_errors(f"set the aliases of {self._model!r}"):
            aliases = self._client.get_registered_model(self._model).aliases
            for role in (ModelRole.CHAMPION, ModelRole.PREVIOUS):
                registered = self._find(held[role]) if role in held else None
                if registered is not None:
                    self._client.set_registered_model_alias(self._model, role.value, str(registered.version))
                elif role.value in aliases:
                    self._client.delete_registered_model_alias(self._model, role.value)

    def _find(self, version: VersionSpec) -> Any:
        """The registered version that is this version, or none."""
        wanted = version.tags.items()
        for found in self._client.search_model_versions(f"name = '{self._model}'"):
            if wanted <= found.tags.items():
                return found
        return None

    def _log_run(
        self, version: int, metrics: Mapping[str, float], parameters: Mapping[str, Any], files: Mapping[str, Path]
    ) -> str:
        joined = os.environ.get(_RUN_VARIABLE)
        # A run that the pipeline system has opened is joined and left open for it to close.
        run_id = (
            joined or self._client.create_run(self._experiment_id(), run_name=f"{self._model}-{version}").info.run_id
        )
        for name, value in metrics.items():
            if math.isfinite(value):
                self._client.log_metric(run_id, name, value)
        for name, value in parameters.items():
            self._client.log_param(run_id, name, value)
        for folder, path in files.items():
            self._client.log_artifact(run_id, str(path), folder)
        if not joined:
            self._client.set_terminated(run_id)
        return str(run_id)

    def _log_curves(self, run_id: str, curves: Mapping[int, Mapping[str, float]]) -> None:
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1_000)
        points = [
            Metric(name, value, now_ms, epoch)
            for epoch, found in curves.items()
            for name, value in found.items()
            if math.isfinite(value)
        ]
        for first in range(0, len(points), _MAX_POINTS):
            self._client.log_batch(run_id, metrics=points[first : first + _MAX_POINTS])

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(self._experiment, artifact_location=self._artifacts))

    def _require_model(self) -> None:
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

        try:
            self._client.create_registered_model(self._model)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise
