"""Several models as one: its members one after another, and the shares that they get."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from components.training.member import (
    TrainedMember,
    TrainedModel,
    TrainingFolders,
    best_loss,
    train_member,
)
from components.training.trained import Floats, training_windows
from forecasting.config.models import EnsembleConfig, SingleConfig
from forecasting.config.root import TrainModelSettings
from forecasting.feature_store import FeatureStore, origin_times
from forecasting.neural.calibration import calibration_factors
from forecasting.neural.shares import SharesReport, choose_shares

if TYPE_CHECKING:
    from forecasting.neural.loop import FitReport
    from forecasting.neural.models import EnsembleForecaster

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MemberReport:
    """A model of an ensemble and its share."""

    kind: str
    seed: int
    best_epoch: int
    best_validation_loss: float
    share: float


@dataclass(frozen=True)
class TrainedEnsemble(TrainedModel):
    """An ensemble, its members and how their shares were chosen."""

    members: tuple[MemberReport, ...]
    shares: SharesReport


def train_ensemble(settings: TrainModelSettings, ensemble: EnsembleConfig, store: FeatureStore, strategy: Any, *,
                   folders: TrainingFolders, key: str) -> TrainedEnsemble:  # fmt: skip
    """Train the members one after another, find their shares, and calibrate what they say together.

    Shares and factors come from the first fits, which have not learnt from the validation period.
    """
    singles = ensemble.singles(settings.training.seed)
    members = _train_members(settings, singles, store, strategy, folders=folders, key=key)
    scored = members[0].scored
    said = [member.scored["quantiles"] for member in members]
    _, validation = training_windows(store)
    found = choose_shares(
        scored["target"], said, scored["present"], store.spec.quantiles,
        origins=origin_times(store, validation), horizon_s=store.spec.horizon * store.spec.step_s,
    )  # fmt: skip
    together = np.tensordot(found.shares, np.stack(said), axes=1).astype(np.float32)
    factors = calibration_factors(scored, together, store, calibrate=ensemble.calibrate)
    network, first = _joined_network(ensemble, members, found.shares, store, strategy)
    reports = [
        MemberReport(model.kind, seed, member.fit.best_epoch, best_loss(member.fit), share)
        for (model, seed), member, share in zip(singles, members, found.shares, strict=True)
    ]
    said_shares = ", ".join(f"{one.kind} {one.share:.2f}" for one in reports)
    logger.info("shares of the ensemble, %s: %s", found.choice, said_shares)
    refit_cpu_s = sum(member.refit_cpu_s for member in members)
    fit = _joined_fit([member.fit for member in members])
    return TrainedEnsemble(network, fit, factors, refit_cpu_s, settings, (), first, tuple(reports), found)


def _train_members(
    settings: TrainModelSettings, singles: Sequence[tuple[SingleConfig, int]], store: FeatureStore, strategy: Any, *,
    folders: TrainingFolders, key: str,
) -> list[TrainedMember]:  # fmt: skip
    members = []
    for i, (model, seed) in enumerate(singles):
        training = settings.training.model_copy(update={"seed": seed})
        of_member = settings.model_copy(update={"model": model, "training": training})
        places = TrainingFolders(folders.checkpoints / f"member_{i}", folders.summaries / f"member_{i}")
        logger.info("member %d of the ensemble: %s with seed %d", i + 1, model.kind, seed)
        members.append(train_member(of_member, store, strategy, folders=places, key=f"{key}-{i}"))
    return members


def _joined_network(
    ensemble: EnsembleConfig, members: Sequence[TrainedMember], shares: Sequence[float], store: FeatureStore,
    strategy: Any,
) -> "tuple[EnsembleForecaster, list[Floats] | None]":  # fmt: skip
    """The ensemble, and its weights before the refits of its members; none without refits."""
    from forecasting.neural.models import NetworkSpec, build_network

    with strategy.scope():
        network: Any = build_network(NetworkSpec(store.spec, ensemble))
    network.shares.assign(shares)
    first = None
    if all(member.first_weights is not None for member in members):
        for place, member in zip(network.members, members, strict=True):
            place.set_weights(member.first_weights)
        first = network.get_weights()
    for place, member in zip(network.members, members, strict=True):
        place.set_weights(member.network.get_weights())
    return network, first


def _joined_fit(fits: "list[FitReport]") -> "FitReport":
    """The fit of the member that was best by itself, with what all of them took."""
    return replace(
        min(fits, key=best_loss),
        n_parameters=sum(fit.n_parameters for fit in fits),
        divergences=tuple(divergence for fit in fits for divergence in fit.divergences),
        cpu_s=sum(fit.cpu_s for fit in fits),
    )
