"""One model: its fit with early stopping, what it says of the validation period, its refit."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.training.closed_form import solve_member
from components.training.remedies import FittedNetwork, RemedyRecord, fit_with_remedies
from components.training.trained import Floats, TrainedMember, training_windows
from forecasting.config.models import RidgeConfig
from forecasting.config.root import TrainModelSettings
from forecasting.feature_store import FeatureStore, learning_windows
from forecasting.manifests import digest_text
from forecasting.neural.calibration import calibration_factors

if TYPE_CHECKING:
    from forecasting.neural.loop import FitReport
    from forecasting.neural.models import AnyForecaster, NetworkSpec

logger = logging.getLogger(__name__)

BATCH_SIZE_FILE = "batch_size.json"
"""Among the checkpoints: what `batch_size: auto` has chosen."""


@dataclass(frozen=True)
class TrainingFolders:
    """Where a training keeps what is no part of the model."""

    checkpoints: Path
    summaries: Path

    def remedy(self, number: int) -> "TrainingFolders":
        """Those of a training with a remedy."""
        name = f"remedy_{number}"
        return TrainingFolders(self.checkpoints / name, self.summaries / name)


@dataclass(frozen=True)
class TrainedModel:
    """What is exported: a network, what its fit did, the factors of its quantiles, CPU seconds of refits, its settings; the rest as in `TrainedMember`."""

    network: "AnyForecaster"
    fit: "FitReport"
    factors: tuple[float, ...]
    refit_cpu_s: float
    settings: TrainModelSettings
    remedies: tuple[RemedyRecord, ...]
    first_weights: list[Floats] | None


def train_single(
    settings: TrainModelSettings, store: FeatureStore, strategy: Any, *, folders: TrainingFolders, key: str
) -> TrainedModel:
    """Train the model that the settings name, and calibrate what it says of the validation period."""
    one = train_member(settings, store, strategy, folders=folders, key=key)
    factors = calibration_factors(one.scored, one.scored["quantiles"], store, calibrate=settings.model.calibrate)
    return TrainedModel(one.network, one.fit, factors, one.refit_cpu_s, one.settings, one.remedies, one.first_weights)


def train_member(
    settings: TrainModelSettings, store: FeatureStore, strategy: Any, *, folders: TrainingFolders, key: str
) -> TrainedMember:
    """Fit with early stopping, ask for the validation period, and refit where the settings say so; or solve all of it."""
    if isinstance(settings.model, RidgeConfig):
        return solve_member(settings, store, strategy)
    from forecasting.neural.models import NetworkSpec
    from forecasting.neural.scaled import predict_scaled

    def fit(changed: TrainModelSettings, number: int) -> FittedNetwork:
        place = folders if number == 0 else folders.remedy(number)
        # Of a changed training no checkpoint of another one may be taken.
        return _fit(changed, store, strategy, folders=place, key=key if number == 0 else digest_text(key + changed.model_dump_json()))  # fmt: skip

    if settings.training.auto_remedy:
        fitted = fit_with_remedies(settings, fit, n_replicas=strategy.num_replicas_in_sync)
    else:
        fitted = fit(settings, 0)
    settings, training = fitted.settings, fitted.settings.training
    _, validation = training_windows(store)
    scored = predict_scaled(fitted.network, store, validation, training.windows_per_step)
    if not training.refit:
        return TrainedMember(fitted.network, fitted.fit, scored, 0.0, settings, remedies=fitted.remedies)
    first = fitted.network.get_weights()
    refitted, refit = _refit(NetworkSpec(store.spec, settings.model), settings, store, fitted.fit.best_epoch,
                             strategy=strategy, folders=folders, key=key)  # fmt: skip
    return TrainedMember(refitted, fitted.fit, scored, refit.cpu_s, settings, first, fitted.remedies)


def _fit(
    settings: TrainModelSettings, store: FeatureStore, strategy: Any, *, folders: TrainingFolders, key: str
) -> FittedNetwork:
    """The first fit, with early stopping."""
    from forecasting.neural.batch_size import settle_batch_size
    from forecasting.neural.loop import TrainingLoop
    from forecasting.neural.models import NetworkSpec

    train, validation = training_windows(store)
    spec = NetworkSpec(store.spec, settings.model)
    folders.checkpoints.mkdir(parents=True, exist_ok=True)
    kept = folders.checkpoints / BATCH_SIZE_FILE
    training = settle_batch_size(spec, settings.training, strategy, store, train, kept)
    settings = settings.model_copy(update={"training": training})
    loop = TrainingLoop(spec, training, strategy)
    fit = loop.fit(store, train, validation, checkpoint=folders.checkpoints / "fit", key=key,
                   summaries=folders.summaries / "fit")  # fmt: skip
    return FittedNetwork(settings, loop.network, fit)


def best_loss(fit: "FitReport") -> float:
    """Validation loss of the best epoch."""
    return fit.history[fit.best_epoch - 1].validation_loss


def _refit(spec: "NetworkSpec", settings: TrainModelSettings, store: FeatureStore, n_epochs: int, *, strategy: Any,
           folders: TrainingFolders, key: str) -> "tuple[AnyForecaster, FitReport]":  # fmt: skip
    """Train from the start on train and validation together; the number of epochs was found before."""
    from forecasting.neural.loop import TrainingLoop

    training = settings.training.model_copy(update={"max_epochs": n_epochs})
    windows = learning_windows(store, with_validation=True)
    logger.info("refit on %d windows of train and validation for %d epochs", len(windows), n_epochs)
    loop = TrainingLoop(spec, training, strategy)
    fit = loop.fit(store, windows, None, checkpoint=folders.checkpoints / "refit", key=f"{key}-refit-{n_epochs}",
                   summaries=folders.summaries / "refit")  # fmt: skip
    return loop.network, fit
