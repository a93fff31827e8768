"""Asks a gateway what its OpenAPI document allows, and what it does not: `python -m tests.fuzz.gateway --cases 20000 --out …`.

Schemathesis makes the requests. A fault is an answer of 500 or above, an answer with a status, type or body that the document
does not have, or a gateway that does not live at the end. The gateway stands before a model server and has a store.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from forecasting.repository import ModelRepository
from forecasting.wire.client import GrpcClient
from forecasting.wire.server_process import listening_process, model_server
from tests.benchmarks.load import rss_mib
from tests.unit.serving import tiny_models
from tests.unit.serving.conftest import LINE, write_home

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "openapi.json"
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
_CASES = re.compile(r"(\d[\d,]*) generated")


@dataclass
class FuzzReport:
    """Requests that were made, how Schemathesis ended, and the gateway's memory before and after each round."""

    n_cases: int = 0
    exit_code: int = 0
    alive: bool = False
    rss_mib: list[float] = field(default_factory=list)


@contextmanager
def gateway(folder: Path, cache: Path) -> Iterator[tuple[str, int]]:
    """A gateway with a store before a model server; its URL and its process."""
    home = write_home(tiny_models.build(cache), folder)
    config = ModelRepository(home / "models").server_config
    with model_server([f"--model_config_file={config}", "--prefer_tflite_model"], log=home / "server.log") as server:
        with GrpcClient(server.grpc_address) as client:
            client.wait_available("tiny", 1)
        command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={home / 'models'}"]
        command += [f"--grpc={server.grpc_address}", "--port=0", f"--store=sqlite:///{home / 'serving.db'}"]
        with listening_process(command, LINE, log=home / "gateway.log") as (process, addresses):
            yield f"http://{addresses['http']}", process.pid


def ask(url: str, report: FuzzReport, *, n_cases: int, seed: int) -> str:
    """Let Schemathesis ask so many times at most, and note how often it did and its exit code; what it said."""
    n_operations = sum(len(methods) for methods in json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].values())
    words = [str(Path(sys.executable).with_name("schemathesis")), "run", str(DOCUMENT), "--url", url]
    words += ["--checks", ",".join(CHECKS), "--phases", "fuzzing", "--max-examples", str(-(-n_cases // n_operations))]
    words += ["--seed", str(seed), "--continue-on-failure", "--no-color", "--suppress-health-check", "all"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    counted = _CASES.search(said)
    if counted is None:
        raise RuntimeError(f"Schemathesis did not say how many requests it made: {said[-2_000:]}")
    report.n_cases += int(counted[1].replace(",", ""))
    report.exit_code = done.returncode
    return said


def main(words: Sequence[str]) -> int:
    """Ask and write what came of it; returns 1 where there are faults."""
    parser = argparse.ArgumentParser(prog="gateway", description=__doc__, allow_abbrev=False)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(words)
    cache = ROOT / "build/bench/models"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, gateway(Path(folder), cache) as (url, pid):
        report = FuzzReport(rss_mib=[rss_mib([pid])])
        # An operation without parameters has one request: the others are asked again, by another seed, until the number is reached.
        while report.exit_code == 0 and report.n_cases < given.cases:
            said = ask(url, report, n_cases=given.cases - report.n_cases, seed=given.seed + len(report.rss_mib) - 1)
            report.rss_mib.append(rss_mib([pid]))
            print(said[-6_000:], flush=True)
        with urllib.request.urlopen(f"{url}/healthz", timeout=10) as response:
            report.alive = response.status == 200
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
    print(report)
    return 0 if report.alive and report.exit_code == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
