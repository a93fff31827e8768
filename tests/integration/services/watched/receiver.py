"""A webhook that keeps what Alertmanager posts to it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Received:
    """address: URL without path. posts: receiver, status, name of the alert and its labels, in the order in which they came."""

    address: str
    posts: list[tuple[str, str, str, dict[str, str]]] = field(default_factory=list)

    def names(self, receiver: str, status: str = "firing") -> set[str]:
        """Alerts that a receiver was told of."""
        return {name for who, state, name, _ in list(self.posts) if (who, state) == (receiver, status)}

    def every_name(self) -> set[str]:
        """Alerts that anybody was told of, without the heartbeat."""
        return {name for _, _, name, _ in list(self.posts)} - {"Watchdog"}


@contextmanager
def webhook() -> Iterator[Received]:
    """Listen on the loopback while the block runs; the path is the name of the receiver."""
    received: list[Received] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            for alert in body["alerts"]:
                labels = alert["labels"]
                received[0].posts.append((self.path.strip("/"), alert["status"], labels["alertname"], labels))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.append(Received(f"http://127.0.0.1:{server.server_port}"))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield received[0]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
