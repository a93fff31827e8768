"""What the tests of faults share: settings and a run for bad tables, a folder whose disk is quick."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.validation.conftest import context, make_settings

__all__ = ["context", "make_settings"]

_MEMORY = Path("/dev/shm")


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """An empty folder in memory where there is one: hundreds of fsync would take minutes on a busy disk."""
    if not os.access(_MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="almanac-faults-", dir=_MEMORY) as folder:
        yield Path(folder)
