"""Judge the candidate once enough was seen of it beside the champion, and promote it or roll it back."""

import asyncio
import functools
import logging
import time
from concurrent.futures import Executor
from dataclasses import replace
from enum import StrEnum

from sqlalchemy.exc import DBAPIError

from forecasting.audit import AuditAction
from forecasting.config.candidate import JudgementConfig
from forecasting.durations import duration_s
from forecasting.errors import AlmanacError, RetryableError
from forecasting.file_locks import exclusive_lock
from forecasting.gates.candidate import SHADOW_APPROVAL, CandidateReport, judge_candidate, judgement_obstacle
from forecasting.gates.rules import GateDecision
from forecasting.repository import APPROVAL_KEY, ModelRepository
from forecasting.roles import RolesRecord
from forecasting.store.opening import Store
from serving.gateway.candidate_samples import CandidateSamples
from serving.gateway.candidate_traffic import CandidateOutcomeRecord
from serving.gateway.forecaster import Forecaster
from serving.gateway.live_errors import live_errors
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.model_loader import RolesWatch

logger = logging.getLogger(__name__)

LOOK_S = 0.5
ACTUALS_S = 30.0
"""How often actuals are looked for while they are all that is missing."""
LEASE_FILE = ".judgement.lease"


class JudgementState(StrEnum):
    """How the judgement of the candidate stands; `waiting`: it holds, and a person must approve it."""

    NONE = "none"
    GATHERING = "gathering"
    UNDECIDED = "undecided"
    WAITING = "waiting"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"


class CandidateJudge:
    """Gathers what came of shadow traffic for a pair of versions, and decides once over each.

    Every gateway gathers for itself; the first that has enough decides under a lease, and under the lock of the
    repository only where both versions still have their roles, so that nothing is decided twice.
    """

    def __init__(
        self, limits: JudgementConfig, repository: ModelRepository, versions: RolesWatch, metrics: GatewayMetrics, *,
        forecaster: Forecaster, store: Store | None, threads: Executor | None = None,
    ) -> None:  # fmt: skip
        """Nothing is judged before `run`; the store is waited for in these threads, none: the event loop's."""
        self._threads = threads
        self._limits, self._repository, self._versions, self._metrics = limits, repository, versions, metrics
        self._forecaster, self._store, self._model = forecaster, store, forecaster.name
        self._samples: CandidateSamples | None = None
        self._state, self._period_end, self._next_look = JudgementState.NONE, 0.0, 0.0
        self._show(JudgementState.NONE)

    def watch(self, outcome: CandidateOutcomeRecord) -> None:
        """Take what came of one request to the candidate."""
        if self._samples is not None:
            self._samples.add(outcome)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look(time.monotonic())
            except (AlmanacError, OSError, DBAPIError) as error:
                # Such as a repository that this process may only read, or a database that refuses; forecasts go on.
                why = str(error) if self._store is None else self._store.address.scrubbed_error(error)
                logger.warning("the candidate of %s is not judged now: %s", self._model, why)
            await asyncio.sleep(LOOK_S)

    async def look(self, now: float) -> None:
        """Judge where it is time to; now in seconds of a clock that only goes forward."""
        samples = self._of_pair(now)
        if samples is None or self._state is JudgementState.WAITING:
            return
        over = now >= self._period_end
        if not over and (samples.n_requests < self._limits.requests or now < self._next_look):
            return
        report = await self._report(samples)
        obstacle = judgement_obstacle(report, self._limits)
        if not obstacle:
            decision = judge_candidate(report, self._limits)
            state = await asyncio.to_thread(self._apply, samples, decision)
            self._show(state)
            logger.warning(
                _LINE, self._model, samples.candidate, samples.champion, state.value, decision.reason, report
            )
            return
        self._next_look = now + ACTUALS_S
        if over:
            self._period_end = now + duration_s(self._limits.period)
            self._show(JudgementState.UNDECIDED)
            text = "version %d of %s cannot be judged after %s and stays candidate: %s"
            logger.warning(text, samples.candidate, self._model, self._limits.period, obstacle)

    def _of_pair(self, now: float) -> CandidateSamples | None:
        """What was seen of the versions that are champion and candidate now; begun anew where these changed."""
        roles = self._versions.roles()
        if roles.champion is None or roles.candidate is None:
            if self._samples is not None and self._state not in _DECIDED:
                self._show(JudgementState.NONE)
            self._samples = None
            self._metrics.error_ratio.clear()
            return None
        samples = self._samples
        if samples is None or (samples.champion, samples.candidate) != (roles.champion, roles.candidate):
            samples = self._samples = CandidateSamples(roles.champion, roles.candidate)
            self._metrics.error_ratio.clear()
            self._period_end, self._next_look = now + duration_s(self._limits.period), 0.0
            self._show(JudgementState.GATHERING)
        return samples

    async def _report(self, samples: CandidateSamples) -> CandidateReport:
        report = samples.report()
        if self._limits.max_live_error_ratio is None or self._store is None:
            return report
        target = (await self._forecaster.current()).spec.target
        read = functools.partial(
            live_errors, self._store, self._model, target, champion=samples.champion, candidate=samples.candidate
        )
        live = await asyncio.get_running_loop().run_in_executor(self._threads, read)
        if live.champion_mae > 0:
            self._metrics.error_ratio.labels(self._model).set(live.candidate_mae / live.champion_mae)
        return replace(report, n_actuals=live.n_steps, champion_mae=live.champion_mae, candidate_mae=live.candidate_mae)

    def _apply(self, samples: CandidateSamples, decision: GateDecision) -> JudgementState:
        """Do what was decided.

        Raises:
            RetryableError: Another process is deciding, or somebody has changed the roles.
        """
        name, version = self._model, samples.candidate

        def check(roles: RolesRecord) -> None:
            if (roles.champion, roles.candidate) != (samples.champion, version):
                raise RetryableError(f"the roles of {name!r} have changed since version {version} was compared")

        reason = f"judged beside version {samples.champion}: {decision.reason}"
        with exclusive_lock(self._repository.root / name / LEASE_FILE, f"the candidate of {name!r} is being judged"):
            if not decision.passed:
                self._repository.reject(name, version, reason=reason, check=check)
                return JudgementState.ROLLED_BACK
            if objection := self._objection(samples):
                logger.warning("version %d of %s holds beside the champion, but %s", version, name, objection)
                return JudgementState.WAITING
            self._repository.promote(name, version, reason=reason, action=AuditAction.PROMOTE, check=check)
            return JudgementState.PROMOTED

    def _objection(self, samples: CandidateSamples) -> str:
        """Why a person must promote it; empty where nobody need."""
        record = self._repository.record(self._model, samples.candidate)
        approval = record.get(APPROVAL_KEY)
        if approval and approval != SHADOW_APPROVAL:
            return f"a person must approve it: {approval}"
        ours, theirs = record.get("cutoff"), self._repository.record(self._model, samples.champion).get("cutoff")
        return "its cutoff lies before the champion's" if ours is not None and theirs is not None and ours < theirs else ""  # fmt: skip

    def _show(self, state: JudgementState) -> None:
        self._state = state
        for one in JudgementState:
            self._metrics.judgement.labels(self._model, one.value).set(one is state)


_DECIDED = (JudgementState.PROMOTED, JudgementState.ROLLED_BACK)
_LINE = "judgement of %s: version %d beside version %d: %s; %s; %s"
