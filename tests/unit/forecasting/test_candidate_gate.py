"""Each rule of a candidate's judgement, where it fires and where it just does not."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from forecasting.config.candidate import CandidateConfig, JudgementConfig
from forecasting.gates.candidate import CandidateReport, judge_candidate, judgement_obstacle

LIMITS = JudgementConfig(
    requests=200, period="30min", min_requests=50, max_error_ratio=0.25, max_p99_ratio=2, max_difference_ratio=0.125,
    max_live_error_ratio=1.5, min_actuals=10,
)  # fmt: skip
AT_LIMITS = CandidateReport(
    n_requests=200, n_failed=50, champion_p99_s=0.5, candidate_p99_s=1.0, difference_ratio=0.125, n_actuals=10,
    champion_mae=2, candidate_mae=3,
)  # fmt: skip


def test_a_candidate_at_every_limit_passes():
    decision = judge_candidate(AT_LIMITS, LIMITS)
    assert (decision.passed, decision.reason) == (True, "all 4 rules hold")


@pytest.mark.parametrize(
    ("rule", "worse"),
    [
        ("max_error_ratio", {"n_failed": 51}),
        ("max_p99_ratio", {"candidate_p99_s": 1.001}),
        ("max_difference_ratio", {"difference_ratio": 0.126}),
        ("max_live_error_ratio", {"candidate_mae": 3.001}),
    ],
)
def test_each_rule_alone_refuses(rule, worse):
    decision = judge_candidate(replace(AT_LIMITS, **worse), LIMITS)
    assert [result.rule for result in decision.rules if not result.passed] == [rule]
    assert not decision.passed


@pytest.mark.parametrize("name", ["candidate_p99_s", "champion_p99_s", "difference_ratio", "candidate_mae"])
def test_what_could_not_be_measured_never_passes(name):
    assert not judge_candidate(replace(AT_LIMITS, **{name: float("nan")}), LIMITS).passed


def test_a_champion_without_error_leaves_room_for_none():
    perfect = replace(AT_LIMITS, champion_mae=0)
    assert not judge_candidate(perfect, LIMITS).passed
    assert judge_candidate(replace(perfect, candidate_mae=0), LIMITS).passed


def test_without_a_limit_of_live_errors_actuals_are_not_waited_for_and_it_is_said():
    limits = LIMITS.model_copy(update={"max_live_error_ratio": None})
    report = replace(AT_LIMITS, n_actuals=0, champion_mae=float("nan"))
    assert judgement_obstacle(report, limits) == ""
    decision = judge_candidate(report, limits)
    assert (decision.passed, decision.notes) == (True, ("max_live_error_ratio is null: actuals are not waited for",))


def test_too_few_requests_or_actuals_are_no_judgement():
    assert judgement_obstacle(replace(AT_LIMITS, n_requests=50), LIMITS) == ""
    found = judgement_obstacle(replace(AT_LIMITS, n_requests=49), LIMITS)
    assert found == "49 requests were compared, at least 50 are needed"
    found = judgement_obstacle(replace(AT_LIMITS, n_actuals=9), LIMITS)
    assert found == "9 forecast steps have an actual, at least 10 are needed"


def test_no_limit_has_a_default():
    given = LIMITS.model_dump()
    for name in ("requests", "period", "min_requests", *(one for one in given if one.startswith("max_"))):
        with pytest.raises(ValidationError, match=name):
            JudgementConfig.model_validate({key: value for key, value in given.items() if key != name})


def test_a_judgement_without_shadows_is_refused():
    with pytest.raises(ValidationError, match="set shadow above 0"):
        CandidateConfig(judgement=LIMITS)


def test_more_requests_needed_than_are_waited_for_are_refused():
    with pytest.raises(ValidationError, match="at most requests"):
        JudgementConfig.model_validate({**LIMITS.model_dump(), "min_requests": 201})
