"""What the gateway adds to the model server, and how many series it forecasts a second in bulk calls.

Run by `make bench-gateway`; writes build/bench/gateway.json. Model server, gateway and load generator are three processes
on the machine's cores. The model is `plain_model`: a window of 168 steps and six columns in, 24 steps of three levels out,
for next to no time of its own, so that the rest is what is measured. `overhead` is the latency of a forecast of one series
by id through the gateway less that of the same window sent to the model server as a Predict, medians of interleaved rounds
on one connection each. Bulk calls ask for every series of the store by two clients at once.
"""

import argparse
import asyncio
import io
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import uvloop

from forecasting.repository import ModelRepository
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.windows import window_inputs
from forecasting.wire.client import GrpcClient, predict_request
from forecasting.wire.server_process import listening_process, model_server
from serving.gateway.arrow_bodies import ARROW
from tests.benchmarks.bench_file import write_bench
from tests.benchmarks.load import Ask, GrpcLoad, HttpLoad, cpu_seconds, family, throughput
from tests.benchmarks.plain_model import CONTEXT, HORIZON, SPEC
from tests.unit.forecasting.series_stores import write_series_store

START, HOUR_S, N_STEPS = 1_388_534_400, 3_600, 400
N_SERIES = 5_000
ROUNDS, CHUNK, WARM = 15, 200, 300
BULK_CALLS, BULK_ROUNDS = 4, 5
_LINE = {"http": re.compile(r"Gateway at (\S+)")}


@dataclass(frozen=True)
class Services:
    """Addresses and process ids of a model server and a gateway in front of it."""

    grpc: str
    http: str
    pids: tuple[int, ...]


def make_store() -> SeriesStore:
    """Series of hourly values with a covariate that reaches over the horizon."""
    noise = np.random.default_rng(1)
    cutoff = START + N_STEPS * HOUR_S
    spec = SeriesSpec(
        "demand", (), ("temperature",), (), {}, HOUR_S, SplitSpec(cutoff - 48 * HOUR_S, cutoff - 24 * HOUR_S, cutoff)
    )
    clock = np.arange(N_STEPS + HORIZON)
    series = []
    for number in range(N_SERIES):
        demand = 100 + 20 * np.sin(2 * np.pi * clock / 24) + noise.normal(size=len(clock))
        demand[N_STEPS:] = np.nan
        values = np.column_stack([demand, 10 + noise.normal(size=len(clock))])
        series.append(Series(f"series-{number:05}", START, values))
    return SeriesStore(spec, tuple(series))


@contextmanager
def running(folder: Path, store: SeriesStore, *more: str) -> Iterator[Services]:
    """Both processes, with the model as champion; more: flags of the gateway."""
    subprocess.run([sys.executable, "-m", "tests.benchmarks.plain_model", str(folder)], check=True, capture_output=True)
    (folder / "series").mkdir()
    write_series_store(store, folder / "series")
    repository = ModelRepository(folder / "models")
    repository.promote("plain", repository.publish("plain", folder / "version"))
    repository.keep_series("plain", 1, folder / "series")
    flags = [f"--model_config_file={repository.server_config}", "--prefer_tflite_model"]
    with model_server(flags, log=folder / "server.log") as server:
        with GrpcClient(server.grpc_address) as client:
            client.wait_available("plain", 1)
        command = [sys.executable, "-m", "serving.gateway", "--model=plain", f"--models-dir={folder / 'models'}"]
        command += [f"--grpc={server.grpc_address}", "--port=0", *more]
        with listening_process(command, _LINE, log=folder / "gateway.log") as (process, addresses):
            pids = (*family(server.process.pid), *family(process.pid))
            yield Services(server.grpc_address, addresses["http"], pids)


async def one_series(services: Services, store: SeriesStore) -> dict[str, float]:
    """Latencies of one series through the gateway and of its window at the model server, milliseconds."""
    one = store.series[7]
    origin = np.array([START + N_STEPS * HOUR_S])
    message = predict_request("plain", window_inputs(one, SPEC, origin).as_dict(), version=1).SerializeToString()
    body = orjson.dumps({"series": [one.id]})
    found: dict[str, list[list[float]]] = {"gateway": [], "server": []}
    http = HttpLoad(services.http, "/v1/forecast", body, n_connections=1)
    async with http as gateway, GrpcLoad(services.grpc, message, n_connections=1) as server:
        for name, ask in (("gateway", gateway), ("server", server)):
            await _times(ask, WARM)
            found[name] = []
        for _ in range(ROUNDS):
            for name, ask in (("gateway", gateway), ("server", server)):
                found[name].append(await _times(ask, CHUNK))
    values = {
        f"{name}_p{share}_ms": median(float(np.percentile(chunk, share)) for chunk in chunks)
        for name, chunks in found.items()
        for share in (50, 99)
    }
    for share in (50, 99):
        values[f"overhead_p{share}_ms"] = values[f"gateway_p{share}_ms"] - values[f"server_p{share}_ms"]
    return values


async def _times(ask: Ask, n_requests: int) -> list[float]:
    taken = []
    for _ in range(n_requests):
        start = time.perf_counter()
        await ask(0)
        taken.append(1e3 * (time.perf_counter() - start))
    return taken


async def bulk(services: Services, name: str, body: bytes, headers: dict[str, str]) -> dict[str, float]:
    """Series a second of calls for all series, best and median of some rounds, and CPU seconds of both servers."""
    rates, cpu = [], []
    async with HttpLoad(services.http, "/v1/forecast", body, n_connections=2, headers=headers) as ask:
        await throughput(ask, [], n_requests=2, n_connections=2)
        for _ in range(BULK_ROUNDS):
            before = cpu_seconds(list(services.pids))
            report = await throughput(ask, [], n_requests=BULK_CALLS, n_connections=2)
            rates.append(report.n_requests * N_SERIES / report.wall_s)
            cpu.append(1000 * (cpu_seconds(list(services.pids)) - before) / (report.n_requests * N_SERIES))
    return {
        f"{name}_series_per_s": median(rates),
        f"{name}_series_per_s_best": max(rates),
        f"{name}_cpu_ms_per_series": median(cpu),
    }


def arrow_body(store: SeriesStore) -> bytes:
    """The last CONTEXT rows of every series and its covariate ahead, as a request brings them."""
    rows = slice(N_STEPS - CONTEXT, N_STEPS + HORIZON)
    n_rows = CONTEXT + HORIZON
    values = np.concatenate([one.values[rows] for one in store])
    stamps = START + HOUR_S * (N_STEPS - CONTEXT + np.arange(n_rows, dtype=np.int64))
    codes = pa.array(np.repeat(np.arange(N_SERIES, dtype=np.int32), n_rows))
    table = pa.table(
        {
            "series": pa.DictionaryArray.from_arrays(codes, pa.array([one.id for one in store])),
            "timestamp": pa.array(np.tile(stamps, N_SERIES)).cast(pa.timestamp("s", "UTC")),
            "demand": pa.array(values[:, 0].astype(np.float32), from_pandas=True),
            "temperature": pa.array(values[:, 1].astype(np.float32)),
        }
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


async def measure(services: Services, store: SeriesStore) -> dict[str, Any]:
    """All figures."""
    single = await one_series(services, store)
    json = await bulk(services, "json", b"{}", {})
    arrow = await bulk(services, "arrow", b"{}", {"accept": ARROW})
    history = await bulk(services, "arrow_with_history", arrow_body(store), {"content-type": ARROW})
    return {"n_series": N_SERIES, **single, **json, **arrow, **history}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--store", action="store_true", help="the gateway keeps its forecasts in an SQLite file")
    flags = parser.parse_args(arguments)
    store, more = make_store(), ("--store=default",) if flags.store else ()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), store, *more) as services,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        figures = runner.run(measure(services, store))
    write_bench(flags.out, figures=figures, peers={})
    for name, value in figures.items():
        print(f"{name:34} {value:,.3f}" if isinstance(value, float) else f"{name:34} {value:,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
