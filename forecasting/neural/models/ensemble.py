"""Several models as one: the quantiles of its members, averaged by shares that add up to one.

A mean of forecasts level by level (K. Lichtendahl, Y. Grushka-Cockayne and R. Winkler, "Is It Better to Average
Probabilities or Quantiles?", Management Science 59, 2013). As shares are not negative, ascending quantiles stay ascending.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from typing_extensions import override

from forecasting.neural.models.contract import Forecaster

Tensor = Any
_STEPS = 400
_ENOUGH = 200_000
"""Steps of the validation period that shares are found on, evenly apart where there are more."""
_FLAT = 1e-12


class EnsembleForecaster(keras.Model):
    """Members on the same features; their shares are weights that training does not move."""

    def __init__(self, members: Sequence[Forecaster]) -> None:
        """Join members, at equal shares."""
        super().__init__(name="ensemble")
        self.members = list(members)
        self.n_past = self.members[0].n_past
        self.shares = self.add_weight(
            shape=(len(self.members),),
            initializer=keras.initializers.Constant(1.0 / len(self.members)),
            trainable=False,
            name="shares",
        )

    @override
    def call(
        self, history_features: Tensor, future_features: Tensor, static: Tensor | None = None, training: bool = False
    ) -> tuple[Tensor, Tensor]:
        """As `Forecaster.call`; all members take the same scale out of a window."""
        shares = tf.convert_to_tensor(self.shares)
        found = [member(history_features, future_features, static, training=training) for member in self.members]
        weighted = [shares[i] * quantiles for i, (quantiles, _) in enumerate(found)]
        return tf.add_n(weighted), found[0][1]


def fit_shares(
    target: npt.NDArray[np.float32],
    members: Sequence[npt.NDArray[np.float32]],
    present: npt.NDArray[np.float32],
    levels: tuple[float, ...],
) -> npt.NDArray[np.float64]:
    """Shares with the least quantile loss: not negative, their sum 1 `[M]`.

    The loss is convex in the shares; exponentiated gradient descent stays among them (J. Kivinen and M. Warmuth,
    "Exponentiated Gradient versus Gradient Descent for Linear Predictors", 1997).

    Args:
        target: `[W,H]`.
        members: Quantiles `[W,H,Q]` of each.
        present: `[W,H]`, 0 where the target is missing.
        levels: `[Q]` in (0, 1).
    """
    counts = present > 0
    every = slice(None, None, 1 + int(np.count_nonzero(counts)) // _ENOUGH)
    quantiles = np.stack([member[counts][every] for member in members]).astype(np.float64)
    actual = target[counts][every].astype(np.float64)[:, None]
    asked = np.asarray(levels)
    shares = best = np.full(len(members), 1.0 / len(members))
    least = np.inf
    for step in range(_STEPS):
        distance = actual - np.tensordot(shares, quantiles, axes=1)
        loss = float(np.mean(np.maximum(asked * distance, (asked - 1.0) * distance)))
        if loss < least:
            least, best = loss, shares
        slope = np.where(distance > 0, -asked, 1.0 - asked)
        gradient = np.mean(slope * quantiles, axis=(1, 2))
        gradient = gradient - shares @ gradient
        size = float(np.abs(gradient).max())
        if size < _FLAT:
            break
        # Steps of a size that only shrinks: near the best, the sign of the gradient changes and its size does not.
        grown = shares * np.exp(-gradient / (size * np.sqrt(step + 1.0)))
        shares = grown / grown.sum()
    return best
