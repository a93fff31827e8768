"""A server of an interface on a real port, which can be told to be slow, busy, or to lose an answer."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Fault:
    """What happens to a request instead. status: answered; done: the request is done all the same; drop: no answer at all."""

    status: int = 0
    done: bool = False
    drop: bool = False
    delay_s: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    method: str = ""


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    body: Any
    content_type: str


class RefusedError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class CutOffError(Exception):
    """A stream that breaks. half: a last piece without its end."""

    def __init__(self, half: str = "") -> None:
        super().__init__(half)
        self.half = half


@dataclass
class FakeApi:
    """Answers by `answer` and writes down what it was asked. token: that it wants, none: any."""

    faults: list[Fault] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    token: str | None = None

    def answer(self, asked: Asked) -> dict[str, Any] | str | Iterator[str]:
        """A document, a text, or lines that are sent one by one; a stream that raises `CutOffError` ends in the middle."""
        raise NotImplementedError

    def __enter__(self) -> str:
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fault_of(self, method: str) -> Fault | None:
        if self.faults and self.faults[0].method in ("", method):
            return self.faults.pop(0)
        return None

    def count(self, method: str, path_end: str) -> int:
        return sum(one.method == method and one.path.endswith(path_end) for one in self.asked)


class _Handler(BaseHTTPRequestHandler):
    api: FakeApi
    protocol_version = "HTTP/1.1"
    # Head and body are written one after the other: else each answer waits 40 ms for an acknowledgement.
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        pass

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        asked = Asked(
            self.command, parts.path, query, json.loads(text) if text else None, self.headers.get("Content-Type", "")
        )
        self.api.asked.append(asked)
        fault = self.api.fault_of(self.command)
        if fault and fault.delay_s:
            time.sleep(fault.delay_s)
        if fault and (fault.status or fault.drop) and not fault.done:
            self._fail(fault)
            return
        try:
            if self.api.token and self.headers.get("Authorization") != f"Bearer {self.api.token}":
                raise RefusedError(401, "no such token")
            found = self.api.answer(asked)
        except RefusedError as error:
            self._write(error.status, {"message": str(error)})
            return
        if fault and (fault.status or fault.drop):
            self._fail(fault)
            return
        if isinstance(found, Iterator):
            self._stream(found)
            return
        self._write(200, found)

    def _stream(self, lines: Iterator[str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for line in lines:
                self._chunk(f"{line}\n")
        except CutOffError as error:
            if error.half:
                self._chunk(error.half)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, text: str) -> None:
        self.wfile.write(f"{len(text.encode()):x}\r\n{text}\r\n".encode())

    def _fail(self, fault: Fault) -> None:
        if fault.drop:
            self.close_connection = True
            self.connection.close()
            return
        self._write(fault.status, {"message": "not now"}, fault.headers)

    def _write(self, status: int, found: dict[str, Any] | str, headers: dict[str, str] | None = None) -> None:
        text = found if isinstance(found, str) else json.dumps(found)
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(found, str) else "application/json")
        self.send_header("Content-Length", str(len(text.encode())))
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - named by the standard library
