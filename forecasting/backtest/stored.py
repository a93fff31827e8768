"""Forecasts that a run has kept in its table of scores: for models that can no longer be asked, or were asked together."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from forecasting.backtest.arrays import forecast_array
from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.score import MEAN_COLUMN, ForecastRecord, quantile_column
from forecasting.contracts.artifacts import REPORT_FILE, SCORES_FILE, ArtifactKind
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ArtifactError
from forecasting.manifests import digest_file, verify
from forecasting.metrics.block import Doubles
from forecasting.tournament import FLOAT_REFERENCE

logger = logging.getLogger(__name__)

_KEYS = ("series", "origin", "step")


@dataclass(frozen=True)
class ScoresSource:
    """Where the forecasts of one version are: a table of scores, and what the version is called in it."""

    path: Path
    model: str


def version_scores(home: HomeLayout, record: Mapping[str, Any]) -> ScoresSource | None:
    """Forecasts of a version on the test period of the run that made it.

    None, and a warning, where they are not what the run has written; none where they are gone.

    Args:
        home: Where the runs are.
        record: What the repository remembers of the version.
    """
    run, variant = record.get("run"), record.get("variant")
    if not run or not variant:
        return None
    layout = home.run(str(run))
    if variant == FLOAT_REFERENCE:
        folder, kind, called = layout.step(StepName.EVALUATE_MODEL), ArtifactKind.EVALUATION, ModelRole.CANDIDATE.value
    else:
        folder, kind = layout.step(StepName.EVALUATE_COMPRESSED), ArtifactKind.COMPRESSED_EVALUATION
        called = str(variant)
    return ScoresSource(folder / SCORES_FILE, called) if _unchanged(folder, kind) else None


def scores_digest(home: HomeLayout, record: Mapping[str, Any]) -> str:
    """SHA-256 of the table that `version_scores` finds, "none" where it finds none."""
    source = version_scores(home, record)
    return "none" if source is None else digest_file(source.path)


def champion_scores(home: HomeLayout, record: Mapping[str, Any], champion: int) -> ScoresSource | None:
    """Forecasts of an earlier version as the champion of the run that made a version; none where it was not that.

    Args:
        home: Where the runs are.
        record: What the repository remembers of the later version.
        champion: The earlier version.
    """
    if not record.get("run"):
        return None
    folder = home.run(str(record["run"])).step(StepName.EVALUATE_MODEL)
    try:
        report = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    if report.get("champion_version") != champion or report.get("champion_problem"):
        return None
    return (
        ScoresSource(folder / SCORES_FILE, ModelRole.CHAMPION.value)
        if _unchanged(folder, ArtifactKind.EVALUATION)
        else None
    )


def _unchanged(folder: Path, kind: ArtifactKind) -> bool:
    """Whether the output of a step has a table of scores and is what was written; warns where it is not."""
    if not (folder / SCORES_FILE).is_file():
        return False
    try:
        verify(folder, kind)
    except (ArtifactError, OSError) as error:
        logger.warning("the forecasts kept in %s are not used: %s", folder, error)
        return False
    return True


def read_stored(source: ScoresSource, backtest: BacktestSpec) -> ForecastRecord | None:
    """Stored forecasts in the places of a backtest's windows; none where the two have no step in common.

    Steps of the backtest that were not forecast then are not available.
    """
    table = _rows(source)
    names = [name for name in table.column_names if name.startswith("q") and table[name].null_count < len(table)]
    window, step = _places(table, backtest)
    kept = (window >= 0) & (step < backtest.horizon)
    if not kept.any() or quantile_column(POINT_QUANTILE) not in names:
        return None
    quantiles = forecast_array((*backtest.actual.shape, len(names)), fill=np.nan)
    available = np.zeros(backtest.actual.shape, dtype=np.bool_)
    place = window[kept], step[kept]
    available[place] = True
    for i, name in enumerate(names):
        quantiles[(*place, i)] = _numbers(table[name])[kept]
    mean = None
    # Tables of earlier versions have no such column.
    if MEAN_COLUMN in table.column_names and table[MEAN_COLUMN].null_count < len(table):
        mean = np.full(backtest.actual.shape, np.nan, dtype=np.float32)
        mean[place] = _numbers(table[MEAN_COLUMN])[kept]
    return ForecastRecord(tuple(float(name[1:]) for name in names), quantiles, available, mean)


@dataclass(frozen=True)
class CommonSteps:
    """Steps that two tables of scores have in common and whose actual is known (N steps).

    origins: UTC epoch seconds `[N]`. actual: as the second table has it `[N]`. first, second: median forecasts `[N]`.
    """

    origins: np.ndarray[Any, np.dtype[np.int64]]
    actual: Doubles
    first: Doubles
    second: Doubles


def common_steps(first: ScoresSource, second: ScoresSource) -> CommonSteps:
    """Forecasts of the same steps of the same series from the same origins."""
    point = quantile_column(POINT_QUANTILE)
    tables = [_plain_keys(_rows(source)).select([*_KEYS, "actual", point]) for source in (first, second)]
    joined = tables[0].join(tables[1], keys=list(_KEYS), join_type="inner", left_suffix=" 1", right_suffix=" 2")
    joined = joined.filter(pc.is_valid(joined["actual 2"]))
    return CommonSteps(
        origins=_seconds(joined["origin"]),
        actual=_numbers(joined["actual 2"]),
        first=_numbers(joined[f"{point} 1"]),
        second=_numbers(joined[f"{point} 2"]),
    )


def _rows(source: ScoresSource) -> pa.Table:
    return pq.read_table(source.path, filters=pc.field("model") == source.model)


def _plain_keys(table: pa.Table) -> pa.Table:
    # Dictionaries of two files differ; a join compares their codes.
    return table.set_column(table.schema.get_field_index("series"), "series", table["series"].cast(pa.string()))


def _numbers(column: pa.ChunkedArray) -> Doubles:
    found: Doubles = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return found


def _seconds(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    # Parquet has no seconds and keeps milliseconds.
    found: np.ndarray[Any, np.dtype[np.int64]] = column.cast(pa.timestamp("s", tz="UTC")).cast(pa.int64()).to_numpy()
    return found


def _places(
    table: pa.Table, backtest: BacktestSpec
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]:
    """Window of each row, -1 where the backtest has none, and its step from 0."""
    position = {series.id: i for i, series in enumerate(backtest.series)}
    names = table["series"].cast(pa.string()).combine_chunks().dictionary_encode()
    codes = np.array([position.get(name, -1) for name in names.dictionary.to_pylist()], dtype=np.int64)
    row = codes[names.indices.to_numpy()] if len(codes) else np.empty(0, dtype=np.int64)
    origin = _seconds(table["origin"])
    stamps = np.unique(backtest.origins)
    rank = np.minimum(np.searchsorted(stamps, origin), len(stamps) - 1)
    asked = (row >= 0) & (stamps[rank] == origin)
    # Windows are ordered by series, then by origin: their keys ascend.
    keys = backtest.rows * len(stamps) + np.searchsorted(stamps, backtest.origins)
    wanted = np.where(asked, row * len(stamps) + rank, -1)
    window = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(asked & (keys[window] == wanted), window, -1), table["step"].to_numpy().astype(np.int64) - 1
