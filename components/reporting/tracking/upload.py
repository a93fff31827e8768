"""Send what waits, tracker by tracker, each by a process of its own that is ended when its time is up."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from components.reporting.tracking.removals import note_removed, removals, removals_name
from components.reporting.tracking.spool import (
    MLFLOW,
    SentRecord,
    alias_name,
    ask_aliases,
    note_aliases,
    note_sent,
    registries,
    spooled,
    tracking_root,
    waiting_aliases,
)
from forecasting.command_word import command_word
from forecasting.config.tracking import TrackingConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.errors import ConfigError, RetryableError
from forecasting.file_locks import exclusive_lock
from forecasting.wire.server_process import package_environment

logger = logging.getLogger(__name__)

SENDERS = {
    MLFLOW: "components.reporting.tracking.mlflow_sender",
    "wandb": "components.reporting.tracking.wandb_sender",
}
EXTRAS = {"wandb": "almanac[wandb]"}
"""Trackers whose package comes with an extra only."""


@dataclass(frozen=True)
class UploadReport:
    """What came of sending. sent: by tracker and then by name of the run. problems: one line each, none where all is well."""

    sent: dict[str, dict[str, SentRecord]]
    problems: tuple[str, ...] = ()

    def of(self, run: str, tracker: str = MLFLOW) -> SentRecord | None:
        """What a tracker made of a run; none where it was not asked."""
        return self.sent.get(tracker, {}).get(run)


def require_trackers(tracking: TrackingConfig) -> None:
    """Check that the packages of the trackers are installed.

    Raises:
        ConfigError: One is not.
    """
    for tracker in tracking.also:
        if find_spec(tracker) is None:
            raise ConfigError(
                f"tracking.also names {tracker}, whose package must be installed, and is not; install {EXTRAS[tracker]}, "
                f"or take {tracker} out of tracking.also"
            )


def upload(home: HomeLayout, *, budget_s: float) -> UploadReport:
    """Set the aliases, send every bundle that waits and remove what waits for it.

    Bundles that nobody tried to send go first, then those that were tried longest ago, so that one too large for the
    budget keeps no other waiting for ever.

    Args:
        home: The home.
        budget_s: Seconds for each tracker.

    Returns:
        What came of it; what was not sent waits on, and says why.
    """
    tracking_root(home).mkdir(parents=True, exist_ok=True)
    sent: dict[str, dict[str, SentRecord]] = {}
    try:
        with exclusive_lock(tracking_root(home) / ".lock", "an upload to trackers is going already"):
            for tracker in SENDERS:
                sent[tracker] = _upload_to(tracker, home, budget_s)
    except RetryableError as error:
        return UploadReport(sent, (str(error),))
    damaged = [found.problem for found in spooled(home) if found.problem]
    return UploadReport(sent, (*_problems(sent), *damaged))


def set_aliases(home: HomeLayout, model: str) -> str:
    """Make MLflow say who is champion, candidate and previous of a model; returns what went wrong, empty where nothing did.

    A model of which MLflow has no version is nothing to tell.
    """
    record = registries(home).get(model)
    if record is None:
        return ""
    ask_aliases(home, model)
    report = upload(home, budget_s=record.tracking.time_budget_s)
    record = registries(home)[model]
    # Nobody has asked for them where another process holds the lock: then only the upload knows why they wait.
    return record.problem or "; ".join(report.problems) if record.waits else ""


def later() -> str:
    """When what waits is sent."""
    return f"the next run sends it, or `{command_word()} track upload`"


def _upload_to(tracker: str, home: HomeLayout, budget_s: float) -> dict[str, SentRecord]:
    waiting = [found for found in spooled(home) if tracker in found.pending]
    bundles = sorted(waiting, key=lambda found: (bool(found.pending[tracker]), found.noted))
    aliases = waiting_aliases(home) if tracker == MLFLOW else {}
    gone = removals(home) if tracker == MLFLOW else {}
    if not bundles and not aliases and not gone:
        return {}
    untried: set[str] = set()
    if tracker in EXTRAS and find_spec(tracker) is None:
        told = {found.name: SentRecord(found.name, f"{EXTRAS[tracker]} is not installed here") for found in bundles}
    else:
        command = [sys.executable, "-m", SENDERS[tracker], str(home.root), *(str(found.directory) for found in bundles)]
        words = [*(["--aliases", *aliases] if aliases else []), *(["--removals", *gone] if gone else [])]
        expected = [*map(alias_name, aliases), *(found.name for found in bundles), *map(removals_name, gone)]
        told, untried = _ask([*command, *words], tracker, budget_s, expected)
    for found in bundles:
        if found.name not in untried:
            note_sent(home, found, tracker, told[found.name].problem)
    for model, asked in aliases.items():
        note_aliases(home, model, told[alias_name(model)].problem, asked=asked)
    for model, record in gone.items():
        note_removed(home, model, record, told[removals_name(model)].problem)
    return told


def _ask(
    command: Sequence[str], tracker: str, budget_s: float, expected: Sequence[str]
) -> tuple[dict[str, SentRecord], set[str]]:
    """Run a sender; whatever it has not answered for when it ends was not sent, and what comes after the first was not tried."""
    output, why = _run_bounded(command, budget_s)
    told = {record.name: record for record in map(_record, output.splitlines()) if record is not None}
    left = [name for name in expected if name not in told]
    told = {name: told.get(name) or SentRecord(name, f"{tracker}: {why}") for name in expected}
    return told, set(left[1:])


def _run_bounded(command: Sequence[str], budget_s: float) -> tuple[str, str]:
    """What a process printed, and how it ended; its whole group is killed when its time is up, or ours."""
    process = subprocess.Popen(
        list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=package_environment(), start_new_session=True,
    )  # fmt: skip
    try:
        output, errors = process.communicate(timeout=budget_s)
        lines = errors.strip().splitlines()
        level = logging.WARNING if process.returncode else logging.DEBUG
        logger.log(level, "%s ended with code %s: %s", command[2], process.returncode, "\n".join(lines[-20:]))
        why = f"it ended with code {process.returncode}: {lines[-1] if lines else 'no message'}"
    except subprocess.TimeoutExpired:
        _kill_group(process)
        output, _ = process.communicate()
        why = f"it was not done within tracking.time_budget_s ({budget_s:g} s)"
    finally:
        _kill_group(process)
    return output, why


def _kill_group(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _record(line: str) -> SentRecord | None:
    """A line of a sender; none where a library printed something of its own."""
    try:
        return SentRecord(**json.loads(line))
    except (ValueError, TypeError):
        return None


def _problems(sent: dict[str, dict[str, SentRecord]]) -> list[str]:
    """One line for each different problem, with how much waits because of it."""
    found: dict[str, list[str]] = {}
    for records in sent.values():
        for record in records.values():
            if record.problem:
                found.setdefault(record.problem, []).append(record.name)
    return [
        f"{problem}; {names[0] if len(names) == 1 else f'{len(names)} uploads'} waits: {later()}".replace(
            "uploads waits", "uploads wait"
        )
        for problem, names in found.items()
    ]
