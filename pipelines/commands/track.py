"""`almanac track list|upload`."""

import argparse
import json
import sys
from dataclasses import asdict

from components.reporting.tracking.removals import removals, removals_name
from components.reporting.tracking.spool import registries, spooled
from components.reporting.tracking.upload import upload
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import home_layout
from pipelines.records import table


def list_waiting(arguments: argparse.Namespace) -> int:
    """One line a run and tracker that has yet to be told of it, and a model whose aliases have yet to be set."""
    home = home_layout()
    bundles = spooled(home)
    rows = [
        (found.name, tracker, problem or "nobody tried yet")
        for found in bundles
        for tracker, problem in found.pending.items()
    ]
    rows += [(found.name, "unknown", found.problem) for found in bundles if found.problem]
    waiting = {model: record for model, record in registries(home).items() if record.waits}
    rows += [(f"aliases of {model}", "mlflow", record.problem) for model, record in waiting.items()]
    rows += [(removals_name(model), "mlflow", record.problem) for model, record in removals(home).items()]
    if arguments.json:
        print(json.dumps([dict(zip(("waits", "tracker", "problem"), row, strict=True)) for row in rows], indent=1))
    elif not rows:
        print("nothing waits to be sent", file=sys.stderr)
    else:
        print("\n".join(table([("WAITS", "TRACKER", "WHY"), *rows])))
    return 0


def upload_waiting(arguments: argparse.Namespace) -> int:
    """Send all of it; the exit code is 5 where something waits on."""
    report = upload(home_layout(), budget_s=arguments.budget)
    sent = {
        tracker: [asdict(record) for record in records.values() if not record.problem]
        for tracker, records in report.sent.items()
    }
    if arguments.json:
        print(json.dumps({"sent": sent, "problems": report.problems}, indent=1))
    else:
        for tracker, records in sent.items():
            for record in records:
                print(f"{record['name']} sent to {tracker}" + (f" as {record['run_id']}" if record["run_id"] else ""))
    for problem in report.problems:
        print(f"almanac: {problem}", file=sys.stderr)
    return int(ExitCode.REMOTE if report.problems else ExitCode.DONE)
