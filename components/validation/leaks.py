"""The leak alarm: covariates that tell the target of the horizon before it is known.

Changes, not levels, are compared: two series with one trend or one season correlate without knowing
each other.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.validation.report import CheckRecord, Severity
from components.validation.storing import StoreReport
from forecasting.config.sections import ForecastConfig
from forecasting.config.validation import ValidationConfig
from forecasting.schema import SeriesStore

_MIN_PAIRS = 30
"""Changes needed before a correlation means anything."""
_MAX_ROWS = 20_000
"""Changes in which shifted copies are looked for, taken from series spread over the store."""
_MAX_SHIFT = 336
"""Steps by which a copy is shifted at most."""


@dataclass(frozen=True)
class LeakReport:
    """The covariate that is most like the target, and by how many steps it is behind it (negative: ahead)."""

    column: str
    shift: int
    correlation: float


def check_leaks(made: StoreReport, limits: ValidationConfig, forecast: ForecastConfig) -> CheckRecord:
    """A known covariate must not be a copy of a target that lies in the horizon.

    A covariate known for the horizon tells of it where it is the target itself, where it runs ahead of
    it, or where it follows it by less than a horizon. A copy that follows by a horizon or more holds only
    what has happened.
    """
    spec, limit = made.store.spec, limits.max_leak_correlation
    severity = Severity(limits.severity_of("leak").value)
    found = [LeakReport(name, 0, like) for name, like in _likeness(made.store, spec.known).items()]
    found += _shifted(made.store, limit, forecast)
    if not found:
        return CheckRecord("leak", True, severity, None, limit, "there are no known covariates", "leak")
    worst = max(found, key=lambda report: report.correlation)
    passed = worst.correlation <= limit
    message = (
        f"changes of {worst.column!r}{_shift_words(worst.shift)} correlate most with those of the target: "
        f"{worst.correlation:.4f}; allowed is {limit:g}"
    )
    if not passed:
        message += "; a covariate that is the target in disguise is not known when a forecast is made: remove it from data.known"
    return CheckRecord("leak", passed, severity, worst.correlation, limit, message, "leak")


def check_observed_copies(made: StoreReport, limits: ValidationConfig) -> CheckRecord:
    """An observed covariate that is the target tells nothing new; it ends at the origin, so it leaks nothing."""
    limit, found = limits.max_leak_correlation, _likeness(made.store, made.store.spec.observed)
    rule = "observed_copy"
    severity = Severity(limits.severity_of(rule).value)
    if not found:
        return CheckRecord(rule, True, severity, None, limit, "there are no observed covariates", rule)
    worst = max(found, key=lambda name: found[name])
    passed = found[worst] <= limit
    message = f"changes of {worst!r} correlate most with those of the target: {found[worst]:.4f}"
    if not passed:
        message += f", more than {limit:g}; an observed covariate that is a copy of the target adds nothing to it"
    return CheckRecord(rule, passed, severity, found[worst], limit, message, rule)


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


def _likeness(store: SeriesStore, names: tuple[str, ...]) -> dict[str, float]:
    """How like the target some covariates are at the same time."""
    columns = store.spec.columns
    changes = np.concatenate([_changes(store, i) for i in range(len(store.series))])
    return {name: absolute_correlation(changes[:, 0], changes[:, columns.index(name)]) for name in names}


def _shifted(store: SeriesStore, limit: float, forecast: ForecastConfig) -> list[LeakReport]:
    """For each known covariate the most alike shift within a horizon.

    Not where the target repeats its own last season so well that everything with this season is a copy of it.
    """
    spec, reach = store.spec, min(forecast.horizon, _MAX_SHIFT)
    changes = _sample(store, max(reach, *forecast.seasons))
    target = changes[:, 0]
    if any(most_alike_shift(target, target, range(season, season + 1))[1] > limit for season in forecast.seasons):
        return []
    found = []
    for name in spec.known:
        shift, like = most_alike_shift(target, changes[:, spec.columns.index(name)], range(-reach, reach))
        found.append(LeakReport(name, shift, like))
    return found


def _sample(store: SeriesStore, pad: int) -> npt.NDArray[np.float64]:
    """Last changes of series spread over the store, with NaN between them, so that no shift mixes two series."""
    n_series = min(len(store.series), max(1, _MAX_ROWS // (4 * pad)))
    chosen = np.linspace(0, len(store.series) - 1, n_series).round().astype(int)
    gap = np.full((pad, len(store.spec.columns)), np.nan)
    parts = [part for i in chosen for part in (_changes(store, int(i))[-(_MAX_ROWS // n_series) :], gap)]
    return np.concatenate(parts)


def _changes(store: SeriesStore, index: int) -> npt.NDArray[np.float64]:
    one, spec = store.series[index], store.spec
    return np.diff(one.values[: (spec.split.cutoff - one.start) // spec.step_s], axis=0)


def _shift_words(shift: int) -> str:
    if not shift:
        return ""
    steps = "1 step" if abs(shift) == 1 else f"{abs(shift)} steps"
    return f", {steps} {'behind' if shift > 0 else 'ahead of'} the target,"
