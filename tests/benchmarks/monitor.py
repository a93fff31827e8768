"""`make bench-monitor`: what scoring and drift cost for many series, and the memory of the process."""

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from forecasting.config.monitoring import MonitoringConfig
from forecasting.contracts.artifacts import EXPORTED_SPEC_FILE
from forecasting.features.spec import CalendarSpec, FeatureSpec, ScalerSpec, write_feature_spec
from forecasting.repository import ModelRepository
from forecasting.schema import Series, SeriesSpec, SplitSpec
from forecasting.series_store import SeriesStoreWriter
from forecasting.store.address import store_address
from forecasting.store.forecasts import ForecastBatchRecord, ForecastRole, write_forecasts
from forecasting.store.observations import ObservationRows, write_observations
from forecasting.store.opening import Store, open_store
from forecasting.store.packing import GridSpec
from serving.monitor.monitor import Monitor
from tests.benchmarks.bench_file import write_bench

MODEL, STEP_S, HORIZON, LEVELS = "load", 3600, 24, (0.1, 0.5, 0.9)
START = 1_700_006_400
N_PAST = 60 * 24
CUTOFF = START + N_PAST * STEP_S
SPEC = FeatureSpec(
    target="y", observed=(), known=(), static=(), categories={}, step_s=STEP_S, context=168, horizon=HORIZON, segment=24,
    seasons=(24, 168), quantiles=LEVELS, calendar=CalendarSpec((), (), (), (0,), ()), derived=(),
    scaler=ScalerSpec({"y": 0.0}, {"y": 1.0}), target_scaling="train",
)  # fmt: skip


def publish(repository: ModelRepository, folder: Path, ids: tuple[str, ...]) -> None:
    rng = np.random.default_rng(1)
    series, source = folder / "series", folder / "source"
    series.mkdir()
    split = SplitSpec(START + 40 * 86_400, START + 50 * 86_400, CUTOFF)
    with SeriesStoreWriter(SeriesSpec("y", (), (), (), {}, STEP_S, split), series) as writer:
        for one in ids:
            writer.add(Series(one, START, rng.normal(100, 10, (N_PAST, 1))))
    write_feature_spec(SPEC, source / EXPORTED_SPEC_FILE)
    version = repository.publish(MODEL, source, {})
    repository.keep_series(MODEL, version, series)
    repository.promote(MODEL, version)


def answer(store: Store, ids: tuple[str, ...]) -> None:
    answers = np.random.default_rng(2).normal(100, 10, (len(ids), HORIZON, 1)) + np.array([-10, 0, 10])
    record = ForecastBatchRecord(
        request="r", created_at=CUTOFF, role=ForecastRole.CHAMPION, model=MODEL, version=1, series=ids,
        origins=np.full(len(ids), CUTOFF), step_s=STEP_S, n_steps=HORIZON, levels=LEVELS, answers=answers.astype(np.float32),
    )  # fmt: skip
    write_forecasts(store, [record])


def observe(store: Store, ids: tuple[str, ...], *, shift: float) -> None:
    n = len(ids) * HORIZON
    rows = ObservationRows(
        model=MODEL, series=ids, names=("y",), series_at=np.repeat(np.arange(len(ids)), HORIZON),
        name_at=np.zeros(n, np.int64), time=np.tile(CUTOFF + STEP_S * np.arange(HORIZON), len(ids)),
        number=np.random.default_rng(3).normal(100, 10, n) + shift, known_at=np.full(n, CUTOFF + 86_400 + int(shift)),
    )  # fmt: skip
    write_observations(store, rows, GridSpec.of(STEP_S, CUTOFF), now=CUTOFF)


def timed(work: Any) -> tuple[float, float, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return round(time.perf_counter() - wall, 2), round(time.process_time() - cpu, 2), found


def measure(n_series: int, folder: Path) -> dict[str, Any]:
    ids = tuple(f"series-{number:05d}" for number in range(n_series))
    repository = ModelRepository(folder / "models")
    publish(repository, folder, ids)
    found: dict[str, Any] = {"n_series": n_series, "horizon": HORIZON}
    with open_store(store_address(None, folder / "serving.db")) as store:
        answer(store, ids)
        observe(store, ids, shift=0.0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # So long an interval that the first measurement of drift is the only one.
        settings = MonitoringConfig(drift_interval="52w")
        monitor = Monitor(store, repository, MODEL, settings, clock=lambda: float(CUTOFF + 2 * 86_400), owner="bench")
        names = ("first_round_with_drift", "nothing_new", "all_restated")
        for name in names:
            if name == "all_restated":
                observe(store, ids, shift=1.0)
            wall, cpu, report = timed(monitor.round)
            found |= {f"{name}_s": wall, f"{name}_cpu_s": cpu}
            found[f"{name}_points"] = report.accuracy.n_restated if name == "all_restated" else report.accuracy.n_new
        found["added_rss_mib"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
        found["rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--series", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_bench(arguments.out, figures=measure(arguments.series, Path(folder)), peers={})


if __name__ == "__main__":
    main()
