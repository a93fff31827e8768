"""compress_model: a tournament of converted and pruned variants of the trained model.

Every conversion is compared with the float network it came from on real windows before anyone
looks at its accuracy: a conversion can succeed and compute nonsense.
"""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from components.compression.also_export import export_also
from components.compression.measure import LatencyReport, directory_sizes, file_sizes, measure_latency, parity_ratios
from forecasting.config.root import CompressModelSettings
from forecasting.config.tournament_plan import plan_tournament
from forecasting.config.training import TrainingConfig
from forecasting.contracts.artifacts import (
    MODEL_SPEC_FILE,
    REPORT_FILE,
    SAVED_MODEL_DIR,
    TFLITE_FILE,
    TOURNAMENT_FILE,
    VARIANTS_DIR,
    WEIGHTS_FILE,
)
from forecasting.contracts.steps import StepName
from forecasting.errors import ArtifactError
from forecasting.feature_store import FeatureStore, learning_windows, read_feature_store, window_index
from forecasting.formats import as_bytes
from forecasting.predictors import LitePredictor
from forecasting.schema import SeriesStore
from forecasting.series_store import read_series_store
from forecasting.steps import StepContext, StepOutcome
from forecasting.tournament import FLOAT_REFERENCE, VariantRecord, VariantStatus, write_tournament
from forecasting.variants import Precision, VariantSpec
from forecasting.windows import ModelInputs, stack_inputs, window_inputs

logger = logging.getLogger(__name__)

MAX_FLOAT_RATIO = 1e-3
"""Largest difference of a float conversion from its source, as a share of the mean forecast."""
MAX_QUANTISED_MEAN_RATIO = 0.05
"""Largest mean difference of a quantised conversion; what it costs in accuracy is the gate's to judge."""


@dataclass(frozen=True)
class CompressionReport:
    """What the tournament took. durations_s: wall seconds to build, convert and measure each variant."""

    n_parity_windows: int
    durations_s: Mapping[str, float]


def compress_model(
    settings: CompressModelSettings,
    inputs: Mapping[StepName, Path],
    output: Path,
    context: StepContext,  # noqa: ARG001 - the step protocol
) -> StepOutcome:
    """Write variants/<name>/model.tflite and tournament.json."""
    from forecasting.neural.strategy import make_strategy

    make_strategy(settings.training.model_copy(update={"strategy": "default"}))
    store = read_feature_store(inputs[StepName.BUILD_FEATURES])
    windows = parity_windows(
        read_series_store(inputs[StepName.VALIDATE_DATA]), store, settings.compression.n_parity_windows
    )
    tournament = _Tournament(settings, store, windows, inputs[StepName.TRAIN_MODEL], output)
    variants = tournament.run()
    write_tournament(variants, output / TOURNAMENT_FILE)
    report = CompressionReport(len(windows), tournament.durations_s)
    (output / REPORT_FILE).write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
    # What time did not last for may be built on another day.
    complete = all(variant.status is not VariantStatus.LEFT_OUT for variant in variants)
    return StepOutcome(passed=True, summary=_summary(variants), reusable=complete)


def _summary(variants: list[VariantRecord]) -> str:
    built = {variant.name: variant.size_bytes or 0 for variant in variants if variant.status is VariantStatus.BUILT}
    smallest = min(built, key=lambda name: built[name])
    first = f"{len(built)} variants, {as_bytes(built[FLOAT_REFERENCE])} float → {as_bytes(built[smallest])} {smallest}"
    others = [
        f"{variant.name} {variant.status.value.replace('_', ' ')}"
        for variant in variants
        if variant.status is not VariantStatus.BUILT
    ]
    return "; ".join([first, *others])


def parity_windows(series_store: SeriesStore, store: FeatureStore, count: int) -> ModelInputs:
    """Real windows of the validation period, spread over series and origins."""
    windows = window_index(store, store.split.validation_start, store.split.validation_end, min_age=store.spec.segment)
    chosen = np.unique(np.linspace(0, len(windows) - 1, min(count, len(windows))).astype(int))
    parts = []
    for number in chosen:
        series = series_store.series[int(windows.series[number])]
        origin = series.start + int(windows.age[number]) * store.spec.step_s
        parts.append(window_inputs(series, store.spec, np.asarray([origin])))
    return stack_inputs(parts)


def _settled(training: TrainingConfig, model: Path) -> TrainingConfig:
    """The training settings with the batch size that the model was trained with."""
    report = json.loads((model / REPORT_FILE).read_text(encoding="utf-8"))
    return training.model_copy(update={"batch_size": report["batch_size"]})


class _Tournament:
    """Builds one variant after another while time lasts."""

    def __init__(
        self, settings: CompressModelSettings, store: FeatureStore, windows: ModelInputs, model: Path, output: Path
    ) -> None:
        from forecasting.neural.export import CalibrationSpec, ForecastModule
        from forecasting.neural.loop import TrainingLoop
        from forecasting.neural.models import NetworkSpec
        from forecasting.neural.strategy import tf

        self._settings = settings
        self._store = store
        self._windows = windows
        self._model = model
        self._output = output
        self._began = time.monotonic()
        self.durations_s: dict[str, float] = {}
        self._loop = TrainingLoop(
            NetworkSpec(store.spec, settings.model), _settled(settings.training, model), tf.distribute.get_strategy()
        )
        self._loop.network.load_weights(model / WEIGHTS_FILE)
        calibration = json.loads((model / MODEL_SPEC_FILE).read_text(encoding="utf-8"))["calibration"]
        self._module: ForecastModule = ForecastModule(
            self._loop.network, store.spec, CalibrationSpec(tuple(calibration))
        )

    def run(self) -> list[VariantRecord]:
        """Reports of all variants, the float SavedModel first."""
        # Before pruning changes the network.
        export_also(self._settings.compression, self._module, self._windows, self._output)
        variants = [self._float_variant()]
        # The pruned variant changes the network, so it comes last whatever the order in the settings.
        plan = plan_tournament(self._settings.compression, self._settings.model)
        for spec in sorted(plan.variants, key=lambda spec: spec.pruning.sparsity):
            name = spec.name
            elapsed = time.monotonic() - self._began
            left = self._settings.compression.budget_s - elapsed
            slowest = max(self.durations_s.values(), default=0.0)
            if left < slowest:
                reason = (
                    f"{left:.0f} s of compression.time_budget_s left, the slowest variant so far took {slowest:.0f} s"
                )
                variants.append(VariantRecord(name, "", VariantStatus.LEFT_OUT, reason))
                continue
            began = time.monotonic()
            variants.append(self._build(spec))
            self.durations_s[name] = round(time.monotonic() - began, 2)
            logger.info("%s: %s in %.1f s", name, variants[-1].status.value, self.durations_s[name])
        return variants

    def _float_variant(self) -> VariantRecord:
        from forecasting.neural.predictor import SavedModelPredictor

        directory = self._model / SAVED_MODEL_DIR
        latency = measure_latency(SavedModelPredictor(directory), self._windows)
        size, compressed = directory_sizes(directory)
        return _record(FLOAT_REFERENCE, "", size, compressed, latency)

    def _build(self, spec: VariantSpec) -> VariantRecord:
        from forecasting.neural.compression.conversion import convert_to_lite

        name, sparsity = spec.name, self._prune(spec.pruning.sparsity) if spec.pruning.sparsity else 0.0
        quantised = spec.precision.is_quantised
        path = self._output / VARIANTS_DIR / name / TFLITE_FILE
        path.parent.mkdir(parents=True)
        try:
            precision = Precision.INT8_WEIGHTS if quantised else Precision.FLOAT32
            path.write_bytes(convert_to_lite(self._module, precision).content)
            predictor = LitePredictor(path)
            found = predictor.predict(self._windows)
        except ArtifactError as error:
            return VariantRecord(name, "", VariantStatus.REJECTED, str(error))
        expected = self._module.quantiles(*self._arrays()).numpy()
        largest, mean = parity_ratios(found, expected)
        latency = measure_latency(predictor, self._windows)
        size, compressed = file_sizes(path)
        reason = parity_problem(largest, mean, quantised=quantised)
        relative = path.relative_to(self._output).as_posix()
        record = _record(name, relative, size, compressed, latency)
        status = VariantStatus.REJECTED if reason else VariantStatus.BUILT
        return replace(
            record, status=status, reason=reason, parity_max_ratio=largest, parity_mean_ratio=mean, sparsity=sparsity
        )

    def _arrays(self) -> tuple[object, ...]:
        windows = self._windows
        return (
            (windows.history, windows.future)
            if windows.static is None
            else (windows.history, windows.future, windows.static)
        )

    def _prune(self, sparsity: float) -> float:
        from forecasting.neural.compression.magnitude import prune_network

        settings = self._settings.compression
        train = learning_windows(self._store, with_validation=self._settings.training.refit)
        report = prune_network(self._loop, self._store, train, sparsity=sparsity, n_steps=settings.finetune_steps)
        return round(report.sparsity, 4)


def parity_problem(largest: float, mean: float, *, quantised: bool) -> str:
    """Why a conversion is not its source; empty when it is. Ratios that are not numbers never pass."""
    if quantised:
        return (
            ""
            if mean <= MAX_QUANTISED_MEAN_RATIO
            else f"mean difference {mean:.2%} from the float model, at most {MAX_QUANTISED_MEAN_RATIO:.0%}"
        )
    return (
        ""
        if largest <= MAX_FLOAT_RATIO
        else f"largest difference {largest:.2%} from the float model, at most {MAX_FLOAT_RATIO:.1%}"
    )


def _record(name: str, path: str, size: int, compressed: int, latency: LatencyReport) -> VariantRecord:
    return VariantRecord(
        name=name,
        path=path,
        status=VariantStatus.BUILT,
        size_bytes=size,
        compressed_bytes=compressed,
        latency_p50_ms=latency.p50_ms,
        latency_p99_ms=latency.p99_ms,
        forecasts_per_s=latency.forecasts_per_s,
        parity_max_ratio=0.0,
        parity_mean_ratio=0.0,
        sparsity=0.0,
    )
