"""How many trials of a search may still begin, counted over all workers of its study."""

import threading

import optuna
from optuna.trial import FrozenTrial, TrialState

from components.tuning.study import SURPLUS
from pipelines.staged import is_over, n_over


class SurplusTrialError(Exception):
    """Two workers have taken the last place at once, and this trial is the later of theirs."""


class TrialPlaces:
    """Places for trials: of those that are over or run there are never more than were asked for."""

    def __init__(self, study: optuna.Study, n_trials: int) -> None:
        """Count places of a study.

        Args:
            study: The study.
            n_trials: Trials that it may have, over all calls and workers.
        """
        self._study, self._n_trials = study, n_trials
        self._lock = threading.Lock()
        self._mine = 0
        self.error: Exception | None = None

    @property
    def n_done(self) -> int:
        """Trials that came to an end of their own."""
        return n_over(self._study)

    def take(self) -> bool:
        """Take one of the places that are left, if there is one."""
        with self._lock:
            optuna.storages.fail_stale_trials(self._study)
            running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            others = len(running) - min(self._mine, len(running))
            if self.error is not None or self.n_done + self._mine + others >= self._n_trials:
                return False
            self._mine += 1
            return True

    def give_back(self) -> None:
        """A trial is over."""
        with self._lock:
            self._mine -= 1

    def check(self, trial: optuna.Trial) -> None:
        """Leave a trial that has begun to be, where workers that did not see each other have begun one too many.

        The storage numbers trials one after another, so that every worker comes to the same answer: the later ones go.

        Raises:
            SurplusTrialError: As many trials with lower numbers are over or run as there are places.
        """
        others = self._study.get_trials(deepcopy=False)
        before = [one for one in others if one.number < trial.number and _holds_place(one)]
        if len(before) >= self._n_trials:
            trial.set_user_attr(SURPLUS, True)
            raise SurplusTrialError


def _holds_place(trial: FrozenTrial) -> bool:
    return is_over(trial) or (trial.state == TrialState.RUNNING and SURPLUS not in trial.user_attrs)
