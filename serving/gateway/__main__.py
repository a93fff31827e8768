"""`python -m serving.gateway`."""

import argparse
import asyncio
import functools
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from forecasting.contracts.ports import GATEWAY_PORT, GRPC_PORT
from forecasting.errors import AlmanacError
from forecasting.repository import ModelRepository
from serving.asgi import HttpServer
from serving.gateway.app import GatewayApp
from serving.gateway.forecaster import Forecaster
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.model_loader import ModelLoader
from serving.gateway.pages import StatePages
from serving.gateway.served_model import load_served_model

DRAIN_S = 30.0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all flags."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.gateway", allow_abbrev=False, description="HTTP gateway of one model."
    )
    parser.add_argument("--model", required=True, help="name of the model")
    parser.add_argument("--models-dir", type=Path, required=True, help="model repository")
    parser.add_argument(
        "--series-dir",
        type=Path,
        help="series store with the history; left out: the one kept with the champion",
    )
    parser.add_argument("--grpc", default=f"127.0.0.1:{GRPC_PORT}", help="gRPC address of the model server")
    parser.add_argument("--bind-address", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=GATEWAY_PORT, help="HTTP port; 0: any free one")
    parser.add_argument("--timeout-s", type=float, default=10.0, help="longest wait for the model server")
    parser.add_argument(
        "--fallback",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="answer by a seasonal naive forecast, marked, where the model cannot be asked",
    )
    parser.add_argument("--max-body-bytes", type=int, default=8 * 2**20, help="largest request body")
    return parser


async def serve_gateway(flags: argparse.Namespace) -> None:
    """Listen until SIGTERM or SIGINT, then finish what is in flight.

    Raises:
        ConfigError: The port is taken.
    """
    repository = ModelRepository(flags.models_dir)
    load = functools.partial(load_served_model, repository, flags.model, series_dir=flags.series_dir)
    known_series = functools.partial(repository.series_dir, flags.model)
    metrics = GatewayMetrics()
    forecaster = Forecaster(
        flags.model, repository, ModelLoader(load, known_series), flags.grpc, timeout_s=flags.timeout_s,
        has_fallback=flags.fallback, count=functools.partial(metrics.count_degraded, flags.model),
    )  # fmt: skip
    pages = StatePages(forecaster, repository, metrics)
    app = GatewayApp(forecaster, pages, metrics, max_body_bytes=flags.max_body_bytes)
    server = HttpServer(app, flags.bind_address, flags.port, drain_s=DRAIN_S)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    sys.stdout.write(f"Gateway at {flags.bind_address}:{server.port}\n")
    sys.stdout.flush()
    await stop.wait()
    pages.draining = True
    await server.stop()
    await forecaster.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the gateway; exit code 0 after SIGTERM."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    flags = build_parser().parse_args(arguments)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_gateway(flags))
    except AlmanacError as error:
        sys.stderr.write(f"the gateway cannot start: {error}\n")
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
