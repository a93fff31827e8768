"""What became of observations that were posted."""

from dataclasses import dataclass
from typing import Any

from forecasting.errors import RemoteError


@dataclass(frozen=True)
class ObservationsRecord:
    """Values that were not known before, that replaced others, that came late and do not stand, that changed nothing.

    repeated: the same post was taken before, and nothing was counted. known_at: ISO 8601; none where it was repeated.
    """

    new: int
    restated: int
    late: int
    unchanged: int
    repeated: bool
    known_at: str | None


def read_observations(document: dict[str, Any], *, endpoint: str) -> ObservationsRecord:
    """Read an answer.

    Raises:
        RemoteError: It is none of a gateway.
    """
    try:
        return ObservationsRecord(**{name: document[name] for name in ObservationsRecord.__dataclass_fields__})
    except KeyError as error:
        raise RemoteError(f"{endpoint} must say what became of observations; is it a gateway? {error}") from error
