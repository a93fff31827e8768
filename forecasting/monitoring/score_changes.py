"""What forecasts are scored with now, what they were scored with before, and what that changes in the sums.

A point is a step of a forecast. It is scored once, with the first actual that there is; where another actual stands later,
what the first gave is taken out and what the other gives is put in; where the actual is withdrawn, the point is taken out.
An actual that was known before the forecast was made scores nothing, for then it may have been learnt from.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.metrics.block import ScoreBlock, score_block
from forecasting.monitoring.horizons import BucketSpec
from forecasting.monitoring.live_sums import Sums, add_sums, live_sums

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
NEVER = np.inf
"""Stands in the place of an actual for a point that is never scored."""


@dataclass(frozen=True)
class ForecastBlockRecord:
    """N forecasts of one model, version, role, set of levels and length.

    quantiles: `[N,H,Q]`. mean: `[N,H]`, none where the model has none. created_at `[N]`: when each was made. actual, naive
    `[N,H]`: what each step was scored with; NaN where it was not, `NEVER` where it never is.
    """

    levels: tuple[float, ...]
    quantiles: Floats
    mean: Floats | None
    created_at: Integers
    actual: Floats
    naive: Floats


@dataclass(frozen=True)
class KnownActualsRecord:
    """What is known now of the steps of N forecasts `[N,H]`.

    actual: NaN where it is not known. known_at: since when. withdrawn: whether it was stated that there is none. naive: the
    seasonal naive forecast, NaN where there is none.
    """

    actual: Floats
    known_at: Integers
    withdrawn: Mask
    naive: Floats


@dataclass(frozen=True)
class ScoreChangesReport:
    """actual, naive `[N,H]`: what the steps are scored with now. sums: what is to be added to those so far, by bucket.

    is_new, is_restated, is_withdrawn, is_early, is_unusable `[N,H]`: points that are scored now for the first time; with another
    actual; no more; never, for the actual was known before the forecast; never, for the forecast is no number.
    """

    actual: Floats
    naive: Floats
    is_new: Mask
    is_restated: Mask
    is_withdrawn: Mask
    is_early: Mask
    is_unusable: Mask
    sums: Sums = field(default_factory=dict)

    @property
    def changed(self) -> Mask:
        """Forecasts with a step whose score changed `[N]`."""
        found = self.is_new | self.is_restated | self.is_withdrawn | self.is_early | self.is_unusable
        rows: Mask = np.asarray(found.any(axis=1))
        return rows


def score_changes(block: ForecastBlockRecord, known: KnownActualsRecord, buckets: BucketSpec) -> ScoreChangesReport:
    """Score what can be scored by now; see the module's docstring for the rule."""
    scored, is_open, there = np.isfinite(block.actual), np.isnan(block.actual), np.isfinite(known.actual)
    usable = _usable(block)
    came = is_open & there
    is_early = came & (known.known_at < block.created_at[:, None])
    is_unusable = came & ~is_early & ~usable
    is_new = came & ~is_early & usable
    is_restated = scored & there & (known.actual != block.actual)
    is_withdrawn = scored & ~there & known.withdrawn
    put_in, taken_out = is_new | is_restated, is_restated | is_withdrawn
    sums: Sums = {}
    if put_in.any():
        add_sums(sums, _sums(block, known.actual, known.naive, buckets, where=put_in))
    if taken_out.any():
        add_sums(sums, _sums(block, block.actual, block.naive, buckets, where=taken_out), sign=-1.0)
    actual, naive = np.where(put_in, known.actual, block.actual), np.where(put_in, known.naive, block.naive)
    actual = np.where(is_withdrawn, np.nan, np.where(is_early | is_unusable, NEVER, actual))
    return ScoreChangesReport(actual, naive, is_new, is_restated, is_withdrawn, is_early, is_unusable, sums)


def _usable(block: ForecastBlockRecord) -> Mask:
    numbers = (
        block.quantiles if block.mean is None else np.concatenate([block.quantiles, block.mean[..., None]], axis=2)
    )
    found: Mask = np.isfinite(numbers).min(axis=2)
    return found


def _sums(block: ForecastBlockRecord, actual: Floats, naive: Floats, buckets: BucketSpec, *, where: Mask) -> Sums:
    bucket = np.broadcast_to(buckets.of_step, where.shape)[where]
    return live_sums(_points(block, actual, where), naive[where], bucket, n_buckets=len(buckets.names))


def _points(block: ForecastBlockRecord, actual: Floats, where: Mask) -> ScoreBlock:
    return score_block(
        actual[where],
        block.quantiles[..., block.levels.index(POINT_QUANTILE)][where],
        expected=None if block.mean is None else block.mean[where],
        quantiles=block.quantiles[where],
        levels=block.levels,
    )
