"""The process that talks to MLflow; nothing else imports it.

    python -m components.reporting.tracking.mlflow_sender HOME [BUNDLE…] [--aliases MODEL…] [--removals MODEL…]

It prints one line of JSON a bundle or model, `SentRecord`, as soon as it is done with it. It is a process of
its own so that whoever started it can end it: no number of slow answers costs a run more than its budget.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.reporting.tracking.bundle import read_bundle
from components.reporting.tracking.mlflow_models import held_versions, point_aliases, send_model
from components.reporting.tracking.mlflow_removal import remove_tracked
from components.reporting.tracking.mlflow_runs import experiment_id, send_runs
from components.reporting.tracking.removals import removals, removals_name
from components.reporting.tracking.spool import (
    CONNECTION_ERRORS,
    SentRecord,
    alias_name,
    registry_of,
    remember_registry,
)
from forecasting.config.tracking import TrackingConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.environment import ResolvedSetting, resolve_setting
from forecasting.errors import AlmanacError, ArtifactError, RemoteError
from forecasting.repository import ModelRepository

ARTIFACTS_DIR = "mlartifacts"
URI_VARIABLE = "MLFLOW_TRACKING_URI"
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
"""Schemes of MLflow without a server, which would put files under the working directory."""
_REFUSALS = frozenset(
    {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"}
)
"""Codes of a server that works and takes this very thing not."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Send bundles and point aliases; returns 0 also where a server refuses, which the lines say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("bundles", nargs="*", type=Path)
    parser.add_argument("--aliases", nargs="*", default=[])
    parser.add_argument("--removals", nargs="*", default=[])
    parsed = parser.parse_args(arguments)
    home, down = HomeLayout(parsed.home), dict[str, str]()
    # In a moment, and a bundle that registers a version points them again.
    for model in parsed.aliases:
        _tell(_send_aliases(home, model, down))
    for directory in parsed.bundles:
        _tell(_send_bundle(home, directory, down))
    for model in parsed.removals:
        _tell(_send_removals(home, model, down))
    return 0


def tracking_address(tracking: TrackingConfig, home: HomeLayout) -> ResolvedSetting:
    """Where MLflow is.

    Raises:
        ConfigError: The setting names a variable that is not set.
    """
    named = tracking.uri or ("${" + URI_VARIABLE + "}" if os.environ.get(URI_VARIABLE) else None)
    return resolve_setting(named or f"sqlite:///{home.tracking_database}", setting="tracking.uri")


def _send_bundle(home: HomeLayout, directory: Path, down: dict[str, str]) -> SentRecord:
    name = directory.name
    try:
        bundle = read_bundle(directory)
        with _client(bundle.tracking, home, down) as (client, artifacts):
            experiment = experiment_id(client, bundle.tracking.experiment or bundle.model, artifacts=artifacts)
            run_id = send_runs(client, experiment, bundle, directory)
            if bundle.version is None:
                return SentRecord(name, experiment=experiment, run_id=run_id)
            version = send_model(client, experiment, run_id, bundle, directory)
            remember_registry(home, bundle.model, bundle.tracking)
            point_aliases(client, bundle.model, held_versions(ModelRepository(home.models), bundle.model))
            return SentRecord(name, experiment=experiment, run_id=run_id, version=version)
    except AlmanacError as error:
        return SentRecord(name, problem=str(error))


def _send_aliases(home: HomeLayout, model: str, down: dict[str, str]) -> SentRecord:
    name = alias_name(model)
    try:
        with _client(registry_of(home, model), home, down) as (client, _):
            point_aliases(client, model, held_versions(ModelRepository(home.models), model))
    except AlmanacError as error:
        return SentRecord(name, problem=str(error))
    return SentRecord(name)


def _send_removals(home: HomeLayout, model: str, down: dict[str, str]) -> SentRecord:
    name = removals_name(model)
    try:
        record = removals(home)[model]
        with _client(record.tracking, home, down) as (client, _):
            return SentRecord(name, note=remove_tracked(client, model, record, home=home))
    except AlmanacError as error:
        return SentRecord(name, problem=str(error))


@contextmanager
def _client(tracking: TrackingConfig, home: HomeLayout, down: dict[str, str]) -> Iterator[tuple[Any, str | None]]:
    """An `MlflowClient` with bounded requests, and where a new experiment of it keeps its files.

    A server that failed once is not asked again by this process, one that only refused a bundle is, and so is one
    for which a file could not be read here.

    Raises:
        RemoteError: MLflow failed, or did before.
        ArtifactError: A file of what is sent cannot be read, or MLflow's files here cannot be written.
    """
    address = tracking_address(tracking, home)
    if address.name in down:
        raise RemoteError(down[address.name])
    _bound_requests(tracking)
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    # Some of MLflow looks models up where the process says, whatever client asks.
    mlflow.set_tracking_uri(address.value)
    mlflow.set_registry_uri(address.value)
    direct = address.value.startswith(_DATABASES)
    try:
        yield MlflowClient(address.value, address.value), (home.root / ARTIFACTS_DIR).as_uri() if direct else None
    except (MlflowException, SQLAlchemyError, RequestException, *CONNECTION_ERRORS) as error:
        text = f"MLflow at {address.name} failed: {' '.join(address.scrubbed(str(error)).split())}"
        if getattr(error, "error_code", None) not in _REFUSALS:
            down[address.name] = text
        raise RemoteError(text) from error
    except OSError as error:
        # Of the files of this bundle: the server is well, and the next bundle has files of its own.
        text = " ".join(address.scrubbed(str(error)).split())
        raise ArtifactError(f"what MLflow was to be sent cannot be read or written here: {text}") from error


def _bound_requests(tracking: TrackingConfig) -> None:
    """Read when MLflow is imported or asks: by default it tries for minutes, reads pickles and calls home."""
    os.environ.update(
        {
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(tracking.request_timeout_s),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(tracking.max_retries),
            "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
            "MLFLOW_UV_AUTO_DETECT": "false",
        }
    )


def _tell(record: SentRecord) -> None:
    sys.stdout.write(json.dumps(asdict(record)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
