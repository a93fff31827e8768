"""Structured pruning: whole units taken out of a trained network, round by round, until the accuracy budget is spent.

Each round lowers every width, keeps the units that matter most and fine-tunes the narrower network with distillation from
the unpruned one. The last network whose loss on the validation windows is inside the budget wins.
"""

import logging
import time
from dataclasses import dataclass, replace

from forecasting.config.models import EnsembleConfig
from forecasting.config.training import TrainingConfig
from forecasting.config.widths import WIDTHS, supports_structured
from forecasting.errors import ConfigError
from forecasting.feature_store import FeatureStore, WindowIndex
from forecasting.neural.compression.fine_tuning import fine_tune, mean_loss, taught_windows
from forecasting.neural.compression.importance import Criterion, unit_importance
from forecasting.neural.compression.narrowing import n_parameters, narrowed_model, narrowed_network
from forecasting.neural.models import AnyForecaster, NetworkSpec

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NarrowingConfig:
    """How structured pruning goes about it.

    max_loss_ratio: how much greater the loss on the validation windows may be, as a share of the unpruned network's.
    keep_ratio: share of each width that a round keeps. n_steps: optimiser steps after a round. rate_factor: on the learning
    rates of the training. teacher_share: weight of the unpruned network's answers beside actual values. time_budget_s: no
    round begins that would probably end later; none: rounds alone count.
    """

    max_loss_ratio: float = 0.01
    criterion: Criterion = "taylor"
    keep_ratio: float = 0.7
    max_rounds: int = 4
    n_steps: int = 600
    rate_factor: float = 1.0
    teacher_share: float = 0.5
    time_budget_s: float | None = None


@dataclass(frozen=True)
class NarrowingRecord:
    """One round. loss_ratio: rise of the validation loss as a share of the unpruned network's; negative: it fell."""

    widths: dict[str, int | list[int]]
    n_parameters: int
    loss_ratio: float
    within_budget: bool
    duration_s: float


@dataclass(frozen=True)
class NarrowNetwork:
    """The winner: its network and what it is made from; the network itself where no round was inside the budget."""

    network: AnyForecaster
    spec: NetworkSpec
    rounds: tuple[NarrowingRecord, ...]


def narrow_network(
    network: AnyForecaster,
    spec: NetworkSpec,
    training: TrainingConfig,
    *,
    store: FeatureStore,
    train: WindowIndex,
    validation: WindowIndex,
    settings: NarrowingConfig,
) -> NarrowNetwork:
    """Take units out of a network until the budget is spent.

    Args:
        network: The trained network, which is left as it is.
        spec: What it is made from.
        training: Settings it was trained with; `batch_size` is a number.
        store: Feature store.
        train: Windows to fine-tune on, and to find out on what matters.
        validation: Windows that the budget counts on.
        settings: See there.

    Raises:
        ConfigError: The kind of model has no units that could be taken out.
    """
    reason = supports_structured(spec.model)
    if reason is not None:
        raise ConfigError(f"structured pruning needs hidden units: {reason}")
    taught = taught_windows(network, store, train)
    before = mean_loss(network, store, validation)
    best = NarrowNetwork(network, spec, ())
    began = time.monotonic()
    for _ in range(settings.max_rounds):
        round_began = time.monotonic()
        smaller = NetworkSpec(spec.features, narrowed_model(best.spec.model, settings.keep_ratio))
        if smaller.model == best.spec.model or _is_too_late(settings, best.rounds, round_began - began):
            break
        groups = best.network.width_groups()
        scores = unit_importance(best.network, groups, store, train, criterion=settings.criterion)
        narrow, _ = narrowed_network(best.network, smaller, scores)
        fine_tune(
            narrow, taught, training,
            n_steps=settings.n_steps, rate_factor=settings.rate_factor, teacher_share=settings.teacher_share,
        )  # fmt: skip
        loss_ratio = mean_loss(narrow, store, validation) / before - 1.0
        record = NarrowingRecord(
            widths=_widths(smaller),
            n_parameters=n_parameters(narrow),
            loss_ratio=loss_ratio,
            within_budget=loss_ratio <= settings.max_loss_ratio,
            duration_s=round(time.monotonic() - round_began, 2),
        )
        logger.info("structured pruning: %d weights, loss %+.2f %%", record.n_parameters, 100 * loss_ratio)
        best = replace(best, rounds=(*best.rounds, record))
        if not record.within_budget:
            break
        best = NarrowNetwork(narrow, smaller, best.rounds)
    return best


def _is_too_late(settings: NarrowingConfig, rounds: tuple[NarrowingRecord, ...], elapsed_s: float) -> bool:
    if settings.time_budget_s is None:
        return False
    return elapsed_s + max((record.duration_s for record in rounds), default=0.0) > settings.time_budget_s


def _widths(spec: NetworkSpec) -> dict[str, int | list[int]]:
    """Widths of the settings; those of an ensemble with the number of the member before them."""
    models = spec.model.members if isinstance(spec.model, EnsembleConfig) else (spec.model,)
    found = {}
    for i, model in enumerate(models):
        for field in WIDTHS[model.kind]:
            width = getattr(model, field)
            found[field if len(models) == 1 else f"{i}.{field}"] = list(width) if isinstance(width, tuple) else width
    return found
