"""What the processes of one server tell each other: metrics for whichever is scraped, reloads for all.

Each process listens on `<folder>/<index>.sock`, from before it loads its models. A question is a word and a length
on one line and so many bytes; the answer is a length on one line and so many bytes. `<folder>/current` holds the
configuration in force, for a process that is started again.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

from serving.model_server.metrics import State
from serving.model_server.status import RequestError, StatusCode

logger = logging.getLogger(__name__)

METRICS, CHECK, RELOAD = "metrics", "check", "reload"
_ANSWER_S, _CONNECT_S, _TURN_LOOK_S = 2.0, 2.0, 0.05
_CURRENT, _TURN = "current", "turn"

Answers = Mapping[str, Callable[[bytes], Awaitable[bytes]]]


class SiblingError(Exception):
    """A process was asked and gave no answer."""


def keep_current(folder: Path, config: bytes) -> None:
    """Write down the configuration (a ModelServerConfig message) that a process started from now on must use."""
    temporary = folder / f"{_CURRENT}.{os.getpid()}"
    temporary.write_bytes(config)
    temporary.replace(folder / _CURRENT)


def read_current(folder: Path) -> bytes | None:
    """What `keep_current` wrote last, if anything."""
    path = folder / _CURRENT
    return path.read_bytes() if path.is_file() else None


class Siblings:
    """This process among the others."""

    def __init__(self, folder: Path, index: int) -> None:
        """Nothing listens yet."""
        self.folder, self._index = folder, index
        self._server: asyncio.Server | None = None

    async def listen(self, answers: Answers) -> None:
        """Answer the others' questions."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                word, length = (await reader.readline()).split()
                found = await answers[word.decode()](await reader.readexactly(int(length)))
                writer.write(b"%d\n" % len(found) + found)
                await writer.drain()
            except (ValueError, KeyError, OSError, asyncio.IncompleteReadError) as error:
                logger.warning("a question of another process cannot be answered: %s", error)
            finally:
                writer.close()

        path = self._path(self._index)
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(handle, path)

    async def ask_others(self, word: str, payload: bytes = b"", timeout_s: float = _ANSWER_S) -> list[bytes]:
        """The answers of the others that live.

        Raises:
            RequestError: UNAVAILABLE: one took the question and gave no answer in time.
        """
        others = [path for path in sorted(self.folder.glob("*.sock")) if path != self._path(self._index)]
        found = await asyncio.gather(
            *(self._ask(path, word, payload, timeout_s) for path in others), return_exceptions=True
        )
        for path, answer in zip(others, found, strict=True):
            if isinstance(answer, SiblingError):
                raise RequestError(StatusCode.UNAVAILABLE, f"process {path.stem} of the server: {answer}")
            if isinstance(answer, BaseException):
                raise answer
        return [answer for answer in found if isinstance(answer, bytes)]

    async def states(self, own: State) -> list[State]:
        """The metrics of all processes that answer."""
        try:
            return [own, *(json.loads(answer) for answer in await self.ask_others(METRICS))]
        except RequestError as error:
            logger.warning("the metrics are those of one process only: %s", error.message)
            return [own]

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The only process that changes what all serve: two reloads at once must not end in different orders."""
        with (self.folder / _TURN).open("ab") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(_TURN_LOOK_S)
            yield

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
        self._path(self._index).unlink(missing_ok=True)

    async def _ask(self, path: Path, word: str, payload: bytes, timeout_s: float) -> bytes | None:
        """The answer; none of a process that does not live, which reads the configuration when it is started again."""
        try:
            async with asyncio.timeout(_CONNECT_S):
                reader, writer = await asyncio.open_unix_connection(path)
        except (OSError, TimeoutError) as error:
            logger.warning("process at %s does not live: %s", path.name, error)
            return None
        try:
            async with asyncio.timeout(timeout_s):
                writer.write(f"{word} {len(payload)}\n".encode() + payload)
                return await reader.readexactly(int(await reader.readline()))
        except TimeoutError as error:
            raise SiblingError(f"no answer within {timeout_s:g} s") from error
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            raise SiblingError(f"it ended before it answered ({error})") from error
        finally:
            writer.close()

    def _path(self, index: int) -> Path:
        return self.folder / f"{index}.sock"
