"""MLflow's models: the version of a bundle logged as files, registered, and the aliases that follow the repository."""

import json
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from components.reporting.tracking.bundle import GOLDEN_FILE, MODEL_DIR, BundleRecord, VersionSpec
from forecasting.contracts.artifacts import TFLITE_FILE
from forecasting.contracts.signature import QUANTILES
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ArtifactError
from forecasting.repository import ModelRepository

VERSION_TAG = "repository_version"
"""Tag of a registered version: its number in the model repository."""
DIGEST_TAG = "repository_digest"
"""Tag of a registered version: digest of its files. A number alone is no proof: a home that was deleted begins at 1 again."""
LOADER = "forecasting.neural.served_version"
MODEL_NAME = "model"
_ROLES = (ModelRole.CHAMPION, ModelRole.CANDIDATE, ModelRole.PREVIOUS)


def held_versions(repository: ModelRepository, model: str) -> dict[ModelRole, VersionSpec]:
    """The version in each role that the repository has filled."""
    roles = repository.roles(model)
    return {
        role: VersionSpec(number, str(repository.record(model, number).get("digest", "")))
        for role in _ROLES
        if (number := roles.of(role)) is not None
    }


def send_model(client: Any, experiment: str, run_id: str, bundle: BundleRecord, directory: Path) -> str:
    """Log the model of a bundle and register it; a version that is registered already is found again.

    Args:
        client: `MlflowClient`.
        experiment: Id of the experiment.
        run_id: Run of the pipeline.
        bundle: A bundle with a version.
        directory: Where it lies, with the version's files.

    Returns:
        Number of the registered version.
    """
    if bundle.version is None:
        raise ValueError(f"the bundle of {bundle.run} must have a version to send its model")
    _require_model(client, bundle.model)
    if (found := registered_version(client, bundle.model, bundle.version)) is not None:
        return str(found.version)
    tags = {VERSION_TAG: str(bundle.version.number), DIGEST_TAG: bundle.version.digest}
    logged = _logged(client, experiment, run_id, tags=tags, variant=bundle.variant)
    if str(logged.status) != "READY":
        with tempfile.TemporaryDirectory() as folder:
            saved = Path(folder) / MODEL_NAME
            _save_model(saved, directory, run_id=run_id, model_id=logged.model_id)
            client.log_model_artifacts(logged.model_id, str(saved))
        client.finalize_logged_model(logged.model_id, "READY")
    made = client.create_model_version(
        bundle.model, source=f"models:/{logged.model_id}", run_id=run_id, tags=tags, model_id=logged.model_id
    )
    return str(made.version)


def point_aliases(client: Any, model: str, held: Mapping[ModelRole, VersionSpec]) -> list[str]:
    """Make the aliases `champion`, `candidate` and `previous` say what the repository says.

    Args:
        client: `MlflowClient`.
        model: Name of a registered model.
        held: The version in each role that the repository has filled.

    Returns:
        The roles whose version is not registered, so that nothing could be pointed at it.
    """
    aliases = client.get_registered_model(model).aliases
    missing = []
    for role in _ROLES:
        registered = registered_version(client, model, held[role]) if role in held else None
        if registered is not None:
            if aliases.get(role.value) != str(registered.version):
                client.set_registered_model_alias(model, role.value, str(registered.version))
            continue
        if role in held:
            missing.append(role.value)
        if role.value in aliases:
            client.delete_registered_model_alias(model, role.value)
    return missing


def registered_version(client: Any, model: str, wanted: VersionSpec) -> Any:
    """The registered version that is this version of the repository, or none."""
    tags = {VERSION_TAG: str(wanted.number), DIGEST_TAG: wanted.digest}.items()
    for found in client.search_model_versions(f"name = '{model}'"):
        if tags <= found.tags.items():
            return found
    return None


def _logged(client: Any, experiment: str, run_id: str, *, tags: Mapping[str, str], variant: str) -> Any:
    """The logged model of a version: that of an earlier attempt, or a new one."""
    wanted = " AND ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
    if found := client.search_logged_models([experiment], wanted, max_results=1):
        return found[0]
    return client.create_logged_model(
        experiment, MODEL_NAME, source_run_id=run_id, tags={**tags, "almanac.variant": variant}
    )


def _require_model(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise


def _save_model(target: Path, directory: Path, *, run_id: str, model_id: str) -> None:
    """Write the version as MLflow reads models: its files, a module that loads them, signature and example; no pickle."""
    import mlflow.pyfunc
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    try:
        with np.load(directory / GOLDEN_FILE, allow_pickle=False) as arrays:
            example = {name: arrays[name] for name in arrays.files if name != QUANTILES}
            answer = arrays[QUANTILES]
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise ArtifactError(
            f"{directory / GOLDEN_FILE} must hold a request and its answer: {error}; remove {directory} to forget it"
        ) from error
    inputs = [TensorSpec(array.dtype, (-1, *array.shape[1:]), name) for name, array in example.items()]
    signature = ModelSignature(Schema(inputs), Schema([TensorSpec(answer.dtype, (-1, *answer.shape[1:]))]))
    packages = (
        ("ai-edge-litert", "numpy") if (directory / MODEL_DIR / TFLITE_FILE).exists() else ("tensorflow", "numpy")
    )
    mlflow.pyfunc.save_model(
        str(target),
        loader_module=LOADER,
        data_path=str(directory / MODEL_DIR),
        mlflow_model=Model(run_id=run_id, model_id=model_id),
        signature=signature,
        input_example={name: array[:1] for name, array in example.items()},
        pip_requirements=[_requirement(name) for name in packages],
        metadata={"answer": json.dumps({"name": QUANTILES, "shape": list(answer.shape[1:])})},
    )


def _requirement(name: str) -> str:
    """A package as it is installed here; without its version where it is not, as who sends need not be able to run it."""
    try:
        return f"{name}=={package_version(name)}"
    except PackageNotFoundError:
        return name
