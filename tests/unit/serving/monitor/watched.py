"""A model that is monitored: a champion with its series, forecasts that were answered, observations that came."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from forecasting.contracts.artifacts import EXPORTED_SPEC_FILE
from forecasting.features.spec import FeatureSpec, write_feature_spec
from forecasting.repository import ModelRepository
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.store.forecasts import ForecastBatchRecord, ForecastRole, write_forecasts
from forecasting.store.observations import ObservationRows, write_observations
from forecasting.store.opening import Store
from forecasting.store.packing import GridSpec
from pipelines.initial.opening import PLACEHOLDER_COMPRESSION, PLACEHOLDER_GATES
from tests.unit.forecasting.series_stores import write_series_store
from tests.unit.serving.tiny_models import SPEC as TINY

HOUR, DAY = 3600, 86_400
START = 1_388_534_400
"""2014-01-01, first step of the table."""
N_STEPS = 20 * 24
CUTOFF = START + N_STEPS * HOUR
SPEC = replace(TINY, known=(), observed=("load",), seasons=(2, 24), horizon=3)
MODEL = "tiny"
RECORD = {"backtest": {"mae": [1.0, 2.0, 3.0], "wape": [0.1, 0.2, 0.3]}}


def table(target=None, load=None, ids=("a", "b")) -> SeriesStore:
    """Two series; the target is the hour of the day from 0 on, the load ten times that."""
    hours = np.arange(N_STEPS, dtype=float) % 24
    values = np.column_stack([hours if target is None else target, 10 * hours if load is None else load])
    split = SplitSpec(START + 15 * DAY, START + 18 * DAY, CUTOFF)
    spec = SeriesSpec(TINY.target, ("load",), (), (), {}, HOUR, split)
    return SeriesStore(spec, tuple(Series(one, START, values) for one in ids))


def publish(
    repository: ModelRepository, folder: Path, store: SeriesStore | None = None, spec: FeatureSpec = SPEC
) -> int:
    """Publish a version with its series; it has no role yet."""
    source = folder / f"source-{len(list(folder.glob('source-*')))}"
    series = source.with_name(source.name.replace("source", "series"))
    series.mkdir(parents=True)
    write_series_store(store or table(), series)
    write_feature_spec(spec, source / EXPORTED_SPEC_FILE)
    version = repository.publish(MODEL, source, {"digest": "d", "run": "r", **RECORD})
    repository.keep_series(MODEL, version, series)
    return version


def answer(store: Store, origin: int, point, *, series=("a",), created_at=None, version=1, role=ForecastRole.CHAMPION, request="r", flags=None) -> None:  # fmt: skip
    """Log a forecast of three hours: the point, and one less and more."""
    points = np.broadcast_to(np.asarray(point, np.float32), (len(series), 3))
    answers = points[..., None] + np.array([-1, 0, 1], np.float32)
    record = ForecastBatchRecord(
        request=request, created_at=origin if created_at is None else created_at, role=role, model=MODEL, version=version,
        series=series, origins=np.full(len(series), origin), step_s=HOUR, n_steps=3, levels=SPEC.quantiles, answers=answers,
        flags=None if flags is None else np.full(len(series), flags, np.int64),
    )  # fmt: skip
    write_forecasts(store, [record])


def observe(store: Store, time: int, *numbers, series="a", known_at=None, name=TINY.target) -> None:
    """Post values of one series from a step on; each known at the end of its step, unless another time is given."""
    times = time + HOUR * np.arange(len(numbers))
    rows = ObservationRows(
        model=MODEL, series=(series,), names=(name,), series_at=np.zeros(len(numbers), np.int64),
        name_at=np.zeros(len(numbers), np.int64), time=times, number=np.array(numbers, float),
        known_at=times + HOUR if known_at is None else np.full(len(numbers), known_at),
    )  # fmt: skip
    write_observations(store, rows, GridSpec.of(HOUR, time), now=time)


def write_config(folder: Path, **monitoring) -> Path:
    """A configuration of the model."""
    settings = {
        "name": MODEL,
        "data": {"uri": "toy.csv", "time_column": "time", "target": TINY.target},
        "compression": PLACEHOLDER_COMPRESSION,
        "gates": PLACEHOLDER_GATES,
        "monitoring": {"port": 0, "interval": "1s", "lease": "4s", **monitoring},
    }
    path = folder / "tiny.yaml"
    path.write_text(json.dumps(settings))
    return path
