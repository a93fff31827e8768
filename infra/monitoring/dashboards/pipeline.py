"""Pipeline: runs, gates, retraining, and the monitor itself."""

from forecasting.contracts import metric_names as m
from infra.monitoring.dashboards.panel_spec import DashboardSpec, RowSpec, age, lines, number, of, rate
from infra.monitoring.spec import RulesSpec


def pipeline(spec: RulesSpec) -> DashboardSpec:
    """The dashboard."""
    return DashboardSpec(
        "almanac-pipeline", "Almanac: pipeline and retraining", "Runs of the pipeline, why candidates were promoted or not, and who asked for them.",
        (_runs(spec), _gates(), _retraining(spec), _monitor()), "now-7d",
    )  # fmt: skip


def _runs(spec: RulesSpec) -> RowSpec:
    late = ((0.0, "green"), (spec.run_age_s, "red"))
    return RowSpec("Runs", (
        number("Last run", "Time since it ended.", "s", (age(m.PIPELINE_LAST_RUN, "model"), "{{model}}"), limits=late),
        number("Last success", "Time since it ended.", "s", (age(m.PIPELINE_LAST_SUCCESS, "model"), "{{model}}"), limits=late),
        number("Status", "Of the last run.", "short", (f"max by (status) ({of(m.PIPELINE_STATUS)}) == 1", "{{status}}")),
        lines("Duration", "Of the last run.", "s", (f"max by (model) ({of(m.PIPELINE_DURATION)})", "{{model}}"), floor=0),
        lines("Duration of steps", "In the last run.", "s", (f"max by (step) ({of(m.PIPELINE_STEP_DURATION)})", "{{step}}"), floor=0),
    ))  # fmt: skip


def _gates() -> RowSpec:
    return RowSpec("Gates", (
        lines("Candidate, champion and naive", "Absolute error over absolute actuals on the same folds.", "percentunit", (f"max by (role) ({of(m.PIPELINE_WAPE)})", "{{role}}"), floor=0),
        number("Gates passed", "1 where a gate of the last run let it pass.", "short", (f"max by (gate) ({of(m.PIPELINE_GATE_PASSED)})", "{{gate}}"),
               limits=((0.0, "red"), (1.0, "green"))),
        lines("Room under the limits", "As a share of the limit; negative where a rule is broken.", "percentunit",
              (f"min by (gate, rule) ({of(m.PIPELINE_GATE_MARGIN)})", "{{gate}} {{rule}}"), limits=((-9.0, "red"), (0.0, "green"))),
    ))  # fmt: skip


def _retraining(spec: RulesSpec) -> RowSpec:
    oldest = f"time() - (min by (model) ({of(m.RETRAIN_OLDEST)}) > 0)"
    return RowSpec("Retraining", (
        lines("Requests by state", "Retrain requests in the store.", "short", (f"max by (state) ({of(m.RETRAIN_REQUESTS)})", "{{state}}"), floor=0),
        number("Oldest open request", "Its age.", "s", (oldest, "{{model}}"), limits=((0.0, "green"), (spec.request_age_s, "red"))),
        lines("Asked for", "Reasons a second, by who asked and what became of it.", "short", (rate(m.RETRAIN_ASKED, "source, outcome"), "{{source}} {{outcome}}"), floor=0),
        lines("Runs of the worker, 1 d", "By how they ended.", "short", (f"sum by (status) (increase({of(m.WORKER_RUNS)}[1d]))", "{{status}}"), floor=0),
        number("Worker last seen", "Time since it looked for requests.", "s", (age(m.WORKER_LAST_SEEN, "model"), "{{model}}")),
    ))  # fmt: skip


def _monitor() -> RowSpec:
    return RowSpec("Monitor", (
        lines("Rounds", "A second, by outcome.", "short", (rate(m.MONITOR_ROUNDS, "outcome"), "{{outcome}}"), floor=0),
        lines("Duration of a round", "The last one.", "s", (f"max by (model) ({of(m.MONITOR_ROUND_DURATION)})", "{{model}}"), floor=0),
        number("Last round", "Time since.", "s", (age(m.MONITOR_LAST_ROUND, "model"), "{{model}}")),
        number("Monitors that score", "1 where one has the lease.", "short", (f"max by (model) ({of(m.MONITOR_ACTIVE)})", "{{model}}"),
               limits=((0.0, "red"), (1.0, "green"))),
    ))  # fmt: skip
