"""Fits how columns are scaled, by their method, on the train cut and in as few passes as they need."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.features.beam_job import (
    FeatureJob,
    run_lower_counts,
    run_moments,
    run_series_scales,
    run_upper_counts,
)
from forecasting.config.features import FeaturesConfig
from forecasting.features.spec import ScalerSpec
from forecasting.order_statistics import place_rank, value_at
from forecasting.scaling import QUARTILES, ColumnMoments, Quartiles, homogeneous_scale, location_and_scale
from forecasting.scaling_methods import Method


@dataclass(frozen=True)
class FittedScaler:
    """The scaler, and the moments of every value column for the profile."""

    scaler: ScalerSpec
    moments: ColumnMoments


def fit_scaler(job: FeatureJob, features: FeaturesConfig, scratch: Path) -> FittedScaler:
    """Fit the scaler of a configuration.

    Raises:
        DataError: A column that is scaled by its logarithm has a value of -1 or less.
    """
    spec = job.reader.spec
    names = spec.columns
    methods = [features.scaling.method_of(name, spec.target) for name in names]
    logarithmic = tuple(i for i, method in enumerate(methods) if method == "log1p")
    both = run_moments(job, logarithmic, scratch)
    quartiles = _quartiles(job, [i for i, method in enumerate(methods) if method == "robust"], both, scratch)
    places = {i: len(names) + place for place, i in enumerate(logarithmic)}
    scales = [location_and_scale(method, both, places.get(i, i), quartiles.get(i)) for i, method in enumerate(methods)]
    if features.target_scaling == "window":
        scales[0] = homogeneous_scale(both, 0)
    scaler = ScalerSpec(
        location={name: location for name, (location, _) in zip(names, scales, strict=True)},
        scale={name: scale for name, (_, scale) in zip(names, scales, strict=True)},
        logarithmic=tuple(names[i] for i in logarithmic),
        own=_own_scales(
            job, [i for i, name in enumerate(names) if name in features.scaling.own(spec.target)], methods, scratch
        ),
    )
    return FittedScaler(scaler, both.columns(len(names)))


def _own_scales(
    job: FeatureJob, columns: Sequence[int], methods: Sequence[Method], scratch: Path
) -> dict[str, dict[str, tuple[float, float]]]:
    if not columns:
        return {}
    found = run_series_scales(job, tuple((i, methods[i]) for i in columns), scratch)
    ids, names = job.reader.index.ids, job.reader.spec.columns
    return {names[i]: {name: scales[k] for name, scales in zip(ids, found, strict=True)} for k, i in enumerate(columns)}


def _quartiles(job: FeatureJob, columns: Sequence[int], moments: ColumnMoments, scratch: Path) -> dict[int, Quartiles]:
    """Quartiles of some columns, between order statistics linearly (Hyndman and Fan 1996, type 7)."""
    filled = [i for i in columns if moments.count[i]]
    if not filled:
        return {}
    places = {i: [share * (moments.count[i] - 1) for share in QUARTILES] for i in filled}
    ranks = {i: sorted({rank for place in places[i] for rank in (math.floor(place), math.ceil(place))}) for i in filled}
    upper = run_upper_counts(job, tuple(filled), scratch)
    spots = {i: {rank: place_rank(upper[k], rank) for rank in ranks[i]} for k, i in enumerate(filled)}
    wanted = tuple((i, tuple(sorted({spot.upper for spot in spots[i].values()}))) for i in filled)
    lower = iter(run_lower_counts(job, wanted, scratch))
    found: dict[int, Quartiles] = {}
    for i, uppers in wanted:
        counts = {half: next(lower) for half in uppers}
        values = {rank: value_at(spot.upper, counts[spot.upper], spot.rank) for rank, spot in spots[i].items()}
        low, middle, high = (
            values[math.floor(place)] + (place % 1) * (values[math.ceil(place)] - values[math.floor(place)])
            for place in places[i]
        )
        found[i] = (low, middle, high)
    return found
