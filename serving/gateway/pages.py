"""What the gateway answers besides forecasts: its model, its series, its state and its metrics."""

import asyncio
import functools
import logging
from collections.abc import Mapping
from typing import Any

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.iso_time import iso_time
from forecasting.answering.observed import ObservedRows
from forecasting.answering.origins import next_origin, past_origins, possible_origins
from forecasting.answering.served_model import ServedModel
from forecasting.errors import AlmanacError
from forecasting.repository import ModelRepository
from forecasting.schema import Series
from serving.gateway.answers import READY, TEXT, Answer, as_json
from serving.gateway.forecaster import Forecaster, run_for
from serving.gateway.gateway_store import GatewayStore
from serving.gateway.kept_forecasts import kept_document, kept_forecasts, kept_range
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.past import history_document
from serving.gateway.replays import replay
from serving.gateway.seen_series import seen_ids, seen_series
from serving.gateway.version_facts import roles_document, version_facts

logger = logging.getLogger(__name__)

_STATE_S = 0.3
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class StatePages:
    """Pages about one gateway."""

    def __init__(
        self, forecaster: Forecaster, repository: ModelRepository, metrics: GatewayMetrics, *,
        store: GatewayStore | None = None,
    ) -> None:  # fmt: skip
        """Tell of a forecaster, and of the store that it reads and is logged in."""
        self._forecaster, self._repository, self._metrics, self._store = forecaster, repository, metrics, store
        self._one_page = asyncio.Lock()
        self.draining = False

    async def series(self) -> Answer:
        """Ids and origins of all series."""
        served = await self._forecaster.current()
        observed = await self._forecaster.observed(served)
        return await run_for(len(served.series), functools.partial(_series_list, served, observed))

    async def history(self, series_id: str, query: Mapping[str, str]) -> Answer:
        """What is known of a series.

        Raises:
            AnswerError: 404: there is no such series. 400: see `history_document`.
        """
        served, series = await self._seen(series_id)
        return as_json(history_document(series, served.spec, query))

    async def replays(self, series_id: str, query: Mapping[str, str], request_id: str) -> Answer:
        """What would have been forecast from earlier origins.

        Raises:
            AnswerError: 404: there is no such series. 400, 502, 503: see `replay`.
        """
        served, series = await self._seen(series_id)
        return Answer(200, await replay(self._forecaster, series, served.spec, query, request_id))

    async def kept(self, series_id: str, query: Mapping[str, str]) -> Answer:
        """Forecasts of a series that were given out, with what came; none where this gateway keeps none.

        Raises:
            AnswerError: 400: see `kept_forecasts`.
            RetryableError: The store cannot be used now.
        """
        served = await self._forecaster.current()
        if self._store is None:
            kept_range(served, query)
            return as_json(kept_document(served, series_id, []))
        read = functools.partial(kept_forecasts, self._store.store, served, series_id, query)
        return as_json(await asyncio.get_running_loop().run_in_executor(self._store.threads, read))

    async def _seen(self, series_id: str) -> tuple[ServedModel, Series]:
        served = await self._forecaster.current()
        series = seen_series(served, await self._forecaster.observed(served), series_id)
        if series is None:
            raise AnswerError(404, f"there is no series {series_id!r}; GET /v1/series lists all", series=series_id)
        return served, series

    async def ready(self) -> Answer:
        """Whether forecasts are answered, and by whom.

        Raises:
            AnswerError: 503: they are not.
        """
        if self.draining:
            raise AnswerError(503, "stopping")
        served = await self._forecaster.current()
        _, problem = await self._server_state(served.name)
        if problem and not self._forecaster.has_fallback:
            raise AnswerError(503, problem)
        problems = [one for one in (problem, "" if self._store is None else self._store.problem) if one]
        if not problems:
            return Answer(200, f"{READY}\n".encode(), TEXT)
        # Not ready would take the gateway out of traffic, and the fallback with it.
        return Answer(200, f"degraded: {'; '.join(problems)}\n".encode(), TEXT)

    async def model(self, name: str) -> Answer:
        """Versions, roles and what the model reads.

        Raises:
            AnswerError: 404: another model.
        """
        if name != self._forecaster.name:
            raise AnswerError(404, f"there is no model {name!r} here; this gateway serves {self._forecaster.name!r}")
        served = await self._forecaster.current()
        versions, problem = await self._server_state(name)
        spec = served.spec
        return as_json(
            {
                "model": name,
                **roles_document(self._repository, name),
                **version_facts(self._repository, served),
                "available_versions": versions,
                "problem": problem,
                "cutoff": iso_time(served.cutoff),
                "target": spec.target,
                "step_s": spec.step_s,
                "horizon": spec.horizon,
                "history_length": spec.history_length,
                "quantiles": spec.quantiles,
                "mean": spec.mean,
                "known": spec.known,
                "observed": spec.observed,
                "static": spec.static,
                "n_series": len(served.series),
                "fallback": self._forecaster.has_fallback,
                "degraded_answers": self._metrics.degraded_by_cause(name),
                "quarantined": [{"series": one, "reason": reason} for one, reason in served.quarantine.items()],
            }
        )

    async def metrics(self) -> Answer:
        """The Prometheus page of what was counted, with the roles as they are now; one at a time, for all set the same gauges."""
        async with self._one_page:
            return await self._metrics_page()

    async def _metrics_page(self) -> Answer:
        name = self._forecaster.name
        if self._store is not None:
            self._metrics.show_log(name, self._store.log)
        shown, served, state = self._metrics.state, None, "none"
        try:
            await asyncio.to_thread(shown.show_roles, self._repository, name)
            served = await self._forecaster.current()
            state = await self._answers_by(name)
        except AlmanacError as error:
            # The page goes without, and /readyz says why.
            logger.debug("no champion for the metrics: %s", error)
        await asyncio.to_thread(shown.show_served, served)
        shown.show_state(name, state)
        return Answer(200, self._metrics.page(), METRICS_TYPE)

    async def _answers_by(self, name: str) -> str:
        """Who answers: the model (ready), the fallback (degraded) or nobody (none)."""
        _, problem = await self._server_state(name)
        if not problem:
            return "ready"
        return "degraded" if self._forecaster.has_fallback else "none"

    async def _server_state(self, name: str) -> tuple[list[int], str]:
        """Versions that the model server has available, and why it cannot be asked; empty where it can. Nobody waits for it for long."""
        try:
            versions = await asyncio.wait_for(self._forecaster.available_versions(), _STATE_S)
        except TimeoutError:
            return [], f"the model server does not answer within {_STATE_S:g} s"
        except AlmanacError as error:
            return [], str(error)
        return versions, "" if versions else f"the model server has no version of {name!r} available"


def _series_list(served: ServedModel, observed: ObservedRows | None) -> Answer:
    found = (seen_series(served, observed, one) for one in seen_ids(served, observed))
    return as_json({"series": [_series_entry(served, one) for one in found if one is not None]})


def _series_entry(served: ServedModel, series: Series) -> dict[str, Any]:
    """Origins of a series; `next_origin`, after its last target, needs known covariates that its store may not have."""
    reason = served.quarantine.get(series.id)
    following = next_origin(series, served.spec)
    if reason is None:
        possible = possible_origins(series, served.spec)
    else:
        possible = past_origins(series, served.spec, cutoff=served.cutoff)
    return {
        "id": series.id,
        "first_origin": iso_time(possible.first) if possible else None,
        "last_origin": iso_time(possible.last) if possible else None,
        "default_origin": iso_time(possible.default) if possible else None,
        "next_origin": None if following is None else iso_time(following),
        "degraded": reason is not None,
        "reason": reason,
    }
