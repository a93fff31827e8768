"""One worker of a launched train_model: what its pod runs.

    python -m components.launching.worker --call FILE

Ends with the exit codes of `almanac`; the last line of stderr says what was the matter.
"""

import argparse
import logging
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

from components.launching.launched_call import LaunchedCallSpec, LaunchedFolder, read_call, train_model_inputs
from components.launching.tf_config import set_worker_cluster, worker_number
from forecasting.code_closure import step_function
from forecasting.config.root import TrainModelSettings
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName
from forecasting.errors import AlmanacError
from forecasting.steps import Step, StepContext
from forecasting.stopping import stop_signals


def main(arguments: Sequence[str] | None = None) -> int:
    """Do the part of one worker; returns its exit code."""
    parser = argparse.ArgumentParser(prog="worker", description=__doc__)
    parser.add_argument("--call", type=Path, required=True, help="what is to be done: a file on the shared volume")
    path = parser.parse_args(arguments).call
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        with stop_signals("the step goes on from the checkpoint of its workers"):
            set_worker_cluster()
            _train(read_call(path), LaunchedFolder(path.parent))
    except AlmanacError as error:
        sys.stderr.write(f"almanac: {error}\n")
        return int(error.exit_code)
    return int(ExitCode.DONE)


def _train(call: LaunchedCallSpec, folder: LaunchedFolder) -> None:
    is_chief = worker_number() == 0
    if is_chief:
        folder.begin_output()
    home = home_layout(call.home)
    context = StepContext(home, home.run(call.run), call.cutoff, call.created)
    settings = TrainModelSettings.model_validate_json(call.settings)
    # By name: a room of steps imports no other one.
    function: Step = pkgutil.resolve_name(step_function(StepName.TRAIN_MODEL))
    outcome = function(settings, train_model_inputs(call), folder.output, context)
    if is_chief:
        folder.write_outcome(outcome)


if __name__ == "__main__":
    sys.exit(main())
