"""What the processes of one server tell each other: metrics for whichever is scraped, reloads for all.

Each process listens on `<folder>/<index>.sock`. A question is a word and a length on one line and so many
bytes; the answer is a length on one line and so many bytes.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from serving.model_server.metrics import State

logger = logging.getLogger(__name__)

METRICS, RELOAD = "metrics", "reload"
_ANSWER_S = 2.0

Answers = Mapping[str, Callable[[bytes], Awaitable[bytes]]]


class Siblings:
    """This process among the others."""

    def __init__(self, folder: Path, index: int) -> None:
        """Nothing listens yet."""
        self._folder, self._index = folder, index
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

    async def ask_others(self, word: str, payload: bytes = b"") -> list[bytes]:
        """The answers of the others; one that is gone or slow is left out."""
        others = [path for path in sorted(self._folder.glob("*.sock")) if path != self._path(self._index)]
        found = await asyncio.gather(*(self._ask(path, word, payload) for path in others))
        return [answer for answer in found if answer is not None]

    async def states(self, own: State) -> list[State]:
        """The metrics of all processes."""
        return [own, *(json.loads(answer) for answer in await self.ask_others(METRICS))]

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
        self._path(self._index).unlink(missing_ok=True)

    async def _ask(self, path: Path, word: str, payload: bytes) -> bytes | None:
        try:
            async with asyncio.timeout(_ANSWER_S):
                reader, writer = await asyncio.open_unix_connection(path)
                writer.write(f"{word} {len(payload)}\n".encode() + payload)
                length = int(await reader.readline())
                answer = await reader.readexactly(length)
                writer.close()
                return answer
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError) as error:
            logger.warning("process at %s does not answer: %s", path.name, error)
            return None

    def _path(self, index: int) -> Path:
        return self._folder / f"{index}.sock"
