"""Put the parts together in one event loop, until SIGTERM."""

import asyncio
import logging
import signal
import sys

from forecasting.errors import ConfigError
from serving.asgi import HttpServer
from serving.model_server.flags import ServerConfig
from serving.model_server.grpc_service import GrpcServer
from serving.model_server.inference import InferenceService
from serving.model_server.metrics import ServerMetrics
from serving.model_server.model_specs import ServedModelSpec
from serving.model_server.rest_app import RestApp
from serving.model_server.servables import ServableManager

logger = logging.getLogger(__name__)


async def serve_models(config: ServerConfig) -> None:
    """Listen, load, and answer until SIGTERM or SIGINT; then finish what is in flight.

    Raises:
        ConfigError: A port is taken or the model configuration cannot be used.
    """
    specs = config.specs()
    metrics = ServerMetrics()
    manager = ServableManager(config.loading, metrics)
    service = InferenceService(manager, metrics)
    app = RestApp(service, timeout_s=config.rest_timeout_s, max_body_bytes=config.max_body_bytes)
    grpc_server = GrpcServer(service, f"{config.bind_address}:{config.port}")
    http_server = None
    if config.rest_api_port is not None:
        http_server = HttpServer(app, config.bind_address, config.rest_api_port, drain_s=config.drain_s)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await grpc_server.start()
    _say(f"Running gRPC ModelServer at {config.bind_address}:{grpc_server.port}")
    if http_server is not None:
        await http_server.start()
        _say(f"Exporting HTTP/REST API at {config.bind_address}:{http_server.port}")
    keeper = asyncio.create_task(_keep_current(config, manager, specs))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({keeper, stopping}, return_when=asyncio.FIRST_COMPLETED)
    app.draining = True
    keeper.cancel()
    await grpc_server.stop(config.drain_s)
    if http_server is not None:
        await http_server.stop()
    results = await asyncio.gather(keeper, return_exceptions=True)
    manager.close()
    if not stop.is_set() and isinstance(results[0], Exception):
        raise results[0]


async def _keep_current(config: ServerConfig, manager: ServableManager, specs: tuple[ServedModelSpec, ...]) -> None:
    """Load the models, then follow the configuration file and the disk."""
    await manager.configure(specs)
    loop = asyncio.get_running_loop()
    if config.config_poll_s <= 0 and config.file_system_poll_s <= 0:
        await asyncio.Event().wait()
    next_config = loop.time() + config.config_poll_s
    while True:
        pauses = [pause for pause in (config.file_system_poll_s, config.config_poll_s) if pause > 0]
        await asyncio.sleep(min(pauses))
        if config.config_poll_s > 0 and loop.time() >= next_config:
            next_config = loop.time() + config.config_poll_s
            await _reread(config, manager)
        elif config.file_system_poll_s > 0:
            await manager.poll()


async def _reread(config: ServerConfig, manager: ServableManager) -> None:
    try:
        specs = config.specs()
    except ConfigError as error:
        # A broken file must not take models away: keep the last good one and say so.
        logger.error("keeping the last model configuration: %s", error)
        return
    await manager.configure(specs)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
