"""A study: where its trials are kept, how settings are drawn, and what is left of a call that was killed."""

import itertools
import json
import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from components.tuning.sampling import make_sampler
from forecasting.config.tuning import Choice, RangeConfig, TuningConfig, choice_label
from forecasting.errors import ConfigError, RemoteError
from forecasting.store.address import StoreAddress

ERROR, REFUSED, RESULT, WORKER, RETRY_OF, BASELINE = "error", "refused", "result", "worker", "retry_of", "baseline"
STAGE, PATH, SEED, OF, KEY, SURPLUS = "stage", "path", "seed", "of", "key", "surplus"
"""What is remembered of a trial besides its settings."""
HEARTBEAT_S, GRACE_S = 20, 120
"""How often a running trial says that it is, and after what silence another worker tries it again."""
MOST_COMBINATIONS = 100_000
_ATTEMPTS, _WAIT_S = 5, 1.0
"""To find the tables of a new database, which another worker makes just then."""

Space = Mapping[str, RangeConfig]


@dataclass(frozen=True)
class StudySpec:
    """A study by its name in a storage. worker: this home on this machine, which holds the lease of the search."""

    name: str
    address: StoreAddress
    worker: str
    settings: TuningConfig
    space: Space


def open_study(spec: StudySpec) -> optuna.Study:
    """Open a study, made where it is new; trials that an earlier call of this worker left behind are put in line again.

    Raises:
        RemoteError: The storage cannot be reached.
    """
    # What became of each trial is told in our own words.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    wait = {"connect_args": {"timeout": 60}} if spec.address.file is not None else {"pool_pre_ping": True}
    try:
        storage = _storage(spec.address.url.render_as_string(hide_password=False), wait)
        study = optuna.create_study(
            storage=storage, study_name=spec.name, load_if_exists=True, pruner=_pruner(spec.settings),
            direction="maximize" if spec.settings.maximised else "minimize",
        )  # fmt: skip
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
        raise RemoteError(
            f"the study must be kept in {spec.address.shown}: {spec.address.scrubbed(str(error))}"
        ) from error
    study.sampler = make_sampler(spec.settings)
    _retry_unfinished(study, spec.worker)
    if spec.settings.sampler == "grid":
        _enqueue_grid(study, spec)
    return study


def _storage(url: str, engine_kwargs: dict[str, Any]) -> optuna.storages.RDBStorage:
    """The storage; of workers that begin at once in an empty database one makes the tables, and the others try again."""
    attempt = 1
    while True:
        try:
            return optuna.storages.RDBStorage(
                url, engine_kwargs=engine_kwargs, heartbeat_interval=HEARTBEAT_S, grace_period=GRACE_S
            )
        except (IntegrityError, ProgrammingError):
            if attempt == _ATTEMPTS:
                raise
            attempt += 1
            time.sleep(_WAIT_S)


def _pruner(settings: TuningConfig) -> optuna.pruners.BasePruner:
    if settings.pruner == "none":
        return optuna.pruners.NopPruner()
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=settings.min_epochs, reduction_factor=settings.reduction_factor
    )


def _retry_unfinished(study: optuna.Study, worker: str) -> None:
    """What this worker left running is over, for it holds the lease; what was stopped or is over is tried again once."""
    optuna.storages.fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.user_attrs.get(WORKER) == worker:
            study.tell(trial.number, state=TrialState.FAIL)
    trials = study.get_trials(deepcopy=False)
    retried = {trial.user_attrs.get(RETRY_OF) for trial in trials}
    for trial in trials:
        if was_stopped(trial) and trial.number not in retried and trial.params:
            kept = {
                key: trial.user_attrs[key] for key in (BASELINE, STAGE, PATH, SEED, OF, KEY) if key in trial.user_attrs
            }
            study.enqueue_trial(trial.params, user_attrs={**kept, RETRY_OF: trial.number})


def was_stopped(trial: FrozenTrial) -> bool:
    """Whether a trial ended for no reason of its own."""
    return trial.state == TrialState.FAIL and not {ERROR, SURPLUS} & trial.user_attrs.keys()


def _enqueue_grid(study: optuna.Study, spec: StudySpec) -> None:
    """Every combination, in an order that the seed says, as many as there may be trials."""
    values = {path: found.grid or () for path, found in spec.space.items()}
    n_combinations = math.prod(len(one) for one in values.values())
    if n_combinations > MOST_COMBINATIONS:
        raise ConfigError(
            f"tuning.sampler grid takes at most {MOST_COMBINATIONS:,} combinations, tuning.space has {n_combinations:,}; take tpe or random"
        )
    every = list(itertools.product(*values.values()))
    order = np.random.default_rng(spec.settings.seed).permutation(n_combinations)[: spec.settings.n_trials]
    for i in order:
        drawn = dict(zip(values, every[i], strict=True))
        study.enqueue_trial(parameters(drawn, spec.space), skip_if_exists=True)


def enqueue_baseline(study: optuna.Study, spec: StudySpec, current: Mapping[str, Any]) -> None:
    """Begin a new study with the settings as they are, where the space holds them."""
    if spec.settings.sampler == "grid" or study.get_trials(deepcopy=False) or not all(
        holds(values, current[path]) for path, values in spec.space.items()
    ):  # fmt: skip
        return
    study.enqueue_trial(parameters(current, spec.space), user_attrs={BASELINE: True})


def holds(values: RangeConfig, value: Any) -> bool:
    """Whether a range holds a value."""
    if values.choices is not None:
        return choice_label(value) in map(choice_label, values.choices)
    low, high = values.bounds
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        return False
    return values.step is None or math.isclose((value - low) % values.step, 0, abs_tol=1e-9)


def parameters(settings: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """Settings as a study keeps them: choices by how they are written."""
    return {
        path: settings[path] if values.choices is None else choice_label(settings[path])
        for path, values in space.items()
    }


def suggest(trial: optuna.Trial, space: Space, whole: frozenset[str]) -> dict[str, Choice]:
    """Draw the settings of a trial, by path.

    Args:
        trial: The trial.
        space: Ranges by path.
        whole: Paths that take whole numbers only.
    """
    found: dict[str, Choice] = {}
    for path, values in space.items():
        if values.choices is not None:
            by_label = {choice_label(choice): choice for choice in values.choices}
            found[path] = by_label[trial.suggest_categorical(path, list(by_label))]
        elif path in whole:
            first, last = map(int, values.bounds)
            found[path] = trial.suggest_int(path, first, last, step=int(values.step or 1), log=values.log)
        else:
            low, high = values.bounds
            found[path] = trial.suggest_float(path, low, high, step=values.step, log=values.log)
    return found


def settings_of(trial: FrozenTrial, space: Space) -> dict[str, Choice]:
    """The settings of a finished trial, by path."""
    labels = {path: {choice_label(choice): choice for choice in values.choices or ()} for path, values in space.items()}
    return {path: labels.get(path, {}).get(value, value) for path, value in trial.params.items()}


def importance_of(study: optuna.Study) -> dict[str, float]:
    """Share of each setting in what changes the metric, largest first; empty where there are too few trials to say."""
    scored = [trial.value for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))]
    if len(scored) < 4 or len(set(scored)) < 2:
        return {}
    return optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())


def remembered(trial: FrozenTrial) -> dict[str, Any]:
    """What the process of a trial said at its end; empty where it did not come to it."""
    found: dict[str, Any] = json.loads(trial.user_attrs.get(RESULT, "{}"))
    return found
