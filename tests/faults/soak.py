"""Everything at once for minutes: `python -m tests.faults.soak --seconds 1800 --out build/soak.json`, which `make soak` does.

`almanac serve` answers forecasts and takes observations all the time, while a run trains the next version on the same machine and
promotes it, roles change back and forth by `almanac models`, and the model server is killed again and again. Each answer is
looked at: one for an origin in the past must be, number for number, what its version answered there before; every other one must
be of finite, ascending quantiles. An answer that is not the model's must say so, and may only come after a kill.
"""

import argparse
import http.client
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from forecasting.repository import ModelRepository
from tests.benchmarks.load import family, rss_mib
from tests.faults.whole_runs import begin
from tests.integration.load_home import FIRST_HOUR, MODEL, N_HOURS, LoadHome, ServedLoad, serving

PAST = (FIRST_HOUR + timedelta(days=100)).isoformat()
"""Before the cutoffs of both versions, and before every observation that is posted."""
N_ASKING, PAUSE_S, OBSERVED_EVERY_S, LOOKED_AT_EVERY_S = 3, 0.1, 1.0, 5.0
RECOVERY_S = 30.0
"""Time after a kill within which the fallback may answer: loading takes that long beside a training."""
KILLED_EVERY_S = 60.0
GROWTH_MIB, GROWTH_FILES = 40.0, 4
EVENTS = ("models rollback", "kill", "models promote", "kill")


@dataclass
class SoakReport:
    """What came of it. Faults are wrong answers and errors that no event explains, each with its words."""

    seconds: float = 0.0
    n_answers: int = 0
    n_degraded: int = 0
    n_observations: int = 0
    versions: dict[str, int] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    rss_mib: dict[str, list[float]] = field(default_factory=dict)
    n_files: dict[str, list[int]] = field(default_factory=dict)
    exit_code: int | None = None


class Soak:
    """The threads of one soak and what they found."""

    def __init__(self, home: LoadHome, server: ServedLoad) -> None:
        """Begin nothing yet."""
        self.home, self.server, self.report = home, server, SoakReport()
        self.repository = ModelRepository(home.layout.models)
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._versions, self._past = Counter[str](), dict[int, list[Any]]()
        self._killed_s = -RECOVERY_S

    def run(self, seconds: float) -> SoakReport:
        """Let everything go on for some seconds."""
        begun = time.monotonic()
        asked = [self._asking(number) for number in range(N_ASKING)]
        works = [*asked, self._observe, self._look, lambda: self._disturb(begun + seconds)]
        # Daemons: one that hangs is a fault of the soak, and must not keep the report from being written.
        threads = [threading.Thread(target=self._work, args=(work,), daemon=True) for work in works]
        for thread in threads:
            thread.start()
        threads[-1].join()
        self._stop.set()
        for thread in threads:
            thread.join(60)
            if thread.is_alive():
                self._fault("a thread of the soak does not end")
        self.report.seconds = time.monotonic() - begun
        self.report.versions = dict(self._versions)
        self._judge_growth()
        return self.report

    def _work(self, work: Callable[[], None]) -> None:
        try:
            work()
        # Whatever ends one of them early is a fault of the soak.
        except Exception as error:  # noqa: BLE001
            self._fault(f"{type(error).__name__}: {error}")

    def _fault(self, text: str) -> None:
        with self._lock:
            self.report.faults.append(f"{time.strftime('%H:%M:%S')} {text}"[:400])

    def _send(self, path: str, body: object) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self.server.gateway.removeprefix("http://"), timeout=30)
        try:
            connection.request("POST", path, json.dumps(body).encode())
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def _asking(self, number: int) -> Callable[[], None]:
        def ask() -> None:
            while not self._stop.wait(PAUSE_S):
                asked_s = time.monotonic()
                status, document = self._send("/v1/forecast", {"origin": PAST} if number else {})
                self._look_at(status, document, is_past=bool(number), asked_s=asked_s)

        return ask

    def _look_at(self, status: int, document: Any, *, is_past: bool, asked_s: float) -> None:
        if status != 200:
            return self._fault(f"{status}: {document}")
        (forecast,) = document["forecasts"]
        table = np.array([forecast["quantiles"][name] for name in sorted(forecast["quantiles"])], dtype=np.float64)
        with self._lock:
            self.report.n_answers += 1
            self.report.n_degraded += forecast["degraded"]
            self._versions[str(document["version"])] += not forecast["degraded"]
        if not np.isfinite(table).all() or (np.diff(table, axis=0) < 0).any():
            return self._fault(f"quantiles must be finite and ascend: {forecast}")
        if forecast["degraded"]:
            if asked_s > self._killed_s + RECOVERY_S:
                self._fault(f"the fallback answered without a kill before: {forecast['reason']}")
            return None
        if is_past:
            with self._lock:
                before = self._past.setdefault(document["version"], forecast["point"])
            if not np.allclose(forecast["point"], before, rtol=1e-5):
                return self._fault(
                    f"version {document['version']} answered {before[:3]} and then {forecast['point'][:3]}"
                )
        return None

    def _observe(self) -> None:
        draw, hour = np.random.default_rng(1), N_HOURS
        while not self._stop.wait(OBSERVED_EVERY_S):
            # A day over and over: the known covariates reach no further, and values are restated.
            start = (FIRST_HOUR + timedelta(hours=hour)).isoformat()
            rows = {"start": start, "values": {"load": [float(draw.normal(1_000, 50))]}}
            status, document = self._send("/v1/observations", {"observations": {MODEL: rows}})
            if status != 200:
                self._fault(f"observations: {status}: {document}")
            self.report.n_observations += 1
            hour = hour + 1 if hour < N_HOURS + 20 else N_HOURS

    def _disturb(self, end_s: float) -> None:
        """A run that trains and promotes, then roles and kills in turn until the end; kills go on beside the run."""
        run = self.home.start("run", "-c", str(self.home.config), "--set", "training.seed=2")
        self._note("run")
        while run.poll() is None and time.monotonic() < end_s:
            self._stop.wait(KILLED_EVERY_S)
            self._kill()
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGTERM)
        _, said = run.communicate(timeout=120)
        if run.returncode not in (0, 143):
            self._fault(f"the run must end with 0, found {run.returncode}: {said[-300:]}")
        self._note(f"run ended with {run.returncode}")
        position = 0
        while run.returncode == 0 and time.monotonic() < end_s:
            event = EVENTS[position % len(EVENTS)]
            self._kill() if event == "kill" else self._change(event)
            position += 1
            self._stop.wait(10)

    def _change(self, words: str) -> None:
        roles = self.repository.roles(MODEL)
        more = [str(roles.previous)] if words == "models promote" else []
        done = self.home.almanac(*words.split(), MODEL, *more)
        if done.returncode != 0:
            self._fault(f"{words}: {done.returncode}: {done.stderr[-300:]}")
        self._note(f"{words}: champion {self.repository.roles(MODEL).champion}")

    def _kill(self) -> None:
        for pid in self._processes()["model server"]:
            self._killed_s = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            self._note("model server killed")

    def _note(self, text: str) -> None:
        self.report.events.append(f"{time.strftime('%H:%M:%S')} {text}")

    def _look(self) -> None:
        while not self._stop.wait(LOOKED_AT_EVERY_S):
            for name, pids in self._processes().items():
                try:
                    found = rss_mib(pids), sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
                except OSError:
                    continue
                if pids:
                    self.report.rss_mib.setdefault(name, []).append(round(found[0], 1))
                    self.report.n_files.setdefault(name, []).append(found[1])

    def _processes(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {"serve": [self.server.process.pid], "gateway": [], "model server": []}
        for pid in family(self.server.process.pid):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            for name, module in (("gateway", b"serving.gateway"), ("model server", b"serving.model_server")):
                if module in words:
                    found[name].append(pid)
        return found

    def _judge_growth(self) -> None:
        """What lives all the time must be about as large in its last quarter as in its second."""
        for name in ("serve", "gateway"):
            for looks, most in ((self.report.rss_mib, GROWTH_MIB), (self.report.n_files, GROWTH_FILES)):
                found = looks.get(name, [])
                quarter = len(found) // 4
                if quarter and (grown := np.median(found[-quarter:]) - np.median(found[quarter : 2 * quarter])) > most:
                    self._fault(f"{name} grew by {grown:.1f} between its second and its last quarter, at most {most}")


def soak(home: LoadHome, seconds: float) -> SoakReport:
    """Serve a champion and let everything happen."""
    with serving(home) as server:
        report = Soak(home, server).run(seconds)
    report.exit_code = server.process.returncode
    if report.exit_code != 0:
        report.faults.append(f"almanac serve must end with 0 after SIGTERM, found {report.exit_code}")
    return report


def main(words: Sequence[str]) -> int:
    """Soak and write the figures; returns 1 where there are faults."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__, allow_abbrev=False)
    parser.add_argument("--seconds", type=float, default=1_800.0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--begun", type=Path, help="a folder that `tests.faults.whole_runs.begin` has filled, to save its run"
    )
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="almanac-soak-") as folder:
        begun = begin(Path(folder)) if given.begun is None else LoadHome(given.begun, given.begun / "home")
        report = soak(begun.copy(Path(folder) / "soaked"), given.seconds)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
    print(
        f"{report.n_answers} answers ({report.n_degraded} by the fallback), {report.n_observations} observations, versions"
    )
    print(f"{report.versions}, {len(report.events)} events, {len(report.faults)} faults; {given.out}")
    for fault in report.faults[:20]:
        print(f"FAULT {fault}")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
