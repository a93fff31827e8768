"""The steps of a run, in order, and which of them are gates."""

from enum import StrEnum


class StepName(StrEnum):
    """Steps of a run, in the order in which they run; also the names of their directories."""

    VALIDATE_DATA = "validate_data"
    BUILD_FEATURES = "build_features"
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
