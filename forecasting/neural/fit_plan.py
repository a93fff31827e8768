"""What one training is given, and what it reports."""

from dataclasses import dataclass

from forecasting.feature_store import FeatureStore, WindowIndex
from forecasting.neural.checkpoint import CheckpointStore
from forecasting.neural.divergence import DivergenceRecord
from forecasting.neural.feed import WindowFeed
from forecasting.neural.schedules import RatePlan
from forecasting.neural.stopping import DeferredStop
from forecasting.neural.summaries import TrainingSummaries
from forecasting.neural.watch import EpochRecord


@dataclass(frozen=True)
class FitReport:
    """What a training did. `divergences` says where it went wrong, if it did, and from where it was retried."""

    history: tuple[EpochRecord, ...]
    best_epoch: int
    stopped_early: bool
    resumed_from_epoch: int
    resumed_from_step: int
    n_train_windows: int
    n_validation_windows: int
    n_parameters: int
    n_replicas: int
    batch_size: int
    divergences: tuple[DivergenceRecord, ...]
    cpu_s: float


@dataclass(frozen=True)
class FitPlan:
    """What stays the same throughout one call of `fit`."""

    store: FeatureStore
    train: WindowIndex
    validation: WindowIndex | None
    feed: WindowFeed
    scoring: WindowFeed | None
    rates: RatePlan
    n_steps: int
    checkpoints: CheckpointStore | None
    summaries: TrainingSummaries
    stop: DeferredStop
