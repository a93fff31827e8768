"""`almanac run`: the whole pipeline on this machine, through the local runner of Kubeflow Pipelines."""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import yaml

from components.compression.also_export import require_exporters
from components.reporting.tracking.upload import require_trackers
from forecasting.code_closure import PROJECT_ROOT
from forecasting.config import AlmanacConfig, config_digest, load_config
from forecasting.contracts.layout import HOME_VARIABLE, HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import ConfigError
from forecasting.leases import model_lease, run_lease, signal_steps
from forecasting.manifests import write_text_atomically
from forecasting.runs import (
    RunRecord,
    clear_stop,
    create_run,
    find_run,
    finish_run,
    forget_unfinished_steps,
    load_run,
    request_stop,
    run_name,
    write_run,
)
from forecasting.sources import EXAMPLE_SCHEME
from pipelines.terminal import ProgressSieve

logger = logging.getLogger(__name__)

PIPELINE_LOG = "pipeline.log"
KFP_DIR = "kfp"
STOP_GRACE_S = 25.0
"""Seconds a step has to end after SIGTERM, before it is killed; less than Kubernetes gives a pod."""


@dataclass(frozen=True)
class RunSpec:
    """What was asked for. `forced` steps run although nothing changed; the run ends after `last`."""

    cutoff: str | None = None
    last: StepName = StepName.DEPLOY_MODEL
    forced: tuple[StepName, ...] = ()


def start_run(config: AlmanacConfig, home: HomeLayout, spec: RunSpec) -> RunRecord:
    """Run the pipeline as a new run and write its record, whatever happens.

    Raises:
        ConfigError: The table is an example that cannot be made, or what a tracker or an export needs is not installed.
        RetryableError: A run of this model is going already.
    """
    require_trackers(config.tracking)
    require_exporters(config.compression)
    with model_lease(home, config.name):
        make_example(config, home)
        now = time.time()
        record = RunRecord(
            run=run_name(config.name, now),
            model=config.name,
            created=now,
            cutoff=spec.cutoff,
            config_digest=config_digest(config),
            last_step=spec.last,
            forced=spec.forced,
            optional=config.optional_steps,
            process=os.getpid(),
        )
        layout = create_run(home, record)
        document = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        write_text_atomically(layout.config, document)
        return _run(config, home, layout)


def resume_run(name: str, home: HomeLayout, config: AlmanacConfig | None = None) -> RunRecord:
    """Continue a run that was stopped, killed or failed; what it had finished is kept.

    Args:
        name: The run, or a unique beginning of its name, or `latest`.
        home: Where runs are.
        config: The configuration, if the caller has one: it must be that of the run.

    Raises:
        ConfigError: There is no such run, or the configuration is another.
        RetryableError: A run of this model is going already.
    """
    layout = find_run(home, name)
    own = load_config(layout.config)
    if config is not None and config_digest(config) != config_digest(own):
        raise ConfigError(
            f"run {layout.name} had another configuration, kept in {layout.config}; resume it without -c, "
            "or start a new run, which reuses what did not change"
        )
    require_trackers(own.tracking)
    require_exporters(own.compression)
    with model_lease(home, own.name):
        clear_stop(layout)
        forget_unfinished_steps(layout)
        begun = replace(load_run(layout), status=RunStatus.RUNNING, process=os.getpid(), on_cluster=False)
        write_run(layout, replace(begun, finished=None, exit_code=None, refused_by=None, reason=None))
        return _run(own, home, layout)


def make_example(config: AlmanacConfig, home: HomeLayout) -> None:
    """Make the table before the first step is keyed by it; the next run then finds the same key."""
    if config.data.uri.startswith(EXAMPLE_SCHEME):
        from components.validation.examples import example_table

        example_table(config.data.uri, home)


def _run(config: AlmanacConfig, home: HomeLayout, layout: RunLayout) -> RunRecord:
    record = load_run(layout)
    print(f"run {layout.name}", file=sys.stderr, flush=True)
    with run_lease(layout):
        with stop_on_signal(layout):
            _run_pipeline(config, home, layout, record)
        return finish_run(layout)


def _run_pipeline(config: AlmanacConfig, home: HomeLayout, layout: RunLayout, record: RunRecord) -> None:
    """Let Kubeflow Pipelines run the graph. It says only that something failed; the records say what."""
    from kfp import local

    from pipelines.graph import build_pipeline

    root = layout.root / KFP_DIR
    with step_environment(home), ProgressSieve(layout.logs / PIPELINE_LOG, sys.stderr) as sieve:
        pipeline = build_pipeline(config, record.last_step)
        with contextlib.redirect_stdout(sieve), contextlib.redirect_stderr(sieve):
            local.init(
                local.SubprocessRunner(use_venv=False), pipeline_root=str(root), workspace_root=str(root / "workspace")
            )
            try:
                pipeline(home=str(home.root), run=layout.name, cutoff=record.cutoff or "")
            except RuntimeError as error:
                if "finished with status" not in str(error):
                    raise
                logger.info("the pipeline failed: %s", error)


@contextlib.contextmanager
def step_environment(home: HomeLayout) -> Iterator[None]:
    """What steps inherit: our packages wherever the command was called, never a folder of the caller's by chance."""
    before = os.environ.copy()
    paths = [path for path in (os.environ.get("PYTHONPATH"), str(PROJECT_ROOT)) if path]
    os.environ.update({"PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1", HOME_VARIABLE: str(home.root)})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def stop_on_signal(layout: RunLayout) -> Iterator[None]:
    """On SIGTERM and ^C end the step that runs and let no other begin; the second signal kills."""
    signalled: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        request_stop(layout)
        processes = signal_steps(layout, signal.SIGKILL if signalled else signal.SIGTERM)
        signalled.append(number)
        killer = threading.Timer(STOP_GRACE_S, signal_steps, [layout, signal.SIGKILL, processes])
        killer.daemon = True
        killer.start()

    before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {
        number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
