"""One fit of a backtest in a process of its own: `python -m pipelines.fit_process HOME RUN`."""

import signal
import sys

from forecasting.code_closure import step_function
from forecasting.config import load_config, step_settings
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import PARENTS, steps_of
from forecasting.errors import AlmanacError
from forecasting.execution import execute_step
from forecasting.leases import run_lease
from forecasting.runs import finish_run, load_run


def run_fit(home: str, run: str) -> int:
    """Run the steps of a run up to its last one, without a pipeline around them and without a report.

    Args:
        home: ALMANAC_HOME.
        run: Name of the run, whose record and configuration exist.

    Returns:
        The exit code of the run.
    """
    layout = home_layout(home).run(run)
    record, config = load_run(layout), load_config(layout.config)
    # A fit has the settings that it was given, and searches for none.
    steps = steps_of()
    with run_lease(layout):
        try:
            for step in steps[: steps.index(record.last_step) + 1]:
                inputs = {parent.value: str(layout.step(parent)) for parent in PARENTS[step]}
                settings = step_settings(config, step).model_dump_json()
                if not execute_step(
                    step, step_function(step), settings, inputs, home=home, run=run, cutoff=record.cutoff or ""
                ):
                    break
        except AlmanacError as error:
            # The record of the step has it all; the process that waits reads it there.
            return int(error.exit_code)
        finally:
            ended = finish_run(layout)
    return ended.exit_code or 0


if __name__ == "__main__":
    # ^C reaches this process too. Steps know what to do with it; between them there is nothing to be stopped.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(run_fit(*sys.argv[1:]))
