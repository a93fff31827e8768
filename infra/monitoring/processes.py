"""Prometheus and Alertmanager as processes of this machine, from their packages."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from forecasting.wire.server_process import listening_process
from infra.monitoring.alertmanager_file import ReceiversSpec, alertmanager_document
from infra.monitoring.prometheus_file import ScrapeSpec, prometheus_document
from infra.monitoring.rule_files import as_yaml, rule_files
from infra.monitoring.spec import RulesSpec, duration

_LISTENS = {"address": re.compile(r'msg="Listening on" address=(\S+)')}
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class RunningWatchRecord:
    """A process that watches. address: host:port."""

    address: str
    process: subprocess.Popen[str]


@contextmanager
def running_alertmanager(folder: Path, receivers: ReceiversSpec, *, port: int = 0) -> Iterator[RunningWatchRecord]:
    """Alertmanager while the block runs.

    Args:
        folder: For its configuration, state and log.
        receivers: Who is told.
        port: Of the loopback; 0: any free one.

    Raises:
        RemoteError: It does not start; the message holds the end of its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "alertmanager.yml"
    config.write_text(as_yaml(alertmanager_document(receivers)), encoding="utf-8")
    flags = (f"--storage.path={folder / 'state'}", "--cluster.listen-address=")
    with _running("prometheus-alertmanager", config, flags, port, log=folder / "alertmanager.log") as found:
        yield found


@contextmanager
def running_prometheus(
    folder: Path, scrapes: ScrapeSpec, rules: RulesSpec, *, port: int = 0, resend_s: float = 60
) -> Iterator[RunningWatchRecord]:
    """Prometheus with the rules while the block runs.

    Args:
        folder: For its configuration, rules, store and log.
        scrapes: Who is asked; its rules are those written here.
        rules: Limits and times.
        port: Of the loopback; 0: any free one.
        resend_s: After this time Alertmanager is told again of an alert that lasts.

    Raises:
        RemoteError: It does not start; the message holds the end of its log.
    """
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    for name, document in rule_files(rules).items():
        (folder / "rules" / name).write_text(as_yaml(document), encoding="utf-8")
    config = folder / "prometheus.yml"
    config.write_text(as_yaml(prometheus_document(replace(scrapes, rules=("rules/*.yml",)))), encoding="utf-8")
    flags = (
        f"--storage.tsdb.path={folder / 'store'}",
        "--web.enable-lifecycle",
        f"--rules.alert.resend-delay={duration(resend_s)}",
    )
    with _running("prometheus", config, flags, port, log=folder / "prometheus.log") as found:
        yield found


@contextmanager
def _running(program: str, config: Path, flags: Sequence[str], port: int, *, log: Path) -> Iterator[RunningWatchRecord]:
    # Both write where they listen to standard error only.
    own = (f"--config.file={config}", f"--web.listen-address={_LOOPBACK}:{port}")
    command = ("sh", "-c", 'exec "$0" "$@" 2>&1', program, *own, *flags)
    with listening_process(command, _LISTENS, log=log) as (process, addresses):
        yield RunningWatchRecord(addresses["address"], process)
