"""`almanac step`: one step of a run in this process."""

import argparse
import sys

from forecasting.code_closure import step_function
from forecasting.command_word import command_word
from forecasting.config import load_config, step_settings
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName, parents_of, steps_of
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import ConfigError
from forecasting.execution import execute_step
from forecasting.leases import model_lease, run_lease
from forecasting.lineage import verify_inputs
from forecasting.runs import clear_stop, find_run, finish_run, load_run


def step(arguments: argparse.Namespace) -> int:
    """Run one step again with what its parents left in the run; its output replaces the earlier one.

    The record of the run then tells what the run is now: stopped, where steps after this one are still to be done.
    """
    home = home_layout()
    layout = find_run(home, arguments.run)
    name = StepName(arguments.name)
    config = load_config(layout.config)
    optional = config.optional_steps
    if name not in steps_of(optional):
        raise ConfigError(f"run {layout.name} has no step {name}; it is one where tuning.in_run is set")
    inputs = {parent: layout.step(parent) for parent in parents_of(name, optional)}
    with model_lease(home, config.name), run_lease(layout):
        # Looked at here first, so that a step that may not run leaves the records as they are.
        verify_inputs(layout, name, inputs)
        clear_stop(layout)
        try:
            passed = execute_step(
                name,
                step_function(name),
                step_settings(config, name).model_dump_json(),
                {parent.value: str(path) for parent, path in inputs.items()},
                home=str(home.root),
                run=layout.name,
                cutoff=load_run(layout).cutoff or "",
                capture=False,
                reuse=False,
            )
        finally:
            ended = finish_run(layout, unfinished=RunStatus.STOPPED)
    if ended.status == RunStatus.STOPPED and passed:
        rest = f"`{command_word()} run --resume {layout.name}` does the steps after {name}"
        print(f"run {layout.name} is not complete now; {rest}", file=sys.stderr)
    if passed:
        return int(ExitCode.DONE)
    return int(ExitCode.DATA_REFUSED if name == StepName.VALIDATE_DATA else ExitCode.MODEL_REFUSED)
