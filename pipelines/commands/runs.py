"""`almanac runs list|show|logs|stop`."""

import argparse
import json
import signal
import sys

from forecasting.command_word import command_word
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName, steps_of
from forecasting.errors import ArtifactError, ConfigError
from forecasting.leases import effective_run, run_is_going, signal_steps
from forecasting.runs import find_run, request_stop
from forecasting.runs import list_runs as run_layouts
from pipelines.commands.cluster_runs import list_there, logs_there, stop_there
from pipelines.records import moment, run_document, step_remark, step_state, table
from pipelines.run import PIPELINE_LOG


def list_runs(arguments: argparse.Namespace) -> int:
    """One line a run; a run whose process is gone is shown as stopped."""
    if arguments.config is not None:
        return list_there(arguments)
    home = home_layout()
    rows = [("RUN", "MODEL", "STATUS", "CREATED", "CUTOFF", "SECONDS", "REMARK")]
    documents = []
    for layout in run_layouts(home):
        try:
            record = effective_run(layout)
        except ArtifactError as error:
            print(f"almanac: {error}", file=sys.stderr)
            continue
        seconds = f"{record.finished - record.created:.0f}" if record.finished else ""
        remark = f"{record.refused_by}: {record.reason}" if record.refused_by else ""
        rows.append(
            (
                record.run,
                record.model,
                record.status.value,
                moment(record.created),
                record.cutoff or "",
                seconds,
                remark,
            )
        )
        documents.append(run_document(layout, record))
    if arguments.json:
        print(json.dumps(documents, indent=1))
    elif len(rows) == 1:
        print(f"no runs in {home.runs}", file=sys.stderr)
    else:
        print("\n".join(table(rows, right=frozenset({5}))))
    return 0


def show(arguments: argparse.Namespace) -> int:
    """One run with its steps; what runs no more because its process is gone is shown as stopped."""
    layout = find_run(home_layout(), arguments.run)
    record = effective_run(layout)
    if arguments.json:
        print(json.dumps(run_document(layout, record), indent=1))
        return 0
    print(f"run      {record.run}\nmodel    {record.model}\nstatus   {record.status.value}")
    print(
        f"created  {moment(record.created)}\ncutoff   {record.cutoff or 'end of the table'}\nfiles    {layout.root}\n"
    )
    rows = [("STEP", "STATE", "SECONDS", "MIB", "REMARK")]
    for step in steps_of(record.optional):
        found = record.steps.get(step)
        seconds = f"{found.duration_s:.1f}" if found else ""
        memory = f"{found.peak_rss_bytes / 2**20:.0f}" if found else ""
        rows.append((step.value, step_state(record, step), seconds, memory, step_remark(found)))
    print("\n".join(table(rows, right=frozenset({2, 3}))))
    return 0


def logs(arguments: argparse.Namespace) -> int:
    """The logs of a run, step by step, or of one step."""
    if arguments.config is not None:
        return logs_there(arguments)
    layout = find_run(home_layout(), arguments.run)
    steps = [StepName(arguments.step)] if arguments.step else list(StepName)
    found = [layout.log(step) for step in steps if layout.log(step).is_file()]
    if not found:
        wanted = arguments.step or "any step"
        raise ConfigError(
            f"run {layout.name} has no log of {wanted}; {layout.logs / PIPELINE_LOG} is that of the pipeline"
        )
    for path in found:
        if len(found) > 1:
            print(f"==> {path.stem} <==")
        sys.stdout.write(path.read_text(encoding="utf-8", errors="replace"))
    return 0


def stop(arguments: argparse.Namespace) -> int:
    """Ask a run to stop: the step that runs gets SIGTERM, no other begins."""
    if arguments.config is not None:
        return stop_there(arguments)
    layout = find_run(home_layout(), arguments.run)
    record = effective_run(layout)
    going = run_is_going(layout)
    if going:
        request_stop(layout)
    # A step may outlive its run, where only the process of the run was killed.
    if not signal_steps(layout, signal.SIGTERM) and not going:
        raise ConfigError(f"run {record.run} is not going; it is {record.status.value}")
    print(
        f"run {record.run} was asked to stop; `{command_word()} run --resume {record.run}` continues it",
        file=sys.stderr,
    )
    return 0
