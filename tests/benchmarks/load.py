"""Load for HTTP and gRPC servers: ready-made requests over kept connections, the server's CPU time read from /proc.

The generator runs in the caller's process, so its cost never counts for the server.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np

from forecasting.wire.client import CHANNEL_OPTIONS, PREDICT_METHOD

Ask = Callable[[int], Awaitable[None]]
"""Sends one request on the connection of that number and waits for its answer."""


@dataclass(frozen=True)
class ThroughputReport:
    """Requests, CPU seconds of the server and wall seconds of a closed loop."""

    n_requests: int
    cpu_s: float
    wall_s: float

    @property
    def per_cpu_s(self) -> float:
        """Requests a CPU second of the server."""
        return self.n_requests / self.cpu_s


@dataclass(frozen=True)
class LatencyReport:
    """Latencies of an open loop at a fixed rate, milliseconds, from the moment each request was due."""

    rate: float
    p50_ms: float
    p99_ms: float


class HttpLoad:
    """POSTs one body to one path, over some connections."""

    def __init__(
        self, address: str, path: str, body: bytes, *, n_connections: int = 8, headers: Mapping[str, str] | None = None
    ) -> None:
        """Prepare the bytes of the request."""
        self._host, _, port = address.rpartition(":")
        self._port, self._n = int(port), n_connections
        names = {"content-type": "application/json", **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in names.items())
        head = f"POST {path} HTTP/1.1\r\nHost: {address}\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        self._request = head.encode() + body
        self._streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __aenter__(self) -> Ask:
        for _ in range(self._n):
            self._streams.append(await asyncio.open_connection(self._host, self._port, limit=2**24))
        return self._ask

    async def __aexit__(self, *_: object) -> None:
        for _, writer in self._streams:
            writer.close()
        self._streams.clear()

    async def _ask(self, number: int) -> None:
        reader, writer = self._streams[number % self._n]
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
        if b"transfer-encoding: chunked" in head:
            body = b""
            while size := int(await reader.readline(), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readexactly(2)
        else:
            length = int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
            body = await reader.readexactly(length)
        if status != 200:
            raise RuntimeError(f"the server answered {status}: {body[:300]!r}")


class GrpcLoad:
    """Predict with one serialised request, over some channels."""

    def __init__(self, address: str, request: bytes, *, n_connections: int = 8) -> None:
        """Remember the bytes."""
        self._address, self._request, self._n = address, request, n_connections
        self._calls: list[grpc.aio.UnaryUnaryMultiCallable] = []
        self._channels: list[grpc.aio.Channel] = []

    async def __aenter__(self) -> Ask:
        for number in range(self._n):
            # Equal channels share one connection unless an option tells them apart.
            options = (*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1), ("almanac.number", number))
            channel = grpc.aio.insecure_channel(self._address, options=options)
            self._channels.append(channel)
            self._calls.append(channel.unary_unary(PREDICT_METHOD))
        return self._ask

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels:
            await channel.close()
        self._channels.clear()
        self._calls.clear()

    async def call(self, number: int, *, timeout_s: float) -> None:
        """One call with a deadline; what gRPC says of it passes through."""
        await self._calls[number % self._n](self._request, timeout=timeout_s)

    async def _ask(self, number: int) -> None:
        await self.call(number, timeout_s=30)


async def throughput(ask: Ask, pids: list[int], *, n_requests: int, n_connections: int = 8) -> ThroughputReport:
    """A closed loop on all connections."""
    cpu, start = cpu_seconds(pids), time.perf_counter()

    async def loop(number: int) -> None:
        for _ in range(n_requests // n_connections):
            await ask(number)

    await asyncio.gather(*(loop(number) for number in range(n_connections)))
    done = n_requests // n_connections * n_connections
    return ThroughputReport(done, cpu_seconds(pids) - cpu, time.perf_counter() - start)


async def latency(ask: Ask, *, rate: float, seconds: float, n_connections: int = 8) -> LatencyReport:
    """An open loop: requests are due at fixed times, on the next free connection."""
    free: asyncio.Queue[int] = asyncio.Queue()
    for number in range(n_connections):
        free.put_nowait(number)
    taken: list[float] = []
    start = time.perf_counter()

    async def one(due: float) -> None:
        number = await free.get()
        try:
            await ask(number)
        finally:
            free.put_nowait(number)
        taken.append(time.perf_counter() - due)

    running = []
    for position in range(int(rate * seconds)):
        due = start + position / rate
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        running.append(asyncio.create_task(one(due)))
    await asyncio.gather(*running)
    p50, p99 = np.percentile(np.array(taken) * 1e3, [50, 99])
    return LatencyReport(rate, float(p50), float(p99))


def cpu_seconds(pids: list[int]) -> float:
    """CPU time of processes, with all their threads."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and everything that it started."""
    found, place = [pid], 0
    while place < len(found):
        # A thread or a process may end between two looks.
        with suppress(OSError):
            for tasks in list(Path(f"/proc/{found[place]}/task").glob("*/children")):
                with suppress(OSError):
                    found += [int(word) for word in tasks.read_text().split()]
        place += 1
    return found


def rss_mib(pids: list[int]) -> float:
    """Resident memory of processes, MiB; shared pages count for each."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
