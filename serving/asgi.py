"""Run an ASGI application inside a loop that somebody else stops."""

import asyncio
import math
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from forecasting.errors import ConfigError

KEEP_ALIVE_S = 75
"""How long an idle connection stays open: longer than the minute of common load balancers and connection pools.

Whoever closes first must be the client, or a request that is just being sent meets a closed connection.
"""

HEAD_S = 30.0
"""How long a connection may stay without the whole head of a request; uvicorn would wait for ever."""
_TICKS_A_LOOK = 10
"""A tick of uvicorn is a tenth of a second."""


class _EmbeddedServer(uvicorn.Server):
    """uvicorn without its own signal handlers, the owner of the loop decides when to stop; and with a limit for heads."""

    def __init__(self, settings: uvicorn.Config, head_s: float) -> None:
        super().__init__(settings)
        self._head_s = head_s
        self._silent: dict[Any, list[float]] = {}

    async def on_tick(self, counter: int) -> bool:
        """Close what is silent, besides what uvicorn does at each tick."""
        if counter % _TICKS_A_LOOK == 0:
            self._close_silent()
        return await super().on_tick(counter)

    def _close_silent(self) -> None:
        """One look after all: a timer for each connection would cost every request."""
        now_s = time.monotonic()
        silent = [one for one in self.server_state.connections if _awaits_head(one)]
        self._silent = {one: [*self._silent.get(one, ()), now_s] for one in silent}
        for one, looks_s in self._silent.items():
            # At least at a third look: after a loop that stood still, what had come by then was read since the second.
            if len(looks_s) > 2 and now_s - looks_s[0] >= self._head_s:
                one.transport.close()


def _awaits_head(protocol: Any) -> bool:
    """Whether nothing is being answered and no timer of uvicorn would close the connection."""
    is_answering = protocol.cycle is not None and not protocol.cycle.response_complete
    return not is_answering and protocol.timeout_keep_alive_task is None


@dataclass(frozen=True)
class TlsFiles:
    """Certificate chain and key of a server, PEM."""

    certificate: Path
    key: Path


class HttpServer:
    """An HTTP listener on httptools; the port is bound at once, so that 0 can be resolved."""

    def __init__(
        self,
        app: Any,
        address: str,
        port: int,
        *,
        drain_s: float,
        share_port: bool = False,
        tls: TlsFiles | None = None,
        head_s: float = HEAD_S,
    ) -> None:
        """Bind a port.

        Raises:
            ConfigError: The port is taken, the address is not of this machine, or certificate and key cannot be used.
        """
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share_port:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            self._socket.bind((address, port))
        except OSError as error:
            self._socket.close()
            raise ConfigError(f"cannot listen for HTTP on {address}:{port}: {error.strerror or error}") from error
        self.port: int = self._socket.getsockname()[1]
        settings = uvicorn.Config(
            app,
            http="httptools",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            # Nobody here asks for the client's address: the middleware that guesses it costs each request.
            proxy_headers=False,
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=math.ceil(drain_s),
            **({} if tls is None else {"ssl_certfile": tls.certificate, "ssl_keyfile": tls.key}),
        )
        try:
            settings.load()
        except (OSError, ssl.SSLError) as error:
            self._socket.close()
            raise ConfigError(f"TLS must have a certificate and its key in PEM, found {tls}: {error}") from error
        self._server = _EmbeddedServer(settings, head_s)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen; returns once connections are accepted."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Stop accepting and wait for what is in flight."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
