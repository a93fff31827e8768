"""Put the parts together in one event loop, until SIGTERM."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, NoReturn

from forecasting.wire.messages import ModelServerConfig
from serving.asgi import HttpServer
from serving.model_server.executor import ModelExecutor
from serving.model_server.flags import ServerConfig, host_of
from serving.model_server.grpc_service import GrpcServer
from serving.model_server.inference import InferenceService
from serving.model_server.metrics import OWN_IN_FLIGHT, ServerMetrics, State, official_page, own_page
from serving.model_server.model_service import ModelService
from serving.model_server.model_specs import ServedModelSpec, specs_of
from serving.model_server.observed import ObservedService
from serving.model_server.request_log import RequestLog
from serving.model_server.rest_app import OWN_METRICS_PATH, Page, RestApp
from serving.model_server.shared_reload import SharedReload
from serving.model_server.siblings import METRICS, Siblings, read_current
from serving.model_server.status import RequestError
from serving.model_server.version_keeper import VersionKeeper

logger = logging.getLogger(__name__)
_SETTLE_LOOK_S = 0.05
_CLOSING_S, _SPARE_S = 4.0, 0.5


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

    async def join_siblings(self) -> None:
        """Answer the server's other processes, from before the configuration is read: no reload may be missed."""
        if self._siblings is not None:
            shared = SharedReload(self._siblings, self.models)
            await self._siblings.listen({METRICS: self._tell_metrics, **shared.answers})
            self.models.reload_all = shared.reload

    def first_specs(self) -> tuple[ServedModelSpec, ...]:
        """The models to begin with; for a process that is started again, those that the others serve.

        Raises:
            RequestError: The configuration cannot be used.
        """
        config = self._config
        current = None if self._siblings is None else read_current(self._siblings.folder)
        follows_file = config.config_poll_s > 0 and config.model_config_file is not None
        if current is None or follows_file:
            return config.specs()
        return specs_of(ModelServerConfig.FromString(current))

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
                self._app,
                config.bind_address,
                config.rest_api_port,
                drain_s=shares_of(config.drain_s)[0],
                share_port=share,
            )
        await self.grpc.start()
        if self.http is not None:
            await self.http.start()

    async def stop(self) -> None:
        """Refuse what is new, finish what is in flight, then close the models; each within its share of the time."""
        self._app.draining = True
        drain_s, closing_s = shares_of(self._config.drain_s)
        stopping = [] if self.grpc is None else [asyncio.ensure_future(self.grpc.stop(drain_s))]
        if self.http is not None:
            stopping.append(asyncio.ensure_future(self.http.stop()))
        if stopping:
            await asyncio.wait(stopping, timeout=drain_s + closing_s / 4)
        if self._siblings is not None:
            self._siblings.close()
        if not await self.executor.close(closing_s / 4):
            logger.error("calls of models did not come back within %g s and are given up", drain_s)
        await self.keeper.close()
        if self._log is not None:
            self._log.close(closing_s / 4)

    async def keep_current(self, specs: tuple[ServedModelSpec, ...]) -> None:
        """Load the models, then follow the configuration file and the disk, until cancelled.

        Raises:
            RequestError: The first configuration cannot be used.
        """
        config = self._config
        self.keeper.configure(specs if self._siblings is None else _unlabelled(specs))
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

    async def settle(self, specs: tuple[ServedModelSpec, ...]) -> None:
        """Wait until every version that is wanted is available or has ended in an error, then put the labels on.

        Raises:
            RequestError: FAILED_PRECONDITION: a label points to a version that is not available.
        """
        while not self.keeper.settled():
            await asyncio.sleep(_SETTLE_LOOK_S)
        # A process that is started again finds labels in force; a reload in the meantime has put on its own.
        if self.keeper.specs == _unlabelled(specs):
            self.keeper.configure(specs)

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
        own = self._own_state()
        return [own] if self._siblings is None else await self._siblings.states(own)

    def _own_state(self) -> State:
        self.metrics.put(OWN_IN_FLIGHT, self.executor.n_requests)
        return self.metrics.state()

    async def _tell_metrics(self, _payload: bytes) -> bytes:
        return json.dumps(self._own_state()).encode()


def _unlabelled(specs: tuple[ServedModelSpec, ...]) -> tuple[ServedModelSpec, ...]:
    return tuple(replace(spec, labels={}) for spec in specs)


def shares_of(drain_s: float) -> tuple[float, float]:
    """Of the seconds from SIGTERM to the end, those for requests in flight and those for closing."""
    closing_s = min(_CLOSING_S, drain_s / 4)
    return drain_s - closing_s, closing_s


def end_in_time(limit_s: float) -> None:
    """End the process after some seconds, whatever hangs by then."""

    def end() -> None:
        logger.error("the server did not end by itself within %g s", limit_s)
        leave()

    timer = threading.Timer(limit_s, end)
    timer.daemon = True
    timer.start()


def leave() -> NoReturn:
    """End the process at once: the interpreter's own end would wait for threads inside models that never return."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


async def serve_models(config: ServerConfig) -> None:
    """Listen, load, and answer until SIGTERM or SIGINT; then finish what is in flight.

    Raises:
        ConfigError: A port is taken or a certificate cannot be used.
        RequestError: The model configuration cannot be used.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Requests leave little behind for the collector, which by default would look at it every dozen of them.
    gc.set_threshold(20_000, 20, 20)
    server = ModelServer(config)
    await server.join_siblings()
    specs = server.first_specs()
    keeping = asyncio.create_task(server.keep_current(specs))
    stopping = asyncio.create_task(stop.wait())
    orphaned = asyncio.create_task(_stop_when_orphaned(stop)) if config.worker is not None else None
    if config.worker is not None:
        # Ports are shared: whoever listens gets requests, so the models come first.
        settling = asyncio.create_task(server.settle(specs))
        await asyncio.wait({keeping, stopping, settling}, return_when=asyncio.FIRST_COMPLETED)
        if settling.done():
            settling.result()
        settling.cancel()
    if not keeping.done() and not stop.is_set():
        await server.start()
        _announce(config, server)
    await asyncio.wait({keeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        end_in_time(config.drain_s - _SPARE_S * min(1.0, config.drain_s))
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
    host = host_of(config.bind_address)
    lines = [f"Running gRPC ModelServer at {host}:{grpc_port}"]
    if config.grpc.socket_path:
        lines.append(f"Running gRPC ModelServer on UNIX socket {config.grpc.socket_path}")
    if rest_port is not None:
        lines.append(f"Exporting HTTP/REST API at {host}:{rest_port}")
    return lines


def say(line: str) -> None:
    """One line for whoever started the server."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
