"""What the charts of a page hold: the numbers of the JSON files, in order and in place."""

import json
from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from components.evaluation.champion import Champion
from components.evaluation.evaluate_model import ChampionSource
from components.reporting.accuracy_charts import comparison_spec, error_by_step_spec, forecast_spec, slice_specs
from components.reporting.chart_spec import ChartSpec, LineKind, LineSpec, charts_document
from components.reporting.error_charts import (
    autocorrelation_spec,
    calibration_spec,
    learning_curve_spec,
    normal_quantiles_spec,
    pit_spec,
)
from components.reporting.evidence import gather_evidence
from components.reporting.picture import ShownForecastRecord
from components.reporting.rows import (
    compared_metrics,
    importance_records,
    interval_records,
    slice_label,
    slice_records,
)
from components.reporting.variant_charts import pareto_spec, variant_points, variant_table
from forecasting.backtest.summary import BacktestReport, read_backtest_report
from forecasting.contracts.layout import RunLayout
from forecasting.contracts.steps import StepName
from tests.unit.backtest.tables import KnownColumnPredictor
from tests.unit.reporting.runs import SPEC, add_compression, add_evaluation, add_training, add_validation, begin_run

UTC = ZoneInfo("UTC")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    """A run with a champion that is off by 0.2 where the candidate is off by 0.25."""
    run = begin_run(tmp_path_factory.mktemp("home"))
    add_validation(run)
    add_training(run)
    champion = ChampionSource(6, Champion(6, KnownColumnPredictor(offset=0.2, half_width=1.0), SPEC))
    add_evaluation(run, offset=0.25, champion=champion)
    return run


@pytest.fixture(scope="module")
def report(run: RunLayout) -> BacktestReport:
    return read_backtest_report(run.step(StepName.EVALUATE_MODEL) / "metrics.json")


@pytest.fixture(scope="module")
def diagnostics(run: RunLayout) -> dict:
    return json.loads((run.step(StepName.EVALUATE_MODEL) / "diagnostics.json").read_text())


def line(chart: ChartSpec | None, label: str) -> LineSpec:
    assert chart is not None
    (found,) = [line for line in chart.lines if line.label == label]
    return found


def shown(levels: tuple[float, ...]) -> ShownForecastRecord:
    quantiles = np.arange(2.0 * len(levels)).reshape(2, len(levels))
    return ShownForecastRecord(
        "s0", "Demand", np.array([0, 3600]), np.array([1.0, np.nan]), np.array([7200, 10800]), np.array([5.0, np.nan]),
        quantiles, levels, "made up",
    )  # fmt: skip


def test_a_forecast_has_history_before_its_origin_and_the_rest_after_it() -> None:
    chart = forecast_spec(shown((0.1, 0.5, 0.9)), UTC, number=0, title="")
    assert chart.x == (0, 3600, 7200, 10800)
    assert line(chart, "history").values == (1.0, None, None, None)
    assert line(chart, "actual").values == (None, None, 5.0, None)
    assert line(chart, "forecast (median)").values == (None, None, 1.0, 4.0)
    assert [mark.x for mark in chart.marks] == [7200]


def test_the_outer_interval_and_the_one_nearest_to_half_are_drawn() -> None:
    levels = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    chart = forecast_spec(shown(levels), UTC, number=0, title="")
    assert [band.label for band in chart.bands] == ["90 % interval", "50 % interval"]
    inner = chart.bands[1]
    assert (chart.lines[inner.low].label, chart.lines[inner.high].label) == ("0.25 quantile", "0.75 quantile")
    assert chart.lines[inner.high].values[2:] == (4.0, 11.0)


def test_a_point_forecast_has_no_interval_and_a_mean_is_drawn_where_there_is_one() -> None:
    forecast = replace(shown((0.5,)), mean=np.array([7.0, 8.0]))
    chart = forecast_spec(forecast, UTC, number=0, title="")
    assert chart.bands == ()
    assert line(chart, "forecast (mean)").values == (None, None, 7.0, 8.0)


def test_error_by_step_is_that_of_the_metrics_of_every_model(report: BacktestReport) -> None:
    chart = error_by_step_spec(report, step_s=3600)
    assert line(chart, "candidate").values == report.models["candidate"].by_step["mae"]
    assert line(chart, "naive, 24 steps").values == report.models["seasonal_naive_24"].by_step["mae"]
    assert chart.lines[-1].label == "candidate"
    assert (chart.x[0], chart.x[-1], chart.x_label) == (1.0, 24.0, "hours ahead")


def test_steps_of_half_an_hour_are_counted_in_minutes(report: BacktestReport) -> None:
    chart = error_by_step_spec(report, step_s=1800)
    assert (chart.x[0], chart.x[-1], chart.x_label) == (30.0, 720.0, "minutes ahead")


def test_slices_are_those_of_the_metrics_and_bars_lie_below_lines(report: BacktestReport) -> None:
    hours, days = slice_specs(report)
    slices = report.models["candidate"].slices
    assert line(hours, "candidate").values == tuple(slices[f"hour_{hour:02d}"]["mae"] for hour in range(24))
    assert hours.lines[0].kind is LineKind.BARS
    # The test period is Monday to Wednesday.
    assert [value is None for value in line(days, "candidate").values] == [False] * 3 + [True] * 4


def test_calibration_shows_the_share_below_each_level(report: BacktestReport) -> None:
    chart = calibration_spec(report)
    levels = report.models["candidate"].levels
    shares = tuple(levels[name]["share_below"] for name in ("0.1", "0.5", "0.9"))
    assert line(chart, "candidate").values == (None, *shares, None)
    assert line(chart, "as promised").values == (0.0, 0.1, 0.5, 0.9, 1.0)
    # The candidate is off by 0.25 with a band of 1: all lie above the lowest quantile and below the others.
    assert shares == (0.0, 1.0, 1.0)


def test_pit_is_the_share_between_neighbouring_levels_over_the_nominal_one(report: BacktestReport) -> None:
    chart = pit_spec(report)
    assert line(chart, "candidate").values == pytest.approx((0.0, 2.5, 0.0, 0.0))
    assert chart is not None
    assert chart.names == ("< 0.1", "0.1–0.5", "0.5–0.9", "> 0.9")


def test_models_without_quantiles_have_no_calibration(report: BacktestReport) -> None:
    models = {name: replace(model, levels={"0.5": {"share_below": 0.4}}) for name, model in report.models.items()}
    assert calibration_spec(replace(report, models=models)) is None
    assert pit_spec(replace(report, models=models)) is None


def test_residuals_and_comparison_are_those_of_the_diagnostics(diagnostics: dict) -> None:
    residuals = {"autocorrelation": [0.5, None], "band": 0.1, "expected": [-1.0, 1.0], "observed": [-2.0, 0.5]}
    correlation = autocorrelation_spec(residuals)
    assert (correlation.x, correlation.lines[0].values) == ((1.0, 2.0), (0.5, None))
    assert [line.values for line in correlation.lines[1:]] == [(0.1, 0.1), (-0.1, -0.1)]
    assert line(normal_quantiles_spec(residuals), "errors").values == (-2.0, 0.5)
    chart = comparison_spec(diagnostics["comparison"], unit="Demand", step_s=3600)
    assert line(chart, "champion").values == tuple(diagnostics["comparison"]["champion_by_step"])
    assert line(chart, "candidate").values == pytest.approx((0.25,) * 24, abs=1e-4)


def test_the_learning_curve_marks_the_best_epoch_and_says_which_loss_it_is() -> None:
    rows = [
        {"epoch": 1, "train_loss": 0.5, "validation_loss": None},
        {"epoch": 2, "train_loss": 0.4, "validation_loss": 0.6},
    ]
    chart = learning_curve_spec(rows, best_epoch=2, loss="quantile loss")
    assert line(chart, "validation").values == (None, 0.6)
    assert [mark.x for mark in chart.marks] == [2.0]
    assert chart.y_label == "quantile loss, scaled"
    assert learning_curve_spec(rows, best_epoch=None, loss="loss").marks == ()


def test_charts_in_a_page_cannot_end_its_script_and_hold_no_number_that_is_none() -> None:
    chart = ChartSpec("c", "</script><b>", "", (0.0,), (LineSpec("x", "ink", (float("nan"),)),), "", "")
    text = charts_document([chart])
    assert "<" not in text
    assert json.loads(text)["c"]["title"] == "</script><b>"
    assert json.loads(text)["c"]["lines"][0]["values"] == [None]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("steps_01_06", "Steps 1 to 6 of the horizon"),
        ("steps_03_03", "Step 3 of the horizon"),
        ("months_12_02", "December to February"),
        ("fold_03", "Fold 3"),
        ("cold_start", "Series with little history"),
        ("region north", "region north"),
    ],
)
def test_slices_have_names_for_people(name: str, label: str) -> None:
    assert slice_label(name) == label


def test_slice_rows_leave_out_what_charts_show_and_compare_with_naive_and_champion(report: BacktestReport) -> None:
    rows = {row.label: row for row in slice_records(report)}
    assert "monday" not in rows
    assert "hour 00" not in rows
    last = rows["The last origin"]
    assert last.naive is not None
    assert (last.n_points, last.mae, last.champion) == (24, pytest.approx(0.25, abs=1e-4), pytest.approx(0.2, abs=1e-4))
    assert last.ratio == pytest.approx(last.mae / last.naive)
    assert next(iter(rows)) == "Steps 1 to 6 of the horizon"


def test_a_metric_that_got_worse_is_marked_bad_and_bias_is_judged_by_its_size(report: BacktestReport) -> None:
    rows = {row.name: row for row in compared_metrics(report)}
    assert (rows["MAE"].tone, rows["MAE"].change) == ("bad", pytest.approx(0.25, abs=1e-3))
    models = {name: replace(model, overall={**model.overall, "bias": bias}) for (name, model), bias in
              zip(report.models.items(), (-1.0, 2.0, 9.0, 9.0), strict=True)}  # fmt: skip
    assert list(report.models) == ["candidate", "seasonal_naive_24", "seasonal_naive_48", "champion"]
    models["champion"] = replace(models["champion"], overall={**models["champion"].overall, "bias": 2.0})
    assert {row.name: row.tone for row in compared_metrics(replace(report, models=models))}["Bias"] == "good"


def test_without_a_champion_nothing_is_compared(report: BacktestReport) -> None:
    models = {name: model for name, model in report.models.items() if name != "champion"}
    assert compared_metrics(replace(report, models=models)) == []


def test_intervals_are_those_of_candidate_and_champion(report: BacktestReport) -> None:
    rows = interval_records(report)
    assert [(row.model, row.share) for row in rows] == [("candidate", 0.8), ("champion", 0.8)]
    assert rows[0].coverage == report.models["candidate"].intervals["0.8"]["coverage"]


def test_bars_of_the_importance_are_drawn_beside_the_most_important_and_never_below_nothing() -> None:
    columns = [
        {"name": "Demand", "role": "target", "mae": 3.0, "mae_std": 0.1, "increase_ratio": 2.0},
        {"name": "calendar", "role": "calendar", "mae": 1.5, "mae_std": 0.1, "increase_ratio": 0.5},
        {"name": "Noise", "role": "known", "mae": 0.9, "mae_std": 0.1, "increase_ratio": -0.1},
        {"name": "Other", "role": "known", "mae": 0.9, "mae_std": 0.1, "increase_ratio": None},
    ]
    assert [row.width for row in importance_records({"columns": columns})] == [100, 25, 0, 0]


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    """Variants with 1.002 and 1.05 times the error of the float model, of which the second is refused."""
    run = begin_run(tmp_path_factory.mktemp("compressed"))
    add_validation(run)
    add_training(run)
    add_evaluation(run, offset=0.25)
    add_compression(run)
    return run


def test_variants_are_bubbles_by_latency_error_and_size(compressed: RunLayout) -> None:
    spec = pareto_spec(gather_evidence(compressed))
    assert spec is not None
    assert spec.x == (0.25, 0.25, 4.7)
    assert [line.label for line in spec.lines] == ["ships", "none is faster and better", "refused"]
    assert {line.kind for line in spec.lines} == {LineKind.BUBBLES}
    shipped, front, refused = spec.lines
    assert shipped.values == (pytest.approx(0.2505), None, None)
    assert front.values == (None, None, pytest.approx(0.25))
    assert refused.values == (None, pytest.approx(0.2625), None)
    assert shipped.sizes == (772_000.0, 771_000.0, 3_650_000.0)
    assert shipped.labels == ("tflite_int8", "pruned_tflite_int8", "saved_model")


@pytest.mark.parametrize(
    ("faster", "group"), [("passed", "another is faster and better"), ("gate fails", "none is faster and better")]
)
def test_a_variant_is_behind_where_a_faster_one_errs_no_more_that_was_not_refused(
    compressed: RunLayout, faster: str, group: str
) -> None:
    evidence = gather_evidence(compressed)
    slower = tuple(replace(one, latency_p50_ms=3.0) if one.name == "tflite_int8" else one for one in evidence.variants)
    variants = tuple(replace(one, latency_p50_ms=0.1) if one.name == "saved_model" else one for one in slower)
    decision = replace(evidence.decisions[StepName.EVALUATE_COMPRESSED], variant="pruned_tflite_int8")
    outcomes = {"tflite_int8": "passed", "saved_model": faster, "pruned_tflite_int8": "shipped"}
    points = variant_points(
        replace(
            evidence, variants=variants, compressed_report={"outcomes": outcomes},
            decisions={StepName.EVALUATE_COMPRESSED: decision},
        )
    )  # fmt: skip
    assert {point.name: point.group for point in points}["tflite_int8"] == group


def test_the_table_of_variants_has_what_was_measured_and_what_became_of_each(compressed: RunLayout) -> None:
    table = variant_table(gather_evidence(compressed))
    rows = {row[0]: dict(zip(table["columns"], row, strict=True)) for row in table["data"]}
    assert list(rows) == ["saved_model", "tflite_int8", "pruned_tflite_int8", "tflite_float32"]
    assert rows["tflite_int8"]["shipped"] is True
    assert rows["tflite_int8"]["accuracy_loss"] == pytest.approx(0.002)
    assert rows["tflite_float32"]["outcome"] == "rejected: the converter failed"
    assert rows["tflite_float32"]["mae"] is None


def test_without_a_backtest_of_the_variants_there_is_no_chart_of_them(run: RunLayout) -> None:
    assert pareto_spec(gather_evidence(run)) is None
