"""A reload that all processes of a server make: checked by all, then made by all, answered when all serve it."""

import asyncio
import json
import logging
import time

from forecasting.wire.messages import ModelServerConfig
from serving.model_server.model_service import ModelService
from serving.model_server.siblings import CHECK, RELOAD, Answers, Siblings, keep_current
from serving.model_server.status import RequestError, StatusCode

logger = logging.getLogger(__name__)

_SPARE_S = 5.0
"""How much longer than the reload itself its answer may take."""


class SharedReload:
    """The reloads of one process and of the others."""

    def __init__(self, siblings: Siblings, models: ModelService) -> None:
        """Nothing is told yet."""
        self._siblings, self._models = siblings, models

    @property
    def answers(self) -> Answers:
        """What this process answers the others."""
        return {CHECK: self._take_check, RELOAD: self._take_reload}

    async def reload(self, config: bytes, limit_s: float) -> None:
        """Put a ModelServerConfig in force in all processes.

        Raises:
            RequestError: One cannot use it, and nothing is changed; or one cannot serve it.
        """
        async with self._siblings.turn():
            deadline_s = time.monotonic() + limit_s
            self._models.check(ModelServerConfig.FromString(config))
            _raise_first(await self._siblings.ask_others(CHECK, config))
            keep_current(self._siblings.folder, config)
            limit_s = max(0.0, deadline_s - time.monotonic())
            payload = json.dumps(limit_s).encode() + b"\n" + config
            own, others = await asyncio.gather(
                self._models.apply(ModelServerConfig.FromString(config), limit_s),
                self._siblings.ask_others(RELOAD, payload, limit_s + _SPARE_S),
                return_exceptions=True,
            )
        for found in (own, others):
            if isinstance(found, BaseException):
                raise found
        if not isinstance(others, BaseException):
            _raise_first(others)

    async def _take_check(self, payload: bytes) -> bytes:
        try:
            self._models.check(ModelServerConfig.FromString(payload))
        except RequestError as error:
            return _told(error)
        return b""

    async def _take_reload(self, payload: bytes) -> bytes:
        limit_s, _, config = payload.partition(b"\n")
        try:
            await self._models.apply(ModelServerConfig.FromString(config), float(limit_s))
        except RequestError as error:
            logger.error("a reload of another process cannot be followed: %s", error.message)
            return _told(error)
        return b""


def _told(error: RequestError) -> bytes:
    return json.dumps([int(error.code), error.message]).encode()


def _raise_first(answers: list[bytes]) -> None:
    for answer in filter(None, answers):
        code, message = json.loads(answer)
        raise RequestError(StatusCode(code), message)
