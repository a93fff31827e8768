"""The pipeline up to its model for moments of the past: the fits of backtests and searches, in a home of their own.

A fit is a run like any other, of the same steps with the same settings, with three differences: its cutoff is the first
step of a fold, so that it never sees a later row; its test period, which nothing is trained on, is as short as it may be;
and nobody is told of it. The home has no champion, so that nothing which a later champion learnt of the table can reach
it. Its run is named by what it depends on: a backtest that is begun again finds what is done, and goes on in the middle
of a training.
"""

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import yaml

from forecasting.backtest.blocks import BlockSpec
from forecasting.config import AlmanacConfig, config_digest, step_settings
from forecasting.config.sections import SplitConfig
from forecasting.config.source import ExcludedRangeConfig
from forecasting.contracts.codes import KILLED, ExitCode
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName, steps_of
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import AlmanacError, ConfigError, DataError, RemoteError, RetryableError, StoppedError
from forecasting.manifests import digest_text, write_text_atomically
from forecasting.runs import (
    RunRecord,
    clear_stop,
    create_run,
    failed_step,
    finish_run,
    forget_unfinished_steps,
    load_run,
    write_run,
)
from forecasting.schema import SplitSpec
from pipelines.run import PIPELINE_LOG, make_example, step_environment, stop_on_signal
from pipelines.terminal import ProgressSieve

BACKTEST_HOME = "backtests"
"""Folder of a home with the fits of its backtests."""

_ERRORS: dict[int, type[AlmanacError]] = {
    ExitCode.CONFIG: ConfigError,
    ExitCode.DATA_REFUSED: DataError,
    ExitCode.REMOTE: RemoteError,
    ExitCode.RETRY: RetryableError,
    KILLED: RetryableError,
}


@dataclass(frozen=True)
class FitSpec:
    """Part of the pipeline for a cutoff, UTC epoch seconds or none for the end of the table, up to a step."""

    cutoff: int | None
    last: StepName


def backtest_home(home: HomeLayout) -> HomeLayout:
    """Where the fits of backtests lie: beside the runs of a home, not among them."""
    return HomeLayout(home.root / BACKTEST_HOME)


def fold_config(config: AlmanacConfig, split: SplitSpec, step_s: int) -> AlmanacConfig:
    """The configuration of a fit: the validation period as long as that of the whole table, the shortest test period.

    Args:
        config: The configuration of the backtest.
        split: Cuts of the whole table.
        step_s: Step of the series in seconds.
    """
    embargo = 2 if config.split.embargo else 1
    shortest = SplitConfig(
        validation=f"{split.validation_end - split.train_end}s",
        test=f"{embargo * config.forecast.horizon * step_s}s",
        embargo=config.split.embargo,
    )
    return config.model_copy(update={"split": shortest})


def block_config(config: AlmanacConfig, block: BlockSpec, begin: int) -> AlmanacConfig:
    """The configuration of a fit that learns from its block alone: the target before it does not count.

    Args:
        config: See `fold_config`.
        block: The block.
        begin: Start of the table, UTC epoch seconds.
    """
    if block.train_from <= begin:
        return config
    start, end = (datetime.fromtimestamp(at, UTC).isoformat() for at in (begin, block.train_from))
    before = ExcludedRangeConfig(start=start, end=end, reason=f"before block {block.fold.number}")
    return config.model_copy(
        update={"data": config.data.model_copy(update={"exclude_ranges": (*config.data.exclude_ranges, before)})}
    )


def make_fit(config: AlmanacConfig, home: HomeLayout, spec: FitSpec) -> RunLayout:
    """Run the steps of a fit that are not done yet, in a process of their own.

    Args:
        config: See `fold_config`.
        home: See `backtest_home`.
        spec: Which part for which moment.

    Returns:
        The run, with the outputs of all steps up to `spec.last`.

    Raises:
        DataError: The table is refused.
        StoppedError: SIGTERM or ^C arrived.
        AlmanacError: A step failed; the error is of its kind.
    """
    make_example(config, home)
    layout = open_fit(config, home, spec)
    command = [sys.executable, "-m", "pipelines.fit_process", str(home.root), layout.name]
    with (
        step_environment(home),
        stop_on_signal(layout),
        ProgressSieve(layout.logs / PIPELINE_LOG, sys.stderr) as sieve,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process,
    ):
        for line in process.stderr or ():
            sieve.write(line)
    if process.returncode == -signal.SIGKILL:
        finish_run(layout)
    record = load_run(layout)
    if record.status != RunStatus.SUCCEEDED:
        raise fit_error(layout, record, process.returncode)
    return layout


def open_fit(config: AlmanacConfig, home: HomeLayout, spec: FitSpec) -> RunLayout:
    """The run of a fit, new or as an earlier one left it; its steps are not run yet."""
    steps = steps_of()
    needed = [step_settings(config, step).model_dump(mode="json") for step in steps[: steps.index(spec.last) + 1]]
    cutoff = None if spec.cutoff is None else datetime.fromtimestamp(spec.cutoff, UTC).isoformat()
    digest = digest_text(json.dumps([cutoff, needed], sort_keys=True))[:10]
    stamp = "latest" if spec.cutoff is None else f"{datetime.fromtimestamp(spec.cutoff, UTC):%Y%m%dT%H%M%SZ}"
    record = RunRecord(
        run=f"{stamp}-{config.name}-{digest}", model=config.name, created=time.time(), cutoff=cutoff,
        config_digest=config_digest(config), last_step=spec.last,
    )  # fmt: skip
    layout = home.run(record.run)
    if layout.record.is_file():
        clear_stop(layout)
        forget_unfinished_steps(layout)
        write_run(layout, record)
    else:
        layout = create_run(home, record)
    document = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text_atomically(layout.config, document)
    return layout


def fit_error(layout: RunLayout, record: RunRecord, code: int) -> AlmanacError:
    """Why a fit did not come to its end, as the error of its kind."""
    if record.status == RunStatus.STOPPED:
        return StoppedError("the backtest was stopped; the same command goes on from here")
    moment = f"at the cutoff {record.cutoff}" if record.cutoff else "at the end of the table"
    if record.status == RunStatus.REFUSED and record.refused_by is not None:
        return DataError(f"{record.refused_by} refused the table {moment}: {record.reason}")
    failed = failed_step(record)
    if failed is None:
        return AlmanacError(
            f"the fit {moment} ended with exit code {code} before a step; {layout.logs / PIPELINE_LOG} may say why"
        )
    kind = _ERRORS.get(failed.exit_code or 0, AlmanacError)
    again = "; the same command tries again" if kind is RetryableError else ""
    return kind(f"{failed.step} failed {moment}: {failed.error}{again} ({layout.log(failed.step)} has the details)")
