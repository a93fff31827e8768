"""A model that is solved instead of trained, in the place of a fit and a refit of the loop."""

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from components.training.trained import TrainedMember, training_windows
from forecasting.config.root import TrainModelSettings
from forecasting.feature_store import FeatureStore, WindowIndex, learning_windows

if TYPE_CHECKING:
    from forecasting.neural.fit_plan import FitReport
    from forecasting.neural.models import Forecaster
    from forecasting.neural.watch import Stopwatch

logger = logging.getLogger(__name__)
SCORING_BATCH_SIZE = 512


def solve_member(settings: TrainModelSettings, store: FeatureStore, strategy: Any) -> TrainedMember:
    """Solve on the train cut, choose penalties and quantiles by the validation period, and solve again on both.

    It takes seconds and begins anew when it was stopped. Every worker of a cluster solves the same.
    """
    from forecasting.neural import closed_form as ridge
    from forecasting.neural.models import NetworkSpec, build_network
    from forecasting.neural.scaled import predict_scaled
    from forecasting.neural.watch import Stopwatch

    train, validation = training_windows(store)
    clock = Stopwatch()
    with strategy.scope():
        network: Any = build_network(NetworkSpec(store.spec, settings.model))
    reader = ridge.MomentReader(network, store)
    learnt, asked = (ridge.solved_windows(windows, store.spec) for windows in (train, validation))
    penalties = ridge.choose_penalties(reader, learnt, asked)
    ridge.assign_solution(reader.model, ridge.solve_ridge(reader, learnt, penalties))
    ridge.assign_median(network, store, train)
    ridge.assign_gaps(network, store, validation)
    scored = predict_scaled(network, store, validation, SCORING_BATCH_SIZE)
    fit = _report(network, settings, store, strategy, train=train, validation=validation, clock=clock)
    if not settings.training.refit:
        return TrainedMember(network, fit, scored, 0.0, settings)
    clock, first = Stopwatch(), network.get_weights()
    both = learning_windows(store, with_validation=True)
    logger.info("solve again on %d windows of train and validation", len(both))
    ridge.assign_solution(reader.model, ridge.solve_ridge(reader, ridge.solved_windows(both, store.spec), penalties))
    ridge.assign_median(network, store, both)
    return TrainedMember(network, fit, scored, clock.cpu_s, settings, first)


def _report(
    network: "Forecaster", settings: TrainModelSettings, store: FeatureStore, strategy: Any, *, train: WindowIndex,
    validation: WindowIndex, clock: "Stopwatch",
) -> "FitReport":  # fmt: skip
    """One epoch, which is the best one; its losses are those that training would have minimised."""
    from forecasting.neural.closed_form import mean_loss
    from forecasting.neural.fit_plan import FitReport
    from forecasting.neural.watch import EpochRecord

    training = settings.training.model_copy(update={"batch_size": SCORING_BATCH_SIZE})
    train_loss, validation_loss = (mean_loss(network, store, windows, training) for windows in (train, validation))
    epoch = EpochRecord(
        1, train_loss, validation_loss=validation_loss, learning_rate=0.0, duration_s=round(clock.elapsed_s, 2)
    )
    return FitReport(
        history=(epoch,), best_epoch=1, stopped_early=False, resumed_from_epoch=0, resumed_from_step=0,
        n_train_windows=len(train), n_validation_windows=len(validation),
        n_parameters=int(sum(np.prod(weight.shape) for weight in network.trainable_variables)),
        n_replicas=strategy.num_replicas_in_sync, batch_size=SCORING_BATCH_SIZE, divergences=(), cpu_s=clock.cpu_s,
    )  # fmt: skip
