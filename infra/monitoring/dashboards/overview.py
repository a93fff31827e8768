"""Overview: whether the objectives are met, and what forecasts are worth."""

from forecasting.contracts import metric_names as m
from infra.monitoring.dashboards.panel_spec import DashboardSpec, RowSpec, age, lines, number, of, quantile, rate
from infra.monitoring.recording import CHAMPION, COVERAGE, ERRORS, FORECAST_ROUTES, SKILL, SLOW, WAPE
from infra.monitoring.spec import RulesSpec

_ROUTES = f'route=~"{FORECAST_ROUTES}"'
_FAILED = 'code=~"5.."'
_MONTH_GREEN = ((0.0, "red"), (0.25, "orange"), (0.5, "green"))
_BURN_LIMITS = ((0.0, "green"), (1.0, "yellow"), (3.0, "orange"), (6.0, "red"), (14.4, "dark-red"))


def overview(spec: RulesSpec) -> DashboardSpec:
    """The dashboard."""
    return DashboardSpec(
        "almanac-overview", "Almanac: overview and objectives",
        "Are forecasts answered, in time, by the model, and do they come true?", (_now(spec), _budgets(spec)),
    )  # fmt: skip


def _failed_ratio() -> str:
    every = f"sum by (model) (increase({of(m.REQUESTS, _ROUTES)}[30d]))"
    failed = f"sum by (model) (increase({of(m.REQUESTS, _ROUTES, _FAILED)}[30d]))"
    return f"({failed} or 0 * {every}) / ({every} > 0)"


def _now(spec: RulesSpec) -> RowSpec:
    budget = f"1 - {_failed_ratio()} / {1 - spec.availability_objective:.6g}"
    p99 = quantile(0.99, m.REQUEST_DURATION, "model", _ROUTES)
    version = f"max by (model) ({of(m.MODEL_VERSION, CHAMPION)})"
    firing = 'count(ALERTS{alertstate="firing",alertname!="Watchdog"}) or vector(0)'
    return RowSpec("Now", (
        number("Processes up", "Whether Prometheus can read the metrics page of each process.", "short",
               ('min by (job) (up{job=~"gateway|model-server|monitor"})', "{{job}}"), limits=((0.0, "red"), (1.0, "green"))),
        number("Alerts", "Alerts that fire, without the heartbeat.", "short", (firing, "firing"), limits=((0.0, "green"), (1.0, "red"))),
        number("Availability, 30 d", "Share of forecast requests not answered with 5xx.", "percentunit", (f"1 - {_failed_ratio()}", "{{model}}")),
        number("Error budget left, 30 d", f"Of the {1 - spec.availability_objective:.3%} of requests that may fail.", "percentunit",
               (budget, "{{model}}"), limits=_MONTH_GREEN),
        number("99th percentile", "Time to answer a forecast request.", "s", (p99, "{{model}}"),
               limits=((0.0, "green"), (spec.latency_s, "orange"))),
        number("Error, 1 d", "Absolute error over absolute actuals (WAPE), mean of the horizon buckets.", "percentunit",
               (f"avg by (model) ({of(WAPE + '1d')})", "{{model}}")),
        number("Skill against naive, 7 d", "1 less the error over that of the seasonal naive on the same points; below 0 the model does harm.",
               "percentunit", (f"avg by (model) ({of(SKILL + '7d')})", "{{model}}"), limits=((-9.0, "red"), (0.0, "orange"), (0.1, "green"))),
        number("Coverage, 7 d", "Share of actuals inside the interval of each nominal level.", "percentunit", (of(COVERAGE + "7d"), "{{level}}")),
        number("Champion", "Version that answers.", "short", (version, "{{model}}")),
        number("Age of the champion", "Time since it was made.", "s", (age(m.MODEL_TRAINED, "model"), "{{model}}")),
    ))  # fmt: skip


def _budgets(spec: RulesSpec) -> RowSpec:
    windows = ("1h", "6h", "1d", "3d")
    allowed_errors, allowed_slow = 1 - spec.availability_objective, 1 - spec.latency_objective
    every = f"(sum by (model) (rate({of(m.REQUEST_SERIES, suffix='_sum')}[$__rate_interval])) > 0)"
    return RowSpec("Budgets", (
        lines("Burn rate of the error budget", "Share of failed requests over the share that may fail; alerts at 14.4 (1 h), 6 (6 h), 3 (1 d) and 1 (3 d).",
              "short", *((f"{of(f'{ERRORS}{window}')} / {allowed_errors:.6g}", f"{{{{model}}}} {window}") for window in windows),
              limits=_BURN_LIMITS, floor=0),
        lines("Burn rate of the latency budget", f"Share of requests over {spec.latency_s:g} s over the share that may be.",
              "short", *((f"{of(f'{SLOW}{window}')} / {allowed_slow:.6g}", f"{{{{model}}}} {window}") for window in windows),
              limits=_BURN_LIMITS, floor=0),
        lines("Requests", "Requests answered, by code.", "reqps", (rate(m.REQUESTS, "code"), "{{code}}"), floor=0),
        lines("Share of the fallback", "Series answered by the seasonal naive, by cause.", "percentunit",
              (f"{rate(m.DEGRADED, 'model, cause')} / on (model) group_left () {every}", "{{cause}}"), floor=0, limits=((0.0, "green"), (spec.fallback_ratio, "red"))),
    ))  # fmt: skip
