"""Runs on a cluster: begun by their first pod and ended by their last, on a volume that all pods share.

The right to run a model's pipeline is a claim (`forecasting.claims`) from the first pod to the last. A run that has
ended and is tried again, as by `argo retry`, does not begin again: the first step that is done anew opens it.
"""

import logging
import re
import time
from dataclasses import replace

import yaml

from forecasting.claims import ClaimRecord, changing_claim, claim_path, held_claim, load_claim, write_claim
from forecasting.config import AlmanacConfig, config_digest, load_config
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.cutoffs import parse_cutoff, scheduled_cutoff
from forecasting.durations import duration_s
from forecasting.errors import ConfigError, RetryableError
from forecasting.leases import is_leased
from forecasting.manifests import write_text_atomically
from forecasting.runs import (
    STEP_RECORDS_DIR,
    RunRecord,
    clear_stop,
    finish_run,
    forget_unfinished_steps,
    load_run,
    refuse_run,
    write_run,
)

logger = logging.getLogger(__name__)

_RUN_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""Names of objects in Kubernetes; they have no slash and no `..` at their ends."""


def begin_cluster_run(
    config: AlmanacConfig,
    home: HomeLayout,
    run: str,
    *,
    cutoff: str = "",
    scheduled: str = "",
    request: str = "",
    last: StepName = StepName.DEPLOY_MODEL,
) -> RunRecord:
    """Take the claim of the model and make the record of a run, or go on with the run of this name.

    Args:
        config: The configuration.
        home: The shared volume.
        run: Name of the run: that of its workflow.
        cutoff: ISO 8601 time with zone; empty: what follows from `scheduled`.
        scheduled: When the run was due, ISO 8601; empty: by no schedule, so that all of the table is read.
        request: Names who asked for it, so that it is found again; or empty.
        last: The step after which the run ends.

    Raises:
        ConfigError: A time cannot be read, the name is none of Kubernetes, or a run of this name had another configuration or cutoff.
        RetryableError: Another run of the model is going, here or on a cluster.
    """
    if not _RUN_NAME.fullmatch(run):
        raise ConfigError(f"a run must be named by lower-case letters, digits, dashes and dots, found {run!r}")
    # A run that was asked for is by no schedule, whatever its backend fills in.
    moment = _cutoff(config, cutoff, "" if request else scheduled)
    layout, digest = home.run(run), config_digest(config)
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
        cutoff=moment,
        config_digest=digest,
        last_step=last,
        request=request or None,
        on_cluster=True,
        optional=config.optional_steps,
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
    _give_claim_back(home, record.model, run)
    return record


def reopen_cluster_run(home: HomeLayout, run: str) -> None:
    """Go on with a run of a cluster that has ended, because one of its steps is to be done again.

    `argo retry`, and the retry of Kubeflow Pipelines, begin with the first step that failed. Changes nothing where the run
    has not ended, or is one of this machine.

    Raises:
        ConfigError: There is no such run.
        RetryableError: Another run of the model is going, here or on a cluster.
    """
    layout = home.run(run)
    record = load_run(layout)
    if not record.on_cluster or record.finished is None:
        return
    _take_claim(home, load_config(layout.config), run)
    _open_again(layout, record)
    logger.info("run %s, which had ended as %s, goes on", run, record.status.value)


def refuse_cluster_run(home: HomeLayout, run: str, gate: StepName) -> None:
    """Record that a gate said no; a run that has ended and is tried again goes on with that.

    Raises:
        ConfigError: There is no such run.
        RetryableError: Another run of the model is going, here or on a cluster.
    """
    reopen_cluster_run(home, run)
    refuse_run(home.run(run), gate)


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
    return _open_again(layout, record)


def _open_again(layout: RunLayout, record: RunRecord) -> RunRecord:
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
    if scheduled.startswith("{{"):
        raise ConfigError(
            f"the scheduled time must be filled in by what runs the pipeline, found {scheduled}; Kubeflow Pipelines does so since 2.17: "
            "give the run a cutoff, or use a later version"
        )
    lag = config.retraining.data_lag
    moment = scheduled_cutoff(
        parse_cutoff(scheduled, "the scheduled time"),
        lag_s=duration_s(lag) if lag else 0,
        step_s=duration_s(config.data.frequency),
    )
    return moment.isoformat()


def _take_claim(home: HomeLayout, config: AlmanacConfig, run: str) -> None:
    with changing_claim(home.runs, config.name):
        holder = held_claim(home.runs, config.name)
        path = claim_path(home.runs, config.name)
        if holder is not None and holder.run != run:
            raise RetryableError(
                f"run {holder.run} of {config.name!r} is going; it must end first; where its workflow is gone, remove {path}"
            )
        now = time.time()
        write_claim(home.runs, config.name, ClaimRecord(run, now, now + duration_s(config.cluster.deadline)))
        if is_leased(home, config.name):
            path.unlink()
            raise RetryableError(f"a process runs the pipeline of {config.name!r} in {home.root}; it must end first")


def _give_claim_back(home: HomeLayout, model: str, run: str) -> None:
    with changing_claim(home.runs, model):
        holder = load_claim(home.runs, model)
        if holder is not None and holder.run == run:
            claim_path(home.runs, model).unlink()
