"""The training loop: one for every distribution strategy."""

import logging
import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from forecasting.config.training import TrainingConfig
from forecasting.errors import DataError, ModelRefusedError, RetryableError
from forecasting.feature_store import FeatureStore, WindowIndex
from forecasting.learning_curve import EPOCH_RECORD
from forecasting.neural.batches import window_gather
from forecasting.neural.checkpoint import Arrays, CheckpointStore, LoopRecord, TrainingState
from forecasting.neural.divergence import (
    DivergedError,
    DivergenceRecord,
    name_windows,
    say_divergence,
    say_given_up,
)
from forecasting.neural.feed import WindowFeed
from forecasting.neural.fit_plan import FitPlan, FitReport
from forecasting.neural.models import NetworkSpec, build_network
from forecasting.neural.progress import EpochProgress
from forecasting.neural.schedules import RatePlan
from forecasting.neural.step import TrainingStep
from forecasting.neural.stopping import DeferredStop
from forecasting.neural.strategy import (
    LOST_WORKER_ERRORS,
    any_worker,
    check_agreement,
    is_chief,
    say_lost_worker,
    worker_place,
)
from forecasting.neural.summaries import TrainingSummaries
from forecasting.neural.variables import TrainingVariables, assign, values_of
from forecasting.neural.watch import EpochTally, StepRow, Stopwatch, epoch_record, say_epoch

logger = logging.getLogger(__name__)

Tensor = Any
MAX_VALIDATION_WINDOWS = 4_096
"""Validation windows scored after an epoch, evenly spread over all there are."""
LOOK_EVERY = 10
"""Steps whose losses are looked at together: each look waits for the device."""
MAX_RETRIES = 1


class TrainingLoop:
    """Trains a network on the windows of a feature store."""

    def __init__(self, spec: NetworkSpec, training: TrainingConfig, strategy: tf.distribute.Strategy) -> None:
        """Create network and weights under the strategy; `batch_size: auto` must be a number by now."""
        keras.utils.set_random_seed(training.seed)
        self._spec, self._training, self._strategy = spec, training, strategy
        with strategy.scope():
            self.network: keras.Model = build_network(spec)
            self.step = TrainingStep(self.network, spec.features, training)
        self._variables = TrainingVariables({
            "weights": self.network.variables,
            "average": self.step.average.variables,
            "optimizer": self.step.optimizer.variables,
            "loss_scale": self.step.loss_scale.variables,
        })  # fmt: skip
        self._good = TrainingState(0, LoopRecord(), self._variables.values())
        self._saved = Stopwatch()

    def fit(
        self,
        store: FeatureStore,
        train: WindowIndex,
        validation: WindowIndex | None,
        *,
        checkpoint: Path | None,
        key: str,
        summaries: Path | None = None,
    ) -> FitReport:
        """Train until the epochs are used up or validation stops getting better.

        Leaves the best averaged weights in `network`, or the last ones without validation.

        Args:
            store: Feature store.
            train: Windows to learn from.
            validation: Windows that decide when to stop; none: all epochs are used.
            checkpoint: Directory of checkpoints; a state of the same key is resumed.
            key: Names settings and features.
            summaries: Directory of event files and profiles, where the settings ask for them.

        Raises:
            DataError: There are fewer training windows than one batch.
            ModelRefusedError: The loss was no number or exploded, and again after a retry at a lower rate.
            RetryableError: Another worker is gone.
            StoppedError: A signal asked to stop; a checkpoint is written.
        """
        clock = Stopwatch()
        chief = is_chief(self._strategy)
        settings = self._training
        writer = TrainingSummaries(
            summaries if chief else None, events=settings.tensorboard, profile_steps=settings.profile_steps
        )
        checkpoints = CheckpointStore(checkpoint, key, writes=chief) if checkpoint is not None else None
        with closing(writer), DeferredStop() as stop:
            plan = self._plan(store, train, validation, checkpoints=checkpoints, summaries=writer, stop=stop)
            resumed, best = self._restore(plan)
            try:
                state, best = self._run(plan, resumed, best)
            except LOST_WORKER_ERRORS as error:
                raise RetryableError(say_lost_worker(self._strategy, error.message)) from error
        assign([*self.network.trainable_variables, *self.network.non_trainable_variables], best)
        return self._report(plan, state, resumed, cpu_s=clock.cpu_s)

    def _plan(
        self, store: FeatureStore, train: WindowIndex, validation: WindowIndex | None, *,
        checkpoints: CheckpointStore | None, summaries: TrainingSummaries, stop: DeferredStop,
    ) -> FitPlan:  # fmt: skip
        n_steps = self._steps_per_epoch(len(train))
        return FitPlan(
            store, train, validation,
            feed=self._feed(store, train),
            scoring=self._feed(store, validation) if validation is not None else None,
            rates=RatePlan(self._training, n_steps * self._training.max_epochs),
            n_steps=n_steps, checkpoints=checkpoints, summaries=summaries, stop=stop,
        )  # fmt: skip

    def _report(self, plan: FitPlan, state: LoopRecord, resumed: LoopRecord, *, cpu_s: float) -> FitReport:
        return FitReport(
            history=state.history,
            best_epoch=state.best_epoch if plan.validation is not None else state.n_epochs,
            stopped_early=state.n_epochs < self._training.max_epochs,
            resumed_from_epoch=resumed.n_epochs,
            resumed_from_step=resumed.n_epochs * plan.n_steps + resumed.step,
            n_train_windows=len(plan.train),
            n_validation_windows=len(plan.validation) if plan.validation is not None else 0,
            n_parameters=int(sum(np.prod(weight.shape) for weight in self.network.trainable_variables)),
            n_replicas=self._strategy.num_replicas_in_sync,
            batch_size=self._training.windows_per_step,
            divergences=state.divergences,
            cpu_s=round(cpu_s, 2),
        )

    def _feed(self, store: FeatureStore, windows: WindowIndex) -> WindowFeed:
        gather = window_gather(store, windows, n_buckets=self._training.length_buckets)
        return WindowFeed(gather, self._strategy, self._training.windows_per_step)

    def _steps_per_epoch(self, n_windows: int) -> int:
        size = self._training.windows_per_step
        if n_windows < size:
            raise DataError(
                f"training needs at least {size} training windows (training.batch_size), "
                f"found {n_windows}; give more history or a smaller context"
            )
        return min(n_windows // size, self._training.max_steps_per_epoch or n_windows)

    def _run(self, plan: FitPlan, state: LoopRecord, best: Arrays) -> tuple[LoopRecord, Arrays]:
        """Epoch after epoch; a divergence goes back to the last good state once."""
        training = self._training
        self._good = self._snapshot(plan, state)
        while state.n_epochs < training.max_epochs and state.n_stale < training.patience:
            try:
                state = self._epoch(plan, state)
            except DivergedError as error:
                state = self._retry(plan, error)
                continue
            if plan.validation is None or state.best_epoch == state.n_epochs:
                best = self._candidate(state.n_epochs)
                if plan.checkpoints is not None and plan.validation is not None:
                    plan.checkpoints.save_best(best, state.n_epochs)
            self._save(plan, state)
            if any_worker(self._strategy, plan.stop.asked):
                plan.stop.leave()
        return state, best

    def _epoch(self, plan: FitPlan, state: LoopRecord) -> LoopRecord:
        training, epoch = self._training, state.n_epochs
        order = plan.feed.epoch_order(plan.n_steps, seed=training.seed, epoch=epoch)
        waiting: list[Tensor] = []
        progress = EpochProgress(epoch + 1, training.max_epochs, plan.n_steps, plan.feed.batch_size, first=state.step)
        clock = Stopwatch()
        with closing(plan.feed.batches(order, state.step)) as batches:
            for batch in batches:
                number = epoch * plan.n_steps + state.step
                plan.summaries.step(number + 1)
                waiting.append(self.step.train(batch.tensors, plan.rates.rate(number) * state.rate_factor, number))
                state = replace(state, step=state.step + 1)
                due = self._save_due(state)
                asked = self._stop_asked(plan, state)
                due = due or asked
                if due or len(waiting) == LOOK_EVERY or state.step == plan.n_steps:
                    state = self._look(plan, state, waiting)
                    progress.show(state.step)
                if due and state.step < plan.n_steps:
                    self._save(plan, replace(state, tally=state.tally.timed(clock)))
                if asked and state.step < plan.n_steps:
                    plan.stop.leave()
        return self._end_epoch(plan, replace(state, tally=state.tally.timed(clock)))

    def _stop_asked(self, plan: FitPlan, state: LoopRecord) -> bool:
        """Whether a signal asked to stop; of several workers all find the same, at steps that all of them have."""
        if worker_place(self._strategy)[1] == 1:
            return plan.stop.asked
        # The end of an epoch asks for itself.
        together = state.step % LOOK_EVERY == 0 and state.step < plan.n_steps
        return together and any_worker(self._strategy, plan.stop.asked)

    def _look(self, plan: FitPlan, state: LoopRecord, waiting: list[Tensor]) -> LoopRecord:
        """Count the steps that were not looked at yet."""
        rows = [StepRow.parse(row.numpy()) for row in waiting]
        waiting.clear()
        first = state.n_epochs * plan.n_steps + state.step - len(rows) + 1
        # A step that overflowed in float16 changed nothing and is no divergence, unless nothing is left to lower.
        lost = [not row.finite and (row.loss_scale <= 1.0 or self._training.precision != "mixed_float16") for row in rows]  # fmt: skip
        guarded = [(i, row) for i, row in enumerate(rows) if row.finite or lost[i]]
        guard = state.guard
        for i, row in guarded:
            guard = guard.after([row.loss], [row.norm], first + i, self._training)
        return replace(state, guard=guard, tally=state.tally.after(rows))

    def _end_epoch(self, plan: FitPlan, state: LoopRecord) -> LoopRecord:
        epoch = state.n_epochs + 1
        self.step.average.end_epoch(epoch)
        average = self.step.average.at_end_of(epoch)
        clock = Stopwatch()
        loss = self._validate(plan, values_of(average))
        paths = [weight.path for weight in self.network.trainable_variables]
        record = epoch_record(
            state.tally, paths, epoch=epoch, validation_loss=loss,
            learning_rate=plan.rates.rate(epoch * plan.n_steps - 1) * state.rate_factor,
            n_retries=len(state.divergences), batch_size=plan.feed.batch_size, scored_s=clock.elapsed_s,
        )  # fmt: skip
        if plan.validation is not None and not math.isfinite(loss):
            raise DivergedError(epoch * plan.n_steps, loss, "its validation loss is not finite")
        # With the record itself, for whoever follows a training from outside of it.
        logger.info("%s", say_epoch(record, self._training.max_epochs), extra={EPOCH_RECORD: record})
        plan.summaries.epoch(record, dict(zip(paths, values_of(average), strict=True)))
        state = replace(state, step=0, tally=EpochTally(), history=(*state.history, record))
        if plan.validation is None:
            return state
        if loss < state.best_loss - self._training.min_delta:
            return replace(state, best_loss=loss, best_epoch=epoch, n_stale=0, n_plateau=0)
        state = replace(state, n_stale=state.n_stale + 1, n_plateau=state.n_plateau + 1)
        if self._training.schedule == "reduce_on_plateau" and state.n_plateau >= self._training.plateau_patience:
            return replace(state, n_plateau=0, rate_factor=state.rate_factor * self._training.plateau_factor)
        return state

    def _validate(self, plan: FitPlan, weights: Arrays) -> float:
        """Mean loss per present step with some weights in place of the current ones; no number without validation."""
        if plan.scoring is None or plan.validation is None:
            return math.nan
        n_windows = len(plan.validation)
        chosen = np.unique(np.linspace(0, n_windows - 1, min(n_windows, MAX_VALIDATION_WINDOWS)).astype(np.int32))
        current = values_of(self.network.trainable_variables)
        assign(self.network.trainable_variables, weights)
        sums = np.zeros(2)
        with closing(plan.scoring.padded(chosen)) as batches:
            for batch in batches:
                sums += self.step.score(batch.tensors).numpy()
        assign(self.network.trainable_variables, current)
        return float(sums[0] / max(1.0, sums[1]))

    def _retry(self, plan: FitPlan, error: DivergedError) -> LoopRecord:
        """Go back to the last good state with a lower rate.

        Raises:
            ModelRefusedError: That was done already.
        """
        good, training = self._good, self._training
        epoch, step = divmod(error.step - 1, plan.n_steps)
        size = plan.feed.batch_size
        order = plan.feed.epoch_order(plan.n_steps, seed=training.seed, epoch=epoch)
        again = len(good.loop.divergences) < MAX_RETRIES
        record = DivergenceRecord(
            step=error.step, epoch=epoch + 1, loss=str(error.loss), reason=error.reason,
            learning_rate=plan.rates.rate(error.step - 1) * good.loop.rate_factor,
            windows=name_windows(plan.store, plan.train, order[step * size : (step + 1) * size]),
            retried_from_step=good.step if again else None,
            retry_rate_factor=training.retry_rate if again else None,
        )  # fmt: skip
        if not again:
            raise ModelRefusedError(say_given_up(record, training))
        logger.warning(
            "%s; retry from step %d at %g of the rate", say_divergence(record), good.step, training.retry_rate
        )
        self._variables.put(good.arrays)
        factor = good.loop.rate_factor * training.retry_rate
        state = replace(good.loop, divergences=(*good.loop.divergences, record), rate_factor=factor)
        self._good = replace(good, loop=state)
        if plan.checkpoints is not None:
            plan.checkpoints.save(self._good)
        return state

    def _restore(self, plan: FitPlan) -> tuple[LoopRecord, Arrays]:
        """Where to go on, and the best weights so far."""
        state = plan.checkpoints.load() if plan.checkpoints is not None else None
        best = None
        if state is not None and plan.checkpoints is not None and state.loop.best_epoch:
            best = plan.checkpoints.load_best(state.loop.best_epoch)
            if best is None:
                logger.warning("the best weights are lost, the training begins anew")
                plan.checkpoints.clear()
                state = None
        check_agreement(self._strategy, 0 if state is None else state.step)
        if state is None:
            return LoopRecord(), self._candidate(0)
        logger.info("resume training after epoch %d and %d steps", state.loop.n_epochs, state.loop.step)
        self._variables.put(state.arrays)
        return state.loop, best if best is not None else self._candidate(state.loop.n_epochs)

    def _candidate(self, epoch: int) -> Arrays:
        """What the network would be left with after an epoch: averaged weights, and what is not trained as it is."""
        return values_of([*self.step.average.at_end_of(epoch), *self.network.non_trainable_variables])

    def _snapshot(self, plan: FitPlan, state: LoopRecord) -> TrainingState:
        return TrainingState(state.n_epochs * plan.n_steps + state.step, state, self._variables.values())

    def _save_due(self, state: LoopRecord) -> bool:
        every = self._training.checkpoint_every_steps
        return state.step % every == 0 if every else self._saved.elapsed_s >= self._training.checkpoint_every_s

    def _save(self, plan: FitPlan, state: LoopRecord) -> None:
        self._good = self._snapshot(plan, state)
        if plan.checkpoints is not None:
            plan.checkpoints.save(self._good)
        self._saved = Stopwatch()
