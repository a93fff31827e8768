"""Fine-tuning of a network that was changed, on actual values and on what the unchanged one answered.

G. Hinton, O. Vinyals and J. Dean, "Distilling the Knowledge in a Neural Network" (2015, arXiv:1503.02531), of quantiles: the
distance to the quantiles of the teacher, level by level, beside the quantile loss. The windows of all steps are drawn first, and
the teacher answers each of those once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from forecasting.config.training import TrainingConfig
from forecasting.feature_store import FeatureStore, WindowIndex
from forecasting.neural.batches import window_gather
from forecasting.neural.losses import forecast_loss
from forecasting.neural.models import AnyForecaster
from forecasting.neural.optimizers import make_optimizer
from forecasting.neural.schedules import RatePlan

Tensor = Any
Floats = npt.NDArray[np.float32]
_BATCH_SIZE = 512
MAX_SCORED_WINDOWS = 1024
"""Windows that a network is scored on, evenly spread over those given."""


@dataclass(frozen=True)
class TuningConfig:
    """How a network is fine-tuned.

    rate_factor: on the learning rates of the training, whose schedule runs over the steps. teacher_share: weight of the distance
    to the teacher, where there is one; the loss on actual values has the rest. dropout: whether units are dropped out as in training.
    """

    rate_factor: float
    teacher_share: float = 0.5
    dropout: bool = True


@dataclass(frozen=True)
class TuningWindows:
    """Windows that a network is fine-tuned on, all of which are drawn.

    windows: `[W]`. steps: numbers of the windows of each optimiser step `[steps,B]`. answers: of a teacher, in scaled units
    `[W,H,A]`, or none.
    """

    store: FeatureStore
    windows: WindowIndex
    steps: npt.NDArray[np.int64]
    answers: Floats | None = None


def drawn_windows(
    store: FeatureStore, windows: WindowIndex, training: TrainingConfig, *, n_steps: int
) -> TuningWindows:
    """Windows for some steps, drawn with replacement.

    Args:
        store: Feature store.
        windows: To draw from.
        training: Seed and windows of a step; `batch_size` is a number.
        n_steps: Optimiser steps.
    """
    size = n_steps, training.windows_per_step
    numbers = np.random.default_rng(training.seed).integers(0, len(windows), size=size)
    chosen, places = np.unique(numbers, return_inverse=True)
    few = WindowIndex(windows.row[chosen], windows.series[chosen], windows.age[chosen])
    return TuningWindows(store, few, places.reshape(size))


def taught_windows(teacher: AnyForecaster, drawn: TuningWindows) -> TuningWindows:
    """The windows with what a network answers to them."""
    gather = window_gather(drawn.store, drawn.windows, reads=teacher.features)

    @tf.function(autograph=False, reduce_retracing=True)
    def call(history: Tensor, future: Tensor, static: Tensor | None) -> Tensor:
        return teacher(history, future, static, training=False)[0]

    parts = []
    for first in range(0, len(drawn.windows), _BATCH_SIZE):
        batch = gather(np.arange(first, min(first + _BATCH_SIZE, len(drawn.windows))))
        parts.append(call(batch["history"], batch["future"], batch.get("static")).numpy())
    return replace(drawn, answers=np.concatenate(parts)) if parts else drawn


def fine_tune(
    network: AnyForecaster,
    taught: TuningWindows,
    training: TrainingConfig,
    *,
    settings: TuningConfig,
    after_step: Callable[[int], None] | None = None,
) -> None:
    """Train a network on the drawn windows, from its present weights.

    Args:
        network: It is changed.
        taught: Windows of every step, with the answers of a teacher where there is one.
        training: Optimiser, batch size, rates and seed.
        settings: See there.
        after_step: Called with the number of steps done after each of them, to change the weights.
    """
    gather = window_gather(taught.store, taught.windows, reads=network.features)
    rates = RatePlan(training, max(len(taught.steps), 1))
    step = _compiled_step(network, taught, training, settings)
    for i, chosen in enumerate(taught.steps):
        batch = gather(chosen)
        if taught.answers is not None:
            batch["answers"] = tf.constant(taught.answers[chosen])
        step(batch, tf.constant(settings.rate_factor * rates.rate(i), tf.float32))
        if after_step is not None:
            after_step(i + 1)


def _compiled_step(
    network: keras.Model, taught: TuningWindows, training: TrainingConfig, settings: TuningConfig
) -> Callable[[dict[str, Tensor], Tensor], None]:
    """One optimiser step on a batch at a learning rate."""
    spec, weights = taught.store.spec, network.trainable_variables
    optimizer = make_optimizer(training)
    optimizer.build(weights)
    levels = tf.constant(spec.quantiles, tf.float32)
    share = settings.teacher_share if taught.answers is not None else 0.0

    @tf.function(autograph=False, reduce_retracing=True)
    def step(batch: dict[str, Tensor], rate: Tensor) -> None:
        optimizer.learning_rate.assign(rate)
        with tf.GradientTape() as tape:
            answer, scale = network(batch["history"], batch["future"], batch.get("static"), training=settings.dropout)
            loss = (1.0 - share) * forecast_loss(
                answer, batch["target"], batch["present"], scale, levels, has_mean=spec.mean
            )
            if share:
                distance = tf.reduce_mean(tf.abs(answer - batch["answers"]), axis=2)
                loss = loss + share * tf.reduce_sum(distance / tf.sqrt(scale))
            loss = loss / tf.cast(tf.size(batch["target"]), tf.float32) + sum(network.losses)
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

    found: Callable[[dict[str, Tensor], Tensor], None] = step
    return found


def mean_loss(
    network: AnyForecaster, store: FeatureStore, windows: WindowIndex, *, scales: Sequence[Tensor] | None = None
) -> float:
    """Mean training loss of a network over present steps of some windows.

    Args:
        network: It is asked without dropout.
        store: Feature store.
        windows: Of which some are scored.
        scales: `window_scales` of another network, whose loss it is compared with: windows count by it. None: the network's own.
    """
    gather = window_gather(store, windows, reads=network.features)
    total = n_present = 0.0
    for number, chosen in enumerate(_spread(len(windows), MAX_SCORED_WINDOWS)):
        batch = gather(chosen)
        total += float(batch_loss(network, batch, store, scale=None if scales is None else scales[number]))
        n_present += float(tf.reduce_sum(batch["present"]))
    return total / max(n_present, 1.0)


def window_scales(network: AnyForecaster, store: FeatureStore, windows: WindowIndex) -> list[Tensor]:
    """Scales `[B,1]` that a network takes out of the windows that `mean_loss` scores, by batch."""
    gather = window_gather(store, windows, reads=network.features)
    batches = (gather(chosen) for chosen in _spread(len(windows), MAX_SCORED_WINDOWS))
    return [network(batch["history"], batch["future"], batch.get("static"), training=False)[1] for batch in batches]


def batch_loss(
    network: keras.Model, batch: dict[str, Tensor], store: FeatureStore, *, scale: Tensor | None = None
) -> Tensor:
    """Sum of the training losses of one batch, without dropout; scale: of its windows `[B,1]`, none: what the network takes out."""
    spec = store.spec
    answer, own = network(batch["history"], batch["future"], batch.get("static"), training=False)
    scale, levels = own if scale is None else scale, tf.constant(spec.quantiles, tf.float32)
    return forecast_loss(answer, batch["target"], batch["present"], scale, levels, has_mean=spec.mean)


def _spread(n_windows: int, n_most: int) -> list[npt.NDArray[np.int64]]:
    """Numbers of at most some windows, evenly spread, in batches."""
    chosen = np.unique(np.linspace(0, n_windows - 1, min(n_windows, n_most)).astype(np.int64))
    return np.array_split(chosen, -(-len(chosen) // _BATCH_SIZE))
