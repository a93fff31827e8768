"""Words that mean the same in aliases, metrics, files and commands."""

from enum import StrEnum


class ModelRole(StrEnum):
    """The part a model version plays in the repository, the registry and the metrics."""

    CHAMPION = "champion"
    CANDIDATE = "candidate"
    PREVIOUS = "previous"


class CovariateRole(StrEnum):
    """When the value of a column is known.

    TARGET: what is forecast; known up to the origin. KNOWN: known for the horizon too (calendar,
    planned promotions, a weather forecast). OBSERVED: known up to the origin only. STATIC: one
    value per series.
    """

    TARGET = "target"
    KNOWN = "known"
    OBSERVED = "observed"
    STATIC = "static"


class RunStatus(StrEnum):
    """How a run or a step stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED = "failed"
    STOPPED = "stopped"
    SKIPPED = "skipped"


CANDIDATE_SUFFIX = "-candidate"


def served_name(model_name: str, role: ModelRole) -> str:
    """Name under which the model server knows a role.

    Champion and candidate are two names over one repository because TensorFlow Serving answers
    requests without a version from the highest one. `previous` is not served.

    Raises:
        ValueError: `role` is `previous`.
    """
    match role:
        case ModelRole.CHAMPION:
            return model_name
        case ModelRole.CANDIDATE:
            return model_name + CANDIDATE_SUFFIX
        case ModelRole.PREVIOUS:
            raise ValueError("a previous model is not served; roll back to it first")
