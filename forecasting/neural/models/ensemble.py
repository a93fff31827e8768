"""Several models as one: the quantiles of its members, averaged by shares that add up to one.

A mean of forecasts level by level (K. Lichtendahl, Y. Grushka-Cockayne and R. Winkler, "Is It Better to Average
Probabilities or Quantiles?", Management Science 59, 2013). As shares are not negative, ascending quantiles stay ascending.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from typing_extensions import override

from forecasting.features.spec import FeatureSpec
from forecasting.neural.models.contract import Forecaster
from forecasting.neural.models.widths import WeightAxis, WidthGroup

Tensor = Any


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

    @property
    def derived_every(self) -> int:
        """What all members agree on."""
        found = {member.derived_every for member in self.members}
        return found.pop() if len(found) == 1 else 1

    @property
    def features(self) -> FeatureSpec:
        """What its members read."""
        return self.members[0].features

    def input_axes(self) -> list[WeightAxis]:
        """As `Forecaster.input_axes`, of all members; none where one has none."""
        found = [member.input_axes() for member in self.members]
        return [axis for axes in found for axis in axes] if all(found) else []

    def width_groups(self) -> list[WidthGroup]:
        """Units that can be taken out of each member."""
        return [found for member in self.members for found in member.width_groups()]

    @override
    def call(
        self, history_features: Tensor, future_features: Tensor, static: Tensor | None = None, training: bool = False
    ) -> tuple[Tensor, Tensor]:
        """As `Forecaster.call`; all members take the same scale out of a window."""
        shares = tf.convert_to_tensor(self.shares)
        found = [
            member(history_features=history_features, future_features=future_features, static=static, training=training)
            for member in self.members
        ]
        weighted = [shares[i] * quantiles for i, (quantiles, _) in enumerate(found)]
        return tf.add_n(weighted), found[0][1]
