"""Headless Chromium over its debugging protocol: what a page looks like and what it complains about."""

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websocket import WebSocket, create_connection

from forecasting.wire.server_process import stop_process
from tests.integration.services.prometheus import wait_until

_ADDRESS = re.compile(r"DevTools listening on (ws://\S+)")
_SHOWN = """
(() => {
  const drawn = [...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect()).filter(r => r.width > 0 && r.height > 0);
  const images = [...document.images];
  return {
    title: document.title, text: document.body.innerText, n_drawings: drawn.length,
    n_wide_drawings: drawn.filter(r => r.width > 300).length,
    broken: images.filter(i => !i.complete || i.naturalWidth === 0).map(i => i.src.slice(0, 80)),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  };
})()
"""


@dataclass
class Page:
    """An open page. complaints: errors and warnings of its console, failed requests, exceptions."""

    socket: WebSocket
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _number: int = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events in between are kept."""
        self._number += 1
        self.socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._keep(message)

    def open(self, url: str) -> None:
        """Load a page to its end."""
        for domain in ("Page", "Log", "Runtime", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=url)
        while True:
            message = json.loads(self.socket.recv())
            self._keep(message)
            if message.get("method") == "Page.loadEventFired":
                return

    def shown(self) -> dict[str, Any]:
        """Title, text, how many drawings have an area, pictures that did not load, width beyond the window."""
        return self.call("Runtime.evaluate", expression=_SHOWN, returnByValue=True)["result"]["value"]

    def screenshot(self) -> bytes:
        """The window as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _keep(self, message: dict[str, Any]) -> None:
        match message:
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error" | "warning", "text": text}}}:
                self.complaints.append(text)
            case {"method": "Runtime.consoleAPICalled", "params": {"type": "error" | "warning", "args": arguments}}:
                self.complaints.append(str(arguments))
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                self.complaints.append(str(details))
            case {"method": "Network.loadingFailed", "params": {"errorText": text}}:
                self.complaints.append(text)
            case {"method": "Network.requestWillBeSent", "params": {"request": {"url": url}}}:
                self.requests.append(url)


@contextmanager
def chromium_page(folder: Path, *, width: int = 1280, height: int = 900) -> Iterator[Page]:
    """Run Chromium with one empty page while the block runs.

    Args:
        folder: Existing directory for its profile and log.
        width: Of the window, pixels.
        height: Of the window, pixels.
    """
    log = folder / "chromium.log"
    # The sandbox needs user namespaces, which containers of CI often have not; the page is our own file.
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-port=0",
             "--remote-allow-origins=*", f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}", "about:blank"]  # fmt: skip
    with log.open("wb") as stream:
        process = subprocess.Popen(["chromium", *flags], stdout=stream, stderr=stream, text=True)
    try:
        wait_until(lambda: _ADDRESS.search(log.read_text()) is not None, log.read_text)
        found = _ADDRESS.search(log.read_text())
        assert found is not None
        yield from _first_page(found.group(1))
    finally:
        stop_process(process, timeout_s=20)


def _first_page(address: str) -> Iterator[Page]:
    browser = Page(create_connection(address, timeout=30))
    targets: list[dict[str, Any]] = []

    def has_page() -> bool:
        targets[:] = [found for found in browser.call("Target.getTargets")["targetInfos"] if found["type"] == "page"]
        return bool(targets)

    wait_until(has_page, lambda: "Chromium must have a page")
    page = Page(
        create_connection(re.sub(r"/devtools/.*", f"/devtools/page/{targets[0]['targetId']}", address), timeout=30)
    )
    try:
        yield page
    finally:
        page.socket.close()
        browser.socket.close()
