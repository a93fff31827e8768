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


def answer(store: Store, ids: tuple[str, ...], origin: int = CUTOFF) -> None:
    answers = np.random.default_rng(2).normal(100, 10, (len(ids), HORIZON, 1)) + np.array([-10, 0, 10])
    record = ForecastBatchRecord(
        request="r", created_at=origin, role=ForecastRole.CHAMPION, model=MODEL, version=1, series=ids,
        origins=np.full(len(ids), origin), step_s=STEP_S, n_steps=HORIZON, levels=LEVELS, answers=answers.astype(np.float32),
    )  # fmt: skip
    write_forecasts(store, [record])


def observe(store: Store, ids: tuple[str, ...], *, shift: float, begin: int = CUTOFF, n_steps: int = HORIZON) -> None:
    n = len(ids) * n_steps
    rows = ObservationRows(
        model=MODEL, series=ids, names=("y",), series_at=np.repeat(np.arange(len(ids)), n_steps),
        name_at=np.zeros(n, np.int64), time=np.tile(begin + STEP_S * np.arange(n_steps), len(ids)),
        number=np.random.default_rng(3).normal(100, 10, n) + shift, known_at=np.full(n, CUTOFF + 30 * 86_400 + int(shift)),
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


def measure_days(n_series: int, n_days: int, folder: Path) -> dict[str, Any]:
    """A forecast an hour of each series for some days: a first round, then what single posts cost."""
    ids = tuple(f"series-{number:05d}" for number in range(n_series))
    repository = ModelRepository(folder / "models")
    publish(repository, folder, ids)
    n_hours = n_days * 24
    found: dict[str, Any] = {"n_series": n_series, "n_days": n_days, "n_forecasts": n_series * n_hours}
    with open_store(store_address(None, folder / "serving.db")) as store:
        for hour in range(n_hours):
            answer(store, ids, CUTOFF + hour * STEP_S)
        observe(store, ids, shift=0.0, n_steps=n_hours)
        now = float(CUTOFF + n_hours * STEP_S)
        settings = MonitoringConfig(drift_interval="52w")
        monitor = Monitor(store, repository, MODEL, settings, clock=lambda: now, owner="bench")
        end = CUTOFF + n_hours * STEP_S
        posts: dict[str, Any] = {
            "first_round_with_drift": lambda: None,
            "nothing_new": lambda: None,
            "one_hour_of_all": lambda: observe(store, ids, shift=0.0, begin=end, n_steps=1),
            "one_hour_of_one": lambda: observe(store, ids[:1], shift=0.0, begin=end + STEP_S, n_steps=1),
            "one_corrected": lambda: observe(store, ids[7:8], shift=9.0, begin=end - 200 * STEP_S, n_steps=1),
        }
        for name, post in posts.items():
            posted = timed(post)
            wall, cpu, report = timed(monitor.round)
            found |= {f"{name}_s": wall, f"{name}_cpu_s": cpu, f"{name}_post_cpu_s": posted[1]}
            found[f"{name}_forecasts"] = report.accuracy.n_forecasts
        monitor.close()
        again = Monitor(store, repository, MODEL, settings, clock=lambda: now, owner="next")
        found["started_again_with_drift_s"], found["started_again_with_drift_cpu_s"], _ = timed(again.round)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--hourly-series", type=int, default=3_000, help="with a forecast an hour for --days")
    parser.add_argument("--days", type=int, default=14)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
        figures = measure(arguments.series, Path(folder))
        figures["hourly"] = measure_days(arguments.hourly_series, arguments.days, Path(other))
        write_bench(arguments.out, figures=figures, peers={})


if __name__ == "__main__":
    main()
