"""Writes docs/metrics.md from the registered metrics: `python -m pipelines.docs_metrics > docs/metrics.md`."""

from dataclasses import fields

from forecasting.metrics.exceedance import DECISION_PROBABILITY, ExceedanceReport
from forecasting.metrics.registry import documented_metrics

PREAMBLE = """\
# Metrics

Every metric is defined once (`forecasting/metrics/registry.py`), as sums of terms over the steps of a backtest and what is
made of the sums; the same definition gives the value of a handful of numbers, of each series, step and slice, and of a
table that is read in pieces. Each is tested against an independent implementation: scikit-learn, SciPy, or plain loops.

y is the actual value, f the forecast, q a quantile level, h a step of the horizon. Steps whose actual is not known are left
out. A forecast that is not finite where the actual is known makes the metric not finite, so that it passes no gate.

This page is made by `python -m pipelines.docs_metrics`; a test holds it equal to the code.

| name in `metrics.json` | metric | formula | unit | direction | source |
|---|---|---|---|---|---|
"""

EXCEEDANCE = """\

## Exceeding a threshold

Quantiles are also a forecast of the event y > threshold. The probability P(y > threshold) is read off
the quantiles: a distribution function drawn straight from quantile to quantile,
which goes on with the slope of the last piece beyond the outer ones. A step counts as forecast to exceed from {p:g} on.

| name | meaning |
|---|---|
| `accuracy` | share of right decisions |
| `precision` | share of forecast events that came |
| `recall` | share of events that were forecast |
| `f1` | harmonic mean of precision and recall |
| `auc` | probability that a step with the event has the higher forecast probability than one without; 0.5 is no skill (Hanley and McNeil 1982) |
| `brier` | mean (p − event)²; lower is better (Brier 1950) |
| `base_rate_brier` | the Brier score of always forecasting the share of events |
"""

OUTLIERS = """\

## Outliers in what is read

`outlier_ratio` of a model is the MAE after some of the history became outliers, over that before, on the same windows: 1 is a
model that does not mind, lower is better. Of the target and of each observed column, `backtest.outliers.share` of the known
past values move by `backtest.outliers.deviations` robust standard deviations (1.4826 times the median absolute
deviation of the column in the train cut of its series; Hampel 1974), up or down by chance, and not below 0 where the column
never was. `backtest.outliers.n_windows` forecasts at most are made once more, of windows at equal distances; a test period with
fewer windows is disturbed several times, each time elsewhere. The same seed disturbs them in the same way for every model. `gates.model.max_outlier_ratio` limits it.
"""

SPEED = """\

## Latency and throughput of a single forecast

`tournament.json` of compress_model has for every variant, in a process of its own on one thread, `latency_p50_ms`, `latency_p99_ms` and
`forecasts_per_s`; `report.json` of validate_serving has `p50_ms`, `p99_ms` and `forecasts_per_s` of the candidate in a real server,
over gRPC and over REST. Both ask for one forecast after the other, so that the throughput is that of one client.
`gates.serving.max_latency_ms` limits the 99th percentile over gRPC.
"""

PARTS = """\

## Where they are

`metrics.json` of evaluate_model and evaluate_compressed has, for each model: `overall`, `by_step` and `slices` with every metric
of the table above (of the outer interval, and without those of one level), `intervals` with coverage, width and Winkler score
of every pair of quantiles that leaves out the same share on both sides, `levels` with the share below each quantile and its loss,
and `outlier_ratio` of evaluate_model. `series_scores.parquet` has every metric for each series and model. `scores.parquet` has
every forecast: model, series, fold, origin, step, actual, one column a quantile, and the mean.

| slice | steps |
|---|---|
| `hour_00` … `hour_23` | of that hour in local time (`features.calendar_time_zone`); not for steps of a day or more |
| `monday` … `sunday` | of that day in local time |
| `holiday` | on a public holiday of `features.holidays` |
| `months_12_02`, `months_03_05`, `months_06_08`, `months_09_11` | of these months in local time |
| `steps_01_06` and so on | horizon buckets: the horizon in `backtest.horizon_buckets` parts of nearly equal length |
| `last_fold` | of the last origin; of the last fold of `almanac backtest` |
| `recent_folds` | of the last quarter of the origins; of the folds of `almanac backtest` |
| `fold_1` and so on | of that fold of `almanac backtest` |
| `cold_start` | of series with less history than `backtest.cold_start_below` at the origin; where that is not set, than `forecast.context` |
"""


def metrics_page() -> str:
    """The whole page in Markdown."""
    rows = "".join(
        f"| `{metric.name}` | {_cell(metric.title)} | {_cell(metric.formula)}{_note(metric.note)} | {metric.unit} | {metric.direction} | {metric.source} |\n"
        for metric in documented_metrics()
    )
    scores = {field.name for field in fields(ExceedanceReport)}
    exceedance = EXCEEDANCE.format(p=DECISION_PROBABILITY)
    if missing := {name for name in scores - {"threshold", "n_points", "n_events"} if f"`{name}`" not in exceedance}:
        raise ValueError(f"the page must explain every score of an exceedance, {', '.join(sorted(missing))} is missing")
    return f"{PREAMBLE}{rows}{exceedance}{OUTLIERS}{SPEED}{PARTS}"


def _note(text: str) -> str:
    return f". {_cell(text)}" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(metrics_page(), end="")
