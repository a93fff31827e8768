"""`almanac cache explain`."""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from forecasting.config import load_config
from forecasting.contracts.layout import home_layout
from forecasting.errors import ConfigError
from forecasting.explanations import explain_steps
from forecasting.runs import find_run, load_run
from pipelines.records import table


def explain(arguments: argparse.Namespace) -> int:
    """Say for each step what a run begun now would do, and why."""
    home = home_layout()
    layout = find_run(home, arguments.run)
    if arguments.overrides and not arguments.config:
        raise ConfigError("--set changes a configuration; give it with -c FILE")
    config = (
        load_config(Path(arguments.config), arguments.overrides) if arguments.config else load_config(layout.config)
    )
    reports = explain_steps(home, layout, config, load_run(layout).cutoff, now=time.time())
    if arguments.json:
        print(json.dumps([asdict(report) for report in reports], indent=1))
        return 0
    print(f"against run {layout.name}\n")
    rows = []
    for report in reports:
        reasons = list(report.reasons) or ["nothing it depends on has changed"]
        rows.append((report.step.value, "reuse" if report.reused else "run", reasons[0]))
        rows += [("", "", reason) for reason in reasons[1:]]
    print("\n".join(table(rows)))
    return 0
