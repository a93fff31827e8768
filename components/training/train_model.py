"""train_model: fit the network, calibrate its quantiles on the validation period, export it."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forecasting.config.models import EnsembleConfig
from forecasting.config.root import TrainModelSettings
from forecasting.contracts.artifacts import (
    FEATURE_SPEC_FILE,
    HISTORY_FILE,
    MODEL_SPEC_FILE,
    REPORT_FILE,
    SAVED_MODEL_DIR,
    WEIGHTS_FILE,
)
from forecasting.contracts.steps import StepName
from forecasting.errors import DataError
from forecasting.feature_store import FeatureStore, WindowIndex, learning_windows, read_feature_store, window_index
from forecasting.features.spec import write_feature_spec
from forecasting.manifests import digest_text, load_manifest
from forecasting.steps import StepContext, StepOutcome

if TYPE_CHECKING:
    from forecasting.neural.divergence import DivergenceRecord
    from forecasting.neural.loop import FitReport
    from forecasting.neural.models import AnyForecaster, NetworkSpec

logger = logging.getLogger(__name__)
Floats = npt.NDArray[np.float64]


TENSORBOARD_DIR = "tensorboard"
"""Among the logs of a run: event files and profiles of the fit and the refit."""


BATCH_SIZE_FILE = "batch_size.json"
"""Among the checkpoints: what `batch_size: auto` has chosen."""


@dataclass(frozen=True)
class TrainingFolders:
    """Where a training keeps what is no part of the model."""

    checkpoints: Path
    summaries: Path


@dataclass(frozen=True)
class MemberReport:
    """A model of an ensemble and its share."""

    kind: str
    seed: int
    best_epoch: int
    best_validation_loss: float
    share: float


@dataclass(frozen=True)
class TrainingReport:
    """What the training did; losses are mean quantile losses in scaled units.

    Of an ensemble, epochs and losses are those of the member that was best by itself, and `members` has all of them.
    cpu_s and refit_cpu_s: CPU seconds of the first fits and of the refits, of all members.

    divergences: where the loss was lost, by step, rate and windows, and from which step it was retried.
    """

    strategy: str
    n_replicas: int
    n_parameters: int
    n_train_windows: int
    n_validation_windows: int
    n_epochs: int
    best_epoch: int
    best_validation_loss: float
    stopped_early: bool
    refit: bool
    resumed_from_epoch: int
    resumed_from_step: int
    batch_size: int
    divergences: tuple["DivergenceRecord", ...]
    calibration: tuple[float, ...]
    cpu_s: float
    refit_cpu_s: float
    members: tuple[MemberReport, ...] = ()


def train_model(
    settings: TrainModelSettings, inputs: Mapping[StepName, Path], output: Path, context: StepContext
) -> StepOutcome:
    """Write saved_model/, model.weights.h5, feature_spec.json, model_spec.json, history.json and report.json."""
    from forecasting.neural.strategy import is_chief, make_strategy

    strategy = make_strategy(settings.training)
    from forecasting.neural.export import CalibrationSpec, ForecastModule, export_saved_model

    features = inputs[StepName.BUILD_FEATURES]
    store = read_feature_store(features)
    key = digest_text(settings.model_dump_json() + load_manifest(features).payload_digest)
    folders = TrainingFolders(context.run.checkpoint(StepName.TRAIN_MODEL), context.run.logs / TENSORBOARD_DIR)
    trained = train_members(settings, store, strategy, folders=folders, key=key)
    network, fit, factors = trained.network, trained.fit, trained.factors
    if not is_chief(strategy):
        return StepOutcome(passed=True, summary="trained as a worker; the chief writes the model", reusable=False)
    export_saved_model(ForecastModule(network, store.spec, CalibrationSpec(factors)), output / SAVED_MODEL_DIR)
    network.save_weights(output / WEIGHTS_FILE)
    write_feature_spec(store.spec, output / FEATURE_SPEC_FILE)
    model_spec = {
        "kind": settings.model.kind,
        "calibration": factors,
        "model": settings.model.model_dump(),
        "n_parameters": fit.n_parameters,
    }
    _write_json(output / MODEL_SPEC_FILE, model_spec)
    _write_json(output / HISTORY_FILE, [asdict(row) for row in fit.history])
    _write_json(output / REPORT_FILE, asdict(_report(settings, trained)))
    refit = " (refit)" if settings.training.refit else ""
    return StepOutcome(
        passed=True,
        summary=f"{fit.n_parameters:,} parameters on {fit.n_train_windows:,} windows, {len(fit.history)} epochs, "
        f"best {fit.best_epoch}{refit}, {fit.n_replicas} replica{'s' if fit.n_replicas > 1 else ''}",
    )


@dataclass(frozen=True)
class TrainedModel:
    """A network, what its fit did, the factors of its quantiles, CPU seconds of refits, and of an ensemble its members."""

    network: "AnyForecaster"
    fit: "FitReport"
    factors: tuple[float, ...]
    refit_cpu_s: float
    members: tuple[MemberReport, ...] = ()


def train_members(
    settings: TrainModelSettings, store: FeatureStore, strategy: Any, *, folders: TrainingFolders, key: str
) -> TrainedModel:
    """Train the model, or the members of an ensemble one after another, and calibrate what they say together.

    Shares and factors come from the first fits, which have not learnt from the validation period.
    """
    from forecasting.neural.calibration import stretch_factors

    levels = store.spec.quantiles
    if not isinstance(settings.model, EnsembleConfig):
        one = _train_one(settings, store, strategy, folders=folders, key=key)
        factors = (1.0,) * len(levels)
        if settings.model.calibrate:
            scored = one.scored
            factors = stretch_factors(scored["target"], scored["quantiles"], scored["present"], levels)
        return TrainedModel(one.network, one.fit, factors, one.refit_cpu_s)
    return _train_ensemble(settings, settings.model, store, strategy, folders=folders, key=key)


def _train_ensemble(settings: TrainModelSettings, ensemble: EnsembleConfig, store: FeatureStore, strategy: Any, *,
                    folders: TrainingFolders, key: str) -> TrainedModel:  # fmt: skip
    from forecasting.neural.calibration import stretch_factors
    from forecasting.neural.models import NetworkSpec, build_network
    from forecasting.neural.models.ensemble import fit_shares

    levels = store.spec.quantiles
    members, singles = [], ensemble.singles(settings.training.seed)
    for i, (model, seed) in enumerate(singles):
        training = settings.training.model_copy(update={"seed": seed})
        of_member = settings.model_copy(update={"model": model, "training": training})
        places = TrainingFolders(folders.checkpoints / f"member_{i}", folders.summaries / f"member_{i}")
        logger.info("member %d of the ensemble: %s with seed %d", i + 1, model.kind, seed)
        members.append(_train_one(of_member, store, strategy, folders=places, key=f"{key}-{i}"))
    scored = members[0].scored
    target, present = scored["target"], scored["present"]
    said = [member.scored["quantiles"] for member in members]
    shares = fit_shares(target, said, present, levels)
    factors = (1.0,) * len(levels)
    if ensemble.calibrate:
        together = np.tensordot(shares, np.stack(said), axes=1).astype(np.float32)
        factors = stretch_factors(target, together, present, levels)
    with strategy.scope():
        network: Any = build_network(NetworkSpec(store.spec, ensemble))
    for place, member in zip(network.members, members, strict=True):
        place.set_weights(member.network.get_weights())
    network.shares.assign(shares)
    reports = [
        MemberReport(model.kind, seed, member.fit.best_epoch, _best_loss(member.fit), float(share))
        for (model, seed), member, share in zip(singles, members, shares, strict=True)
    ]
    logger.info("shares of the ensemble: %s", ", ".join(f"{one.kind} {one.share:.2f}" for one in reports))
    refit_cpu_s = sum(member.refit_cpu_s for member in members)
    return TrainedModel(network, _joined([member.fit for member in members]), factors, refit_cpu_s, tuple(reports))


def _joined(fits: "list[FitReport]") -> "FitReport":
    """The fit of the member that was best by itself, with what all of them took."""
    return replace(
        min(fits, key=_best_loss),
        n_parameters=sum(fit.n_parameters for fit in fits),
        divergences=tuple(divergence for fit in fits for divergence in fit.divergences),
        cpu_s=sum(fit.cpu_s for fit in fits),
    )


@dataclass(frozen=True)
class _TrainedMember:
    """A network after its refit, its first fit, and what that said of the validation period."""

    network: "AnyForecaster"
    fit: "FitReport"
    scored: dict[str, npt.NDArray[np.float32]]
    refit_cpu_s: float


def _train_one(
    settings: TrainModelSettings, store: FeatureStore, strategy: Any, *, folders: TrainingFolders, key: str
) -> _TrainedMember:
    """Fit with early stopping, ask for the validation period, and refit where the settings say so."""
    from forecasting.neural.batch_size import settle_batch_size
    from forecasting.neural.loop import TrainingLoop
    from forecasting.neural.models import NetworkSpec
    from forecasting.neural.scaled import predict_scaled

    train, validation = training_windows(store)
    spec = NetworkSpec(store.spec, settings.model)
    folders.checkpoints.mkdir(parents=True, exist_ok=True)
    kept = folders.checkpoints / BATCH_SIZE_FILE
    training = settle_batch_size(spec, settings.training, strategy, store, train, kept)
    settings = settings.model_copy(update={"training": training})
    loop = TrainingLoop(spec, training, strategy)
    fit = loop.fit(store, train, validation, checkpoint=folders.checkpoints / "fit", key=key,
                   summaries=folders.summaries / "fit")  # fmt: skip
    scored = predict_scaled(loop.network, store, validation, training.windows_per_step)
    if not settings.training.refit:
        return _TrainedMember(loop.network, fit, scored, 0.0)
    refitted, refit = _refit(spec, settings, store, fit.best_epoch, strategy=strategy, folders=folders, key=key)
    return _TrainedMember(refitted, fit, scored, refit.cpu_s)


def _best_loss(fit: "FitReport") -> float:
    return fit.history[fit.best_epoch - 1].validation_loss


def _report(settings: TrainModelSettings, trained: "TrainedModel") -> TrainingReport:
    fit = trained.fit
    return TrainingReport(
        strategy=settings.training.strategy,
        n_replicas=fit.n_replicas,
        n_parameters=fit.n_parameters,
        n_train_windows=fit.n_train_windows,
        n_validation_windows=fit.n_validation_windows,
        n_epochs=len(fit.history),
        best_epoch=fit.best_epoch,
        best_validation_loss=_best_loss(fit),
        stopped_early=fit.stopped_early,
        refit=settings.training.refit,
        resumed_from_epoch=fit.resumed_from_epoch,
        resumed_from_step=fit.resumed_from_step,
        batch_size=fit.batch_size,
        divergences=fit.divergences,
        calibration=trained.factors,
        cpu_s=fit.cpu_s,
        refit_cpu_s=trained.refit_cpu_s,
        members=trained.members,
    )


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


def training_windows(store: FeatureStore) -> tuple[WindowIndex, WindowIndex]:
    """Windows of the train cut and of the validation period.

    A window may begin before its series does (what lacks is missing) once one segment is known.

    Raises:
        DataError: One of the two is empty.
    """
    spec, split = store.spec, store.split
    train = learning_windows(store, with_validation=False)
    validation = window_index(store, split.validation_start, split.validation_end, min_age=spec.segment)
    if not len(train) or not len(validation):
        raise DataError(
            f"training and validation need at least one window of {spec.horizon} steps each, "
            f"found {len(train)} and {len(validation)}; give more history or shorten split.validation and split.test"
        )
    return train, validation


def _write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
