"""Trains an ensemble twice in a process of its own: as a whole, and killed in its second member.

    python -m tests.unit.training.ensemble_process FOLDER

Writes the runs `whole` and `killed` into the folder and dies by SIGKILL.
"""

import os
import signal
import sys
from pathlib import Path

from forecasting.contracts.steps import StepName
from tests.unit.training.small_run import ensemble_config, make_small_run

KILLED_CONFIG = ensemble_config(training={"max_epochs": 2, "refit": False, "checkpoint_every_steps": 3})


def kill_at_the_second_state_of_the_second_member(folder: Path) -> None:
    """Die before the second checkpoint of the second member is in its place."""
    seen: list[str] = []

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event != "os.rename":
            return
        target = Path(os.fsdecode(arguments[1]))  # type: ignore[arg-type]
        if folder in target.parents and "member_1" in target.parts and target.name.startswith("state-"):
            seen.append(target.name)
            if len(seen) == 2:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def main(folder: Path) -> None:
    """Train both."""
    for name in ("whole", "killed"):
        run = make_small_run(folder / name)
        if name == "killed":
            kill_at_the_second_state_of_the_second_member(folder / name)
        run.perform_with(KILLED_CONFIG, StepName.TRAIN_MODEL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
