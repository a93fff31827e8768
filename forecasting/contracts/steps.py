"""The steps of a run, in order, and which of them are gates."""

from collections.abc import Collection
from enum import StrEnum


class StepName(StrEnum):
    """Steps of a run, in the order in which they run; also the names of their directories."""

    VALIDATE_DATA = "validate_data"
    BUILD_FEATURES = "build_features"
    TUNE_MODEL = "tune_model"
    TRAIN_MODEL = "train_model"
    EVALUATE_MODEL = "evaluate_model"
    COMPRESS_MODEL = "compress_model"
    EVALUATE_COMPRESSED = "evaluate_compressed"
    VALIDATE_SERVING = "validate_serving"
    DEPLOY_MODEL = "deploy_model"
    REPORT_RUN = "report_run"


GATES = (
    StepName.VALIDATE_DATA,
    StepName.EVALUATE_MODEL,
    StepName.EVALUATE_COMPRESSED,
    StepName.VALIDATE_SERVING,
)
"""Steps that answer yes or no. A no ends the run as refused; the step itself succeeds."""

PARENTS: dict[StepName, tuple[StepName, ...]] = {
    StepName.VALIDATE_DATA: (),
    StepName.BUILD_FEATURES: (StepName.VALIDATE_DATA,),
    StepName.TUNE_MODEL: (StepName.VALIDATE_DATA,),
    StepName.TRAIN_MODEL: (StepName.BUILD_FEATURES,),
    StepName.EVALUATE_MODEL: (StepName.VALIDATE_DATA, StepName.TRAIN_MODEL),
    StepName.COMPRESS_MODEL: (StepName.VALIDATE_DATA, StepName.BUILD_FEATURES, StepName.TRAIN_MODEL),
    StepName.EVALUATE_COMPRESSED: (
        StepName.VALIDATE_DATA,
        StepName.TRAIN_MODEL,
        StepName.EVALUATE_MODEL,
        StepName.COMPRESS_MODEL,
    ),
    StepName.VALIDATE_SERVING: (
        StepName.VALIDATE_DATA,
        StepName.TRAIN_MODEL,
        StepName.COMPRESS_MODEL,
        StepName.EVALUATE_COMPRESSED,
    ),
    StepName.DEPLOY_MODEL: (
        StepName.VALIDATE_DATA,
        StepName.EVALUATE_MODEL,
        StepName.EVALUATE_COMPRESSED,
        StepName.VALIDATE_SERVING,
    ),
    StepName.REPORT_RUN: (),
}
"""Whose output directory each step reads. `report_run` reads the run directory itself."""

OPTIONAL = (StepName.TUNE_MODEL,)
"""Steps that only some configurations have; a run remembers which of them are its own."""

OPTIONAL_PARENTS: dict[StepName, tuple[StepName, ...]] = {StepName.TRAIN_MODEL: (StepName.TUNE_MODEL,)}
"""Whose output a step reads besides, where the run has them."""


def steps_of(optional: Collection[StepName] = ()) -> tuple[StepName, ...]:
    """The steps of a run, in order.

    Args:
        optional: Which of `OPTIONAL` it has.
    """
    return tuple(step for step in StepName if step not in OPTIONAL or step in optional)


def parents_of(step: StepName, optional: Collection[StepName] = ()) -> tuple[StepName, ...]:
    """Whose output directory a step reads, in a run with some optional steps."""
    return (*PARENTS[step], *(parent for parent in OPTIONAL_PARENTS.get(step, ()) if parent in optional))
