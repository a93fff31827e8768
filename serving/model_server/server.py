"""Put the parts together in one event loop, until SIGTERM."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from forecasting.wire.messages import ReloadConfigRequest
from serving.asgi import HttpServer
from serving.model_server.executor import ModelExecutor
from serving.model_server.flags import ServerConfig
from serving.model_server.grpc_service import GrpcServer
from serving.model_server.inference import InferenceService
from serving.model_server.metrics import ServerMetrics, State, official_page, own_page
from serving.model_server.model_service import ModelService
from serving.model_server.model_specs import ServedModelSpec, specs_of
from serving.model_server.observed import ObservedService
from serving.model_server.request_log import RequestLog
from serving.model_server.rest_app import OWN_METRICS_PATH, Page, RestApp
from serving.model_server.siblings import METRICS, RELOAD, Siblings
from serving.model_server.status import RequestError
from serving.model_server.version_keeper import VersionKeeper

logger = logging.getLogger(__name__)
_SETTLE_LOOK_S = 0.05


class ModelServer:
    """One process of the server: its parts, and how they start and stop."""

    def __init__(self, config: ServerConfig) -> None:
        """Put the parts together; no port is bound yet. Must be made in the running event loop."""
        self._config = config
        self.metrics = ServerMetrics()
        self.executor = ModelExecutor(config.limits, self.metrics)
        self.keeper = VersionKeeper(replace(config.loading, make_queues=self.executor.queues), self.metrics)
        self._log = RequestLog(config.request_log.prefix, config.request_log.rate) if config.request_log else None
        inference = InferenceService(
            self.keeper,
            self.executor,
            self.metrics,
            check_methods=config.check_methods,
            as_content=config.as_content,
        )
        self._service = ObservedService(inference, self.metrics, self._log)
        self.models = ModelService(self.keeper, self.metrics, reload_timeout_s=config.reload_timeout_s)
        self._app = RestApp(config.rest, self._service, self.models, self._pages())
        self._siblings = Siblings(config.worker.folder, config.worker.index) if config.worker else None
        self.grpc: GrpcServer | None = None
        self.http: HttpServer | None = None

    async def start(self) -> None:
        """Bind the ports and listen on them.

        Raises:
            ConfigError: A port is taken, or a certificate cannot be used.
        """
        config = self._config
        self.grpc = GrpcServer(config.grpc, self._service, self.models)
        if config.rest_api_port is not None:
            share = config.grpc.share_port
            self.http = HttpServer(
                self._app, config.bind_address, config.rest_api_port, drain_s=config.drain_s, share_port=share
            )
        if self._siblings is not None:
            await self._siblings.listen({METRICS: self._tell_metrics, RELOAD: self._take_reload})
            self.models.reloaded = self._tell_reload
        await self.grpc.start()
        if self.http is not None:
            await self.http.start()

    async def stop(self) -> None:
        """Refuse what is new, finish what is in flight, then close the models."""
        self._app.draining = True
        stopping = [] if self.grpc is None else [self.grpc.stop(self._config.drain_s)]
        if self.http is not None:
            stopping.append(self.http.stop())
        await asyncio.gather(*stopping)
        if self._siblings is not None:
            self._siblings.close()
        await self.keeper.close()
        self.executor.close()
        if self._log is not None:
            self._log.close()

    async def keep_current(self, specs: tuple[ServedModelSpec, ...]) -> None:
        """Load the models, then follow the configuration file and the disk, until cancelled.

        Raises:
            RequestError: The first configuration cannot be used.
        """
        config = self._config
        self.keeper.configure(specs)
        following: list[Coroutine[Any, Any, Any]] = [asyncio.Event().wait()]
        if config.file_system_poll_s > 0:
            following.append(self._follow_disk(config.file_system_poll_s))
        if config.config_poll_s > 0 and config.model_config_file is not None:
            following.append(self._follow_file(config.config_poll_s))
        await asyncio.gather(*following)

    async def _follow_disk(self, pause_s: float) -> None:
        while True:
            await asyncio.sleep(pause_s)
            self.keeper.poll()

    async def _follow_file(self, pause_s: float) -> None:
        while True:
            await asyncio.sleep(pause_s)
            try:
                self.keeper.configure(self._config.specs())
            except RequestError as error:
                # A broken file must not take models away: keep the last good one and say so.
                logger.error("keeping the last model configuration: %s", error.message)

    async def settle(self) -> None:
        """Wait until every version that is wanted is available or has ended in an error."""
        while not self.keeper.settled():
            await asyncio.sleep(_SETTLE_LOOK_S)

    def _pages(self) -> dict[str, Page]:
        async def own() -> str:
            return own_page(await self._states())

        async def official() -> str:
            return official_page(await self._states())

        pages: dict[str, Page] = {OWN_METRICS_PATH: own}
        if self._config.rest.metrics_path is not None:
            pages[self._config.rest.metrics_path] = official
        return pages

    async def _states(self) -> list[State]:
        own: State = self.metrics.state()
        return [own] if self._siblings is None else await self._siblings.states(own)

    async def _tell_metrics(self, _payload: bytes) -> bytes:
        return json.dumps(self.metrics.state()).encode()

    async def _tell_reload(self, payload: bytes) -> None:
        if self._siblings is not None:
            await self._siblings.ask_others(RELOAD, payload)

    async def _take_reload(self, payload: bytes) -> bytes:
        try:
            self.keeper.configure(specs_of(ReloadConfigRequest.FromString(payload).config))
        except RequestError as error:
            logger.error("a reload of another process cannot be followed: %s", error.message)
        return b""


async def serve_models(config: ServerConfig) -> None:
    """Listen, load, and answer until SIGTERM or SIGINT; then finish what is in flight.

    Raises:
        ConfigError: A port is taken or a certificate cannot be used.
        RequestError: The model configuration cannot be used.
    """
    specs = config.specs()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Requests leave little behind for the collector, which by default would look at it every dozen of them.
    gc.set_threshold(20_000, 20, 20)
    server = ModelServer(config)
    keeping = asyncio.create_task(server.keep_current(specs))
    stopping = asyncio.create_task(stop.wait())
    orphaned = asyncio.create_task(_stop_when_orphaned(stop)) if config.worker is not None else None
    if config.worker is not None:
        # Ports are shared: whoever listens gets requests, so the models come first.
        settling = asyncio.create_task(server.settle())
        await asyncio.wait({keeping, stopping, settling}, return_when=asyncio.FIRST_COMPLETED)
        settling.cancel()
    if not keeping.done() and not stop.is_set():
        await server.start()
        _announce(config, server)
    await asyncio.wait({keeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
    keeping.cancel()
    await server.stop()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping
    stopping.cancel()
    if orphaned is not None:
        orphaned.cancel()


async def _stop_when_orphaned(stop: asyncio.Event) -> None:
    """End with the process that started this one, even where that one had no time to say so."""
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(1.0)
    stop.set()


def _announce(config: ServerConfig, server: ModelServer) -> None:
    if server.grpc is not None:
        for line in announce_lines(config, server.grpc.port, None if server.http is None else server.http.port):
            say(line)


def announce_lines(config: ServerConfig, grpc_port: int, rest_port: int | None) -> list[str]:
    """One line for each port and socket."""
    lines = [f"Running gRPC ModelServer at {config.bind_address}:{grpc_port}"]
    if config.grpc.socket_path:
        lines.append(f"Running gRPC ModelServer on UNIX socket {config.grpc.socket_path}")
    if rest_port is not None:
        lines.append(f"Exporting HTTP/REST API at {config.bind_address}:{rest_port}")
    return lines


def say(line: str) -> None:
    """One line for whoever started the server."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
