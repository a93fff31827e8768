"""The model `ridge`: a linear map from the context to the horizon that is solved, not trained.

As NLinear of A. Zeng et al. (AAAI 2023, arXiv:2205.13504) it maps the differences to the last value; how it is solved, and why
its map is a mean over contexts of several lengths, says `forecasting.neural.closed_form`. Quantiles lie around the map at
distances that are learnt for each step of the horizon, in units of how much the window itself moves.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from typing_extensions import override

from forecasting.config.models import RidgeConfig
from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.features.spec import FeatureSpec
from forecasting.neural.models.contract import HorizonMessage, HorizonModel, NetworkSpec
from forecasting.neural.models.lags import lag_rows
from forecasting.neural.models.linear import last_present
from forecasting.neural.models.window import Window

Tensor = Any
SPREAD_FLOOR = 0.05
"""Least spread of a window, in scaled units: a flat one is not certain to stay so."""
MOST_OWN_WEIGHTS = 12_000_000
"""Weights of maps of single categories, above which there are none."""
_FIRST_GAP = -2.0


@dataclass(frozen=True)
class RidgeDesign:
    """What a window is mapped from: differences to its last value `[B,L]`, that value `[B,1]`, covariates `[B,H,K]`."""

    differences: Tensor
    last: Tensor
    ahead: Tensor


class RidgeModel(HorizonModel):
    """Linear in the history and in the covariates ahead, with coefficients for every step of the horizon."""

    gives_quantiles = True
    reads_group = False

    def __init__(self, spec: NetworkSpec, _: RidgeConfig) -> None:
        """Create the weights; until they are solved the map repeats the seasons."""
        super().__init__(name="ridge")
        features = self.spec = spec.features
        horizon, n_levels = features.horizon, len(features.quantiles)
        self.own_column = own_column(features)

        def weight(name: str, *shape: int, fill: float = 0.0) -> Any:
            return self.add_weight(shape=shape, initializer=_constant(np.full(shape, fill)), name=name)

        prior = seasonal_kernel(features, features.context)
        self.kernel = self.add_weight(shape=prior.shape, initializer=_constant(prior), name="kernel")
        self.coefficients = weight("coefficients", horizon, n_covariates(features)) if n_covariates(features) else None
        self.own = (
            weight("own", features.context, self.n_own * horizon) if self.own_column is not None else None
        )  # fmt: skip
        self.median_shift = weight("median_shift", horizon)
        self.gaps = weight("gaps", horizon, n_levels - 1, fill=_FIRST_GAP) if n_levels > 1 else None
        self.mean_shift = weight("mean_shift", horizon) if features.mean else None

    @property
    def n_own(self) -> int:
        """Categories that have maps of their own."""
        return 0 if self.own_column is None else len(self.spec.categories[self.spec.static[self.own_column]])

    def design(self, window: Window) -> RidgeDesign:
        """What a window is mapped from; a missing value counts as the last one."""
        target, present = window.past[:, :, 0], window.past[:, :, 1]
        seen = tf.maximum(present, window.past[:, :, 2]) if self.spec.fill_season else present
        last = last_present(target, present)
        ahead = window.lags[:, :, len(self.spec.seasons) :]
        if n_covariates(self.spec):
            ahead = tf.concat([ahead, tf.ones_like(ahead[:, :, :1])], axis=2)
        return RidgeDesign((target - last) * seen, last, ahead)

    @override
    def messages(self, window: Window, *, training: bool) -> HorizonMessage:
        """The answer itself."""
        point, spread = self.point(window)
        median = point + spread * self.median_shift
        columns = self._quantiles(median, spread)
        if self.mean_shift is not None:
            columns.append(point + spread * self.mean_shift)
        return HorizonMessage(None, answer=tf.stack(columns, axis=2))

    def point(self, window: Window) -> tuple[Tensor, Tensor]:
        """What the map says `[B,H]`, and the spread of the window `[B,1]`."""
        design = self.design(window)
        return self._mapped(design, window.static) + design.last, window_spread(design.differences, window.begun)

    def _mapped(self, design: RidgeDesign, static: Tensor | None) -> Tensor:
        length, horizon = design.differences.shape[1], self.spec.horizon
        found = tf.matmul(design.differences, tf.convert_to_tensor(self.kernel)[-length:])
        if self.coefficients is not None:
            found = found + tf.reduce_sum(design.ahead * self.coefficients[None], axis=2)
        if self.own is None or self.own_column is None or static is None:
            return found
        every = tf.matmul(design.differences, tf.convert_to_tensor(self.own)[-length:])
        codes = tf.range(self.n_own, dtype=tf.float32)[None]
        is_own = tf.cast(tf.abs(static[:, self.own_column : self.own_column + 1] - codes) < 0.5, tf.float32)
        return found + tf.reduce_sum(tf.reshape(every, [-1, self.n_own, horizon]) * is_own[:, :, None], axis=1)

    def _quantiles(self, median: Tensor, spread: Tensor) -> list[Tensor]:
        """Quantiles `[B,H]` level by level, outwards from the median."""
        levels = self.spec.quantiles
        middle = levels.index(POINT_QUANTILE)
        if self.gaps is None:
            return [median]
        widths = tf.nn.softplus(tf.convert_to_tensor(self.gaps))
        columns = {middle: median}
        for j in range(middle - 1, -1, -1):
            columns[j] = columns[j + 1] - spread * widths[None, :, j]
        for j in range(middle + 1, len(levels)):
            columns[j] = columns[j - 1] + spread * widths[None, :, j - 1]
        return [columns[j] for j in range(len(levels))]


def n_covariates(spec: FeatureSpec) -> int:
    """Columns at a step of the horizon: what is known of it, how that differs from each season before, and one; or none."""
    n_known = len(spec.calendar.names) + len(spec.known) + sum(term.column in spec.known for term in spec.derived)
    return n_known * (1 + len(spec.seasons)) + 1 if n_known else 0


def own_column(spec: FeatureSpec) -> int | None:
    """The static column with most categories of which each can have a map of its own; none where there is none."""
    sizes = {i: len(spec.categories[name]) for i, name in enumerate(spec.static)}
    fitting = {i: n for i, n in sizes.items() if 1 < n <= MOST_OWN_WEIGHTS / (spec.context * spec.horizon)}
    return max(fitting, key=lambda i: fitting[i], default=None)


def seasonal_kernel(spec: FeatureSpec, length: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The map from the last `length` steps that is the mean of the seasons that fit into them `[length,H]`."""
    kernel = np.zeros((length, spec.horizon))
    seasons = [season for season in spec.seasons if season <= length]
    for season in seasons:
        kernel[lag_rows(length, spec.horizon, season), np.arange(spec.horizon)] += 1.0 / len(seasons)
    return kernel


def window_spread(differences: Tensor, begun: Tensor) -> Tensor:
    """Mean absolute deviation of each window from its mean, padding left out `[B,1]`."""
    count = tf.maximum(tf.reduce_sum(begun, axis=1, keepdims=True), 1.0)
    middle = tf.reduce_sum(differences * begun, axis=1, keepdims=True) / count
    moved = tf.abs(differences - middle) * begun
    return tf.reduce_sum(moved, axis=1, keepdims=True) / count + SPREAD_FLOOR


def _constant(values: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
    def initialise(shape: tuple[int, ...], **_: Any) -> Tensor:
        return tf.constant(values.astype(np.float32), shape=shape)

    return initialise
