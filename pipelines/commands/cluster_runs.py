"""`almanac runs list|logs|stop -c FILE`: the runs of a model on its cluster."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from forecasting.config import load_config
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.steps import StepName
from forecasting.errors import ConfigError
from pipelines.cluster.backend import ClusterBackend
from pipelines.cluster.opening import open_cluster
from pipelines.records import table


def list_there(arguments: argparse.Namespace) -> int:
    """One line a run."""
    with _cluster(arguments) as backend:
        found = list(backend.runs())
    if arguments.json:
        print(json.dumps([asdict(record) for record in found], indent=1))
        return int(ExitCode.DONE)
    rows = [(one.id, one.name, one.phase.value, one.created, one.cutoff or "", one.detail) for one in found]
    if rows:
        print("\n".join(table([("ID", "RUN", "STATUS", "CREATED", "CUTOFF", "REMARK"), *rows])))
    else:
        print("no runs on the cluster", file=sys.stderr)
    return int(ExitCode.DONE)


def logs_there(arguments: argparse.Namespace) -> int:
    """What the pods of a run printed."""
    step = StepName(arguments.step) if arguments.step else None
    shown = 0
    with _cluster(arguments) as backend:
        name = _named(backend, arguments.run)
        for shown, (task, text) in enumerate(backend.logs(name, step), start=1):  # noqa: B007 - looked at below
            print(f"==> {task} <==")
            sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    if not shown:
        raise ConfigError(
            f"the cluster has no log of {name} (any more); {name}/logs in the runs of its volume has them"
        )
    return int(ExitCode.DONE)


def stop_there(arguments: argparse.Namespace) -> int:
    """Have a run ended."""
    with _cluster(arguments) as backend:
        stopped = backend.stop(_named(backend, arguments.run))
    print(f"run {stopped.name} was asked to stop", file=sys.stderr)
    return int(ExitCode.DONE)


@contextmanager
def _cluster(arguments: argparse.Namespace) -> Iterator[ClusterBackend]:
    config = load_config(Path(arguments.config), arguments.overrides)
    with open_cluster(config, host=arguments.host) as backend:
        yield backend


def _named(backend: ClusterBackend, name: str) -> str:
    if name != "latest":
        return name
    latest = next(iter(backend.runs()), None)
    if latest is None:
        raise ConfigError("there is no run of the model on the cluster")
    return latest.id
