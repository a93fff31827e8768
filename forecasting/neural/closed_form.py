"""How the model `ridge` is solved: penalties by the validation period, one map as the mean over contexts, quantiles last.

Ridge regressions from the last eighth, quarter, half, three quarters and all of the context are solved one by one and averaged:
long ones see the week, short ones do not learn the noise by heart, and the mean is better than each of them. Series may differ
in their maps: each category of a static column has a correction of its own, drawn to nothing by a penalty of its own. Both
penalties are those with the least squared error on the validation period, so that a correction that does not help is not there.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
    own: npt.NDArray[np.float32] | None


def context_lengths(spec: FeatureSpec) -> tuple[int, ...]:
    """Lengths of the contexts that are averaged, whole first seasons, ascending."""
    unit = min(spec.seasons[0], spec.context)
    lengths = {min(spec.context, unit * math.ceil(share * spec.context / unit)) for share in CONTEXT_SHARES}
    return tuple(sorted(lengths))


class MomentReader:
    """Sums over windows of a store, as a network with a `RidgeModel` sees them."""

    def __init__(self, network: Forecaster, store: FeatureStore) -> None:
        """Read through a network; its weights do not matter."""
        self.model: RidgeModel = network.horizon_model
        self.store = store
        self._network = network
        self._ask = tf.function(self._design, autograph=False, reduce_retracing=True)

    @property
    def spec(self) -> FeatureSpec:
        """Feature spec of the store."""
        return self.store.spec

    def moments(self, windows: WindowIndex) -> WindowMoments:
        """Sums over the windows whose whole horizon is known.

        Raises:
            DataError: There is none.
        """
        total = self._sums(windows)
        if total is None:
            raise DataError(
                f"the model ridge needs windows whose {self.spec.horizon} steps ahead are all known, found none; "
                "shorten forecast.horizon, or choose another model.kind"
            )
        return total

    def by_category(self, *windows: WindowIndex) -> Iterator[tuple[int, tuple[WindowMoments, ...]]]:
        """Categories that have maps of their own with the sums over their windows of each index, one at a time.

        A category without a window that counts in the first index is left out.
        """
        if self.model.own_column is None:
            return
        codes = [self.store.index.static[one.series, self.model.own_column] for one in windows]
        for category in range(self.model.n_own):
            parts = [
                self._sums(_some(one, np.flatnonzero(code == category)))
                for one, code in zip(windows, codes, strict=True)
            ]
            if (first := parts[0]) is not None:
                yield category, tuple(first.without_windows() if part is None else part for part in parts)

    def _sums(self, windows: WindowIndex) -> WindowMoments | None:
        gather, total = window_gather(self.store, windows), None
        for numbers in _batches(np.arange(len(windows))):
            batch = gather(numbers)
            whole = batch["present"].numpy().min(axis=1) > 0
            if not whole.any():
                continue
            parts = self._ask(batch["history"], batch["future"], batch.get("static"), batch["target"])
            x, y, c, scale = (part.numpy()[whole].astype(np.float64) for part in parts)
            c = c if self.model.coefficients is not None else c[:, :, :0]
            # Between every series counting alike (1) and errors counting in units sold (scale²), as the loss of training does.
            found = WindowMoments.of(x, y, c, np.sqrt(scale[:, 0]))
            total = found if total is None else total + found
        return total

    def _design(self, history: Tensor, future: Tensor, static: Tensor | None, target: Tensor) -> tuple[Tensor, ...]:
        window, normalised = self._network.window(history, future, static)
        design = self.model.design(window)
        relative = target / normalised.scale - normalised.level - design.last
        return design.differences, relative, design.ahead, normalised.scale


def solved_windows(windows: WindowIndex, spec: FeatureSpec) -> WindowIndex:
    """The windows that are looked at: those that their series fill, where they are at least half of all, evenly thinned."""
    full = np.flatnonzero(windows.age >= spec.context)
    chosen = _some(windows, full) if 2 * len(full) >= len(windows) else windows
    return _some(chosen, _evenly(len(chosen), MOST_WINDOWS))


def choose_penalties(reader: MomentReader, train: WindowIndex, validation: WindowIndex) -> tuple[PenaltySpec, ...]:
    """Penalties of every context with the least squared error on the validation windows.

    Raises:
        DataError: No window of one of the two has a whole horizon.
    """
    spec, learnt, asked = reader.spec, reader.moments(train), reader.moments(validation)
    shared: list[PenaltySpec] = []
    maps: list[LinearMap] = []
    for length in context_lengths(spec):
        part, prior = learnt.last(length), seasonal_kernel(spec, length)
        tried = [part.solve(prior, penalty) for penalty in PENALTIES]
        errors = [asked.last(length).squared_error(found) for found in tried]
        best = int(np.argmin(errors))
        shared.append(PenaltySpec(length, PENALTIES[best], None))
        maps.append(tried[best])
    own = _choose_own(reader, train, validation, size=learnt.size, shared=shared, maps=maps)
    chosen = tuple(replace(one, own=penalty) for one, penalty in zip(shared, own, strict=True))
    for one in chosen:
        corrected = f", of corrections {one.own or 'none: they do not help'}" if reader.model.n_own else ""
        logger.info("context %d: penalty %g%s", one.length, one.shared, corrected)
    return chosen


def _choose_own(
    reader: MomentReader, train: WindowIndex, validation: WindowIndex, *, size: float, shared: list[PenaltySpec],
    maps: list[LinearMap],
) -> list[float | None]:  # fmt: skip
    """The penalty of the corrections of each context, none where the map without them has the least error."""
    errors = np.zeros((len(shared), 1 + len(OWN_PENALTIES)))
    for _, (learnt, asked) in reader.by_category(train, validation):
        for i, (one, found) in enumerate(zip(shared, maps, strict=True)):
            part, judged = learnt.last(one.length), asked.last(one.length)
            errors[i, 0] += judged.squared_error(found)
            for j, penalty in enumerate(OWN_PENALTIES):
                errors[i, 1 + j] += judged.squared_error(_corrected(part, found, penalty * size / reader.model.n_own))
    best = np.argmin(errors, axis=1)
    return [None if j == 0 else OWN_PENALTIES[j - 1] for j in best]


def solve_ridge(reader: MomentReader, windows: WindowIndex, penalties: tuple[PenaltySpec, ...]) -> RidgeSolution:
    """The mean over contexts of their maps; each counts as a map of the whole context that is 0 before its own."""
    spec, total = reader.spec, reader.moments(windows)
    maps = [total.last(one.length).solve(seasonal_kernel(spec, one.length), one.shared) for one in penalties]
    kernel = np.zeros((spec.context, spec.horizon))
    for one, found in zip(penalties, maps, strict=True):
        kernel[-one.length :] += found.kernel / len(maps)
    coefficients = np.mean([found.coefficients for found in maps], axis=0)
    if not reader.model.n_own:
        return RidgeSolution(kernel, coefficients, None)
    own = np.zeros((spec.context, reader.model.n_own, spec.horizon), dtype=np.float32)
    corrected = [(one, found) for one, found in zip(penalties, maps, strict=True) if one.own is not None]
    for category, (learnt,) in reader.by_category(windows) if corrected else ():
        for one, found in corrected:
            absolute = (one.own or 0.0) * total.size / reader.model.n_own
            added = learnt.last(one.length).correction(found, absolute)
            own[-one.length :, category] += (added / len(maps)).astype(np.float32)
    return RidgeSolution(kernel, coefficients, own.reshape(spec.context, -1))


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


def _some(windows: WindowIndex, numbers: npt.NDArray[np.int64]) -> WindowIndex:
    return WindowIndex(windows.row[numbers], windows.series[numbers], windows.age[numbers])


def _evenly(n: int, most: int) -> npt.NDArray[np.int64]:
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def _batches(numbers: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    for first in range(0, len(numbers), BATCH_SIZE):
        yield numbers[first : first + BATCH_SIZE]


def _corrected(part: WindowMoments, found: LinearMap, penalty: float) -> LinearMap:
    """A map with the correction for some windows."""
    return LinearMap(found.kernel + part.correction(found, penalty), found.coefficients)
