"""Structured pruning: whole units taken out of a trained network, round by round, until the accuracy budget is spent.

Each round lowers every width, keeps the units that matter most and fine-tunes the narrower network with distillation from
the unpruned one. The last network whose loss on the validation windows is inside the budget wins. That says something only of
networks which have not learnt from these windows: one that was fitted to them, too, answers them by heart. So the rounds are
counted with the network of the first fit and the train cut, and done again with that of the refit and all it learnt from.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from forecasting.config.models import EnsembleConfig
from forecasting.config.training import TrainingConfig
from forecasting.config.widths import WIDTHS, supports_structured
from forecasting.errors import ConfigError
from forecasting.feature_store import FeatureStore, WindowIndex
from forecasting.features.spec import FeatureSpec
from forecasting.features.transform import removable_columns
from forecasting.neural.compression.fine_tuning import (
    TuningConfig,
    TuningWindows,
    drawn_windows,
    fine_tune,
    mean_loss,
    taught_windows,
    window_scales,
)
from forecasting.neural.compression.importance import Criterion, unit_importance
from forecasting.neural.compression.inputs import with_inputs
from forecasting.neural.compression.kept_weights import KeptWeights, read_kept, write_kept
from forecasting.neural.compression.narrowing import n_parameters, narrowed_model, narrowed_network
from forecasting.neural.models import AnyForecaster, NetworkSpec, build_network

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
    """The winner: its network and what it is made from; where no round was inside the budget, the network without idle inputs.

    specs: what the network of each round inside the budget is made from. out_of_time: whether a further round was left out because
    it would have ended too late.
    """

    network: AnyForecaster
    spec: NetworkSpec
    rounds: tuple[NarrowingRecord, ...]
    specs: tuple[NetworkSpec, ...] = ()
    out_of_time: bool = False


class KeptRounds:
    """Networks after finished rounds, for a run that goes on after it was stopped; each says of what settings and inputs it is."""

    def __init__(self, folder: Path, name: str) -> None:
        """Keep rounds of a name in an existing folder."""
        self._folder, self._name = folder, name

    def read(self, number: int, spec: NetworkSpec) -> tuple[AnyForecaster, float] | None:
        """The network of a round and the seconds that it took; none where it was not finished, or of another network."""
        kept = read_kept(self._path(number))
        if kept is None or kept.about["network"] != _identity(spec):
            return None
        network = build_network(spec)
        network.set_weights(kept.weights)
        return network, float(kept.about["duration_s"])

    def write(self, number: int, network: AnyForecaster, spec: NetworkSpec, duration_s: float) -> None:
        """Keep a round that is finished, whose network is made from a spec."""
        about = {"duration_s": duration_s, "network": _identity(spec)}
        write_kept(self._path(number), KeptWeights(network.get_weights(), about))

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._name}_{number}.npz"


class NarrowingRounds:
    """Rounds that share a teacher, which is the unpruned network, and the windows that it answered."""

    def __init__(
        self,
        teacher: AnyForecaster,
        training: TrainingConfig,
        *,
        store: FeatureStore,
        windows: WindowIndex,
        settings: NarrowingConfig,
        progress: Callable[[int], None] | None = None,
        kept: KeptRounds | None = None,
    ) -> None:
        """Begin.

        Args:
            teacher: The trained network, which is left as it is.
            training: Settings it was trained with; `batch_size` is a number.
            store: Feature store.
            windows: What the teacher learnt from: rounds are fine-tuned on them, and they say what matters.
            settings: See there.
            progress: Called after each step of fine-tuning with its number in the round.
            kept: Where finished rounds are kept; none: nowhere.
        """
        self.teacher, self.store, self.settings = teacher, store, settings
        self._training, self._windows, self._progress, self._kept = training, windows, progress, kept

    def narrower(self, number: int, network: AnyForecaster, spec: NetworkSpec) -> tuple[AnyForecaster, float]:
        """A narrower network, fine-tuned, and the seconds that it took; it is kept.

        Args:
            number: Of the round, from 0.
            network: That of the round before.
            spec: What the narrower one is made from.
        """
        began = time.monotonic()
        groups, criterion = network.width_groups(), self.settings.criterion
        scores = unit_importance(network, groups, self.store, self._windows, criterion=criterion)
        narrow, _ = narrowed_network(network, spec, scores)
        chosen = TuningConfig(self.settings.rate_factor, self.settings.teacher_share)
        fine_tune(narrow, self._taught, self._training, settings=chosen, after_step=self._progress)
        duration_s = round(time.monotonic() - began, 2)
        if self._kept:
            self._kept.write(number, narrow, spec, duration_s)
        return narrow, duration_s

    def finished(self, number: int, spec: NetworkSpec) -> tuple[AnyForecaster, float] | None:
        """What `narrower` gave in an earlier run; none where it did not."""
        return self._kept.read(number, spec) if self._kept else None

    @cached_property
    def _taught(self) -> TuningWindows:
        drawn = drawn_windows(self.store, self._windows, self._training, n_steps=self.settings.n_steps)
        return taught_windows(self.teacher, drawn)


def narrow_network(
    spec: NetworkSpec, reads: FeatureSpec, rounds: NarrowingRounds, validation: WindowIndex
) -> NarrowNetwork:
    """Take inputs and units out of a network until the budget is spent.

    Args:
        spec: What the network is made from.
        reads: What is left of its inputs without those that it hardly reads: a reduced spec, or its own.
        rounds: Of a network that has not learnt from the validation windows.
        validation: What the budget counts on.

    Raises:
        ConfigError: The kind of model has no units that could be taken out.
    """
    reason = supports_structured(spec.model)
    if reason is not None:
        raise ConfigError(f"structured pruning needs hidden units: {reason}")
    settings, began, before = rounds.settings, time.monotonic(), mean_loss(rounds.teacher, rounds.store, validation)
    scales = window_scales(rounds.teacher, rounds.store, validation)
    best = NarrowNetwork(_reading(rounds.teacher, spec, reads), NetworkSpec(reads, spec.model), ())
    resumed_s = 0.0
    for number in range(settings.max_rounds):
        smaller = NetworkSpec(reads, narrowed_model(best.spec.model, settings.keep_ratio))
        if smaller == best.spec:
            break
        done = rounds.finished(number, smaller)
        if done is not None:
            # Its seconds count, and as they are gone, it is never too late for it.
            resumed_s += done[1]
        elif _is_too_late(settings, best.rounds, time.monotonic() - began + resumed_s):
            return replace(best, out_of_time=True)
        narrow, duration_s = done or rounds.narrower(number, best.network, smaller)
        loss_ratio = mean_loss(narrow, rounds.store, validation, scales=scales) / before - 1.0
        within = loss_ratio <= settings.max_loss_ratio
        record = NarrowingRecord(_widths(smaller), n_parameters(narrow), loss_ratio, within, duration_s)
        logger.info("structured pruning: %d weights, loss %+.2f %%", record.n_parameters, 100 * loss_ratio)
        best = replace(best, rounds=(*best.rounds, record))
        if not within:
            break
        best = NarrowNetwork(narrow, smaller, best.rounds, (*best.specs, smaller))
    return best


def repeat_rounds(
    spec: NetworkSpec, reads: FeatureSpec, rounds: NarrowingRounds, specs: Sequence[NetworkSpec]
) -> AnyForecaster:
    """The network after rounds that were found to be inside the budget with another one of the same kind.

    Args:
        spec: What the network is made from.
        reads: As for `narrow_network`.
        rounds: Of the network that units are taken out of.
        specs: What the network of each round is made from.
    """
    network = _reading(rounds.teacher, spec, reads)
    for number, smaller in enumerate(specs):
        done = rounds.finished(number, smaller)
        network, _ = done or rounds.narrower(number, network, smaller)
    return network


def _reading(network: AnyForecaster, spec: NetworkSpec, reads: FeatureSpec) -> AnyForecaster:
    """The network without the inputs that a reduced spec has not."""
    return network if reads == spec.features else with_inputs(network, spec, reads)


def _identity(spec: NetworkSpec) -> dict[str, Any]:
    """What tells the networks of rounds apart, as JSON: settings, context, columns of the past that can go."""
    return {
        "model": spec.model.model_dump(mode="json"),
        "context": spec.features.context,
        "columns": list(removable_columns(spec.features)),
    }


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
