"""What a request comes to: from which origin each series is forecast, and what is known of its horizon."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from forecasting.answering.fallback import FallbackCause
from forecasting.answering.given import GivenRows
from forecasting.answering.series_with_rows import past_with_rows
from forecasting.answering.served_model import ServedModel
from forecasting.schema import Series

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DegradedSpec:
    """Why the fallback answers: the cause that is counted, and the reason in words."""

    cause: FallbackCause
    reason: str


@dataclass(frozen=True)
class SkippedRecord:
    """A series that cannot be forecast, and why."""

    series: str
    reason: str


@dataclass(frozen=True)
class PlanSpec:
    """What a request comes to, for N series.

    ids: of the series. rows `[N]`: place in the block of the version, -1 for a series that the request brings.
    start, origins `[N]`: a time on the grid, and the first step of the forecast, UTC epoch seconds.
    ahead: known covariates `[N,H,K]`. static `[N,S]`: static inputs. given: rows of the request; given_of `[R]`: to
    which of the N each belongs, ascending. limited_by: why a forecast does not start after the last target although
    no origin was asked for; degraded: why the fallback answers; both by place. skipped: series without a forecast.
    """

    served: ServedModel
    ids: tuple[str, ...]
    rows: Integers
    start: Integers
    origins: Integers
    ahead: npt.NDArray[np.float32]
    static: npt.NDArray[np.float32]
    given: GivenRows | None = None
    given_of: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    limited_by: Mapping[int, str] = field(default_factory=dict)
    degraded: Mapping[int, DegradedSpec] = field(default_factory=dict)
    skipped: tuple[SkippedRecord, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, places: Integers) -> "PlanSpec":
        """The plan of some of its series, in ascending order of place."""
        new = np.full(len(self), -1)
        new[places] = np.arange(len(places))
        given, given_of = self.given, self.given_of
        if given is not None:
            is_kept = new[given_of] >= 0
            given, given_of = given.pick(is_kept), new[given_of[is_kept]]
        return replace(
            self,
            ids=tuple(self.ids[i] for i in places),
            rows=self.rows[places],
            start=self.start[places],
            origins=self.origins[places],
            ahead=self.ahead[places],
            static=self.static[places],
            given=given,
            given_of=given_of,
            limited_by={int(new[i]): text for i, text in self.limited_by.items() if new[i] >= 0},
            degraded={int(new[i]): why for i, why in self.degraded.items() if new[i] >= 0},
        )

    def past(self, place: int, *, n_steps: int) -> Series:
        """One series with what the request gives of it: at most so many steps, up to its last target before the origin."""
        spec, row = self.served.spec, int(self.rows[place])
        if row >= 0:
            found = self.served.series[self.ids[place]]
        else:
            found = Series(self.ids[place], int(self.start[place]), np.empty((0, len(spec.value_columns))))
        rows = slice(*np.searchsorted(self.given_of, (place, place + 1)))
        if self.given is None or rows.start == rows.stop:
            return found
        return past_with_rows(found, self.given, rows, spec, before=int(self.origins[place]), n_steps=n_steps)


def degrade(plan: PlanSpec, why: Mapping[int, DegradedSpec]) -> PlanSpec:
    """The plan with some of its series left to the fallback."""
    return replace(plan, degraded={**why, **plan.degraded})
