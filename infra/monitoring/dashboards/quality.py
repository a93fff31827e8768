"""Forecast quality: live errors beside what the backtest promised."""

from forecasting.contracts import metric_names as m
from forecasting.contracts.metric_names import MetricSpec
from infra.monitoring.dashboards.panel_spec import DashboardSpec, RowSpec, age, lines, number, of, quantile, rate
from infra.monitoring.recording import BIAS, CHAMPION, COVERAGE, SKILL, WAPE
from infra.monitoring.spec import RulesSpec


def quality(spec: RulesSpec) -> DashboardSpec:
    """The dashboard."""
    return DashboardSpec(
        "almanac-quality", "Almanac: forecast quality", "Forecasts against what came, as far as it is known.",
        (_errors(spec), _intervals(), _actuals()), "now-7d",
    )  # fmt: skip


def _ratio(over: MetricSpec, under: MetricSpec, by: str, *matchers: str) -> str:
    increase = [f"sum by ({by}) (increase({of(one, *matchers)}[1d]))" for one in (over, under)]
    return f"{increase[0]} / ({increase[1]} > 0)"


def _errors(spec: RulesSpec) -> RowSpec:
    promised = f"max by (model, horizon) ({of(m.BACKTEST_WAPE, CHAMPION)})"
    rmse = f"sqrt({_ratio(m.SQUARED_ERROR, m.SCORED_POINTS, 'model, horizon', CHAMPION)})"
    return RowSpec("Errors", (
        lines("Error, 1 d, and of the backtest", "Absolute error over absolute actuals (WAPE) by horizon.", "percentunit",
              (of(WAPE + "1d"), "{{horizon}} live"), (promised, "{{horizon}} backtest"), floor=0),
        lines("Error over that of the backtest", "Of the champion; a retrain is asked for at the line.", "short",
              (f"{of(WAPE + '1d')} / on (model, horizon) {promised}", "{{horizon}}"), limits=((0.0, "green"), (spec.degradation, "red")), floor=0),
        lines("Error by version and role", "WAPE over a day; a shadow beside the champion.", "percentunit",
              (_ratio(m.ABSOLUTE_ERROR, m.ACTUAL_ABSOLUTE, "version, role"), "{{role}} {{version}}"), floor=0),
        lines("Root mean squared error, 1 d", "In the unit of the target.", "short", (rmse, "{{horizon}}"), floor=0),
        lines("Bias, 1 d and 7 d", "Forecast above the actuals less below, over the actuals.", "percentunit",
              (of(BIAS + "1d"), "{{horizon}} 1 d"), (of(BIAS + "7d"), "{{horizon}} 7 d"),
              limits=((-9.0, "red"), (-spec.bias_ratio, "green"), (spec.bias_ratio, "red"))),
        lines("Over and under", "Error above and below the actuals, over the actuals, 1 d.", "percentunit",
              (_ratio(m.OVER_ERROR, m.ACTUAL_ABSOLUTE, "horizon", CHAMPION), "{{horizon}} over"),
              (_ratio(m.UNDER_ERROR, m.ACTUAL_ABSOLUTE, "horizon", CHAMPION), "{{horizon}} under"), floor=0),
        lines("Skill against naive", "1 less the error over that of the seasonal naive on the same points.", "percentunit",
              (of(SKILL + "1d"), "{{horizon}} 1 d"), (of(SKILL + "7d"), "{{horizon}} 7 d"), limits=((-9.0, "red"), (0.0, "green"))),
        lines("Error of the naive and of the model", "On the points where the seasonal naive is known, in the unit of the target, 1 d.", "short",
              (_ratio(m.NAIVE_ABSOLUTE_ERROR, m.NAIVE_POINTS, "model", CHAMPION), "naive"),
              (_ratio(m.COMPARED_ABSOLUTE_ERROR, m.NAIVE_POINTS, "model", CHAMPION), "model"), floor=0),
    ))  # fmt: skip


def _intervals() -> RowSpec:
    return RowSpec("Intervals", (
        lines("Coverage", "Share of actuals inside the interval of each nominal level.", "percentunit",
              (of(COVERAGE + "1d"), "{{level}} 1 d"), (of(COVERAGE + "7d"), "{{level}} 7 d"), floor=0, ceiling=1),
        lines("Width of intervals", "Mean, in the unit of the target, 1 d.", "short", (_ratio(m.INTERVAL_WIDTH, m.INTERVAL_POINTS, "level", CHAMPION), "{{level}}"), floor=0),
        lines("Covered points", "Points inside their interval over all, by role, 1 d.", "percentunit",
              (_ratio(m.INTERVAL_COVERED, m.INTERVAL_POINTS, "role, level"), "{{role}} {{level}}"), floor=0, ceiling=1),
        lines("Pinball loss", "Growth a second, by quantile.", "short", (rate(m.PINBALL_LOSS, "level", CHAMPION), "{{level}}"), floor=0),
    ))  # fmt: skip


def _actuals() -> RowSpec:
    return RowSpec("Actual values", (
        lines("Points scored, 1 h", "Steps of forecasts that got their actual value.", "short",
              (f"sum by (role) (increase({of(m.SCORED_POINTS)}[1h]))", "{{role}}"), floor=0),
        lines("Delay of actual values", "From the end of a step to when its actual became known.", "s",
              (quantile(0.5, m.ACTUAL_DELAY, "model"), "p50"), (quantile(0.9, m.ACTUAL_DELAY, "model"), "p90"), floor=0),
        lines("Actual values that score nothing, or again", "A second, by reason.", "short", (rate(m.ACTUALS_REJECTED, "reason"), "{{reason}}"),
              (rate(m.ACTUALS_RESTATED, "model"), "restated, scored again"), floor=0),
        number("Latest step scored", "Its age.", "s", (age(m.LAST_SCORED, "model"), "{{model}}")),
    ))  # fmt: skip
