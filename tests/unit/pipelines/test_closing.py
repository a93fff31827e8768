"""The last lines of a run."""

import json
from pathlib import Path

import pytest

from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.runs import RunRecord, StepRecord, create_run, finish_run, write_step
from forecasting.tournament import VariantRecord
from pipelines.closing import closing_lines, failure_line
from tests.unit.reporting.runs import whole_run


@pytest.fixture
def run(tmp_path: Path) -> RunLayout:
    return create_run(HomeLayout(tmp_path), RunRecord("20260101T000000Z-toy", "toy", 0.0, None, "digest"))


def _record(step: StepName, status: RunStatus, **values) -> StepRecord:
    return StepRecord(step, status, started=0.0, **values)


def _deploy(run: RunLayout, **values: object) -> None:
    directory = run.step(StepName.DEPLOY_MODEL)
    directory.mkdir()
    (directory / "deployment.json").write_text(json.dumps({"version": 4, "previous_version": 3, **values}))
    write_step(run, _record(StepName.DEPLOY_MODEL, RunStatus.SUCCEEDED))


def test_a_deployed_run_names_version_and_the_command_that_serves_it(run: RunLayout) -> None:
    _deploy(run)
    lines = closing_lines(run, finish_run(run), "my configs/toy.yaml")
    assert lines == [
        "model    toy version 4 deployed (before: 3)",
        "serve    almanac serve -c 'my configs/toy.yaml'",
    ]


def test_a_model_that_was_champion_before_is_not_called_deployed(run: RunLayout) -> None:
    _deploy(run, already_champion=True)
    assert closing_lines(run, finish_run(run), "toy.yaml")[0] == "model    toy version 4 is champion already"


def test_a_model_that_waits_for_approval_names_the_command_that_approves_and_none_that_serves(run: RunLayout) -> None:
    _deploy(run, approval="deploy.approval is manual")
    assert closing_lines(run, finish_run(run), "toy.yaml") == [
        "model    toy version 4 waits for approval: deploy.approval is manual",
        "approve  almanac models approve toy",
    ]


def test_what_trackers_have_yet_to_be_told_is_said(run: RunLayout) -> None:
    _deploy(run)
    run.step(StepName.REPORT_RUN).mkdir()
    problem = "MLflow at http://here failed: no answer; run-1 waits: the next run sends it"
    (run.step(StepName.REPORT_RUN) / "tracking.json").write_text(json.dumps({"problems": [problem]}))
    not_told = "webhook ${HOOK} was not told: Connection refused"
    (run.step(StepName.REPORT_RUN) / "notifications.json").write_text(json.dumps({"problems": [not_told]}))
    lines = closing_lines(run, finish_run(run), "toy.yaml")
    assert lines[1:3] == [f"left     {problem}", f"left     {not_told}"]


@pytest.mark.parametrize(
    ("gate", "line"),
    [
        (StepName.VALIDATE_DATA, "data refused: too many gaps; nothing was trained, the champion is untouched"),
        (StepName.EVALUATE_MODEL, "not promoted: evaluate_model refused: too many gaps; the champion is untouched"),
    ],
)
def test_a_refused_run_says_why_and_that_the_champion_is_untouched(run: RunLayout, gate: StepName, line: str) -> None:
    write_step(run, _record(StepName.VALIDATE_DATA, RunStatus.SUCCEEDED))
    write_step(run, _record(gate, RunStatus.REFUSED, summary="too many gaps"))
    record = finish_run(run)
    assert closing_lines(run, record, "toy.yaml") == [line]
    assert failure_line(run, record) is None


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"exit_code": 3, "error": "no column"}, "train_model: no column"),
        (
            {"exit_code": 75, "error": "busy"},
            "train_model failed: busy; `almanac run --resume 20260101T000000Z-toy` tries again",
        ),
        (
            {"exit_code": 1, "error": "by zero", "error_type": "ZeroDivisionError"},
            "train_model failed: ZeroDivisionError: by zero (",
        ),
    ],
)
def test_a_failed_run_says_the_true_cause(run: RunLayout, values: dict[str, object], line: str) -> None:
    write_step(run, _record(StepName.TRAIN_MODEL, RunStatus.FAILED, **values))
    record = finish_run(run)
    assert (failure_line(run, record) or "").startswith(line)
    assert closing_lines(run, record, "toy.yaml") == []


def test_sizes_and_latencies_are_shown_with_what_ships(run: RunLayout) -> None:
    directory = run.step(StepName.COMPRESS_MODEL)
    directory.mkdir()
    variant = VariantRecord(
        name="saved_model", path="", size_bytes=2_097_152, compressed_bytes=1, latency_p50_ms=2.6, latency_p99_ms=3.0,
        parity_max_ratio=0.0, parity_mean_ratio=0.0, sparsity=0.0, status="built", reason="",
    )  # fmt: skip
    (directory / "tournament.json").write_text(json.dumps({"variants": [vars(variant)]}))
    _deploy(run)
    lines = closing_lines(run, finish_run(run), "toy.yaml")
    assert lines[1].split() == ["saved_model", "2.10", "MB", "2.60", "ms", "–"]


def test_every_built_variant_is_shown_whichever_ships(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    path = run.step(StepName.EVALUATE_COMPRESSED) / "decision.json"
    path.write_text(path.read_text().replace('"variant": "tflite_int8"', '"variant": "saved_model"'))
    assert [line.split() for line in closing_lines(run, finish_run(run), "toy.yaml")[4:9]] == [
        ["size", "latency", "MAE"],
        ["saved_model", "3.65", "MB", "4.70", "ms", "0.2500", "shipped"],
        ["tflite_int8", "772", "kB", "0.25", "ms", "0.2505"],
        ["pruned_tflite_int8", "771", "kB", "0.25", "ms", "0.2625"],
        [],
    ]


def test_the_variant_of_a_model_that_was_not_deployed_is_only_chosen(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    (run.step(StepName.DEPLOY_MODEL) / "deployment.json").unlink()
    (line,) = [line for line in closing_lines(run, finish_run(run), "toy.yaml") if line.startswith("tflite_int8")]
    assert line.split()[-1] == "chosen"
