"""The gate report of a promotion, a refusal, a leak alarm, and a run that never came to a gate."""

import json
from pathlib import Path
from typing import Any, get_type_hints

from components.evaluation.champion import Champion
from components.evaluation.evaluate_model import ChampionSource
from components.reporting.evidence import gather_evidence
from components.reporting.gate_report import LABELS, write_gate_report
from forecasting.config.gates import (
    CompressedGateConfig,
    ExceedanceGateConfig,
    ModelGateConfig,
    SanityGateConfig,
    ServingGateConfig,
    SliceGateConfig,
)
from forecasting.contracts.layout import RunLayout
from forecasting.contracts.steps import StepName
from tests.unit.backtest.tables import KnownColumnPredictor
from tests.unit.reporting.runs import (
    SPEC,
    add_evaluation,
    add_training,
    add_validation,
    begin_run,
    fail_step,
    whole_run,
)


def written(run: RunLayout, output: Path) -> tuple[dict[str, Any], str, str]:
    output.mkdir()
    write_gate_report(gather_evidence(run), output)
    files = [(output / f"gate_report.{kind}").read_text() for kind in ("json", "md", "html")]
    return json.loads(files[0]), files[1], files[2]


def judged_run(root: Path, *, offset: float, champion: ChampionSource | None = None) -> RunLayout:
    run = begin_run(root)
    add_validation(run)
    add_training(run)
    add_evaluation(run, offset=offset, champion=champion)
    return run


def test_promotion_lists_every_rule_of_every_gate_with_value_limit_margin_and_verdict(tmp_path: Path) -> None:
    document, markdown, page = written(whole_run(tmp_path / "home"), tmp_path / "out")
    assert document["badge"] == "Promoted"
    assert [gate["step"] for gate in document["gates"]] == ["evaluate_model", "evaluate_compressed", "validate_serving"]
    rules = document["gates"][0]["rules"]
    assert [rule["rule"] for rule in rules][:5] == [
        "max_missing_ratio", "max_nonfinite_ratio", "max_crossed_ratio", "max_range_ratio", "max_mae",
    ]  # fmt: skip
    assert (rules[4]["limit"], rules[4]["verdict"], rules[4]["sign"]) == (0.5, "passed", "≤")
    assert abs(rules[4]["value"] - 0.25) < 1e-4
    assert abs(rules[4]["margin"] - 0.5) < 1e-3
    assert "| passed | Mean absolute error `max_mae` | candidate | 0.2500 | ≤ 0.5000 | +50.0 % |" in markdown
    for gate in document["gates"]:
        for rule in gate["rules"]:
            assert f"`{rule['rule']}`" in markdown
            assert f"<code>{rule['rule']}</code>" in page


def test_refusal_shows_the_rule_that_failed_and_by_how_much(tmp_path: Path) -> None:
    champion = ChampionSource(6, Champion(6, KnownColumnPredictor(offset=0.2), SPEC))
    document, markdown, page = written(judged_run(tmp_path / "home", offset=0.4, champion=champion), tmp_path / "out")
    assert document["badge"] == "Not promoted"
    failed = [rule for rule in document["gates"][0]["rules"] if rule["verdict"] == "failed"]
    assert [rule["rule"] for rule in failed] == ["max_champion_ratio"]
    assert (
        "| **failed** | Error over the champion's `max_champion_ratio` | candidate | 2.00 | ≤ 1.02 | -96.1 % |"
        in markdown
    )
    assert 'class="failed"' in page


def test_leak_alarm_says_that_it_is_too_good_to_be_true(tmp_path: Path) -> None:
    document, markdown, _ = written(judged_run(tmp_path / "home", offset=0.001), tmp_path / "out")
    assert [rule["rule"] for rule in document["gates"][0]["rules"] if rule["verdict"] == "failed"] == [
        "min_naive_ratio"
    ]
    assert "Leak alarm: error over the better seasonal naive's `min_naive_ratio` (too good to be true" in markdown


def test_model_that_needs_a_person_says_why_and_what_was_not_judged(tmp_path: Path) -> None:
    champion = ChampionSource(4, None, "model.tflite | is gone")
    document, markdown, page = written(judged_run(tmp_path / "home", offset=0.25, champion=champion), tmp_path / "out")
    assert document["gates"][0]["approval"].startswith("the champion could be compared at 0 of 3 origins")
    assert "A person must approve: the champion could be compared at 0 of 3 origins" in markdown
    assert (
        "- rules against the champion were not judged: champion version 4 cannot be scored: model.tflite \\| is gone"
        in markdown
    )
    assert "rules against the champion were not judged" in page


def test_value_that_could_not_be_measured_is_null_and_a_dash(tmp_path: Path) -> None:
    document, markdown, _ = written(judged_run(tmp_path / "home", offset=float("nan")), tmp_path / "out")
    failed = [rule for rule in document["gates"][0]["rules"] if rule["verdict"] == "failed"]
    assert [rule["rule"] for rule in failed] == ["max_missing_ratio"]
    assert "accuracy was not judged: the forecasts are not sane" in markdown


def test_run_that_never_came_to_a_gate_says_so(tmp_path: Path) -> None:
    run = begin_run(tmp_path / "home")
    add_validation(run)
    fail_step(run, StepName.BUILD_FEATURES)
    document, markdown, page = written(run, tmp_path / "out")
    assert document["gates"] == []
    assert "No gate has judged a model." in markdown
    assert "No gate has judged a model." in page


def test_every_limit_has_words_for_it() -> None:
    settings = (ModelGateConfig, SliceGateConfig, SanityGateConfig, CompressedGateConfig, ServingGateConfig)
    names = {name for section in settings for name in get_type_hints(section) if name.startswith(("min_", "max_"))}
    names |= {f"exceedance.{name}" for name in ExceedanceGateConfig.model_fields if name.startswith(("min_", "max_"))}
    assert names - {"min_points", "min_series_points", "exceedance.min_events"} <= set(LABELS)
