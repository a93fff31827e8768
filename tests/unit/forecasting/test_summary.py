"""Headline numbers of a run."""

from pathlib import Path

import pytest

from forecasting.contracts.steps import StepName
from forecasting.summary import AccuracyReport, load_run_summary
from tests.unit.reporting.runs import add_evaluation, add_training, add_validation, begin_run, whole_run


def test_whole_run_has_every_number(tmp_path: Path) -> None:
    summary = load_run_summary(whole_run(tmp_path))
    assert (summary.run, summary.unit) == ("run-1", "Demand")
    assert summary.candidate is not None
    assert summary.candidate.mae == pytest.approx(0.25, rel=1e-4)
    assert summary.naive == AccuracyReport(
        "seasonal_naive_24", pytest.approx(1.0, rel=1e-4), pytest.approx(1.0, rel=1e-4)
    )
    assert summary.champion is None
    assert summary.float_model is not None
    assert (summary.float_model.name, summary.float_model.size_bytes) == ("saved_model", 3_650_000)
    assert [variant.name for variant in summary.variants] == ["saved_model", "tflite_int8", "pruned_tflite_int8"]
    assert summary.shipped is not None
    assert (summary.shipped.name, summary.shipped.latency_p50_ms) == ("tflite_int8", 0.25)
    assert summary.shipped.mae == pytest.approx(0.2505, rel=1e-4)
    assert (summary.version, summary.previous_version, summary.report) == (7, 6, None)


def test_report_is_named_once_it_is_written(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    run.step(StepName.REPORT_RUN).mkdir()
    path = run.step(StepName.REPORT_RUN) / "report.html"
    path.write_text("<html></html>")
    assert load_run_summary(run).report == path


def test_run_that_was_refused_early_has_no_later_numbers(tmp_path: Path) -> None:
    run = begin_run(tmp_path)
    add_validation(run)
    add_training(run)
    add_evaluation(run, offset=0.55)
    summary = load_run_summary(run)
    assert summary.candidate is not None
    assert (summary.float_model, summary.shipped, summary.version) == (None, None, None)


def test_run_without_steps_has_no_numbers(tmp_path: Path) -> None:
    summary = load_run_summary(begin_run(tmp_path))
    assert (summary.naive, summary.candidate, summary.version, summary.report) == (None, None, None, None)


def test_damaged_file_counts_as_absent(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    (run.step(StepName.DEPLOY_MODEL) / "deployment.json").write_text("[]")
    summary = load_run_summary(run)
    assert summary.version is None
    assert summary.candidate is not None
