"""`almanac submit`, `almanac schedule` and `almanac backfill`: runs on a cluster."""

import argparse
import json
import sys
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from forecasting.config import AlmanacConfig, load_config
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import home_layout
from forecasting.cutoffs import parse_cutoff, scheduled_cutoff
from forecasting.durations import duration_s
from forecasting.errors import ConfigError
from pipelines.cluster.backend import SubmissionSpec
from pipelines.cluster.following import FollowedRecord, follow
from pipelines.cluster.opening import open_cluster
from pipelines.images import set_images

_MOST_BACKFILLS = 1_000
"""More at once are a slip of the pen."""


def submit(arguments: argparse.Namespace) -> int:
    """Begin a run on the cluster; with --wait, the exit code is that of the run."""
    config = _config(arguments)
    cutoff = parse_cutoff(arguments.cutoff, "--cutoff").isoformat() if arguments.cutoff else ""
    spec = SubmissionSpec(arguments.request or uuid.uuid4().hex, cutoff)
    with _cluster(config, arguments) as backend:
        made = backend.submit(spec)
        print(f"run {made.name} was submitted", file=sys.stderr, flush=True)
        if not arguments.wait:
            _tell(asdict(made), f"{made.id}", arguments)
            return int(ExitCode.DONE)
        ended = follow(backend, made.id, home_layout())
    return _tell_end(ended, arguments)


def schedule(arguments: argparse.Namespace) -> int:
    """Have the cluster run the pipeline by retraining.schedule, or end that."""
    config = _config(arguments)
    with _cluster(config, arguments) as backend:
        if arguments.remove:
            there = backend.unschedule()
            print("the schedule is removed" if there else f"there was no schedule of {config.name}", file=sys.stderr)
        else:
            print(backend.schedule())
    return int(ExitCode.DONE)


def backfill(arguments: argparse.Namespace) -> int:
    """Run the pipeline for past cutoffs, one after another from the oldest; ends with the first code of a failure.

    A cutoff keeps its run: what was done is not done again by the same command.
    """
    config = _config(arguments)
    if config.gates.model.allow_older_cutoff:
        raise ConfigError(
            "gates.model.allow_older_cutoff must be false for a backfill, which never promotes an older cutoff; set it false"
        )
    cutoffs = list(_cutoffs(config, arguments))
    codes = []
    with _cluster(config, arguments) as backend:
        for cutoff in cutoffs:
            spec = SubmissionSpec(f"backfill {config.name} {cutoff} {arguments.label}".rstrip(), cutoff)
            made = backend.submit(spec)
            print(f"{cutoff}  run {made.name}", file=sys.stderr, flush=True)
            ended = follow(backend, made.id, home_layout())
            codes.append(_tell_end(ended, arguments, cutoff))
    # A gate that said no is a result of a backfill.
    refused = (ExitCode.DONE, ExitCode.DATA_REFUSED, ExitCode.MODEL_REFUSED)
    return next((code for code in codes if code not in refused), int(ExitCode.DONE))


def _cutoffs(config: AlmanacConfig, arguments: argparse.Namespace) -> Iterator[str]:
    """From --from to --to, both taken, each on the grid of the series."""
    first, last = parse_cutoff(arguments.first, "--from"), parse_cutoff(arguments.last, "--to")
    every, now = timedelta(seconds=duration_s(arguments.every)), datetime.now(UTC)
    if not first <= last <= now:
        raise ConfigError(
            f"--from must not lie after --to, nor --to after now, found {first.isoformat()} and {last.isoformat()}"
        )
    if (last - first) // every >= _MOST_BACKFILLS:
        raise ConfigError(f"--every {arguments.every} makes more than {_MOST_BACKFILLS} cutoffs; make it longer")
    step_s = duration_s(config.data.frequency)
    if every.total_seconds() % step_s:
        raise ConfigError(f"--every {arguments.every} must be whole steps of data.frequency ({config.data.frequency})")
    while first <= last:
        yield scheduled_cutoff(first, lag_s=0, step_s=step_s).isoformat()
        first += every


def _config(arguments: argparse.Namespace) -> AlmanacConfig:
    config = load_config(Path(arguments.config), arguments.overrides)
    set_images(config, arguments.images)
    return config


def _cluster(config: AlmanacConfig, arguments: argparse.Namespace) -> Any:
    return open_cluster(config, host=arguments.host, pinned=not arguments.allow_tags)


def _tell_end(ended: FollowedRecord | None, arguments: argparse.Namespace, cutoff: str = "") -> int:
    if ended is None:
        return int(ExitCode.STOPPED)
    line = f"{cutoff}  {ended.cluster.name}  {ended.detail}".strip()
    _tell({**asdict(ended.cluster), "detail": ended.detail, "exit_code": ended.exit_code}, line, arguments)
    return ended.exit_code


def _tell(document: dict[str, Any], line: str, arguments: argparse.Namespace) -> None:
    print(json.dumps(document) if arguments.json else line, flush=True)
