"""A PostgreSQL server on the loopback, for tests."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forecasting.wire.server_process import stop_process
from tests.integration.services.prometheus import wait_until

USER = "almanac"
PASSWORD = "p@ss/w:ord"
_DEBIAN = "postgres"
"""The account that Debian makes: the server refuses to run as root."""


def command(name: str) -> str:
    """Path of a command of the server; Debian keeps them off PATH, in a folder for each version."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else shutil.which(name)
    assert path is not None, f"{name} must be installed; run infra/install-services"
    return path


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Run a server with an empty database while the block runs.

    Args:
        folder: An empty directory, which the account of the server can reach.

    Yields:
        Its address as `HOST:PORT`.
    """
    account = _DEBIAN if os.geteuid() == 0 else None
    if account is not None:
        shutil.chown(folder, account)
    secret, log, port = folder / "secret", folder / "log", _free_port()
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    subprocess.run(
        [command("initdb"), f"--pgdata={folder / 'cluster'}", f"--username={USER}", f"--pwfile={secret}",
         "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync"],
        check=True, capture_output=True, user=account, cwd=folder,
    )  # fmt: skip
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [command("postgres"), "-D", folder / "cluster", "-c", "listen_addresses=127.0.0.1", "-p", str(port),
             "-c", f"unix_socket_directories={folder}", "-c", "fsync=off", "-c", "log_statement=all"],
            stdout=stream, stderr=stream, user=account, cwd=folder,
        )  # fmt: skip
    try:
        wait_until(lambda: "ready to accept connections" in log.read_text(), log.read_text)
        yield f"127.0.0.1:{port}"
    finally:
        stop_process(process, timeout_s=20)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
