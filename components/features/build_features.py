"""build_features: fix the feature spec on the train cut and compute every series' features with Beam."""

import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from components.features.planes import ColumnHistogram
from forecasting.config.derived import derived_terms
from forecasting.config.root import BuildFeaturesSettings
from forecasting.contracts.artifacts import FEATURE_SPEC_FILE, PLANES_FILE, PROFILE_FILE, REPORT_FILE
from forecasting.contracts.steps import StepName
from forecasting.feature_store import SeriesIndex, write_series_index
from forecasting.features.spec import FeatureSpec, write_feature_spec
from forecasting.features.transform import feature_blocks
from forecasting.features.zones import calendar_spec
from forecasting.scaling import ColumnMoments, scaler_spec
from forecasting.schema import SeriesStore, read_series_store, write_series_spec
from forecasting.steps import StepContext, StepOutcome

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeaturesReport:
    """What build_features made."""

    n_series: int
    n_rows: int
    past_columns: tuple[str, ...]
    known_columns: tuple[str, ...]
    history_length: int
    beam_runner: str


def build_features(
    settings: BuildFeaturesSettings,
    inputs: Mapping[StepName, Path],
    output: Path,
    context: StepContext,  # noqa: ARG001 - the step protocol
) -> StepOutcome:
    """Write planes.npy, index.parquet, feature_spec.json, schema.json, profile.json and report.json."""
    from components.features.beam_job import beam_options, run_moments, run_planes

    store = read_series_store(inputs[StepName.VALIDATE_DATA])
    options = beam_options(settings.features.beam_runner, settings.features.beam_options)
    moments = run_moments(store, output, options)
    spec = make_feature_spec(settings, store, moments)
    parts = Path(tempfile.mkdtemp(prefix="parts-", dir=output))
    histogram = run_planes(store, spec, moments, parts, options)
    n_rows = join_planes(parts, output / PLANES_FILE, store, spec)
    shutil.rmtree(parts)
    write_series_index(series_index(store, spec.context), output, spec.static)
    write_feature_spec(spec, output / FEATURE_SPEC_FILE)
    write_series_spec(store.spec, output)
    (output / PROFILE_FILE).write_text(
        json.dumps(train_profile(store.spec.columns, moments, histogram)), encoding="utf-8"
    )
    blocks = feature_blocks(spec)
    report = FeaturesReport(
        n_series=len(store.series),
        n_rows=n_rows,
        past_columns=blocks.past,
        known_columns=blocks.known,
        history_length=spec.history_length,
        beam_runner=settings.features.beam_runner,
    )
    (output / REPORT_FILE).write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
    n_features = len(blocks.past) + len(blocks.known)
    summary = f"{n_features} features × {n_rows:,} steps of {len(store.series)} series by Beam {settings.features.beam_runner}"
    logger.info("%s", summary)
    return StepOutcome(passed=True, summary=summary)


def make_feature_spec(settings: BuildFeaturesSettings, store: SeriesStore, moments: ColumnMoments) -> FeatureSpec:
    """The feature spec of a configuration and a train cut."""
    spec, forecast = store.spec, settings.forecast
    first = min(series.start for series in store)
    last = max(series.start + series.n_steps * spec.step_s for series in store)
    by_window = settings.features.target_scaling == "window"
    return FeatureSpec(
        target=spec.target,
        observed=spec.observed,
        known=spec.known,
        static=spec.static,
        categories=spec.categories,
        step_s=spec.step_s,
        context=forecast.context,
        horizon=forecast.horizon,
        segment=forecast.segment,
        seasons=forecast.seasons,
        quantiles=forecast.quantiles,
        calendar=calendar_spec(settings.features, first, last),
        derived=derived_terms(settings.features.derived, spec.target),
        scaler=scaler_spec(spec.columns, moments, homogeneous=spec.target if by_window else None),
        target_scaling=settings.features.target_scaling,
        lower_bound=settings.features.lower_bound,
    )


def series_index(store: SeriesStore, lead: int) -> SeriesIndex:
    """Where the rows of each series lie when they follow each other, each after `lead` rows of its own."""
    lengths = np.asarray([series.n_steps for series in store], dtype=np.int64)
    return SeriesIndex(
        ids=tuple(series.id for series in store),
        offset=np.cumsum(lengths + lead) - lengths,
        n_steps=lengths,
        start=np.asarray([series.start for series in store], dtype=np.int64),
        static=np.asarray([series.static for series in store], dtype=np.int64).reshape(
            len(lengths), len(store.spec.static)
        ),
    )


def join_planes(parts: Path, path: Path, store: SeriesStore, spec: FeatureSpec) -> int:
    """Join the part files in the order of the store; returns the number of rows."""
    blocks = feature_blocks(spec)
    n_rows = sum(spec.context + series.n_steps for series in store)
    planes = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.float32, shape=(n_rows, len(blocks.past) + len(blocks.known))
    )
    row = 0
    for n in range(len(store.series)):
        part = np.load(parts / f"{n}.npy")
        planes[row : row + len(part)] = part
        row += len(part)
    planes.flush()
    return row


def train_profile(
    names: tuple[str, ...], moments: ColumnMoments, histogram: ColumnHistogram
) -> dict[str, dict[str, object]]:
    """Statistics of the train cut by column, for reports and drift."""
    return {
        name: {
            "count": int(moments.count[i]),
            "mean": float(moments.mean[i]),
            "std": float(moments.std[i]) if moments.count[i] else None,
            "minimum": float(moments.minimum[i]) if moments.count[i] else None,
            "maximum": float(moments.maximum[i]) if moments.count[i] else None,
            "histogram": histogram.counts[i].tolist(),
        }
        for i, name in enumerate(names)
    }
