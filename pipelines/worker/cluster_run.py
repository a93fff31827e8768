"""Runs of the pipeline for requests, on a cluster: submitted under the name of the request, and followed to their end.

A worker that ends leaves its run alone. Whoever takes the request over finds the run that is there, or submits it under the
same name, which makes no second one.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from forecasting.cluster_api.session import NotThereError
from forecasting.config import AlmanacConfig
from forecasting.config.cluster_api import ClusterApiConfig
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import HomeLayout
from forecasting.durations import duration_s
from forecasting.errors import RemoteError, RetryableError
from forecasting.runs import load_run
from pipelines.cluster.backend import ClusterBackend, ClusterPhase, ClusterRunRecord, SubmissionSpec, submitted_name
from pipelines.cluster.following import LOOK_S, FollowedRecord, recorded
from pipelines.cluster.opening import open_cluster
from pipelines.worker.local_run import AskedRunSpec, RunProcess
from pipelines.worker.request_names import numbered_name

logger = logging.getLogger(__name__)

MOST_RUNS = 10
"""That one request may have, one after another; a request is tried less often than that."""


class _ClusterProcess:
    def __init__(
        self, backend: ClusterBackend, home: HomeLayout, found: ClusterRunRecord, *, look_s: float, end_s: float,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._backend, self._home, self._found, self._clock = backend, home, found, clock
        self._look_s, self._end, self._looked = look_s, clock() + end_s, clock()
        self._why = ""

    @property
    def run(self) -> str | None:
        record = recorded(self._home, self._found)
        return record.run if record is not None else self._found.name

    @property
    def last_line(self) -> str:
        return self._why

    def poll(self) -> int | None:
        if self._found.phase.over:
            return self._code()
        if self._clock() < self._looked + self._look_s:
            return None
        self._looked = self._clock()
        try:
            self._found = self._backend.run(self._found.id)
        except NotThereError as error:
            return self._gone(str(error))
        except (RetryableError, RemoteError) as error:
            # The run goes on whether or not it can be seen.
            logger.warning("run %s cannot be looked at: %s", self._found.name, error)
            return (
                self._gone(f"it could not be seen until its deadline: {error}") if self._clock() > self._end else None
            )
        return self._code() if self._found.phase.over else None

    def stop(self) -> int:
        """Leave it alone: another worker follows it."""
        return int(ExitCode.STOPPED)

    def _code(self) -> int:
        ended = FollowedRecord(self._found, recorded(self._home, self._found))
        self._why = self._found.detail or f"its workflow is {self._found.phase}"
        if ended.record is None:
            self._why += f"; it left no record in {self._home.runs}, which must be on the volume of the cluster"
            if ended.cluster.phase == ClusterPhase.FAILED:
                # It could not even begin: another run was going, an image could not be had.
                return int(ExitCode.RETRY)
        return ended.exit_code

    def _gone(self, why: str) -> int:
        self._why = why
        record = recorded(self._home, self._found)
        return int(ExitCode.RETRY) if record is None or record.exit_code is None else record.exit_code


class ClusterLauncher:
    """Submits runs to one cluster."""

    def __init__(
        self, backend: ClusterBackend, config: AlmanacConfig, home: HomeLayout, *, look_s: float = LOOK_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Submits nothing yet.

        Args:
            backend: The cluster.
            config: The configuration.
            home: The volume of the cluster.
            look_s: Seconds between two looks at a run.
            clock: Seconds.
        """
        self._backend, self._config, self._home = backend, config, home
        self._look_s, self._clock = look_s, clock

    def start(self, asked: AskedRunSpec) -> RunProcess:
        """Begin the run of a request, or find it; one that failed and was told of has another run after it.

        Raises:
            RetryableError: The cluster cannot be reached.
            RemoteError: It refuses the run.
        """
        number = self._number(asked)
        found = self._named(numbered_name(asked.request, number)) if number else None
        if found is None or found.phase in (ClusterPhase.FAILED, ClusterPhase.STOPPED):
            if number == MOST_RUNS:
                raise RemoteError(f"the request {asked.request} has {MOST_RUNS} runs that failed; ask for a new one")
            found = self._backend.submit(SubmissionSpec(numbered_name(asked.request, number + 1), asked.cutoff))
        return _ClusterProcess(
            self._backend, self._home, found, look_s=self._look_s, clock=self._clock,
            end_s=duration_s(self._config.cluster.deadline),
        )  # fmt: skip

    def _number(self, asked: AskedRunSpec) -> int:
        """Which of its runs the request names: as it was submitted, or as the cluster called it; 0 where it has none on a cluster."""
        if asked.run is None:
            return 0
        layout = self._home.run(asked.run)
        recorded_name = load_run(layout).request if layout.record.is_file() else None
        for number in range(1, MOST_RUNS + 1):
            name = numbered_name(asked.request, number)
            if name == recorded_name or asked.run == submitted_name(self._config.name, name):
                return number
        return 0

    def _named(self, name: str) -> ClusterRunRecord | None:
        """A run that was submitted by this name; none where it was removed, for whose name another record may stand on the volume."""
        try:
            return self._backend.run(submitted_name(self._config.name, name))
        except NotThereError:
            return None


def hurried_api(config: AlmanacConfig) -> ClusterApiConfig:
    """`cluster.api`, with no more patience than a lease of requests allows.

    The lease is renewed after a third of it. A look that begins just before that takes a quarter of it, and for its last try
    twice a sixth at most: for a connection, and for an answer.
    """
    lease_s, api = config.retraining.lease_s, config.cluster.api
    patience_s = min(duration_s(api.patience), lease_s // 4)
    timeout_s = min(duration_s(api.request_timeout), lease_s // 6)
    return api.model_copy(update={"patience": f"{patience_s}s", "request_timeout": f"{timeout_s}s"})


@contextmanager
def cluster_launcher(
    config: AlmanacConfig, home: HomeLayout, sleep: Callable[[float], object]
) -> Iterator[ClusterLauncher]:
    """A launcher of which no look at a run takes so long that the lease of its request ends meanwhile.

    Beginning a run may take several requests to the cluster; the worker renews the lease while it waits for that.

    Args:
        config: The configuration.
        home: The volume of the cluster.
        sleep: Waits for some seconds, less where the worker is told to stop.
    """
    with open_cluster(config, settings=hurried_api(config), sleep=sleep) as backend:
        yield ClusterLauncher(backend, config, home)
