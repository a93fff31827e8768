"""compress_model: a tournament of converted and pruned variants of the trained model.

Every conversion is compared with the float network it came from on real windows before anyone
looks at its accuracy: a conversion can succeed and compute nonsense. Then all are timed in turns,
each in a process of its own that imports only what would serve it.
"""

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from components.compression.also_export import export_also
from components.compression.budget import BudgetClock
from components.compression.measure import LatencyReport, Stopwatch, directory_sizes
from components.compression.networks import NetworkShelf
from components.compression.parity import parity_spec
from components.compression.tournament import Tournament
from forecasting.config.root import CompressModelSettings
from forecasting.config.tournament_plan import plan_tournament
from forecasting.contracts.artifacts import REPORT_FILE, SAVED_MODEL_DIR, TOURNAMENT_FILE
from forecasting.contracts.steps import StepName
from forecasting.feature_store import WindowIndex, read_feature_store
from forecasting.features.spec import FeatureSpec
from forecasting.formats import as_bytes
from forecasting.schema import SeriesStore
from forecasting.series_store import read_series_store
from forecasting.steps import StepContext, StepOutcome
from forecasting.tournament import FLOAT_REFERENCE, VariantRecord, VariantStatus, write_tournament
from forecasting.variants import Pruning
from forecasting.windows import ModelInputs, stack_inputs, window_inputs

_CLOCK_FILE = "clock.json"
N_CALIBRATION = 200
"""Windows of the train cut that the ranges of activations come from."""


@dataclass(frozen=True)
class CompressionReport:
    """What the tournament took.

    durations_s: wall seconds to make each variant, in all runs of the step. left_out: variants that
    took no part, with the reason. exports: what became of each form of compression.also_export: empty, or why it was refused.
    export_s: wall seconds that these took, which are not counted in compression.time_budget_s.
    """

    n_parity_windows: int
    durations_s: Mapping[str, float]
    left_out: Mapping[str, str]
    exports: Mapping[str, str]
    export_s: float


def compress_model(
    settings: CompressModelSettings, inputs: Mapping[StepName, Path], output: Path, context: StepContext
) -> StepOutcome:
    """Write variants/<name>/model.tflite and tournament.json; a run that was stopped goes on with what it had made.

    Raises:
        ArtifactError: The float model cannot be run where it would be served.
    """
    began = time.monotonic()
    plan = plan_tournament(settings.compression, settings.model)
    series_store, store = (
        read_series_store(inputs[StepName.VALIDATE_DATA]),
        read_feature_store(inputs[StepName.BUILD_FEATURES]),
    )
    parity = parity_spec(series_store, store, settings.compression.n_parity_windows)
    model, kept = inputs[StepName.TRAIN_MODEL], context.run.checkpoint(StepName.COMPRESS_MODEL)
    kept.mkdir(parents=True, exist_ok=True)
    clock = BudgetClock(settings.compression.budget_s, kept / _CLOCK_FILE, began=began)
    with tempfile.TemporaryDirectory() as folder, Stopwatch(parity.real, Path(folder)) as stopwatch:
        # Its process imports TensorFlow while this one does.
        stopwatch.start(FLOAT_REFERENCE, model / SAVED_MODEL_DIR)
        _begin_tensorflow(settings)
        shelf = NetworkShelf(settings, store, model, kept=kept, clock=clock)
        tournament = Tournament(
            shelf,
            store,
            parity=parity,
            calibration=lambda: calibration_inputs(series_store, store.spec, shelf.learnt(), count=N_CALIBRATION),
            clock=clock,
            max_loss=settings.compression.max_accuracy_loss,
            kept=kept,
        )
        records = tournament.build(plan.variants)
        variants = _measured([_float_record(model), *records], tournament, stopwatch)
    tournament.deliver(output)
    write_tournament(variants, output / TOURNAMENT_FILE)
    # Behind the tournament, whose result stands however this ends.
    began = time.monotonic()
    exports = export_also(settings.compression, lambda: shelf.network(Pruning.NONE).module, parity.real, output)
    export_s = round(time.monotonic() - began, 2)
    report = CompressionReport(parity.n_real, tournament.durations_s, plan.left_out, exports, export_s)
    (output / REPORT_FILE).write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
    # What time did not last for may be made on another day.
    complete = all(variant.status is not VariantStatus.LEFT_OUT for variant in variants)
    return StepOutcome(passed=True, summary=_summary(variants, exports, export_s), reusable=complete)


def _begin_tensorflow(settings: CompressModelSettings) -> None:
    from forecasting.neural.strategy import make_strategy

    training = settings.training
    # Its pod has what `cluster.resources` says of compress_model, which need not be a GPU where training has one.
    place = "any" if training.accelerator == "gpu" else training.accelerator
    make_strategy(training.model_copy(update={"strategy": "default", "accelerator": place}))


def calibration_inputs(series_store: SeriesStore, spec: FeatureSpec, learnt: WindowIndex, *, count: int) -> ModelInputs:
    """Real windows that the model learnt from, spread over series and origins.

    Args:
        series_store: The validated table.
        spec: Of the model.
        learnt: Windows that it learnt from.
        count: How many at most.
    """
    chosen = np.unique(np.linspace(0, len(learnt) - 1, min(count, len(learnt))).astype(int))
    parts = []
    for number in chosen:
        series = series_store.series[int(learnt.series[number])]
        origin = series.start + int(learnt.age[number]) * spec.step_s
        parts.append(window_inputs(series, spec, np.asarray([origin])))
    return stack_inputs(parts)


def _float_record(model: Path) -> VariantRecord:
    size, compressed = directory_sizes(model / SAVED_MODEL_DIR)
    return VariantRecord(
        FLOAT_REFERENCE, "", VariantStatus.BUILT, size_bytes=size, compressed_bytes=compressed, parity_max_ratio=0.0,
        parity_mean_ratio=0.0, parity_window_ratio=0.0, extreme_ratio=0.0, sparsity=0.0, validation_loss_ratio=0.0,
    )  # fmt: skip


def _measured(records: list[VariantRecord], tournament: Tournament, stopwatch: Stopwatch) -> list[VariantRecord]:
    """The records with what running them took; one that cannot be run is rejected."""
    for record in records:
        if record.path:
            stopwatch.start(record.name, tournament.file(record.name))
    found = stopwatch.measure(needed=FLOAT_REFERENCE)
    return [
        _with_latency(record, found[record.name])
        if record.name in found
        else replace(record, status=VariantStatus.REJECTED, reason=stopwatch.failures[record.name])
        if record.name in stopwatch.failures
        else record
        for record in records
    ]


def _with_latency(record: VariantRecord, latency: LatencyReport) -> VariantRecord:
    return replace(
        record,
        latency_p50_ms=latency.p50_ms,
        latency_p99_ms=latency.p99_ms,
        forecasts_per_s=latency.forecasts_per_s[1],
        forecasts_per_s_32=latency.forecasts_per_s[32],
        forecasts_per_s_256=latency.forecasts_per_s[256],
        load_s=latency.load_s,
        peak_memory_bytes=latency.peak_memory_bytes,
    )


def _summary(variants: list[VariantRecord], exports: Mapping[str, str], export_s: float) -> str:
    built = {variant.name: variant.size_bytes or 0 for variant in variants if variant.status is VariantStatus.BUILT}
    smallest = min(built, key=lambda name: built[name])
    first = f"{len(built)} variants, {as_bytes(built[FLOAT_REFERENCE])} float → {as_bytes(built[smallest])} {smallest}"
    others = [
        f"{variant.name} {variant.status.value.replace('_', ' ')}"
        for variant in variants
        if variant.status is not VariantStatus.BUILT
    ]
    refused = [f"{form} refused: {reason}" for form, reason in exports.items() if reason]
    written = [form for form, reason in exports.items() if not reason]
    beside = [f"{' and '.join(written)} in {export_s:.1f} s beside the time budget"] if written else []
    return "; ".join([first, *others, *refused, *beside])
