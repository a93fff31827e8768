"""Structured pruning: whole units taken out of a trained network, round by round, until the accuracy budget is spent.

Each round lowers every width, keeps the units that matter most and fine-tunes the narrower network with distillation from
the unpruned one. The last network whose loss on the validation windows is inside the budget wins. Rounds learn from what the
unpruned network learnt from, so that like is compared with like: one that was fitted to the validation period, too, would
seem to lose what it merely knew by heart.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from forecasting.config.models import EnsembleConfig
from forecasting.config.training import TrainingConfig
from forecasting.config.widths import WIDTHS, supports_structured
from forecasting.errors import ConfigError
from forecasting.feature_store import FeatureStore, WindowIndex, learning_windows, window_index
from forecasting.neural.compression.fine_tuning import (
    TuningConfig,
    TuningWindows,
    drawn_windows,
    fine_tune,
    mean_loss,
    taught_windows,
)
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
    """The winner: its network and what it is made from; the network itself where no round was inside the budget.

    out_of_time: whether a further round was left out because it would have ended too late.
    """

    network: AnyForecaster
    spec: NetworkSpec
    rounds: tuple[NarrowingRecord, ...]
    out_of_time: bool = False


@dataclass(frozen=True)
class NarrowingWindows:
    """Windows of structured pruning.

    train: what the network learnt from, rounds are fine-tuned on, and where it is found out what matters. validation: what the
    budget counts on.
    """

    train: WindowIndex
    validation: WindowIndex


def narrowing_windows(store: FeatureStore, *, refit: bool) -> NarrowingWindows:
    """Windows of a feature store, none of which reaches into the test period.

    Args:
        store: Feature store.
        refit: Whether the network itself was trained on the validation period, too, in the end.
    """
    split = store.split
    return NarrowingWindows(
        learning_windows(store, with_validation=refit),
        window_index(store, split.validation_start, split.validation_end, min_age=store.spec.segment),
    )


def narrow_network(
    network: AnyForecaster,
    spec: NetworkSpec,
    training: TrainingConfig,
    *,
    store: FeatureStore,
    windows: NarrowingWindows,
    settings: NarrowingConfig,
    progress: Callable[[int], None] | None = None,
) -> NarrowNetwork:
    """Take units out of a network until the budget is spent.

    Args:
        network: The trained network, which is left as it is.
        spec: What it is made from.
        training: Settings it was trained with; `batch_size` is a number.
        store: Feature store.
        windows: See there.
        settings: See there.
        progress: Called after each step of fine-tuning with its number in the round.

    Raises:
        ConfigError: The kind of model has no units that could be taken out.
    """
    reason = supports_structured(spec.model)
    if reason is not None:
        raise ConfigError(f"structured pruning needs hidden units: {reason}")
    began = time.monotonic()
    work = _Narrowing(network, training, store, windows, settings, progress)
    best = NarrowNetwork(network, spec, ())
    for _ in range(settings.max_rounds):
        smaller = NetworkSpec(spec.features, narrowed_model(best.spec.model, settings.keep_ratio))
        if smaller.model == best.spec.model:
            break
        if _is_too_late(settings, best.rounds, time.monotonic() - began):
            best = replace(best, out_of_time=True)
            break
        narrow, record = work.round(best.network, smaller)
        best = replace(best, rounds=(*best.rounds, record))
        if not record.within_budget:
            break
        best = NarrowNetwork(narrow, smaller, best.rounds)
    return best


class _Narrowing:
    """Rounds that share a teacher, the windows that it answered, and the loss that they are compared with."""

    def __init__(
        self,
        teacher: AnyForecaster,
        training: TrainingConfig,
        store: FeatureStore,
        windows: NarrowingWindows,
        settings: NarrowingConfig,
        progress: Callable[[int], None] | None,
    ) -> None:
        self._teacher, self._training, self._store, self._windows = teacher, training, store, windows
        self._settings, self._progress = settings, progress
        self._taught = self.taught(windows.train)
        self._before = mean_loss(teacher, store, windows.validation)

    def taught(self, windows: WindowIndex) -> TuningWindows:
        """Windows for a round of fine-tuning, with the teacher's answers."""
        drawn = drawn_windows(self._store, windows, self._training, n_steps=self._settings.n_steps)
        return taught_windows(self._teacher, drawn)

    def tune(self, network: AnyForecaster, taught: TuningWindows) -> None:
        """Fine-tune a narrower network."""
        chosen = TuningConfig(self._settings.rate_factor, self._settings.teacher_share)
        fine_tune(network, taught, self._training, settings=chosen, after_step=self._progress)

    def round(self, network: AnyForecaster, smaller: NetworkSpec) -> tuple[AnyForecaster, NarrowingRecord]:
        """A narrower network, fine-tuned on the train windows and scored on those of the validation period."""
        began = time.monotonic()
        settings, store, windows = self._settings, self._store, self._windows
        scores = unit_importance(network, network.width_groups(), store, windows.train, criterion=settings.criterion)
        narrow, _ = narrowed_network(network, smaller, scores)
        self.tune(narrow, self._taught)
        loss_ratio = mean_loss(narrow, store, windows.validation) / self._before - 1.0
        record = NarrowingRecord(
            widths=_widths(smaller),
            n_parameters=n_parameters(narrow),
            loss_ratio=loss_ratio,
            within_budget=loss_ratio <= settings.max_loss_ratio,
            duration_s=round(time.monotonic() - began, 2),
        )
        logger.info("structured pruning: %d weights, loss %+.2f %%", record.n_parameters, 100 * loss_ratio)
        return narrow, record


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
