"""Every metric of a backtest, defined once: formula, unit, direction, source and what is summed."""

from collections.abc import Sequence

import numpy as np

from forecasting.metrics import terms
from forecasting.metrics.block import Doubles
from forecasting.metrics.definition import MetricDirection, MetricSpec, MetricUnit, ratio, root_ratio

_HYNDMAN = "Hyndman and Koehler (2006), Another look at measures of forecast accuracy"
_GNEITING = "Gneiting and Raftery (2007), Strictly proper scoring rules, prediction, and estimation"
_KOLASSA = "Kolassa and Schütz (2007), Advantages of the MAD/MEAN ratio over the MAPE"
_M5 = "Makridakis, Spiliotis and Assimakopoulos (2022), M5 accuracy competition"
_PARK = "Park et al. (2022), Learning quantile functions without quantile crossing"
_WINKLER = "Winkler (1972), A decision-theoretic approach to interval estimation"
_PESARAN = "Pesaran and Timmermann (1992), A simple nonparametric test of predictive performance"
_DRAPER = "Draper and Smith (1998), Applied regression analysis"

_TARGET, _RATIO = MetricUnit.TARGET, MetricUnit.RATIO
_LOWER, _HIGHER = MetricDirection.LOWER, MetricDirection.HIGHER


def _r2(squared: Doubles, count: Doubles, deviation: Doubles, squared_deviation: Doubles) -> Doubles:
    variation = squared_deviation - ratio(deviation**2, count)
    return 1.0 - ratio(squared, variation)


MAE = MetricSpec(
    "mae", "MAE", "mean |y − f|", _TARGET, _LOWER, _HYNDMAN, (terms.absolute_error, terms.one), ratio,
    "f is the median, which is best for it.",
)  # fmt: skip
RMSE = MetricSpec(
    "rmse", "RMSE", "√ mean (y − f)²", _TARGET, _LOWER, _HYNDMAN, (terms.squared_error, terms.one), root_ratio,
    "f is the mean where the model forecasts it, else the median.",
)  # fmt: skip
R2 = MetricSpec(
    "r2", "R²", "1 − Σ (y − f)² / Σ (y − ȳ)²", _RATIO, _HIGHER, _DRAPER,
    (terms.squared_error, terms.one, terms.deviation, terms.squared_deviation), _r2,
    "Of all steps of all series together: series of different size make it large. Below 0 where their mean is better.",
)  # fmt: skip
BIAS = MetricSpec(
    "bias", "bias", "mean (f − y)", _TARGET, MetricDirection.ZERO, _HYNDMAN, (terms.negative_error, terms.one), ratio,
    "f is the mean where the model forecasts it, else the median.",
)  # fmt: skip
MAPE = MetricSpec(
    "mape", "MAPE", "mean |y − f| / |y|", _RATIO, _LOWER, _HYNDMAN, (terms.percentage_error, terms.nonzero), ratio,
    "Steps with y = 0 are left out. Rewards forecasts that are too low; prefer WAPE.",
)  # fmt: skip
SMAPE = MetricSpec(
    "smape", "sMAPE", "mean 2 |y − f| / (|y| + |f|)", _RATIO, _LOWER, _HYNDMAN, (terms.symmetric_error, terms.one), ratio,
    "Between 0 and 2; 0 where both are 0.",
)  # fmt: skip
WAPE = MetricSpec(
    "wape", "WAPE", "Σ |y − f| / Σ |y|", _RATIO, _LOWER, _KOLASSA, (terms.absolute_error, terms.size), ratio,
    "Not a number where all actuals are 0.",
)  # fmt: skip
MASE = MetricSpec(
    "mase", "MASE", "mean |y − f| / s", _RATIO, _LOWER, _HYNDMAN, (terms.scaled_error, terms.scalable), ratio,
    "s: mean |y[t] − y[t − season]| of the series in the train cut; series without one are left out. "
    "1 is the seasonal naive one season ahead, in sample.",
)  # fmt: skip
RMSSE = MetricSpec(
    "rmsse", "RMSSE", "√ mean (y − f)² / s²", _RATIO, _LOWER, _M5,
    (terms.scaled_squared_error, terms.square_scalable), root_ratio,
    "s²: mean (y[t] − y[t − season])² of the series in the train cut. Over all steps of all series, not a mean of series' values.",
)  # fmt: skip
PINBALL = MetricSpec(
    "pinball", "pinball loss", "mean over levels of max(q (y − f), (q − 1) (y − f))", _TARGET, _LOWER, _GNEITING,
    (terms.mean_pinball, terms.one), ratio, "At the level 0.5 alone it is half the MAE.",
)  # fmt: skip
WQL = MetricSpec(
    "wql", "WQL", "mean over levels of 2 Σ pinball / Σ |y|", _RATIO, _LOWER, _PARK,
    (terms.mean_pinball, terms.size), lambda loss, size: 2.0 * ratio(loss, size), "At the level 0.5 alone it is the WAPE.",
)  # fmt: skip
CRPS = MetricSpec(
    "crps", "CRPS", "2 ∫ pinball loss dq", _TARGET, _LOWER, _GNEITING, (terms.crps, terms.one), ratio,
    "Of the quantiles a model has: every level stands for the levels nearest to it, so that few levels make it coarse.",
)  # fmt: skip
TREND_AGREEMENT = MetricSpec(
    "trend_agreement", "trend agreement", "share of steps with sign(y[h] − y[h−1]) = sign(f[h] − f[h−1])", _RATIO, _HIGHER,
    _PESARAN, (terms.right_sign, terms.changing), ratio, "Within one forecast; steps at which y does not move are left out.",
)  # fmt: skip


def coverage_of(lower: float, upper: float) -> MetricSpec:
    """Share of actuals between two quantiles."""
    return MetricSpec(
        "coverage", "coverage", "share of steps with lower ≤ y ≤ upper", _RATIO, MetricDirection.NOMINAL, _GNEITING,
        (terms.Inside(lower, upper), terms.one), ratio, "The nominal share is the difference of the two levels.",
    )  # fmt: skip


def interval_width_of(lower: float, upper: float) -> MetricSpec:
    """Mean distance between two quantiles."""
    return MetricSpec(
        "interval_width", "interval width", "mean (upper − lower)", _TARGET, MetricDirection.NARROW, _GNEITING,
        (terms.Width(lower, upper), terms.one), ratio,
    )  # fmt: skip


def winkler_of(lower: float, upper: float) -> MetricSpec:
    """Winkler (interval) score of two quantiles."""
    return MetricSpec(
        "winkler", "Winkler score", "mean (upper − lower) + 2/α (lower − y)⁺ + 2/α (y − upper)⁺", _TARGET, _LOWER, _WINKLER,
        (terms.WinklerTerm(lower, upper), terms.one), ratio, "α is one less the nominal share.",
    )  # fmt: skip


def share_below(level: float) -> MetricSpec:
    """Share of actuals at or below one quantile."""
    return MetricSpec(
        "share_below", "share below a quantile", "share of steps with y ≤ f", _RATIO, MetricDirection.NOMINAL, _GNEITING,
        (terms.NotAbove(level), terms.one), ratio, "The nominal share is the level.",
    )  # fmt: skip


def pinball_at(level: float) -> MetricSpec:
    """Pinball loss of one level."""
    return MetricSpec(
        "level_pinball", "pinball loss of a level", "mean max(q (y − f), (q − 1) (y − f))", _TARGET, _LOWER, _GNEITING,
        (terms.PinballAt(level), terms.one), ratio,
    )  # fmt: skip


def interval_metrics(lower: float, upper: float) -> tuple[MetricSpec, ...]:
    """Metrics of the interval between two quantiles."""
    return coverage_of(lower, upper), interval_width_of(lower, upper), winkler_of(lower, upper)


def level_metrics(level: float) -> tuple[MetricSpec, ...]:
    """Metrics of one quantile."""
    return share_below(level), pinball_at(level)


def intervals(levels: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Pairs of levels that leave out the same share on both sides, the widest first."""
    pairs = [(low, high) for low in levels for high in levels if low < 0.5 < high and np.isclose(low + high, 1.0)]
    return tuple(sorted(pairs))


POINT_METRICS: tuple[MetricSpec, ...] = (
    MAE, RMSE, BIAS, WAPE, R2, MAPE, SMAPE, MASE, RMSSE, TREND_AGREEMENT,
)  # fmt: skip
"""Of point forecasts."""

QUANTILE_METRICS: tuple[MetricSpec, ...] = (PINBALL, WQL, CRPS)
"""Of all quantiles together."""


def documented_metrics() -> tuple[MetricSpec, ...]:
    """Every metric once, for the page that lists them."""
    return (*POINT_METRICS, *QUANTILE_METRICS, *interval_metrics(0.1, 0.9), *level_metrics(0.5))
