"""build_features: fix the feature spec on the train cut and compute every series' features with Beam."""

import json
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from components.features.planes import ColumnHistogram
from forecasting.config.derived import derived_terms
from forecasting.config.root import BuildFeaturesSettings
from forecasting.contracts.artifacts import (
    FEATURE_SPEC_FILE,
    HORIZON_PLANES_FILE,
    PLANES_FILE,
    PROFILE_FILE,
    REPORT_FILE,
)
from forecasting.contracts.steps import StepName
from forecasting.feature_store import PlaneFile
from forecasting.features.spec import FeatureSpec, ScalerSpec, write_feature_spec
from forecasting.features.transform import feature_blocks, vintage_places
from forecasting.features.zones import calendar_spec
from forecasting.scaling import ColumnMoments
from forecasting.schema import SeriesSpec
from forecasting.series_index import SeriesIndex, write_series_index
from forecasting.series_store import write_series_spec
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
    """Write planes.npy, index.parquet, feature_spec.json, schema.json, profile.json and report.json.

    Where covariates have vintages, also horizon_planes.npy.
    """
    from components.features.beam_job import FeatureJob, run_planes
    from components.features.scalers import fit_scaler

    features = settings.features
    job = FeatureJob(
        inputs[StepName.VALIDATE_DATA].resolve(), features.beam_runner, features.beam_chunk_rows, features.beam_options
    )
    series_spec, index = job.reader.spec, job.reader.index
    with tempfile.TemporaryDirectory(prefix=".scratch-", dir=output) as scratch:
        fitted = fit_scaler(job, features, Path(scratch))
        spec = make_feature_spec(settings, series_spec, index, fitted.scaler)
        n_rows = int(index.n_steps.sum()) + spec.context * len(index)
        blocks = feature_blocks(spec)
        PlaneFile.create(output / PLANES_FILE, n_rows, len(blocks.past) + len(blocks.known))
        if spec.vintages:
            PlaneFile.create(output / HORIZON_PLANES_FILE, n_rows, spec.horizon, len(vintage_places(spec)))
        histogram = run_planes(job, spec, fitted.moments, output.resolve(), Path(scratch))
    write_series_index(plane_index(index, spec.context), output, spec.static)
    write_feature_spec(spec, output / FEATURE_SPEC_FILE)
    write_series_spec(series_spec, output)
    profile = train_profile(series_spec.columns, fitted.moments, histogram)
    (output / PROFILE_FILE).write_text(json.dumps(profile), encoding="utf-8")
    report = FeaturesReport(
        n_series=len(index),
        n_rows=n_rows,
        past_columns=blocks.past,
        known_columns=blocks.known,
        history_length=spec.history_length,
        beam_runner=features.beam_runner,
    )
    (output / REPORT_FILE).write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
    n_features = len(blocks.past) + len(blocks.known)
    summary = f"{n_features} features × {n_rows:,} steps of {len(index):,} series by Beam {features.beam_runner}"
    logger.info("%s", summary)
    return StepOutcome(passed=True, summary=summary)


def make_feature_spec(
    settings: BuildFeaturesSettings, spec: SeriesSpec, index: SeriesIndex, scaler: ScalerSpec
) -> FeatureSpec:
    """The feature spec of a configuration and a scaler."""
    forecast = settings.forecast
    first = int(index.start.min())
    last = int((index.start + index.n_steps * spec.step_s).max())
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
        calendar=calendar_spec(settings.features, first, last, learnt_until=spec.split.train_end),
        derived=derived_terms(settings.features.derived, spec.target),
        scaler=scaler,
        target_scaling=settings.features.target_scaling,
        lower_bound=settings.features.lower_bound,
        upper_bound=settings.features.upper_bound,
        whole_numbers=settings.features.whole_numbers,
        fill_season=min(forecast.seasons) if settings.features.fill_target == "seasonal" else 0,
        vintages=spec.vintages,
        mean=forecast.mean,
    )


def plane_index(index: SeriesIndex, lead: int) -> SeriesIndex:
    """Where the rows of each series lie when each follows `lead` rows of its own."""
    return replace(index, offset=index.offset + lead * np.arange(1, len(index) + 1))


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
