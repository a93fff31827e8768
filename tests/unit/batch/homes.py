"""A state directory with two versions of a tiny model and every kind of series."""

import json
from pathlib import Path

import numpy as np

from forecasting.repository import ModelRepository
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from pipelines.initial.opening import PLACEHOLDER_COMPRESSION, PLACEHOLDER_GATES
from tests.unit.forecasting.series_stores import write_series_store
from tests.unit.serving import tiny_models
from tests.unit.serving.conftest import START

SPEC = SeriesSpec(
    "Demand", (), ("Temperature",), (), {}, 3600, SplitSpec(START + 72000, START + 108000, START + 40 * 3600)
)
CLOCK = np.arange(48.0)
STEADY = np.where(CLOCK < 40, 10 + CLOCK % 4, np.nan)
CUTOFF = "2014-01-02T18:00:00Z"
"""Hour 42: two steps after the last target of the version, which were observed since."""


def _store(targets):
    rows = {name: np.column_stack([target, 20 + CLOCK % 5]) for name, target in targets.items()}
    return SeriesStore(SPEC, tuple(Series(name, START, values) for name, values in rows.items()))


def make_batch_home(models: Path, root: Path) -> Path:
    """Series a is plain, c cold, e has a gap; in quarantine are b, and d, which has no values. Version 1 is champion, 2 is not."""
    store = root / "series"
    (store / "quarantine").mkdir(parents=True)
    cold, gap = np.where(CLOCK < 5, 7.0 + CLOCK, np.nan), STEADY.copy()
    gap[36:39] = np.nan
    write_series_store(_store({"a": STEADY, "c": cold, "e": gap}), store)
    write_series_store(_store({"b": 100 * STEADY, "d": np.full(48, np.nan)}), store / "quarantine")
    quarantined = [{"series": name, "rules": ["unit_change"], "reason": "its unit changed"} for name in ("b", "d")]
    (store / "report.json").write_text(json.dumps({"quarantined": quarantined}))
    repository = ModelRepository(root / "models")
    for factor in (2, 1):
        version = tiny_models.write_version(models, root / f"v{factor}", factor=factor, lite=True)
        repository.keep_series("tiny", repository.publish("tiny", version), store)
    repository.promote("tiny", 1)
    settings = {
        "name": "tiny",
        "data": {"uri": "toy.csv", "time_column": "time", "target": "Demand"},
        "compression": PLACEHOLDER_COMPRESSION,
        "gates": PLACEHOLDER_GATES,
    }
    (root / "tiny.yaml").write_text(json.dumps(settings))
    return root
