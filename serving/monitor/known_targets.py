"""What is known now of the targets that forecasts are scored with: the champion's table, with observations over it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.observed_history import NOT_OBSERVED, ObservedSpan, lay_over
from forecasting.schema import Series
from forecasting.store.actuals import table_values
from forecasting.store.history import HistoryQuery, read_history
from forecasting.store.opening import Store
from forecasting.store.packing import GridSpec


@dataclass(frozen=True)
class KnownTargetsRecord:
    """Targets of N series over T steps `[N,T]`.

    values: NaN where there is none. known_at: since when; of the table's since its cutoff. observed: whether it came as an
    observation. withdrawn: whether it was stated that there is none.
    """

    values: npt.NDArray[np.float64]
    known_at: npt.NDArray[np.int64]
    observed: npt.NDArray[np.bool_]
    withdrawn: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TargetSource:
    """Where targets come from: the store, and the latest targets of the champion's table by series, up to its cutoff."""

    store: Store
    model: str
    target: str
    tails: Mapping[str, Series]
    cutoff: int

    def known(self, ids: Sequence[str], grid: GridSpec, *, start: int, n_steps: int) -> KnownTargetsRecord:
        """What is known of some series over some steps.

        Raises:
            RetryableError: The store cannot be used now.
        """
        query = HistoryQuery(
            model=self.model, series=ids, names=(self.target,), grid=grid, start=start, n_steps=n_steps
        )  # fmt: skip
        return known_targets(read_history(self.store, query), ids, self.tails, cutoff=self.cutoff)


def known_targets(
    observed: ObservedSpan, ids: Sequence[str], tails: Mapping[str, Series], *, cutoff: int
) -> KnownTargetsRecord:
    """Lay what was observed `[N,T,1]` over the table, by the rule of `forecasting.observed_history`; pure."""
    limit = cutoff if tails else NOT_OBSERVED
    table = table_values(observed, ids, tails, cutoff=cutoff)
    values = lay_over(table[:, :, None], observed, cutoff=limit)[:, :, 0]
    seen_at = observed.known_at[:, :, 0]
    is_seen = (seen_at > limit) | (np.isnan(table) & (seen_at != NOT_OBSERVED))
    return KnownTargetsRecord(
        values, np.where(is_seen, seen_at, limit), is_seen, is_seen & (seen_at != NOT_OBSERVED) & np.isnan(values)
    )
