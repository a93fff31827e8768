"""Requests a CPU second and latencies of the model server, side by side with other ways to serve the same model.

Run by `make bench-serving`; writes build/bench/serving.json. `fixture` is half plus two as a SavedModel, `demo`
the compressed forecaster of the electricity example (which is run first where this home has no champion yet)
with a full window a request. The load generator is a process of its own; only the server's CPU time counts.
"""

import argparse
import contextlib
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import uvloop

from forecasting.contracts.artifacts import WARMUP_FILE
from forecasting.contracts.layout import home_layout
from forecasting.contracts.vocabulary import ModelRole
from forecasting.repository import ModelRepository
from forecasting.wire.client import GrpcClient, predict_request
from forecasting.wire.messages import PredictionLog
from forecasting.wire.records import read_records
from forecasting.wire.server_process import model_server
from forecasting.wire.tensors import from_tensor
from tests.benchmarks.bench_file import write_bench
from tests.benchmarks.load import GrpcLoad, HttpLoad, family, latency, rss_mib, throughput
from tests.benchmarks.peers.environment import ROOT, peer_python
from tests.conformance import fixture_models

CONFIG = ROOT / "pipelines/configs/electricity.yaml"
PEERS = Path(__file__).parent / "peers"
LITERT = ("numpy", "ai-edge-litert")
WARM, CHUNK, CHUNKS, RATE, SECONDS = 400, 500, 8, 200.0, 15.0
"""Throughput is the median of chunks: on a machine with neighbours, one long loop measures them too."""
READY_S = 120.0


@dataclass(frozen=True)
class Payload:
    """One model and one request for it, in each form."""

    name: str
    base_path: Path
    inputs: Mapping[str, npt.NDArray[Any]]
    flags: tuple[str, ...] = ()

    @property
    def columns(self) -> bytes:
        """The body of a request in columns; MLflow, FastAPI and BentoML here read the same one."""
        # Six digits, as a client that reads float32 from a table would send.
        values = {
            name: np.vectorize(lambda value: float(f"{value:.6g}"))(array).tolist()
            for name, array in self.inputs.items()
        }
        return json.dumps({"inputs": values}).encode()

    @property
    def message(self) -> bytes:
        """The serialised PredictRequest."""
        return bytes(predict_request(self.name, self.inputs).SerializeToString())


def fixture(cache: Path) -> Payload:
    """Half plus two."""
    cache.mkdir(parents=True, exist_ok=True)
    folder = fixture_models.build(cache)
    return Payload("default", folder / "half_plus_two", {"x": np.float32([1.0])})


def demo(home: Path) -> Payload:
    """The champion of the electricity example, with a full window."""
    repository = ModelRepository(home_layout(home).models)
    if repository.role("electricity", ModelRole.CHAMPION) is None:
        print(f"no champion in {home}: running the electricity example", flush=True)
        words = [str(Path(sys.executable).with_name("almanac")), "run", "-c", str(CONFIG)]
        subprocess.run(words, cwd=ROOT, env={**os.environ, "ALMANAC_HOME": str(home)}, check=True)
    version = repository.role("electricity", ModelRole.CHAMPION)
    base = home_layout(home).models / "electricity"
    # A real window: the first request of the version's own warm-up file.
    log = PredictionLog.FromString(next(read_records(base / str(version) / WARMUP_FILE)))
    inputs = {alias: from_tensor(tensor)[:1] for alias, tensor in log.predict_log.request.inputs.items()}
    return Payload("electricity", base, inputs, ("--prefer_tflite_model",))


def measure_server(payload: Payload, log: Path) -> dict[str, float]:
    """Our figures for one model."""
    flags = [f"--model_name={payload.name}", f"--model_base_path={payload.base_path}", *payload.flags]
    started = time.perf_counter()
    with model_server(flags, log=log) as server, GrpcClient(server.grpc_address) as client:
        client.wait_available(payload.name)
        ready_s, rss = time.perf_counter() - started, rss_mib([server.pid])
        rest = HttpLoad(server.rest_address, f"/v1/models/{payload.name}:predict", payload.columns)
        grpc = GrpcLoad(server.grpc_address, payload.message)
        found = {"ready_s": ready_s, "rss_mib_at_start": rss}
        found |= uvloop.run(_transport("rest", rest, [server.pid]))
        found |= uvloop.run(_transport("grpc", grpc, [server.pid]))
        found["rss_mib"] = rss_mib([server.pid])
        model_us = _mean_runtime_us(server.rest_address)
    found["model_us"] = model_us
    for kind in ("rest", "grpc"):
        found[f"{kind}_overhead_us"] = 1e6 / found[f"{kind}_requests_per_cpu_s"] - model_us
    return found


async def _transport(kind: str, load: HttpLoad | GrpcLoad, pids: list[int]) -> dict[str, float]:
    async with load as ask:
        await throughput(ask, pids, n_requests=WARM)
        chunks = [await throughput(ask, pids, n_requests=CHUNK) for _ in range(CHUNKS)]
        open_ = await latency(ask, rate=RATE, seconds=SECONDS)
    return {
        f"{kind}_requests_per_cpu_s": median(chunk.per_cpu_s for chunk in chunks),
        f"{kind}_requests_per_s": median(chunk.n_requests / chunk.wall_s for chunk in chunks),
        f"{kind}_p50_ms_at_200": open_.p50_ms,
        f"{kind}_p99_ms_at_200": open_.p99_ms,
    }


def _mean_runtime_us(rest_address: str) -> float:
    """Median time of the model by the server's own histogram, which other processes disturb less than the mean."""
    with urllib.request.urlopen(f"http://{rest_address}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    name = ":tensorflow:serving:runtime_latency_bucket"
    counts = [
        (line.partition('le="')[2].partition('"')[0], float(line.split()[-1]))
        for line in lines
        if line.startswith(name)
    ]
    half, below, lower = counts[-1][1] / 2, 0.0, 0.0
    for bound, count in counts:
        if count >= half:
            upper = float(bound)
            return lower + (upper - lower) * (half - below) / max(count - below, 1.0)
        below, lower = count, float(bound)
    return math.nan


@contextlib.contextmanager
def _process(
    words: Sequence[str], log: Path, *, piped: bool = False, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    with log.open("ab") as stream:
        # A pipe that nobody empties would stop a server that logs each request.
        output = subprocess.PIPE if piped else stream
        process = subprocess.Popen(list(words), stdout=output, stderr=stream, text=True, env=environment)
    try:
        yield process
    finally:
        for pid in reversed(family(process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 15)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def measure_peers(payload: Payload, folder: Path) -> dict[str, dict[str, Any]]:
    """FastAPI, BentoML and `mlflow models serve` around the same file, each in turn with our server beside it."""
    version = max(int(path.name) for path in payload.base_path.iterdir() if path.name.isdecimal())
    model = payload.base_path / str(version) / "model.tflite"
    found: dict[str, dict[str, Any]] = {}
    flags = [f"--model_name={payload.name}", f"--model_base_path={payload.base_path}", *payload.flags]
    with model_server(flags, log=folder / "beside.log") as server, GrpcClient(server.grpc_address) as client:
        client.wait_available(payload.name)
        ours = HttpLoad(server.rest_address, f"/v1/models/{payload.name}:predict", payload.columns)
        for name, run in (("fastapi", _fastapi), ("mlflow", _mlflow), ("bentoml", _bentoml)):
            try:
                with run(model, folder) as (pid, address, path):
                    theirs = HttpLoad(address, path, payload.columns)
                    found[name] = uvloop.run(_beside(theirs, family(pid), ours, [server.pid]))
            except (subprocess.SubprocessError, OSError, RuntimeError) as error:
                found[name] = {"not_measured": f"{type(error).__name__}: {error}"}
            print(name, found[name], flush=True)
    return found


async def _beside(theirs: HttpLoad, pids: list[int], ours: HttpLoad, our_pids: list[int]) -> dict[str, Any]:
    """Chunks of both in turn, so that whatever slows the machine down slows both."""
    async with theirs as ask, ours as ask_ours:
        await throughput(ask, pids, n_requests=WARM // 4)
        await throughput(ask_ours, our_pids, n_requests=WARM // 4)
        pairs = []
        for _ in range(CHUNKS):
            peer = await throughput(ask, pids, n_requests=CHUNK // 2)
            pairs.append((peer, await throughput(ask_ours, our_pids, n_requests=CHUNK // 2)))
        rate = min(RATE, 0.5 * median(peer.n_requests / peer.wall_s for peer, _ in pairs))
        open_ = await latency(ask, rate=rate, seconds=SECONDS / 2)
    return {
        "requests_per_cpu_s": median(peer.per_cpu_s for peer, _ in pairs),
        "ours_beside_it": median(own.per_cpu_s for _, own in pairs),
        "times": median(own.per_cpu_s / peer.per_cpu_s for peer, own in pairs),
        "p50_ms": open_.p50_ms,
        "p99_ms": open_.p99_ms,
        "rate_of_p99": rate,
        "rss_mib": rss_mib(pids),
    }


@contextlib.contextmanager
def _fastapi(model: Path, folder: Path) -> Iterator[tuple[int, str, str]]:
    python = peer_python("fastapi", "fastapi", "orjson", "uvicorn[standard]", *LITERT)
    with _process(
        [str(python), str(PEERS / "serve_fastapi.py"), str(model)], folder / "fastapi.log", piped=True
    ) as process:
        port = process.stdout.readline().strip() if process.stdout else ""
        address = f"127.0.0.1:{port}"
        _wait_listening(address, process)
        yield process.pid, address, "/predict"


@contextlib.contextmanager
def _mlflow(model: Path, folder: Path) -> Iterator[tuple[int, str, str]]:
    python = peer_python("mlflow", "mlflow>=3.17,<4", *LITERT)
    saved = folder / "mlflow-model"
    subprocess.run(
        [str(python), str(PEERS / "mlflow_model.py"), str(model), str(saved)], check=True, capture_output=True
    )
    port = _free_port()
    words = [str(python), "-m", "mlflow", "models", "serve", "-m", str(saved), "-p", str(port), "-h", "127.0.0.1"]
    words += ["--env-manager", "local", "--workers", "1"]
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    with _process(words, folder / "mlflow.log", PATH=path) as process:
        _wait_listening(f"127.0.0.1:{port}", process)
        yield process.pid, f"127.0.0.1:{port}", "/invocations"


@contextlib.contextmanager
def _bentoml(model: Path, folder: Path) -> Iterator[tuple[int, str, str]]:
    python = peer_python("bentoml", "bentoml", *LITERT)
    port = _free_port()
    words = [
        str(python),
        "-m",
        "bentoml",
        "serve",
        "serve_bentoml:Forecaster",
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
    ]
    variables = {"MODEL_PATH": str(model), "BENTOML_HOME": str(folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "true"}
    with _process([*words, "--working-dir", str(PEERS)], folder / "bentoml.log", **variables) as process:
        _wait_listening(f"127.0.0.1:{port}", process)
        yield process.pid, f"127.0.0.1:{port}", "/predict"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def _wait_listening(address: str, process: subprocess.Popen[str]) -> None:
    """Wait until something answers HTTP, with whatever code."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with code {process.returncode}")
        try:
            urllib.request.urlopen(f"http://{address}/", timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
            continue
        return
    raise RuntimeError(f"nothing listens on {address}")


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("ALMANAC_HOME", ROOT / ".almanac")))
    parser.add_argument("--no-peers", action="store_true", help="measure this server alone")
    flags = parser.parse_args()
    forecaster = demo(flags.home)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        figures: dict[str, Any] = {}
        for name, payload in (("demo", forecaster), ("fixture", fixture(ROOT / "build/bench/models"))):
            figures[name] = measure_server(payload, folder / f"{name}.log")
            print(name, {key: round(value, 2) for key, value in figures[name].items()}, flush=True)
        figures["ready_s"], figures["rss_mib"] = figures["demo"]["ready_s"], figures["demo"]["rss_mib"]
        peers = {} if flags.no_peers else measure_peers(forecaster, folder)
    figures["times_peer"] = {name: found["times"] for name, found in peers.items() if "times" in found}
    write_bench(flags.out, figures=figures, peers=peers)
    # The parts are found at the top, too: `fixture`, `demo`, `ready_s`, `rss_mib`.
    flags.out.write_text(json.dumps({**figures, **json.loads(flags.out.read_text())}, indent=1), encoding="utf-8")
    print(f"times the peers' requests a CPU second: {figures['times_peer']}; {flags.out}")


if __name__ == "__main__":
    main()
