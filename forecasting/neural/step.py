"""One optimiser step over all replicas, as one compiled function: loss, gradients, weights, average, norms."""

from contextlib import nullcontext
from typing import Any

import keras
import tensorflow as tf

from forecasting.config.training import TrainingConfig
from forecasting.features.spec import FeatureSpec
from forecasting.neural.augmentation import Augmentation
from forecasting.neural.averaging import WeightAverage
from forecasting.neural.clipping import ConditionedGradients, condition_gradients
from forecasting.neural.losses import forecast_loss
from forecasting.neural.models.recurrence import portable_recurrence
from forecasting.neural.optimizers import make_optimizer
from forecasting.neural.precision import LossScale, mixed_layers

Tensor = Any


class TrainingStep:
    """Changes a network by one batch, and scores it on others. Make it in the strategy's scope."""

    def __init__(self, network: keras.Model, spec: FeatureSpec, training: TrainingConfig) -> None:
        """Step with an optimiser, an average and a loss scale of its own."""
        self._network, self._training = network, training
        self._strategy = tf.distribute.get_strategy()
        self._levels = tf.constant(spec.quantiles, tf.float32)
        self._has_mean = spec.mean
        self._n_losses = training.windows_per_step * spec.horizon
        self._augmentation = Augmentation(training.augmentation, spec)
        self._weights = network.trainable_variables
        self.optimizer = make_optimizer(training)
        self.optimizer.build(self._weights)
        self.average = WeightAverage(self._weights, training)
        self.loss_scale = LossScale(training.precision)
        self._train = tf.function(self._train_all, autograph=False)
        self._score = tf.function(self._score_all, autograph=False)
        self._gradients: Any = (
            tf.function(self._loss_and_gradients, autograph=False, jit_compile=True)
            if training.xla
            else self._loss_and_gradients
        )

    def train(self, batch: Any, rate: float, number: int) -> Tensor:
        """One step; a vector `[4 + 2V]` as `watch.StepRow` reads it.

        Args:
            batch: Windows of the replicas, as `WindowFeed` gives them.
            rate: Learning rate.
            number: Number of the step in the whole training, which augmentation draws by.
        """
        return self._train(batch, tf.constant(rate, tf.float32), tf.constant(number, tf.int32))

    def score(self, batch: Any) -> Tensor:
        """Sum of the losses over all replicas, and the number of present steps `[2]`."""
        return self._score(batch)

    def _train_all(self, batch: Any, rate: Tensor, number: Tensor) -> Tensor:
        self.optimizer.learning_rate.assign(rate)
        guarded = self._guarded() if self.loss_scale.active else []
        before = [tf.identity(variable) for variable in guarded]
        rows = self._strategy.run(self._train_replica, args=(batch, number))
        row = self._strategy.experimental_local_results(rows)[0]
        finite = row[1] > 0.0
        for variable, value in zip(guarded, before, strict=True):
            variable.assign(tf.where(finite, tf.identity(variable), value))
        self.average.follow(tf.cast(self.optimizer.iterations.value, tf.float32))
        if self.loss_scale.active:
            self.loss_scale.update(finite)
        return row

    def _guarded(self) -> list[Any]:
        """What a step that overflowed leaves as it was: weights, running statistics and the state of the optimiser."""
        return [variable.value for variable in (*self._network.variables, *self.optimizer.variables)]

    def _train_replica(self, batch: dict[str, Tensor], number: Tensor) -> Tensor:
        context = tf.distribute.get_replica_context()
        n_replicas = self._strategy.num_replicas_in_sync
        draw = number * n_replicas + tf.cast(context.replica_id_in_sync_group, tf.int32)
        seed = tf.stack([tf.constant(self._training.seed, tf.int32), draw])
        scale = tf.identity(self.loss_scale.value)
        loss, gradients = self._gradients(batch, seed, scale)
        if n_replicas > 1:
            loss, gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, [loss, gradients])
        if self.loss_scale.active:
            gradients = [gradient / scale for gradient in gradients]
        conditioned = condition_gradients(gradients, self._training)
        finite = tf.reduce_all(tf.math.is_finite(conditioned.before))
        self._apply(conditioned, finite, n_replicas)
        told = tf.stack([loss, tf.cast(finite, tf.float32), tf.cast(conditioned.clipped, tf.float32), scale])
        return tf.concat([told, conditioned.before, conditioned.after], axis=0)

    def _apply(self, conditioned: ConditionedGradients, finite: Tensor, n_replicas: int) -> None:
        changed = conditioned.gradients
        if self.loss_scale.active:
            changed = [tf.where(finite, gradient, tf.zeros_like(gradient)) for gradient in changed]
        # The optimiser sums over replicas once more; the gradients are already the global ones.
        if n_replicas > 1:
            changed = [gradient / n_replicas for gradient in changed]
        self.optimizer.apply_gradients(zip(changed, self._weights, strict=True))

    def _loss_and_gradients(self, batch: dict[str, Tensor], seed: Tensor, scale: Tensor) -> tuple[Tensor, list[Tensor]]:
        if self._augmentation.active:
            batch = self._augmentation(batch, seed)
        with tf.GradientTape() as tape:
            # XLA cannot compile the fused recurrence.
            recurrence = portable_recurrence() if self._training.xla else nullcontext()
            with recurrence, mixed_layers(self._network, self._training.precision):
                loss = self._loss(batch, training=True) / self._n_losses
            minimised = (loss + self._penalty()) * scale if self.loss_scale.active else loss + self._penalty()
        return loss, tape.gradient(minimised, [weight.value for weight in self._weights])

    def _penalty(self) -> Tensor:
        """L2 of the kernels, and what the kind asks; replicas share it, because their gradients are summed."""
        found = list(self._network.losses)
        if self._training.l2:
            kernels = [weight.value for weight in self._weights if weight.name.endswith("kernel")]
            found.append(self._training.l2 * tf.add_n([tf.reduce_sum(tf.square(kernel)) for kernel in kernels]))
        return tf.add_n(found) / self._strategy.num_replicas_in_sync if found else 0.0

    def _loss(self, batch: dict[str, Tensor], *, training: bool) -> Tensor:
        answer, scale = self._network(batch["history"], batch["future"], batch.get("static"), training=training)
        return forecast_loss(answer, batch["target"], batch["present"], scale, self._levels, has_mean=self._has_mean)

    def _score_all(self, batch: Any) -> Tensor:
        return self._strategy.reduce(
            tf.distribute.ReduceOp.SUM, self._strategy.run(self._score_replica, (batch,)), None
        )

    def _score_replica(self, batch: dict[str, Tensor]) -> Tensor:
        return tf.stack([self._loss(batch, training=False), tf.reduce_sum(batch["present"])])
