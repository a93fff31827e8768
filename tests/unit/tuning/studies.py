"""Studies on SQLite for tests: two settings, no training."""

from pathlib import Path
from typing import Any

from components.tuning.study import StudySpec
from forecasting.config.tuning import RangeConfig, TuningConfig
from forecasting.store.address import store_address

SPACE = {
    "training.learning_rate": RangeConfig(low=1e-4, high=1e-2, log=True),
    "model.units": RangeConfig(choices=((64,), (128, 64))),
}
CURRENT = {"training.learning_rate": 0.001, "model.units": [64]}


def study_spec(folder: Path, *, worker: str = "here", space: Any = None, **settings: Any) -> StudySpec:
    """A study in a file of its own."""
    address = store_address(None, folder / "study.db")
    searched = SPACE if space is None else space
    return StudySpec("load-1", address, worker, TuningConfig(space=searched, **settings), searched)
