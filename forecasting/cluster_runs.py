"""Runs on a cluster: begun by their first pod and ended by their last, on a volume that all pods share.

A lock of the operating system ends with its process, and the steps of such a run are processes of many pods. So the
right to run a model's pipeline is a file there, the claim; it names the run that holds it.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import yaml

from forecasting.config import AlmanacConfig, config_digest
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.cutoffs import parse_cutoff, scheduled_cutoff
from forecasting.durations import duration_s
from forecasting.errors import ArtifactError, ConfigError, RetryableError
from forecasting.leases import exclusive_lock
from forecasting.manifests import write_text_atomically
from forecasting.runs import (
    STEP_RECORDS_DIR,
    RunRecord,
    clear_stop,
    finish_run,
    forget_unfinished_steps,
    load_run,
    write_run,
)

_RUN_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""Names of objects in Kubernetes; they have no slash and no `..` at their ends."""

_RECORD_WITHIN_S = 300.0
"""A pod that took the claim and wrote no record within this time was killed between the two."""


@dataclass(frozen=True)
class _Claim:
    """Which run has the right to run the pipeline of a model, since when (epoch seconds)."""

    run: str
    since: float


def begin_cluster_run(
    config: AlmanacConfig,
    home: HomeLayout,
    run: str,
    *,
    cutoff: str = "",
    scheduled: str = "",
    last: StepName = StepName.DEPLOY_MODEL,
) -> RunRecord:
    """Take the claim of the model and make the record of a run, or go on with the run of this name.

    Args:
        config: The configuration.
        home: The shared volume.
        run: Name of the run: that of its workflow.
        cutoff: ISO 8601 time with zone; empty: what follows from `scheduled`.
        scheduled: When the run was due, ISO 8601; empty: by no schedule, so that all of the table is read.
        last: The step after which the run ends.

    Raises:
        ConfigError: A time cannot be read, the name is none of Kubernetes, or a run of this name had another configuration or cutoff.
        RetryableError: Another run of the model is going.
    """
    if not _RUN_NAME.fullmatch(run):
        raise ConfigError(f"a run must be named by lower-case letters, digits, dashes and dots, found {run!r}")
    layout, digest = home.run(run), config_digest(config)
    with _claims(home, config.name):
        _take_claim(home, config, run)
    if layout.record.is_file():
        return _go_on(layout, digest, parse_cutoff(cutoff).isoformat() if cutoff else None)
    for folder in (layout.logs, layout.root / STEP_RECORDS_DIR):
        folder.mkdir(parents=True, exist_ok=True)
    document = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text_atomically(layout.config, document)
    record = RunRecord(
        run=run,
        model=config.name,
        created=time.time(),
        cutoff=_cutoff(config, cutoff, scheduled),
        config_digest=digest,
        last_step=last,
    )
    write_run(layout, record)
    return record


def end_cluster_run(home: HomeLayout, run: str) -> RunRecord:
    """Write what became of a run, and give its claim back. Doing it again changes nothing.

    Raises:
        ConfigError: There is no such run.
    """
    layout = home.run(run)
    record = finish_run(layout)
    with _claims(home, record.model):
        path = _claim_path(home, record.model)
        holder = _holder(path)
        if holder is not None and holder.run == run:
            path.unlink()
    return record


def _go_on(layout: RunLayout, digest: str, cutoff: str | None) -> RunRecord:
    record = load_run(layout)
    if cutoff is not None and cutoff != record.cutoff:
        raise ConfigError(
            f"run {layout.name} has the cutoff {record.cutoff}; give the workflow of {cutoff} another name"
        )
    if record.config_digest != digest:
        raise ConfigError(
            f"run {layout.name} had another configuration, kept in {layout.config}; give the workflow another name"
        )
    clear_stop(layout)
    forget_unfinished_steps(layout)
    begun = replace(record, status=RunStatus.RUNNING, finished=None, exit_code=None, refused_by=None, reason=None)
    write_run(layout, begun)
    return begun


def _cutoff(config: AlmanacConfig, cutoff: str, scheduled: str) -> str | None:
    if cutoff:
        return parse_cutoff(cutoff).isoformat()
    if not scheduled:
        return None
    lag = config.retraining.data_lag
    moment = scheduled_cutoff(
        parse_cutoff(scheduled, "the scheduled time"),
        lag_s=duration_s(lag) if lag else 0,
        step_s=duration_s(config.data.frequency),
    )
    return moment.isoformat()


@contextmanager
def _claims(home: HomeLayout, model: str) -> Iterator[None]:
    """Look at a claim and change it as one; held for a moment only."""
    home.runs.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(home.runs / f".{model}.claims", f"the claim of {model!r} is being changed"):
        yield


def _take_claim(home: HomeLayout, config: AlmanacConfig, run: str) -> None:
    path = _claim_path(home, config.name)
    holder = _holder(path)
    if holder is not None and holder.run != run and _is_going(home, holder, duration_s(config.cluster.deadline)):
        raise RetryableError(
            f"run {holder.run} of {config.name!r} is going; it must end first; where its workflow is gone, remove {path}"
        )
    write_text_atomically(path, json.dumps(asdict(_Claim(run, time.time()))))


def _is_going(home: HomeLayout, claim: _Claim, deadline_s: int) -> bool:
    """Whether the run of a claim may still be going: it has not ended, and the cluster would not have ended it."""
    layout, age_s = home.run(claim.run), time.time() - claim.since
    if not layout.record.is_file():
        return age_s < _RECORD_WITHIN_S
    return load_run(layout).finished is None and age_s < deadline_s


def _holder(path: Path) -> _Claim | None:
    try:
        return _Claim(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{path} is no claim of a run: {error}; remove it once no run is going") from error


def _claim_path(home: HomeLayout, model: str) -> Path:
    return home.runs / f".{model}.claim"
