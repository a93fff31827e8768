"""`almanac models list|show|rollback`."""

import argparse
import json
import sys
from typing import Any

from forecasting.command_word import command_word
from forecasting.contracts.layout import home_layout
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ConfigError, RemoteError
from forecasting.repository import ModelRepository
from pipelines.records import table


def list_models(arguments: argparse.Namespace) -> int:
    """One line a model."""
    repository = ModelRepository(home_layout().models)
    names = repository.names()
    if arguments.json:
        documents = [
            {"model": name, "versions": repository.versions(name), **_roles(repository, name)} for name in names
        ]
        print(json.dumps(documents, indent=1))
    elif not names:
        print(f"no models in {repository.root}; {command_word()} run -c FILE makes one", file=sys.stderr)
    else:
        rows = [["MODEL", *(role.value.upper() for role in ModelRole), "VERSIONS"]]
        for name in names:
            roles = [str(version or "") for version in _roles(repository, name).values()]
            rows.append([name, *roles, str(len(repository.versions(name)))])
        print("\n".join(table(rows, right=frozenset({1, 2, 3, 4}))))
    return 0


def show(arguments: argparse.Namespace) -> int:
    """One line a version, newest first, with what is remembered of it."""
    repository = _repository(arguments.model)
    versions = sorted(repository.versions(arguments.model), reverse=True)
    documents = [_version(repository, arguments.model, version) for version in versions]
    if arguments.json:
        print(json.dumps(documents, indent=1))
        return 0
    rows = [["VERSION", "ROLE", "RUN", "VARIANT", "PATH"]]
    for found in documents:
        record = found["record"]
        remembered = [str(record.get("run", "")), str(record.get("variant", ""))]
        rows.append([str(found["version"]), found["role"] or "", *remembered, found["path"]])
    print("\n".join(table(rows, right=frozenset({0}))))
    return 0


def rollback(arguments: argparse.Namespace) -> int:
    """Make the previous version champion; servers follow within their poll interval, MLflow's aliases at once."""
    repository = _repository(arguments.model)
    version = repository.rollback(arguments.model)
    problem = _move_aliases(repository, arguments.model)
    if arguments.json:
        print(json.dumps({"model": arguments.model, **_roles(repository, arguments.model), "problem": problem}))
    else:
        print(f"version {version} of {arguments.model} is champion again")
        if problem:
            print(f"{problem}; the next run sets them", file=sys.stderr)
    return 0


def _move_aliases(repository: ModelRepository, model: str) -> str:
    """Make MLflow say what the repository says; returns what went wrong, empty where nothing did."""
    home, roles = home_layout(), repository.roles(model)
    records = [repository.record(model, version) for version in (roles.champion, roles.previous) if version is not None]
    if not any(record.get("mlflow_run_id") for record in records):
        return ""
    configs = [home.run(str(record.get("run"))).config for record in records]
    kept = [path for path in configs if path.is_file()]
    if not kept and not home.tracking_database.is_file():
        return f"MLflow's aliases are as they were: {configs[0]}, which names the tracking server, is gone"
    # Imported here: only who rolls back a registered model needs settings and MLflow.
    from components.deployment.registry import Registry, held_versions
    from forecasting.config import load_config
    from forecasting.config.sections import TrackingConfig

    tracking = load_config(kept[0]).tracking if kept else TrackingConfig()
    try:
        Registry(model, tracking, home).point_aliases(held_versions(repository, model))
    except RemoteError as error:
        return str(error)
    return ""


def _repository(model: str) -> ModelRepository:
    repository = ModelRepository(home_layout().models)
    if model not in repository.names():
        raise ConfigError(
            f"there is no model {model!r} in {repository.root}; `{command_word()} models list` names them"
        )
    return repository


def _roles(repository: ModelRepository, model: str) -> dict[str, int | None]:
    return {role.value: repository.role(model, role) for role in ModelRole}


def _version(repository: ModelRepository, model: str, version: int) -> dict[str, Any]:
    roles = {held: role for role, held in _roles(repository, model).items() if held is not None}
    path = str(repository.version_dir(model, version))
    return {"version": version, "role": roles.get(version), "path": path, "record": repository.record(model, version)}
