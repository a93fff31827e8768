"""The training loop: one for every distribution strategy."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from forecasting.config.sections import TrainingConfig
from forecasting.errors import DataError, ModelRefusedError
from forecasting.feature_store import FeatureStore, WindowIndex
from forecasting.neural.batches import WindowGather, epoch_dataset, window_gather
from forecasting.neural.checkpoint import Arrays, EpochRecord, TrainingState, load_state, save_state
from forecasting.neural.losses import pinball_loss
from forecasting.neural.network import NetworkSpec, SegmentNetwork, build_network
from forecasting.neural.schedules import WarmupSchedule

logger = logging.getLogger(__name__)

Tensor = Any
MAX_VALIDATION_WINDOWS = 4_096
"""Validation windows scored after an epoch, evenly spread over all there are."""


@dataclass(frozen=True)
class FitReport:
    """What a training did."""

    history: tuple[EpochRecord, ...]
    best_epoch: int
    stopped_early: bool
    resumed_from_epoch: int
    n_train_windows: int
    n_validation_windows: int
    n_parameters: int
    n_replicas: int
    cpu_s: float


class TrainingLoop:
    """Trains a `SegmentNetwork` on the windows of a feature store."""

    def __init__(self, spec: NetworkSpec, training: TrainingConfig, strategy: tf.distribute.Strategy) -> None:
        """Create network and weights under the strategy."""
        keras.utils.set_random_seed(training.seed)
        self._training = training
        self._strategy = strategy
        self._levels = tf.constant(spec.features.quantiles, tf.float32)
        self._horizon = spec.features.horizon
        with strategy.scope():
            self.network = build_network(spec)
        self._average = [
            tf.Variable(np.asarray(weight), trainable=False) for weight in self.network.trainable_variables
        ]
        self._optimizer: Any = None
        self._distributed_step = tf.function(self._step, autograph=False)
        self._update_average = tf.function(self._average_weights, autograph=False)

    def fit(
        self,
        store: FeatureStore,
        train: WindowIndex,
        validation: WindowIndex | None,
        *,
        checkpoint: Path | None,
        key: str,
    ) -> FitReport:
        """Train until the epochs are used up or validation stops getting better.

        Leaves the best averaged weights in `network`, or the last ones without validation.

        Args:
            store: Feature store.
            train: Windows to learn from.
            validation: Windows that decide when to stop; none: all epochs are used.
            checkpoint: Where the state is kept after every epoch; a state of the same key is resumed.
            key: Names settings and features.

        Raises:
            DataError: There are fewer training windows than one batch.
            ModelRefusedError: The loss is no number any more.
        """
        training = self._training
        n_steps = self._steps_per_epoch(len(train))
        began = time.process_time()
        gather = window_gather(store, train)
        held_out = self._validation_batches(store, validation) if validation is not None else None
        self._make_optimizer(n_steps * training.max_epochs)
        state = self._restore(checkpoint, key)
        resumed_from = state.n_epochs
        while state.n_epochs < training.max_epochs and state.n_stale < training.patience:
            state = self._epoch(state, gather, len(train), n_steps, held_out)
            if checkpoint is not None:
                save_state(state, checkpoint)
        self._assign(self.network.trainable_variables, state.best)
        losses = [row.validation_loss for row in state.history]
        return FitReport(
            history=state.history,
            best_epoch=int(np.argmin(losses)) + 1 if validation is not None else len(losses),
            stopped_early=state.n_epochs < training.max_epochs,
            resumed_from_epoch=resumed_from,
            n_train_windows=len(train),
            n_validation_windows=len(validation) if validation is not None else 0,
            n_parameters=int(sum(np.prod(weight.shape) for weight in self.network.trainable_variables)),
            n_replicas=self._strategy.num_replicas_in_sync,
            cpu_s=round(time.process_time() - began, 2),
        )

    def _steps_per_epoch(self, n_windows: int) -> int:
        training = self._training
        if n_windows < training.batch_size:
            raise DataError(
                f"training needs at least {training.batch_size} training windows (training.batch_size), "
                f"found {n_windows}; give more history or a smaller context"
            )
        return min(n_windows // training.batch_size, training.max_steps_per_epoch or n_windows)

    def fine_tune(
        self, store: FeatureStore, train: WindowIndex, n_steps: int, after_step: Callable[[int], None]
    ) -> None:
        """Go on from the present weights for some steps, with a tenth of the learning rate.

        Args:
            store: Feature store.
            train: Windows to learn from.
            n_steps: Optimiser steps.
            after_step: Called with the number of steps done after each of them, to change the weights.
        """
        gather = window_gather(store, train)
        self._make_optimizer(n_steps, rate=0.1)
        rng = np.random.default_rng(self._training.seed)
        numbers = rng.integers(0, len(train), size=n_steps * self._training.batch_size, dtype=np.int32)
        dataset = epoch_dataset(gather, numbers, self._training.batch_size, drop_remainder=True)
        for step, batch in enumerate(self._strategy.experimental_distribute_dataset(dataset), start=1):
            self._distributed_step(batch)
            after_step(step)

    def _make_optimizer(self, n_steps: int, rate: float = 1.0) -> None:
        training = self._training.model_copy(update={"learning_rate": self._training.learning_rate * rate})
        schedule = WarmupSchedule(training, n_steps)
        with self._strategy.scope():
            if training.optimizer == "adamw":
                self._optimizer = keras.optimizers.AdamW(schedule, weight_decay=training.weight_decay)
            else:
                self._optimizer = keras.optimizers.Adam(schedule)
            self._optimizer.build(self.network.trainable_variables)

    def _epoch(
        self,
        state: TrainingState,
        gather: WindowGather,
        n_windows: int,
        n_steps: int,
        held_out: list[dict[str, Tensor]] | None,
    ) -> TrainingState:
        epoch, began = state.n_epochs, time.monotonic()
        rng = np.random.default_rng((self._training.seed, epoch))
        numbers = rng.permutation(n_windows)[: n_steps * self._training.batch_size].astype(np.int32)
        dataset = epoch_dataset(gather, numbers, self._training.batch_size, drop_remainder=True)
        losses = []
        for batch in self._strategy.experimental_distribute_dataset(dataset):
            losses.append(self._distributed_step(batch))
            self._update_average()
        average = _values(self._average)
        validation_loss = self._validate(average, held_out) if held_out is not None else math.nan
        train_loss = float(np.mean([float(loss) for loss in losses]))
        if not math.isfinite(train_loss) or (held_out is not None and not math.isfinite(validation_loss)):
            raise ModelRefusedError(
                f"training diverged in epoch {epoch + 1}: its loss is not finite; lower training.learning_rate "
                f"({self._training.learning_rate}) or training.clip_norm ({self._training.clip_norm})"
            )
        record = EpochRecord(
            epoch=epoch + 1,
            train_loss=train_loss,
            validation_loss=validation_loss,
            learning_rate=float(self._optimizer.learning_rate),
            duration_s=round(time.monotonic() - began, 2),
        )
        logger.info(
            "epoch %d/%d: train loss %.4f%s, %.1f s",
            record.epoch,
            self._training.max_epochs,
            record.train_loss,
            f", validation loss {validation_loss:.4f}" if held_out is not None else "",
            record.duration_s,
        )
        better = held_out is None or validation_loss < state.best_loss
        return TrainingState(
            key=state.key,
            weights=_values(self.network.variables),
            average=average,
            optimizer=_values(self._optimizer.variables),
            best=average if better else state.best,
            best_loss=validation_loss if better else state.best_loss,
            n_stale=0 if better else state.n_stale + 1,
            history=(*state.history, record),
        )

    def _step(self, batch: dict[str, Tensor]) -> Tensor:
        """One optimiser step over all replicas; returns the mean loss."""
        losses = self._strategy.run(self._replica_step, args=(batch,))
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    def _replica_step(self, batch: dict[str, Tensor]) -> Tensor:
        with tf.GradientTape() as tape:
            loss = self._loss(batch, training=True) / (self._training.batch_size * self._horizon)
        variables = self.network.trainable_variables
        gradients = tape.gradient(loss, variables)
        n_replicas = self._strategy.num_replicas_in_sync
        if n_replicas > 1:
            gradients = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        gradients, _ = tf.clip_by_global_norm(gradients, self._training.clip_norm)
        # The optimiser sums over replicas once more; the gradients are already the global ones.
        self._optimizer.apply_gradients(
            [(gradient / n_replicas, weight) for gradient, weight in zip(gradients, variables, strict=True)]
        )
        return loss

    def _loss(self, batch: dict[str, Tensor], *, training: bool) -> Tensor:
        quantiles, scale = self.network(batch["history"], batch["future"], batch.get("static"), training=training)
        # Between every series counting alike (1/scale) and errors counting in units sold (1).
        return pinball_loss(batch["target"], quantiles, self._levels, batch["present"] / tf.sqrt(scale))

    def _average_weights(self) -> None:
        momentum = self._training.ema
        warm = tf.minimum(
            momentum,
            tf.cast(self._optimizer.iterations, tf.float32) / (tf.cast(self._optimizer.iterations, tf.float32) + 10.0),
        )
        for average, weight in zip(self._average, self.network.trainable_variables, strict=True):
            average.assign(warm * average + (1.0 - warm) * weight.value)

    def _validation_batches(self, store: FeatureStore, validation: WindowIndex) -> list[dict[str, Tensor]]:
        gather = window_gather(store, validation)
        count = min(len(validation), MAX_VALIDATION_WINDOWS)
        numbers = np.unique(np.linspace(0, len(validation) - 1, count).astype(np.int32))
        return list(epoch_dataset(gather, numbers, self._training.batch_size, drop_remainder=False))

    def _validate(self, weights: Arrays, batches: Sequence[dict[str, Tensor]]) -> float:
        """Mean loss per present step with some weights in place of the current ones."""
        current = _values(self.network.trainable_variables)
        self._assign(self.network.trainable_variables, weights)
        total = sum(float(self._loss(batch, training=False)) for batch in batches)
        self._assign(self.network.trainable_variables, current)
        return total / max(1.0, sum(float(tf.reduce_sum(batch["present"])) for batch in batches))

    def _restore(self, checkpoint: Path | None, key: str) -> TrainingState:
        state = load_state(checkpoint, key) if checkpoint is not None else None
        if state is None:
            weights = _values(self.network.trainable_variables)
            return TrainingState(
                key=key, weights=weights, average=weights, optimizer=(), best=weights, best_loss=np.inf, n_stale=0
            )
        logger.info("resume training after epoch %d", state.n_epochs)
        self._assign(self.network.variables, state.weights)
        self._assign(self._average, state.average)
        self._assign(self._optimizer.variables, state.optimizer)
        return state

    def _assign(self, variables: Sequence[Any], values: Sequence[npt.NDArray[Any]]) -> None:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def predict_scaled(
    network: SegmentNetwork, store: FeatureStore, windows: WindowIndex, batch_size: int
) -> dict[str, npt.NDArray[np.float32]]:
    """Scaled quantiles, targets and presence of windows, for calibration.

    Returns:
        quantiles `[W,H,Q]`, target `[W,H]`, present `[W,H]`.
    """
    gather = window_gather(store, windows)
    parts: dict[str, list[npt.NDArray[np.float32]]] = {"quantiles": [], "target": [], "present": []}

    @tf.function(autograph=False, reduce_retracing=True)
    def call(history: Tensor, future: Tensor, static: Tensor | None) -> Tensor:
        return network(history, future, static, training=False)[0]

    for batch in epoch_dataset(gather, np.arange(len(windows), dtype=np.int32), batch_size, drop_remainder=False):
        parts["quantiles"].append(call(batch["history"], batch["future"], batch.get("static")).numpy())
        parts["target"].append(batch["target"].numpy())
        parts["present"].append(batch["present"].numpy())
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _values(variables: Sequence[Any]) -> Arrays:
    return tuple(np.array(variable.numpy()) for variable in variables)
