"""Minutes of load with a version swap, a rollback and a reload inside: no request may be lost, memory must stay flat.

Run by `make bench-sustained`; writes build/bench/sustained.json. The model is the tiny forecaster of the unit
tests in two versions; half of the requests go over gRPC, half over REST, at a fixed rate.
"""

import argparse
import asyncio
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import uvloop

from forecasting.repository import ModelRepository
from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import model_server
from tests.benchmarks.bench_file import write_bench
from tests.benchmarks.load import Ask, GrpcLoad, HttpLoad, cpu_seconds, rss_mib
from tests.benchmarks.peers.environment import ROOT
from tests.benchmarks.serving import Payload
from tests.unit.serving import tiny_models

N_CONNECTIONS = 8


@dataclass
class _Course:
    latencies_s: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    events: list[str] = field(default_factory=list)


async def _drive(asks: list[Ask], course: _Course, *, rate: float, seconds: float) -> None:
    free: list[asyncio.Queue[int]] = [asyncio.Queue() for _ in asks]
    for queue in free:
        for number in range(N_CONNECTIONS):
            queue.put_nowait(number)

    async def one(which: int, due: float) -> None:
        number = await free[which].get()
        try:
            await asks[which](number)
            course.latencies_s.append(time.perf_counter() - due)
        except Exception as error:  # noqa: BLE001  # every kind of failure is a lost request
            course.errors.append(f"{type(error).__name__}: {error}"[:300])
        finally:
            free[which].put_nowait(number)

    start, running = time.perf_counter(), set[asyncio.Task[None]]()
    for position in range(int(rate * seconds)):
        due = start + position / rate
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        task = asyncio.create_task(one(position % len(asks), due))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)


async def _disturb(repository: ModelRepository, course: _Course, pid: int, seconds: float) -> None:
    """Swap, roll back and reload in turn, and look at the memory."""
    steps = [
        ("swap to version 2", lambda: repository.promote("m", 2)),
        ("roll back to version 1", lambda: repository.rollback("m")),
        ("candidate beside it, by a reload", lambda: repository.set_candidate("m", 2)),
    ]
    pause, n_looks = seconds / (4 * len(steps)), 0
    while True:
        await asyncio.sleep(pause)
        course.rss_mib.append(rss_mib([pid]))
        if n_looks % 4 == 3 and n_looks // 4 < len(steps):
            name, step = steps[n_looks // 4]
            await asyncio.to_thread(step)
            course.events.append(name)
        n_looks += 1


async def _run(server, repository: ModelRepository, payload: Payload, *, rate: float, seconds: float) -> _Course:
    course = _Course()
    rest = HttpLoad(
        server.rest_address, f"/v1/models/{payload.name}:predict", payload.columns, n_connections=N_CONNECTIONS
    )
    grpc = GrpcLoad(server.grpc_address, payload.message, n_connections=N_CONNECTIONS)
    async with rest as ask_rest, grpc as ask_grpc:
        disturbing = asyncio.create_task(_disturb(repository, course, server.pid, seconds * 0.95))
        await _drive([ask_rest, ask_grpc], course, rate=rate, seconds=seconds)
        # What went wrong with the swaps is no success of the load.
        if disturbing.done():
            disturbing.result()
        disturbing.cancel()
    return course


def main() -> None:
    """Run the course and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=1400.0, help="requests a second over both transports")
    flags = parser.parse_args()
    cache = ROOT / "build/bench/models"
    cache.mkdir(parents=True, exist_ok=True)
    models = tiny_models.build(cache)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        repository = ModelRepository(folder / "models")
        for factor in (1, 2):
            repository.publish("m", tiny_models.write_version(models, folder / str(factor), factor=factor, lite=True))
        repository.promote("m", 1)
        words = [f"--model_config_file={repository.write_server_config()}", "--model_config_file_poll_wait_seconds=1"]
        with model_server([*words, "--prefer_tflite_model"], log=folder / "log") as server:
            with GrpcClient(server.grpc_address) as client:
                client.wait_available("m")
            payload = Payload("m", folder, tiny_models.window().as_dict())
            cpu = cpu_seconds([server.pid])
            course = uvloop.run(_run(server, repository, payload, rate=flags.rate, seconds=flags.seconds))
            cpu = cpu_seconds([server.pid]) - cpu
    n_answers = len(course.latencies_s)
    figures = {
        "seconds": flags.seconds,
        "rate": flags.rate,
        "n_requests": n_answers + len(course.errors),
        "n_lost": len(course.errors),
        "errors": course.errors[:5],
        "events": course.events,
        "cpu_share": cpu / flags.seconds,
        "p50_ms": float(np.percentile(course.latencies_s, 50) * 1e3),
        "p99_ms": float(np.percentile(course.latencies_s, 99) * 1e3),
        "rss_mib": course.rss_mib,
    }
    write_bench(flags.out, figures=figures, peers={})
    print(figures)


if __name__ == "__main__":
    main()
