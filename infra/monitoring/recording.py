"""Recording rules: ratios over windows, each divided once. Names are level:metric:operation."""

from dataclasses import dataclass

from forecasting.contracts import metric_names as m
from forecasting.contracts.metric_names import MetricSpec
from infra.monitoring.spec import DAY_S, HOUR_S, MINUTE_S, WEEK_S, RulesSpec, TimeSpec

BURN_WINDOWS_S = {
    "5m": 5 * MINUTE_S, "30m": 30 * MINUTE_S, "1h": HOUR_S, "2h": 2 * HOUR_S, "6h": 6 * HOUR_S, "1d": DAY_S, "3d": 3 * DAY_S,
}  # fmt: skip
"""Windows of the error budgets by the name that they give to a rule."""
QUALITY_WINDOWS_S = {"1d": DAY_S, "7d": 7 * DAY_S}
FORECAST_ROUTES = "/v1/forecast|/v1/timeseries/forecast|/almanac[.].*"
"""Routes that make forecasts, over HTTP and gRPC: the objectives hold for these."""
CHAMPION = 'role="champion"'
HORIZON, LEVEL = "model, version, horizon", "model, version, level"

ERRORS = "job:forecast_requests:error_ratio_rate"
SLOW = "job:forecast_request_duration_seconds:slow_ratio_rate"
WAPE = "model_horizon:forecast_wape:increase"
BIAS = "model_horizon:forecast_bias_ratio:increase"
SKILL = "model_horizon:forecast_skill_vs_naive:increase"
COVERAGE = "model_level:forecast_interval_coverage:increase"
BEFORE_WEEKS, LATELY_WEEKS, LONG_WEEKS, YOUNG_WEEKS = 6, 3, 4, 2
WAPE_BEFORE = "version_horizon:forecast_wape:offset21d"
"""WAPE of a version over six weeks that ended three weeks ago: what it is like when nothing is the matter. Until an error has lasted for so
long it is no part of what it is compared with."""
LONG_SKILL = "version_horizon:forecast_skill_vs_naive:delta28d"
LONG_COVERAGE = "version_level:forecast_interval_coverage:delta28d"
LONG_POINTS = "version_level:forecast_interval_points:delta28d"
LONG_OUTSIDE = "version_level:forecast_interval_outside_ratio:delta28d"
"""Share of actual values outside of an interval over the share that it says, where enough should lie there."""
WEEKS_NAMES = (WAPE_BEFORE, LONG_SKILL, LONG_COVERAGE, LONG_POINTS, LONG_OUTSIDE)
"""By version, for alerts; but for its skill there is nothing of a version until it is weeks old."""
NAMES = tuple(f"{start}{window}" for start in (ERRORS, SLOW) for window in BURN_WINDOWS_S) + tuple(
    f"{start}{window}" for start in (WAPE, BIAS, SKILL, COVERAGE) for window in QUALITY_WINDOWS_S
)


@dataclass(frozen=True)
class RecordingSpec:
    """One recording rule."""

    name: str
    expr: str


def recording_rules(spec: RulesSpec) -> dict[str, tuple[RecordingSpec, ...]]:
    """Rules by group: the error budgets of the service, and the accuracy of its forecasts."""
    budgets = [
        RecordingSpec(f"{name}{label}", make(spec, spec.time.window(window_s)))
        for name, make in ((ERRORS, _error_ratio), (SLOW, _slow_ratio))
        for label, window_s in BURN_WINDOWS_S.items()
    ]
    quality = [
        RecordingSpec(f"{name}{label}", make(spec.time.window(window_s)))
        for name, make in ((WAPE, _wape), (BIAS, _bias), (SKILL, _skill), (COVERAGE, _coverage))
        for label, window_s in QUALITY_WINDOWS_S.items()
    ]
    weeks = (
        RecordingSpec(WAPE_BEFORE, _wape_before(spec)),
        RecordingSpec(LONG_SKILL, _long_skill(spec.time)),
        RecordingSpec(LONG_COVERAGE, _long_coverage(spec.time)),
        RecordingSpec(LONG_POINTS, _between(m.INTERVAL_POINTS, spec.time, LONG_WEEKS, by=LEVEL)),
        RecordingSpec(LONG_OUTSIDE, "\nor ".join(_outside(level, spec.min_points) for level in spec.levels)),
    )
    return {"almanac-slo-records": tuple(budgets), "almanac-quality-records": (*quality, *weeks)}


def bucket_edge(spec: RulesSpec) -> str:
    """`le` of the bucket that ends at the latency objective, as the client library writes it.

    Raises:
        ValueError: No bucket of the histogram ends there, so that the share could not be counted.
    """
    if spec.latency_s not in m.REQUEST_DURATION.bounds:
        edges = ", ".join(f"{edge:g}" for edge in m.REQUEST_DURATION.bounds)
        raise ValueError(
            f"latency_s must be an edge of {m.REQUEST_DURATION.name}, {spec.latency_s:g} is none of {edges}"
        )
    return f"{float(spec.latency_s)}"


def _error_ratio(_: RulesSpec, window: str) -> str:
    name, routes = m.REQUESTS.exposed, f'route=~"{FORECAST_ROUTES}"'
    every = f"sum by (job, model) (rate({name}{{{routes}}}[{window}]))"
    failed = f'sum by (job, model) (rate({name}{{{routes},code=~"5.."}}[{window}]))'
    # Until the first failure there is no series of one, and a ratio of nothing would be nothing.
    return f"(\n  {failed}\n  or 0 * {every}\n)\n/ ({every} > 0)"


def _slow_ratio(spec: RulesSpec, window: str) -> str:
    name, routes = m.REQUEST_DURATION.exposed, f'route=~"{FORECAST_ROUTES}"'
    fast = f'sum by (job, model) (rate({name}_bucket{{{routes},le="{bucket_edge(spec)}"}}[{window}]))'
    every = f"sum by (job, model) (rate({name}_count{{{routes}}}[{window}]))"
    return f"1 -\n  {fast}\n  / ({every} > 0)"


def summed(metric: MetricSpec, window: str, by: str = "model, horizon", where: str = CHAMPION) -> str:
    """What a sum of the monitor grew by in a window."""
    return f"sum by ({by}) (increase({metric.exposed}{{{where}}}[{window}]))"


def _wape(window: str) -> str:
    return f"{summed(m.ABSOLUTE_ERROR, window)}\n/ ({summed(m.ACTUAL_ABSOLUTE, window)} > 0)"


def _between(metric: MetricSpec, time: TimeSpec, since_weeks: int, until_weeks: int = 0, *, by: str = HORIZON) -> str:
    """What a sum of each version grew by from some weeks ago until fewer ago; none of a version that had no sum then.

    A difference of two values, as a range of so many weeks would read millions of samples each time; these sums are kept in the store
    and do not begin anew with the process.
    """
    now, then = (
        f"sum by ({by}) ({metric.exposed}{{{CHAMPION}}}{_offset(time, weeks)})" for weeks in (until_weeks, since_weeks)
    )
    return f"({now} - {then})"


def _offset(time: TimeSpec, weeks: int) -> str:
    return f" offset {time.window(weeks * WEEK_S)}" if weeks else ""


def _wape_before(spec: RulesSpec) -> str:
    error, actual, points = (
        _between(metric, spec.time, LATELY_WEEKS + BEFORE_WEEKS, LATELY_WEEKS)
        for metric in (m.ABSOLUTE_ERROR, m.ACTUAL_ABSOLUTE, m.SCORED_POINTS)
    )
    return f"{error}\n/ ({actual} > 0)\nand {points} >= {spec.min_points}"


def _long_skill(time: TimeSpec) -> str:
    error, naive = (_lately(metric, time) for metric in (m.COMPARED_ABSOLUTE_ERROR, m.NAIVE_ABSOLUTE_ERROR))
    return f"1 -\n  {error}\n  / ({naive} > 0)"


def _lately(metric: MetricSpec, time: TimeSpec) -> str:
    """What a sum of each version grew by in four weeks, or since it began where that is two weeks ago or more."""
    now, then, young = (
        f"sum by ({HORIZON}) ({metric.exposed}{{{CHAMPION}}}{offset})"
        for offset in (_offset(time, weeks) for weeks in (0, LONG_WEEKS, YOUNG_WEEKS))
    )
    return f"({now} - ({then} or 0 * {young}))"


def _long_coverage(time: TimeSpec) -> str:
    covered, points = (
        _between(metric, time, LONG_WEEKS, by=LEVEL) for metric in (m.INTERVAL_COVERED, m.INTERVAL_POINTS)
    )
    return f"{covered}\n/ ({points} > 0)"


def _outside(level: float, min_points: int) -> str:
    at, nominal = f'{{level="{level:g}"}}', round(1 - level, 6)
    return f"(1 - {LONG_COVERAGE}{at}) / {nominal:g} and {LONG_POINTS}{at} * {nominal:g} >= {min_points}"


def _bias(window: str) -> str:
    over, under = summed(m.OVER_ERROR, window), summed(m.UNDER_ERROR, window)
    return f"(\n  {over}\n  - {under}\n)\n/ ({summed(m.ACTUAL_ABSOLUTE, window)} > 0)"


def _skill(window: str) -> str:
    return f"1 -\n  {summed(m.COMPARED_ABSOLUTE_ERROR, window)}\n  / ({summed(m.NAIVE_ABSOLUTE_ERROR, window)} > 0)"


def _coverage(window: str) -> str:
    by = "model, level"
    return f"{summed(m.INTERVAL_COVERED, window, by)}\n/ ({summed(m.INTERVAL_POINTS, window, by)} > 0)"
