"""train_model: fit the network, calibrate its quantiles on the validation period, export it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.training.ensemble import MemberReport, TrainedEnsemble, train_ensemble
from components.training.member import TrainedModel, TrainingFolders, best_loss, train_single
from components.training.remedies import RemedyRecord
from forecasting.config.models import EnsembleConfig
from forecasting.config.root import TrainModelSettings
from forecasting.config.search_space import with_settings
from forecasting.contracts.artifacts import (
    FEATURE_SPEC_FILE,
    FIRST_FIT_WEIGHTS_FILE,
    HISTORY_FILE,
    MODEL_SPEC_FILE,
    REPORT_FILE,
    SAVED_MODEL_DIR,
    TUNED_FILE,
    WEIGHTS_FILE,
)
from forecasting.contracts.steps import StepName
from forecasting.feature_store import FeatureStore, read_feature_store
from forecasting.features.spec import FeatureSpec, write_feature_spec
from forecasting.manifests import digest_text, load_manifest
from forecasting.steps import StepContext, StepOutcome
from forecasting.tuning_record import read_tuned_settings

if TYPE_CHECKING:
    from forecasting.neural.divergence import DivergenceRecord
    from forecasting.neural.shares import SharesReport

TENSORBOARD_DIR = "tensorboard"
"""Among the logs of a run: event files and profiles of the fit and the refit."""
_LOSSES = {False: "quantile loss", True: "quantile and squared loss"}
"""What is minimised, without and with a forecast of the mean."""


@dataclass(frozen=True)
class TrainingReport:
    """What the training did; losses are means over steps in scaled units, and `loss` says of what.

    Of an ensemble, epochs and losses are those of the member that was best by itself, `members` has all of them, and
    `shares` says how their shares were chosen.
    cpu_s and refit_cpu_s: CPU seconds of the first fits and of the refits, of all members.

    remedies: those of `training.auto_remedy`, in order; the other figures are of the training that was kept.
    divergences: where the loss was lost, by step, rate and windows, and from which step it was retried.
    """

    loss: str
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
    remedies: tuple[RemedyRecord, ...] = ()
    members: tuple[MemberReport, ...] = ()
    shares: "SharesReport | None" = None


def train_model(
    settings: TrainModelSettings, inputs: Mapping[StepName, Path], output: Path, context: StepContext
) -> StepOutcome:
    """Write saved_model/, model.weights.h5, feature_spec.json, model_spec.json, history.json and report.json.

    With `training.refit` first_fit.weights.h5, too: compression has to find out on the validation period what a change costs.
    """
    from forecasting.neural.strategy import is_chief, make_strategy

    if StepName.TUNE_MODEL in inputs:
        settings = tuned_settings(settings, inputs[StepName.TUNE_MODEL])
    strategy = make_strategy(settings.training)
    from forecasting.neural.export import CalibrationSpec, ForecastModule, export_saved_model
    from forecasting.neural.models import NetworkSpec, build_network

    features = inputs[StepName.BUILD_FEATURES]
    store = read_feature_store(features)
    key = digest_text(settings.model_dump_json() + load_manifest(features).payload_digest)
    folders = TrainingFolders(context.run.checkpoint(StepName.TRAIN_MODEL), context.run.logs / TENSORBOARD_DIR)
    trained = _train(settings, store, strategy, folders=folders, key=key)
    network, fit, factors = trained.network, trained.fit, trained.factors
    if not is_chief(strategy):
        return StepOutcome(passed=True, summary="trained as a worker; the chief writes the model", reusable=False)
    export_saved_model(ForecastModule(network, store.spec, CalibrationSpec(factors)), output / SAVED_MODEL_DIR)
    network.save_weights(output / WEIGHTS_FILE)
    if trained.first_weights is not None:
        first = build_network(NetworkSpec(store.spec, trained.settings.model))
        first.set_weights(trained.first_weights)
        first.save_weights(output / FIRST_FIT_WEIGHTS_FILE)
    write_feature_spec(store.spec, output / FEATURE_SPEC_FILE)
    used = trained.settings
    model_spec = {
        "kind": used.model.kind,
        "calibration": factors,
        "model": used.model.model_dump(),
        "training": used.training.model_dump(mode="json"),
        "n_parameters": fit.n_parameters,
    }
    _write_json(output / MODEL_SPEC_FILE, model_spec)
    _write_json(output / HISTORY_FILE, [asdict(row) for row in fit.history])
    _write_json(output / REPORT_FILE, asdict(_report(settings, store.spec, trained)))
    refit = " (refit)" if settings.training.refit else ""
    kept = [record.change for record in trained.remedies if record.kept]
    remedied = f"; remedies: {', '.join(kept)}" if kept else ""
    return StepOutcome(
        passed=True,
        summary=f"{fit.n_parameters:,} parameters on {fit.n_train_windows:,} windows, {len(fit.history)} epochs, "
        f"best {fit.best_epoch}{refit}, {fit.n_replicas} replica{'s' if fit.n_replicas > 1 else ''}{remedied}",
    )


def tuned_settings(settings: TrainModelSettings, search: Path) -> TrainModelSettings:
    """The settings of the step with the best ones that a search has found in their places.

    Args:
        settings: As configured.
        search: Output of tune_model.
    """
    found = read_tuned_settings(search / TUNED_FILE)
    return TrainModelSettings.model_validate(with_settings(settings.model_dump(mode="json"), found.settings))


def _train(
    settings: TrainModelSettings, store: FeatureStore, strategy: Any, *, folders: TrainingFolders, key: str
) -> TrainedModel:
    if isinstance(settings.model, EnsembleConfig):
        return train_ensemble(settings, settings.model, store, strategy, folders=folders, key=key)
    return train_single(settings, store, strategy, folders=folders, key=key)


def _report(settings: TrainModelSettings, spec: FeatureSpec, trained: TrainedModel) -> TrainingReport:
    fit, joined = trained.fit, trained if isinstance(trained, TrainedEnsemble) else None
    return TrainingReport(
        loss=_LOSSES[spec.mean],
        strategy=settings.training.strategy,
        n_replicas=fit.n_replicas,
        n_parameters=fit.n_parameters,
        n_train_windows=fit.n_train_windows,
        n_validation_windows=fit.n_validation_windows,
        n_epochs=len(fit.history),
        best_epoch=fit.best_epoch,
        best_validation_loss=best_loss(fit),
        stopped_early=fit.stopped_early,
        refit=settings.training.refit,
        resumed_from_epoch=fit.resumed_from_epoch,
        resumed_from_step=fit.resumed_from_step,
        batch_size=fit.batch_size,
        divergences=fit.divergences,
        calibration=trained.factors,
        cpu_s=fit.cpu_s,
        refit_cpu_s=trained.refit_cpu_s,
        remedies=trained.remedies,
        members=joined.members if joined else (),
        shares=joined.shares if joined else None,
    )


def _write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
