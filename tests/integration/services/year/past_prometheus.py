"""A real Prometheus that is given samples of any time and asked what the rules of production say of them.

Its own rules would be evaluated at the time of today, so it loads none: each expression is asked over the hours that passed, and what
recording rules give is written back before alerts are asked.
"""

import http.client
import json
import re
import struct
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from forecasting.wire.server_process import listening_process
from tests.integration.services.prometheus import Prometheus, wait_until

Labels = tuple[tuple[str, str], ...]
Samples = Mapping[Labels, Sequence[tuple[float, int]]]
"""Value and epoch seconds, in order of time, by labels of which one is `__name__`."""
_LISTENS = {"address": re.compile(r'msg="Listening on" address=(\S+)')}
_OK = (200, 204)


class PastPrometheus:
    """Writes samples and asks queries; each over a connection of its own, as a run may lie between two of them."""

    def __init__(self, address: str) -> None:
        self._address = address

    def write(self, samples: Samples) -> None:
        """Write samples, as another Prometheus would (remote write 1.0)."""
        body = b"".join(_field(1, _time_series(labels, found)) for labels, found in samples.items())
        packed = pa.compress(body, codec="snappy", asbytes=True)
        headers = {"content-type": "application/x-protobuf", "content-encoding": "snappy", "x-prometheus-remote-write-version": "0.1.0"}  # fmt: skip
        self._call("POST", "/api/v1/write", packed, headers)

    def lines(self, expr: str, begin: int, end: int, step_s: int) -> dict[Labels, list[tuple[float, int]]]:
        """What an expression gives at each step from begin to end, both included."""
        query = urllib.parse.urlencode({"query": expr, "start": begin, "end": end, "step": step_s})
        kind = {"content-type": "application/x-www-form-urlencoded"}
        found: Any = json.loads(self._call("POST", "/api/v1/query_range", query.encode(), kind))
        return {
            tuple(sorted(one["metric"].items())): [(float(value), int(at)) for at, value in one["values"]]
            for one in found["data"]["result"]
        }

    def _call(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status in _OK, f"{path}: {answer.status} {text.decode(errors='replace')}"
        return text


@contextmanager
def past_prometheus(folder: Path, *, sample_s: int) -> Iterator[PastPrometheus]:
    """Prometheus without rules and scrapes while the block runs.

    Args:
        folder: For its configuration, store and log.
        sample_s: Time between samples, so long they are looked back for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"scrape_configs": []}))
    flags = [
        f"--config.file={config}", f"--storage.tsdb.path={folder / 'store'}", "--web.listen-address=127.0.0.1:0",
        "--web.enable-remote-write-receiver", f"--query.lookback-delta={sample_s + 1}s",
        # A recorded sample of the morning comes after a scraped one of the evening.
        "--storage.tsdb.retention.time=10y", "--storage.tsdb.min-block-duration=10d", "--storage.tsdb.max-block-duration=30d",
    ]  # fmt: skip
    command = ("sh", "-c", 'exec "$0" "$@" 2>&1', "prometheus", *flags)
    with listening_process(command, _LISTENS, log=folder / "log") as (_, addresses):
        wait_until(Prometheus(addresses["address"]).is_ready, lambda: f"Prometheus must answer; log in {folder}")
        yield PastPrometheus(addresses["address"])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _time_series(labels: Labels, samples: Sequence[tuple[float, int]]) -> bytes:
    named = b"".join(_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in sorted(labels))
    # A double has the wire type 1, a time the type 0.
    return named + b"".join(
        _field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(at * 1_000)) for value, at in samples
    )
