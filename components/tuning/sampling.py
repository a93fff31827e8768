"""How the settings of a trial are drawn: by the sampler of the study, from random numbers that the trial's number says."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial
from typing_extensions import override

from forecasting.config.tuning import TuningConfig


class NumberedSampler(optuna.samplers.BaseSampler):
    """A sampler made anew for every trial, seeded by the number that the storage has given it.

    With one seed for a whole call, workers of several processes would all draw the same settings, and a call that goes on would
    draw again what the first one drew.
    """

    def __init__(self, make: Callable[[int], optuna.samplers.BaseSampler], seed: int) -> None:
        """Make samplers by a function of their seed; `seed` is that of the search."""
        self._make, self._seed = make, seed
        self._drawing = threading.local()

    @property
    def _own(self) -> optuna.samplers.BaseSampler:
        """That of the trial which this thread draws."""
        found: optuna.samplers.BaseSampler = self._drawing.sampler
        return found

    @override
    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        (seed,) = np.random.SeedSequence([self._seed, trial.number]).generate_state(1).tolist()
        self._drawing.sampler = self._make(seed)
        self._own.before_trial(study, trial)

    @override
    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._own.infer_relative_search_space(study, trial)

    @override
    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._own.sample_relative(study, trial, search_space)

    @override
    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._own.sample_independent(study, trial, param_name, param_distribution)


def make_sampler(settings: TuningConfig) -> optuna.samplers.BaseSampler:
    """The sampler of a study; a grid is put in line as trials, and draws nothing."""
    if settings.sampler == "tpe":
        shared = settings.n_workers > 1 or settings.storage is not None
        return NumberedSampler(
            lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=shared), settings.seed
        )
    return NumberedSampler(lambda seed: optuna.samplers.RandomSampler(seed=seed), settings.seed)
