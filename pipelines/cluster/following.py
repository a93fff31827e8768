"""A run of a cluster, followed to its end, and what its record on the volume says it came to."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import HomeLayout
from forecasting.errors import ArtifactError
from forecasting.runs import RunRecord, list_runs, load_run
from pipelines.cluster.backend import ClusterBackend, ClusterPhase, ClusterRunRecord

LOOK_S = 5.0
"""How often a run is looked at."""


@dataclass(frozen=True)
class FollowedRecord:
    """How a run ended. record: what its steps wrote; none where this home is not the volume of the cluster."""

    cluster: ClusterRunRecord
    record: RunRecord | None

    @property
    def exit_code(self) -> int:
        """What `almanac run` would have returned."""
        if self.record is not None and self.record.exit_code is not None:
            return self.record.exit_code
        match self.cluster.phase:
            case ClusterPhase.SUCCEEDED:
                return int(ExitCode.DONE)
            case ClusterPhase.STOPPED:
                return int(ExitCode.STOPPED)
            case _:
                return int(ExitCode.REMOTE)

    @property
    def detail(self) -> str:
        """How it ended, in a line."""
        if self.record is None:
            return f"{self.cluster.phase}: {self.cluster.detail}".removesuffix(": ")
        reason = f": {self.record.refused_by}: {self.record.reason}" if self.record.refused_by else ""
        return f"{self.record.status.value}{reason}"


def follow(
    backend: ClusterBackend, name: str, home: HomeLayout, *, stop: threading.Event | None = None,
    look_s: float = LOOK_S, wait: Callable[[float], object] = time.sleep,
) -> FollowedRecord | None:  # fmt: skip
    """Wait for the end of a run.

    Args:
        backend: Where it runs.
        name: Its id.
        home: Where its record is, if that is the volume of the cluster.
        stop: Ends the waiting, and not the run.
        look_s: Seconds between two looks.
        wait: Waits for some seconds.

    Returns:
        How it ended; none where `stop` came before.

    Raises:
        RetryableError: The cluster could not be reached for as long as `cluster.api.patience` says.
        RemoteError: It refuses to tell, or does not know the run any more.
    """
    while not (found := backend.run(name)).phase.over:
        if stop is not None and stop.is_set():
            return None
        wait(look_s)
    return FollowedRecord(found, recorded(home, found))


def recorded(home: HomeLayout, run: ClusterRunRecord) -> RunRecord | None:
    """The record of a run of a cluster, by its name or by the request that it keeps; none where it is not in this home."""
    for layout in list_runs(home):
        try:
            record = load_run(layout)
        except ArtifactError:
            continue
        if record.on_cluster and (record.run == run.id or (run.request and record.request == run.request)):
            return record
    return None
