"""Step evaluate_model: backtest of candidate, champion and naive baselines, and the gate of the float model."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from components.evaluation.champion import Champion, load_champion
from components.evaluation.measure_gate import CANDIDATE, CHAMPION, ChampionState, gate_ratios, measure_gate
from forecasting.backtest.adapt import score_champion
from forecasting.backtest.diagnostics import DIAGNOSTICS_FILE, diagnose_candidate, write_diagnostics
from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.outliers import disturb_windows, outlier_ratio
from forecasting.backtest.report import naive_predictors, open_backtest, score_backtest
from forecasting.backtest.score import ForecastRecord, score_predictors, write_scores
from forecasting.backtest.stored import ScoresSource, read_stored, version_scores
from forecasting.backtest.summary import (
    SERIES_SCORES_FILE,
    BacktestReport,
    better_naive,
    finite_document,
    write_backtest_report,
    write_series_scores,
)
from forecasting.config.root import EvaluateModelSettings
from forecasting.contracts.artifacts import (
    DECISION_FILE,
    FEATURE_SPEC_FILE,
    METRICS_FILE,
    REPORT_FILE,
    SAVED_MODEL_DIR,
    SCORES_FILE,
)
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.errors import ArtifactError, DataError
from forecasting.features.calendar import DAY_S
from forecasting.features.spec import FeatureSpec, read_feature_spec
from forecasting.formats import as_limit, as_number
from forecasting.gates import NAN, GateDecision, ModelGateReport, judge_model, write_decision
from forecasting.predictors import Predictor
from forecasting.schema import SeriesStore
from forecasting.series_store import read_series_store
from forecasting.steps import StepContext, StepOutcome

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationReport:
    """What was scored and measured.

    champion_problem: why the champion could not be scored; empty where it was or there is none. gate: what the rules judged.
    """

    n_windows: int
    n_points: int
    horizon: int
    quantiles: tuple[float, ...]
    better_naive: str
    champion_version: int | None
    champion_problem: str
    gate: ModelGateReport


@dataclass(frozen=True)
class ChampionSource:
    """The champion of the repository, or why it cannot be used.

    cutoff: UTC epoch seconds, none: not known. scores: where its own run kept its forecasts; none where they are gone.
    """

    version: int
    champion: Champion | None
    problem: str = ""
    cutoff: int | None = None
    scores: ScoresSource | None = None


def evaluate_model(
    settings: EvaluateModelSettings, inputs: Mapping[StepName, Path], output: Path, context: StepContext
) -> StepOutcome:
    """Score the trained model on the test period and judge it.

    Args:
        settings: Backtest and limits.
        inputs: Series store of validate_data, SavedModel and feature spec of train_model.
        output: Receives scores.parquet, series_scores.parquet, metrics.json, diagnostics.json, decision.json and
            report.json.
        context: Gives the model repository, in which the champion is.

    Returns:
        Passed where every rule of the gate holds.

    Raises:
        DataError: The test period holds no horizon or no actual.
        ArtifactError: The model answers something else than its spec says.
    """
    from forecasting.neural.predictor import SavedModelPredictor  # TensorFlow, only where it is needed

    store = read_series_store(inputs[StepName.VALIDATE_DATA])
    model = inputs[StepName.TRAIN_MODEL]
    spec = read_feature_spec(model / FEATURE_SPEC_FILE)
    candidate = SavedModelPredictor(model / SAVED_MODEL_DIR)
    champion = find_champion(context.home, settings.name)
    return judge_candidate(settings, store, spec=spec, candidate=candidate, champion=champion, output=output)


def find_champion(home: HomeLayout, name: str) -> ChampionSource | None:
    """The champion of a model name in the repository of a home; none before the first promotion."""
    from forecasting.repository import ModelRepository

    repository = ModelRepository(home.models)
    directory = repository.champion_dir(name)
    if directory is None:
        return None
    version = int(directory.name)
    record = repository.record(name, version)
    source = ChampionSource(version, None, cutoff=record.get("cutoff"), scores=version_scores(home, record))
    try:
        return replace(source, champion=load_champion(directory))
    except ArtifactError as error:
        return replace(source, problem=str(error))


def judge_candidate(
    settings: EvaluateModelSettings,
    store: SeriesStore,
    *,
    spec: FeatureSpec,
    candidate: Predictor,
    champion: ChampionSource | None,
    output: Path,
) -> StepOutcome:
    """The step with its models already loaded; see `evaluate_model`."""
    models = _Models(store, spec, candidate, champion)
    backtest = open_backtest(store, spec, settings=settings.backtest)
    forecasts, problem = models.forecast(backtest, settings)
    state = None
    if champion is not None:
        stored = read_stored(champion.scores, backtest) if problem and champion.scores else None
        state = ChampionState(problem, _cutoff_lag_days(champion, store.spec.split.cutoff), stored)
    scores = score_backtest(store, spec, backtest=backtest, forecasts=forecasts, settings=settings.backtest)
    scores = replace(
        scores, report=_with_outliers(settings, models, scores.report, backtest=backtest, forecasts=forecasts)
    )
    measured = measure_gate(
        settings, backtest, forecasts=forecasts, scores=scores, champion=state, test_start=store.spec.split.test_start
    )
    report = replace(scores.report, ratios=gate_ratios(measured))
    decision = judge_model(measured, settings.gates)
    rival = forecasts.get(CHAMPION, state.stored if state else None)
    diagnosed = diagnose_candidate(
        backtest, spec, candidate=candidate, record=forecasts[CANDIDATE], champion=rival, settings=settings.backtest
    )
    write_diagnostics(diagnosed, output / DIAGNOSTICS_FILE)
    write_scores(output / SCORES_FILE, backtest, forecasts=forecasts)
    write_series_scores(output / SERIES_SCORES_FILE, backtest, scores=scores.series)
    write_backtest_report(report, output / METRICS_FILE)
    write_decision(decision, output / DECISION_FILE)
    evaluation = EvaluationReport(
        n_windows=backtest.n_windows,
        n_points=backtest.n_points,
        horizon=spec.horizon,
        quantiles=spec.quantiles,
        better_naive=better_naive(report.models),
        champion_version=champion.version if champion else None,
        champion_problem=state.problem if state else "",
        gate=measured,
    )
    (output / REPORT_FILE).write_text(json.dumps(finite_document(asdict(evaluation)), indent=1), encoding="utf-8")
    return StepOutcome(decision.passed, _summary(report, decision, limit=settings.gates.model.max_mae))


@dataclass(frozen=True)
class _Models:
    """Who is asked."""

    store: SeriesStore
    spec: FeatureSpec
    candidate: Predictor
    champion: ChampionSource | None

    def forecast(
        self, backtest: BacktestSpec, settings: EvaluateModelSettings
    ) -> tuple[dict[str, ForecastRecord], str]:
        """Forecasts of all that can be asked, by name, and why the champion cannot; empty where it can or there is none."""
        size = settings.backtest.batch_size
        predictors = {CANDIDATE: self.candidate, **naive_predictors(settings.forecast.seasons, self.spec.quantiles)}
        forecasts = score_predictors(predictors, self.spec, backtest=backtest, batch_size=size)
        if self.champion is None:
            return forecasts, ""
        found, problem = _champion_forecasts(self.champion, self.store, backtest=backtest, batch_size=size)
        return forecasts | ({CHAMPION: found} if found else {}), problem


def _with_outliers(
    settings: EvaluateModelSettings,
    models: _Models,
    report: BacktestReport,
    *,
    backtest: BacktestSpec,
    forecasts: Mapping[str, ForecastRecord],
) -> BacktestReport:
    """The report with what outliers in the history do to each model, where that is measured."""
    if settings.backtest.outliers is None:
        return report
    outliers = disturb_windows(backtest, models.store.spec, settings=settings.backtest.outliers)
    asked = models if CHAMPION in forecasts else replace(models, champion=None)
    disturbed, _ = asked.forecast(outliers.backtest, settings)
    ratios = {name: outlier_ratio(outliers, before=forecasts[name], after=record) for name, record in disturbed.items()}
    return replace(
        report,
        models={name: replace(one, outlier_ratio=ratios.get(name, NAN)) for name, one in report.models.items()},
    )


def _cutoff_lag_days(champion: ChampionSource, cutoff: int) -> float | None:
    return None if champion.cutoff is None else max(0, champion.cutoff - cutoff) / DAY_S


def _champion_forecasts(
    source: ChampionSource, store: SeriesStore, *, backtest: BacktestSpec, batch_size: int
) -> tuple[ForecastRecord | None, str]:
    """Forecasts of the champion, or none and why not: that it cannot be asked is a finding, not a crash."""
    problem = source.problem
    if source.champion is not None:
        champion = source.champion
        try:
            return score_champion(
                champion.predictor, champion.spec, table=store.spec, backtest=backtest, batch_size=batch_size
            ), ""
        except (DataError, ArtifactError) as error:
            problem = str(error)
    logger.warning("champion version %d cannot be scored: %s", source.version, problem)
    return None, f"champion version {source.version} cannot be scored: {problem}"


def _summary(report: BacktestReport, decision: GateDecision, *, limit: float) -> str:
    models = report.models
    naive = models[better_naive(models)].overall["mae"]
    champion = f", champion {as_number(models[CHAMPION].overall['mae'])}" if CHAMPION in models else ""
    text = f"MAE {as_number(models[CANDIDATE].overall['mae'])} (naive {as_number(naive)}{champion}, limit {as_limit(limit)})"
    if decision.passed and decision.approval:
        return f"{text}; waits for approval: {decision.approval}"
    return text if decision.passed else f"{text}; {decision.reason}"
