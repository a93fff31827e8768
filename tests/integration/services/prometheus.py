"""Debian's Prometheus and promtool on the loopback, for tests."""

import json
import re
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from forecasting.wire.server_process import stop_process

DEADLINE_S = 30.0
_ADDRESS = re.compile(r'msg="Listening on" address=(\S+)')


def check_metrics(page: str) -> subprocess.CompletedProcess[str]:
    """`promtool check metrics`: 0 clean, 3 readable but against a convention, 1 unreadable."""
    return subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)


class Prometheus:
    """A running server that scrapes five times a second."""

    def __init__(self, address: str) -> None:
        self.address = address

    def is_ready(self) -> bool:
        """Whether it answers queries: it listens, and answers 503, while it still replays its log."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5) as response:
                return int(response.status) == 200
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
            return False

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every series of an instant query."""
        url = f"http://{self.address}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(url, timeout=5) as response:
            found: Any = json.load(response)
        return [(series["metric"], float(series["value"][1])) for series in found["data"]["result"]]

    def wait_for(self, expression: str, value: float) -> None:
        """Ask until the single answer is a value; the last answer is in the message of a failure."""
        answers: list[Any] = []

        def is_there() -> bool:
            answers[:] = self.query(expression)
            return len(answers) == 1 and answers[0][1] == value

        wait_until(is_there, lambda: f"{expression} must become {value}, found {answers}; {self.query('up')}")


def wait_until(condition: Callable[[], bool], failure: Callable[[], str], *, limit_s: float = DEADLINE_S) -> None:
    """Ask a condition ten times a second until it holds."""
    pause, deadline = threading.Event(), time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, failure()
        pause.wait(0.1)


@contextmanager
def prometheus(folder: Path, targets: dict[str, tuple[str, str]]) -> Iterator[Prometheus]:
    """Run Prometheus on a free port while the block runs.

    Args:
        folder: An empty directory for its configuration, store and log.
        targets: Address (`host:port`) and path of the metrics page of each job.
    """
    jobs = [
        {"job_name": job, "metrics_path": path, "static_configs": [{"targets": [address]}]}
        for job, (address, path) in targets.items()
    ]
    config = folder / "prometheus.yml"
    config.write_text(
        yaml.safe_dump({"global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"}, "scrape_configs": jobs})
    )
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'store'}", "--web.listen-address=127.0.0.1:0"],
            stdout=stream, stderr=stream, text=True,
        )  # fmt: skip
    try:
        wait_until(lambda: _ADDRESS.search(log.read_text()) is not None, log.read_text)
        found = _ADDRESS.search(log.read_text())
        assert found is not None
        server = Prometheus(found.group(1))
        wait_until(server.is_ready, log.read_text)
        yield server
    finally:
        stop_process(process, timeout_s=20)
