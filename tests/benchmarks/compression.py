"""The full tournament of the electricity example: what ships beside the float model, and a table for three kinds of model.

The baseline is the float32 SavedModel in a session with a frozen graph; the session as the model server runs it and a call of
the loaded signature stand beside it. All are timed in turns, each in a process of its own. `tournament_cpu_s` is the CPU time of
compress_model and evaluate_compressed, their imports and everything they start. Kinds other than the default one are trained
for few steps: their figures are about speed and size. Run by `make bench-compression`; writes build/bench/compression.json.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.compression.measure import LatencyReport, Stopwatch
from components.compression.measure_process import FROZEN, SIGNATURE
from components.compression.parity import parity_spec
from components.reporting.evidence import gather_evidence
from components.reporting.variant_charts import variant_table
from forecasting.contracts.layout import RunLayout, home_layout
from forecasting.contracts.steps import StepName
from forecasting.feature_store import read_feature_store
from forecasting.runs import list_runs
from forecasting.series_store import read_series_store
from forecasting.tournament import FLOAT_REFERENCE
from tests.benchmarks.bench_file import write_bench

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "pipelines/configs/electricity.yaml"
DEFAULT = "segment_lstm"
LITE = "tflite_float32"
ALONE = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
# Models that are hardly trained are not to be refused before they are compressed.
LENIENT = (
    "gates.model={max_mae: 1e9, max_rmse: 1e9, max_naive_ratio: 1, max_champion_ratio: 1e9}",
    "gates.compressed={max_mae: 1e9, max_rmse: 1e9}",
    "gates.slices=null",
    "gates.exceedance=null",
)
SHORT = (
    "training.max_epochs=2", "training.refit=false", "compression.structured_rounds=1", "compression.structured_steps=100",
    "compression.max_accuracy_loss=0.1",
    ("compression.variants=[tflite_float32, tflite_float16, tflite_int8_weights, tflite_int8, structured_tflite_float32,"
    " structured_tflite_int8_weights, structured_tflite_int8]"),
)  # fmt: skip
KINDS: Mapping[str, tuple[str, ...]] = {
    DEFAULT: (),
    "lstm": ("model.kind=lstm", "forecast.context=168", "training.max_steps_per_epoch=30", *SHORT, *LENIENT),
    "tsmixer": ("model.kind=tsmixer", *SHORT, *LENIENT),
}


@dataclass(frozen=True)
class KindReport:
    """One tournament: its variants as the run report shows them, what ships, CPU and wall seconds."""

    variants: dict[str, Any]
    shipped: str
    tournament_cpu_s: float
    tournament_wall_s: float


def _cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def run(home: Path, settings: tuple[str, ...], *, last: StepName, profile: str = "full") -> RunLayout:
    """Run the example up to a step."""
    words = [str(Path(sys.executable).with_name("almanac")), "run", "-c", str(CONFIG), "--to", last.value]
    words += ["--profile", profile] + [word for setting in settings for word in ("--set", setting)]
    environment = {**os.environ, **ALONE, "ALMANAC_HOME": str(home)}
    found = subprocess.run(words, cwd=ROOT, env=environment, check=False, stdout=sys.stderr)
    if found.returncode:
        raise SystemExit(f"almanac run ended with {found.returncode}; its words are above")
    return home_layout(home).run(list_runs(home_layout(home))[0].name)


def measure_kind(home: Path, settings: tuple[str, ...]) -> tuple[RunLayout, KindReport]:
    """Train first, then hold the tournament, which alone is timed."""
    run(home, settings, last=StepName.EVALUATE_MODEL)
    cpu, began = _cpu_s(), time.monotonic()
    layout = run(home, settings, last=StepName.EVALUATE_COMPRESSED)
    cpu, wall = _cpu_s() - cpu, time.monotonic() - began
    evidence = gather_evidence(layout)
    shipped = evidence.decisions[StepName.EVALUATE_COMPRESSED].variant or ""
    return layout, KindReport(variant_table(evidence), shipped, round(cpu, 1), round(wall, 1))


def measure_default(layout: RunLayout, shipped: str) -> dict[str, LatencyReport]:
    """What ships beside every way of running the float model."""
    inputs = {step: layout.step(step) for step in StepName}
    store = read_feature_store(inputs[StepName.BUILD_FEATURES])
    windows = parity_spec(read_series_store(inputs[StepName.VALIDATE_DATA]), store, 64).real
    saved_model = inputs[StepName.TRAIN_MODEL] / "saved_model"
    with tempfile.TemporaryDirectory() as folder, Stopwatch(windows, Path(folder)) as stopwatch:
        stopwatch.start(FLOAT_REFERENCE, saved_model)
        stopwatch.start(FROZEN, saved_model, kind=FROZEN)
        stopwatch.start(SIGNATURE, saved_model, kind=SIGNATURE)
        for name in dict.fromkeys((LITE, shipped)):
            if name != FLOAT_REFERENCE:
                stopwatch.start(name, inputs[StepName.COMPRESS_MODEL] / "variants" / name / "model.tflite")
        return stopwatch.measure()


def figures(default: KindReport, latencies: Mapping[str, LatencyReport]) -> dict[str, Any]:
    """The headline figures, of what ships against the float models."""
    columns = default.variants["columns"]
    rows = {row[0]: dict(zip(columns, row, strict=True)) for row in default.variants["data"]}
    winner, reference = rows[default.shipped], rows[FLOAT_REFERENCE]
    p50 = {name: report.p50_ms for name, report in latencies.items()}
    fastest = p50[default.shipped]
    return {
        "shipped": default.shipped,
        "latency_ratio_savedmodel": round(p50[FROZEN] / fastest, 2),
        "latency_ratio_session": round(p50[FLOAT_REFERENCE] / fastest, 2),
        "latency_ratio_signature": round(p50[SIGNATURE] / fastest, 2),
        "latency_ratio_tflite_float": round(p50[LITE] / fastest, 2),
        "size_ratio_savedmodel": round(reference["size_bytes"] / winner["size_bytes"], 2),
        # On the same steps the ratio of WAPEs is that of MAEs.
        "wape_loss_percent": round(100 * winner["accuracy_loss"], 3),
        "coverage_change_points": round(100 * abs(winner["coverage"] - reference["coverage"]), 3),
        "tournament_cpu_s": default.tournament_cpu_s,
        "latencies": {name: asdict(report) for name, report in latencies.items()},
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    arguments = parser.parse_args()
    found: dict[str, KindReport] = {}
    latencies: dict[str, LatencyReport] = {}
    for kind in dict.fromkeys((DEFAULT, *arguments.kinds)):
        with tempfile.TemporaryDirectory() as home:
            layout, found[kind] = measure_kind(Path(home), KINDS[kind])
            if kind == DEFAULT:
                latencies = measure_default(layout, found[kind].shipped)
        # After each kind, so that what is done outlives the rest.
        result = figures(found[DEFAULT], latencies) | {"kinds": {name: asdict(one) for name, one in found.items()}}
        write_bench(arguments.out, figures=result, peers={})


if __name__ == "__main__":
    main()
