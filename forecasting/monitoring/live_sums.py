"""Sums over scored points by bucket of the horizon: what errors, bias, skill and coverage of any period are made of."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from forecasting.contracts import metric_names
from forecasting.metrics import terms
from forecasting.metrics.block import Doubles, ScoreBlock
from forecasting.metrics.registry import intervals

Sums = dict[tuple[str, str], Doubles]
"""By name of the metric and its last label, empty where it has none: sums by bucket `[K]`."""


def live_sums(block: ScoreBlock, naive: Doubles, bucket: npt.NDArray[np.int64], *, n_buckets: int) -> Sums:
    """Sum what is known of N points.

    Args:
        block: Points whose actual is known.
        naive: Seasonal naive forecast of each `[N]`, NaN where there is none.
        bucket: Bucket of each `[N]`.
        n_buckets: K.
    """
    found = [*_point_terms(block), *_naive_terms(block, naive), *_quantile_terms(block)]
    return {(metric.name, part): _by_bucket(bucket, values, n_buckets) for metric, part, values in found}


def add_sums(into: Sums, more: Sums, *, sign: float = 1.0) -> None:
    """Add sums to others, or take them out."""
    for key, values in more.items():
        into[key] = into.get(key, 0.0) + sign * values


def _by_bucket(bucket: npt.NDArray[np.int64], values: Doubles, n_buckets: int) -> Doubles:
    return np.bincount(bucket, weights=values, minlength=n_buckets).astype(np.float64)


_Term = tuple[metric_names.MetricSpec, str, Doubles]


def _point_terms(block: ScoreBlock) -> Iterator[_Term]:
    above = terms.negative_error(block)
    yield metric_names.SCORED_POINTS, "", terms.one(block)
    yield metric_names.ABSOLUTE_ERROR, "", terms.absolute_error(block)
    yield metric_names.SQUARED_ERROR, "", terms.squared_error(block)
    yield metric_names.ACTUAL_ABSOLUTE, "", terms.size(block)
    yield metric_names.OVER_ERROR, "", np.maximum(above, 0.0)
    yield metric_names.UNDER_ERROR, "", np.maximum(-above, 0.0)


def _naive_terms(block: ScoreBlock, naive: Doubles) -> Iterator[_Term]:
    known = np.isfinite(naive)
    yield metric_names.NAIVE_POINTS, "", known.astype(np.float64)
    yield metric_names.NAIVE_ABSOLUTE_ERROR, "", np.where(known, np.abs(block.actual - naive), 0.0)
    yield metric_names.COMPARED_ABSOLUTE_ERROR, "", np.where(known, block.absolute_error, 0.0)


def _quantile_terms(block: ScoreBlock) -> Iterator[_Term]:
    for level in block.levels:
        yield metric_names.PINBALL_LOSS, f"{level:g}", terms.PinballAt(level)(block)
    for low, high in intervals(block.levels):
        share = f"{high - low:g}"
        yield metric_names.INTERVAL_POINTS, share, terms.one(block)
        yield metric_names.INTERVAL_COVERED, share, terms.Inside(low, high)(block)
        yield metric_names.INTERVAL_WIDTH, share, terms.Width(low, high)(block)
