"""compress_model: a tournament of converted and pruned variants of the trained model.

Every conversion is compared with the float network it came from on real windows before anyone
looks at its accuracy: a conversion can succeed and compute nonsense.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.compression.measure import LatencyReport, directory_sizes, file_sizes, measure_latency, parity_ratios
from forecasting.config.root import CompressModelSettings
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
from forecasting.feature_store import FeatureStore, read_feature_store, window_index
from forecasting.predictors import LitePredictor
from forecasting.schema import SeriesStore, read_series_store
from forecasting.steps import StepContext, StepOutcome
from forecasting.windows import ModelInputs, stack_inputs, window_inputs

if TYPE_CHECKING:
    from forecasting.neural.export import ForecastModule

logger = logging.getLogger(__name__)

FLOAT_VARIANT = "saved_model"
MAX_FLOAT_RATIO = 1e-3
"""Largest difference of a float conversion from its source, as a share of the mean forecast."""
MAX_QUANTISED_MEAN_RATIO = 0.05
"""Largest mean difference of a quantised conversion; what it costs in accuracy is the gate's to judge."""


@dataclass(frozen=True)
class VariantReport:
    """One variant. Sizes in bytes, latency of a single forecast in milliseconds, parity as a share of the
    mean absolute forecast of the float network it was converted from. status: built, rejected (fails
    parity or does not convert) or left_out (no time left).
    """

    name: str
    path: str
    size_bytes: int = 0
    compressed_bytes: int = 0
    latency_p50_ms: float = 0.0
    latency_p99_ms: float = 0.0
    parity_max_ratio: float = 0.0
    parity_mean_ratio: float = 0.0
    sparsity: float = 0.0
    status: str = "built"
    reason: str = ""
    duration_s: float = 0.0


def compress_model(settings: CompressModelSettings, inputs: Mapping[StepName, Path], output: Path, context: StepContext) -> StepOutcome:
    """Write variants/<name>/model.tflite and tournament.json."""
    from forecasting.neural.strategy import make_strategy

    make_strategy(settings.training.model_copy(update={"strategy": "default"}))
    store = read_feature_store(inputs[StepName.BUILD_FEATURES])
    windows = parity_windows(read_series_store(inputs[StepName.VALIDATE_DATA]), store, settings.compression.n_parity_windows)
    tournament = _Tournament(settings, store, windows, inputs[StepName.TRAIN_MODEL], output)
    variants = tournament.run()
    document = {"variants": [asdict(variant) for variant in variants], "n_parity_windows": len(windows)}
    for name in (TOURNAMENT_FILE, REPORT_FILE):
        (output / name).write_text(json.dumps(document, indent=1), encoding="utf-8")
    built = [variant for variant in variants if variant.status == "built"]
    smallest = min(built, key=lambda variant: variant.size_bytes)
    others = [f"{variant.name} {variant.status.replace('_', ' ')}" for variant in variants if variant.status != "built"]
    summary = f"{len(built)} variants, {variants[0].size_bytes / 1e3:,.0f} kB float → {smallest.size_bytes / 1e3:,.0f} kB {smallest.name}"
    return StepOutcome(passed=True, summary="; ".join([summary, *others]))


def parity_windows(series_store: SeriesStore, store: FeatureStore, count: int) -> ModelInputs:
    """Real windows of the validation period, spread over series and origins."""
    windows = window_index(store, store.split.train_end, store.split.validation_end, min_age=store.spec.segment)
    chosen = np.unique(np.linspace(0, len(windows) - 1, min(count, len(windows))).astype(int))
    parts = []
    for number in chosen:
        series = series_store.series[int(windows.series[number])]
        origin = series.start + int(windows.age[number]) * store.spec.step_s
        parts.append(window_inputs(series, store.spec, np.asarray([origin])))
    return stack_inputs(parts)


class _Tournament:
    """Builds one variant after another while time lasts."""

    def __init__(self, settings: CompressModelSettings, store: FeatureStore, windows: ModelInputs, model: Path, output: Path) -> None:
        from forecasting.neural.export import CalibrationSpec, ForecastModule
        from forecasting.neural.loop import TrainingLoop
        from forecasting.neural.network import NetworkSpec
        from forecasting.neural.strategy import tf

        self._settings = settings
        self._store = store
        self._windows = windows
        self._model = model
        self._output = output
        self._began = time.monotonic()
        self._loop = TrainingLoop(NetworkSpec(store.spec, settings.model), settings.training, tf.distribute.get_strategy())
        self._loop.network.load_weights(model / WEIGHTS_FILE)
        calibration = json.loads((model / MODEL_SPEC_FILE).read_text(encoding="utf-8"))["calibration"]
        self._module: ForecastModule = ForecastModule(self._loop.network, store.spec, CalibrationSpec(tuple(calibration)))

    def run(self) -> list[VariantReport]:
        """Reports of all variants, the float SavedModel first."""
        variants = [self._float_variant()]
        slowest = 0.0
        # The pruned variant changes the network, so it comes last whatever the order in the settings.
        for name in sorted(self._settings.compression.variants, key=lambda name: name.startswith("pruned")):
            elapsed = time.monotonic() - self._began
            left = self._settings.compression.time_budget_s - elapsed
            if left < slowest:
                reason = f"{left:.0f} s of compression.time_budget_s left, the slowest variant so far took {slowest:.0f} s"
                variants.append(VariantReport(name=name, path="", status="left_out", reason=reason))
                continue
            variants.append(self._build(name))
            slowest = max(slowest, variants[-1].duration_s)
            logger.info("%s: %s in %.1f s", name, variants[-1].status, variants[-1].duration_s)
        return variants

    def _float_variant(self) -> VariantReport:
        from forecasting.neural.predictor import SavedModelPredictor

        directory = self._model / SAVED_MODEL_DIR
        latency = measure_latency(SavedModelPredictor(directory), self._windows)
        size, compressed = directory_sizes(directory)
        return _report(FLOAT_VARIANT, "", size, compressed, latency)

    def _build(self, name: str) -> VariantReport:
        from forecasting.neural.conversion import convert_to_lite

        began = time.monotonic()
        sparsity = self._prune() if name.startswith("pruned") else 0.0
        quantised = name.endswith("int8")
        path = self._output / VARIANTS_DIR / name / TFLITE_FILE
        path.parent.mkdir(parents=True)
        try:
            path.write_bytes(convert_to_lite(self._module, quantise_weights=quantised))
            predictor = LitePredictor(path)
        except ArtifactError as error:
            return VariantReport(name=name, path="", status="rejected", reason=str(error), duration_s=time.monotonic() - began)
        expected = self._module.quantiles(*self._arrays()).numpy()
        largest, mean = parity_ratios(predictor.predict(self._windows), expected)
        latency = measure_latency(predictor, self._windows)
        size, compressed = file_sizes(path)
        reason = parity_problem(largest, mean, quantised=quantised)
        return _report(name, path.relative_to(self._output).as_posix(), size, compressed, latency, parity_max_ratio=largest, parity_mean_ratio=mean,
                       sparsity=sparsity, status="rejected" if reason else "built", reason=reason, duration_s=round(time.monotonic() - began, 2))  # fmt: skip

    def _arrays(self) -> tuple[object, ...]:
        windows = self._windows
        return (windows.history, windows.future) if windows.static is None else (windows.history, windows.future, windows.static)

    def _prune(self) -> float:
        from forecasting.neural.pruning import prune_network

        settings = self._settings.compression
        train = window_index(self._store, None, self._store.split.train_end, min_age=self._store.spec.segment)
        report = prune_network(self._loop, self._store, train, sparsity=settings.sparsity, n_steps=settings.finetune_steps)
        return round(report.sparsity, 4)


def parity_problem(largest: float, mean: float, *, quantised: bool) -> str:
    """Why a conversion is not its source; empty when it is. Ratios that are not numbers never pass."""
    if quantised:
        return "" if mean <= MAX_QUANTISED_MEAN_RATIO else f"mean difference {mean:.2%} from the float model, at most {MAX_QUANTISED_MEAN_RATIO:.0%}"
    return "" if largest <= MAX_FLOAT_RATIO else f"largest difference {largest:.2%} from the float model, at most {MAX_FLOAT_RATIO:.1%}"


def _report(name: str, path: str, size: int, compressed: int, latency: LatencyReport, **rest: object) -> VariantReport:
    make: Callable[..., VariantReport] = VariantReport
    return make(
        name=name,
        path=path,
        size_bytes=size,
        compressed_bytes=compressed,
        latency_p50_ms=latency.p50_ms,
        latency_p99_ms=latency.p99_ms,
        **rest,
    )
