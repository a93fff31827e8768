"""What the run report tells of series that are left out of training."""

import json
from pathlib import Path

from forecasting.contracts.layout import RunLayout
from forecasting.contracts.steps import StepName
from tests.unit.reporting.runs import whole_run
from tests.unit.reporting.test_report_run import report


def _quarantine(run: RunLayout) -> None:
    path = run.step(StepName.VALIDATE_DATA) / "report.json"
    record = {"series": "shop <7>", "rules": ["constant", "gaps"], "reason": "its target never changes"}
    path.write_text(json.dumps({**json.loads(path.read_text()), "quarantined": [record]}))


def test_series_in_quarantine_are_listed_with_the_reason_and_who_answers_for_them(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    _quarantine(run)
    page, _ = report(run)
    assert "1 series were left out of training. The gateway answers for them by the fallback" in page.text
    assert "shop <7> constant, gaps its target never changes" in page.text


def test_without_the_fallback_the_report_says_that_nobody_answers_for_the_quarantine(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    _quarantine(run)
    run.config.write_text(run.config.read_text() + "serving:\n  fallback: false\n")
    page, _ = report(run)
    assert "The gateway does not answer for them: serving.fallback is false." in page.text


def test_of_thousands_of_series_in_quarantine_the_page_shows_some_and_says_where_the_others_are(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    path = run.step(StepName.VALIDATE_DATA) / "report.json"
    records = [{"series": f"shop {i}", "rules": ["gaps"], "reason": "full of gaps"} for i in range(5_000)]
    path.write_text(json.dumps({**json.loads(path.read_text()), "quarantined": records}))
    page, _ = report(run)
    assert "5,000 series were left out of training." in page.text
    assert "The first 100; all of them are in validate_data/report.json." in page.text
    assert page.text.count("full of gaps") == 100
