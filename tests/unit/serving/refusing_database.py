"""A database that refuses statements by an error that is no passing one."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event


@contextmanager
def refusing(words: str) -> Iterator[list[str]]:
    """Every statement with these words fails, as it does for a driver that cannot take a value; those that did."""
    refused: list[str] = []

    def refuse(_cursor: Any, statement: str, _parameters: Any, _context: Any) -> None:
        if words in statement:
            refused.append(statement)
            raise sqlite3.DataError("string or blob too big")

    event.listen(Engine, "do_execute", refuse)
    try:
        yield refused
    finally:
        event.remove(Engine, "do_execute", refuse)
