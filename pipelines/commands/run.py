"""`almanac run`."""

import argparse
import json
import sys
from pathlib import Path

from forecasting.config import AlmanacConfig, load_config
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName, steps_of
from forecasting.cutoffs import parse_cutoff
from forecasting.errors import ConfigError
from pipelines.closing import closing_lines, failure_line
from pipelines.records import run_document
from pipelines.run import RunSpec, resume_run, start_run

PROMOTE = "gates.model.allow_older_cutoff=true"
"""What --promote sets."""


def _profile(name: str) -> list[str]:
    """What --profile sets: the profile with its own time, and no variants by name."""
    return [f"compression.profile={name}", "compression.variants=null", "compression.time_budget_s=null"]


def run(arguments: argparse.Namespace) -> int:
    """Run or resume the pipeline; the exit code is that of the run record."""
    home = home_layout()
    config = _config(arguments)
    if arguments.resume:
        if arguments.cutoff or arguments.first or arguments.last or arguments.forced:
            raise ConfigError(
                "--resume continues a run as it was begun; --cutoff, --from, --to and --force belong to a new one"
            )
        record = resume_run(arguments.resume, home, config)
    elif config is None:
        raise ConfigError("almanac run needs -c FILE, or --resume RUN")
    else:
        record = start_run(config, home, _spec(arguments, config))
    if arguments.json:
        print(json.dumps(run_document(home.run(record.run), record), indent=1))
    else:
        served = None if arguments.overrides or arguments.promote or arguments.profile else arguments.config
        print("\n".join(closing_lines(home.run(record.run), record, served)))
    sys.stdout.flush()
    if cause := failure_line(home.run(record.run), record):
        print(f"almanac: {cause}", file=sys.stderr)
    return record.exit_code or 0


def _config(arguments: argparse.Namespace) -> AlmanacConfig | None:
    if arguments.config is None:
        changes = {"--set": arguments.overrides, "--promote": arguments.promote, "--profile": arguments.profile}
        if option := next((name for name, given in changes.items() if given), None):
            raise ConfigError(f"{option} changes a configuration; give it with -c FILE")
        return None
    promote = [PROMOTE] if arguments.promote else []
    profile = _profile(arguments.profile) if arguments.profile else []
    return load_config(Path(arguments.config), [*profile, *arguments.overrides, *promote])


def _spec(arguments: argparse.Namespace, config: AlmanacConfig) -> RunSpec:
    steps = steps_of(config.optional_steps)
    if lacking := {arguments.first, arguments.last, *arguments.forced} - {None, *steps}:
        raise ConfigError(f"a run of this configuration has no step {min(lacking)}; set tuning.in_run: true for one")
    last = StepName(arguments.last) if arguments.last else RunSpec.last
    forced = {StepName(step) for step in arguments.forced}
    if arguments.first:
        first = StepName(arguments.first)
        if steps.index(first) > steps.index(last):
            raise ConfigError(f"--from {first} comes after --to {last}")
        forced |= set(steps[steps.index(first) : steps.index(last) + 1])
    return RunSpec(
        cutoff=parse_cutoff(arguments.cutoff, "--cutoff").isoformat() if arguments.cutoff else None,
        last=last,
        forced=tuple(step for step in steps if step in forced),
    )
