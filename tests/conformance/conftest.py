"""One server for most of the suite: at `TFS_GRPC` and `TFS_REST`, or started here.

A server elsewhere must serve the folder that `python -m tests.conformance.fixture_models FOLDER` writes, with
its `models.config`, a monitoring configuration and `--enable_grpc_healthcheck_service`.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import fixture_models
from tests.conformance.running import TestServer, started

MODELS = (*fixture_models.SERVED, fixture_models.ODD_NAME, "two_versions")
FAST = ("--file_system_poll_wait_seconds=1", "--max_num_load_retries=0")
_CASE = re.compile(r"(?:test_|\[)([a-i])(\d+)", re.IGNORECASE)


@pytest.fixture(scope="session")
def models(request: pytest.FixtureRequest) -> Path:
    """Folder of the fixture models."""
    return fixture_models.build(request.config.cache.mkdir("conformance-models"))


@pytest.fixture(scope="session")
def monitoring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A monitoring configuration."""
    path = tmp_path_factory.mktemp("monitoring") / "monitoring.config"
    path.write_text('prometheus_config { enable: true, path: "/monitoring/prometheus/metrics" }')
    return path


@pytest.fixture(scope="session")
def server(models: Path, monitoring: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """The server of all models."""
    if "TFS_GRPC" in os.environ:
        yield TestServer(os.environ["TFS_GRPC"], os.environ.get("TFS_REST", ""))
        return
    folder = tmp_path_factory.mktemp("server")
    config = folder / "models.config"
    config.write_text(fixture_models.model_config(str(models)))
    flags = [
        f"--model_config_file={config}",
        f"--monitoring_config_file={monitoring}",
        "--enable_grpc_healthcheck_service",
    ]
    with started(flags, folder / "log", wait=MODELS) as found:
        yield found


@pytest.fixture
def own_server(tmp_path: Path):
    """Starts servers with flags of the test's own; not for a server that runs elsewhere."""
    if "TFS_GRPC" in os.environ:
        pytest.skip("needs a server with flags of its own; set TFS_COMMAND instead of TFS_GRPC")

    def start(*flags: str, wait=("default",)):
        return started([*FAST, *flags], tmp_path / "server.log", wait=wait)

    return start


@pytest.fixture(scope="session")
def default(server: TestServer):
    """POST to the default model's predict; status and parsed body."""

    def post(document, path="default"):
        return server.post(f"/v1/models/{path}:predict", document)

    return post


def pytest_terminal_summary(terminalreporter) -> None:
    """How many cases of each group passed."""
    counts: dict[str, Counter[str]] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.getreports(outcome):
            name = report.nodeid.rpartition("::")[2]
            if "tests/conformance" in report.nodeid and (match := _CASE.search(name)):
                counts.setdefault(match.group(1).upper(), Counter())[outcome] += 1
    if counts:
        lines = [
            f"{group} " + ", ".join(f"{n} {what}" for what, n in counts[group].items()) for group in sorted(counts)
        ]
        terminalreporter.write_line("conformance: " + "; ".join(lines))
