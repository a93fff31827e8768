"""Step functions without any learning: they fill real directories and obey STAND_IN (`step=what`, comma-separated).

what: refuse (a gate says no), crash (a bug), data (DataError), retry (RetryableError), busy (RetryableError, then well), hang (until a
signal), die (SIGKILL), die_once (SIGKILL, then well), fill (the disk). The file `calls` of the home names every call of a step, in order.
"""

import json
import os
import signal
from pathlib import Path

from forecasting.contracts.artifacts import DEPLOYMENT_FILE, RUN_REPORT_FILE
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import DataError, RetryableError
from forecasting.manifests import digest_file
from forecasting.repository import ModelRepository
from forecasting.steps import StepContext, StepOutcome


def step_for(name: str):
    def step(settings, inputs, output: Path, context: StepContext) -> StepOutcome:
        print(f"stand-in {name} prints")
        with (context.home.root / "calls").open("a") as calls:
            calls.write(f"{name}\n")
        wish = dict(pair.split("=") for pair in os.environ.get("STAND_IN", "").split(",") if pair).get(name)
        if wish == "crash":
            raise ZeroDivisionError("division by zero in a step")
        if wish == "data":
            raise DataError("table.csv: column 'target' is missing")
        if wish == "retry" or (wish == "busy" and _is_first_attempt(name, context)):
            raise RetryableError("the tracking server is restarting")
        if wish == "hang":
            signal.pause()
        if wish == "die" or (wish == "die_once" and _is_first_attempt(name, context)):
            os.kill(os.getpid(), signal.SIGKILL)
        if wish == "fill":
            # More than a small disk has.
            (output / "payload.bin").write_bytes(bytes(4 << 20))
        seen = {parent.value: digest_file(inputs[parent] / "payload.json") for parent in inputs}
        settled = {"step": name, "settings": settings.model_dump_json(), "cutoff": context.cutoff, "inputs": seen}
        (output / "payload.json").write_text(json.dumps(settled))
        if name == StepName.DEPLOY_MODEL:
            _deploy(settings.name, inputs[StepName.VALIDATE_SERVING], output, context)
        if name == StepName.REPORT_RUN:
            (output / RUN_REPORT_FILE).write_text("<!doctype html><title>stand-in</title>")
        return StepOutcome(passed=wish != "refuse", summary=f"{name} said {wish or 'yes'}")

    return step


def _is_first_attempt(name: str, context: StepContext) -> bool:
    """What a step leaves in its checkpoint, its next attempt finds there."""
    left = context.run.checkpoint(StepName(name)) / "attempted"
    before = left.exists()
    left.touch()
    return not before


def _deploy(name: str, candidate: Path, output: Path, context: StepContext) -> None:
    repository = ModelRepository(context.home.models)
    version = repository.publish(name, candidate)
    repository.promote(name, version)
    assert repository.role(name, ModelRole.CHAMPION) == version
    (output / DEPLOYMENT_FILE).write_text(json.dumps({"model": name, "version": version}))
