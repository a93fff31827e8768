"""Ten times the load that a model server can answer: what it still answers, how fast it refuses, how soon it is well again.

Run by `make bench-overload`; writes build/bench/overload.json. The model takes 5 ms of one core, the server has one core
and its default limits, clients have the others. `rest` is wrk with twice the connections that the server lets wait, `grpc`
ten times the calls at a time at which the capacity was measured, with a deadline so short that most cannot be answered.
Both send again at once, whatever the answer was. Shares of the capacity are given by the clock and by the server's CPU
time: neighbours on the machine disturb the first one.
"""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import uvloop

from forecasting.errors import ConfigError
from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import RunningServerRecord, model_server
from tests.benchmarks import slow_model
from tests.benchmarks.bench_file import write_bench
from tests.benchmarks.load import Ask, GrpcLoad, HttpLoad, cpu_seconds, throughput
from tests.benchmarks.peers.environment import ROOT
from tests.benchmarks.serving import Payload

MODEL, TIMES, MODEL_MS = "slow", 10, 5.0
DEADLINE_S, N_CONNECTIONS = 0.25, 1_000
N_FEW = 8
"""Connections at which the capacity is measured: none is refused and no thread is ever without work."""
RECOVERED_S, PROBE_PAUSE_S = 5.0, 0.05
WELL_TIMES = 3.0
"""Well again: an answer within so many times the usual latency."""
LUA = Path(__file__).with_name("overload.lua")


@dataclass
class Counts:
    """Answers of an open loop by what they were, and the milliseconds until each."""

    answers: Counter[str] = field(default_factory=Counter)
    taken_ms: dict[str, list[float]] = field(default_factory=dict)

    def note(self, code: str, seconds: float) -> None:
        """Count one answer."""
        self.answers[code] += 1
        self.taken_ms.setdefault(code, []).append(1e3 * seconds)

    def percentile_ms(self, code: str, share: float) -> float | None:
        """Of the times of one kind of answer."""
        taken = self.taken_ms.get(code)
        return None if taken is None else float(np.percentile(taken, share))


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started in the block runs on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class CapacityReport:
    """Answers of a closed loop that is never refused: a second of the clock, and a second of the server's core."""

    per_s: float
    per_cpu_s: float


async def capacity(ask: Ask, pid: int, seconds: float) -> CapacityReport:
    """What the server can do."""
    await throughput(ask, [], n_requests=100, n_connections=N_FEW)
    first = await throughput(ask, [], n_requests=200, n_connections=N_FEW)
    n_requests = int(seconds * first.n_requests / first.wall_s)
    report = await throughput(ask, [pid], n_requests=n_requests, n_connections=N_FEW)
    return CapacityReport(report.n_requests / report.wall_s, report.per_cpu_s)


async def flood(load: GrpcLoad, *, seconds: float) -> Counts:
    """A closed loop of many calls at a time, each with a deadline, that never pauses."""
    counts, end = Counts(), time.perf_counter() + seconds

    async def loop(number: int) -> None:
        while (sent := time.perf_counter()) < end:
            try:
                await load.call(number, timeout_s=DEADLINE_S)
            except grpc.aio.AioRpcError as error:
                counts.note(error.code().name, time.perf_counter() - sent)
            else:
                counts.note("OK", time.perf_counter() - sent)

    await asyncio.gather(*(loop(number) for number in range(TIMES * N_FEW)))
    return counts


async def recovery_s(ask: Ask, usual_s: float) -> float:
    """Seconds until ten answers in a row come about as fast as before the load."""
    start, well, since = time.perf_counter(), 0, 0.0
    while well < 10:
        began = time.perf_counter()
        try:
            await ask(0)
            good = time.perf_counter() - began < WELL_TIMES * usual_s
        except (grpc.aio.AioRpcError, RuntimeError):
            good = False
        since = since if well else began - start
        well = well + 1 if good else 0
        await asyncio.sleep(PROBE_PAUSE_S)
        if time.perf_counter() - start > 60:
            raise RuntimeError("the server is not well a minute after the load")
    return since


async def usual_s(ask: Ask) -> float:
    """Latency of a request that is alone, seconds."""
    taken = []
    for _ in range(50):
        start = time.perf_counter()
        await ask(0)
        taken.append(time.perf_counter() - start)
    return float(np.percentile(taken, 90))


async def grpc_figures(server: RunningServerRecord, payload: Payload, seconds: float) -> dict[str, object]:
    """Capacity, then ten times as much, then the time until it is well again."""
    load = GrpcLoad(server.grpc_address, payload.message, n_connections=N_FEW)
    async with load as ask:
        alone, most = await usual_s(ask), await capacity(ask, server.pid, seconds / 2)
        cpu_s = cpu_seconds([server.pid])
        counts = await flood(load, seconds=seconds)
        cpu_s = cpu_seconds([server.pid]) - cpu_s
        well_s = await recovery_s(ask, alone)
    figures = {
        "capacity_per_s": most.per_s,
        "calls_at_a_time": TIMES * N_FEW,
        "sent_per_s": counts.answers.total() / seconds,
        "goodput_share": counts.answers["OK"] / seconds / most.per_s,
        "goodput_share_by_cpu": counts.answers["OK"] / cpu_s / most.per_cpu_s,
        "answers": dict(counts.answers),
        "recovery_s": well_s,
    }
    for code, name in (("RESOURCE_EXHAUSTED", "refusal"), ("OK", "answer")):
        figures |= {f"{name}_p{share}_ms": counts.percentile_ms(code, share) for share in (50, 99)}
    return figures


async def rest_figures(
    server: RunningServerRecord, payload: Payload, seconds: float, folder: Path
) -> dict[str, object]:
    """The same by wrk, whose connections each send again as soon as they are answered."""
    load = HttpLoad(server.rest_address, f"/v1/models/{MODEL}:predict", payload.columns, n_connections=N_FEW)
    (folder / "body.json").write_bytes(payload.columns)
    async with load as ask:
        alone, most = await usual_s(ask), await capacity(ask, server.pid, seconds / 2)
        cpu_s = cpu_seconds([server.pid])
        found = await asyncio.to_thread(_wrk, server, folder / "body.json", seconds)
        cpu_s = cpu_seconds([server.pid]) - cpu_s
        well_s = await recovery_s(ask, alone)
    n_good = found["n_requests"] - found["n_refused"]
    return {
        "capacity_per_s": most.per_s,
        "n_connections": N_CONNECTIONS,
        "sent_per_s": found["n_requests"] / found["seconds"],
        "goodput_share": n_good / found["seconds"] / most.per_s,
        "goodput_share_by_cpu": n_good / cpu_s / most.per_cpu_s,
        "answers": {"200": n_good, "refused": found["n_refused"], "lost": found["n_lost"]},
        "answer_or_refusal_p50_ms": found["p50_ms"],
        "answer_or_refusal_p99_ms": found["p99_ms"],
        "recovery_s": well_s,
    }


def _wrk(server: RunningServerRecord, body: Path, seconds: float) -> dict[str, float]:
    if shutil.which("wrk") is None:
        raise ConfigError(
            "wrk must be installed for this benchmark, found none on PATH; `infra/install-services` installs it"
        )
    url = f"http://{server.rest_address}/v1/models/{MODEL}:predict"
    words = [
        "wrk",
        "-t1",
        f"-c{N_CONNECTIONS}",
        f"-d{seconds:g}s",
        "--timeout",
        "30s",
        "-s",
        str(LUA),
        url,
        "--",
        str(body),
    ]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=seconds + 120).stdout
    (line,) = [line for line in said.splitlines() if line.startswith("RESULT")]
    micro_s, n_requests, n_refused, n_lost, p50_ms, p99_ms, max_ms = (float(word) for word in line.split()[1:])
    return {"seconds": micro_s / 1e6, "n_requests": n_requests, "n_refused": n_refused, "n_lost": n_lost,
            "p50_ms": p50_ms, "p99_ms": p99_ms, "max_ms": max_ms}  # fmt: skip


def _model(folder: Path) -> float:
    # In a process of its own: TensorFlow takes no memory and no threads of the load's.
    words = [sys.executable, "-m", "tests.benchmarks.slow_model", str(folder), "--milliseconds", str(MODEL_MS)]
    return float(subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()[-1])


def main(words: Sequence[str] | None = None) -> None:
    """Measure and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each overload")
    parser.add_argument("--model", type=Path, help="a folder that slow_model has written, to save making it")
    given = parser.parse_args(words)
    cores = sorted(os.sched_getaffinity(0))
    figures: dict[str, object] = {"cores_of_clients": len(cores) - 1 or 1}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        figures["model_ms"] = MODEL_MS if given.model else _model(folder / "model")
        base = given.model or folder / "model"
        payload = Payload(MODEL, base, {"x": slow_model.INPUT})
        flags = [f"--model_name={MODEL}", f"--model_base_path={base}", "--prefer_tflite_model"]
        with ExitStack() as running:
            with on_core(cores[0]):
                server = running.enter_context(model_server(flags, log=folder / "log"))
            os.sched_setaffinity(0, set(cores[1:]) or set(cores))
            with GrpcClient(server.grpc_address) as client:
                client.wait_available(MODEL)
            figures["grpc"] = uvloop.run(grpc_figures(server, payload, given.seconds))
            print("grpc", figures["grpc"], flush=True)
            figures["rest"] = uvloop.run(rest_figures(server, payload, given.seconds, folder))
            print("rest", figures["rest"], flush=True)
    write_bench(given.out, figures=figures, peers={})
    print(given.out)


if __name__ == "__main__":
    main()
