"""How the model `ridge` is solved: penalties by the validation period, one map as the mean over contexts, quantiles last.

Ridge regressions from the last eighth, quarter, half, three quarters and all of the context are solved one by one and averaged:
long ones see the week, short ones do not learn the noise by heart, and the mean is better than each of them. Series may differ
in their maps: each category of a static column has a correction of its own, drawn to nothing by a penalty of its own. Both
penalties are those with the least squared error on the validation period, so that a correction that does not help is not there.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from forecasting.config.training import TrainingConfig
from forecasting.errors import DataError
from forecasting.feature_store import FeatureStore, WindowIndex
from forecasting.features.spec import FeatureSpec
from forecasting.neural.batches import window_gather
from forecasting.neural.loop import MAX_VALIDATION_WINDOWS
from forecasting.neural.models.contract import Forecaster
from forecasting.neural.models.ridge import RidgeModel, seasonal_kernel
from forecasting.neural.normal_equations import LinearMap, WindowMoments
from forecasting.neural.step import TrainingStep

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Tensor = Any
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Of the shared map, in units of the mean square of a step."""
OWN_PENALTIES = (1e-2, 1e-1, 1.0, 10.0)
"""Of a category's correction, in units of the mean square of a step over all windows of an average category."""
CONTEXT_SHARES = (0.125, 0.25, 0.5, 0.75, 1.0)
MOST_WINDOWS = 200_000
"""Windows that are looked at, evenly spread over all there are."""
MOST_RESIDUALS = 20_000
"""Windows whose errors say where the quantiles lie."""
BATCH_SIZE = 1_024
_SMALLEST_GAP = 1e-4


@dataclass(frozen=True)
class PenaltySpec:
    """What was chosen for a context: its penalty, and that of the corrections; none: there are none."""

    length: int
    shared: float
    own: float | None


@dataclass(frozen=True)
class RidgeSolution:
    """The weights of a `RidgeModel` that are solved: kernel `[L,H]`, coefficients `[H,K]`, own `[L,S*H]` or none."""

    kernel: Floats
    coefficients: Floats
    own: Floats | None


def context_lengths(spec: FeatureSpec) -> tuple[int, ...]:
    """Lengths of the contexts that are averaged, whole first seasons, ascending."""
    unit = min(spec.seasons[0], spec.context)
    lengths = {min(spec.context, unit * math.ceil(share * spec.context / unit)) for share in CONTEXT_SHARES}
    return tuple(sorted(lengths))


def gather_moments(network: Forecaster, store: FeatureStore, windows: WindowIndex) -> list[WindowMoments]:
    """Sums over windows by category of the model's own maps; one entry where it has none.

    Only windows whose whole horizon is known are used, and of those that begin before their series does only where they are
    more than half of all.

    Raises:
        DataError: No window has a whole horizon.
    """
    model: RidgeModel = network.horizon_model
    n_groups = max(1, model.n_own)
    found: list[WindowMoments | None] = [None] * n_groups
    for batch in _designs(network, store, _spread_out(_whole(store, windows), MOST_WINDOWS)):
        for group in np.unique(batch.group):
            chosen = batch.group == group
            part = WindowMoments.of(batch.x[chosen], batch.y[chosen], batch.c[chosen], batch.weights[chosen])
            before = found[group]
            found[group] = part if before is None else before + part
    some = next((moments for moments in found if moments is not None), None)
    if some is None:
        raise DataError(
            f"the model ridge needs windows whose {store.spec.horizon} steps ahead are all known, found none; "
            "set features.fill_target, shorten forecast.horizon, or choose another model.kind"
        )
    return [some.without_windows() if moments is None else moments for moments in found]


def choose_penalties(
    train: list[WindowMoments], validation: list[WindowMoments], spec: FeatureSpec
) -> tuple[PenaltySpec, ...]:
    """Penalties of every context with the least squared error on the validation windows."""
    chosen = []
    for length in context_lengths(spec):
        parts, asked = [one.last(length) for one in train], [one.last(length) for one in validation]
        prior = seasonal_kernel(spec, length)
        tried: dict[tuple[float, float | None], float] = {}
        for shared in PENALTIES:
            found = _sum(parts).solve(prior, shared)
            tried[shared, None] = _sum(asked).squared_error(found)
            for own in OWN_PENALTIES if len(parts) > 1 else ():
                maps = _own_maps(parts, found, own)
                tried[shared, own] = sum(one.squared_error(own_map) for one, own_map in zip(asked, maps, strict=True))
        best = min(tried, key=lambda pair: tried[pair])
        chosen.append(PenaltySpec(length, *best))
        logger.info("context %d: penalty %g, of corrections %s", length, best[0], best[1])
    return tuple(chosen)


def solve_ridge(parts: list[WindowMoments], penalties: tuple[PenaltySpec, ...], spec: FeatureSpec) -> RidgeSolution:
    """The mean over contexts of their maps; each counts as a map of the whole context that is 0 before its own."""
    kernel, coefficients = np.zeros((spec.context, spec.horizon)), np.zeros_like(parts[0].ahead)
    own = np.zeros((len(parts), spec.context, spec.horizon))
    for choice in penalties:
        short = [one.last(choice.length) for one in parts]
        found = _sum(short).solve(seasonal_kernel(spec, choice.length), choice.shared)
        kernel[-choice.length :] += found.kernel / len(penalties)
        coefficients += found.coefficients / len(penalties)
        if choice.own is not None:
            for i, of_category in enumerate(_own_maps(short, found, choice.own)):
                own[i, -choice.length :] += (of_category.kernel - found.kernel) / len(penalties)
    joined = own.transpose(1, 0, 2).reshape(spec.context, -1) if len(parts) > 1 else None
    return RidgeSolution(kernel, coefficients, joined)


def assign_solution(model: RidgeModel, found: RidgeSolution) -> None:
    """Put a solution into a model."""
    model.kernel.assign(found.kernel)
    if model.coefficients is not None:
        model.coefficients.assign(found.coefficients)
    if model.own is not None and found.own is not None:
        model.own.assign(found.own)


def assign_median(network: Forecaster, store: FeatureStore, windows: WindowIndex) -> None:
    """Set how far the median of each step lies from the map, which is the mean, over windows that were learnt from."""
    model: RidgeModel = network.horizon_model
    model.median_shift.assign(np.nanmedian(_residual_ratios(network, store, windows), axis=0).astype(np.float32))


def assign_gaps(network: Forecaster, store: FeatureStore, windows: WindowIndex) -> None:
    """Set the gaps between the quantiles so that they hold, step by step, for windows that were not learnt from."""
    model: RidgeModel = network.horizon_model
    if model.gaps is None:
        return
    quantiles = np.nanquantile(_residual_ratios(network, store, windows), store.spec.quantiles, axis=0)
    gaps = np.maximum(np.diff(quantiles, axis=0), _SMALLEST_GAP)
    # The model has the softplus of its weights for gaps, so that they stay positive when they are trained on.
    model.gaps.assign((gaps + np.log(-np.expm1(-gaps))).T.astype(np.float32))


def mean_loss(network: Forecaster, store: FeatureStore, windows: WindowIndex, training: TrainingConfig) -> float:
    """What the loop would call the loss of some windows, of the most that it looks at."""
    step = TrainingStep(network, store.spec, training)
    gather, sums = window_gather(store, windows), np.zeros(2)
    for numbers in _batches(_evenly(len(windows), MAX_VALIDATION_WINDOWS)):
        sums += step.score(gather(numbers)).numpy()
    return float(sums[0] / max(1.0, sums[1]))


def _residual_ratios(network: Forecaster, store: FeatureStore, windows: WindowIndex) -> Floats:
    """Errors of the map in units of the spread of their windows `[W,H]`, NaN where the target is missing."""
    parts = []
    gather = window_gather(store, windows)

    @tf.function(autograph=False, reduce_retracing=True)
    def ask(history: Tensor, future: Tensor, static: Tensor | None, target: Tensor) -> Tensor:
        window, normalised = network.window(history, future, static)
        point, spread = network.horizon_model.point(window)
        return (target / normalised.scale - normalised.level - point) / spread

    for numbers in _batches(_evenly(len(windows), MOST_RESIDUALS)):
        batch = gather(numbers)
        ratios = ask(batch["history"], batch["future"], batch.get("static"), batch["target"]).numpy().astype(np.float64)
        parts.append(np.where(batch["present"].numpy() > 0, ratios, np.nan))
    return np.concatenate(parts)


@dataclass(frozen=True)
class _DesignBatch:
    """x `[B,L]`, y `[B,H]`, c `[B,H,K]`, weights `[B]` and group `[B]` of windows."""

    x: Floats
    y: Floats
    c: Floats
    weights: Floats
    group: npt.NDArray[np.int64]


def _designs(network: Forecaster, store: FeatureStore, windows: WindowIndex) -> Iterator[_DesignBatch]:
    model: RidgeModel = network.horizon_model
    gather = window_gather(store, windows)

    @tf.function(autograph=False, reduce_retracing=True)
    def ask(history: Tensor, future: Tensor, static: Tensor | None, target: Tensor) -> tuple[Tensor, ...]:
        window, normalised = network.window(history, future, static)
        design = model.design(window)
        relative = target / normalised.scale - normalised.level - design.last
        return design.differences, relative, design.ahead, normalised.scale

    for numbers in _batches(np.arange(len(windows))):
        batch = gather(numbers)
        whole = batch["present"].numpy().min(axis=1) > 0
        parts = ask(batch["history"], batch["future"], batch.get("static"), batch["target"])
        x, y, c, scale = (part.numpy()[whole].astype(np.float64) for part in parts)
        c = c if model.coefficients is not None else c[:, :, :0]
        group = np.zeros(len(x), dtype=np.int64)
        if model.own_column is not None:
            group = store.index.static[windows.series[numbers], model.own_column][whole]
        # Between every series counting alike (1) and errors counting in units sold (scale²), as the loss of training does.
        yield _DesignBatch(x, y, c, np.sqrt(scale[:, 0]), group)


def _whole(store: FeatureStore, windows: WindowIndex) -> WindowIndex:
    """Windows that their series fills, where they are at least half of all; otherwise all."""
    full = windows.age >= store.spec.context
    return _some(windows, np.flatnonzero(full)) if 2 * full.sum() >= len(windows) else windows


def _spread_out(windows: WindowIndex, most: int) -> WindowIndex:
    return _some(windows, _evenly(len(windows), most))


def _some(windows: WindowIndex, numbers: npt.NDArray[np.int64]) -> WindowIndex:
    return WindowIndex(windows.row[numbers], windows.series[numbers], windows.age[numbers])


def _evenly(n: int, most: int) -> npt.NDArray[np.int64]:
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def _batches(numbers: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    for first in range(0, len(numbers), BATCH_SIZE):
        yield numbers[first : first + BATCH_SIZE]


def _sum(parts: list[WindowMoments]) -> WindowMoments:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _own_maps(parts: list[WindowMoments], found: LinearMap, penalty: float) -> list[LinearMap]:
    """The map of each category: that of all with its correction."""
    absolute = penalty * _sum(parts).size / len(parts)
    return [LinearMap(found.kernel + part.correction(found, absolute), found.coefficients) for part in parts]
