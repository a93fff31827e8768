"""What every model is: past, known future and static inputs to quantiles of each horizon step.

A `Forecaster` is the same for all kinds: it takes level and scale out of a window, asks the kind's
`HorizonModel` for a message to each step of the horizon, turns messages and seasonal lags into quantiles
that never cross, and gives level and scale back. A kind only says how a window becomes messages.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from typing_extensions import override

from forecasting.config.models import KindConfig, ModelConfig
from forecasting.features.spec import FeatureSpec
from forecasting.features.transform import feature_blocks
from forecasting.neural.models.head import QuantileHead
from forecasting.neural.models.lags import seasonal_lags
from forecasting.neural.models.normaliser import NormalisedWindow, WindowNormaliser
from forecasting.neural.models.widths import WeightAxis, WidthGroup, read_by
from forecasting.neural.models.window import HistoryParts, Window, side_by_side

Tensor = Any


@dataclass(frozen=True)
class NetworkSpec:
    """What a network is made from."""

    features: FeatureSpec
    model: KindConfig

    @property
    def single(self) -> ModelConfig:
        """Settings of a model that is no ensemble."""
        if not isinstance(self.model, ModelConfig):
            raise TypeError(f"a single model is needed here, found the kind {self.model.kind!r}")
        return self.model

    @property
    def n_segments(self) -> int:
        """Segments in the context."""
        return self.features.context // self.features.segment

    @property
    def n_horizon_segments(self) -> int:
        """Segments in the horizon, the last one padded."""
        return -(-self.features.horizon // self.features.segment)


@dataclass(frozen=True)
class HorizonMessage:
    """What a kind says of each step of the horizon, relative to the window's level and scale.

    steps `[B,H,D]`: what the head makes quantiles from. median `[B,H]`: the median itself, from a kind that has one;
    then the head adds the other levels only. answer `[B,H,A]`: quantiles and mean, from a kind that needs no head.
    """

    steps: Tensor | None
    median: Tensor | None = None
    answer: Tensor | None = None


class HorizonModel(keras.layers.Layer):
    """From a window to a message for each step of its horizon."""

    gives_median = False
    """Whether its messages have the median."""
    gives_quantiles = False
    """Whether its messages have the answer, so that there is no head."""
    reads_group = True
    """Whether it reads the group of a window, and so the embedding of static columns."""

    @property
    def derived_every(self) -> int:
        """Of columns derived of the past, every so manieth step is read, counted from the last."""
        return 1

    def width_groups(self, head: Sequence[WeightAxis]) -> list[WidthGroup]:  # noqa: ARG002 - kinds with widths read it
        """Units that can be taken out.

        Args:
            head: Where the head reads a message, one place for each of its columns.
        """
        return []

    def input_axes(self) -> list[WeightAxis]:
        """As `Forecaster.input_axes`."""
        return []

    @abstractmethod
    def messages(self, window: Window, *, training: bool) -> HorizonMessage:
        """Messages for any L that is a multiple of the segment, up to the context."""


class Forecaster(keras.Model):
    """A model of any kind: features of a window to quantiles in scaled units."""

    def __init__(self, spec: NetworkSpec, horizon_model: HorizonModel) -> None:
        """Create the layers; their weights appear with the first call."""
        super().__init__(name="forecaster")
        self.spec = spec
        self.normaliser = WindowNormaliser(spec.features, embeds_static=horizon_model.reads_group)
        self.horizon_model: Any = horizon_model
        self.head = (
            None
            if horizon_model.gives_quantiles
            else QuantileHead(spec.features, spec.single, given_median=horizon_model.gives_median)
        )
        self.n_past = len(feature_blocks(spec.features).past)

    @override
    def call(
        self,
        history_features: Tensor | HistoryParts,
        future_features: Tensor,
        static: Tensor | None = None,
        training: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Quantiles of a batch of windows.

        Args:
            history_features: `[B,L,past + known]`, L a multiple of the segment, at most the context; or its parts.
            future_features: `[B,H,known]`.
            static: Category codes `[B,S]`; none where the features have none.
            training: Whether dropout is on.

        Returns:
            Quantiles `[B,H,Q]` in scaled units, ascending in Q, and the scale of each window `[B,1]`.
        """
        window, normalised = self.window(history_features, future_features, static)
        message = self.horizon_model.messages(window, training=training)
        answer = message.answer
        if self.head is not None:
            answer = self.head(message.steps, window.lags, message.median, training=training)
        return normalised.restored(answer), normalised.scale

    @property
    def derived_every(self) -> int:
        """As that of the horizon model."""
        return int(self.horizon_model.derived_every)

    @property
    def features(self) -> FeatureSpec:
        """What it reads."""
        return self.spec.features

    def input_axes(self) -> list[WeightAxis]:
        """Where weights read the columns of the past behind the target and its flags; none where they cannot be taken out."""
        return self.horizon_model.input_axes()

    def width_groups(self) -> list[WidthGroup]:
        """Units that can be taken out of the network."""
        model = self.spec.model
        if self.head is None or not self.head.hidden.built or not isinstance(model, ModelConfig):
            return []
        read = read_by(self.head.hidden, model.step_units)
        return [*self.horizon_model.width_groups(read), self.head.width_group(model.head_units)]

    def window(
        self, history_features: Tensor | HistoryParts, future_features: Tensor, static: Tensor | None
    ) -> tuple[Window, NormalisedWindow]:
        """What the horizon model is given, and the level and scale that were taken out of it."""
        if isinstance(history_features, HistoryParts):
            return self._window_of_columns(history_features, future_features, static)
        normalised = self.normaliser(history_features[:, :, : self.n_past], static)
        known, begun = history_features[:, :, self.n_past :], normalised.begun
        lags = seasonal_lags(normalised.target, known, future_features, begun, self.spec.features)
        return Window(normalised.past, known, future_features, lags, normalised.group, begun, static), normalised

    def _window_of_columns(
        self, history: HistoryParts, future: Tensor, static: Tensor | None
    ) -> tuple[Window, NormalisedWindow]:
        """As `window`, of columns that came apart; what no model reads of it, conversion leaves out."""
        normalised = self.normaliser(history.past, static, history.ends)
        lines, begun = normalised.past, normalised.begun
        columns = tf.concat([tf.stack(lines[:2], axis=1), *history.known], axis=1)
        lags = seasonal_lags(normalised.target, columns, side_by_side(future), begun, self.spec.features, axis=2)
        lags, steps = side_by_side(lags), side_by_side(columns)
        past, known = side_by_side(tf.stack(lines, axis=1)), steps[:, :, 2:]
        return Window(
            past, known, future, lags, normalised.group, begun, static, normalised.ends, lines, steps
        ), normalised
