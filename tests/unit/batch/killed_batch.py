"""`python -m tests.unit.batch.killed_batch MODELS TO CUTOFF`: makes a batch in a database and is killed before it is committed."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from components.batch.forecast_batch import open_place
from components.batch.make_batch import make_batch
from forecasting.repository import ModelRepository


def _kill(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    if statement.startswith("INSERT INTO almanac_forecasts"):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    event.listen(Engine, "after_cursor_execute", _kill)
    with open_place(sys.argv[2]) as place:
        make_batch(ModelRepository(Path(sys.argv[1])), "tiny", place, cutoff=int(sys.argv[3]))
