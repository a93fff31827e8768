"""What the chief prints, in the log of the step while it goes on: asked for again where it was cut off, no line twice."""

import logging
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from components.launching.job_api import JobApi
from forecasting.errors import AlmanacError

logger = logging.getLogger(__name__)

_LAST_LINES_S = 10.0
"""How long the end of the log is waited for once the job has ended."""


class LogPlace:
    """How far a log was read. Kubernetes begins again at a time, so that lines of that very time have to be counted."""

    def __init__(self) -> None:
        """At the beginning."""
        self.since, self._n_seen, self._n_passed = "", 0, 0

    def begin(self) -> None:
        """The log is read again, from `since` on."""
        self._n_passed = 0

    def take(self, line: str) -> str | None:
        """The text of a line with its time before it, or none where it was taken before."""
        time, _, text = line.partition(" ")
        if time < self.since:
            return None
        if time == self.since:
            self._n_passed += 1
            if self._n_passed <= self._n_seen:
                return None
            self._n_seen += 1
            return text
        self.since, self._n_seen, self._n_passed = time, 1, 1
        return text


class ChiefLog:
    """Follows the log of worker 0 in a thread while it is open."""

    def __init__(self, api: JobApi, job: str, *, pause_s: float, say: Callable[[str], object] | None = None) -> None:
        """Not followed yet.

        Args:
            api: Asked for pods and logs; by no other thread.
            job: Name of the job.
            pause_s: Between the end of a stream and the next one.
            say: Gets each line; none: the log of the step.
        """
        self._api, self._job, self._pause_s = api, job, pause_s
        self._say = say or (lambda line: logger.info("worker 0: %s", line))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"log of {job}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        # Somebody who is told to stop has no time for last lines.
        self._thread.join(_LAST_LINES_S if kind is None or issubclass(kind, AlmanacError) else 0.0)

    def _follow(self) -> None:
        places: dict[str, LogPlace] = {}
        while True:
            # Asked before the log: what is printed until then is still read.
            over = self._over.is_set()
            try:
                for pod in self._chiefs():
                    place = places.setdefault(pod, LogPlace())
                    place.begin()
                    for line in self._api.log(pod, place.since):
                        if (text := place.take(line)) is not None:
                            self._say(text)
            except AlmanacError as error:
                # The log alone: the job is watched by itself.
                logger.info("the log of the chief is cut off and read again: %s", error)
                over = over or self._over.is_set()
            if over:
                return
            self._over.wait(self._pause_s)

    def _chiefs(self) -> Iterator[str]:
        for worker in self._api.workers(self._job):
            if worker.number == 0 and worker.up:
                yield worker.pod
