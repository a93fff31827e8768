"""One side of a sync that kills itself with SIGKILL at a named point.

usage: killed_side.py push|pull REPOSITORY BUCKET POINT

Points are `before:WHAT:N` and `after:WHAT:N`, the N-th time (from 1) that WHAT happens: `put` or `download` of an object,
`half` of an object's bytes written, or `rename` inside the repository.
"""

import os
import signal
import sys
from pathlib import Path

from forecasting.repository import ModelRepository
from serving.model_sync.object_store import ObjectStore, open_object_store
from serving.model_sync.pull import pull_model
from serving.model_sync.push import push_model
from tests.unit.serving.model_sync.repositories import MODEL


class Points:
    """Counts what happens and ends the process at the point."""

    def __init__(self, point: str) -> None:
        when, self._what, number = point.split(":")
        self._when, self._left = when, int(number)

    def pass_by(self, when: str, what: str) -> None:
        """Called at each point; does not return from the one that was asked for."""
        if (when, what) != (self._when, self._what):
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class KillingStore(ObjectStore):
    """The real store, with points around and within what it writes."""

    def watch(self, points: Points) -> None:
        """Pass by these points from now on."""
        self._points = points

    def download(self, key: str, target: Path) -> None:
        self._points.pass_by("before", "download")
        super().download(key, target)
        content = target.read_bytes()
        target.write_bytes(content[: len(content) // 2])
        self._points.pass_by("after", "half")
        target.write_bytes(content)
        self._points.pass_by("after", "download")

    def _put(self, key: str, blocks) -> None:
        self._points.pass_by("before", "put")
        content = b"".join(blocks)

        def halves():
            yield content[: len(content) // 2]
            self._points.pass_by("after", "half")
            yield content[len(content) // 2 :]

        super()._put(key, halves())
        self._points.pass_by("after", "put")


def main(direction: str, repository: str, bucket: str, point: str) -> None:
    """Go one round; ends by itself only where the point is never reached."""
    points = Points(point)
    opened = open_object_store(Path(bucket).as_uri())
    store = KillingStore(opened._filesystem, opened._base)
    store.watch(points)
    sys.addaudithook(lambda event, _: points.pass_by("before", "rename") if event == "os.rename" else None)
    if direction == "push":
        push_model(ModelRepository(Path(repository)), store, MODEL)
    else:
        pull_model(store, ModelRepository(Path(repository)), MODEL)


if __name__ == "__main__":
    main(*sys.argv[1:])
