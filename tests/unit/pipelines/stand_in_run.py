"""Stands in for `almanac run` as a worker starts it: a process that writes the records of a run as STAND_IN says.

promote, refuse, fail (exit 2), retry (exit 75), hang (until SIGTERM). It stops when nobody holds its standard input, holds the
lease of the model, and says that of a second one at once as `almanac run` does.
"""

import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from forecasting.config import load_config
from forecasting.contracts.artifacts import DEPLOYMENT_FILE
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import RetryableError
from forecasting.leases import model_lease, run_lease
from forecasting.runs import (
    RunRecord,
    StepRecord,
    clear_stop,
    create_run,
    finish_run,
    forget_unfinished_steps,
    load_run,
    request_stop,
    run_name,
    write_run,
    write_step,
)
from pipelines.run import config_digest
from pipelines.worker.attended_run import stop_when_alone


def main(words):
    home, given = home_layout(words[1]), dict(zip(words[3::2], words[4::2], strict=True))
    threading.Thread(target=stop_when_alone, daemon=True).start()
    wish = os.environ["STAND_IN"]
    if wish == "fail":
        print("almanac: data.uri is wrong", file=sys.stderr)
        return 2
    with model_lease(home, "electricity"):
        if "--resume" in given:
            layout = home.run(given["--resume"])
            clear_stop(layout)
            forget_unfinished_steps(layout)
            write_run(layout, replace(load_run(layout), status=RunStatus.RUNNING, finished=None, exit_code=None))
        else:
            config = load_config(Path(given["-c"]))
            now = time.time()
            record = RunRecord(run_name(config.name, now), config.name, now, given["--cutoff"], config_digest(config))
            layout = create_run(home, record)
        print(f"run {layout.name}", file=sys.stderr, flush=True)
        with run_lease(layout):
            return _end(layout, wish)


def _end(layout, wish):
    begun = time.time()
    if wish == "hang":
        stopped = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: (request_stop(layout), stopped.set()))
        (layout.root / "hanging").touch()
        stopped.wait()
    elif wish == "retry":
        error = "the tracking server is restarting"
        write_step(layout, StepRecord(StepName.TRAIN_MODEL, RunStatus.FAILED, begun, error=error, exit_code=75))
    elif wish == "refuse":
        write_step(layout, StepRecord(StepName.EVALUATE_MODEL, RunStatus.REFUSED, begun, summary="MAE 2 > 1"))
        write_step(layout, StepRecord(StepName.VALIDATE_DATA, RunStatus.SUCCEEDED, begun))
    else:
        layout.step(StepName.DEPLOY_MODEL).mkdir()
        (layout.step(StepName.DEPLOY_MODEL) / DEPLOYMENT_FILE).write_text(json.dumps({"version": 7}))
        write_step(layout, StepRecord(StepName.DEPLOY_MODEL, RunStatus.SUCCEEDED, begun))
    return finish_run(layout).exit_code


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except RetryableError as busy:
        print(f"almanac: {busy}", file=sys.stderr)
        sys.exit(75)
