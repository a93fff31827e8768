"""What runs tell: directories of ended runs, their figures by the step that tells them, and a page as a node exporter has it."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from components.reporting.evidence import gather_evidence
from components.reporting.run_metrics import tell_run_metrics
from forecasting.config.monitoring import MonitoringConfig
from forecasting.contracts.artifacts import REPORT_FILE
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from tests.unit.reporting.runs import (
    add_compression,
    add_deployment,
    add_evaluation,
    add_training,
    add_validation,
    begin_run,
)


class ToldRuns:
    """Runs that ended. address: of the page with the figures of the last one."""

    def __init__(self, folder: Path) -> None:
        self.address, self._folder, self._n = "", folder, 0
        self.textfiles = folder / "textfiles"
        self.textfiles.mkdir(parents=True)

    def tell_promoted(self) -> None:
        """A run whose model passed all gates."""
        run = begin_run(self._next(), created=time.time() - 90)
        for add in (add_validation, add_training, add_evaluation, add_compression, add_deployment):
            add(run)
        self._tell(run)

    def tell_refused(self) -> None:
        """A run whose model is worse than the gate of evaluate_model allows."""
        run = begin_run(self._next(), created=time.time() - 45)
        add_validation(run)
        add_training(run)
        assert not add_evaluation(run, offset=30.0)
        self._tell(run)

    def tell_refused_table(self) -> None:
        """A run whose table breaks a rule of validation."""
        run = begin_run(self._next(), created=time.time() - 5)
        add_validation(run, problem="17 duplicates")
        path = run.step(StepName.VALIDATE_DATA) / REPORT_FILE
        report = json.loads(path.read_text())
        kept_out = [{"series": "meter 9", "reason": "it is empty"}]
        path.write_text(json.dumps({**report, "n_rows": 960, "n_series": 3, "quarantined": kept_out}))
        self._tell(run)

    def _next(self) -> Path:
        self._n += 1
        return self._folder / f"home-{self._n}"

    def _tell(self, run: RunLayout) -> None:
        output = self._folder / f"report-{self._n}"
        output.mkdir()
        settings = MonitoringConfig(textfile_dir=str(self.textfiles))
        home = HomeLayout(self._folder / f"home-{self._n}")
        assert tell_run_metrics(gather_evidence(run), settings, output, home=home, now=time.time()) == []


@contextmanager
def told_runs(folder: Path) -> Iterator[ToldRuns]:
    """Serve the text files on the loopback while the block runs."""
    runs = ToldRuns(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"".join(path.read_bytes() for path in sorted(runs.textfiles.glob("*.prom")))
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    runs.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield runs
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
