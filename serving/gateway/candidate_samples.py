"""What a gateway has seen of one candidate beside one champion."""

from collections import deque

import numpy as np

from forecasting.answering.forecasts import ForecastsRecord
from forecasting.gates.candidate import CandidateReport
from forecasting.gates.rules import NAN
from serving.gateway.candidate_traffic import CandidateOutcomeRecord

KEPT_TIMES = 20_000


class CandidateSamples:
    """Counts of a pair of versions, added to by the event loop alone."""

    def __init__(self, champion: int, candidate: int) -> None:
        """Nothing was seen yet."""
        self.champion, self.candidate = champion, candidate
        self._n_requests = self._n_failed = 0
        self._times: deque[tuple[float, float]] = deque(maxlen=KEPT_TIMES)
        self._difference = self._base = 0.0

    def add(self, outcome: CandidateOutcomeRecord) -> None:
        """Count what came of one request; of other versions than these, nothing."""
        champion, candidate = outcome.champion, outcome.candidate
        if outcome.route.version != self.candidate:
            return
        if champion is None:
            # The client was answered by the candidate alone, so there is nothing to compare but whether it did.
            self._n_failed += candidate is None
            self._n_requests += candidate is None
            return
        if champion.served.version != self.champion:
            return
        self._n_requests += 1
        if candidate is None:
            self._n_failed += 1
            return
        if champion.model_s is not None and candidate.model_s is not None:
            self._times.append((champion.model_s, candidate.model_s))
        difference, base = _difference(champion, candidate)
        self._difference, self._base = self._difference + difference, self._base + base

    @property
    def n_requests(self) -> int:
        """Requests so far."""
        return self._n_requests

    def report(self) -> CandidateReport:
        """What was measured so far, without actuals."""
        times = np.array(self._times)
        p99 = np.percentile(times, 99, axis=0) if len(times) else np.array([NAN, NAN])
        ratio = self._difference / self._base if self._base > 0 else NAN
        return CandidateReport(self._n_requests, self._n_failed, float(p99[0]), float(p99[1]), difference_ratio=ratio)


def _difference(champion: ForecastsRecord, candidate: ForecastsRecord) -> tuple[float, float]:
    """Sums over the steps that the models of both answered."""
    places = {
        (one, origin): i
        for i, (one, origin) in enumerate(zip(champion.ids, champion.origins.tolist(), strict=True))
        if i not in champion.degraded
    }
    pairs = [
        (places[key], i)
        for i, key in enumerate(zip(candidate.ids, candidate.origins.tolist(), strict=True))
        if key in places and i not in candidate.degraded
    ]
    if not pairs or champion.served.spec.step_s != candidate.served.spec.step_s:
        return 0.0, 0.0
    ours, theirs = (np.array(column) for column in zip(*pairs, strict=True))
    first, second = champion.columns()["point"], candidate.columns()["point"]
    n_steps = min(first.shape[1], second.shape[1])
    known, other = first[ours, :n_steps].astype(np.float64), second[theirs, :n_steps].astype(np.float64)
    return float(np.abs(other - known).sum()), float(np.abs(known).sum())
