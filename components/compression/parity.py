"""Whether a converted model is the network it was made from, on real windows and on windows that no table has.

A conversion can succeed and compute nonsense, so that its answers are compared before anyone looks at its accuracy.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.feature_store import FeatureStore, window_index
from forecasting.parity import DifferenceReport, differences
from forecasting.schema import SeriesStore
from forecasting.variants import Precision
from forecasting.windows import ModelInputs, actuals, stack_inputs, window_inputs

Quantiles = npt.NDArray[np.float32]

MAX_FLOAT_RATIO = 1e-3
"""Largest difference of a float conversion from its source, as a share of the mean forecast of all windows and of each window."""
MAX_HALF_RATIO = 1e-2
"""The same where weights have half the bytes, which rounds them by up to 0.05 %."""
MAX_QUANTISED_MEAN_RATIO = 0.05
"""Largest mean difference of a quantised conversion; what it costs in accuracy is the gate's to judge."""
MAX_QUANTISED_WINDOW_RATIO = 0.25
"""The same of a single real window, as a share of its own mean forecast: one that is spoiled must not hide among many."""
N_EXTREME = 8
"""Windows of each kind of made-up ones."""
_SCALE = 100.0


@dataclass(frozen=True)
class ParitySpec:
    """Windows on which variants are compared: real ones of the validation period first, then made-up ones.

    actuals: target over the horizon of the real ones `[N,H]`, NaN where missing. rows: of each kind of made-up windows.
    """

    inputs: ModelInputs
    n_real: int
    actuals: npt.NDArray[np.float64]
    rows: Mapping[str, slice]

    @property
    def real(self) -> ModelInputs:
        """The real windows."""
        return self.inputs[: self.n_real]


@dataclass(frozen=True)
class ParityReport:
    """How far a converted model is from its source; see `VariantRecord`. problem: why it is another model, empty where not."""

    largest: float
    mean: float
    worst_window: float
    extreme_ratio: float
    extreme_windows: str
    mae: float
    problem: str


def parity_spec(series_store: SeriesStore, store: FeatureStore, count: int, *, seed: int = 0) -> ParitySpec:
    """Real windows of the validation period, spread over series and origins, and windows made up of them.

    Args:
        series_store: Values.
        store: Feature store; its split and spec say which windows there are.
        count: Real windows at most.
        seed: Of the random windows.
    """
    windows = window_index(store, store.split.validation_start, store.split.validation_end, min_age=store.spec.segment)
    chosen = np.unique(np.linspace(0, len(windows) - 1, min(count, len(windows))).astype(int))
    parts, found = [], []
    for number in chosen:
        series = series_store.series[int(windows.series[number])]
        origin = np.asarray([series.start + int(windows.age[number]) * store.spec.step_s])
        parts.append(window_inputs(series, store.spec, origin))
        found.append(actuals(series, store.spec, origin))
    real = stack_inputs(parts)
    made = _made_up(real, np.random.default_rng(seed))
    rows, first = {}, len(real)
    for name, inputs in made.items():
        rows[name] = slice(first, first + len(inputs))
        first += len(inputs)
    return ParitySpec(stack_inputs([real, *made.values()]), len(real), np.concatenate(found), rows)


def _made_up(real: ModelInputs, rng: np.random.Generator) -> dict[str, ModelInputs]:
    """Windows of the shape of real ones: random, zeros, constants, nothing known of the past, a hundred times as large."""
    few = real[:N_EXTREME]
    mean, spread = _columns(real.history)
    ahead_mean, ahead_spread = _columns(real.future)
    shape, ahead = few.history.shape, few.future.shape
    random = mean + spread * rng.standard_normal(shape)
    random_ahead = ahead_mean + ahead_spread * rng.standard_normal(ahead)
    history = {
        "random": (random, random_ahead),
        "zeros": (np.zeros(shape), np.zeros(ahead)),
        "constants": (np.broadcast_to(mean, shape), np.broadcast_to(ahead_mean, ahead)),
        "missing": (np.full(shape, np.nan), few.future),
        "scaled": (few.history * _SCALE, few.future),
    }
    return {
        name: ModelInputs(np.asarray(past, np.float32), np.asarray(future, np.float32), few.static)
        for name, (past, future) in history.items()
    }


def _columns(values: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation of each column, 0 for one without a value."""
    flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
    known = np.isfinite(flat)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, flat, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(known, (flat - mean) ** 2, 0.0).sum(axis=0) / count)
    return mean, spread


def compare(
    found: Quantiles, expected: Quantiles, spec: ParitySpec, *, precision: Precision, n_levels: int, middle: int
) -> ParityReport:
    """Compare the answers of a converted model with its source's.

    Args:
        found: Answers to all windows of the spec `[N,H,A]`.
        expected: Those of the float network it was made from.
        spec: The windows.
        precision: Of the conversion.
        n_levels: Quantiles among the A.
        middle: Position of the median.
    """
    real = slice(0, spec.n_real)
    report = differences(found[real], expected[real])
    made_up = {name: differences(found[rows], expected[rows]) for name, rows in spec.rows.items()}
    far = max(made_up, key=lambda name: _or_infinity(made_up[name].window_mean))
    sane = _sanity_problem(found, expected, spec, n_levels=n_levels)
    problems = [parity_problem(report, precision=precision), sane]
    if not precision.is_quantised:
        problems += [
            f"{name}: {problem}"
            for name, one in made_up.items()
            if (problem := parity_problem(one, precision=precision))
        ]
    error = np.abs(found[real, :, middle] - spec.actuals)
    return ParityReport(
        largest=report.largest,
        mean=report.mean,
        worst_window=report.window_mean,
        extreme_ratio=made_up[far].window_mean,
        extreme_windows=far,
        mae=float(np.nanmean(error)) if np.isfinite(error).any() else float("nan"),
        problem="; ".join(problem for problem in problems if problem),
    )


def parity_problem(report: DifferenceReport, *, precision: Precision) -> str:
    """Why a conversion is not its source; empty when it is. Ratios that are not numbers never pass."""
    if precision.is_quantised:
        what = "mean difference"
        of_all, limit = report.mean, MAX_QUANTISED_MEAN_RATIO
        of_one, limit_of_one = report.window_mean, MAX_QUANTISED_WINDOW_RATIO
    else:
        what = "largest difference"
        of_all, limit = report.largest, MAX_HALF_RATIO if precision is Precision.FLOAT16 else MAX_FLOAT_RATIO
        of_one, limit_of_one = report.window_largest, limit
    if not of_all <= limit:
        return f"{what} {of_all:.2%} from the float model, at most {limit:.1%}"
    if not of_one <= limit_of_one:
        return f"{what} {of_one:.2%} from the float model in one window (number {report.window}), at most {limit_of_one:.1%}"
    return ""


def _sanity_problem(found: Quantiles, expected: Quantiles, spec: ParitySpec, *, n_levels: int) -> str:
    """No window may lose its numbers or the order of its quantiles by a conversion."""
    if not np.isfinite(expected[: spec.n_real]).any():
        return "real windows: no number from the float model is finite"
    for name, rows in {"real": slice(0, spec.n_real), **spec.rows}.items():
        lost = np.isfinite(expected[rows]) & ~np.isfinite(found[rows])
        if lost.any():
            return f"{name} windows: {int(lost.sum())} numbers are not finite, which the float model has"
        levels = found[rows, :, :n_levels]
        if (np.diff(levels, axis=2) < 0).any():
            return f"{name} windows: quantiles do not ascend"
    return ""


def _or_infinity(ratio: float) -> float:
    return float("inf") if np.isnan(ratio) else ratio
