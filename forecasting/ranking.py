"""Exact statistics of more values than fit in memory: quantiles, a histogram, the distance of two distributions.

Values are gone over several times: a histogram of many equal bins says in which of them an answer lies, and only the
values there are looked at. Nothing is a sample or an approximation.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_N_BINS = 1 << 16
_MAX_GATHERED = 1 << 21
"""Values that are sorted at once; bins with more are divided again."""
_MAX_DEPTH = 4
"""After so many divisions what is left in a bin is as good as equal: different values are counted one by one."""
_CHUNK = 1 << 18


class Values(Protocol):
    """Values without missing ones that can be gone over again and again."""

    @property
    def n(self) -> int:
        """How many there are."""

    @property
    def low(self) -> float:
        """The smallest; NaN where there is none."""

    @property
    def high(self) -> float:
        """The largest; NaN where there is none."""

    def chunks(self) -> Iterator[Floats]:
        """All of them, in parts that fit in memory."""


class ValueSpool:
    """Values that are added in parts; many of them wait in a scratch file."""

    def __init__(self, path: Path | None = None, *, n_in_memory: int = 1 << 20) -> None:
        """A spool that writes to a file once it has more values than `n_in_memory`; without a file it never does."""
        self._path, self._n_in_memory = path, n_in_memory
        self._parts: list[Floats] = []
        self._n_waiting = 0
        self._file: IO[bytes] | None = None
        self.n = self.n_missing = 0
        self.low = self.high = float("nan")

    def add(self, values: Floats) -> None:
        """Add values `[n]`; those that are missing are counted only."""
        found = values[~np.isnan(values)]
        self.n_missing += len(values) - len(found)
        if not len(found):
            return
        self.n += len(found)
        self.low = float(np.fmin(self.low, found.min()))
        self.high = float(np.fmax(self.high, found.max()))
        self._parts.append(found)
        self._n_waiting += len(found)
        if self._path is not None and self._n_waiting > self._n_in_memory:
            self._file = self._file or self._path.open("wb")
            np.concatenate(self._parts).tofile(self._file)
            self._parts, self._n_waiting = [], 0

    def chunks(self) -> Iterator[Floats]:
        """All values, in the order in which they came."""
        if self._file is not None and self._path is not None:
            self._file.flush()
            with self._path.open("rb") as stream:
                while len(part := np.fromfile(stream, np.float64, _CHUNK)):
                    yield part
        if self._parts:
            yield np.concatenate(self._parts)


def histogram(values: Values, n_bins: int) -> tuple[Ints, Floats]:
    """Counts `[n_bins]` and edges `[n_bins + 1]` of equal bins from the smallest to the largest value."""
    counts, edges = np.zeros(n_bins, dtype=np.int64), np.zeros(n_bins + 1)
    for part in values.chunks():
        found, edges = np.histogram(part, bins=n_bins, range=(values.low, values.high))
        counts += found
    return counts, edges


def quantiles(values: Values, levels: Sequence[float]) -> list[float]:
    """Quantiles between the two nearest values, as NumPy has them by default; of at least one value."""
    places = np.asarray(levels) * (values.n - 1)
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, values.n - 1)
    ranks = np.unique(np.r_[below, above])
    found = dict(zip(ranks.tolist(), _at_ranks(values.chunks, values.low, values.high, ranks), strict=True))
    return [
        _between(found[first], found[second], place - first)
        for first, second, place in zip(below.tolist(), above.tolist(), places.tolist(), strict=True)
    ]


def distance(a: Values, b: Values) -> float:
    """The Kolmogorov-Smirnov statistic: the largest distance of two distribution functions, each of some values."""
    low, high = min(a.low, b.low), max(a.high, b.high)
    return _largest_distance(a.chunks, b.chunks, (low, high), (0, 0), (a.n, b.n), 0.0, 1)


Chunks = Callable[[], Iterator[Floats]]


def _at_ranks(chunks: Chunks, low: float, high: float, ranks: Ints, depth: int = 1) -> list[float]:
    """Values of ascending ranks (from 0) among those between two bounds."""
    if low == high:
        return [low] * len(ranks)
    counts = _histogram(chunks, low, high)
    ends = np.cumsum(counts)
    owners = np.searchsorted(ends, ranks, side="right")
    found: list[float] = []
    needed = np.unique(owners)
    if counts[needed].sum() <= _MAX_GATHERED or depth >= _MAX_DEPTH:
        values, times = _counted(chunks, low, high, needed)
        places = np.cumsum(times)
        before = _before(ends, counts, needed, owners)
        chosen: list[float] = values[np.searchsorted(places, ranks - before, side="right")].tolist()
        return chosen
    for owner in needed.tolist():
        bounds = _bounds(chunks, low, high, owner)
        inner = ranks[owners == owner] - (ends[owner] - counts[owner])
        found += _at_ranks(chunks, *bounds, inner, depth + 1)
    return found


def _before(ends: Ints, counts: Ints, needed: Ints, owners: Ints) -> Ints:
    """For each rank how many values below it are not among those gathered."""
    gathered = np.cumsum(counts[needed]) - counts[needed]
    return (ends - counts)[owners] - gathered[np.searchsorted(needed, owners)]


def _largest_distance(
    a: Chunks, b: Chunks, bounds: tuple[float, float], below: tuple[int, int], sizes: tuple[int, int], best: float,
    depth: int,
) -> float:  # fmt: skip
    """The largest distance at any value between two bounds, or `best` if that is larger.

    Args:
        a: First values.
        b: Second values.
        bounds: Both included.
        below: How many values of each are smaller than the bounds.
        sizes: How many there are of each in all.
        best: A distance that is known to occur.
        depth: How often bins were divided.
    """
    low, high = bounds
    counts = [_histogram(chunks, low, high) for chunks in (a, b)]
    ends = [np.cumsum(found) + before for found, before in zip(counts, below, strict=True)]
    best = max(best, float(np.max(np.abs(ends[0] / sizes[0] - ends[1] / sizes[1]))))
    starts = [end - found for end, found in zip(ends, counts, strict=True)]
    # Inside a bin the distance is largest if all values of one kind come before all of the other.
    reach = np.maximum(
        np.abs(ends[0] / sizes[0] - starts[1] / sizes[1]), np.abs(starts[0] / sizes[0] - ends[1] / sizes[1])
    )
    open_bins = np.flatnonzero((reach > best) & (counts[0] + counts[1] > 0))
    if low == high or not len(open_bins):
        return best
    n_open = counts[0][open_bins] + counts[1][open_bins]
    is_small = np.cumsum(np.sort(n_open)) <= _MAX_GATHERED
    if is_small.all() or depth >= _MAX_DEPTH:
        found = [_counted(chunks, low, high, open_bins) for chunks in (a, b)]
        return max(
            best, _distance_at_values(found, [starts[i][open_bins] for i in (0, 1)], low, high, open_bins, sizes)
        )
    for place in open_bins[np.argsort(-n_open, kind="stable")].tolist():
        if reach[place] > best:
            inner = [_bounds(chunks, low, high, place) for chunks in (a, b) if counts[0 if chunks is a else 1][place]]
            span = (min(one[0] for one in inner), max(one[1] for one in inner))
            best = _largest_distance(a, b, span, (int(starts[0][place]), int(starts[1][place])), sizes, best, depth + 1)
    return best


def _distance_at_values(
    found: list[tuple[Floats, Ints]], starts: list[Ints], low: float, high: float, places: Ints, sizes: tuple[int, int]
) -> float:
    """The largest distance at the values of some bins, of which the counts below each bin are known."""
    values = np.unique(np.concatenate([one for one, _ in found]))
    owners = np.searchsorted(places, _bins(values, low, high))
    shares = []
    for (own, times), start, size in zip(found, starts, sizes, strict=True):
        total = np.r_[0, np.cumsum(times)]
        before = total[np.searchsorted(np.searchsorted(places, _bins(own, low, high)), np.arange(len(places)))]
        upto = total[np.searchsorted(own, values, side="right")]
        shares.append((start[owners] + upto - before[owners]) / size)
    return float(np.max(np.abs(shares[0] - shares[1])))


def _bins(values: Floats, low: float, high: float) -> Ints:
    """Number of the equal bin of each value; never smaller for a larger value."""
    # Quarters, so that the span of the largest numbers is finite.
    span = high * 0.25 - low * 0.25
    scaled = (values * 0.25 - low * 0.25) / span * _N_BINS if span > 0 else np.zeros(len(values))
    return np.minimum(scaled.astype(np.int64), _N_BINS - 1)


def _histogram(chunks: Chunks, low: float, high: float) -> Ints:
    """How many values between two bounds are in each bin."""
    counts = np.zeros(_N_BINS, dtype=np.int64)
    for part in _inside(chunks, low, high):
        counts += np.bincount(_bins(part, low, high), minlength=_N_BINS)
    return counts


def _inside(chunks: Chunks, low: float, high: float) -> Iterator[Floats]:
    for part in chunks():
        kept = (part >= low) & (part <= high)
        yield part if kept.all() else part[kept]


def _bounds(chunks: Chunks, low: float, high: float, place: int) -> tuple[float, float]:
    """The smallest and the largest value of a bin that has some."""
    found = [part[_bins(part, low, high) == place] for part in _inside(chunks, low, high)]
    return min(float(one.min()) for one in found if len(one)), max(float(one.max()) for one in found if len(one))


def _counted(chunks: Chunks, low: float, high: float, places: Ints) -> tuple[Floats, Ints]:
    """The different values in some bins, ascending, and how often each is there."""
    values, times = np.zeros(0), np.zeros(0, dtype=np.int64)
    is_open = np.zeros(_N_BINS, dtype=np.bool_)
    is_open[places] = True
    for part in _inside(chunks, low, high):
        own, counts = np.unique(part[is_open[_bins(part, low, high)]], return_counts=True)
        merged, inverse = np.unique(np.r_[values, own], return_inverse=True)
        total = np.bincount(inverse, weights=np.r_[times, counts], minlength=len(merged)).astype(np.int64)
        values, times = merged, total
    return values, times


def _between(first: float, second: float, share: float) -> float:
    """The value a share of the way from one to another, without loss at either end."""
    step = second - first
    return second - step * (1 - share) if share >= 0.5 else first + step * share
