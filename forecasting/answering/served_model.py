"""A version as the gateway needs it: its feature spec and the history of its series."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from forecasting.answering.series_block import SeriesBlock, make_block
from forecasting.contracts.signature import SignatureSpec
from forecasting.features.calendar import calendar_columns
from forecasting.features.spec import FeatureSpec
from forecasting.schema import Series

KEPT_ORIGINS = 64
T = TypeVar("T")


@dataclass(frozen=True)
class ServedModel:
    """One version, its spec and its series by id.

    quarantine: why a series, one of `series`, was left out of training, by id; the model is never asked for it.
    arrays: all of `series` as arrays; made of them where not given.
    """

    name: str
    version: int
    cutoff: int
    spec: FeatureSpec
    series: dict[str, Series]
    quarantine: Mapping[str, str] = field(default_factory=dict)
    arrays: SeriesBlock | None = None

    @cached_property
    def block(self) -> SeriesBlock:
        """All series as arrays."""
        if self.arrays is not None:
            return self.arrays
        return make_block(tuple(self.series.values()), self.spec, self.quarantine, cutoff=self.cutoff)

    @cached_property
    def signature(self) -> SignatureSpec:
        """Shapes of what the model takes and gives."""
        return self.spec.signature

    def calendar(self, origin: int) -> npt.NDArray[np.float32]:
        """Calendar columns of the history before an origin and of the horizon from it on `[L+H,n]`; the latest are kept."""

        def make() -> npt.NDArray[np.float32]:
            steps = np.arange(-self.spec.history_length, self.spec.horizon, dtype=np.int64)
            found: npt.NDArray[np.float32] = calendar_columns(origin + self.spec.step_s * steps, self.spec.calendar)
            return found

        return self._calendars.get(origin, make)

    @cached_property
    def _calendars(self) -> "KeptByOrigin[npt.NDArray[np.float32]]":
        return KeptByOrigin()

    @cached_property
    def written_times(self) -> "KeptByOrigin[tuple[bytes, bytes]]":
        """First step and steps from an origin, as an answer has them."""
        return KeptByOrigin()


class KeptByOrigin(Generic[T]):
    """What was made for the latest origins: nearly all requests are for one of them."""

    def __init__(self) -> None:
        """Nothing is kept yet."""
        self._found: dict[int, T] = {}

    def get(self, origin: int, make: Callable[[], T]) -> T:
        """What was made for an origin, or is made now."""
        found = self._found.get(origin)
        if found is None:
            found = make()
            # Several threads may make the same; whichever stays is as good.
            while len(self._found) >= KEPT_ORIGINS and (first := next(iter(list(self._found)), None)) is not None:
                self._found.pop(first, None)
            self._found[origin] = found
        return found
