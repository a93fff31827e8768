"""`almanac step`: one step of a run in this process."""

import argparse

from forecasting.code_closure import step_function
from forecasting.config import load_config, step_settings
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import PARENTS, StepName
from forecasting.execution import execute_step
from forecasting.leases import model_lease, run_lease
from forecasting.lineage import verify_inputs
from forecasting.runs import clear_stop, find_run, load_run


def step(arguments: argparse.Namespace) -> int:
    """Run one step again with what its parents left in the run; its output replaces the earlier one."""
    home = home_layout()
    layout = find_run(home, arguments.run)
    name = StepName(arguments.name)
    config = load_config(layout.config)
    inputs = {parent: layout.step(parent) for parent in PARENTS[name]}
    with model_lease(home, config.name), run_lease(layout):
        # Looked at here first, so that a step that may not run leaves the records as they are.
        verify_inputs(layout, name, inputs)
        clear_stop(layout)
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
    if passed:
        return int(ExitCode.DONE)
    return int(ExitCode.DATA_REFUSED if name == StepName.VALIDATE_DATA else ExitCode.MODEL_REFUSED)
