"""Clients of a gateway whose series have a step of a second: what was measured comes in, forecasts go out, in real time."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

N_SERIES = 10
IDS = tuple(f"meter {number}" for number in range(N_SERIES))
LEVEL, NOISE = 100.0, 1.2


@dataclass
class Traffic:
    """What clients do.

    is_drifted: values jump up and down. has_data: values come at all. is_strange: one in two asks what is no question, the
    others for one series. insists: one in two takes no fallback. codes: of the answers to forecasts.
    """

    address: str
    is_drifted: bool = False
    has_data: bool = True
    is_strange: bool = False
    insists: bool = False
    codes: list[int] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def send(self, path: str, body: dict[str, object]) -> int:
        """Status of one post."""
        request = urllib.request.Request(
            f"http://{self.address}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    def observe(self, second: int) -> int:
        """Post what every meter measured in a second."""
        values = LEVEL + self._rng.uniform(-NOISE, NOISE, N_SERIES)
        if self.is_drifted:
            values = (
                2 * LEVEL
                + 40 * np.where((second + np.arange(N_SERIES)) % 2, 1.0, -1.0)
                + self._rng.uniform(-9, 9, N_SERIES)
            )
        start = datetime.fromtimestamp(second, UTC).isoformat()
        rows = {
            one: {"start": start, "values": {"Demand": [round(value, 3)]}}
            for one, value in zip(IDS, values.tolist(), strict=True)
        }
        return self.send("/v1/observations", {"observations": rows})

    def measure(self) -> None:
        """Once a second all meters, a second late; now and then what they said before is corrected."""
        last = int(time.time()) - 1
        while not self._stop.wait(0.1):
            now = int(time.time()) - 1
            for second in range(last + 1, now + 1) if self.has_data else ():
                assert self.observe(second) == 200
                if second % 10 == 0:
                    assert self.observe(second - 6) == 200
            last = max(last, now)

    def ask(self) -> None:
        """Two or three requests a second, one of ten for a series that does not exist."""
        asked = 0
        while not self._stop.wait(0.4):
            asked += 1
            self.codes.append(self.send("/v1/forecast", self._question(asked)))

    def _question(self, asked: int) -> dict[str, object]:
        if self.is_strange:
            return {"series": [IDS[0]]} if asked % 2 else {"origin": "some day"}
        if asked % 10 == 0:
            return {"series": ["nobody"]}
        return {"fallback": False} if self.insists and asked % 2 else {}

    def stop(self) -> None:
        """No more after this."""
        self._stop.set()


@contextmanager
def traffic(address: str) -> Iterator[Traffic]:
    """Clients at work while the block runs; six ask, one measures."""
    clients = Traffic(address)
    threads = [threading.Thread(target=work, daemon=True) for work in (clients.measure, *[clients.ask] * 6)]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        clients.stop()
        for thread in threads:
            thread.join(30)
