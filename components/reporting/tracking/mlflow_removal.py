"""Take runs and versions out of MLflow, as far as nothing there hangs on them."""

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from components.reporting.tracking.mlflow_models import held_versions, point_aliases, registered_version
from components.reporting.tracking.removals import RemovalsRecord
from components.reporting.tracking.tags import JOINED_TAG, RUN_TAG
from forecasting.contracts.layout import HomeLayout
from forecasting.repository import ModelRepository

_MANY = 1_000
_LOGGED = "models:/"
"""Begins the source of a version that was registered from a logged model."""


def remove_tracked(client: Any, model: str, record: RemovalsRecord, *, home: HomeLayout) -> str:
    """Delete the registered versions and the runs of a record; what is gone already is passed over.

    MLflow marks runs and logged models as deleted; their files go where they lie in this home.

    Args:
        client: `MlflowClient`.
        model: Name of the model.
        record: What is to go.
        home: The home, whose roles the aliases follow first.

    Returns:
        What stays although it was to go, and why; empty where nothing does.
    """
    kept = _remove_versions(client, model, record, home) if record.versions else []
    experiment = client.get_experiment_by_name(record.tracking.experiment or model)
    if experiment is None:
        return "; ".join(kept)
    used = {found.run_id for found in client.search_model_versions(f"name = '{model}'")}
    for name in record.runs:
        parts = client.search_runs([experiment.experiment_id], f"tags.`{RUN_TAG}` = '{name}'", max_results=_MANY)
        if used & {part.info.run_id for part in parts}:
            kept.append(f"the run {name} stays in MLflow: a registered version came from it")
            continue
        own = [part for part in parts if JOINED_TAG not in part.data.tags]
        if len(own) < len(parts):
            kept.append(f"of the run {name} stay in MLflow the runs that it joined: somebody else opened them")
        for part in own:
            client.delete_run(part.info.run_id)
            _remove_files(part.info.artifact_uri, home)
    return "; ".join(kept)


def _remove_versions(client: Any, model: str, record: RemovalsRecord, home: HomeLayout) -> list[str]:
    if not any(registered_version(client, model, wanted) is not None for wanted in record.versions):
        return []
    point_aliases(client, model, held_versions(ModelRepository(home.models), model))
    # A version that was searched for does not say which aliases it has.
    aliases = client.get_registered_model(model).aliases
    kept = []
    for wanted in record.versions:
        found = registered_version(client, model, wanted)
        if found is None:
            continue
        if names := ", ".join(sorted(alias for alias, number in aliases.items() if str(number) == str(found.version))):
            kept.append(f"version {wanted.number} of {model} stays in MLflow: it has the alias {names} there")
            continue
        client.delete_model_version(model, str(found.version))
        if found.source.startswith(_LOGGED):
            logged = client.get_logged_model(found.source.removeprefix(_LOGGED))
            client.delete_logged_model(logged.model_id)
            _remove_files(logged.artifact_location, home)
    return kept


def _remove_files(uri: str, home: HomeLayout) -> None:
    """Delete a folder of artifacts, where it is one of this home."""
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        return
    folder = Path(unquote(parts.path)).resolve()
    if folder.is_relative_to(home.root / "mlartifacts"):
        shutil.rmtree(folder, ignore_errors=True)
