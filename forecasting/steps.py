"""What a step function takes and gives. `forecasting.execution` runs one with cache, record and logs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from forecasting.config.root import StepSettings
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName


@dataclass(frozen=True)
class StepContext:
    """Where and when a step runs; steps look at no clock.

    cutoff: ISO 8601 time with zone, or none for the end of the table. created: when the run was begun,
    epoch seconds; the same for all steps and for a resumed run.
    """

    home: HomeLayout
    run: RunLayout
    cutoff: str | None = None
    created: float | None = None


@dataclass(frozen=True)
class StepOutcome:
    """What a step says of its result: whether the run may go on, and why, in one line.

    reusable: whether a later run with the same key may take the result over; not where it hangs on
    passing conditions, such as how busy the machine was.
    """

    passed: bool
    summary: str
    reusable: bool = True


class Step(Protocol):
    """A step: reads the finished directories of its parents, fills an empty directory."""

    def __call__(
        self, settings: StepSettings, inputs: Mapping[StepName, Path], output: Path, context: StepContext
    ) -> StepOutcome:
        """Run the step.

        Args:
            settings: The sections of the configuration that this step sees.
            inputs: Output directories of `forecasting.contracts.steps.parents_of` the step.
            output: An existing, empty directory; it becomes visible only when the step returns.
            context: The run.

        Raises:
            AlmanacError: The step cannot be done; the output is thrown away.
        """
