"""The loop of `almanac worker`: ask, claim, attend, close."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from forecasting.claims import held_claim
from forecasting.config import AlmanacConfig
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import HomeLayout
from forecasting.durations import duration_s
from forecasting.errors import AlmanacError, RetryableError
from forecasting.leases import model_is_going
from forecasting.runs import load_run
from forecasting.store.opening import Store
from forecasting.store.retrain_asking import AskedOutcome, AskingLimitsSpec, ask_for_retraining
from forecasting.store.retrain_requests import (
    MAX_ATTEMPTS,
    RequestLostError,
    RequestState,
    RetrainRequestRecord,
    claim_request,
    finish_request,
    give_back,
    give_up_requests,
    open_requests,
    record_run,
    renew_lease,
)
from pipelines.run import config_digest
from pipelines.worker.local_run import STOP_S, AskedRunSpec, RunLauncher, RunProcess
from pipelines.worker.outcome import OutcomeRecord, RunOutcome, finished_outcome, run_outcome
from pipelines.worker.reasons import NewDataWatch, schedule_reason
from pipelines.worker.request_names import is_run_of, request_name
from pipelines.worker.worker_metrics import WorkerMetrics

logger = logging.getLogger(__name__)

TICK_S = 0.5
"""How often a worker looks at its run."""
MARGIN_S = STOP_S + 5
"""A run whose lease could not be renewed is stopped this long before the lease ends."""


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker works for.

    words: of `almanac run` that name the configuration. owner: tells this worker from all others.
    """

    config: AlmanacConfig
    home: HomeLayout
    words: tuple[str, ...]
    owner: str


class Worker:
    """Works for one model until it is told to stop."""

    def __init__(
        self, spec: WorkerSpec, store: Store, launcher: RunLauncher, metrics: WorkerMetrics, *, say: Callable[[str], None],
        clock: Callable[[], float] = time.time, stop: threading.Event | None = None,
    ) -> None:  # fmt: skip
        """A worker that holds nothing.

        Args:
            spec: For whom.
            store: Where requests are.
            launcher: Starts runs.
            metrics: Count what became of them.
            say: Gets a line for what happens.
            clock: Epoch seconds.
            stop: Tells it to stop; none: its own.
        """
        self._spec, self._store, self._launcher, self._metrics = spec, store, launcher, metrics
        self._say, self._clock, self.stop = say, clock, stop or threading.Event()
        self._watch = NewDataWatch(spec.config, spec.home, store)

    def run(self) -> None:
        """Work until `stop` is set."""
        while not self.stop.is_set():
            self.work_once()
            self.stop.wait(self._spec.config.retraining.poll_interval_s)

    def work_once(self) -> OutcomeRecord | None:
        """Ask for what is due, and do a request where one waits; what it came to, none where there was none to do.

        A store that cannot be used, and a table or a record of a run that cannot be read, are told, and looked at again the next time.
        """
        try:
            self._ask()
        except AlmanacError as error:
            self._say(f"schedule and new data cannot be looked at: {error}")
        try:
            request = self._claim()
        except AlmanacError as error:
            self._say(f"no request can be claimed: {error}")
            return None
        return None if request is None else self._do(request)

    @property
    def _now(self) -> int:
        return int(self._clock())

    def _ask(self) -> None:
        config, now = self._spec.config, self._now
        limits = AskingLimitsSpec(duration_s(config.retraining.cooldown), config.retraining.max_per_day)
        for reason in (schedule_reason(config, self._spec.home, now=now), self._watch.reason(now=now)):
            if reason is None:
                continue
            found = ask_for_retraining(self._store, reason, limits, now=now)
            if found.outcome == AskedOutcome.MADE and found.request is not None:
                self._say(f"request {found.request.id} is made: {reason.reason}")

    def _claim(self) -> RetrainRequestRecord | None:
        name, now = self._spec.config.name, self._now
        self._metrics.seen(name, now)
        for lost in give_up_requests(self._store, now=now, model=name):
            self._metrics.count(name, RunOutcome.GIVEN_UP)
            self._say(f"request {lost.id} is given up: {lost.detail}")
        only = None
        if model_is_going(self._spec.home, name) and (only := self._request_going()) is None:
            # By hand, or of a worker that was killed and has yet to end.
            return None
        lease_s = self._spec.config.retraining.lease_s
        return claim_request(self._store, self._spec.owner, now=now, lease_s=lease_s, model=name, only=only)

    def _request_going(self) -> int | None:
        """The open request whose run goes on, on a cluster: who takes it over follows that run, and no other can begin one."""
        home, name = self._spec.home, self._spec.config.name
        claim = held_claim(home.runs, name)
        if self._spec.config.retraining.runner == "local" or claim is None or not home.run(claim.run).record.is_file():
            return None
        going = load_run(home.run(claim.run)).request or ""
        return next((one.id for one in open_requests(self._store, name) if is_run_of(one, going)), None)

    def _do(self, request: RetrainRequestRecord) -> OutcomeRecord | None:
        self._say(
            f"request {request.id} by {request.source}, attempt {request.attempts} of {MAX_ATTEMPTS}: {request.reason}"
        )
        try:
            found = None if request.run is None else finished_outcome(self._spec.home, request.run)
            if found is None:
                request, process = self._started(request)
                request, found = self._attend(request, process)
        except RetryableError as error:
            found = None if self.stop.is_set() else _to_be_tried_again(error)
        except AlmanacError as error:
            found = OutcomeRecord(RunOutcome.FAILED, f"its run cannot be read: {error}", int(error.exit_code))
        return self._close(request, found)

    def _asked(self, request: RetrainRequestRecord) -> AskedRunSpec:
        """The run of a request; one that was begun is gone on with where it was begun with this configuration."""
        spec = self._spec
        layout = None if request.run is None else spec.home.run(request.run)
        resumable = layout is not None and layout.record.is_file()
        if layout is not None and resumable and load_run(layout).config_digest != config_digest(spec.config):
            logger.info("run %s had another configuration; a new one is begun", layout.name)
            resumable = False
        lag, step_s = spec.config.retraining.data_lag, duration_s(spec.config.data.frequency)
        cutoff = (self._now - (duration_s(lag) if lag else 0)) // step_s * step_s
        moment = datetime.fromtimestamp(cutoff, UTC).isoformat()
        return AskedRunSpec(request_name(request), moment, spec.words, request.run, resumable)

    def _started(self, request: RetrainRequestRecord) -> tuple[RetrainRequestRecord, RunProcess]:
        """Start its run, and renew the lease meanwhile: a cluster may be asked many times before it has taken a run."""
        with ThreadPoolExecutor(1) as thread:
            starting = thread.submit(self._launcher.start, self._asked(request))
            while not wait((starting,), TICK_S).done:
                try:
                    request = self._renewed(request)
                except RetryableError as error:
                    logger.warning("the lease of request %d is not renewed: %s", request.id, error)
        return request, starting.result()

    def _attend(
        self, request: RetrainRequestRecord, process: RunProcess
    ) -> tuple[RetrainRequestRecord, OutcomeRecord | None]:
        """Renew the lease while a run goes on; the request with its run, and no outcome where it was stopped by us."""
        while (code := process.poll()) is None:
            if self.stop.wait(TICK_S):
                process.stop()
                return _with_run(request, process), None
            try:
                request = self._renewed(request, process.run)
            except RetryableError as error:
                logger.warning("the lease of request %d is not renewed: %s", request.id, error)
                # Asked again: a store that hangs gives its error late.
                if self._now >= _held_until(request) - MARGIN_S:
                    process.stop()
                    self._say(f"the run of request {request.id} is stopped, as its lease could not be renewed: {error}")
                    return _with_run(request, process), None
        return _with_run(request, process), run_outcome(self._spec.home, process.run, code, process.last_line)

    def _renewed(self, request: RetrainRequestRecord, run: str | None = None) -> RetrainRequestRecord:
        """A request, with its run and a longer lease where either is due.

        Raises:
            RetryableError: It cannot be written down now.
        """
        now, lease_s = self._now, self._spec.config.retraining.lease_s
        if run is not None and request.run != run:
            request = record_run(self._store, request, run)
        if now >= _held_until(request) - lease_s * 2 / 3:
            request = renew_lease(self._store, request, now=now, lease_s=lease_s)
        return request

    def _close(self, request: RetrainRequestRecord, found: OutcomeRecord | None) -> OutcomeRecord | None:
        """Write down what became of a request; where the store is away, as soon as it is back."""
        while True:
            try:
                self._write(request, found)
            except RetryableError as error:
                self._say(f"what became of request {request.id} is not written down yet: {error}")
                if isinstance(error, RequestLostError) or self.stop.is_set():
                    return found
                self.stop.wait(self._spec.config.retraining.poll_interval_s)
                continue
            if found is None:
                self._say(f"request {request.id} waits again")
            else:
                self._metrics.count(self._spec.config.name, found.outcome)
                self._say(f"request {request.id}: {found.detail}")
            return found

    def _write(self, request: RetrainRequestRecord, found: OutcomeRecord | None) -> None:
        if request.run is not None:
            # A short run, or one that ended while the store was away, is not written down yet.
            record_run(self._store, request, request.run)
        if found is None:
            give_back(self._store, request, not_before=self._now, counts=False)
        elif found.outcome == RunOutcome.STOPPED and request.attempts < MAX_ATTEMPTS:
            later = self._now + duration_s(self._spec.config.retraining.retry_delay)
            give_back(self._store, request, not_before=later, counts=True, detail=found.detail)
        else:
            is_done = found.outcome not in (RunOutcome.FAILED, RunOutcome.STOPPED)
            state = RequestState.DONE if is_done else RequestState.FAILED
            finish_request(self._store, request, state, detail=found.detail, now=self._now)


def _held_until(request: RetrainRequestRecord) -> int:
    """When the lease of a claimed request ends, counted from its claim and not from the beginning of its run."""
    if request.lease_until is None:
        raise RequestLostError(f"request {request.id} must be held by a worker, found no lease; stop working on it")
    return request.lease_until


def _to_be_tried_again(error: RetryableError) -> OutcomeRecord:
    return OutcomeRecord(RunOutcome.STOPPED, f"its run could not be begun: {error}", int(ExitCode.RETRY))


def _with_run(request: RetrainRequestRecord, process: RunProcess) -> RetrainRequestRecord:
    return request if process.run is None else replace(request, run=process.run)
