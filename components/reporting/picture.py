"""What the picture of a forecast shows: from the running server, or from the backtest of a run that went no further."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from forecasting.backtest.score import MEAN_COLUMN, quantile_column
from forecasting.contracts.artifacts import FEATURE_SPEC_FILE, SCORES_FILE
from forecasting.contracts.layout import RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole
from forecasting.features.spec import FeatureSpec, read_feature_spec
from forecasting.schema import Series
from forecasting.series_store import SeriesReader
from forecasting.served_forecast import shown_history

MAX_SERIES = 3
EXAMPLE_SEASONS = 3
"""Seasons of history before an example; its chart has half the width."""


@dataclass(frozen=True)
class ShownForecastRecord:
    """One forecast with what came before and what came true. Times are UTC epoch seconds, NaN is missing.

    history `[T]`, actuals `[H]`, quantiles `[H,Q]`, mean `[H]` where there is one, in the target's unit. source: in words.
    """

    id: str
    target: str
    history_timestamps: npt.NDArray[np.int64]
    history: npt.NDArray[np.float64]
    timestamps: npt.NDArray[np.int64]
    actuals: npt.NDArray[np.float64]
    quantiles: npt.NDArray[np.float64]
    levels: tuple[float, ...]
    source: str
    mean: npt.NDArray[np.float64] | None = None


def served_forecasts(document: Mapping[str, Any]) -> list[ShownForecastRecord]:
    """Forecasts of forecast.json of deploy_model."""
    source = f"answered by the model server, version {document['version']}"
    return [
        ShownForecastRecord(
            id=series["id"],
            target=document["target"],
            history_timestamps=np.array(series["history_timestamps"], dtype=np.int64),
            history=_values(series["history"]),
            timestamps=np.array(series["timestamps"], dtype=np.int64),
            actuals=_values(series["actuals"]),
            quantiles=_values(series["quantiles"]),
            levels=tuple(series["levels"]),
            source=source,
            mean=None if series.get("mean") is None else _values(series["mean"]),
        )
        for series in document["series"]
    ]


def backtest_forecasts(run: RunLayout) -> list[ShownForecastRecord]:
    """The candidate's last forecasts of the backtest, for a run that was not deployed; none before evaluate_model."""
    scores = run.step(StepName.EVALUATE_MODEL) / SCORES_FILE
    if not scores.exists():
        return []
    table, spec = _table_and_spec(run)
    source = "the candidate's last forecast of the backtest; it is not served"
    found = [(place, _candidate_rows(scores, name)) for place, name in enumerate(table.index.ids[:MAX_SERIES])]
    return [_shown(table.series(place), spec, rows, source=source) for place, rows in found if rows is not None]


def example_forecasts(run: RunLayout, examples: Sequence[Mapping[str, Any]]) -> dict[str, ShownForecastRecord]:
    """The examples of diagnostics.json by their kind, with a few seasons of history; those that are not found are left out.

    Args:
        run: A run that has come past evaluate_model.
        examples: Series and origin of each.
    """
    scores = run.step(StepName.EVALUATE_MODEL) / SCORES_FILE
    if not examples or not scores.exists():
        return {}
    table, spec = _table_and_spec(run)
    places = {name: place for place, name in enumerate(table.index.ids)}
    shown = {}
    for example in examples:
        rows = _candidate_rows(scores, example["series"], origin=example["origin"])
        if rows is not None and example["series"] in places:
            one = _shown(table.series(places[example["series"]]), spec, rows, source="a forecast of the backtest")
            shown[example["kind"]] = _with_less_history(one, EXAMPLE_SEASONS * min(spec.seasons))
    return shown


def _table_and_spec(run: RunLayout) -> tuple[SeriesReader, FeatureSpec]:
    table = SeriesReader(run.step(StepName.VALIDATE_DATA))
    return table, read_feature_spec(run.step(StepName.TRAIN_MODEL) / FEATURE_SPEC_FILE)


def _shown(
    series: Series, spec: FeatureSpec, rows: Mapping[str, npt.NDArray[Any]], *, source: str
) -> ShownForecastRecord:
    """One forecast of the table of scores, with what came before it."""
    stamps = series.timestamps(spec.step_s)
    origin = int(rows["origin"][0])
    past = shown_history(stamps, spec, origin)
    quantiles = [rows[quantile_column(level)] for level in spec.quantiles]
    return ShownForecastRecord(
        id=series.id,
        target=spec.target,
        history_timestamps=stamps[past],
        history=series.values[past, 0],
        timestamps=origin + spec.step_s * (rows["step"].astype(np.int64) - 1),
        actuals=rows["actual"].astype(np.float64),
        quantiles=np.stack(quantiles, axis=1).astype(np.float64),
        levels=spec.quantiles,
        source=source,
        mean=rows[MEAN_COLUMN].astype(np.float64) if spec.mean else None,
    )


def _with_less_history(forecast: ShownForecastRecord, n_steps: int) -> ShownForecastRecord:
    return replace(
        forecast, history_timestamps=forecast.history_timestamps[-n_steps:], history=forecast.history[-n_steps:]
    )


def _candidate_rows(scores: Path, series: str, *, origin: int | None = None) -> dict[str, npt.NDArray[Any]] | None:
    """Columns of the candidate's rows of a series at one origin, none: the last one, in order of step."""
    chosen = (pc.field("model") == ModelRole.CANDIDATE.value) & (pc.field("series") == series)
    table = ds.dataset(scores).to_table(filter=chosen)
    if not table.num_rows:
        return None
    seconds = _seconds(table["origin"])
    table = table.filter(pc.equal(seconds, pc.max(seconds) if origin is None else origin)).sort_by("step")
    if not table.num_rows:
        return None
    columns = {name: table[name] for name in table.column_names if name not in ("model", "series")}
    return {name: (_seconds(column) if name == "origin" else column).to_numpy() for name, column in columns.items()}


def _seconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Epoch seconds: Parquet keeps no times in whole seconds, so the unit read is a finer one."""
    return column.cast(pa.timestamp("s", tz="UTC")).cast(pa.int64())


def _values(values: Any) -> npt.NDArray[np.float64]:
    return np.array(values, dtype=np.float64)
