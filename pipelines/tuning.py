"""`almanac tune`: a search for better settings, by trials that never see the test period."""

import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from components.tuning.report import tuning_report
from components.tuning.study import (
    ERROR,
    REFUSED,
    SEED,
    SURPLUS,
    WORKER,
    StudySpec,
    enqueue_baseline,
    open_study,
    suggest,
)
from forecasting.backtest.blocks import BlockSpec, plan_blocks
from forecasting.backtest.rolling import open_rolling
from forecasting.config import AlmanacConfig, parse_config, step_settings
from forecasting.config.search_space import default_space, setting, setting_kinds, with_settings
from forecasting.config.sections import BacktestConfig, SplitConfig
from forecasting.config.tuning import IN_RUN
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.durations import duration_s
from forecasting.errors import ConfigError, DataError, ModelRefusedError, StoppedError
from forecasting.formats import as_duration, as_number
from forecasting.leases import model_lease
from forecasting.manifests import digest_text, load_manifest
from forecasting.schema import SeriesSpec, SplitSpec
from forecasting.series_store import read_series_spec, read_series_store
from forecasting.store.address import store_address
from forecasting.tuning_record import TuningReport
from pipelines.backtests import table_spec
from pipelines.fits import FitSpec, backtest_home, fold_config, make_fit
from pipelines.run import step_environment
from pipelines.staged import check_staged, run_staged
from pipelines.trial_places import SurplusTrialError, TrialPlaces
from pipelines.trial_process import TrialSpec
from pipelines.trials import TrialFailedError, TrialRunner

TUNING_DIR = "tuning"
"""Folder of a home with its searches."""
STUDY_FILE = "study.db"


@dataclass(frozen=True)
class PeriodSpec:
    """What a search reads of a table: the series up to the test period, the split of its fits, and its folds."""

    series: Path
    split: SplitSpec
    step_s: int
    backtest: BacktestConfig
    folds: tuple[tuple[int, int], ...]
    blocks: tuple[BlockSpec, ...] = ()


@dataclass(frozen=True)
class SearchSpec:
    """A search that is ready to begin."""

    config: AlmanacConfig
    home: HomeLayout
    period: PeriodSpec
    study: StudySpec
    whole: frozenset[str]
    folder: Path


def tuning_folder(home: HomeLayout, model: str) -> Path:
    """Where the searches of a model are kept."""
    return home.root / TUNING_DIR / model


def run_tuning(
    config: AlmanacConfig, home: HomeLayout, cutoff: int | None = None, *, table: SeriesSpec | None = None
) -> TuningReport:
    """Run the trials that a search still lacks.

    Args:
        config: The configuration; its section `tuning` says how.
        home: Where state is.
        cutoff: UTC epoch seconds; none: the end of the table.
        table: The validated table of the run that the search is a step of, in the place of a cutoff; its features are
            built, so that only settings of model and training are searched. None: the search is for itself.

    Returns:
        All trials so far.

    Raises:
        ConfigError: There is nothing to search.
        DataError: The table is refused, or too short for the folds.
        ModelRefusedError: No trial was scored.
        RetryableError: Another search of this model is going in this home.
        StoppedError: SIGTERM or ^C arrived; the same call goes on.
    """
    fits = backtest_home(home)
    folder = tuning_folder(home, config.name)
    folder.mkdir(parents=True, exist_ok=True)
    with model_lease(fits, config.name), step_environment(fits):
        whole = table or _validated(config, fits, cutoff)
        period = open_period(config, fits, whole)
        spec = _search(config, fits, period, folder, in_run=table is not None)
        study = open_study(spec.study)
        document = config.model_dump()
        current = {path: setting(document, path) for path in spec.study.space}
        if config.tuning.flow == "staged":
            check_staged(spec.study, current)
        enqueue_baseline(study, spec.study, current)
        runner = TrialRunner(folder)
        with _stopped_by_signals(runner) as signals, _stopped_in_time(runner, config.tuning.time_budget_s):
            searched = _run_flow(study, spec, runner, current)
        report = tuning_report(
            study, spec.study, model=config.name, folds=period.folds, ends_before=period.split.validation_end,
            searched=searched,
        )  # fmt: skip
    if signals:
        raise StoppedError("the search was stopped; the same command goes on from here")
    if report.best is None:
        reason = next(
            (trial.reason for trial in reversed(report.trials) if trial.reason), "the time was too short for one"
        )
        raise ModelRefusedError(f"none of {len(report.trials)} trials was scored: {reason}")
    return report


def _validated(config: AlmanacConfig, fits: HomeLayout, cutoff: int | None) -> SeriesSpec:
    """What is known of a whole table."""
    checked = make_fit(config, fits, FitSpec(cutoff, StepName.VALIDATE_DATA))
    return read_series_spec(checked.step(StepName.VALIDATE_DATA))


def open_period(config: AlmanacConfig, fits: HomeLayout, whole: SeriesSpec) -> PeriodSpec:
    """Cut the test period off the table and plan the folds in what is left.

    Raises:
        DataError: The table is refused, or its validation period is too short for the folds.
    """
    split, step_s, tuning = whole.split, whole.step_s, config.tuning
    horizon_s = config.forecast.horizon * step_s
    validation_s = split.validation_end - split.train_end
    length_s = _fold_length_s(config, validation_s, step_s)
    if length_s < horizon_s:
        raise DataError(
            f"each of {tuning.folds} folds of the search must hold a forecast of {config.forecast.horizon} steps, and has "
            f"{length_s // step_s}; set tuning.fold_length, or fewer tuning.folds"
        )
    if tuning.cross_validation == "blocked":
        return _open_blocks(config, fits, whole, length_s)
    # What is read from here on ends where the test period of the whole table begins: its folds are the test period of this cut.
    cut = config.model_copy(
        update={"split": SplitConfig(
            validation=f"{validation_s}s", test=f"{tuning.folds * length_s + split.embargo_s}s", embargo=config.split.embargo,
        )}
    )  # fmt: skip
    series = make_fit(cut, fits, FitSpec(split.validation_end, StepName.VALIDATE_DATA)).step(StepName.VALIDATE_DATA)
    backtest = config.backtest.model_copy(
        update={"folds": tuning.folds, "fold_length": f"{length_s}s", "refit_every": 1}
    )
    store = read_series_store(series)
    rolling = open_rolling(store, table_spec(config, store), settings=backtest)
    folds = tuple((fold.start, fold.end) for fold in rolling.folds)
    return PeriodSpec(series, split, step_s, backtest, folds)


def _open_blocks(config: AlmanacConfig, fits: HomeLayout, whole: SeriesSpec, length_s: int) -> PeriodSpec:
    """The same for blocks: the validation period of a fit is as long as its fold, so that both lie in its block."""
    split, step_s = whole.split, whole.step_s
    lengths = SplitConfig(
        validation=f"{length_s}s", test=f"{length_s + split.embargo_s}s", embargo=config.split.embargo
    )
    cut = config.model_copy(update={"split": lengths})
    series = make_fit(cut, fits, FitSpec(split.validation_end, StepName.VALIDATE_DATA)).step(StepName.VALIDATE_DATA)
    store = read_series_store(series)
    blocks = plan_blocks(
        min(one.start for one in store), split.validation_end, n_blocks=config.tuning.folds, length_s=length_s,
        embargo_s=config.forecast.horizon * step_s, step_s=step_s,
    )  # fmt: skip
    backtest = config.backtest.model_copy(
        update={"folds": len(blocks), "fold_length": f"{length_s}s", "refit_every": 1}
    )
    folds = tuple(block.fold for block in blocks)
    open_rolling(store, table_spec(config, store), settings=backtest, folds=folds)
    of_fits = replace(split, train_end=split.validation_end - length_s)
    return PeriodSpec(series, of_fits, step_s, backtest, tuple((fold.start, fold.end) for fold in folds), blocks)


def _fold_length_s(config: AlmanacConfig, validation_s: int, step_s: int) -> int:
    if config.tuning.fold_length is not None:
        return duration_s(config.tuning.fold_length)
    part = validation_s // config.tuning.folds
    # Whole segments, so that origins keep the time of day of the cutoff.
    segment_s = config.forecast.segment * step_s
    return part - part % (segment_s if part >= segment_s else step_s)


def _search(config: AlmanacConfig, fits: HomeLayout, period: PeriodSpec, folder: Path, *, in_run: bool) -> SearchSpec:
    document = config.model_dump()
    space = config.tuning.space or default_space(document)
    if in_run:
        space = {path: values for path, values in space.items() if path.startswith(IN_RUN)}
    kinds = {path: setting_kinds(config, path) for path in space}
    name = f"{config.name}-{_digest(config, period, tuple(space))}"
    address = store_address(config.tuning.storage, folder / STUDY_FILE, setting="tuning.storage")
    study = StudySpec(name, address, f"{socket.gethostname()}:{folder}", config.tuning, space)
    return SearchSpec(
        config, fits, period, study, frozenset(path for path in space if float not in kinds[path]), folder
    )


def _digest(config: AlmanacConfig, period: PeriodSpec, searched: tuple[str, ...]) -> str:
    """Of all that makes trials comparable: the table, the folds, the space, and the settings that no trial changes."""
    steps = [StepName.VALIDATE_DATA, StepName.BUILD_FEATURES, StepName.TRAIN_MODEL]
    fixed = [
        with_settings(found, {path: None for path in searched if path.split(".")[0] in found})
        for found in (_without_places(step_settings(config, step).model_dump(mode="json")) for step in steps)
    ]
    how = config.tuning.model_dump(mode="json", exclude={"in_run", "n_trials", "time_budget_s", "n_workers", "storage"})
    said = [load_manifest(period.series).payload_digest, period.folds, fixed, how]
    return digest_text(json.dumps(said, sort_keys=True))[:10]


def _without_places(document: dict[str, Any]) -> dict[str, Any]:
    """Settings without where tables lie: what is in them counts, and another machine may have them elsewhere."""
    kept = {name: value for name, value in document.items() if name != "uri"}
    return {name: _without_places(value) if isinstance(value, dict) else value for name, value in kept.items()}


def _run_flow(
    study: optuna.Study, spec: SearchSpec, runner: TrialRunner, current: Mapping[str, Any]
) -> tuple[str, ...]:
    """All trials together, or stage after stage; gives the settings that a staged search varied together."""
    if spec.config.tuning.flow == "joint":
        _run_trials(study, spec, runner, spec.config.tuning.n_trials)
        return ()

    def run(n_trials: int) -> bool:
        _run_trials(study, spec, runner, n_trials)
        return not runner.stopping

    return run_staged(
        study, spec.study, current=current, whole=spec.whole, seed=spec.config.training.seed, run=run
    )  # fmt: skip


def _run_trials(study: optuna.Study, spec: SearchSpec, runner: TrialRunner, n_trials: int) -> None:
    """As many trials at a time as there are workers, until so many are over or the time is up."""
    settings = spec.config.tuning
    clock = time.monotonic()
    places = TrialPlaces(study, n_trials)
    threads = [threading.Thread(target=_work, args=(study, spec, runner, places)) for _ in range(settings.n_workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _say(f"{places.n_done} of {n_trials} trials in {as_duration(time.monotonic() - clock)}")
    if places.error is not None:
        raise places.error


@contextmanager
def _stopped_in_time(runner: TrialRunner, budget_s: float | None) -> Iterator[None]:
    """Stop the trials once the time of this call is up."""
    if budget_s is None:
        yield
        return
    timer = threading.Timer(budget_s, _stop_in_time, [runner, budget_s])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _stop_in_time(runner: TrialRunner, budget_s: float) -> None:
    _say(f"the time of this call is up ({as_duration(budget_s)})")
    runner.stop()


def _work(study: optuna.Study, spec: SearchSpec, runner: TrialRunner, places: TrialPlaces) -> None:
    """One worker: trial after trial."""

    def objective(trial: optuna.Trial) -> float:
        trial.set_user_attr(WORKER, spec.study.worker)
        places.check(trial)
        return _trial(trial, spec, runner)

    def told(_: optuna.Study, trial: FrozenTrial) -> None:
        if SURPLUS not in trial.user_attrs:
            _say(say_trial(study, trial, spec.study))

    while not runner.stopping and places.take():
        try:
            study.optimize(objective, n_trials=1, catch=(TrialFailedError, SurplusTrialError), callbacks=[told])
        except StoppedError:
            return
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to: the caller raises it
            places.error = error
            runner.stop()
            return
        finally:
            places.give_back()


def _trial(trial: optuna.Trial, spec: SearchSpec, runner: TrialRunner) -> float:
    drawn = suggest(trial, spec.study.space, spec.whole)
    config, period = spec.config, spec.period
    document = with_settings(config.model_dump(mode="json"), drawn)
    document["tuning"] = {}
    document["training"]["seed"] = trial.user_attrs.get(SEED, config.training.seed)
    try:
        changed = parse_config(document, "its settings do not go together")
    except ConfigError as error:
        trial.set_user_attr(REFUSED, str(error))
        raise optuna.TrialPruned(str(error)) from error
    fitted = fold_config(changed, period.split, period.step_s)
    base = config.model_copy(update={"tuning": changed.tuning})
    told = TrialSpec(spec.home.root, period.series, base, fitted, period.backtest, config.tuning.metric, period.blocks)
    return runner.run(trial, told)


def say_trial(study: optuna.Study, trial: FrozenTrial, spec: StudySpec) -> str:
    """A trial that is over, in one line."""
    name, metric = f"trial {trial.number}", spec.settings.metric
    taken = as_duration(trial.duration.total_seconds()) if trial.duration else "no time"
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        best = study.best_trial
        than = (
            "the best so far" if best.number == trial.number else f"best {as_number(best.value)} of trial {best.number}"
        )
        return f"{name}: {metric} {as_number(trial.value)} in {taken}, {than}"
    if reason := trial.user_attrs.get(REFUSED) or trial.user_attrs.get(ERROR):
        return f"{name}: {'refused' if REFUSED in trial.user_attrs else 'failed'}, {reason}"
    if trial.state == TrialState.PRUNED:
        n_epochs = len(trial.intermediate_values)
        return f"{name}: pruned after {n_epochs} epoch{'s' if n_epochs > 1 else ''} in {taken}"
    return f"{name}: stopped after {taken}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def _stopped_by_signals(runner: TrialRunner) -> Iterator[list[int]]:
    """SIGTERM and ^C stop the trials; gives the signals that came."""
    came: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        # Not here: a lock that this very thread holds would never be free.
        threading.Thread(target=runner.stop, daemon=True).start()

    before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {
        number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
