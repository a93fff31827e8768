"""The leak alarm: covariates that tell the target of the horizon before it is known.

Changes, not levels, are compared: two series with one trend or one season correlate without knowing
each other. All changes of all series count; sums over series tell the same as all of them at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.validation.report import CheckRecord, Severity
from forecasting.config.sections import ForecastConfig
from forecasting.config.validation import ValidationConfig
from forecasting.schema import Series, SeriesSpec

Floats = npt.NDArray[np.float64]

_MIN_PAIRS = 30
"""Changes needed before a correlation means anything."""
_MAX_SHIFT = 336
"""Steps by which a copy is shifted at most."""
_ROUNDING = 1e-12
"""A variance that is a smaller share of the mean square is none."""


@dataclass(frozen=True)
class LeakReport:
    """The covariate that is most like the target, and by how many steps it is behind it (negative: ahead)."""

    column: str
    shift: int
    correlation: float


@dataclass(frozen=True)
class LeaksReport:
    """How like the target each covariate is at the same time, and known ones at the most alike shift within a horizon."""

    known: tuple[LeakReport, ...]
    observed: tuple[LeakReport, ...]
    shifted: tuple[LeakReport, ...]


class LeakWatch:
    """Compares covariates with the target, series by series."""

    def __init__(self, spec: SeriesSpec, forecast: ForecastConfig) -> None:
        """Nothing was compared yet."""
        self._spec, self._seasons = spec, forecast.seasons
        reach = min(forecast.horizon, _MAX_SHIFT)
        self._shifts = np.arange(-reach, reach)
        self._same = {name: np.zeros((6, 1)) for name in (*spec.observed, *spec.known)}
        self._shifted = {name: np.zeros((6, len(self._shifts))) for name in spec.known}
        self._own = np.zeros((6, len(forecast.seasons)))

    def add(self, one: Series) -> None:
        """Compare the changes of a series before the cutoff."""
        spec = self._spec
        changes = np.diff(one.values[: (spec.split.cutoff - one.start) // spec.step_s], axis=0)
        if not len(changes):
            return
        target = changes[:, 0]
        if self._shifted:
            self._own += pair_sums(target, target, np.asarray(self._seasons))
        for name in self._same:
            covariate = changes[:, spec.columns.index(name)]
            if name in self._shifted:
                sums = pair_sums(target, covariate, self._shifts)
                self._shifted[name] += sums
                self._same[name] += sums[:, [int(np.flatnonzero(self._shifts == 0)[0])]]
            else:
                self._same[name] += pair_sums(target, covariate, np.zeros(1, dtype=np.int64))

    def report(self, limit: float) -> LeaksReport:
        """What was found; `limit` is the largest correlation that is no copy.

        No shifts where the target repeats its own last season so well that everything with this season is a copy of it.
        """
        same = {name: float(correlations(sums)[0]) for name, sums in self._same.items()}
        found = []
        if not (self._shifted and (correlations(self._own) > limit).any()):
            for name, sums in self._shifted.items():
                likes = correlations(sums)
                best = int(np.argmax(likes))
                found.append(LeakReport(name, int(self._shifts[best]), float(likes[best])))
        return LeaksReport(
            known=tuple(LeakReport(name, 0, same[name]) for name in self._spec.known),
            observed=tuple(LeakReport(name, 0, same[name]) for name in self._spec.observed),
            shifted=tuple(found),
        )


def find_leaks(series: Iterable[Series], spec: SeriesSpec, forecast: ForecastConfig, limit: float) -> LeaksReport:
    """Compare the covariates of some series with their targets."""
    watch = LeakWatch(spec, forecast)
    for one in series:
        watch.add(one)
    return watch.report(limit)


def check_leaks(found: LeaksReport, limits: ValidationConfig) -> CheckRecord:
    """A known covariate must not be a copy of a target that lies in the horizon.

    A covariate known for the horizon tells of it where it is the target itself, where it runs ahead of
    it, or where it follows it by less than a horizon. A copy that follows by a horizon or more holds only
    what has happened.
    """
    limit, severity = limits.max_leak_correlation, Severity(limits.severity_of("leak").value)
    candidates = (*found.known, *found.shifted)
    if not candidates:
        return CheckRecord("leak", True, severity, None, limit, "there are no known covariates", "leak")
    worst = _most_alike(candidates)
    passed = worst.correlation <= limit
    message = (
        f"changes of {worst.column!r}{_shift_words(worst.shift)} correlate most with those of the target: "
        f"{worst.correlation:.4f}; allowed is {limit:g}"
    )
    if not passed:
        message += "; a covariate that is the target in disguise is not known when a forecast is made: remove it from data.known"
    return CheckRecord("leak", passed, severity, worst.correlation, limit, message, "leak")


def check_observed_copies(found: LeaksReport, limits: ValidationConfig) -> CheckRecord:
    """An observed covariate that is the target tells nothing new; it ends at the origin, so it leaks nothing."""
    limit, rule = limits.max_leak_correlation, "observed_copy"
    severity = Severity(limits.severity_of(rule).value)
    if not found.observed:
        return CheckRecord(rule, True, severity, None, limit, "there are no observed covariates", rule)
    worst = _most_alike(found.observed)
    passed = worst.correlation <= limit
    message = f"changes of {worst.column!r} correlate most with those of the target: {worst.correlation:.4f}"
    if not passed:
        message += f", more than {limit:g}; an observed covariate that is a copy of the target adds nothing to it"
    return CheckRecord(rule, passed, severity, worst.correlation, limit, message, rule)


def pair_sums(a: Floats, b: Floats, shifts: npt.NDArray[np.int64]) -> Floats:
    """Sums over the pairs `a[t - shift]`, `b[t]` without NaN, for each shift.

    Args:
        a: `[T]`.
        b: `[T]`.
        shifts: Steps `[S]`, each less than T in size or without pairs.

    Returns:
        `[6, S]`: number of pairs, sums of a, b, a², b² and ab.
    """
    there_a, there_b = ~np.isnan(a), ~np.isnan(b)
    x, y = np.where(there_a, a, 0.0), np.where(there_b, b, 0.0)
    first = np.stack([there_a.astype(np.float64), x, x * x])
    second = np.stack([there_b.astype(np.float64), y, y * y])
    left, right = [0, 1, 0, 2, 0, 1], [0, 0, 1, 0, 2, 1]
    size = 1 << int(len(a) + min(len(a), int(np.abs(shifts).max())) - 1).bit_length()
    valid = np.abs(shifts) < len(a)
    places = np.where(valid, shifts, 0) % size
    if len(shifts) == 1:
        shift = int(shifts[0])
        pairs = (slice(max(0, -shift), max(0, len(a) - max(0, shift))), slice(max(0, shift), max(0, len(a) - max(0, -shift))))  # fmt: skip
        return np.asarray([[first[i, pairs[0]] @ second[j, pairs[1]]] for i, j in zip(left, right, strict=True)])
    if there_a.all() and there_b.all():
        products = np.fft.irfft(np.conj(np.fft.rfft(x, size)) * np.fft.rfft(y, size), size)[places]
        sums = np.stack([*_plain_sums(first, second, shifts), products])
    else:
        spectra = np.conj(np.fft.rfft(first, size))[left] * np.fft.rfft(second, size)[right]
        sums = np.fft.irfft(spectra, size)[:, places]
        sums[0] = np.rint(sums[0])
    return np.where(valid, sums, 0.0)


def correlations(sums: Floats) -> Floats:
    """Absolute Pearson correlations from sums `[6, S]`; 0 for few pairs or a constant."""
    n, a, b, aa, bb, ab = sums
    counts = np.maximum(n, 1)
    spread_a, spread_b = aa - a * a / counts, bb - b * b / counts
    valid = (n >= _MIN_PAIRS) & (spread_a > _ROUNDING * aa) & (spread_b > _ROUNDING * bb)
    scale = np.sqrt(np.where(valid, spread_a * spread_b, 1.0))
    return np.where(valid, np.minimum(np.abs(ab - a * b / counts) / scale, 1.0), 0.0)


def absolute_correlation(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Absolute Pearson correlation over the pairs without NaN `[T]`, `[T]`; 0 for few pairs or a constant."""
    both = ~(np.isnan(a) | np.isnan(b))
    if np.count_nonzero(both) < _MIN_PAIRS:
        return 0.0
    x, y = a[both] - a[both].mean(), b[both] - b[both].mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return abs(float(x @ y)) / scale if scale > 0 else 0.0


def most_alike_shift(
    target: npt.NDArray[np.float64], covariate: npt.NDArray[np.float64], shifts: range
) -> tuple[int, float]:
    """The shift at which a covariate is most like the target: `covariate[t] = target[t - shift]`.

    Returns:
        The shift and the absolute correlation at it.
    """
    found = {
        shift: absolute_correlation(target[max(0, -shift) : len(target) - max(0, shift)],
                                    covariate[max(0, shift) : len(target) - max(0, -shift)])
        for shift in shifts
    }  # fmt: skip
    best = max(found, key=lambda shift: found[shift])
    return best, found[best]


def _plain_sums(first: Floats, second: Floats, shifts: npt.NDArray[np.int64]) -> list[Floats]:
    """The first five sums where nothing is missing."""
    n_steps = first.shape[1]
    size = np.minimum(np.abs(shifts), n_steps)
    ahead, behind = np.maximum(shifts, 0), np.maximum(-shifts, 0)
    ends = [np.cumsum(np.column_stack([np.zeros(2), part[1:]]), axis=1) for part in (first, second)]
    spans = []
    for total, start, end in ((ends[0], behind, n_steps - ahead), (ends[1], ahead, n_steps - behind)):
        inside = np.clip(end, 0, n_steps), np.clip(start, 0, n_steps)
        spans.append(total[:, inside[0]] - total[:, inside[1]])
    return [(n_steps - size).astype(np.float64), spans[0][0], spans[1][0], spans[0][1], spans[1][1]]


def _most_alike(found: Sequence[LeakReport]) -> LeakReport:
    return max(found, key=lambda report: report.correlation)


def _shift_words(shift: int) -> str:
    if not shift:
        return ""
    steps = "1 step" if abs(shift) == 1 else f"{abs(shift)} steps"
    return f", {steps} {'behind' if shift > 0 else 'ahead of'} the target,"
