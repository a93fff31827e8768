"""The files of the page, read once: nothing of them depends on the model, on a series or on who asks."""

import hashlib
from pathlib import Path

from forecasting.web import WEB
from serving.gateway.answers import Answer

_STATIC = Path(__file__).parent / "static"
_FOLDER = "/page/"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    "": "text/plain; charset=utf-8",
}
_SHARED = ("look.css", "uplot/uPlot.min.css", "uplot/uPlot.iife.min.js", "uplot/LICENSE")
_GUARDED = {
    # Neither the page nor what somebody puts into a name of a series may run or fetch anything from elsewhere.
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # Asked for again each time, and answered with 304: a page of yesterday's version must not meet today's routes.
    "cache-control": "no-cache",
}


def _read() -> dict[str, Answer]:
    found = {_FOLDER + name: WEB / name for name in _SHARED}
    found |= {_FOLDER + path.name: path for path in sorted(_STATIC.iterdir()) if path.is_file()}
    found["/"] = found.pop(_FOLDER + "index.html")
    return {place: _answer(path) for place, path in found.items()}


def _answer(path: Path) -> Answer:
    body = path.read_bytes()
    headers = {**_GUARDED, "etag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'}
    return Answer(200, body, _TYPES[path.suffix], headers)


PAGE_FILES = _read()
"""Answer by path."""


def page_answer(path: str, known_tag: str | None) -> Answer | None:
    """The file at a path, or that it has not changed; none where there is no such file.

    Args:
        path: Of the request.
        known_tag: Header `if-none-match`.
    """
    found = PAGE_FILES.get(path)
    if found is None or known_tag != found.headers["etag"]:
        return found
    return Answer(304, b"", found.content_type, found.headers)
