"""A worker of a search whose trials cost nothing: `python -m … ADDRESS WORKER N_TRIALS`."""

import random
import sys
import time
from pathlib import Path

import optuna

from components.tuning.study import WORKER, StudySpec, open_study, suggest
from forecasting.config.tuning import RangeConfig, TuningConfig
from forecasting.store.address import store_address
from pipelines.trial_places import SurplusTrialError, TrialPlaces

SPACE = {"training.learning_rate": RangeConfig(low=1e-4, high=1e-2, log=True)}


def study_spec(address: str, worker: str) -> StudySpec:
    settings = TuningConfig(space=SPACE, sampler="random")
    return StudySpec("load-1", store_address(address, Path()), worker, settings, SPACE)


def main(address: str, worker: str, n_trials: str) -> None:
    study = open_study(study_spec(address, worker))
    places = TrialPlaces(study, int(n_trials))

    def objective(trial: optuna.Trial) -> float:
        trial.set_user_attr(WORKER, worker)
        places.check(trial)
        found = suggest(trial, SPACE, frozenset())["training.learning_rate"]
        time.sleep(random.Random(worker).uniform(0, 0.05))
        return float(found)

    while places.take():
        try:
            study.optimize(objective, n_trials=1, catch=(SurplusTrialError,))
        finally:
            places.give_back()


if __name__ == "__main__":
    main(*sys.argv[1:])
