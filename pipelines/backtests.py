"""`almanac backtest`: forecasts of the models that were asked for, over all folds of a table."""

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.evaluation.champion import load_champion
from components.features.build_features import make_feature_spec
from forecasting.backtest.rolling import (
    FittedModel,
    RollingReport,
    RollingSpec,
    forecast_naives,
    forecast_refits,
    forecast_version,
    open_rolling,
    rolling_report,
    score_rolling,
)
from forecasting.backtest.score import ForecastRecord, write_scores
from forecasting.backtest.summary import write_series_scores
from forecasting.config import AlmanacConfig, step_settings
from forecasting.config.root import BuildFeaturesSettings
from forecasting.contracts.artifacts import FEATURE_SPEC_FILE, SAVED_MODEL_DIR
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ArtifactError, ConfigError
from forecasting.features.spec import FeatureSpec, ScalerSpec, read_feature_spec
from forecasting.formats import as_time
from forecasting.leases import model_lease
from forecasting.repository import ModelRepository
from forecasting.schema import SeriesStore
from forecasting.series_store import read_series_spec, read_series_store
from pipelines.fits import FitSpec, backtest_home, fold_config, make_fit

logger = logging.getLogger(__name__)

CANDIDATE = ModelRole.CANDIDATE.value
SERIES_SUFFIX = ".series.parquet"
"""In the place of .parquet: the metrics of each model and series."""


@dataclass(frozen=True)
class BacktestRequestSpec:
    """What a backtest was asked for.

    models: `candidate` (trained for its folds), roles or numbers of versions in the repository; none: the candidate, and
    the champion where there is one. cutoff: UTC epoch seconds; none: the end of the table. out: the table of forecasts.
    """

    models: tuple[str, ...]
    cutoff: int | None
    out: Path


@dataclass(frozen=True)
class VersionSpec:
    """A version to be scored: what it is called in the report, and from when on it knows no value, UTC epoch seconds."""

    called: str
    version: int
    known_until: int


def run_backtest(config: AlmanacConfig, home: HomeLayout, request: BacktestRequestSpec) -> RollingReport:
    """Score models over the folds of a table; writes every forecast, and the metrics by series.

    Raises:
        ConfigError: A version that was asked for is not there.
        DataError: The table is refused, or does not hold the folds.
    """
    names = request.models or _default_models(home, config.name)
    versions = [_version(home, config.name, name) for name in names if name != CANDIDATE]
    fits = backtest_home(home)
    with model_lease(fits, config.name):
        base = make_fit(config, fits, FitSpec(request.cutoff, StepName.VALIDATE_DATA))
        store = read_series_store(base.step(StepName.VALIDATE_DATA))
        rolling = open_rolling(store, table_spec(config, store), settings=config.backtest)
        # Versions first: what is wrong with one is known in seconds, and the fits of the candidate take minutes.
        of_versions, notes = forecast_versions(
            home, config.name, rolling, versions=versions, required=bool(request.models)
        )
        forecasts = {CANDIDATE: _candidate(config, fits, rolling, store)} if CANDIDATE in names else {}
    forecasts |= of_versions | forecast_naives(rolling)
    write_scores(request.out, rolling.backtest, forecasts=forecasts)
    scores = score_rolling(rolling, forecasts)
    write_series_scores(request.out.with_suffix(SERIES_SUFFIX), rolling.backtest, scores=scores.series)
    return rolling_report(rolling, forecasts, scores=scores, notes=notes)


def _default_models(home: HomeLayout, model: str) -> tuple[str, ...]:
    champion = ModelRepository(home.models).champion_dir(model)
    return (CANDIDATE,) if champion is None else (CANDIDATE, ModelRole.CHAMPION.value)


def _version(home: HomeLayout, model: str, name: str) -> VersionSpec:
    """The version that a role or a number means."""
    repository = ModelRepository(home.models)
    if name.isdigit():
        version = int(name) if int(name) in repository.versions(model) else None
    else:
        version = repository.role(model, ModelRole(name))
    if version is None:
        raise ConfigError(
            f"--model {name}: model {model!r} must have one, it has the versions "
            f"{', '.join(map(str, repository.versions(model))) or 'none'}"
        )
    return VersionSpec(f"version_{name}" if name.isdigit() else name, version, _known_until(home, model, version))


def _known_until(home: HomeLayout, model: str, version: int) -> int:
    """End of the values that a version was trained and calibrated on: of its validation period, or its cutoff where that is all that is known."""
    record = ModelRepository(home.models).record(model, version)
    try:
        return read_series_spec(home.run(str(record.get("run"))).step(StepName.VALIDATE_DATA)).split.validation_end
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.info("the series of version %d are gone, its cutoff counts: %s", version, error)
    if record.get("cutoff") is None:
        raise ArtifactError(
            f"the repository must remember the cutoff of version {version} of {model!r}, it does not; nobody can say "
            "which values it was trained on, so that it cannot be backtested"
        )
    return int(record["cutoff"])


def table_spec(config: AlmanacConfig, store: SeriesStore) -> FeatureSpec:
    """What a table is read with before anything is trained on it: the baselines scale nothing."""
    settings = step_settings(config, StepName.BUILD_FEATURES)
    if not isinstance(settings, BuildFeaturesSettings):
        raise TypeError(f"build_features must have settings of its own, found {type(settings).__name__}")
    return make_feature_spec(settings, store.spec, store.index, ScalerSpec(location={}, scale={}))


def _candidate(config: AlmanacConfig, fits: HomeLayout, rolling: RollingSpec, store: SeriesStore) -> ForecastRecord:
    shortest = fold_config(config, store.spec.split, store.spec.step_s)
    cutoffs = sorted({fold.trained_at for fold in rolling.folds})

    def load(cutoff: int) -> FittedModel:
        number = cutoffs.index(cutoff) + 1
        print(f"fit {number} of {len(cutoffs)}: trained before {as_time(cutoff)}", file=sys.stderr, flush=True)
        model = make_fit(shortest, fits, FitSpec(cutoff, StepName.TRAIN_MODEL)).step(StepName.TRAIN_MODEL)
        # What TensorFlow finds of the machine as it starts is of no interest here; its errors are exceptions.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        from forecasting.neural.predictor import SavedModelPredictor  # TensorFlow, only where it is needed

        return FittedModel(SavedModelPredictor(model / SAVED_MODEL_DIR), read_feature_spec(model / FEATURE_SPEC_FILE))

    return forecast_refits(rolling, load)


def forecast_versions(
    home: HomeLayout, model: str, rolling: RollingSpec, *, versions: Sequence[VersionSpec], required: bool
) -> tuple[dict[str, ForecastRecord], list[str]]:
    """Forecasts of some versions, and a note on each that could not be scored on all folds.

    Args:
        home: Where the versions are.
        model: Its name.
        rolling: What is asked for.
        versions: Which.
        required: Whether a version that knows the values of all folds is an error; else it is left out with a note.

    Raises:
        ArtifactError: A version cannot be read.
        DataError: A version that is required cannot be scored, or cannot be asked about the table.
    """
    found, notes = {}, []
    for asked in versions:
        named, known = f"{asked.called} (version {asked.version})", as_time(asked.known_until)
        if not required and asked.known_until > rolling.backtest.origins.max():
            notes.append(f"{named} is left out: it was trained on values up to {known}, which all folds lie before")
            continue
        champion = load_champion(ModelRepository(home.models).version_dir(model, asked.version))
        fitted = FittedModel(champion.predictor, champion.spec)
        found[asked.called] = forecast_version(rolling, fitted, known_until=asked.known_until)
        if asked.known_until > rolling.folds[0].start:
            notes.append(f"{named} is scored from {known} on: it was trained on what came before")
    return found, notes
