"""`make bench-store`: what the forecast log costs whoever answers, how much it writes, how fast histories are read."""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from forecasting.config.store import StoreConfig
from forecasting.store.address import store_address
from forecasting.store.forecast_log import ForecastLog
from forecasting.store.forecasts import ForecastBatchRecord, ForecastQuery, ForecastRole, read_forecasts
from forecasting.store.history import HistoryQuery, read_history
from forecasting.store.observations import ObservationRows, write_observations
from forecasting.store.opening import Store, open_store
from forecasting.store.packing import GridSpec
from tests.benchmarks.bench_file import write_bench

HORIZON, LEVELS, STEP_S = 24, (0.1, 0.5, 0.9), 3600
START = 1_700_000_000 // STEP_S * STEP_S
ANSWER_S = 0.0002
"""CPU that stands for the rest of an answer."""


def one_forecast(number: int, n_series: int = 1) -> ForecastBatchRecord:
    return ForecastBatchRecord(
        request=f"{number:032x}",
        created_at=START + number // 500,
        role=ForecastRole.CHAMPION,
        model="load",
        version=1,
        series=tuple(f"series-{(number * n_series + place) % 10_000:05d}" for place in range(n_series)),
        origins=np.full(n_series, START),
        step_s=STEP_S,
        n_steps=HORIZON,
        levels=LEVELS,
        answers=np.random.default_rng(number).random((n_series, HORIZON, len(LEVELS)), np.float32),
    )


async def answer_steadily(take: Callable[[ForecastBatchRecord], None], rate: int, seconds: float) -> dict[str, float]:
    """Answer at a rate in an event loop, as the gateway does; how late answers were, and how long taking took."""
    late, took = [], []
    batches = [one_forecast(number) for number in range(int(rate * seconds))]
    begun, cpu = time.perf_counter(), time.process_time()
    for number, batch in enumerate(batches):
        due = begun + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        busy_until = time.perf_counter() + ANSWER_S
        while time.perf_counter() < busy_until:
            pass
        before = time.perf_counter()
        take(batch)
        after = time.perf_counter()
        took.append(after - before)
        late.append(after - due)
    used = time.process_time() - cpu
    return {
        "append_p50_us": float(np.quantile(took, 0.5) * 1e6),
        "append_p99_us": float(np.quantile(took, 0.99) * 1e6),
        "append_max_us": float(np.max(took) * 1e6),
        "answer_p50_us": float(np.quantile(late, 0.5) * 1e6),
        "answer_p99_us": float(np.quantile(late, 0.99) * 1e6),
        "cpu_s": used,
    }


def measure_steady(store: Store, folder: Path, rate: int, seconds: float) -> dict[str, Any]:
    """The same answers without and with the log: what it adds."""
    without = uvloop.run(answer_steadily(lambda _batch: None, rate, seconds))
    log = ForecastLog(store, folder / "spill", flush_interval_s=StoreConfig().flush_interval_s, queue_size=20_000)
    found = uvloop.run(answer_steadily(log.append, rate, seconds))
    report = log.close()
    thousands = rate * seconds / 1000
    return {
        **{name: round(value, 1) for name, value in found.items() if name != "cpu_s"},
        "added_p50_us": round(found["answer_p50_us"] - without["answer_p50_us"], 1),
        "added_p99_us": round(found["answer_p99_us"] - without["answer_p99_us"], 1),
        "cpu_s_per_1000": round((found["cpu_s"] - without["cpu_s"]) / thousands, 3),
        "spilled": report.spilled,
        "lost": int(rate * seconds) - report.written,
    }


def measure_bulk(store: Store, folder: Path, n_series: int, n_requests: int) -> dict[str, Any]:
    """How many forecasts a second the log writes where they come as fast as it takes them."""
    batches = [one_forecast(10_000_000 + number, n_series) for number in range(n_requests)]
    log = ForecastLog(store, folder / "spill", flush_interval_s=0.01, queue_size=n_series * n_requests)
    begun, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        log.append(batch)
    report = log.close(timeout_s=600)
    seconds, used = time.perf_counter() - begun, time.process_time() - cpu
    n_forecasts = n_series * n_requests
    return {
        "forecasts_per_s": round(n_forecasts / seconds),
        "cpu_s_per_1000": round(used / n_forecasts * 1000, 4),
        "lost": n_forecasts - report.written,
    }


def measure_history(store: Store, n_series: int, n_steps: int) -> dict[str, Any]:
    """Read two columns of many series."""
    ids, names, grid = tuple(f"series-{n:05d}" for n in range(n_series)), ("load", "temperature"), GridSpec(STEP_S, 0)
    begun = time.perf_counter()
    for first in range(0, n_series, 1000):
        part = np.arange(first, min(first + 1000, n_series))
        series, steps, columns = (axis.ravel() for axis in np.meshgrid(part, np.arange(n_steps), (0, 1), indexing="ij"))
        rows = ObservationRows(
            model="load", series=ids, names=names, series_at=series, name_at=columns, time=START + STEP_S * steps,
            number=np.random.default_rng(first).random(len(series)), known_at=START + STEP_S * steps + 60,
        )  # fmt: skip
        write_observations(store, rows, grid, now=START)
    written = time.perf_counter() - begun
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        found = read_history(
            store, HistoryQuery(model="load", series=ids, names=names, grid=grid, start=START, n_steps=n_steps)
        )
        seconds.append(time.perf_counter() - begun)
    n_values = int(np.isfinite(found.numbers).sum())
    singles = []
    for number in range(200):
        begun = time.perf_counter()
        query = HistoryQuery(
            model="load", series=(ids[number * 7 % n_series],), names=names, grid=grid, start=START, n_steps=n_steps
        )
        read_history(store, query)
        singles.append(time.perf_counter() - begun)
    return {
        "n_values": n_values,
        "read_all_s": round(float(np.median(seconds)), 3),
        "read_one_ms": round(float(np.median(singles)) * 1e3, 3),
        "values_written_per_s": round(n_values / written),
    }


def main() -> None:
    """Measure and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench/store.json"))
    parser.add_argument("--url", help="a database as store.url names it; none: a new SQLite file")
    parser.add_argument("--seconds", type=float, default=20.0)
    flags = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        open_store(store_address(flags.url, Path(folder) / "serving.db")) as store,
    ):
        figures = {
            "steady_500_per_s": measure_steady(store, Path(folder), 500, flags.seconds),
            "bulk_1000_series": measure_bulk(store, Path(folder), 1000, 50),
            "history_10000_series_336_steps_2_columns": measure_history(store, 10_000, 336),
        }
        n_found = len(read_forecasts(store, ForecastQuery(model="load", series=("series-00000",))))
        print({**figures, "forecasts_of_one_series": n_found})
    write_bench(flags.out, figures=figures, peers={})


if __name__ == "__main__":
    main()
