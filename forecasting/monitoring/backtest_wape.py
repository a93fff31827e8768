"""The error of the backtest by bucket of the horizon: what the live error of the same version is compared with."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from forecasting.monitoring.horizons import BucketSpec

BACKTEST_KEY = "backtest"
"""Key of a version's record: `mae` and `wape` of each step of the horizon in the backtest of what was shipped."""


def backtest_wape(record: Mapping[str, Any], buckets: BucketSpec) -> dict[str, float]:
    """WAPE by name of the bucket, from the record of a version; a bucket that was not measured is left out.

    The steps of a backtest have the same number of points but for actuals that lack, so that sums of means are as good as
    sums: a bucket's WAPE is the sum of its MAEs over the sum of its mean absolute actuals.
    """
    steps = record.get(BACKTEST_KEY) or {}
    mae, wape = steps.get("mae") or (), steps.get("wape") or ()
    if len(mae) != len(buckets.of_step) or len(wape) != len(buckets.of_step):
        return {}
    found = {}
    for place, name in enumerate(buckets.names):
        own = [step for step, bucket in enumerate(buckets.of_step.tolist()) if bucket == place]
        value = _ratio([mae[step] for step in own], [wape[step] for step in own])
        if math.isfinite(value):
            found[name] = value
    return found


def _ratio(mae: Sequence[float | None], wape: Sequence[float | None]) -> float:
    sizes = [error / ratio for error, ratio in zip(mae, wape, strict=True) if error and ratio]
    if None in mae or None in wape:
        return math.nan
    if not sizes:
        return 0.0
    return sum(error or 0.0 for error in mae) / sum(sizes)
