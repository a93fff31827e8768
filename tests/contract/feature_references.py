"""Every kind of derived feature once more, step by step in float64, and examples of each."""

from collections.abc import Callable, Sequence

import numpy as np

from forecasting.features.terms import (
    DegreeDaysTerm,
    DifferenceTerm,
    ExponentialMeanTerm,
    LagTerm,
    PresentTerm,
    QuantileTerm,
    RatioTerm,
    RollingTerm,
    SeasonalTerm,
    SinceEventTerm,
    Term,
)

Scaled = Callable[[int], float]
"""The scaled value of a step, NaN where it is missing or before the first."""

EXAMPLES: dict[str, Sequence[Term]] = {
    "lag": (LagTerm("x", 1), LagTerm("x", 24), LagTerm("x", 1_000)),
    "difference": (DifferenceTerm("x", 1), DifferenceTerm("x", 24)),
    "ratio": (RatioTerm("x", 5), RatioTerm("x", 168)),
    "rolling": tuple(
        RollingTerm("x", window, statistic, lag)
        for window, lag in ((1, 0), (7, 0), (24, 1), (168, 0))
        for statistic in ("mean", "std", "min", "max")
    ),
    "seasonal": tuple(SeasonalTerm("x", 24, 5, statistic) for statistic in ("mean", "std", "min", "max")),
    "quantile": (QuantileTerm("x", 24, 0.1), QuantileTerm("x", 7, 0.5), QuantileTerm("x", 1, 0.9)),
    "exponential_mean": (ExponentialMeanTerm("x", 1), ExponentialMeanTerm("x", 12)),
    "degree_days": (DegreeDaysTerm("x", 18.0, "heating", 24), DegreeDaysTerm("x", 18.0, "cooling", 6)),
    "since_event": (SinceEventTerm("x", 1), SinceEventTerm("x", 48)),
    "present": (PresentTerm("x"),),
}

STATISTIC = {"mean": np.mean, "std": np.std, "min": np.min, "max": np.max}


def reference(term: Term, raw: np.ndarray, location: float, scale: float) -> np.ndarray:
    """The feature of a series `[T]`, float64."""
    scaled = (raw - location) / scale

    def at(t: int) -> float:
        return float(scaled[t]) if t >= 0 else np.nan

    return np.asarray([_step(term, raw, at, t, location, scale) for t in range(len(raw))])


def _step(term: Term, raw: np.ndarray, at: Scaled, t: int, location: float, scale: float) -> float:
    match term:
        case LagTerm(steps=steps):
            return _or_zero(at(t - steps))
        case DifferenceTerm(steps=steps):
            return _or_zero(at(t) - at(t - steps))
        case RatioTerm(window=window):
            mean = _over([at(t - i) for i in range(window)], np.mean)
            return _or_zero((at(t) - mean) / max(abs(mean + location / scale), 1.0))
        case RollingTerm(window=window, statistic=statistic, lag=lag):
            return _over([at(t - lag - i) for i in range(window)], STATISTIC[statistic])
        case SeasonalTerm(season=season, count=count, statistic=statistic):
            return _over([at(t - i * season) for i in range(1, count + 1)], STATISTIC[statistic])
        case QuantileTerm(window=window, level=level):
            return _over([at(t - i) for i in range(window)], lambda found: float(np.quantile(found, level)))
        case ExponentialMeanTerm(half_life=half_life):
            pairs = [(at(t - i), 2.0 ** (-i / half_life)) for i in range(8 * half_life)]
            weight = sum(w for x, w in pairs if x == x)
            return sum(w * x for x, w in pairs if x == x) / weight if weight >= 1e-3 else 0.0
        case DegreeDaysTerm(base=base, direction=direction, window=window):
            sign = 1.0 if direction == "heating" else -1.0
            values = [float(raw[t - i]) if t - i >= 0 else np.nan for i in range(window)]
            return _over([max(0.0, sign * (base - v)) / scale if v == v else v for v in values], np.mean)
        case SinceEventTerm(limit=limit):
            ages = [i for i in range(min(limit, t + 1)) if raw[t - i] == raw[t - i] and raw[t - i] != 0]
            return min([*ages, limit]) / limit
        case PresentTerm():
            return float(at(t) == at(t))
        case _:
            raise AssertionError(f"{term.kind} has no reference")


def _over(values: Sequence[float], reduce: Callable[[np.ndarray], float]) -> float:
    found = np.asarray([value for value in values if value == value])
    return float(reduce(found)) if len(found) else 0.0


def _or_zero(value: float) -> float:
    return value if value == value else 0.0
