"""What is asked for, whatever way it came."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from forecasting.answering.given import GivenRows
from forecasting.contracts.vocabulary import ModelRole

ModelPin = ModelRole | int
"""What a request may ask for: a role, or a version that has one."""
KnownColumn = tuple[float, ...] | Mapping[int, float]
"""One value a step of the horizon, or values by time, epoch seconds."""
KnownValues = Mapping[str, KnownColumn]
"""By column."""


@dataclass(frozen=True)
class ForecastRequest:
    """What is asked for.

    series: ids, none for those of the history, or for all where there is none. origin: first forecast step in epoch
    seconds, none for the latest. cutoff: the first step is the first at or after it, epoch seconds.
    quantiles: levels, none for all that the model has. known: values by column, by series. given: rows of history.
    fallback: whether the fallback may answer. model: who must answer; none: whoever does. known_by: what was observed and
    became known later does not exist, epoch seconds; none: all that is known.
    """

    series: tuple[str, ...] | None = None
    origin: int | None = None
    quantiles: tuple[float, ...] | None = None
    known: Mapping[str, KnownValues] = field(default_factory=dict)
    fallback: bool = True
    cutoff: int | None = None
    given: GivenRows | None = None
    model: ModelPin | None = None
    known_by: int | None = None
