"""How far the values of a column are from those that a version was trained on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.ranking import Values, distance, quantiles

_N_BINS = 10
_MIN_BIN = 20
"""Values a bin at least: of a few values ten bins differ by chance alone."""
_MIN_RATIO = 1e-4
"""An empty bin counts as this share, so that the index stays finite."""
_N_KEPT = 1_001
"""Quantiles that stand for a distribution: KS against them is within a thousandth of what all values give."""

Floats = npt.NDArray[np.float64]


def psi(reference: Values, current: Values) -> float:
    """Population stability index of values against others; 0 is no drift.

    Bins lie between quantiles of the reference, ten where there are 200 values; a value that several quantiles share has
    a bin of its own.
    """
    edges = _edges(reference, min(_N_BINS, max(2, min(reference.n, current.n) // _MIN_BIN)))
    shares = [np.maximum(_counts_between(part, edges) / part.n, _MIN_RATIO) for part in (reference, current)]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


@dataclass(frozen=True)
class DistributionSpec:
    """What values are compared with: quantiles at equal distances, or all values where they are few; ascending."""

    kept: Floats

    @classmethod
    def of(cls, values: Values) -> "DistributionSpec | None":
        """The distribution of some values; none where there is none."""
        if not values.n:
            return None
        if values.n <= _N_KEPT:
            return cls(np.sort(np.concatenate(list(values.chunks()))))
        return cls(np.array(quantiles(values, np.linspace(0, 1, _N_KEPT).tolist())))

    @property
    def n(self) -> int:
        """How many numbers stand for it."""
        return len(self.kept)

    @property
    def low(self) -> float:
        """The smallest."""
        return float(self.kept[0])

    @property
    def high(self) -> float:
        """The largest."""
        return float(self.kept[-1])

    def chunks(self) -> Iterator[Floats]:
        """All of them."""
        yield self.kept


@dataclass(frozen=True)
class DriftReport:
    """Of values against a distribution: PSI, and the Kolmogorov-Smirnov statistic."""

    psi: float
    ks: float


def measure_drift(reference: DistributionSpec | None, current: Values) -> DriftReport | None:
    """Compare values with a distribution; none where either has none."""
    if reference is None or not current.n:
        return None
    return DriftReport(psi(reference, current), distance(reference, current))


def _edges(reference: Values, n_bins: int) -> Floats:
    """Ascending edges of bins of about equally many values; each edge is the first value of the bin above it."""
    found, times = np.unique(quantiles(reference, np.linspace(0, 1, n_bins + 1).tolist()), return_counts=True)
    # Many equal values, as zeros of a sparse column: with the values above them in one bin, these could come and go unseen.
    tied = found[times > 1]
    inner = found[(found > found[0]) & (found < found[-1])]
    return np.unique(np.concatenate([inner, tied, np.nextafter(tied, np.inf)]))


def _counts_between(values: Values, edges: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """How many values lie below, between and above some edges `[E]`, `[E + 1]`."""
    counts = np.zeros(len(edges) + 1, dtype=np.int64)
    for part in values.chunks():
        counts += np.bincount(np.searchsorted(edges, part, side="right"), minlength=len(counts))
    return counts
