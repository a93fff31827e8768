"""Requests that the candidate answers, and those that it is asked beside the champion."""

import asyncio
import functools
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.fallback import FallbackCause
from forecasting.answering.forecasts import ForecastsRecord
from forecasting.answering.request import ForecastRequest
from forecasting.config.candidate import CandidateConfig
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import AlmanacError
from serving.gateway.forecaster import Forecaster, run_for
from serving.gateway.gateway_store import GatewayStore
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.routing import RouteSpec

logger = logging.getLogger(__name__)

SPLIT, SHADOW = "split", "shadow"
"""Why a candidate was asked: to answer a client, or beside the champion."""
ANSWERED, FAILED, DROPPED = "answered", "failed", "dropped"
_AT_FAULT = (FallbackCause.MODEL_SERVER, FallbackCause.MODEL_ANSWER)
"""Of these causes the version is to blame, of the others the series."""


@dataclass(frozen=True)
class CandidateOutcomeRecord:
    """What came of asking a candidate once.

    champion: what the champion answered to the same request; none where the candidate answered the client. candidate:
    none where it did not answer. problem: why it did not; empty where it did.
    """

    route: RouteSpec
    champion: ForecastsRecord | None
    candidate: ForecastsRecord | None
    problem: str = ""


class CandidateTraffic:
    """Answers requests, a share of them by the candidate; the champion stands in for what that one cannot answer."""

    def __init__(
        self, forecaster: Forecaster, settings: CandidateConfig, metrics: GatewayMetrics, *,
        store: GatewayStore | None = None, watch: Callable[[CandidateOutcomeRecord], None] | None = None,
    ) -> None:  # fmt: skip
        """Ask through a forecaster.

        Args:
            forecaster: Asks champion and candidate.
            settings: Shares and bounds.
            metrics: Counts what the candidate was asked.
            store: Keeps what was answered beside the champion.
            watch: Is told of each outcome.
        """
        self._forecaster, self._settings, self._metrics = forecaster, settings, metrics
        self._store, self._watch = store, watch
        self._shadows: set[asyncio.Task[None]] = set()

    async def forecast(self, request: ForecastRequest, request_id: str) -> ForecastsRecord:
        """The answer to a request; see `Forecaster.forecast` for what is raised."""
        weight = self._settings.weight
        route = self._forecaster.candidate() if weight and request.model is None else None
        if route is None or share_of(request_id, SPLIT) >= weight:
            return await self._forecaster.forecast(request, request_id)
        outcome = await self._asked(route, request, request_id, champion=None)
        if outcome.candidate is not None:
            self._note(SPLIT, outcome)
            return outcome.candidate
        found = await self._forecaster.forecast(request, request_id)
        # Not before the champion has answered: a request that nobody can answer says nothing of the candidate.
        self._note(SPLIT, outcome)
        return found

    def shadow(self, request: ForecastRequest, found: ForecastsRecord, request_id: str) -> None:
        """Ask the candidate too what the champion has answered; returns at once."""
        share = self._settings.shadow
        if not share or request.model is not None or found.role is not ModelRole.CHAMPION or found.model_s is None:
            return
        route = self._forecaster.candidate()
        if route is None or share_of(request_id, SHADOW) >= share:
            return
        if len(self._shadows) >= self._settings.shadow_at_once:
            self._metrics.count_candidate(self._forecaster.name, SHADOW, DROPPED)
            return
        task = asyncio.create_task(self._shadowed(route, request, found, request_id))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def close(self) -> None:
        """Wait for what is being asked."""
        await asyncio.gather(*self._shadows)

    async def _shadowed(self, route: RouteSpec, request: ForecastRequest, found: ForecastsRecord, request_id: str) -> None:  # fmt: skip
        try:
            outcome = await self._asked(route, request, request_id, champion=found)
            self._note(SHADOW, outcome)
            if self._store is not None:
                keep = functools.partial(self._store.keep_shadow, outcome.candidate, found, request_id)
                await run_for(len(found), functools.partial(keep, version=route.version, problem=outcome.problem))
        except Exception:
            # Nobody waits for this task, so nobody else would say it.
            logger.exception("%s: asking the candidate beside the champion failed", request_id)

    async def _asked(
        self, route: RouteSpec, request: ForecastRequest, request_id: str, *, champion: ForecastsRecord | None
    ) -> CandidateOutcomeRecord:
        # With the fallback, so that one series in quarantine does not refuse the others.
        asked = replace(request, model=route.version, fallback=True)
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                found = await self._forecaster.forecast(asked, request_id, noted=False)
        except TimeoutError:
            problem = f"the candidate did not answer within {self._settings.timeout_s:g} s"
            return CandidateOutcomeRecord(route, champion, None, problem)
        except AlmanacError as error:
            if isinstance(error, AnswerError) and error.code == 404 and self._forecaster.candidate() != route:
                return CandidateOutcomeRecord(route, champion, None)
            return CandidateOutcomeRecord(route, champion, None, str(error))
        faults = [why.reason for why in found.degraded.values() if why.cause in _AT_FAULT]
        if faults:
            return CandidateOutcomeRecord(route, champion, None, faults[0])
        if not request.fallback and found.degraded:
            # The client wants no stand-in; the champion may know the series better, or says what is the matter.
            return CandidateOutcomeRecord(route, champion, None)
        return CandidateOutcomeRecord(route, champion, found)

    def _note(self, kind: str, outcome: CandidateOutcomeRecord) -> None:
        if outcome.candidate is None and not outcome.problem:
            return
        result = FAILED if outcome.candidate is None else ANSWERED
        self._metrics.count_candidate(self._forecaster.name, kind, result)
        for found in (outcome.champion, outcome.candidate):
            if found is not None and found.model_s is not None:
                role = ModelRole.CANDIDATE if found is outcome.candidate else ModelRole.CHAMPION
                self._metrics.candidate_seconds.labels(self._forecaster.name, role.value).observe(found.model_s)
        if self._watch is not None:
            self._watch(outcome)


def share_of(request_id: str, purpose: str) -> float:
    """Where between 0 and 1 a request lies, the same in every process; two purposes are independent."""
    digest = hashlib.blake2b(f"{purpose}:{request_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
