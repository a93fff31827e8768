"""The run report: of a promotion, of every kind of refusal and failure, and of a run that is damaged."""

import hashlib
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.evaluation.champion import Champion
from components.evaluation.evaluate_model import ChampionSource
from components.reporting.evidence import gather_evidence
from components.reporting.picture import backtest_forecasts, served_forecasts
from components.reporting.report_run import write_report
from forecasting.contracts.layout import RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.features.spec import write_feature_spec
from forecasting.predictors import ModelInputs
from forecasting.runs import StepRecord, write_step
from forecasting.web import WEB
from tests.unit.backtest.tables import DAY_S, HOUR_S, MONDAY, KnownColumnPredictor
from tests.unit.reporting.runs import (
    DEMAND,
    SPEC,
    add_evaluation,
    add_training,
    add_validation,
    begin_run,
    fail_step,
    whole_run,
)


class NoisyPredictor(KnownColumnPredictor):
    """Errors that differ from step to step."""

    def predict(self, inputs: ModelInputs) -> npt.NDArray[np.float32]:
        answer = super().predict(inputs)
        return answer + np.sin(np.arange(answer.shape[1], dtype=np.float32))[:, None]


def figures(html: str) -> dict[str, Any]:
    """Charts of a page by id."""
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', html)
    assert found is not None
    return json.loads(found.group(1))


VOID_TAGS = {"meta", "link", "br", "rect", "path", "use"}


class Page(HTMLParser):
    """Text, headings and balance of tags of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.links: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID_TAGS:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(word for word in self.words if word)


def report(run: RunLayout) -> tuple[Page, Path]:
    output = run.step(StepName.REPORT_RUN)
    output.mkdir()
    write_report(gather_evidence(run), run, output)
    return Page((output / "report.html").read_text()), output


def test_promotion_says_version_accuracy_and_what_ships(tmp_path: Path) -> None:
    page, output = report(whole_run(tmp_path))
    assert "Promoted" in page.text
    assert "Version 7 passed every gate and is the champion now." in page.text
    assert "The mean absolute error of Demand is 0.2500 over 72 steps of the test period, 75.0 % lower" in page.text
    assert "What ships: tflite_int8: MAE 0.2505, 0.20 % above the float model's 0.25" in page.text
    assert json.loads((output / "report.json").read_text())["status"] == "succeeded"


def test_model_that_waits_for_approval_is_no_champion_and_the_page_says_how_it_becomes_one(tmp_path: Path) -> None:
    page, _ = report(whole_run(tmp_path, approval="deploy.approval is manual"))
    assert "Version 7 passed every gate and waits for a person to approve it." in page.text
    assert "Why: deploy.approval is manual." in page.text
    assert "almanac models approve demand makes it champion; there is no champion yet." in page.text


def test_page_has_every_part_of_a_whole_run(tmp_path: Path) -> None:
    page, _ = report(whole_run(tmp_path))
    for heading in (
        "Forecast",
        "Accuracy",
        "Gates",
        "Variants",
        "In the server",
        "Data",
        "Steps and lineage",
        "Configuration",
    ):
        assert heading in page.words
    for caption in (
        "Error by step of the horizon",
        "Error by hour of the day",
        "Error by day of the week",
        "Learning curve",
    ):
        assert caption in page.words


def test_page_says_which_errors_are_of_a_mean_where_a_model_has_one(tmp_path: Path) -> None:
    sentence = "RMSE and bias are of the mean where a model forecasts one, and of the median elsewhere."
    plain, _ = report(whole_run(tmp_path / "plain"))
    assert sentence not in plain.text
    run = whole_run(tmp_path / "mean")
    metrics = run.step(StepName.EVALUATE_MODEL) / "metrics.json"
    document = json.loads(metrics.read_text())
    document["models"]["candidate"]["mean"] = True
    metrics.write_text(json.dumps(document))
    page, _ = report(run)
    assert sentence in page.text


def test_the_learning_curve_says_which_loss_it_shows_and_what_it_means(tmp_path: Path) -> None:
    page, output = report(whole_run(tmp_path / "plain"))
    assert figures((output / "report.html").read_text())["learning-curve"]["y_label"] == "quantile loss, scaled"
    assert "The validation loss was lowest, 0.6000, in epoch 2 of 3 and rose by 8.3 % after it, while" in page.text
    run = whole_run(tmp_path / "mean")
    (run.step(StepName.TRAIN_MODEL) / "report.json").write_text(
        '{"best_epoch": 2, "loss": "quantile and squared loss"}'
    )
    _, output = report(run)
    curve = figures((output / "report.html").read_text())["learning-curve"]
    assert curve["y_label"] == "quantile and squared loss, scaled"


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (
            "fitted",
            "Shares are fitted on the validation period: on 4 folds left out, fitted shares had a loss of 0.2000 and",
        ),
        (
            "equal",
            "Shares are equal: on 4 folds left out, fitted shares had a loss of 0.2000 and equal ones of 0.3000.",
        ),
        ("unchecked", "which is too short to check them on folds left out."),
    ],
)
def test_members_of_an_ensemble_are_listed_with_why_they_have_their_shares(tmp_path: Path, choice, sentence) -> None:
    run = whole_run(tmp_path)
    assert "Ensemble" not in report(whole_run(tmp_path / "single"))[0].words
    member = {"kind": "tsmixer", "seed": 7, "best_epoch": 3, "best_validation_loss": 0.21, "share": 0.625}
    shares = {"choice": choice, "n_folds": 4, "fitted_loss": 0.2, "equal_loss": 0.3}
    document = {"best_epoch": 2, "loss": "quantile loss", "members": [member], "shares": shares}
    (run.step(StepName.TRAIN_MODEL) / "report.json").write_text(json.dumps(document))
    page, _ = report(run)
    assert sentence in page.text
    for word in ("Ensemble", "tsmixer", "7", "62.5 %"):
        assert word in page.words


def test_the_page_shows_the_mean_of_a_served_forecast_that_has_one(tmp_path: Path) -> None:
    def labels(output: Path) -> list[str]:
        chart = figures((output / "report.html").read_text())["forecast-0"]
        return [line["label"] for line in chart["lines"]]

    assert "forecast (mean)" not in labels(report(whole_run(tmp_path / "plain"))[1])
    run = whole_run(tmp_path / "mean")
    path = run.step(StepName.DEPLOY_MODEL) / "forecast.json"
    document = json.loads(path.read_text())
    document["series"][0]["mean"] = [3.0 + hour for hour in range(24)]
    path.write_text(json.dumps(document))
    assert "forecast (mean)" in labels(report(run)[1])
    assert served_forecasts(document)[0].mean.tolist() == [3.0 + hour for hour in range(24)]


def test_page_is_well_formed_and_needs_no_network(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    page, output = report(run)
    html = (output / "report.html").read_text()
    assert page.open == []
    beside = [link for link in page.links if not link.startswith(("#", "data:"))]
    assert beside == ["gate_report.html", "gate_report.md", "gate_report.json"]
    assert all((output / link).is_file() for link in beside)
    assert "default-src 'none'" in html
    assert re.findall(r"url\((?!#)", html) == []
    assert len(html) < 1_500_000


def test_every_chart_of_the_page_has_its_numbers_and_every_number_its_chart(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    _, output = report(run)
    html = (output / "report.html").read_text()
    places = re.findall(r'data-chart="([^"]+)"', html)
    assert sorted(places) == sorted(figures(html))
    assert set(places) == {
        "forecast-0", "error-by-step", "error-by-hour", "error-by-weekday", "calibration", "pit", "autocorrelation", "qq",
        "learning-curve", "example-typical", "example-worst", "pareto",
    }  # fmt: skip


def test_links_to_parts_of_the_page_lead_somewhere(tmp_path: Path) -> None:
    page, output = report(whole_run(tmp_path))
    ids = set(re.findall(r' id="([^"]+)"', (output / "report.html").read_text()))
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} <= ids
    refused = begin_run(tmp_path / "other")
    add_validation(refused, problem="two rows an hour")
    page, output = report(refused)
    ids = set(re.findall(r' id="([^"]+)"', (output / "report.html").read_text()))
    assert (
        {link.removeprefix("#") for link in page.links if link.startswith("#")} == {"data", "lineage", "licence"} <= ids
    )


def test_a_candidate_with_a_champion_is_compared_on_the_page_and_its_errors_are_examined(tmp_path: Path) -> None:
    run = begin_run(tmp_path)
    add_validation(run)
    add_training(run)
    champion = ChampionSource(6, Champion(6, KnownColumnPredictor(offset=0.2), SPEC))
    candidate = NoisyPredictor()
    add_evaluation(run, champion=champion, candidate=candidate)
    page, output = report(run)
    for heading in ("Beside the champion", "Calibration", "Residuals", "Importance of the columns"):
        assert heading in page.words
    assert "Version 6, on the 72 steps of 3 origins that both forecast" in page.text
    assert "Copy covariate, known ahead" in page.text
    charts = figures((output / "report.html").read_text())
    assert {"champion-by-step", "autocorrelation", "qq"} <= set(charts)
    diagnostics = json.loads((run.step(StepName.EVALUATE_MODEL) / "diagnostics.json").read_text())
    assert charts["autocorrelation"]["lines"][0]["values"] == diagnostics["residuals"]["autocorrelation"]


def test_a_run_of_an_earlier_version_has_a_page_without_what_it_did_not_measure(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    (run.step(StepName.EVALUATE_MODEL) / "diagnostics.json").unlink()
    page, _ = report(run)
    assert "Residuals" not in page.words
    assert "Accuracy" in page.words


def test_picture_of_the_forecast_has_the_promised_size(tmp_path: Path) -> None:
    _, output = report(whole_run(tmp_path))
    header = (output / "forecast.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(header[16:20]), int.from_bytes(header[20:24])) == (1600, 800)


def test_gate_table_shows_value_limit_and_margin(tmp_path: Path) -> None:
    page, _ = report(whole_run(tmp_path))
    assert "Mean absolute error max_mae candidate 0.2500 ≤ 0.5000 +50.0 %" in page.text


def test_variant_that_failed_says_why_and_the_shipped_one_is_marked(tmp_path: Path) -> None:
    page, _ = report(whole_run(tmp_path))
    assert "tflite_int8 ships 772 kB 611 kB 0.25 ms 0.50 ms" in page.text
    assert "max_accuracy_loss fails: 0.0500, must be <= 0.02" in page.text
    assert "rejected: the converter failed" in page.text


def test_refused_candidate_is_not_promoted_and_the_failed_rule_is_named(tmp_path: Path) -> None:
    run = begin_run(tmp_path)
    add_validation(run)
    add_training(run)
    champion = ChampionSource(6, Champion(6, KnownColumnPredictor(offset=0.2), SPEC))
    assert not add_evaluation(run, offset=0.4, champion=champion)
    page, output = report(run)
    assert "Not promoted" in page.text
    assert "evaluate_model refused the candidate. Version 6 stays the champion." in page.text
    assert "max_champion_ratio fails: 2.00, must be <= 1.02" in page.text
    assert json.loads((output / "report.json").read_text())["status"] == "refused"


def test_refused_candidate_is_drawn_from_the_backtest(tmp_path: Path) -> None:
    run = begin_run(tmp_path)
    add_validation(run)
    add_training(run)
    assert not add_evaluation(run, offset=0.55)
    page, output = report(run)
    assert "it is not served" in page.text
    assert (output / "forecast.png").exists()


def test_forecast_of_the_backtest_is_the_last_one_with_its_history(tmp_path: Path) -> None:
    run = begin_run(tmp_path)
    add_validation(run)
    add_training(run)
    add_evaluation(run, offset=0.55)
    forecast = backtest_forecasts(run)[0]
    last = MONDAY + 9 * DAY_S
    assert forecast.timestamps.tolist() == [last + hour * HOUR_S for hour in range(24)]
    assert forecast.history_timestamps.tolist() == [last + hour * HOUR_S for hour in range(-168, 0)]
    assert forecast.actuals == pytest.approx(DEMAND[216:])
    assert forecast.history == pytest.approx(DEMAND[48:216])
    assert forecast.quantiles[:, 1] == pytest.approx(DEMAND[216:] + 0.55, rel=1e-5)


class LaterWorsePredictor(KnownColumnPredictor):
    """Off by a twentieth of the level, which rises from day to day."""

    def predict(self, inputs: ModelInputs) -> npt.NDArray[np.float32]:
        return super().predict(inputs) + 0.05 * inputs.future[:, :, :1].mean(axis=1, keepdims=True)


def test_a_usual_forecast_and_the_worst_one_are_shown_with_three_seasons_of_history(tmp_path: Path) -> None:
    run = begin_run(tmp_path)
    add_validation(run)
    add_training(run)
    add_evaluation(run, candidate=LaterWorsePredictor())
    page, output = report(run)
    charts = figures((output / "report.html").read_text())
    worst, typical = MONDAY + 9 * DAY_S, MONDAY + 8 * DAY_S
    for kind, origin in (("worst", worst), ("typical", typical)):
        chart = charts[f"example-{kind}"]
        assert chart["x"] == [origin + hour * HOUR_S for hour in range(-72, 24)]
        median = next(line for line in chart["lines"] if line["label"] == "forecast (median)")
        day = DEMAND[192:216] if kind == "typical" else DEMAND[216:]
        assert median["values"][72:] == pytest.approx(day + 0.05 * day.mean(), rel=1e-5)
    assert "1970-01-14 00:00 UTC: MAE 5.45, 5.0 % of the mean size of the series." in page.text


def test_examples_whose_forecasts_are_gone_are_left_out(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    (run.step(StepName.EVALUATE_MODEL) / "scores.parquet").unlink()
    page, output = report(run)
    assert "example-worst" not in figures((output / "report.html").read_text())
    assert "A usual forecast of the backtest" not in page.words


class MeanPredictor(KnownColumnPredictor):
    """Answers a mean, 3 above the median."""

    def predict(self, inputs: ModelInputs) -> npt.NDArray[np.float32]:
        quantiles = super().predict(inputs)
        return np.concatenate([quantiles, quantiles[:, :, 1:2] + 3], axis=2)


def test_forecast_of_the_backtest_has_the_mean_where_the_model_has_one(tmp_path: Path) -> None:
    run = begin_run(tmp_path)
    add_validation(run)
    add_training(run)
    spec = replace(SPEC, mean=True)
    write_feature_spec(spec, run.step(StepName.TRAIN_MODEL) / "feature_spec.json")
    add_evaluation(run, spec=spec, candidate=MeanPredictor(offset=0.55, half_width=1.0))
    forecast = backtest_forecasts(run)[0]
    assert forecast.quantiles.shape == (24, 3)
    assert forecast.mean == pytest.approx(DEMAND[216:] + 3.55, rel=1e-5)


def test_refused_data_shows_the_failed_check_and_no_model(tmp_path: Path) -> None:
    run = begin_run(tmp_path)
    add_validation(run, problem="row 17 has a time stamp seen before")
    page, output = report(run)
    assert "The data was refused. What was served before is served still." in page.text
    assert page.text.count("row 17 has a time stamp seen before") >= 2
    assert "Accuracy" not in page.words
    assert not (output / "forecast.png").exists()


def test_crash_shows_step_error_and_log_and_escapes_what_it_quotes(tmp_path: Path) -> None:
    run = begin_run(tmp_path)
    add_validation(run)
    fail_step(run, StepName.BUILD_FEATURES)
    page, output = report(run)
    assert "build_features failed with ArtifactError: the disk <is> full" in page.text
    assert "logs/build_features.log" in page.text
    assert "the disk &lt;is&gt; full" in (output / "report.html").read_text()


def test_step_whose_process_is_gone_counts_as_failed(tmp_path: Path) -> None:
    run = begin_run(tmp_path)
    add_validation(run)
    write_step(run, StepRecord(StepName.BUILD_FEATURES, RunStatus.RUNNING, 1.0))
    page, output = report(run)
    assert "build_features ended without a word: its process was killed" in page.text
    assert json.loads((output / "report.json").read_text())["status"] == "failed"


def test_stopped_run_says_how_it_is_continued(tmp_path: Path) -> None:
    run = begin_run(tmp_path)
    add_validation(run)
    fail_step(run, StepName.BUILD_FEATURES, status=RunStatus.STOPPED)
    page, _ = report(run)
    assert "The run was stopped in build_features." in page.text
    assert "almanac run --resume run-1 continues it" in page.text


def test_run_without_any_step_has_a_report(tmp_path: Path) -> None:
    page, output = report(begin_run(tmp_path))
    assert "Incomplete" in page.text
    assert not (output / "forecast.png").exists()


def test_damaged_file_is_left_out_and_named(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    (run.step(StepName.EVALUATE_MODEL) / "metrics.json").write_text("{")
    page, _ = report(run)
    assert "evaluate_model/metrics.json must hold the metrics of a backtest" in page.text
    assert str(run.root) not in page.text
    assert "Version 7 passed every gate" in page.text


@pytest.mark.parametrize("step", [StepName.VALIDATE_DATA, StepName.DEPLOY_MODEL])
def test_lineage_shows_the_digest_of_every_step(tmp_path: Path, step: StepName) -> None:
    run = whole_run(tmp_path)
    page, _ = report(run)
    digest = json.loads((run.step(StepName.DEPLOY_MODEL) / "manifest.json").read_text())["parents"]["validate_data"]
    assert step.value in page.words
    assert digest[:12] in page.words


def test_lineage_calls_the_digest_of_a_version_that_of_its_files(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    path = run.step(StepName.DEPLOY_MODEL) / "deployment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "digest": "d" * 64}))
    page, _ = report(run)
    assert "Files of the version dddddddddddd" in page.text


def test_the_page_of_validate_data_is_linked_where_it_lies(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    (run.step(StepName.VALIDATE_DATA) / "validation.html").write_text("<p>drawn</p>")
    page, output = report(run)
    (link,) = [link for link in page.links if link.endswith("validation.html")]
    assert (output / link).read_text() == "<p>drawn</p>"


def test_a_check_that_refused_the_table_is_marked_as_failed(tmp_path: Path) -> None:
    run = begin_run(tmp_path)
    add_validation(run, problem="two rows an hour")
    _, output = report(run)
    assert re.search(
        r'<tr class="failed"><td class="c"><span class="dot bad"[^\n]*two rows an hour',
        (output / "report.html").read_text(),
    )


@pytest.mark.parametrize(("ratio", "told"), [(1.25, True), (None, False)])
def test_what_outliers_do_is_told_where_it_was_measured(tmp_path: Path, ratio: float | None, told: bool) -> None:
    run = whole_run(tmp_path)
    path = run.step(StepName.EVALUATE_MODEL) / "metrics.json"
    document = json.loads(path.read_text())
    document["models"]["candidate"]["outlier_ratio"] = ratio
    path.write_text(json.dumps(document))
    page, _ = report(run)
    assert ("the candidate's error is 1.25 times as large" in page.text) == told
    assert ("times as large" in page.text) == told


def test_the_library_that_draws_is_the_published_one_and_its_licence_lies_in_the_page(tmp_path: Path) -> None:
    library = (WEB / "uplot" / "uPlot.iife.min.js").read_bytes()
    # Of uplot 1.6.32 in the registry of npm.
    assert hashlib.sha256(library).hexdigest() == "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"
    page, output = report(whole_run(tmp_path))
    assert library.decode().strip() in (output / "report.html").read_text()
    assert "Copyright (c) 2022 Leon Sorokin" in page.text


def test_variants_that_were_not_scored_have_a_table_and_no_chart(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    shutil.rmtree(run.step(StepName.EVALUATE_COMPRESSED))
    _, output = report(run)
    html = (output / "report.html").read_text()
    assert 'id="variants"' in html
    assert 'data-chart="pareto"' not in html
