"""`almanac gc`."""

import argparse
import json
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from components.reporting.tracking.removals import removals
from components.reporting.tracking.upload import upload
from forecasting.config import AlmanacConfig, load_config
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import HomeLayout, home_layout
from forecasting.file_locks import exclusive_lock
from forecasting.formats import as_bytes
from forecasting.leases import model_lease
from pipelines.collecting import CollectionReport, choose_garbage, remove_garbage
from pipelines.fits import backtest_home
from pipelines.records import table


def collect_garbage(arguments: argparse.Namespace) -> int:
    """Remove what the policy leaves no room for, or list it; the exit code is 5 where MLflow has yet to forget it."""
    config, home = load_config(Path(arguments.config), arguments.overrides), home_layout()
    home.root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as leases:
        leases.enter_context(model_lease(home, config.name))
        leases.enter_context(exclusive_lock(home.root / ".gc.lock", f"a collection is already going in {home.root}"))
        if backtest_home(home).runs.is_dir():
            # A backtest reads the fits of earlier folds without holding them.
            leases.enter_context(model_lease(backtest_home(home), config.name))
        report = choose_garbage(config, home, time.time())
        if not arguments.dry_run:
            remove_garbage(report, config, home)
    _tell(report, arguments)
    return int(ExitCode.DONE) if arguments.dry_run else _tell_trackers(config, home)


def _tell(report: CollectionReport, arguments: argparse.Namespace) -> None:
    if arguments.json:
        garbage = [{**asdict(found), "path": str(found.path)} for found in report.garbage]
        kept = [asdict(found) for found in report.kept]
        document = {"dry_run": arguments.dry_run, "garbage": garbage, "kept": kept, "freed_bytes": report.freed_bytes}
        print(json.dumps(document, indent=1))
        return
    rows = [(found.kind, found.name, as_bytes(found.n_bytes), found.reason) for found in report.garbage]
    if rows:
        print("\n".join(table([("WHAT", "NAME", "SIZE", "WHY"), *rows], right=frozenset({2}))))
    for found in report.kept:
        print(f"run {found.name} stays: {found.reason}", file=sys.stderr)
    verb = "would free" if arguments.dry_run else "freed"
    print(f"{len(rows)} removals {verb} {as_bytes(report.freed_bytes)}", file=sys.stderr)


def _tell_trackers(config: AlmanacConfig, home: HomeLayout) -> int:
    """Let MLflow forget what waits for it."""
    if not removals(home):
        return int(ExitCode.DONE)
    sent = upload(home, budget_s=config.tracking.time_budget_s)
    notes = [record.note for records in sent.sent.values() for record in records.values() if record.note]
    for line in (*notes, *sent.problems):
        print(f"almanac: {line}", file=sys.stderr)
    return int(ExitCode.REMOTE if removals(home) else ExitCode.DONE)
