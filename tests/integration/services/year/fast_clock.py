"""A clock that stands where a file says, for processes that live a year in minutes."""

import struct
from dataclasses import dataclass
from pathlib import Path

_FORM = struct.Struct("<q")


@dataclass(frozen=True)
class FastClock:
    """Epoch seconds in a file: one process sets it, all see it."""

    file: Path

    def set(self, now: int) -> None:
        """Let it be a time."""
        if self.file.is_file():
            with self.file.open("r+b") as file:
                file.write(_FORM.pack(now))
        else:
            self.file.write_bytes(_FORM.pack(now))

    def __call__(self) -> float:
        """Now."""
        return float(_FORM.unpack(self.file.read_bytes())[0])
